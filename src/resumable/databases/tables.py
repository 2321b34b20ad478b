"""Which table a name means: one rule, for sources and targets alike.

1. The table of exactly that name: in `schema`, if one is given; else where the database itself looks for it.
2. Else, with a dot in the name and no `schema` given: if what stands before the first dot is a schema that exists (in
   SQLite an attached database, `main` or `temp`), the table in it.
3. Else a plain name, in the schema where the database would make it.

What a run found is kept in its checkpoint: a table that the name comes to mean later isn't taken for it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from resumable.databases.identifiers import fold

__all__ = ["DEFAULT", "Where", "full_name", "locate"]

DEFAULT = {"sqlite": "main", "postgresql": "public"}
"""By database, the schema that is meant where none is said, unless the connection says otherwise."""

Ask: TypeAlias = Callable[..., Sequence[Any]]
"""Runs SQL with the driver's own placeholders, followed by the values, and returns the rows."""


def full_name(backend: str, schema: str, table: str) -> str:
    """A table's one name in full, without the schema that goes without saying; with quotes where dots are in doubt."""
    if "." in schema + table:
        return f'"{schema}"."{table}"'
    return table if schema == DEFAULT[backend] else f"{schema}.{table}"


@dataclass(frozen=True, slots=True)
class Where:
    """The table `table` of `schema`; `there`, or still to be made. A `schema` of None: there is none such."""

    schema: str | None
    table: str
    there: bool
    note: str = ""
    """What people should know of how it was found."""


def locate(backend: str, ask: Ask, name: str, schema: str | None) -> Where:
    """Which table `name` means in a database of the kind `backend`, as its schemas and tables are now."""
    book: _Book = _Sqlite(ask) if backend == "sqlite" else _Postgresql(ask)
    if "\0" in name or "\0" in (schema or ""):  # no table's name, and PostgreSQL can't even be asked for it
        return Where(book.home(), name, there=False)
    if schema is not None:
        return _within(book, book.space(schema), name)
    if found := book.visible(name):
        return _noted(backend, *found)
    before, dot, rest = name.partition(".")
    if dot and rest and (space := book.space(before)) is not None:
        return _within(book, space, rest)
    home = book.home()
    if not dot:
        return Where(home, name, there=False) if home is None else _noted(backend, home, name, there=False)
    why = f", since there is no schema {before!r}" if before and rest else ""
    return Where(home, name, there=False, note=f"{name!r} is taken for the table's whole name, dot and all{why}")


def _within(book: _Book, space: str | None, name: str) -> Where:
    spelled = None if space is None else book.table(space, name)
    return Where(space, spelled or name, spelled is not None)


def _noted(backend: str, schema: str, name: str, *, there: bool = True) -> Where:
    if schema == DEFAULT[backend]:
        return Where(schema, name, there)
    how = "it is attached" if backend == "sqlite" else "the connection's search_path says so"
    said = f"table {name!r} is that of schema {schema!r}, since {how}; with schema={schema!r} it would be another run"
    return Where(schema, name, there, said)


class _Book(Protocol):
    """What a database knows of its schemas and tables; names come back as it spells them."""

    def visible(self, name: str) -> tuple[str, str] | None:
        """Schema and table that it takes for a name without a schema."""
        ...

    def space(self, schema: str) -> str | None:
        """The schema of that name."""
        ...

    def table(self, schema: str, name: str) -> str | None:
        """The table or view of exactly that name in a schema."""
        ...

    def home(self) -> str | None:
        """The schema in which it makes a table without one."""
        ...


class _Sqlite:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        # `temp` is listed only once something is in it.
        # Not the PRAGMA itself: it tells the paths as well, which needn't be UTF-8.
        found = [str(row[0]) for row in ask("SELECT name FROM pragma_database_list")]
        self._spaces = list(dict.fromkeys([*found, "main", "temp"]))

    def visible(self, name: str) -> tuple[str, str] | None:
        found = ((space, self.table(space, name)) for space in self._spaces)
        return next(((space, spelled) for space, spelled in found if spelled is not None), None)

    def space(self, schema: str) -> str | None:
        return next((space for space in self._spaces if fold(space) == fold(schema)), None)

    def table(self, schema: str, name: str) -> str | None:
        master = "sqlite_temp_master" if schema == "temp" else f'"{schema.replace(chr(34), chr(34) * 2)}".sqlite_master'
        query = f"SELECT name FROM {master} WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE"
        rows = self._ask(query, name)
        return str(rows[0][0]) if rows else None

    def home(self) -> str | None:
        return "main"


class _Postgresql:
    _TABLE = (
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND "
    )

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def visible(self, name: str) -> tuple[str, str] | None:
        rows = self._ask(f"{self._TABLE} pg_catalog.pg_table_is_visible(c.oid)", name)
        return (rows[0][0], rows[0][1]) if rows else None

    def space(self, schema: str) -> str | None:
        return schema if self._ask("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", schema) else None

    def table(self, schema: str, name: str) -> str | None:
        return name if self._ask(f"{self._TABLE} n.nspname = %s", name, schema) else None

    def home(self) -> str | None:
        schema = self._ask("SELECT pg_catalog.current_schema()")[0][0]
        return None if schema is None else str(schema)

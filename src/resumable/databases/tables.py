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

from resumable.databases.traits import Traits

__all__ = ["DEFAULT", "Ask", "Namespace", "Where", "full_name", "locate"]

DEFAULT = {"sqlite": "main", "postgresql": "public"}
"""By database, the schema that is meant where none is said, unless the connection says otherwise."""

Ask: TypeAlias = Callable[..., Sequence[Any]]
"""Runs SQL with the driver's own placeholders, followed by the values, and returns the rows."""


def full_name(traits: Traits, schema: str, table: str) -> str:
    """A table's one name in full, without the schema that goes without saying; with quotes where dots are in doubt."""
    if "." in schema + table:
        return f'"{schema}"."{table}"'
    return table if schema == traits.default_schema else f"{schema}.{table}"


@dataclass(frozen=True, slots=True)
class Where:
    """The table `table` of `schema`; `exists`, or is still to be made. A `schema` of None: there is none such."""

    schema: str | None
    table: str
    exists: bool
    note: str = ""
    """What people should know of how it was found."""


def locate(traits: Traits, namespace: Namespace, name: str, schema: str | None) -> Where:
    """Which table `name` means, as the database's schemas and tables are now."""
    if "\0" in name or "\0" in (schema or ""):  # no table's name, and PostgreSQL can't even be asked for it
        return Where(namespace.default(), name, exists=False)
    if schema is not None:
        return _in_schema(namespace, namespace.find_schema(schema), name)
    if found := namespace.visible(name):
        return _with_note(traits, namespace, *found)
    before, dot, rest = name.partition(".")
    if dot and rest and (schema_name := namespace.find_schema(before)) is not None:
        return _in_schema(namespace, schema_name, rest)
    home = namespace.default()
    if not dot and home is not None:
        return _with_note(traits, namespace, home, name, exists=False)
    if not dot:
        return Where(None, name, exists=False)
    why = f", since there is no schema {before!r}" if before and rest else ""
    return Where(home, name, exists=False, note=f"{name!r} is taken for the table's whole name, dot and all{why}")


def _in_schema(namespace: Namespace, schema_name: str | None, name: str) -> Where:
    spelled = None if schema_name is None else namespace.find_table(schema_name, name)
    return Where(schema_name, spelled or name, spelled is not None)


def _with_note(traits: Traits, namespace: Namespace, schema: str, name: str, *, exists: bool = True) -> Where:
    if schema == traits.default_schema:
        return Where(schema, name, exists)
    why = namespace.why_default
    note = f"table {name!r} is that of schema {schema!r}, since {why}; with schema={schema!r} it would be another run"
    return Where(schema, name, exists, note)


class Namespace(Protocol):
    """What a database knows of its schemas and tables; names come back as it spells them."""

    why_default: str
    """Why a table without a schema is looked for where it is, in words."""

    def visible(self, name: str) -> tuple[str, str] | None:
        """Schema and table that it takes for a name without a schema."""
        ...

    def find_schema(self, schema: str) -> str | None:
        """The schema of that name."""
        ...

    def find_table(self, schema: str, name: str) -> str | None:
        """The table or view of exactly that name in a schema."""
        ...

    def default(self) -> str | None:
        """The schema in which it makes a table without one."""
        ...

"""What a SQL source reads by: a relation, its columns, the key that orders them, and where in it the reader stands.

Keyset paging: rows are ordered by a unique, not-null key, and reading on is `WHERE (a, b) > (last a, last b)`, which
costs what starting costs where an index has the key. Values are compared and ordered by the database alone; here
they are carried about in a form that JSON keeps exactly, and bound back as they were.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from resumable.checkpoint import Json
from resumable.databases.tables import Where
from resumable.databases.traits import Traits
from resumable.errors import SourceError

__all__ = [
    "WHOLE",
    "Chunk",
    "Key",
    "Relation",
    "SourceColumn",
    "UnreadableValue",
    "choose",
    "differences",
    "is_query",
    "no_such_table",
    "quote_name",
    "searched_schema",
]

# Possessive and atomic: what was taken for a space or a comment is never given back, so time is linear in the text.
_QUERY = re.compile(r"(?is)(?>\s|\(|--[^\n]*\n|/\*.*?\*/)*+(?:select|with|values)\b(?=[\s(*'\"])")


@dataclass(frozen=True, slots=True)
class SourceColumn:
    """A column's name, and its type as the database declares it."""

    name: str
    declared: str


@dataclass(frozen=True, slots=True)
class Key:
    """What orders the rows.

    `terms` are the SQL expressions, `names` the columns they are. `proven`: the database itself keeps it unique and
    not null. `why` it was chosen, for people. `hidden`: it is none of the relation's columns (a SQLite rowid).
    """

    names: tuple[str, ...]
    terms: tuple[str, ...]
    why: str
    proven: bool = False
    hidden: bool = False
    schema_version: Json = None
    """For a hidden key: what the database changes whenever it may have numbered rows anew."""

    def compare(self, than: str, values: Sequence[str]) -> str:
        """The condition that the key is `than` (`>`, `<=`, `=`) the values, which are SQL."""
        return f"{_row(self.terms)} {than} {_row(values)}"

    def order(self, direction: str = "") -> str:
        """What stands behind ORDER BY."""
        return ", ".join(f"{term}{direction}" for term in self.terms)

    def ordered(self, where: str) -> str:
        """What stands behind FROM: the rows `where` holds, in the key's order; all, as they come, without a key."""
        return f" WHERE {where} ORDER BY {self.order()}" if self.names else ""


WHOLE = Key((), (), "no key", proven=True)
"""No key: the rows are read whole, as they come, and there is no position among them to read on from."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view or query: `sql` is what stands behind FROM, `estimated_rows` how many the database thinks there are.

    `full` is a table's one name, however it was spelled; `note`, what people should know of how it was found.
    """

    name: str
    sql: str
    columns: tuple[SourceColumn, ...]
    keys: tuple[Key, ...] = ()
    estimated_rows: int | None = None
    is_query: bool = False
    full: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows as they were read, with the key of the first and of the last, in their JSON form."""

    rows: pa.RecordBatch
    first: list[Json]
    last: list[Json]
    repeated: int | None = None
    """The index of a row that has the same key as the one before it, where that was looked for."""


class UnreadableValue(Exception):
    """A value that its column's type can't hold as it is: `index` in the chunk, `key` of its row if known."""

    def __init__(self, index: int, column: str, value: object, kind: pa.DataType, key: object = None) -> None:
        self.index, self.column, self.value, self.kind, self.key = index, column, value, kind, key
        super().__init__(column)


def is_query(what: str) -> bool:
    """Whether it is a query; otherwise it is the name of a table or view."""
    return _QUERY.match(what) is not None


def _row(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({', '.join(parts)})"


def quote_name(traits: Traits, name: str) -> str:
    """The name, for SQL. Raises `SourceError` for what can't be one."""
    if not name or "\0" in name:
        raise SourceError(
            f"{name!r} can't be a name in {traits.label}.", safe="Nothing was changed.", do="Check the name."
        )
    return traits.quote(name)


def searched_schema(where: Where, what: str, schema: str | None) -> str | None:
    """The schema in which a table was looked for and isn't; None for wherever the database looks by itself."""
    if schema is not None:
        return schema
    return None if where.table == what else where.schema


def choose(relation: Relation, key: Key | None) -> Key:
    """The key to read by: the one that was named, or the relation's own, or none."""
    return key or (relation.keys[0] if relation.keys else WHOLE)


def no_such_table(name: str, names: Sequence[str], where: str) -> SourceError:
    """The error for a table that isn't there, with names like it."""
    names = [other for other in names if not other.startswith("resumable_")]  # ours: nobody means those
    near = difflib.get_close_matches(name.lower(), [other.lower() for other in names], n=3, cutoff=0.5)
    similar = [other for other in names if other.lower() in near]
    hint = (
        f"Did you mean {' or '.join(map(repr, similar))}?"
        if similar
        else f"There are: {', '.join(names[:12]) or 'none'}."
    )
    return SourceError(f"There is no table or view {name!r} in {where}.", safe="Nothing was changed.", do=hint)


def differences(was: dict[str, Json], now: dict[str, Json]) -> str | None:
    """In words, how the columns and the key of two identities differ."""
    before, after = (dict(identity["columns"]) for identity in (was, now))
    changes = [f"column {name!r} was dropped" for name in before if name not in after]
    changes += [f"column {name!r} was added" for name in after if name not in before]
    for name, declared in before.items():
        if name in after and after[name] != declared:
            changes.append(f"column {name!r} was {declared or 'untyped'} and is now {after[name] or 'untyped'}")
    if not changes and list(before) != list(after):
        changes.append("the columns come in another order")
    if was["key"] != now["key"]:
        keys = [f"({', '.join(key)})" if key else "none" for key in (was["key"], now["key"])]
        changes.append(f"the key was {keys[0]} and is now {keys[1]}")
    if was["what"] != now["what"]:
        changes.append("another table or query is read")
    return ", ".join(changes) or None

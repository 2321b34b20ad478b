"""Staged rows that the target would refuse, found by joins before the database refuses them without a word of which.

Looked for are rows of the source that share a unique key, keys that the table has already, and foreign keys that
refer to nothing. What only an INSERT can tell (a trigger, an index over an expression, an exclusion constraint, in an
upsert a second unique key) isn't among them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from resumable.databases.connection import Connection
from resumable.databases.inserting import key_terms
from resumable.databases.relations import ROW, Foreign, Layout, Unique

__all__ = ["Conflict", "conflicts"]


@dataclass(frozen=True, slots=True)
class Conflict:
    """What may be wrong with a row. `query` gives such rows: their number `n` and, if `paired`, an`other` one's."""

    columns: tuple[str, ...]
    query: str
    message: str
    """Of several rows, with {} for them."""
    reason: str
    """Of one row, with {} for the other."""
    paired: bool = False

    @property
    def column(self) -> str | None:
        """The column that it is about, if it is one."""
        return self.columns[0] if len(self.columns) == 1 else None


def conflicts(c: Connection, name: str, staged: str, layout: Layout, parents: str | None = None) -> list[Conflict]:
    """All that can be wrong with rows of the FROM item `staged`; `parents`: those of them that others may refer to."""
    return list(_conflicts(c, name, staged, layout, parents or staged))


def _conflicts(c: Connection, name: str, staged: str, layout: Layout, parents: str) -> Iterator[Conflict]:
    table, supplied = layout.table, {*layout.columns}
    if table is None:
        if layout.mode == "new" and layout.key:
            yield _duplicate_keys(c, staged, layout.unique)
        return
    if layout.mode != "upsert":
        for unique in table.uniques:
            if {*unique.columns} <= supplied:
                yield _duplicate_keys(c, staged, unique)
                if layout.mode == "append":
                    yield _existing_keys(c, staged, c.qualified(name), unique)
    for key in table.foreign:
        if {*key.columns} <= supplied:
            yield _missing_parents(c, staged, layout, key, parents)


def _duplicate_keys(c: Connection, staged: str, unique: Unique) -> Conflict:
    """Rows of the input that share a unique key."""
    keys, not_null = key_terms(c, unique, "x."), ""
    if not unique.nulls_equal:
        not_null = " WHERE " + " AND ".join(f"x.{c.quote(column)} IS NOT NULL" for column in unique.columns)
    # All under names of our own, which can't be those of the key's columns.
    named_keys = ", ".join(f"x.{c.quote(column)} AS k{at}" for at, column in enumerate(unique.columns))
    duplicates = (
        f"SELECT {named_keys}, min(x.{ROW}) AS first, max(x.{ROW}) AS last FROM {staged} x{not_null}"
        f" GROUP BY {', '.join(keys)} HAVING count(*) > 1"
    )
    match = _same(unique, key_terms(c, unique, "s."), [f"d.k{at}" for at in range(len(keys))])
    other = f"CASE WHEN s.{ROW} = d.first THEN d.last ELSE d.first END"
    named = _names(unique.columns)
    return Conflict(
        unique.columns,
        f"SELECT s.{ROW} AS n, {other} AS other FROM {staged} s JOIN ({duplicates}) d ON {match}",
        f"Rows of the source share the unique key ({named}): {{}}.",
        f"shares the unique key ({named}) with row {{}}",
        paired=True,
    )


def _existing_keys(c: Connection, staged: str, target: str, unique: Unique) -> Conflict:
    """Rows whose unique key the table has."""
    named, match = _names(unique.columns), _same(unique, key_terms(c, unique, "t."), key_terms(c, unique, "s."))
    return Conflict(
        unique.columns,
        f"SELECT s.{ROW} AS n FROM {staged} s JOIN {target} t ON {match}",
        f"The table has the unique key ({named}) of {{}} already.",
        f"the table has its unique key ({named}) already",
    )


def _missing_parents(c: Connection, staged: str, layout: Layout, key: Foreign, inside: str) -> Conflict:
    """Rows whose parent isn't there; `inside` are the staged rows that may be one."""
    not_null = " AND ".join(f"s.{c.quote(x)} IS NOT NULL" for x in key.columns)
    pairs = list(zip(key.parent_columns, key.columns, strict=True))
    match = " AND ".join(f"p.{c.quote(p)} = s.{c.quote(x)}" for p, x in pairs)
    parents = [key.parent] if not (key.refers_to_itself and layout.mode == "replace") else []
    if key.refers_to_itself and {*key.parent_columns} <= {*layout.columns}:
        parents.append(inside)
    absent = " AND ".join(f"NOT EXISTS (SELECT 1 FROM {parent} p WHERE {match})" for parent in parents) or "1 = 1"
    named, parent = _names(key.columns), key.parent.replace("{", "{{").replace("}", "}}")
    return Conflict(
        key.columns,
        f"SELECT s.{ROW} AS n FROM {staged} s WHERE {not_null} AND {absent}",
        f"The foreign key ({named}) of {{}} refers to no row of {parent}.",
        f"its foreign key ({named}) refers to no row of {parent}",
    )


def _same(unique: Unique, left: Sequence[str], right: Sequence[str]) -> str:
    """That two rows have one key. Arrays of one element let NULL equal NULL, and are hashed and merged all the same."""
    form = "ARRAY[{}] = ARRAY[{}]" if unique.nulls_equal else "{} = {}"
    return " AND ".join(form.format(a, b) for a, b in zip(left, right, strict=True))


def _names(columns: Sequence[str]) -> str:
    return ", ".join(columns).replace("{", "{{").replace("}", "}}")

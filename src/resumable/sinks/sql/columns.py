"""How rows fit a table that is there, column by column. What doesn't fit is refused, with what would.

Law kept here: no silent loss. A column goes only into a column whose type keeps its values as they are, or where each
value can be checked; everything else is refused at the start, with the type that would fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

import pyarrow as pa

from resumable.arrow_types import plain
from resumable.databases.casts import castable
from resumable.databases.connection import Connection
from resumable.databases.relations import Column, Layout, Mode, Table
from resumable.errors import TargetError

__all__ = [
    "NOTHING_CHANGED",
    "existing_layout",
    "listed",
    "new_types",
    "refuse",
    "refuse_other_staging",
    "refuse_unreplaceable",
]

NOTHING_CHANGED = "Nothing was changed."


def existing_layout(table: Table, schema: pa.Schema, mode: Mode, key: tuple[str, ...], c: Connection) -> Layout:
    """How rows of that schema come into the table."""
    same = c.traits.normalize_identifier
    columns = {same(column.name): column for column in table.columns}
    if extra := [name for name in schema.names if same(name) not in columns]:
        refuse(
            f"Table {table.name!r} has no column {listed(extra)}; it has {listed([x.name for x in table.columns])}.",
            "Rename or leave out columns of the source, or add them to the table.",
        )
    targets = [columns[same(name)] for name in schema.names]
    if computed := [column.name for column in targets if column.generated]:
        refuse(f"Column {listed(computed)} is computed by the database.", "Leave it out of the source.")
    rest = [column for column in table.columns if column not in targets and not column.generated]
    if mode == "replace" and rest:
        refuse(
            f"Table {table.name!r} has {listed([x.name for x in rest])}, which the source hasn't: a replace needs the same columns.",
            "Add them to the source, or use if_exists='append'.",
        )
    if required := [column.name for column in rest if not column.nullable and not column.has_default]:
        refuse(f"Column {listed(required)} must not be NULL, and the source doesn't have it.", "Add it to the source.")
    kinds = [_stored_type(field, column, c) for field, column in zip(schema, targets, strict=True)]
    rows = pa.schema([pa.field(column.name, kind) for column, kind in zip(targets, kinds, strict=True)])
    keys = tuple(columns[same(k)].name if same(k) in columns else k for k in key)
    if absent := [k for k in keys if k not in rows.names]:
        refuse(f"The key {listed(absent)} isn't a column of both source and table.", "Give a key that is.")
    if mode == "upsert":
        keys = _key(table, keys, rows)
        if fixed := [x.name for x in targets if x.always_identity and x.name not in keys]:
            refuse(f"Column {listed(fixed)} is GENERATED ALWAYS and can't be updated.", "Leave it out of the source.")
    return Layout(mode, rows, keys, table)


def _key(table: Table, key: tuple[str, ...], rows: pa.Schema) -> tuple[str, ...]:
    key = key or table.primary
    if not key:
        refuse(f"Table {table.name!r} has no primary key to upsert by.", "Give key=, columns with a unique index.")
    if absent := [k for k in key if k not in rows.names]:
        refuse(f"The source hasn't the key column {listed(absent)}.", "Add it to the source.")
    if not any(set(u.columns) == set(key) and u.immediate for u in table.uniques):
        refuse(
            f"Table {table.name!r} has no unique index over {listed(key)}, without which an upsert has no meaning.",
            f"CREATE UNIQUE INDEX ON {table.name} ({', '.join(key)}), or give another key.",
        )
    return key


def _stored_type(field: pa.Field, column: Column, c: Connection) -> pa.DataType:
    """The type in which a source's column goes into a table's; refused where values could be altered."""
    source = new_types(pa.schema([field])).field(0).type
    verdict = c.database.loader.column_conflict(source, column)
    if verdict:
        refuse(f"Column {field.name!r} is {source} in the source: {verdict}.", "Declare the column otherwise.")
    if verdict == "" or column.type is None or source == column.type:
        return source
    if column.words and pa.types.is_string(source) and b"words" in (field.metadata or {}):
        return source  # a file's texts, read by the column's own law because of such words
    if pa.types.is_null(field.type) or castable(source, column.type):
        return column.type
    refuse(
        f"Column {field.name!r} is {source} in the source and {column.declared or column.type} in the target.",
        "A file's column is read as the table's where columns= (--columns) doesn't name it. Cast other data to that"
        " type, or load it into a table of its own and convert it there.",
    )


def new_types(schema: pa.Schema) -> pa.Schema:
    """The types that new columns keep: plain ones, with microseconds where time is concerned."""
    t, out = pa.types, []
    for field in schema:
        kind = plain(field.type)
        if t.is_timestamp(kind):
            kind = pa.timestamp("us", "UTC" if kind.tz is not None else None)
        elif t.is_time(kind):
            kind = pa.time64("us")
        elif t.is_date(kind):
            kind = pa.date32()
        elif t.is_float16(kind):
            kind = pa.float32()
        elif t.is_null(kind):
            kind = pa.string()
        out.append(pa.field(field.name, kind))
    return pa.schema(out)


def refuse_unreplaceable(c: Connection, table: Table) -> None:
    """Refuse to replace rows that other tables refer to, where that would reach them or fail."""
    for ref in table.referrers:
        if ref.action != "NO ACTION":
            refuse(
                f"Replacing the rows of {table.name!r} would reach {ref.child}: its foreign key says ON DELETE {ref.action}.",
                "Use if_exists='upsert' or 'append', or change the foreign key.",
            )
        used = " AND ".join(f"{c.quote(column)} IS NOT NULL" for column in ref.columns)
        if not ref.deferrable and c.sql(f"SELECT 1 FROM {ref.child} WHERE {used} LIMIT 1").first():
            refuse(
                f"Rows of {ref.child} refer to {table.name!r}, and their foreign key can't wait until new rows are there.",
                "Make it DEFERRABLE, or use if_exists='upsert'.",
            )


def refuse_other_staging(c: Connection, layout: Layout, staging: str) -> None:
    """Refuse a staging table whose columns are declared otherwise than the table's."""
    assert layout.table is not None
    staged = {column.name: column.declared for column in c.database.catalog.describe(c, staging).columns}
    for column in layout.table.columns:
        if column.name in layout.columns and staged.get(column.name) != column.declared:
            was = staged.get(column.name, "nothing")
            refuse(f"Column {column.name!r} was {was} and is {column.declared} now.", "")


def refuse(what: str, do: str) -> NoReturn:
    """Raise the error for a target that can't take the rows."""
    raise TargetError(what, safe=NOTHING_CHANGED, do=do)


def listed(names: Sequence[str]) -> str:
    """Names for people."""
    return ", ".join(repr(name) for name in names)

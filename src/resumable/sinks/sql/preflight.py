"""The preflight of a run: whether the rows fit the target, and how. Everything is refused before anything is made.

Law kept here: no silent loss. A column goes only into a column whose type keeps its values as they are, or where each
value can be checked; everything else is refused at the start, with the type that would fit.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

import pyarrow as pa

from resumable.arrow_types import plain
from resumable.checkpoint import Checkpoint
from resumable.databases.casts import castable
from resumable.databases.connection import Connection
from resumable.databases.executor import is_own_table
from resumable.databases.relations import AGE, ROW, WHY, Column, Layout, Mode, Table
from resumable.errors import TargetChanged, TargetError, TargetExists, UsageError
from resumable.sinks.sql.ledger import NAME as LEDGER
from resumable.sinks.sql.options import TableOptions
from resumable.sinks.sql.published import holds_rows, was_made_by, why_irreplaceable

__all__ = ["plan_load", "revalidate"]

_NOTHING = "Nothing was changed."


def plan_load(c: Connection, options: TableOptions, schema: pa.Schema, restarts: Checkpoint | None = None) -> Layout:
    """How a new run's rows come into its table; raises what can be known to fail.

    `restarts`: the completed run that is run anew. The table that it made gives way as a whole, if it can.
    """
    name, if_exists, staging = options.table, options.if_exists, options.staging
    _names(c, name, schema)
    kind = c.database.catalog.kind(c, name)
    may_replace = kind == "table" and staging and c.traits.transactional_ddl
    made = restarts if restarts is not None and may_replace and was_made_by(c, name, restarts) else None
    why = why_irreplaceable(c, name, made) if made is not None else ""
    if kind and not (made and not why) and if_exists == "fail":
        raise TargetExists(
            f"There is a {kind} {name!r} already"
            + (f", which a restart can't replace as a whole: {why}." if why else "."),
            safe=_NOTHING,
            do="Give another name, or if_exists='append', 'replace' or 'upsert'.",
        )
    if made is not None and why and if_exists == "append" and holds_rows(c, name, made):
        _refuse(
            f"Table {name!r} has the rows of the completed run, and a restart can't replace it as a whole: {why}.",
            "Drop or rename it, or delete those rows, and run it under another name (--name, name='...').",
        )
    if kind and kind != "table":
        _refuse(f"{name!r} is a {kind}, not a table.", "Give a table's name.")
    if kind and not staging:
        _refuse(
            f"There is a table {name!r} already.", "Loading in plain view goes into a new table only: leave staging on."
        )
    if made is not None and not why:
        layout = replace(_new(c, schema, options), replaces=made)
    elif not kind:
        layout = _new(c, schema, options)
    else:
        mode: Mode = if_exists if if_exists != "fail" else "replace"
        layout = _existing(c.database.catalog.describe(c, name), schema, mode, options.key, c)
    if layout.table is None:
        for column in layout.rows:
            c.database.loader.declaration(column)  # refused here, before anything is made
    if refusal := c.database.privileges.missing_for_run(c, layout):
        _refuse(f"The target refuses: {refusal.what}.", refusal.do)
    if layout.table is not None and layout.mode == "replace":
        _replaceable(c, layout.table)
    return layout


def revalidate(
    c: Connection,
    name: str,
    schema: pa.Schema,
    mode: Mode,
    key: tuple[str, ...],
    *,
    fresh: bool,
    staging: str | None,
    replaces: Checkpoint | None,
) -> Layout:
    """The layout of a run that goes on; `fresh`: its target wasn't there when it began. Raises `TargetChanged`.

    Where `staging` is there, its columns must still be declared like the table's: publishing would alter values.
    """
    if mode in ("new", "direct") or fresh:
        return Layout(mode, _stored(schema), key, replaces=replaces, may_rename=c.traits.undoes_all)
    try:
        if c.database.catalog.kind(c, name) != "table":
            _refuse(f"There is no table {name!r} any more.", "")
        layout = _existing(c.database.catalog.describe(c, name), schema, mode, key, c)
        if mode == "replace" and layout.table is not None:
            _replaceable(c, layout.table)
        if staging is not None:
            _staged_alike(c, layout, staging)
        return layout
    except TargetError as error:
        raise TargetChanged(
            f"The target has changed since the run began. {error.what}",
            safe="Nothing was published, and what was committed is kept.",
            do="Put the table back to go on, or terminate the run.",
        ) from None


def _staged_alike(c: Connection, layout: Layout, staging: str) -> None:
    assert layout.table is not None
    staged = {column.name: column.declared for column in c.database.catalog.describe(c, staging).columns}
    for column in layout.table.columns:
        if column.name in layout.columns and staged.get(column.name) != column.declared:
            was = staged.get(column.name, "nothing")
            _refuse(f"Column {column.name!r} was {was} and is {column.declared} now.", "")


def _refuse(what: str, do: str) -> NoReturn:
    raise TargetError(what, safe=_NOTHING, do=do)


def _names(c: Connection, name: str, schema: pa.Schema) -> None:
    for what, each in [("table name", name), *(("column name", column) for column in schema.names)]:
        if why := c.traits.identifier_error(each):
            _refuse(f"The {what} {each!r} {why}.", "Rename it.")
    if c.traits.normalize_identifier(name) == LEDGER or is_own_table(name):
        what = "its ledger" if c.traits.normalize_identifier(name) == LEDGER else "a staging table"
        _refuse(f"The table {name!r} is resumable's own: {what}.", "Give another name.")
    seen: dict[str, str] = {}
    for column in schema.names:
        same = c.traits.normalize_identifier(column)
        if same in seen:
            _refuse(f"Columns {seen[same]!r} and {column!r} would be one in the target.", "Rename one of them.")
        seen[same] = column
    for taken in (AGE, ROW, WHY):
        if taken in seen:
            _refuse(f"A column is called {taken!r}, a name that staging needs.", "Rename it.")
    if not seen:
        _refuse("The source has no columns.", "Give a source with at least one.")


def _stored(schema: pa.Schema) -> pa.Schema:
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


def _new(c: Connection, schema: pa.Schema, options: TableOptions) -> Layout:
    key, upsert = options.key, options.if_exists == "upsert"
    if missing := [k for k in key if k not in schema.names]:
        _refuse(f"The key {_listed(missing)} isn't a column of the source.", f"It has {_listed(schema.names)}.")
    if upsert and not key:
        raise UsageError("An upsert into a new table needs a key.", safe=_NOTHING, do="Give key=['id'] or the like.")
    # In an upsert the last row of a key wins, in a new table as well: staging must take them all.
    mode: Mode = "upsert" if upsert else "new"
    if not options.staging:
        mode = "direct"
    if mode == "direct" and upsert:
        raise UsageError("An upsert needs staging.", safe=_NOTHING, do="Leave staging on, or give if_exists='append'.")
    if mode == "direct" and not c.traits.undoes_all:
        _refuse(f"{c.traits.label} can't undo what is loaded in plain view.", "Leave staging on.")
    return Layout(mode, _stored(schema), key, may_rename=c.traits.undoes_all)


def _existing(table: Table, schema: pa.Schema, mode: Mode, key: tuple[str, ...], c: Connection) -> Layout:
    same = c.traits.normalize_identifier
    columns = {same(column.name): column for column in table.columns}
    if extra := [name for name in schema.names if same(name) not in columns]:
        _refuse(
            f"Table {table.name!r} has no column {_listed(extra)}; it has {_listed([x.name for x in table.columns])}.",
            "Rename or leave out columns of the source, or add them to the table.",
        )
    targets = [columns[same(name)] for name in schema.names]
    if computed := [column.name for column in targets if column.generated]:
        _refuse(f"Column {_listed(computed)} is computed by the database.", "Leave it out of the source.")
    rest = [column for column in table.columns if column not in targets and not column.generated]
    if mode == "replace" and rest:
        _refuse(
            f"Table {table.name!r} has {_listed([x.name for x in rest])}, which the source hasn't: a replace needs the same columns.",
            "Add them to the source, or use if_exists='append'.",
        )
    if required := [column.name for column in rest if not column.nullable and not column.filled]:
        _refuse(
            f"Column {_listed(required)} must not be NULL, and the source doesn't have it.", "Add it to the source."
        )
    kinds = [_stored_type(field, column, c) for field, column in zip(schema, targets, strict=True)]
    rows = pa.schema([pa.field(column.name, kind) for column, kind in zip(targets, kinds, strict=True)])
    keys = tuple(columns[same(k)].name if same(k) in columns else k for k in key)
    if absent := [k for k in keys if k not in rows.names]:
        _refuse(f"The key {_listed(absent)} isn't a column of both source and table.", "Give a key that is.")
    if mode == "upsert":
        keys = _key(table, keys, rows)
        if fixed := [x.name for x in targets if x.always and x.name not in keys]:
            _refuse(f"Column {_listed(fixed)} is GENERATED ALWAYS and can't be updated.", "Leave it out of the source.")
    return Layout(mode, rows, keys, table)


def _key(table: Table, key: tuple[str, ...], rows: pa.Schema) -> tuple[str, ...]:
    key = key or table.primary
    if not key:
        _refuse(f"Table {table.name!r} has no primary key to upsert by.", "Give key=, columns with a unique index.")
    if absent := [k for k in key if k not in rows.names]:
        _refuse(f"The source hasn't the key column {_listed(absent)}.", "Add it to the source.")
    if not any(set(u.columns) == set(key) and u.immediate for u in table.uniques):
        _refuse(
            f"Table {table.name!r} has no unique index over {_listed(key)}, without which an upsert has no meaning.",
            f"CREATE UNIQUE INDEX ON {table.name} ({', '.join(key)}), or give another key.",
        )
    return key


def _replaceable(c: Connection, table: Table) -> None:
    for ref in table.referrers:
        if ref.action != "NO ACTION":
            _refuse(
                f"Replacing the rows of {table.name!r} would reach {ref.child}: its foreign key says ON DELETE {ref.action}.",
                "Use if_exists='upsert' or 'append', or change the foreign key.",
            )
        used = " AND ".join(f"{c.quote(column)} IS NOT NULL" for column in ref.columns)
        if not ref.deferrable and c.sql(f"SELECT 1 FROM {ref.child} WHERE {used} LIMIT 1").first():
            _refuse(
                f"Rows of {ref.child} refer to {table.name!r}, and their foreign key can't wait until new rows are there.",
                "Make it DEFERRABLE, or use if_exists='upsert'.",
            )


def _stored_type(field: pa.Field, column: Column, c: Connection) -> pa.DataType:
    """The type in which a source's column goes into a table's; refused where values could be altered."""
    source = _stored(pa.schema([field])).field(0).type
    verdict = c.database.loader.column_conflict(source, column)
    if verdict:
        _refuse(f"Column {field.name!r} is {source} in the source: {verdict}.", "Declare the column otherwise.")
    if verdict == "" or column.type is None or source == column.type:
        return source
    if column.words and pa.types.is_string(source) and b"words" in (field.metadata or {}):
        return source  # a file's texts, read by the column's own law because of such words
    if pa.types.is_null(field.type) or castable(source, column.type):
        return column.type
    _refuse(
        f"Column {field.name!r} is {source} in the source and {column.declared or column.type} in the target.",
        "A file's column is read as the table's where columns= (--columns) doesn't name it. Cast other data to that"
        " type, or load it into a table of its own and convert it there.",
    )


def _listed(names: object) -> str:
    assert isinstance(names, (list, tuple))
    return ", ".join(repr(name) for name in names)

"""The preflight of a run: whether the rows fit the target, and how. Everything is refused before anything is made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa

from resumable.checkpoint import Checkpoint
from resumable.databases.connection import Connection
from resumable.databases.executor import is_own_table
from resumable.databases.relations import AGE, ROW, WHY, Layout, Mode
from resumable.errors import TargetChanged, TargetError, TargetExists, UsageError
from resumable.sinks.sql.columns import (
    NOTHING_CHANGED,
    existing_layout,
    listed,
    new_types,
    refuse,
    refuse_other_staging,
    refuse_unreplaceable,
)
from resumable.sinks.sql.ledger import NAME as LEDGER
from resumable.sinks.sql.options import TableOptions
from resumable.sinks.sql.published import holds_rows, was_made_by, why_irreplaceable

__all__ = ["plan_load", "revalidate", "written_schema"]


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
            safe=NOTHING_CHANGED,
            do="Give another name, or if_exists='append', 'replace' or 'upsert'.",
        )
    if made is not None and why and if_exists == "append" and holds_rows(c, name, made):
        refuse(
            f"Table {name!r} has the rows of the completed run, and a restart can't replace it as a whole: {why}.",
            "Drop or rename it, or delete those rows, and run it under another name (--name, name='...').",
        )
    if kind and kind != "table":
        refuse(f"{name!r} is a {kind}, not a table.", "Give a table's name.")
    if kind and not staging:
        refuse(
            f"There is a table {name!r} already.", "Loading in plain view goes into a new table only: leave staging on."
        )
    if made is not None and not why:
        layout = replace(_new(c, schema, options), replaces=made)
    elif not kind:
        layout = _new(c, schema, options)
    else:
        mode: Mode = if_exists if if_exists != "fail" else "replace"
        layout = existing_layout(c.database.catalog.describe(c, name), schema, mode, options.key, c)
    if layout.table is None:
        for column in layout.rows:
            c.database.loader.declaration(column)  # refused here, before anything is made
    if refusal := c.database.privileges.missing_for_run(c, layout):
        refuse(f"The target refuses: {refusal.what}.", refusal.do)
    if layout.table is not None and layout.mode == "replace":
        refuse_unreplaceable(c, layout.table)
    return layout


def revalidate(c: Connection, last: Checkpoint, staging: str | None) -> Layout:
    """The layout of a run that goes on, as table and staging are now. Raises `TargetChanged` if its rows don't fit any more.

    Where `staging` is there, its columns must still be declared like the table's: publishing would alter values.
    """
    state: dict[str, Any] = last.sink
    name, mode, schema, key = state["table"], state["mode"], written_schema(last), tuple(state["key"])
    if mode in ("new", "direct") or state["fresh"]:
        replaces = last.previous if state["replaces"] else None
        return Layout(mode, new_types(schema), key, replaces=replaces, may_rename=c.traits.undoes_all)
    try:
        if c.database.catalog.kind(c, name) != "table":
            refuse(f"There is no table {name!r} any more.", "")
        layout = existing_layout(c.database.catalog.describe(c, name), schema, mode, key, c)
        if mode == "replace" and layout.table is not None:
            refuse_unreplaceable(c, layout.table)
        if staging is not None:
            refuse_other_staging(c, layout, staging)
        return layout
    except TargetError as error:
        raise TargetChanged(
            f"The target has changed since the run began. {error.what}",
            safe="Nothing was published, and what was committed is kept.",
            do="Put the table back to go on, or terminate the run.",
        ) from None


def written_schema(last: Checkpoint) -> pa.Schema:
    """The schema of the rows that the sink is given."""
    schema = last.output_schema if last.output_schema is not None else last.schema
    if schema is None:
        raise UsageError("A new run needs a schema.", safe="Nothing was changed.", do="Begin it with a source.")
    return schema


def _names(c: Connection, name: str, schema: pa.Schema) -> None:
    for what, each in [("table name", name), *(("column name", column) for column in schema.names)]:
        if why := c.traits.identifier_error(each):
            refuse(f"The {what} {each!r} {why}.", "Rename it.")
    if c.traits.normalize_identifier(name) == LEDGER or is_own_table(name):
        what = "its ledger" if c.traits.normalize_identifier(name) == LEDGER else "a staging table"
        refuse(f"The table {name!r} is resumable's own: {what}.", "Give another name.")
    seen: dict[str, str] = {}
    for column in schema.names:
        same = c.traits.normalize_identifier(column)
        if same in seen:
            refuse(f"Columns {seen[same]!r} and {column!r} would be one in the target.", "Rename one of them.")
        seen[same] = column
    for taken in (AGE, ROW, WHY):
        if taken in seen:
            refuse(f"A column is called {taken!r}, a name that staging needs.", "Rename it.")
    if not seen:
        refuse("The source has no columns.", "Give a source with at least one.")


def _new(c: Connection, schema: pa.Schema, options: TableOptions) -> Layout:
    key, upsert = options.key, options.if_exists == "upsert"
    if missing := [k for k in key if k not in schema.names]:
        refuse(f"The key {listed(missing)} isn't a column of the source.", f"It has {listed(schema.names)}.")
    if upsert and not key:
        raise UsageError(
            "An upsert into a new table needs a key.", safe=NOTHING_CHANGED, do="Give key=['id'] or the like."
        )
    # In an upsert the last row of a key wins, in a new table as well: staging must take them all.
    mode: Mode = "upsert" if upsert else "new"
    if not options.staging:
        mode = "direct"
    if mode == "direct" and upsert:
        raise UsageError(
            "An upsert needs staging.", safe=NOTHING_CHANGED, do="Leave staging on, or give if_exists='append'."
        )
    if mode == "direct" and not c.traits.undoes_all:
        refuse(f"{c.traits.label} can't undo what is loaded in plain view.", "Leave staging on.")
    return Layout(mode, new_types(schema), key, may_rename=c.traits.undoes_all)

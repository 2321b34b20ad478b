"""Export: a table or a query into a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy.engine import URL, Engine

from resumable.checkpoint import CheckpointStore
from resumable.endpoints import (
    export_name,
    key_columns,
    output_file,
    own_sink,
    refuse_database_file,
    remembered_url,
)
from resumable.errors import UsageError
from resumable.pipeline import Pipeline
from resumable.protocols import Sink, Source
from resumable.session.plan import Transform
from resumable.sources import SqlSource

__all__ = ["export"]


def export(
    source: str | URL | Engine | Source,
    what: str,
    target: str | os.PathLike[str] | Sink,
    *,
    key: str | Sequence[str] | None = None,
    if_exists: Literal["fail", "replace"] = "fail",
    name: str | None = None,
    store: CheckpointStore | str | os.PathLike[str] | None = None,
    every: float = 1.0,
    reconnect: float = 300.0,
    transform: Transform | None = None,
    format: str | None = None,
    schema: str | None = None,
    **options: Any,
) -> Pipeline:
    """A pipeline from a table, or a `select ...`, into the file `target`. Nothing runs until it is iterated or run.

    `source`: a SQLAlchemy URL or `Engine`, or a `Source`.
    `what`: a table's name or a query.
    `target`: the path of a file, or a `Sink`.
    `key`: unique columns without NULL to read in the order of; a table's own is found. Without any, as for a query,
    all is read in one snapshot, and a resume begins again from the start.
    `if_exists`: what to do with a file that is there: refuse it, or replace it at the end.
    `name`: the run's name; by default one is made of source, what and target, so that the same call finds the same
    run. A source that has no `address` by which to tell it from others needs one.
    `store`: where checkpoints are kept: a folder, a URL or a store; by default RESUMABLE_STORE or the folder
    `.resumable`.
    `every`: seconds between commits.
    `reconnect`: seconds for which a connection that breaks is tried again; 0: not at all.
    `transform`: a function from RecordBatch to RecordBatch, row by row and pure.
    `format`: of the file, where its suffix doesn't say it.
    `schema`: the database schema of the table; without it, `what` may be "schema.table".
    `options` go to the format: for CSV `delimiter`, `header`, `null`, `spreadsheet_safe`.

    Raises `UsageError` for arguments that make no sense; everything else is raised when it runs.
    """
    if if_exists not in ("fail", "replace"):
        raise UsageError(f"if_exists={if_exists!r} is unknown for a file.", do="Use 'fail' or 'replace'.")
    keys = key_columns(key)
    database = source if isinstance(source, (str, URL, Engine)) else None
    if isinstance(source, (str, URL, Engine)):
        source = SqlSource(source, what, key=keys or None, schema=schema)
    elif not hasattr(source, "identity"):
        raise UsageError(
            f"{type(source).__name__} is no source.",
            do="Give a database URL (sqlite:///shop.db), an Engine or a Source.",
        )
    path, sink = None, target
    if isinstance(target, (str, os.PathLike)):
        file, options = output_file(target, format, if_exists, options)
        path, sink = file.path, file
        if database is not None:
            refuse_database_file(path, database)
    else:
        sink = own_sink(target, "Give the path of a file, or a Sink.")
    return Pipeline(
        source,
        sink,
        name=export_name(source, sink, what) if name is None else name,
        store=store,
        every=every,
        reconnect=reconnect,
        transform=transform,
        definition={
            "kind": "export",
            "source": remembered_url(database),
            "schema": schema,
            "what": what,
            "target": path,
            "format": format,
            "every": every,
            "reconnect": reconnect,
            "options": {
                "key": keys,
                "if_exists": if_exists,
                "transform": transform is not None,
                **options,
            },
        },
    )

"""Upload: a file or any Arrow stream into a database table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from sqlalchemy.engine import URL, Engine

from resumable.checkpoint import CheckpointStore, Json
from resumable.endpoints import input_file, key_columns, own_sink, remembered_url, upload_name
from resumable.errors import UsageError
from resumable.files.streams import refuse_stream
from resumable.pipeline import Pipeline
from resumable.protocols import Sink, Source
from resumable.session.plan import Transform
from resumable.sinks import QuarantineSink, SqlSink
from resumable.sources import ArrowSource

__all__ = ["upload"]


def upload(
    source: Any,
    target: str | URL | Engine | Sink,
    table: str,
    *,
    if_exists: Literal["fail", "replace", "append", "upsert"] = "fail",
    key: str | Sequence[str] | None = None,
    columns: Mapping[str, Any] | None = None,
    null_values: Sequence[str] = ("",),
    on_bad_row: Literal["raise", "quarantine"] = "raise",
    quarantine: str | os.PathLike[str] | None = None,
    staging: bool = True,
    name: str | None = None,
    store: CheckpointStore | str | os.PathLike[str] | None = None,
    every: float = 1.0,
    reconnect: float = 300.0,
    transform: Transform | None = None,
    format: str | None = None,
    schema: str | None = None,
    staging_schema: str | None = None,
    **options: Any,
) -> Pipeline:
    """A pipeline from `source` into `table` of the database at `target`. Nothing runs until it is iterated or run.

    `source`: the path of a CSV file, a `Source`, anything with `__arrow_c_stream__`, a pandas or polars frame.
    `target`: a SQLAlchemy URL or `Engine`, or a `Sink`.
    `table`: its name, or `schema.table`.
    `if_exists`: what to do with a table that is there: refuse it, replace its rows, add to them, upsert.
    `key`: the columns that an upsert goes by, or a new table's primary key.
    `columns`: name to type, where the inferred one won't do ("int64", "float64", "string", "bool", "date",
    "timestamp", "decimal(12,2)", or an Arrow type); columns that an existing table has are read as its types.
    `null_values`: unquoted fields that mean NULL.
    `on_bad_row`: "quarantine" puts rows that don't fit aside and goes on; all rows that share a unique key are among
    them.
    `quarantine`: the JSON-lines file that they go to (`<source>.rejected.jsonl`).
    `staging`: False loads in plain view, only into a table of its own.
    `name`: the run's name; by default one is made of source, target and table, so that the same call finds the same
    run. A source that has no path, content or `address` by which to tell it from others needs one.
    `store`: where checkpoints are kept: a folder, a URL or a store; by default RESUMABLE_STORE or the folder
    `.resumable`.
    `every`: seconds between commits.
    `reconnect`: seconds for which a connection that breaks is tried again; 0: not at all.
    `transform`: a function from RecordBatch to RecordBatch, row by row and pure.
    `format`: of the file, where its suffix doesn't say it.
    `schema`: the database schema of the table.
    `staging_schema`: another, in which staging and ledger lie (PostgreSQL): for a user who may add to the table and
    make none beside it.
    `options` go to the format: for CSV `delimiter`, `quote`, `encoding`, `header`, `names`, `identity`, and the bytes
    that a record may have, `max_record` (8 MiB).

    Raises `UsageError` for arguments that make no sense; everything else is raised when it runs.
    """
    if if_exists not in ("fail", "replace", "append", "upsert"):
        raise UsageError(f"if_exists={if_exists!r} is unknown.", do="Use 'fail', 'replace', 'append' or 'upsert'.")
    if on_bad_row not in ("raise", "quarantine"):
        raise UsageError(f"on_bad_row={on_bad_row!r} is unknown.", do="Use 'raise' or 'quarantine'.")
    keys = key_columns(key)
    table_sink = sink = _sink(target, table, schema, if_exists, keys, staging, on_bad_row, staging_schema)
    remembered: dict[str, Json] = {
        "if_exists": if_exists,
        "key": keys,
        "columns": {column: str(kind) for column, kind in (columns or {}).items()},
        "null_values": list(null_values),
        "on_bad_row": on_bad_row,
        "staging": staging,
        "transform": transform is not None,
        **({"staging_schema": staging_schema} if staging_schema is not None else {}),
        **options,
    }
    path: str | None = None
    if isinstance(source, (str, os.PathLike)):
        common = {
            "columns": dict(columns or {}),
            "expected": sink.columns if isinstance(sink, SqlSink) else None,
            "null_values": tuple(null_values),
            "on_bad_row": on_bad_row,
        }
        source, of_format = input_file(source, format, common, options)
        path, remembered = source.path, remembered | of_format
    else:
        source = _source(source, columns, null_values, options)
    if on_bad_row == "quarantine":
        if quarantine is not None:
            refuse_stream(quarantine, "What rejected rows go to")
        rejects = os.path.realpath(quarantine or f"{path or table}.rejected.jsonl")
        remembered["quarantine"] = rejects
        sink = QuarantineSink(sink, rejects, source=path or "")
    elif quarantine is not None:
        raise UsageError("quarantine= goes with on_bad_row='quarantine'.", do="Give both, or neither.")
    return Pipeline(
        source,
        sink,
        name=upload_name(source, table_sink, table) if name is None else name,
        store=store,
        every=every,
        reconnect=reconnect,
        transform=transform,
        definition={
            "kind": "upload",
            "source": path,
            "target": remembered_url(target),
            "schema": schema,
            "table": table,
            "format": format,
            "every": every,
            "reconnect": reconnect,
            "options": remembered,
        },
    )


def _source(source: Any, columns: object, null_values: Sequence[str], options: Mapping[str, Any]) -> Source:
    """A source of the caller's own, or data as it is; what is said of a file's text goes with neither."""
    nulls = ["null_values"] if tuple(null_values) != ("",) else []
    extra = [*(["columns"] if columns else []), *nulls, *options]
    if extra:
        raise UsageError(
            f"{', '.join(extra)} goes with the path of a file, not with data or a source as it is.",
            do="Give the data its types and nulls itself.",
        )
    return source if hasattr(source, "identity") else ArrowSource(source)


def _sink(
    target: Any,
    table: str,
    schema: str | None,
    if_exists: Any,
    keys: list[str],
    staging: bool,
    on_bad_row: Any,
    staging_schema: str | None,
) -> Sink:
    if not isinstance(target, (str, URL, Engine)):
        sink = own_sink(target, "Give a database URL (sqlite:///shop.db), an Engine or a Sink.")
        if staging_schema is not None:
            raise UsageError("staging_schema= goes with a database's URL or Engine.", do="Give the Sink its own.")
        return sink
    return SqlSink(
        target,
        table,
        schema=schema,
        if_exists=if_exists,
        key=keys or None,
        staging=staging,
        on_bad_row=on_bad_row,
        staging_schema=staging_schema,
    )

"""Export: a table or a query into a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal

from sqlalchemy.engine import URL, Engine

from resumable.checkpoint import CheckpointStore
from resumable.databases.keyset import is_query
from resumable.databases.urls import is_url, plain_url, sqlite_file
from resumable.errors import UsageError
from resumable.files.streams import refuse_stream
from resumable.pipeline import Pipeline
from resumable.protocols import Sink, Source
from resumable.run_names import address, file_path, place, run_name, table_name
from resumable.session.plan import Transform
from resumable.sinks import CsvSink
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
        raise _usage(f"if_exists={if_exists!r} is unknown for a file.", "Use 'fail' or 'replace'.")
    keys = [key] if isinstance(key, str) else list(key or ())
    if len(set(keys)) < len(keys):
        raise _usage(f"The key ({', '.join(keys)}) names a column twice.", "Name each column once.")
    given, where = source, None
    if isinstance(source, (str, URL, Engine)):
        source = SqlSource(source, what, key=keys or None, schema=schema)
    elif not hasattr(source, "identity"):
        raise _usage(
            f"{type(source).__name__} is no source.", "Give a database URL (sqlite:///shop.db), an Engine or a Source."
        )
    if isinstance(target, (str, os.PathLike)):
        if is_url(str(target)):
            raise _usage(
                "The target of an export is a file, not a URL.", "Give its path; tables are loaded by an upload."
            )
        refuse_stream(target, "The target of an export")
        where = file_path(target)
        kind = format or os.path.splitext(where)[1].lstrip(".").lower() or "csv"
        if kind == "tsv":
            options = {"delimiter": "\t", **options}
        elif kind != "csv":
            raise _usage(f"Format {kind!r} isn't supported yet.", "Name the file .csv, or give format='csv'.")
        if isinstance(given, (str, URL, Engine)) and _is_database(where, given):
            raise _usage(f"{os.path.basename(where)} is the database itself.", "Name another file.")
        target = CsvSink(where, if_exists=if_exists, **options)
    elif not (hasattr(target, "open") and hasattr(target, "describe")):
        raise _usage(f"{type(target).__name__} is no target.", "Give the path of a file, or a Sink.")
    url = given.url if isinstance(given, Engine) else given
    return Pipeline(
        source,
        target,
        name=_name(source, target, what) if name is None else name,
        store=store,
        every=every,
        reconnect=reconnect,
        transform=transform,
        definition={
            "kind": "export",
            "source": plain_url(url) if isinstance(url, (str, URL)) else None,
            "schema": schema,
            "what": what,
            "target": where,
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


def _name(source: Any, sink: Any, what: str) -> str:
    """The run's name, where none was given: from what is read, and the file."""
    base = os.path.basename(sink.path) if isinstance(sink, CsvSink) else ""
    if isinstance(source, SqlSource):
        query = is_query(source.what)
        what = source.what if query else table_name(source.url, source.schema_name, source.what)
        at, readable, schema = place(source.url), "query" if query else what, source.schema_name if query else None
    else:
        at, readable, schema = address(source, "source"), what, None
    return run_name("export", readable, base, of=(at, schema or "", what, address(sink, "target")))


def _is_database(path: str, source: Any) -> bool:
    """Whether the file is the SQLite database that is read, or one of those that SQLite keeps beside it."""
    file = sqlite_file(source.url if isinstance(source, Engine) else source)
    if file is None:
        return False
    if os.path.exists(path) and os.path.exists(file):
        return os.path.samefile(path, file)
    return os.path.realpath(path) in {file + end for end in ("-journal", "-wal", "-shm")}


def _usage(what: str, do: str) -> UsageError:
    return UsageError(what, safe="Nothing was touched.", do=do)

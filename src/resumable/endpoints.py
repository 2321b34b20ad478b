"""Which source or sink a path, a URL or an object means: what upload, export and rebuild have in common."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sqlalchemy.engine import URL, Engine

from resumable.checkpoint import Json
from resumable.databases.identity import database_identity, table_identity
from resumable.databases.keyset import is_query
from resumable.databases.urls import is_url, plain_url, sqlite_file
from resumable.errors import UsageError
from resumable.files.local import LOCAL
from resumable.files.place import IfExists
from resumable.files.streams import file_to_read, refuse_stream
from resumable.formats.csv.content import way_on
from resumable.formats.registry import find_format
from resumable.protocols import Sink
from resumable.run_names import required_address, run_name
from resumable.sinks import SqlSink
from resumable.sinks.file import FileSink
from resumable.sources import SqlSource
from resumable.sources.file import FileSource

__all__ = [
    "Database",
    "export_name",
    "input_file",
    "key_columns",
    "output_file",
    "own_sink",
    "refuse_database_file",
    "remembered_url",
    "upload_name",
]

Database: TypeAlias = str | URL | Engine
"""What means a database: a SQLAlchemy URL or an engine."""

UNSUPPORTED = ("parquet", "json", "jsonl", "ndjson", "xlsx", "gz", "zst", "zip", "bz2")
"""Endings of files that would be misread as CSV."""


def key_columns(key: str | Sequence[str] | None) -> list[str]:
    """The columns of a key, of which there may be one or none."""
    keys = [key] if isinstance(key, str) else list(key or ())
    if len(set(keys)) < len(keys):
        raise UsageError(f"The key ({', '.join(keys)}) names a column twice.", do="Name each column once.")
    return keys


# ----------------------------------------------------------------------------------------------- files


def input_file(
    path: str | os.PathLike[str], format: str | None, common: Mapping[str, Any], options: Mapping[str, Any]
) -> tuple[FileSource, dict[str, Json]]:
    """The file that an upload reads, and the options of its format that the run is remembered with.

    `common` are the options that every format has. A file whose ending says nothing is read as CSV, which refuses what
    isn't CSV by its first bytes.
    """
    if is_url(str(path)):
        raise UsageError(
            "The source of an upload is a file, not a URL.", do="Give its path; tables are read by an export."
        )
    real = file_to_read(path)
    ending = _ending(real)
    if format is None and ending in UNSUPPORTED:
        raise UsageError(
            f"{os.path.basename(real)} would be read as {ending!r}, which isn't supported yet.",
            do=way_on(ending, real),
        )
    form, implied = find_format(real, format, default="csv")
    given = {**implied, **options}
    identity = given.get("identity", "sampled")
    decoder = form.make_decoder({**common, **{k: v for k, v in given.items() if k != "identity"}})
    return FileSource(real, decoder, identity=identity), {**form.frozen, **given}


def output_file(
    path: str | os.PathLike[str], format: str | None, if_exists: IfExists, options: Mapping[str, Any]
) -> tuple[FileSink, dict[str, Json]]:
    """The file that an export writes, and the options that the run is remembered with. A name without ending is CSV."""
    if is_url(str(path)):
        raise UsageError(
            "The target of an export is a file, not a URL.", do="Give its path; tables are loaded by an upload."
        )
    refuse_stream(path, "The target of an export")
    real = LOCAL.address(os.fspath(path), write=True)
    ending = _ending(real)
    if format is None and ending in UNSUPPORTED:
        raise UsageError(f"Format {ending!r} isn't supported yet.", do="Name the file .csv, or give format='csv'.")
    form, implied = find_format(real, format, default=None if ending else "csv")
    given = {**implied, **options}
    return FileSink(real, form.make_encoder(given), title=form.title, if_exists=if_exists), given


def _ending(path: str) -> str:
    return os.path.splitext(path)[1].lstrip(".").lower()


# ------------------------------------------------------------------------------------------- databases


def remembered_url(endpoint: object) -> str | None:
    """The URL of a database without its password; None for anything that lives in this program only."""
    url = endpoint.url if isinstance(endpoint, Engine) else endpoint
    return plain_url(url) if isinstance(url, (str, URL)) else None


def refuse_database_file(path: str, database: Database) -> None:
    """Raise `UsageError` if the file is the SQLite database that is read, or one of those that SQLite keeps beside it."""
    file = sqlite_file(database.url if isinstance(database, Engine) else database)
    if file is None:
        return
    if os.path.exists(path) and os.path.exists(file):
        same = os.path.samefile(path, file)
    else:
        same = os.path.realpath(path) in {file + end for end in ("-journal", "-wal", "-shm")}
    if same:
        raise UsageError(f"{os.path.basename(path)} is the database itself.", do="Name another file.")


# --------------------------------------------------------------------------------------------- objects


def own_sink(target: Any, instead: str) -> Sink:
    """A sink of the caller's own; `instead` says what else may be given."""
    if not (hasattr(target, "open") and hasattr(target, "describe")):
        raise UsageError(f"{type(target).__name__} is no target.", do=instead)
    sink: Sink = target
    return sink


# ----------------------------------------------------------------------------------------------- names


def upload_name(source: Any, sink: Sink, table: str) -> str:
    """The run's name, where none was given: from what the source, the target and the table are."""
    if isinstance(sink, SqlSink):
        target, table = database_identity(sink.target), table_identity(sink.target, sink.schema, sink.table)
    else:
        target = required_address(sink, "target")
    address = required_address(source, "source")
    base = os.path.basename(address) if isinstance(source, FileSource) else ""
    return run_name("upload", base, table, of=(address, target, "", table))


def export_name(source: Any, sink: Any, what: str) -> str:
    """The run's name, where none was given: from what is read, and the file."""
    base = os.path.basename(sink.path) if isinstance(sink, FileSink) else ""
    if not isinstance(source, SqlSource):
        address, readable, schema = required_address(source, "source"), what, ""
    elif is_query(source.what):
        address, readable, schema = database_identity(source.url), "query", source.schema_name or ""
        what = source.what
    else:
        address, schema = database_identity(source.url), ""
        readable = what = table_identity(source.url, source.schema_name, source.what)
    return run_name("export", readable, base, of=(address, schema, what, required_address(sink, "target")))

"""Every source, sink and store there is, small: what the sweeps try. A format or database more is a line in a list.

Both sides use it: the test, to put things there and to look at them, and the process that runs the pipeline.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

import syscalls
from images import dump, files
from jobs import NAME, execute
from resumable.checkpoint import CheckpointStore
from resumable.errors import NotHonoured, ResumableError
from resumable.pipeline import Pipeline
from resumable.protocols import Sink, Source
from resumable.sinks import CsvSink, SqlSink
from resumable.sources import ArrowSource, CsvSource, SqlSource
from resumable.stores import FileStore, RedisStore, SqlStore

__all__ = ["ROWS", "SINKS", "SOURCES", "STORES", "Cell", "Place", "work"]

ROWS = [(1, "one"), (2, None), (3, ""), (4, 'a "quoted", word'), (5, "two\nlines"), (6, "six")]
CSV = 'id,word\n1,one\n2,\n3,""\n4,"a ""quoted"", word"\n5,"two\nlines"\n6,six\n'
"""The one right file of them."""


@dataclass(frozen=True)
class Place:
    """Where things are: a folder, and for each kind of server the URL of a database for each role."""

    folder: str
    servers: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The folder."""
        return Path(self.folder)

    def url(self, kind: str, role: str) -> str:
        """A database for "source", "target" or "store"."""
        if kind == "sqlite":
            return f"sqlite:///{self.path / role}.db"
        return self.servers[kind][role]

    def empty(self, kind: str, role: str) -> None:
        """Nothing is in that database; the folder is empty anyway."""
        if kind == "postgresql":
            execute(self.url(kind, role), "drop schema public cascade; create schema public")
        elif kind == "redis":
            store = RedisStore(self.url(kind, role))
            for record in [store.load(name) for name in store.names()]:
                store.swap(NAME, record.version if record else 0, None)


# -------------------------------------------------------------------------------------------- sources


@dataclass(frozen=True)
class FileIn:
    """A file that `write` makes of `ROWS` and `read` is a source of."""

    write: Callable[[Path], object]
    read: Callable[[Path], Source]
    server: str = ""

    def fill(self, place: Place) -> None:
        self.write(place.path / "rows")

    def source(self, place: Place) -> Source:
        return self.read(place.path / "rows")


@dataclass(frozen=True)
class TableIn:
    """A table of a database."""

    server: str

    def fill(self, place: Place) -> None:
        url = place.url(self.server, "source")
        place.empty(self.server, "source")
        quote = lambda text: "null" if text is None else "'" + text.replace("'", "''") + "'"
        values = ", ".join(f"({n}, {quote(word)})" for n, word in ROWS)
        execute(url, "create table s (id bigint primary key, word text)", f"insert into s values {values}")

    def source(self, place: Place) -> Source:
        return SqlSource(place.url(self.server, "source"), "s")


def frame() -> pa.Table:
    ids, words = zip(*ROWS, strict=True)
    return pa.table({"id": ids, "word": words})


# ---------------------------------------------------------------------------------------------- sinks


@dataclass(frozen=True)
class FileOut:
    """A file in a folder where there is another; `holds`: whether it is a right file of `ROWS`."""

    write: Callable[[Path], Sink]
    holds: Callable[[Path], bool]
    server: str = ""

    def _path(self, place: Place) -> Path:
        return place.path / "out" / "t"

    def before(self, place: Place) -> None:
        (place.path / "out").mkdir()
        (place.path / "out" / "other").write_text("not ours")

    def sink(self, place: Place) -> Sink:
        return self.write(self._path(place))

    def result(self, place: Place) -> Any:
        return {path.name: path.read_bytes() for path in (place.path / "out").iterdir()}

    def right(self, place: Place) -> bool:
        return self.holds(self._path(place))

    def image(self, place: Place) -> Any:
        return files(place.path / "out")


@dataclass(frozen=True)
class TableOut:
    """An append to a table that has a row, a trigger, and no key to keep anything out that comes twice."""

    server: str

    def before(self, place: Place) -> None:
        place.empty(self.server, "target")
        trigger = {
            "sqlite": ["create trigger g after insert on t begin insert into log values (new.id); end"],
            "postgresql": [
                "create function g() returns trigger language plpgsql as $$ begin insert into log values (new.id); return new; end $$",
                "create trigger g after insert on t for each row execute function g()",
            ],
        }[self.server]
        made = ["create table t (id bigint, word text)", "insert into t values (0, 'before')"]
        execute(place.url(self.server, "target"), *made, "create table log (id bigint)", *trigger)

    def sink(self, place: Place) -> Sink:
        return SqlSink(place.url(self.server, "target"), "t", if_exists="append")

    def result(self, place: Place) -> Any:
        names = {
            "sqlite": "select name from sqlite_master order by name",
            "postgresql": "select relname from pg_class where relnamespace = 'public'::regnamespace order by relname",
        }[self.server]
        asked = ("select id, word from t", "select id from log", names)
        return [execute(place.url(self.server, "target"), query) for query in asked]

    def right(self, place: Place) -> bool:
        rows, fired, _ = self.result(place)
        return rows == [(0, "before"), *ROWS] and fired == [(n,) for n, _ in ROWS]

    def image(self, place: Place) -> Any:
        return dump(place.url(self.server, "target"))


# ---------------------------------------------------------------------------------------------- stores


@dataclass(frozen=True)
class StoreIn:
    """A store in a folder or a database."""

    open: Callable[[str], CheckpointStore]
    server: str = ""

    def before(self, place: Place) -> None:
        if self.server:
            place.empty(self.server, "store")

    def store(self, place: Place) -> CheckpointStore:
        return self.open(place.url(self.server, "store") if self.server else str(place.path / "store"))


# ------------------------------------------------------------------------------------------- the lists

DATABASES = ("sqlite", "postgresql")

SOURCES: dict[str, Any] = {
    "csv": FileIn(lambda path: path.write_text(CSV), CsvSource),
    "arrow": FileIn(lambda path: None, lambda path: ArrowSource(frame())),
    **{kind: TableIn(kind) for kind in DATABASES},
}
SINKS: dict[str, Any] = {
    "csv": FileOut(CsvSink, lambda path: path.read_text() == CSV),
    **{kind: TableOut(kind) for kind in DATABASES},
}
STORES: dict[str, Any] = {
    "files": StoreIn(FileStore),
    **{kind: StoreIn(SqlStore, kind) for kind in DATABASES},
    "redis": StoreIn(RedisStore, "redis"),
}

# -------------------------------------------------------------------------------------- in its process


@dataclass(frozen=True)
class Cell:
    """A source, a sink and a store, by name, in their place."""

    source: str
    sink: str
    store: str
    place: Place

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it; `work` takes it."""
        return asdict(self)

    def pipeline(self) -> Pipeline:
        """The same run, whoever asks."""
        source, sink = SOURCES[self.source].source(self.place), SINKS[self.sink].sink(self.place)
        return Pipeline(source, sink, name=NAME, store=STORES[self.store].store(self.place), every=0, reconnect=1)


def work(cell: dict[str, Any], act: str, strike: dict[str, Any]) -> int:
    """Called in a process of its own: begin if need be, and then, with the strike armed, do what `act` says.

    "run" to the end; "take" a run over, and to the end; "resume" a run that was paused after two commits; "discard" what
    there is; "terminate" a run that was paused after two commits; "evict" whoever runs it, and undo. Prints what came
    of it and what was counted; the exit status is 1 for an error of the library's own, which is printed in its three
    parts. Any other error ends it as Python does.
    """
    made = Cell(**{**cell, "place": Place(**cell["place"])})
    syscalls.arm({**strike, "deed": "nothing"})
    if act in ("resume", "terminate"):
        steps = made.pipeline().steps()
        next(steps), next(steps)
        steps.close()
    pipeline, end, error, rows = made.pipeline(), "completed", None, 0
    syscalls.arm(strike)
    try:
        if act in ("run", "resume", "take"):
            for progress in pipeline.steps(takeover=act == "take"):
                rows = progress.rows
        elif act == "evict":
            with contextlib.suppress(NotHonoured):
                pipeline.terminate(wait=0)
            for _ in pipeline.steps(takeover=True):
                pass
        else:
            pipeline.terminate()
            end = "terminated"
    except ResumableError as caught:
        end, error = type(caught).__name__, [caught.what, caught.safe, caught.do]
    syscalls.disarm()
    print(json.dumps({"end": end, "error": error, "rows": rows, "counts": syscalls.counts()}), flush=True)
    sys.stderr.flush()
    # Tidying up an interpreter costs more than the rest, and is not what is tried.
    os._exit(0 if end in ("completed", "terminated", "AlreadyCompleted", "Terminated", "UnknownRun") else 1)

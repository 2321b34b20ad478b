"""What a life of a run is lived in: the processes that run it, and what they write to, a file or a SQLite table.

A process that is killed does nothing more: its files are closed and its database connections gone, as the kernel
sees to it. What outlives it is the folder of its world, and the store.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from images import dump, files
from memory import MemorySource
from resumable.checkpoint import Record
from resumable.errors import StoreError
from resumable.pipeline import Pipeline
from resumable.progress import Progress
from resumable.protocols import Batch, Reject, Sink
from resumable.session.loop import session
from resumable.sinks import CsvSink, QuarantineSink, SqlSink
from resumable.stores import MemoryStore

__all__ = ["File", "Killed", "Process", "Rows", "Table"]


class Killed(BaseException):
    """The process is gone."""


class Process:
    """A session that stands at a commit, and what its process holds. It passes the store's calls on, while it lives.

    `fate`, for its next save: "lost before" or "lost after" (its answer is lost, and it wasn't done or was), "dies
    before" or "dies after".
    """

    location = "memory"

    def __init__(self, store: MemoryStore, history: list[Record]) -> None:
        self.store, self.history = store, history
        self.dead, self.fate, self.token = False, "", ""
        self.connections: list[sqlite3.Connection] = []
        self.source: Rows
        self.steps: Generator[Progress, None, None]

    def begin(self, source: Rows, sink: Sink, **act: bool) -> None:
        """Make the session; it does nothing yet."""
        self.source = source
        pipeline = Pipeline(source, sink, name="m", store=self, every=0, reconnect=0)
        self.steps = session(pipeline.plan, **act)

    def load(self, name: str) -> Record | None:
        return self.store.load(name)

    def names(self) -> list[str]:
        return self.store.names()

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        fate, self.fate = self.fate, ""
        self._meet(fate, "before")
        done = self.store.swap(name, version, record)
        if done and record is not None:
            self.history.append(record)
            self.token = record.claim.token
        self._meet(fate, "after")
        return done

    def _meet(self, fate: str, when: str) -> None:
        if fate == f"dies {when}":
            self._die()
        if self.dead:
            raise Killed
        if fate == f"lost {when}":
            raise StoreError("no answer")

    def connect(self, path: Path) -> sa.Engine:
        """An engine whose connections die with the process."""

        def creator() -> sqlite3.Connection:
            if self.dead:
                raise Killed
            made = sqlite3.connect(path, check_same_thread=False)
            made.execute("pragma synchronous = off")  # a dead process loses nothing by it
            self.connections.append(made)
            return made

        return sa.create_engine(f"sqlite:///{path}", creator=creator, poolclass=sa.NullPool)

    def kill(self) -> None:
        """kill -9 where it stands; the session that is closed then can't change anything any more."""
        self._die()
        with contextlib.suppress(Killed):
            self.steps.close()

    def _die(self) -> None:
        self.dead = True
        for connection in self.connections:
            connection.close()


class Rows(MemorySource):
    """Integers; every third one is put aside, if the sink keeps such."""

    def __init__(self, rows: int, *, rejects: bool) -> None:
        super().__init__(rows, 2)
        self.rejects = rejects

    def read(self, schema: pa.Schema, position: Any, identity: dict[str, Any]) -> Iterator[Batch]:
        opened = MemorySource(self.rows, self.batch)  # an open file stays what it is, whatever takes its name
        for batch in opened.read(schema, position, identity):
            if not self.rejects:
                yield batch
                continue
            good = [n for n in batch.rows["n"].to_pylist() if n % 3]
            bad = tuple(Reject(n, "three") for n in batch.rows["n"].to_pylist() if not n % 3)
            rows = pa.RecordBatch.from_pydict({"n": good}, schema=schema)
            yield replace(batch, rows=rows, rejects=bad)


class File:
    """A CSV file that is replaced. Nothing in it tells who made it: a lost store makes it a new run."""

    rejects = remembers = False

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "out.csv"
        self.path.write_text("before")

    def sink(self, process: Process) -> Sink:
        return CsvSink(self.path, if_exists="replace")

    def target(self) -> str:
        return self.path.read_text()

    def expected(self, runs: tuple[int, ...]) -> str:
        """What the target holds after runs over so many rows."""
        return "n\n" + "".join(f"{n}\n" for n in range(1, runs[-1] + 1)) if runs else "before"

    def stamp(self) -> Any:
        """Another one after each publishing, be it of the same bytes."""
        found = self.path.stat()
        return found.st_ino, found.st_mtime_ns

    def number(self) -> int | None:
        """Of the last checkpoint that is in the target; a file has none."""
        return None

    def aside(self) -> list[list[int]]:
        """The rejected rows of each run."""
        return []

    def expected_aside(self, runs: tuple[int, ...]) -> list[list[int]]:
        """What `aside` is after these runs."""
        return []

    def image(self) -> Any:
        """All there is."""
        return files(self.folder)

    def debris(self) -> list[str]:
        return [path.name for path in self.folder.iterdir() if path != self.path]


class Table:
    """An append to a SQLite table. Its ledger remembers the last run.

    In every other life rejected rows are put in a file beside it; that is a fence too, and would hide a broken one.
    """

    remembers = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "target.db"
        self.rejects = int(folder.name) % 2 == 0
        self._do("create table t (n bigint)")

    def _do(self, sql: str) -> list[Any]:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql).fetchall()

    def sink(self, process: Process) -> Sink:
        engine = process.connect(self.path)
        if not self.rejects:
            return SqlSink(engine, "t", if_exists="append")
        sink = SqlSink(engine, "t", if_exists="append", on_bad_row="quarantine")
        return QuarantineSink(sink, self.folder / f"bad{len(self._bad()):03}")

    def _bad(self) -> list[Path]:
        return sorted(self.folder.glob("bad*"))

    def target(self) -> Any:
        return [n for (n,) in self._do("select n from t order by rowid")]

    def expected(self, runs: tuple[int, ...]) -> Any:
        """What the target holds after runs over so many rows."""
        return [n for rows in runs for n in range(1, rows + 1) if n % 3 or not self.rejects]

    def stamp(self) -> Any:
        """Another one after each publishing."""
        return self._do("select count(*) from t")

    def number(self) -> int | None:
        """Of the last checkpoint that is in the target."""
        return int(self._do("select number from resumable_ledger")[0][0])

    def aside(self) -> list[list[int]]:
        """The rejected rows of each run."""
        return [[json.loads(line)["row"] for line in path.read_text().splitlines()] for path in self._bad()]

    def expected_aside(self, runs: tuple[int, ...]) -> list[list[int]]:
        """What `aside` is after these runs."""
        return [[n for n in range(1, rows + 1) if not n % 3] for rows in runs if self.rejects]

    def image(self) -> Any:
        """All there is."""
        return dump(f"sqlite:///{self.path}"), sorted(path.name for path in self.folder.iterdir())

    def debris(self) -> list[str]:
        tables = [name for (name,) in self._do("select name from sqlite_master where type = 'table'")]
        return [name for name in tables if name not in ("t", "resumable_ledger")] + [
            path.name for path in self.folder.iterdir() if path.name.startswith(".")
        ]

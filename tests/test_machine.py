"""A machine that does to a run, in any order, all that may be done to it, against a plain model of what must be there.

Real pipelines over real sinks: a CSV file and a SQLite table with quarantine, on a memory file system where there is
one. A session is a generator that stands at a commit; killed, it does nothing more, its files are closed and its
database connection is gone, as the kernel sees to it. Heartbeat and reading ahead are left out: nothing here may
depend on a thread. The short form is the same each time; the long one explores anew and prints its seed.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

import resumable.session
from interleaving import Still, at_once
from memory import MemorySource
from resumable import control
from resumable.checkpoint import Record
from resumable.errors import (
    AlreadyRunning,
    ResumableError,
    StoreError,
    Superseded,
)
from resumable.pipeline import Pipeline
from resumable.progress import Progress
from resumable.protocols import Batch, Reject, Sink
from resumable.session import session
from resumable.sinks import CsvSink, QuarantineSink, SqlSink
from resumable.stores import MemoryStore

Session = Generator[Progress, None, None]


class Killed(BaseException):
    """The process is gone."""


class Process:
    """What one process holds. Its store answers no more once it is dead; an answer may be lost (`lose`)."""

    location = "memory"

    def __init__(self, store: MemoryStore, history: list[Record]) -> None:
        self.store, self.history = store, history
        self.dead, self.lose = False, ""
        self.connections: list[sqlite3.Connection] = []
        self.source: Rows
        self.steps: Session

    def load(self, name: str) -> Record | None:
        return self.store.load(name)

    def names(self) -> list[str]:
        return self.store.names()

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        lose, self.lose = self.lose, ""
        if self.dead:
            raise Killed
        if lose == "before":
            raise StoreError("no answer")
        done = self.store.swap(name, version, record)
        if done and record is not None:
            self.history.append(record)
        if lose == "after":
            raise StoreError("no answer")
        return done

    def connect(self, path: Path) -> sa.Engine:
        def creator() -> sqlite3.Connection:
            made = sqlite3.connect(path, check_same_thread=False)
            made.execute("pragma synchronous = off")  # a dead process loses nothing by it
            self.connections.append(made)
            return made

        return sa.create_engine(f"sqlite:///{path}", creator=creator, poolclass=sa.NullPool)

    def kill(self) -> None:
        self.dead = True
        for connection in self.connections:
            connection.close()
        with contextlib.suppress(Killed):
            self.steps.close()


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
    """A CSV file that is replaced; `expected` is what it holds after runs over so many rows."""

    rejects = False

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "out.csv"
        self.path.write_text("before")

    def sink(self, process: Process) -> Sink:
        return CsvSink(self.path, if_exists="replace")

    def target(self) -> str:
        return self.path.read_text()

    def expected(self, runs: tuple[int, ...]) -> str:
        return "n\n" + "".join(f"{n}\n" for n in range(1, runs[-1] + 1)) if runs else "before"

    def debris(self) -> list[str]:
        return [path.name for path in self.folder.iterdir() if path != self.path]


class Table:
    """An append to a SQLite table, with the rejected rows in a file beside it."""

    rejects = True

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / "target.db"
        self._do("create table t (n bigint)")

    def _do(self, sql: str) -> list[Any]:
        connection = sqlite3.connect(self.path)
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    def sink(self, process: Process) -> Sink:
        sink = SqlSink(process.connect(self.path), "t", if_exists="append", on_bad_row="quarantine")
        return QuarantineSink(sink, self.folder / f"bad{len(self.expected_bad())}")

    def expected_bad(self) -> list[str]:
        return sorted(path.name for path in self.folder.glob("bad*"))

    def target(self) -> Any:
        return [n for (n,) in self._do("select n from t order by rowid")]

    def expected(self, runs: tuple[int, ...]) -> Any:
        return [n for rows in runs for n in range(1, rows + 1) if n % 3]

    def debris(self) -> list[str]:
        tables = [name for (name,) in self._do("select name from sqlite_master where type = 'table'")]
        return [name for name in tables if name not in ("t", "resumable_ledger")] + [
            path.name for path in self.folder.iterdir() if path.name.startswith(".")
        ]


class Machine(RuleBasedStateMachine):
    """One run's life. The model: `runs` that were published, whether one is `unfinished`, over how many rows."""

    make: Callable[[Path], Any] = File
    folder: Path
    count = itertools.count()

    def __init__(self) -> None:
        super().__init__()
        self.place = self.folder / str(next(self.count))
        self.place.mkdir()
        self.world = type(self).make(self.place)
        self.store, self.history = MemoryStore(), list[Record]()
        self.live: Process | None = None
        self.zombies: list[Process] = []
        self.runs: tuple[int, ...] = ()
        self.rows, self.asked, self.patience = 4, "", 0
        self.begun = 0
        """Rows of the source with which the unfinished run began; 0: there is none."""
        self.over = ""
        """How the last run ended, as far as anybody knows."""
        self.said, self.fogged = "", False
        """An answer was lost or the store forgot: what it says may be behind."""

    def teardown(self) -> None:
        for process in [*self.zombies, *([self.live] if self.live else [])]:
            process.kill()
        shutil.rmtree(self.place)

    # ------------------------------------------------------------------------------------ what is done

    def process(self, **act: bool) -> Process:
        process = Process(self.store, self.history)
        process.source = Rows(self.rows, rejects=self.world.rejects)
        pipeline = Pipeline(process.source, self.world.sink(process), name="m", store=process, every=0)
        pipeline._plan.reconnect = 0
        process.steps = session(pipeline._plan, **act)
        return process

    def go(self, process: Process) -> str:
        """One step: how it ended, or "" at a commit. Publishing is noted, and may come once a run."""
        before = self.world.target()
        try:
            progress = next(process.steps)
            end = "completed" if progress.status == "completed" else ""
        except ResumableError as error:
            end, self.said = type(error).__name__, str(error)
        now = self.world.target()
        if now != before:
            assert now == self.world.expected((*self.runs, self.rows)), f"{before} became {now}"
            self.runs, self.begun = (*self.runs, self.rows), 0
        elif end == "completed" and self.begun and now == self.world.expected((*self.runs, self.rows)):
            self.runs, self.begun = (*self.runs, self.rows), 0  # the same bytes as before
        if end == "completed":
            assert self.runs, "completed, and nothing was ever published"
            self.over, self.begun = "completed", 0
            assert [] == self.world.debris()
        if end:
            process.steps.close()
            self.live = self.live if self.live is not process else None
        return end

    def enter(self, **act: bool) -> str:
        process = self.process(**act)
        self.live = process
        if not self.begun:
            self.begun = self.rows
        return self.go(process)

    def refused(self, end: str) -> bool:
        """Whether a record that came back says that a zombie, which lives, has the run."""
        return end == "AlreadyRunning" and self.fogged and bool(self.zombies)

    @precondition(lambda self: self.live is None)
    @rule()
    def run(self) -> None:
        """A new process: begins, or goes on."""
        changed = self.begun not in (0, self.rows)
        end = self.enter()
        if self.refused(end):
            return
        if end == "SourceChanged":
            assert changed or self.fogged
        elif end == "Terminated":
            assert self.asked == "terminate" or self.fogged
            self.begun, self.asked = 0, ""
        elif end in ("TargetChanged", "TargetExists"):
            assert self.fogged
        else:
            assert end in ("", "completed"), self.said
            assert not changed or end == "completed" or self.fogged

    @precondition(lambda self: self.live is not None)
    @rule()
    def step(self) -> None:
        """One commit more; what was asked is honoured."""
        assert self.live is not None
        end = self.go(self.live)
        if end == "Terminated":
            assert self.asked == "terminate"
            self.begun = 0
        elif end == "Paused":
            assert self.asked == "pause"
        elif end in ("Superseded", "StoreError"):
            assert self.fogged
        elif end == "SourceChanged":
            assert self.begun != self.rows
        else:
            assert end in ("", "completed"), self.said
            # With no heart to hear it, a request is heard with the next save, and honoured after the one that follows.
            assert not self.asked or self.patience or end == "completed", "a request was not heard"
            self.patience = max(0, self.patience - 1)
        if end:
            self.asked = "terminate" if self.asked == "terminate" and end not in ("Terminated", "completed") else ""

    @precondition(lambda self: self.live is not None)
    @rule(times=st.integers(2, 6))
    def steps(self, times: int) -> None:
        """Some commits more."""
        for _ in range(times):
            if self.live is not None:
                self.step()

    @precondition(lambda self: self.live is not None)
    @rule()
    def crash(self) -> None:
        """kill -9 between two commits."""
        assert self.live is not None
        self.live.kill()
        self.live = None
        self.asked = self.asked if self.asked == "terminate" else ""

    @precondition(lambda self: self.live is not None)
    @rule()
    def leave(self) -> None:
        """The caller's loop ends: a pause."""
        assert self.live is not None
        self.live.steps.close()
        self.live = None
        self.asked = self.asked if self.asked == "terminate" else ""

    @precondition(lambda self: self.live is not None and not self.fogged)
    @rule()
    def second(self) -> None:
        """A second runner is refused while the first lives."""
        process = self.process()
        with pytest.raises(AlreadyRunning):
            next(process.steps)

    @precondition(lambda self: self.live is not None and self.begun == self.rows and not self.asked)
    @rule()
    def take_over(self) -> None:
        """The first is stopped; the second has the run now."""
        assert self.live is not None
        self.zombies.append(self.live)
        end = self.enter(takeover=True)
        assert end in ("", "completed") or self.fogged, self.said

    @precondition(lambda self: self.zombies)
    @rule()
    def wake(self) -> None:
        """A zombie goes on: it is told, and changes nothing."""
        process, before = self.zombies.pop(), self.world.target()
        try:
            with pytest.raises((Superseded, StoreError)):
                for _ in process.steps:
                    pass
        finally:
            process.kill()
        assert before == self.world.target()

    @precondition(lambda self: self.live is not None and self.begun)
    @rule(what=st.sampled_from(["pause", "terminate"]))
    def ask(self, what: Any) -> None:
        """Left in the store, as another process does."""
        record = control.ask(self.store, "m", what)
        if record is not None:
            self.asked, self.patience = record.asked, 2

    @precondition(lambda self: self.live is None)
    @rule()
    def terminate(self) -> None:
        """Called off by a process of its own: the target is as it was, or the run was completed before."""
        end, before = self.enter(terminate=True), self.runs
        if self.refused(end):
            return
        assert end in ("Terminated", "UnknownRun", "completed"), self.said
        if end != "completed":
            self.begun = 0
            assert [] == self.world.debris()
        assert before == self.runs
        self.asked = ""

    @precondition(lambda self: self.live is None)
    @rule()
    def restart(self) -> None:
        """Undone, and begun anew."""
        self.begun, self.asked = self.rows, ""
        end = self.enter(restart=True)
        assert self.refused(end) or end in ("", "completed"), self.said

    # ---------------------------------------------------------------------------------- what happens

    @rule()
    def change(self) -> None:
        """Somebody edits the source."""
        self.rows = 7 if self.rows == 4 else 4
        for process in [*self.zombies, *([self.live] if self.live else [])]:
            process.source.rows = self.rows

    @precondition(lambda self: self.live is not None)
    @rule(when=st.sampled_from(["before", "after"]))
    def lose_an_answer(self, when: str) -> None:
        """The next save fails, whether it was done or not."""
        assert self.live is not None
        self.live.lose = when
        self.fogged = True

    @precondition(lambda self: self.history and self.live is None)
    @rule(back=st.integers(1, 20))
    def restore_the_store(self, back: int) -> None:
        """A backup of it is put in place, or (20) it is lost."""
        record = self.store.load("m")
        old = None if back == 20 else self.history[-min(back, len(self.history))]
        self.store.swap("m", record.version if record else 0, old)
        self.fogged, self.asked = True, old.asked if old else ""

    # ---------------------------------------------------------------------------------- what must hold

    @invariant()
    def untouched(self) -> None:
        """The target is what the published runs have made of it, and nothing else."""
        assert self.world.expected(self.runs) == self.world.target()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No threads, and a folder in memory if there is one."""
    monkeypatch.setattr(control, "threading", Still.module())
    monkeypatch.setattr(resumable.session, "ahead", at_once)
    shm = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="resumable-", dir=shm if shm.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(("make", "examples"), [(File, 1_000), (Table, 25)], ids=["file", "table"])
def test_whatever_is_done_to_a_run_the_target_is_right(
    make: Any, examples: int, quick: Path, tried: Callable[[str], None], *, long: bool
) -> None:
    """So many lives of fifty steps each: every row once, nothing in sight before the end, nothing left after it."""
    number = random.randrange(10**9) if long else 0
    machine = seed(number)(type("Life", (Machine,), {"make": make, "folder": quick, "count": itertools.count()}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10 * examples if long else examples, stateful_step_count=50, deadline=None, database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip
    tried(f"lives of a run into a {make.__name__.lower()}: {next(machine.count):,} of up to 50 steps (seed {number})")

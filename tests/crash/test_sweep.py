"""A crash at every call of the store and at every statement to SQLite: in a run, in terminate, and in the recovery.

The process "dies" at its n-th step: that step and all after it raise, so that nothing it holds does anything more;
what SQLite had not committed is rolled back, as it is when a process is gone. `test_kill.py` does it with real ones.
"""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from memory import MemorySource
from resumable.checkpoint import Record
from resumable.errors import ResumableError
from resumable.pipeline import Pipeline
from resumable.session import session
from resumable.sinks.sql import SqlSink
from resumable.stores import MemoryStore

BEFORE, ROWS = [(-1,)], [(1,), (2,), (3,), (4,), (5,), (6,)]


class Crash(BaseException):
    """The process is gone."""


class Death:
    """Comes at the n-th step of the main thread; n = 0: never. The dying process is rolled back by its kernel."""

    def __init__(self, n: int) -> None:
        self.n, self.seen = n, 0
        self.held: list[sqlite3.Connection] = []

    def bury(self) -> None:
        """What the kernel does for a process that is gone."""
        for connection in self.held:
            connection.close()

    def step(self) -> None:
        if threading.current_thread() is threading.main_thread():
            self.seen += 1
            if self.n and self.seen >= self.n:
                raise Crash


class Store:
    """A store whose process dies before or after a swap."""

    location = "memory"

    def __init__(self, inner: MemoryStore, death: Death) -> None:
        self.inner, self.death = inner, death

    def load(self, name: str) -> Record | None:
        return self.inner.load(name)

    def names(self) -> list[str]:
        return self.inner.names()

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        self.death.step()
        done = self.inner.swap(name, version, record)
        self.death.step()
        return done


def dying(path: Path, death: Death) -> sa.Engine:
    """An engine whose process dies before a statement, or before or after a commit."""

    class Cursor(sqlite3.Cursor):
        def execute(self, sql: str, *values: Any) -> Any:
            death.step()
            return super().execute(sql, *values)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def execute(self, sql: str, *values: Any) -> Any:
            death.step()
            return super().execute(sql, *values)

        def commit(self) -> None:
            death.step()
            super().commit()
            death.step()

    def connect() -> sqlite3.Connection:
        connection = sqlite3.connect(path, factory=Connection, check_same_thread=False)
        death.held.append(connection)
        sqlite3.Connection.execute(connection, "pragma synchronous = off")  # a dead process loses nothing by it
        return connection

    return sa.create_engine(f"sqlite:///{path}", creator=connect, poolclass=sa.NullPool)


Setup = Callable[[sqlite3.Connection], None]


def _existing(connection: sqlite3.Connection) -> None:
    connection.executescript(
        "create table t (n integer primary key); insert into t (n) values (-1);"
        "create index t_n on t (n); create view v as select n from t; create table log (n);"
        "create trigger g after insert on t begin insert into log values (new.n); end;"
    )


CASES: dict[str, tuple[str, Setup]] = {
    "new": ("fail", lambda connection: None),
    "append": ("append", _existing),
    "replace": ("replace", _existing),
    "upsert": ("upsert", _existing),
}


class World:
    """A database file and a store, in which one process after another tries its luck."""

    def __init__(self, folder: Path, case: str) -> None:
        self.path, self.store = folder / "target.db", MemoryStore()
        for file in folder.iterdir():
            file.unlink()
        self.if_exists, setup = CASES[case]
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute("pragma synchronous = off")
            connection.execute("create table other (x)")  # so that the file's schema is never empty
            setup(connection)
        self.before = self.image()

    def image(self) -> tuple[list[Any], dict[str, list[Any]]]:
        """The schema and all rows, without the ledger of completed runs."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            schema = connection.execute("select type, name, sql from sqlite_master order by name").fetchall()
            names = [name for kind, name, _ in schema if kind == "table"]
            return schema, {name: connection.execute(f'select * from "{name}"').fetchall() for name in names}

    def process(self, n: int, *, terminate: bool = False) -> str:
        death = Death(n)
        sink = SqlSink(dying(self.path, death), "t", if_exists=self.if_exists)  # type: ignore[arg-type]
        pipeline = Pipeline(MemorySource(), sink, name="m", store=Store(self.store, death), every=0)
        try:
            list(session(pipeline._plan, terminate=terminate))
            return "completed"
        except Crash:
            return "crashed"
        except ResumableError as error:
            return type(error).__name__
        finally:
            death.bury()

    def published(self) -> bool:
        schema, rows = self.image()
        tables = {name for _, name, _ in schema} - {"resumable_ledger", "sqlite_autoindex_resumable_ledger_1"}
        expected = {name for _, name, _ in self.before[0]} | {"t"}
        got = [row[:1] for row in rows["t"]]
        old = BEFORE if self.if_exists in ("append", "upsert") else []
        fired = self.if_exists == "fail" or rows["log"] == ROWS
        return tables == expected and got == [*old, *ROWS] and fired


@pytest.fixture(params=list(CASES))
def case(request: pytest.FixtureRequest) -> str:
    """What is there before, and what the upload is to do with it."""
    name: str = request.param
    return name


def test_a_run_that_dies_at_any_step_is_finished_by_the_next(case: str, tmp_path: Path) -> None:
    """Every step of the run; the next process ends it: every row once, in order, triggers fired once."""
    for n in range(1, 500):
        world = World(tmp_path, case)
        first = world.process(n)
        assert "completed" == world.process(0), n
        assert world.published(), n
        if first == "completed":
            break
    assert 40 < n < 499


def test_a_run_that_dies_at_any_step_can_be_called_off(case: str, tmp_path: Path) -> None:
    """Every step of the run; then terminate: schema and rows as before, to the letter; or all of it is published."""
    for n in range(1, 500):
        world = World(tmp_path, case)
        first = world.process(n)
        ended = world.process(0, terminate=True)
        if ended == "completed":
            assert world.published(), n
        else:
            assert ended in ("Terminated", "UnknownRun"), n
            assert world.before == world.image(), n
        if first == "completed":
            break
    assert 40 < n < 499


def test_a_recovery_that_dies_at_any_step_is_recovered_from(case: str, tmp_path: Path) -> None:
    """A run that died in mid-run, before and inside publish; its recovery dies at every third step; the next ends it."""
    steps = next(n for n in range(1, 500) if World(tmp_path, case).process(n) == "completed")
    for n in (steps // 2, steps - 12, steps - 6):
        for m in range(1 + n % 3, 500, 3):
            world = World(tmp_path, case)
            assert "crashed" == world.process(n)
            second = world.process(m)
            assert "completed" == world.process(0), (n, m)
            assert world.published(), (n, m)
            if second == "completed":
                break


def test_a_terminate_that_dies_at_any_step_is_ended_by_the_next(case: str, tmp_path: Path) -> None:
    """Terminate itself is killed at every step; the next terminate leaves everything as it was."""
    steps = next(n for n in range(1, 500) if World(tmp_path, case).process(n) == "completed")
    for m in range(1, 500):
        world = World(tmp_path, case)
        assert "crashed" == world.process(steps // 2)
        second = world.process(m, terminate=True)
        assert world.process(0, terminate=True) in ("Terminated", "UnknownRun"), m
        assert world.before == world.image(), m
        if second != "crashed":
            break
    assert m > 10

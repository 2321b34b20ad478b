"""The command line in processes of its own: watched, frozen, killed at a known moment; and runs to try it on."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from forks import Forks
from images import dump, files
from resumable.checkpoint import Record
from resumable.control.status import status_of
from resumable.stores import FileStore

__all__ = ["NAME", "Job", "Jobs", "Task", "execute", "export_task", "until", "upload_task"]

NAME = "the-run"
PATIENCE = 120.0
"""Seconds after which a test gives up; nothing is measured by it."""
ROWS = 30_000


def until(what: Callable[[], Any], message: str) -> None:
    """Wait for something to become true. Looking takes time from whoever is to make it so: less and less often."""
    end, pause = time.monotonic() + PATIENCE, 0.003
    while not what():
        assert time.monotonic() < end, message
        time.sleep(pause)
        pause = min(1.1 * pause, 0.03)


class Job:
    """One process: `resumable ARGUMENTS` with batches of 1,000 rows. `out` and `err` are files."""

    def __init__(self, forks: Forks, arguments: list[str], out: Path, err: Path, cwd: Path | None) -> None:
        self.out, self.err = out, err
        self.process = forks.start("resumable.cli:main", arguments, out=out, err=err, cwd=cwd)

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The JSON lines that it has printed, one a commit and one at the end."""
        lines = self.out.read_text().split("\n")[:-1]
        return [json.loads(line) for line in lines]

    @property
    def said(self) -> str:
        """Its messages."""
        return self.err.read_text()

    def committed(self, commits: int) -> Self:
        """Wait until it has printed that many commits, and is still at work."""
        self.commits_or_ends(commits)
        assert self.process.poll() is None, f"it ended before it could be met: {self.said}{self.steps[-1:]}"
        return self

    def commits_or_ends(self, commits: int) -> None:
        """Wait until it has printed that many commits, or has ended."""
        until(lambda: len(self.steps) >= commits or self.process.poll() is not None, "it commits nothing")

    def freeze(self, free: Callable[[], bool] = lambda: True) -> Self:
        """Stop it by SIGSTOP, at a moment when what others need is `free`."""
        while True:
            self.process.send_signal(signal.SIGSTOP)
            _, status = os.waitpid(self.process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status), f"it ended before it could be frozen: {self.said}"
            if free():
                return self
            self.wake()
            time.sleep(0.0005)

    def wake(self) -> Self:
        """Let it go on."""
        self.process.send_signal(signal.SIGCONT)
        return self

    def kill(self) -> Self:
        """`kill -9`; it must have been there to die of it."""
        self.process.kill()
        assert -signal.SIGKILL == self.process.wait(PATIENCE), "it had ended before"
        return self

    def end(self) -> int:
        """Its exit status, once it has ended."""
        return self.process.wait(PATIENCE)


class Jobs:
    """Starts jobs, with the folder `store` for their checkpoints; ends those that a failed test leaves."""

    def __init__(self, folder: Path, forks: Forks) -> None:
        self.folder, self.forks = folder, forks
        self.store = FileStore(folder / "store")
        self._made: list[Job] = []
        self._count = itertools.count()
        (folder / "jobs").mkdir()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self._made:
            if job.process.poll() is None:
                job.process.kill()
                job.process.wait(PATIENCE)

    def __call__(self, *arguments: str, store: Path | None = None, cwd: Path | None = None) -> Job:
        """Start one; `upload` and `export` commit after every batch and print JSON."""
        more = ["--json"] if arguments[0] in ("upload", "export", "resume", "status") else []
        more += ["--every", "0"] if arguments[0] in ("upload", "export") else []
        at, n = store or self.folder / "store", next(self._count)
        out, err = (self.folder / "jobs" / f"{n}.{which}" for which in ("out", "err"))
        job = Job(self.forks, [*arguments, *more, "--store", str(at)], out, err, cwd)
        self._made.append(job)
        return job

    def free(self) -> bool:
        """Whether nobody holds the store's lock."""
        with (self.folder / "store" / ".lock").open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    def record(self, name: str = NAME) -> Record:
        """What the store knows of a run."""
        record = self.store.load(name)
        assert record is not None
        return record

    def known(self, name: str = NAME) -> str:
        """The status of a run, as the store knows it."""
        return status_of(self.record(name))

    def status(self, name: str = NAME) -> str:
        """What `resumable status` says of a run."""
        job = self("status", name)
        assert 0 == job.end(), job.said
        status: str = job.steps[0]["status"]
        return status


class Task:
    """A run to be had. `result` is what it has published, `expected` what that should be, `image` all there is."""

    def __init__(
        self,
        arguments: list[str],
        expected: Any,
        result: Callable[[], Any],
        image: Callable[[], Any],
        free: Callable[[], bool] = lambda: True,
    ) -> None:
        self.arguments = arguments
        self.expected, self.result, self.image, self.free = expected, result, image, free
        self.before = image()
        """All there was."""

    def command(self, *more: str) -> list[str]:
        """Its command line, under the name `NAME`."""
        return [*self.arguments, "--name", NAME, *more]


def execute(url: str, *statements: str) -> list[tuple[Any, ...]]:
    """Run statements, each committed; the rows of the last."""
    rows: list[tuple[Any, ...]] = []
    if url.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
            for statement in statements:
                with connection:
                    rows = connection.execute(statement).fetchall()
        return rows
    with psycopg.connect(url, autocommit=True) as database:
        for statement in statements:
            result = database.execute(statement)  # type: ignore[arg-type]
            rows = result.fetchall() if result.description else []
    return rows


def sqlite_free(url: str) -> Callable[[], bool]:
    """Whether nobody holds a lock on the database, a reader's included: a frozen process can't be made to let go."""

    def free() -> bool:
        with contextlib.closing(sqlite3.connect(url.removeprefix("sqlite:///"), timeout=0, isolation_level=None)) as c:
            try:
                c.execute("begin exclusive")
            except sqlite3.OperationalError:
                return False
            c.execute("rollback")
        return True

    return free if url.startswith("sqlite") else lambda: True


def upload_task(folder: Path, url: str, rows: int = ROWS) -> Task:
    """Appends to a table that has a row, a trigger, and no key to keep anything out that comes twice."""
    source = folder / "rows.csv"
    source.write_text("id,word\n" + "".join(f"{n},word {n}\n" for n in range(1, rows + 1)))
    execute(
        url,
        "create table t (id bigint, word text)",
        "insert into t values (0, 'before')",
        "create table log (id bigint)",
    )
    if url.startswith("sqlite"):
        execute(url, "create trigger g after insert on t begin insert into log values (new.id); end")
    else:
        execute(
            url,
            "create function g() returns trigger language plpgsql as $$ begin insert into log values (new.id); return new; end $$",
            "create trigger g after insert on t for each row execute function g()",
        )
    ids = [(n,) for n in range(1, rows + 1)]
    return Task(
        ["upload", str(source), url, "t", "--if-exists", "append"],
        ([(0, "before"), *((n, f"word {n}") for n in range(1, rows + 1))], ids),
        lambda: (execute(url, "select id, word from t"), execute(url, "select id from log")),
        lambda: dump(url),
        sqlite_free(url),
    )


def export_task(folder: Path, rows: int = ROWS, *, into: Path | None = None) -> Task:
    """Writes a table of a SQLite database to a file in a folder of its own, or in `into`, which isn't there yet."""
    url, target = f"sqlite:///{folder / 'source.db'}", (into or folder / "files") / "t.csv"
    target.parent.mkdir()
    (target.parent / "other").write_text("not ours")
    count = f"with recursive c(n) as (select 1 union all select n + 1 from c where n < {rows})"
    execute(
        url,
        "create table t (id integer primary key, word text)",
        f"insert into t {count} select n, 'word ' || n from c",
    )
    expected = "id,word\n" + "".join(f"{n},word {n}\n" for n in range(1, rows + 1))
    return Task(
        ["export", url, "t", str(target)],
        expected,
        lambda: target.read_text() if target.exists() else None,
        lambda: files(target.parent),
    )

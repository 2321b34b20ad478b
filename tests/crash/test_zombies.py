"""Zombies: a runner that is stopped before any system call, taken over, and woken when all is decided.

SIGSTOP comes before the N-th call that opens, reads or changes a file or talks to a server (syscalls.c), wherever
that is: inside a transaction, between two writes, before its first save. Another process takes the run over and
completes it, or calls it off; then the zombie goes on, and changes nothing. A stop while it holds a lock of SQLite or of a store, which
nobody can take from it, is let go on and not counted. test_runners.py shows the same on the command line.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import signal
from collections.abc import Callable, Iterator

import psycopg
import pytest

from forks import Process
from jobs import sqlite_free
from sweeps import Bench
from syscalls import CHANGES, NETWORK, Strike

POINTS, POINTS_LONG = 2, 100
"""Zombies of each cell and ending."""
CALLS = (*CHANGES, *NETWORK, "open", "read", "pread")
"""Those that only look, too: between two changes nobody holds a lock."""
AIMED = {"csv": ("pwrite",)}
"""Before these the first of a cell is stopped: its next call writes to the file that has been taken from it."""
PATIENCE = 120.0

Tried = Callable[[str], None]

each_cell = pytest.mark.parametrize(
    "bench",
    [(source, sink, store) for source, sink in (("csv", "sqlite"), ("csv", "postgresql"), ("sqlite", "csv"))
     for store in ("files", "sqlite", "postgresql")],
    ids="-".join, indirect=True,
)  # fmt: skip


@each_cell
def test_a_zombie_changes_nothing_of_a_run_that_was_completed(bench: Bench, tried: Tried, *, long: bool) -> None:
    """It is told that the run was taken over; rows, order, bytes and triggers are as from one runner."""
    told: list[str] = []
    for at, zombie in _zombies(bench, told, long=long):
        assert "completed" == bench.ends("take"), at
        bench.assert_completed(at)
        after = bench.sink.image(bench.place)
        told.append(_wake(zombie, bench))
        assert told[-1] in ("Superseded", "completed"), at
        assert after == bench.sink.image(bench.place), f"a zombie that was stopped before call {at} changed something"
    _tell(tried, bench, "completed", told)


@each_cell
def test_a_zombie_changes_nothing_of_a_run_that_was_called_off(bench: Bench, tried: Tried, *, long: bool) -> None:
    """Terminated while it sleeps: the target is as it was before the run, to the letter, and stays so."""
    told: list[str] = []
    for at, zombie in _zombies(bench, told, long=long):
        published = _published(bench)
        end = bench.ends("evict")
        if end == "Terminated":
            bench.assert_untouched(at)
        else:
            assert end == "UnknownRun" or (published and end in ("AlreadyCompleted", "completed")), (at, end)
        told.append(_wake(zombie, bench))
        if published or told[-1] == "completed":  # the others had not begun when they were stopped
            bench.assert_completed(at)
        else:
            assert told[-1] in ("Superseded", "Terminated"), at
            bench.assert_untouched(at)
    _tell(tried, bench, "called off", told)


def _zombies(bench: Bench, told: list[str], *, long: bool) -> Iterator[tuple[int, Process]]:
    """Runners, each stopped before a call at random, that hold nothing which can't be taken from them.

    So many that enough of them, as they have `told`, had something to lose: some had not begun, or were through.
    """
    bench.total("run")  # what others are compared with
    bench.fresh()
    assert "completed" == bench.ends("run")
    counts = bench.said["counts"]
    out = bench.out.with_name("zombie")
    for _ in range(40 * POINTS_LONG):
        if _fenced(told) >= (POINTS_LONG if long else POINTS):
            return
        bench.fresh()
        calls = CALLS if _fenced(told) else AIMED.get(bench.cell.sink, CALLS)
        first = 1 if calls is CALLS else 2  # a file's first bytes are written before anybody knows of it
        at = random.randint(first, sum(counts[call] for call in calls))
        work = bench.work("run", Strike("stop", at, calls))
        zombie = bench.forks.start("parts:work", *work, out=out, err=out.with_suffix(".err"))
        if _stopped(zombie):
            if _free(bench):
                yield at, zombie
            else:
                _wake(zombie, bench)
    pytest.fail(f"inconclusive: of {len(told)} zombies {_fenced(told)} had anything to lose")


def _stopped(zombie: Process) -> bool:
    _, status = os.waitpid(zombie.pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        return True
    zombie.returncode = os.waitstatus_to_exitcode(status)
    return False


def _wake(zombie: Process, bench: Bench) -> str:
    """Let it go on to its end; what came of it."""
    zombie.send_signal(signal.SIGCONT)
    out = bench.out.with_name("zombie")
    assert zombie.wait(PATIENCE) in (0, 1), out.with_suffix(".err").read_text()
    end: str = json.loads(out.read_text())["end"]
    return end


def _published(bench: Bench) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return bool(bench.sink.right(bench.place))
    return False


def _free(bench: Bench) -> bool:
    """Whether it holds neither the store, nor a lock of SQLite, nor a ledger that nobody else can see yet."""
    place = bench.place
    if not all(sqlite_free(f"sqlite:///{path}")() for path in place.path.glob("*.db")):
        return False
    if bench.cell.store == "postgresql" and _busy(place.url("postgresql", "store")):
        return False  # it may hold the record, or the table that it is making
    if bench.cell.sink == "postgresql":
        url = place.url("postgresql", "target")
        if _busy(url) and not _begun(url):
            return False  # whose connection it is stands in a row that isn't committed; see test_between.py
    with contextlib.suppress(FileNotFoundError), (place.path / "store" / ".lock").open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _busy(url: str) -> bool:
    """Whether anybody is in a transaction there."""
    with psycopg.connect(url) as connection:
        others = "datname = current_database() and pid <> pg_backend_pid() and state <> 'idle'"
        return bool(connection.execute(f"select from pg_stat_activity where {others}").fetchall())


def _begun(url: str) -> bool:
    """Whether the run has its row in the ledger. Doesn't wait for whoever makes or drops it."""
    with psycopg.connect(url) as connection, contextlib.suppress(psycopg.errors.UndefinedTable):
        connection.execute("set lock_timeout = '5s'")
        return bool(connection.execute("select from resumable_ledger").fetchall())
    return False


def _fenced(told: list[str]) -> int:
    return sum(end in ("Superseded", "Terminated") for end in told)


def _tell(tried: Tried, bench: Bench, how: str, told: list[str]) -> None:
    tried(f"zombies, {bench}: {len(told)} woke in a run that was {how}, {_fenced(told)} of them were fenced off")

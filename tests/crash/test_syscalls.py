"""`kill -9` at the N-th system call: every pair of source and sink, every store, in a run, a resume, a terminate.

The process dies before the N-th call that changes a file or talks to a server, of all its threads (syscalls.c); the
same command again must come to what an uninterrupted one comes to: rows, order, bytes, triggers, nothing left over.
The short form tries some N of each, evenly spread from a chance beginning (pytest-randomly prints its seed), the long
form each N from 1 until nothing is left to kill. What is combined is listed in parts.py.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from services import Unavailable
from sweeps import CELLS, Bench, sweep
from syscalls import Strike

FEW = {"run": 9, "resume": 6, "terminate": 6, "discard": 5}
"""Points of each cell, in the short form."""
PAIRS, PAIRS_LONG = 4, 50
"""Second kills of each cell."""

Tried = Callable[[str], None]

each_cell = pytest.mark.parametrize("bench", CELLS, ids="-".join, indirect=True)


@each_cell
@pytest.mark.parametrize("act", ["run", "resume"])
def test_a_run_that_dies_at_any_call_is_ended_by_the_same_call(
    bench: Bench, act: str, tried: Tried, *, long: bool
) -> None:
    """Killed before each call, from the beginning, or of the session after a pause; then as if nothing had happened."""
    points = Points(bench, act, long=long)
    for at in points:
        assert "completed" == bench.ends("run"), at
        bench.assert_completed(at)
    points.tell(tried)


@each_cell
def test_a_terminate_that_dies_at_any_call_is_ended_by_the_same_call(bench: Bench, tried: Tried, *, long: bool) -> None:
    """Paused after two commits, called off, killed before each call of that: to the letter as it was."""
    points = Points(bench, "terminate", long=long)
    for at in points:
        assert "terminated" == bench.ends("discard"), at
        bench.assert_untouched(at)
    points.tell(tried)


@each_cell
def test_a_run_that_dies_at_any_call_can_be_called_off(bench: Bench, tried: Tried, *, long: bool) -> None:
    """Killed before each call of a run, then terminated: to the letter as it was, unless all was published."""
    points = Points(bench, "run", long=long, of="discard")
    for at in points:
        if bench.ends("discard") != "AlreadyCompleted":
            bench.assert_untouched(at)
        else:
            assert "completed" == bench.ends("run"), at  # sweeps what the kill has left
            bench.assert_completed(at)
    points.tell(tried)


@each_cell
def test_a_recovery_that_dies_is_recovered_from(bench: Bench, tried: Tried, *, long: bool) -> None:
    """Killed at any call of a run, and again at any call of the one that was to end it; the third one ends it."""
    total, landed, dead = bench.total("run"), [], 0
    while len(landed) < (PAIRS_LONG if long else PAIRS):
        first, second = random.randint(1, total), random.randint(1, total)
        bench.fresh()
        dead += 1
        assert dead < 1_000, "inconclusive: hardly a second kill lands"
        if bench.dies("run", first) and bench.dies("run", second):
            landed.append((first, second))
            assert "completed" == bench.ends("run"), (first, second)
            bench.assert_completed((first, second))
    tried(f"second kills, {bench}: {len(landed)} pairs landed of {dead}")


WATCHED = {
    "writev": "writev", "pwritev": "pwritev", "pwritev2": "pwritev", "write": "write", "pwrite64": "pwrite",
    "fsync": "fsync", "fdatasync": "fdatasync", "rename": "rename", "renameat": "rename", "renameat2": "rename",
    "link": "link", "linkat": "link", "unlink": "unlink", "unlinkat": "unlink", "ftruncate": "ftruncate",
    "sendto": "send", "sendmsg": "sendmsg", "recvfrom": "recv", "recvmsg": "recvmsg",
}  # fmt: skip
"""The kernel's calls, and what they are counted as: send and recv are sendto and recvfrom there."""


@pytest.mark.parametrize(
    "bench",
    [("csv", "csv", "files"), ("csv", "sqlite", "sqlite"), ("postgresql", "postgresql", "postgresql")],
    ids="-".join,
    indirect=True,
)
def test_no_call_is_missed(bench: Bench, tmp_path: Path, tried: Tried) -> None:
    """The kernel, asked by strace, has seen as many calls of each kind, of all threads, as were counted."""
    if shutil.which("strace") is None:
        raise Unavailable("No strace (Debian: apt-get install strace).")
    log = tmp_path / "log"
    watch = ["strace", "-f", "-o", str(log), "-e", f"trace=access,{','.join(WATCHED)}"]
    bench.fresh()
    work = f"import job, json, parts; parts.work(*json.loads({json.dumps(bench.work('run', Strike(calm=False)))!r}))"
    done = subprocess.run(
        [*watch, sys.executable, "-c", work], capture_output=True, text=True, check=False, env=bench.forks.environment
    )
    if "ptrace" in done.stderr.lower():
        raise Unavailable(f"No process may be watched by strace: {done.stderr.splitlines()[0]}")
    assert 0 == done.returncode, done.stderr
    counted = json.loads(done.stdout)["counts"]
    window = log.read_text().rpartition('"/armed"')[2].partition('"/disarmed"')[0]
    seen = Counter(WATCHED[call] for call in re.findall(r"^\d+ +(\w+)\(", window, re.MULTILINE) if call in WATCHED)
    counted["send"] += counted["sendto"]
    counted["recv"] += counted["recvfrom"]
    assert seen == {call: counted[call] for call in {*WATCHED.values()} if counted[call]}
    tried(f"calls counted and seen by strace, {bench}: {seen.total()}")


class Points:
    """The calls at which a process that does `act` has died, each from a fresh beginning."""

    def __init__(self, bench: Bench, act: str, *, long: bool, of: str = "") -> None:
        self.bench, self.act, self.long, self.of = bench, act, long, of or act
        self.total, self.landed = bench.total(act), 0

    def __iter__(self) -> Iterator[int]:
        for at in sweep(self.total, FEW[self.of], self.long, self._dies):
            self.landed += 1
            yield at

    def _dies(self, at: int) -> bool:
        self.bench.fresh()
        return self.bench.dies(self.act, at)

    def tell(self, tried: Tried) -> None:
        """Fails if it was inconclusive."""
        wanted = self.total * 0.9 if self.long else FEW[self.of]
        assert self.landed >= wanted, f"inconclusive: of {self.total} calls only {self.landed} were met"
        tried(f"kills at a system call, {self.of}, {self.bench}: {self.landed} landed, of {self.total} calls")

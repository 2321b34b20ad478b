"""Clocks that jump by an hour or ten years, before, in and between sessions: one owner, and no run that is stuck.

The wall clock of one of two processes is false (libfaketime); the monotonic one is true, since libfaketime's hangs
Python. On one machine the kernel tells who lives; where the owner gives itself out as another machine's, only its
heartbeat does, and the second runner waits for that.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from falseclock import find_library
from forks import Forks
from jobs import Job, Jobs, Task, until, upload_task
from resumable.stores import FileStore

JUMPS = ["+1h", "-1h", "+10y"]


class Clock:
    """The false clock: it reads what it is `set` to at once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set("+0")

    def set(self, jump: str) -> None:
        # In place and in one write: it is read at every look at the clock.
        self.path.write_text(f"{jump:<8}\n")


@pytest.fixture(scope="module")
def library() -> Path:
    """libfaketime, to be preloaded."""
    return find_library()


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the false processes read."""
    made = Clock(tmp_path / "clock")
    monkeypatch.setenv("FAKETIME_TIMESTAMP_FILE", str(made.path))
    monkeypatch.setenv("FAKETIME_NO_CACHE", "1")
    monkeypatch.setenv("DONT_FAKE_MONOTONIC", "1")
    return made


@pytest.fixture
def false(tmp_path: Path, clock: Clock, library: Path) -> Iterator[Jobs]:
    """Starts processes whose clock is the false one; their store is that of `jobs`."""
    (tmp_path / "false").mkdir()
    with Forks("clocked", preload=library) as forks, Jobs(tmp_path / "false", forks) as made:
        yield made


@pytest.fixture
def upload(tmp_path: Path, sqlite_url: str) -> Task:
    """An append to a table of SQLite."""
    return upload_task(tmp_path, sqlite_url)


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """False processes stand still in mid-run until it is there; their hearts beat on."""
    monkeypatch.setenv("GATE", str(tmp_path / "gate"))
    return tmp_path / "gate"


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """The false processes give themselves out as another machine's."""
    monkeypatch.setenv("ELSEWHERE", "another machine")


@pytest.mark.parametrize("jump", JUMPS)
def test_a_runner_whose_clock_jumps_in_mid_run_is_neither_doubled_nor_stuck(
    jobs: Jobs, false: Jobs, clock: Clock, upload: Task, gate: Path, jump: str
) -> None:
    """Back and forth while it runs: a second runner is refused though it is frozen, and it completes, every row once."""
    first = false(*upload.command(), store=jobs.folder / "store").committed(2)
    first.freeze(lambda: upload.free() and jobs.free())
    clock.set(jump)
    _refused(jobs, upload, f"is running: process {first.process.pid} on ")
    first.wake()
    _completes(first, clock, gate, upload)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("jump", JUMPS)
def test_a_heart_that_beats_under_another_clock_is_heard(
    jobs: Jobs, false: Jobs, clock: Clock, upload: Task, gate: Path, jump: str
) -> None:
    """As on another machine: all that is known of the first is that its heart beats, whatever hour it gives for that."""
    first = false(*upload.command(), store=jobs.folder / "store").committed(2)
    beat = _beat(jobs)
    clock.set(jump)
    until(lambda: _beat(jobs) > beat + 1, "the heart doesn't beat under the false clock")
    _refused(jobs, upload, "on another machine")
    _completes(first, clock, gate, upload)


def _beat(jobs: Jobs) -> int:
    store = FileStore(jobs.folder / "store")
    record = store.load(*store.names())
    assert record is not None
    return record.heartbeat


def _refused(jobs: Jobs, upload: Task, said: str) -> None:
    second = jobs(*upload.command())
    assert 1 == second.end(), second.said
    assert "is running: process" in second.said
    assert said in second.said


def _completes(first: Job, clock: Clock, gate: Path, upload: Task) -> None:
    """Its clock goes back, and it to its end."""
    clock.set("+0")
    gate.touch()
    assert 0 == first.end(), first.said
    assert upload.expected == upload.result()


@pytest.mark.parametrize("jump", JUMPS)
def test_a_runner_that_died_under_another_clock_is_taken_over(
    jobs: Jobs, false: Jobs, clock: Clock, upload: Task, jump: str
) -> None:
    """Its claim is of another hour or decade, its record too: the next goes on; and then one under the false clock."""
    _taken_over(jobs, false, clock, upload, jump)


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("jump", JUMPS[1:])
def test_a_heart_that_has_stopped_is_not_waited_for_longer_under_another_clock(
    jobs: Jobs, false: Jobs, clock: Clock, upload: Task, jump: str
) -> None:
    """As on another machine: that nothing beats any more is all that tells, on both sides."""
    _taken_over(jobs, false, clock, upload, jump)


def _taken_over(jobs: Jobs, false: Jobs, clock: Clock, upload: Task, jump: str) -> None:
    clock.set(jump)
    first = false(*upload.command(), store=jobs.folder / "store").committed(2).kill()
    second = jobs(*upload.command()).committed(2).kill()
    assert first.steps[-1]["rows"] < second.steps[0]["rows"]
    third = false(*upload.command(), store=jobs.folder / "store")
    assert 0 == third.end(), third.said
    assert second.steps[-1]["rows"] < third.steps[0]["rows"]
    assert upload.expected == upload.result()
    assert 0 == jobs(*upload.command()).end()
    assert upload.expected == upload.result()


@pytest.mark.parametrize("jump", JUMPS)
def test_claims_are_in_order_whatever_the_clocks_say(
    jobs: Jobs, false: Jobs, clock: Clock, task: Task, jump: str
) -> None:
    """Taken over by one whose clock differs: the newer claim is the later one, and the stopped runner changes nothing."""
    clock.set(jump)
    first = false(*task.command(), store=jobs.folder / "store").committed(2)
    first.freeze(lambda: task.free() and jobs.free())
    second = jobs(*task.command("--takeover"))
    assert 0 == second.end(), second.said
    assert task.expected == task.result()
    after = task.image()
    assert 1 == first.wake().end()
    assert "Traceback" not in first.said
    assert after == task.image()

"""Clocks that jump by an hour or ten years, before, in and between sessions: one owner, and no run that is stuck.

The wall clock of one of two processes is false (libfaketime); the monotonic one is true, since libfaketime's hangs
Python. On one machine the kernel tells who lives; where the owner gives itself out as another machine's, only its
heartbeat does, and the second runner waits for that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from forks import Forks
from jobs import Jobs, Task, upload_task

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
def library(missing: Callable[[str], NoReturn]) -> Path:
    """libfaketime, to be preloaded."""
    found = sorted(Path("/usr/lib").glob("**/faketime/libfaketimeMT.so.1"))
    if not found:
        missing("There is no libfaketime here.")
    return found[0]


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


@pytest.fixture(params=[False, True], ids=["here", "elsewhere"])
def elsewhere(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the false processes give themselves out as another machine's."""
    if request.param:
        monkeypatch.setenv("ELSEWHERE", "another machine")
    return bool(request.param)


@pytest.mark.parametrize("jump", JUMPS)
def test_a_runner_whose_clock_jumps_in_mid_run_is_neither_doubled_nor_stuck(
    jobs: Jobs, false: Jobs, clock: Clock, upload: Task, jump: str, *, elsewhere: bool
) -> None:
    """Back and forth while it runs: a second runner is refused, and the first one completes, every row once."""
    first = false(*upload.command(), store=jobs.folder / "store").committed(2)
    if elsewhere:
        clock.set(jump)  # it must go on for its heart to beat: the second may come too late, and is told so
        second = jobs(*upload.command())
        assert second.end() in (0, 1), second.said
        assert "is running: process" in second.said or "completed before" in second.said, second.said
    else:
        first.freeze(lambda: upload.free() and jobs.free())
        clock.set(jump)
        second = jobs(*upload.command())
        assert 1 == second.end()
        assert f"is running: process {first.process.pid} on " in second.said
        first.wake()
    clock.set("+0")
    assert 0 == first.end(), first.said
    assert upload.expected == upload.result()


@pytest.mark.parametrize("jump", JUMPS)
def test_a_runner_that_died_under_another_clock_is_taken_over(
    jobs: Jobs, false: Jobs, clock: Clock, upload: Task, jump: str, *, elsewhere: bool
) -> None:
    """Its claim is of another hour or decade, its record too: the next goes on; and then one under the false clock."""
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

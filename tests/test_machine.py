"""A thousand lives of a run, each of fifty steps in any order: written, killed, taken over, paused, called off, forgotten.

tests/tools/lives.py has all that may be done to it, tests/tools/lifemodel.py what must be there, tests/tools/lifeworlds.py a file and
a SQLite table to write to, on a memory file system where there is one. The short form is the same each time and tells
of a life that went wrong as it was; the long one explores anew, prints its seed, and looks for the shortest.
"""

from __future__ import annotations

import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

import resumable.session.loop
from lifeworlds import File, Table
from lives import Machine
from resumable.control import claims
from stillness import Still, at_once


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """No threads, and a folder in memory if there is one."""
    monkeypatch.setattr(claims, "threading", Still.module())
    monkeypatch.setattr(resumable.session.loop, "prefetch", at_once)
    shm = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="resumable-", dir=shm if shm.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.mark.parametrize(("make", "lives"), [(File, 1_000), (Table, 100)], ids=["file", "table"])
def test_whatever_is_done_to_a_run_the_target_is_right(
    make: Any, lives: int, quick: Path, tried: Callable[[str], None], *, long: bool
) -> None:
    """Every row once, in order; nothing in sight before the end, nothing left after it; a zombie changes nothing."""
    number = random.randrange(10**9) if long else 0
    machine = seed(number)(type("Life", (Machine,), {"make": make, "folder": quick, "seen": Counter()}))
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=10 * lives if long else lives, stateful_step_count=50, deadline=None, database=None,
            suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
            phases=[phase for phase in Phase if long or phase is not Phase.shrink],
        ),
    )  # fmt: skip
    seen = machine.seen
    assert all(seen[what] > lives / 10 for what in ("published", "died", "woken", "forgotten", "Terminated")), seen
    tried(
        f"lives of a run into a {make.__name__.lower()} (seed {number}): {seen['lives']:,} of up to 50 steps, with"
        f" {seen['commits']:,} commits, {seen['published']:,} published, {seen['Terminated']:,} called off,"
        f" {seen['died']:,} deaths in a save, {seen['woken']:,} zombies woken, {seen['forgotten']:,} stores lost or put back"
    )

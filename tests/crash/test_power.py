"""The power goes in mid-run: a real file system is shut down under a real job, mounted again, and the job goes on.

After each cut every commit that the job had told of is in the target and in the store, no checkpoint is unreadable,
and the same command ends with every row once. What the job tells is kept outside. The store lies on the same disk, or
on another one, which then knows more than the disk that was cut. A cut counts only if the job was at work.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import random
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import services
from jobs import NAME, Jobs, Task, execute, export_task, upload_task
from mounts import KINDS, LOSE_LOG, WRITE_LOG, Mount
from resumable.checkpoint import Checkpoint
from resumable.stores import FileStore

EVERY = 250
"""In the upload into SQLite one row in so many doesn't fit, and is put into quarantine."""


def nothing() -> None: ...


@dataclass
class Place:
    """A run whose target is on the disk. `rows`: what the target itself has as committed; a server goes `down` and `up`."""

    task: Task
    rows: Callable[[], int] | None = None
    down: Callable[[], None] = nothing
    up: Callable[[], None] = nothing


def to_file(disk: Path, outside: Path) -> Iterator[Place]:
    """Out of a database on the same disk. How long the file must be is in the store, and a resume looks."""
    yield Place(export_task(disk))


def to_sqlite(disk: Path, outside: Path) -> Iterator[Place]:
    """The rows that don't fit go into a file on the same disk."""
    url, aside = f"sqlite:///{disk / 'target.db'}", disk / "bad.jsonl"
    task, source = upload_task(outside, url), outside / "rows.csv"
    lines = source.read_text().splitlines()
    for at in range(EVERY, len(lines), EVERY):
        lines[at] = f"{lines[at]}\nnone,bad"
    source.write_text("\n".join(lines) + "\n")
    bad = [n for n, line in enumerate(source.read_text().splitlines()) if line == "none,bad"]
    task.arguments += ["--on-bad-row", "quarantine", "--quarantine", str(aside)]
    look = task.result
    task.expected = (task.expected, bad)
    task.result = lambda: (look(), [json.loads(line)["row"] for line in aside.read_text().splitlines()])
    yield Place(task, lambda: in_ledger(url))


def to_postgresql(disk: Path, outside: Path) -> Iterator[Place]:
    """The server's folder is on the disk; it is killed with it, and recovers as it does after a cut."""
    (disk / "server").mkdir()
    server = services.Postgres(services.find_programs(), disk / "server")
    server.start()
    try:
        url = server.url.render_as_string()
        yield Place(upload_task(outside, url), lambda: in_ledger(url), server.kill, server.start)
    finally:
        server.stop()


def in_ledger(url: str) -> int:
    """The rows that the target's own ledger has as committed."""
    ((text,),) = execute(url, f"select checkpoint from resumable_ledger where name = '{NAME}'")
    return Checkpoint.from_json(text, "the ledger").rows


@pytest.fixture(params=KINDS)
def mount(request: pytest.FixtureRequest) -> Iterator[Mount]:
    """A file system of each kind."""
    with Mount(request.param) as made:
        yield made


class Cuts:
    """Runs one command until it is through, cutting the power at random moments of it; counts those that landed."""

    def __init__(self, mount: Mount, place: Place, jobs: Jobs, store: Path) -> None:
        self.mount, self.place, self.jobs, self.store = mount, place, jobs, store
        self.landed = 0
        self.told = 0
        """The rows that the job has told of as committed."""

    def through(self, wanted: int, flags: Iterator[int], chance: random.Random) -> None:
        """To the end, with so many cuts in mid-run, and one when the job has said that all is over."""
        finished = False
        while not finished:
            job = self.jobs(*self.place.task.command(), store=self.store)
            if self.landed < wanted:
                commits = chance.randint(1, 6)
                job.commits_or_ends(commits)
                time.sleep(chance.choice([0, chance.uniform(0, 0.03)]))  # soon after what was told is when it is lost
            else:
                job.end()
            at_work = job.process.poll() is None
            # First the process: one that outlived its disk could save elsewhere what an fsync has only seemed to keep.
            # The kernel's shutdown of ext4 may end a running fsync with success; a machine without power saves nothing.
            job.process.kill()
            self.mount.cut(next(flags))
            job.end()
            steps = job.steps
            finished = bool(steps) and steps[-1]["status"] == "completed"
            assert at_work or finished, job.said
            self.landed += at_work and not finished
            self.told = max([self.told, *(step["rows"] for step in steps)])
            self.place.down()
            self.mount.again()
            self.place.up()
            self.look(finished=finished)

    def look(self, *, finished: bool) -> None:
        """What was told is there."""
        record = FileStore(self.store).load(NAME)
        assert (record.checkpoint.rows if record else 0) >= self.told, "the store has lost a commit"
        if finished:
            assert record is not None
            assert ("completed", True) == (record.checkpoint.outcome, record.checkpoint.finished)
            assert self.place.task.expected == self.place.task.result()
        elif self.place.rows is not None and self.told:
            assert self.place.rows() >= self.told, "the target has lost a commit"


@pytest.mark.parametrize("prepare", [to_file, to_sqlite, to_postgresql])
def test_a_run_goes_on_after_power_cuts(
    prepare: Callable[[Path, Path], Iterator[Place]],
    mount: Mount,
    jobs: Jobs,
    tmp_path: Path,
    *,
    long: bool,
    tried: Callable[[str], None],
) -> None:
    """An export to CSV, uploads into SQLite and PostgreSQL, run after run, with the store on the same disk or not."""
    wanted, each = (30, 5) if long else (2 if prepare is to_postgresql else 6, 3)
    landed, flags, chance = 0, itertools.cycle([LOSE_LOG, WRITE_LOG, WRITE_LOG, LOSE_LOG]), random.Random()
    for n in itertools.count():
        if landed >= wanted:
            break
        assert n < 5 * wanted, "inconclusive: the job is through before the power goes"
        disk, outside = mount.path / str(n), tmp_path / str(n)
        disk.mkdir()
        outside.mkdir()
        with contextlib.contextmanager(prepare)(disk, outside) as place:
            mount.sync()
            run = Cuts(mount, place, jobs, (outside if n % 2 == 0 else disk) / "store")
            run.through(each, flags, chance)
        landed += run.landed
        shutil.rmtree(disk)
    tried(f"power: {prepare.__name__} on {mount.kind}: {landed} cuts in mid-run, {n} at the end")

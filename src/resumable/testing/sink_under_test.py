"""A sink under test: how it is made, what is in its world before and after a run."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from resumable.protocols import Sink
from resumable.testing.checks import check, equal, world
from resumable.testing.effects import Effects
from resumable.testing.rows import ROWS
from resumable.testing.scenario import Scenario

__all__ = ["SinkUnderTest"]


class SinkUnderTest:
    """What an author says of a sink. `folder` is a new world in every test; what lies elsewhere `prepare` makes anew."""

    rows: ClassVar[pa.Table] = ROWS
    """What is written, two rows a commit: at least three commits."""
    effects: Effects = ()
    """Further calls, as (object, name), before which a process may die."""
    stride: int = 1
    """Every how many moments a run is killed. 1 is every one."""

    def sink(self, folder: Path) -> Sink:
        """The sink, opened anew as another process would open it."""
        raise NotImplementedError

    def image(self, folder: Path) -> object:
        """All there is at the target and beside it, comparable with ==, the same after every run. Leave nothing open.

        Of a ledger that stays after a completed run: that it is there, not what is in it.
        """
        raise NotImplementedError

    def prepare(self, folder: Path) -> None:
        """Make what is there before a run, and take away whatever a run has left there."""

    def lose(self, folder: Path) -> None:
        """Take away what a run has committed, as a backup from before the run would that is put in place of the target.

        By default the folder is emptied, and prepared again.
        """
        for path in folder.iterdir():
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        self.prepare(folder)

    def report(self, what: str) -> None:
        """Told at the end of a sweep what it has tried; a report may want it."""

    @contextmanager
    def _scenario(self, rows: pa.Table | None = None) -> Iterator[Scenario]:
        with world() as root:
            scenario = Scenario(root, self.sink, self.rows if rows is None else rows, self.effects)
            self.prepare(scenario.folder)
            yield scenario

    def _before(self) -> object:
        with self._scenario() as scenario:
            return self.image(scenario.folder)

    @cached_property
    def _after(self) -> object:
        """The image after a run that nobody disturbed: what it imports needn't be imported by every child."""
        with self._scenario() as scenario:
            before = self.image(scenario.folder)
            equal("completed", scenario.act("run"), "How a run ends that nobody disturbs")
            after = self.image(scenario.folder)
            check(before != after, f"The image is the same before and after a run: {before!r}")
            equal("completed", scenario.act("run"), "How it ends when it is called again")
            equal(after, self.image(scenario.folder), "What is there when a completed run is called again")
            return after

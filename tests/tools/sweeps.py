"""A pair of source and sink with a store, made anew for each blow, and the processes that take it."""

from __future__ import annotations

import itertools
import json
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from forks import Forks
from parts import SINKS, SOURCES, STORES, Cell
from syscalls import CHANGES, NETWORK, Strike

__all__ = ["CELLS", "Bench", "sweep"]

PATIENCE = 120.0
"""Seconds after which a process hangs."""

CELLS = [
    (source, sink, list(STORES)[(i + j) % len(STORES)])
    for i, source in enumerate(SOURCES)
    for j, sink in enumerate(SINKS)
]
"""Each source meets each sink, and each sink each store."""


class Bench:
    """A cell in a place of its own under `folder`, and processes that work in it."""

    def __init__(self, cell: Cell, folder: Path, forks: Forks) -> None:
        self.cell, self.place, self.forks = cell, cell.place, forks
        self.source, self.sink, self.store = SOURCES[cell.source], SINKS[cell.sink], STORES[cell.store]
        self.out, self.err, self._template = folder / "out", folder / "err", folder / "template"
        self._counts: dict[str, dict[str, int]] = {}
        self.place.path.mkdir()
        for fill in (self.source.fill, self.sink.before, self.store.before):
            fill(self.place)
        self.place.path.rename(self._template)
        self.fresh()
        self.before = self.sink.image(self.place)
        """What the target is, to the letter, before anything runs."""

    def __str__(self) -> str:
        return f"{self.cell.source} to {self.cell.sink}, store {self.cell.store}"

    def fresh(self) -> None:
        """Make all as it was before the first run."""
        shutil.rmtree(self.place.path, ignore_errors=True)
        shutil.copytree(self._template, self.place.path)
        for part in (self.sink, self.store):
            if part.server not in ("", "sqlite"):
                part.before(self.place)

    def process(self, act: str, strike: Strike = Strike()) -> int:  # noqa: B008 - it is frozen
        """The exit status of a process that does `act` (see `parts.work`), struck or not."""
        process = self.forks.start("parts:work", *self.work(act, strike), out=self.out, err=self.err)
        try:
            return process.wait(PATIENCE)
        finally:
            process.kill()  # if it hangs

    def work(self, act: str, strike: Strike = Strike()) -> tuple[Any, ...]:  # noqa: B008
        """The arguments of `parts.work`."""
        return self.cell.plain(), act, strike.plain()

    @property
    def said(self) -> dict[str, Any]:
        """What the last process printed at its end."""
        said: dict[str, Any] = json.loads(self.out.read_text())
        return said

    def ends(self, act: str) -> str:
        """What comes of `act` when nothing strikes."""
        assert 0 == self.process(act), self.err.read_text() + self.out.read_text()
        end: str = self.said["end"]
        return end

    def dies(self, act: str, at: int) -> bool:
        """Kill a process that does `act` before its call of number `at`; False if it ended before that."""
        code = self.process(act, Strike("kill", at))
        assert code in (0, -signal.SIGKILL), self.err.read_text() + self.out.read_text()
        return code != 0

    def total(self, act: str, calls: tuple[str, ...] = CHANGES + NETWORK) -> int:
        """How many of these calls an uninterrupted `act` makes. It is checked, and is what others are compared with."""
        if act not in self._counts:
            self.fresh()
            end = self.ends(act)
            self._counts[act] = self.said["counts"]
            if end == "terminated":
                self.assert_untouched()
            else:
                assert self.sink.right(self.place)
                self._expected = self.result()
        return sum(self._counts[act][call] for call in calls)

    def result(self) -> Any:
        """All that a completed run leaves: what it published, and the names of all files."""
        files = {str(path.relative_to(self.place.path)) for path in self.place.path.rglob("*")}
        # A store that died between making its folder and this has no second try at it: it is a courtesy to git.
        return self.sink.result(self.place), sorted(files - {"store/.gitignore"})

    def assert_completed(self, after: object) -> None:
        """All is as an uninterrupted run leaves it, `after` what has happened."""
        self.total("run")
        found = self.result()
        assert self._expected == found, f"after {after}: {found} for {self._expected}"

    def assert_untouched(self, after: object = "nothing") -> None:
        """The target is to the letter what it was."""
        found = self.sink.image(self.place)
        assert self.before == found, f"after {after}: {found}"


def sweep(total: int, few: int, long: bool, dies: Callable[[int], bool]) -> Iterator[int]:
    """The calls at which a process has died: all there are, or a `few` of `total`. `dies` tries one."""
    if long:
        yield from itertools.takewhile(dies, itertools.count(1))
        return
    phase = random.random()
    for spread in range(few):
        first = int((spread + phase) * total / few) + 1
        # How often a socket is read is chance: the last call may not come.
        yield next(at for at in range(first, 0, -1) if dies(at))

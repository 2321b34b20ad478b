"""A machine that does to a run, in any order, all that may be done to it, and holds it against the plain model.

Real pipelines over real sinks (tests/tools/lifeworlds.py); tests/tools/lifemodel.py says what must be there. A session stands at
a commit; it may be killed there, or at its next save; taken over, it is a zombie that may wake at any later time.
Heartbeat and reading ahead are left out: nothing here may depend on a thread.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from lifemodel import Life
from lifeworlds import Killed, Process, Rows
from resumable.checkpoint import Checkpoint, Record
from resumable.control.requests import ask
from resumable.errors import AlreadyRunning, ResumableError, Superseded
from resumable.stores import MemoryStore

__all__ = ["Machine"]

FATES = ["lost before", "lost after", "dies before", "dies after"]


class Machine(RuleBasedStateMachine):
    """One run's life."""

    make: Callable[[Path], Any]
    folder: Path
    seen: Counter[str]
    """What has happened in all lives, so that nobody takes dull ones for a proof."""

    def __init__(self) -> None:
        super().__init__()
        self.seen["lives"] += 1
        self.place = self.folder / str(self.seen["lives"])
        self.place.mkdir()
        self.world = type(self).make(self.place)
        self.store, self.history = MemoryStore(), list[Record]()
        self.live: Process | None = None
        self.zombies: list[Process] = []
        self.life = Life(self.world.remembers)
        self.said = ""

    def teardown(self) -> None:
        for process in self._all():
            process.kill()
        shutil.rmtree(self.place)

    def _all(self) -> list[Process]:
        return [*self.zombies, *([self.live] if self.live else [])]

    def _process(self, store: MemoryStore | None = None, **act: bool) -> Process:
        process = Process(store or self.store, self.history if store is None else [])
        process.begin(Rows(self.life.rows, rejects=self.world.rejects), self.world.sink(process), **act)
        return process

    def _go(self, process: Process) -> str:
        """One step: how the session ended, or "" at a commit."""
        before, fate, self.said = self.world.stamp(), process.fate, ""
        try:
            end = "completed" if next(process.steps).status == "completed" else ""
        except ResumableError as error:
            end, self.said = type(error).__name__, str(error)
        except Killed:
            end = "died"
        if before != self.world.stamp():
            self.life.published()
            self.seen["published"] += 1
        self.seen[end or "commits"] += 1
        if end:
            process.kill()
            self.live = None if self.live is process else self.live
        if end == "":
            assert self.world.number() in (None, self._stored().number), "store and ledger don't agree"
        elif end == "completed":
            self.life.completed(self._stored().source["rows"])
            self._swept()
            assert self.world.expected_aside(self.life.runs) == self.world.aside()
        elif end in ("Terminated", "UnknownRun"):
            self.life.undone()
            self._swept()
        else:
            self.life.left()
        assert end != "StoreError" or fate.startswith("lost"), self.said
        assert end != "died" or fate.startswith("dies")
        return end

    def _stored(self) -> Checkpoint:
        record = self.store.load("m")
        assert record is not None
        return record.checkpoint

    def _swept(self) -> None:
        assert [] == self.world.debris()

    def _enter(self, **act: bool) -> str:
        """A new process, to its first commit or its end; "" too if a zombie, which lives, must be thought to have it."""
        if self._refused(act):
            with pytest.raises(AlreadyRunning):
                next(self._process(**act).steps)
            return "AlreadyRunning"
        if not act.get("terminate"):
            self.life.enter(restart=act.get("restart", False))
        self.live = self._process(**act)
        end = self._go(self.live)
        if not end:
            self.life.going()
        return end

    def _refused(self, act: dict[str, bool]) -> bool:
        """Whether a store that was restored says that a zombie, which lives, has the run."""
        record = self.store.load("m")
        owned = record is not None and record.owner is not None and not act.get("takeover")
        return owned and record.claim.token in {zombie.token for zombie in self.zombies}

    # ------------------------------------------------------------------------------------ what is done

    @precondition(lambda self: self.live is None)
    @rule(times=st.integers(0, 4), more=st.booleans())
    def run(self, times: int, *, more: bool) -> None:
        """A new process: begins, goes on, or has nothing to do unless there is `more`; and some commits more."""
        if more and not self.life.begun:
            self._change()
        self._run()
        self._steps(times)

    def _run(self) -> None:
        life = self.life
        changed, asked, doomed, fog = life.changed, life.asked, life.doomed, life.fog
        end = self._enter()
        if end == "SourceChanged":
            assert changed
        elif end == "Terminated":
            assert asked == "terminate" or doomed or fog
        elif end in ("TargetChanged", "TargetExists"):
            assert fog, self.said
            life.begun = 0 if life.remembers else life.begun
        else:
            assert end in ("", "completed", "AlreadyRunning"), (end, self.said)

    @precondition(lambda self: self.live is not None)
    @rule(times=st.integers(1, 6))
    def go_on(self, times: int) -> None:
        """Some commits more; what was asked is honoured."""
        self._steps(times)

    def _steps(self, times: int) -> None:
        for _ in range(times):
            if self.live is not None:
                self._step(self.live)

    def _step(self, process: Process) -> None:
        asked, changed, pausing = self.life.asked, self.life.changed, self.life.pausing
        end = self._go(process)
        if end in ("Terminated", "Paused"):
            assert {"Terminated": "terminate", "Paused": "pause"}[end] == asked or (end == "Paused" and pausing)
        elif end == "SourceChanged":
            assert changed
        else:
            assert end in ("", "completed", "StoreError", "died"), (end, self.said)
            # With no heart to hear it, a request is heard with the next save, and honoured after the one that follows.
            assert end or not asked or self.life.patience, "a request was not heard"
            self.life.patience = max(0, self.life.patience - 1)
        if end == "completed":
            assert not changed, "published over another source than it was begun with"

    @precondition(lambda self: self.live is not None)
    @rule(killed=st.booleans())
    def stop(self, *, killed: bool) -> None:
        """kill -9 between two commits; or the caller's loop ends: a pause."""
        assert self.live is not None
        if not killed:
            with contextlib.suppress(Killed):
                self.live.steps.close()
        self.live.kill()
        self.live = None
        self.life.left()

    @precondition(lambda self: self.live is not None)
    @rule(stranger=st.booleans())
    def second(self, *, stranger: bool) -> None:
        """A second runner is refused while the first lives, one with a store of its own by the ledger."""
        process = self._process(MemoryStore() if stranger and self.world.remembers else None)
        before = self.world.image()
        with pytest.raises(AlreadyRunning):
            next(process.steps)
        process.kill()
        assert before == self.world.image()

    @precondition(lambda self: self.live is not None and not self.life.changed and not self.life.asked)
    @rule(times=st.integers(0, 6), woken=st.booleans())
    def take_over(self, times: int, *, woken: bool) -> None:
        """The first is stopped; the second has the run now. The first wakes then, or at any time."""
        assert self.live is not None
        self.zombies.append(self.live)
        end = self._enter(takeover=True)
        assert end in ("", "completed"), self.said
        self._steps(times)
        if woken:
            self._wake(-1)

    @precondition(lambda self: self.zombies)
    @rule(first=st.booleans())
    def wake(self, *, first: bool) -> None:
        """A zombie goes on: it is told, and changes nothing."""
        self._wake(0 if first else -1)

    def _wake(self, which: int) -> None:
        process, before = self.zombies.pop(which), self.world.image()
        try:
            self.seen["woken"] += 1
            with pytest.raises(Superseded):
                for _ in process.steps:
                    pass
        finally:
            process.kill()
        assert before == self.world.image()

    @precondition(lambda self: self.live is not None)
    @rule(what=st.sampled_from(["pause", "terminate"]))
    def ask(self, what: Any) -> None:
        """Left in the store, as another process does."""
        record = ask(self.store, "m", what)
        if record is not None:
            self.life.pausing = self.life.pausing or self.life.asked == "pause"
            self.life.asked, self.life.patience = record.asked, 2

    @precondition(lambda self: self.live is None)
    @rule(act=st.sampled_from(["terminate", "restart"]))
    def discard(self, act: str) -> None:
        """Called off by a process of its own, unless it was completed before; or begun anew."""
        begun, settled, fog = self.life.begun, self.life.settled, self.life.fog
        end = self._enter(**{act: True})
        if act == "restart":
            allowed = {"", "completed"}
        else:
            allowed = {"Terminated"} if begun else {"completed"} if settled else {"UnknownRun", "Terminated"}
            allowed |= {"completed", "Terminated"} if fog else set()
        assert end in {*allowed, "AlreadyRunning"}, (end, self.said)

    # ---------------------------------------------------------------------------------- what happens

    @rule()
    def change(self) -> None:
        """Somebody edits the source."""
        self._change()

    def _change(self) -> None:
        self.life.rows = 10 if self.life.rows == 6 else 6
        for process in self._all():
            process.source.rows = self.life.rows

    @precondition(lambda self: self.live is not None)
    @rule(fate=st.sampled_from(FATES))
    def doom(self, fate: str) -> None:
        """The next save fails, whether it was done or not; or the process dies in it."""
        assert self.live is not None
        self.live.fate = fate
        self._steps(1)

    @precondition(lambda self: self.history and self.live is None)
    @rule(back=st.integers(-9, 9))
    def delete(self, back: int) -> None:
        """The store is gone, or is another folder; or a backup of it is put in place."""
        record, old = self.store.load("m"), self.history[-min(back, len(self.history))] if back > 0 else None
        self.store.swap("m", record.version if record else 0, old)
        self.seen["forgotten"] += 1
        if old is None:
            self.life.lost()
        else:
            self.life.restored(old)

    # ---------------------------------------------------------------------------------- what must hold

    @invariant()
    def untouched(self) -> None:
        """The target is what the published runs have made of it, and nothing else."""
        assert self.world.expected(self.life.runs) == self.world.target()

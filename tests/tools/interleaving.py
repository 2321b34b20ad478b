"""Sessions of the library's own code as greenlets, which hand over before every call, and what may happen to them.

A schedule is a list of choices: the number of the session that goes on to its next call, or an event (`EVENTS`): a
store that is lost or restored from an older copy, an answer that is lost, a clock that goes back. A world is where
the sink writes: `Rows` and `Files` in tests/tools/worlds.py. tests/tools/schedules.py tries schedules and judges where they lead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import greenlet

import resumable.session.loop
from memory import MemorySource
from resumable.checkpoint import Record
from resumable.control import claims, liveness
from resumable.errors import ResumableError, StoreError
from resumable.pipeline import Pipeline
from stillness import CLOCK
from worlds import World

__all__ = ["ENDED", "EVENTS", "Choice", "Schedule", "Sim", "SteppedStore"]

Choice: TypeAlias = int | tuple[int, int]
"""A session, or an event with a number: which of the older records comes back."""
Schedule: TypeAlias = tuple[Choice, ...]

EVENTS = {
    "l": "the store's record is lost",
    "o": "an older record is back in the store",
    "b": "the clock goes back to the beginning",
    "x": "the next effect is done, and its answer lost",
    "n": "the next effect is not done, and fails as if it might have been",
    "g": "the next save fails, and is done later, whenever it may",
    "u": "a user puts a file at the target",
}
ENDED = ("completed", "Terminated", "UnknownRun")
"""How a session ends that leaves nothing behind; who was refused may have kept what is there."""
ROWS = 2


class Killed(BaseException):
    """A frozen session is swept away with its process."""


class SteppedStore:
    """A store of one run that lets the scheduler choose before every call, and remembers what it has held."""

    location = "memory"

    def __init__(self, step: Callable[[str], None]) -> None:
        self.step = step
        self.record: Record | None = None
        self.text = ""
        self.history: list[Record] = []
        self.late: Callable[[], object] | None = None
        """A swap whose answer was given up, and which may still be done."""
        self.deferred = False

    def load(self, name: str) -> Record | None:
        self.step("before load")
        record = self.record
        self.step(f"after load: {self.text}")
        return record

    def names(self) -> list[str]:
        return []

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        self.step("before swap")
        if self.deferred:
            self.deferred, self.late = False, lambda: self.compare_and_set(version, record)
            raise StoreError("no answer")
        done = self.compare_and_set(version, record)
        self.step(f"after swap: {done}")
        return done

    def compare_and_set(self, version: int, record: Record | None) -> bool:
        if (self.record.version if self.record else 0) != version:
            return False
        if self.record is not None:
            self.history.append(self.record)
        self.put(record)
        return True

    def put(self, record: Record | None) -> None:
        self.record, self.text = record, record.to_json() if record else ""
        CLOCK.at.now = max(CLOCK.at.now, record.claim.epoch if record else 0)


class Sim:
    """One world, the sessions in it (R: run, T: terminate, both by takeover; r: run without), and what may happen."""

    def __init__(self, make: Callable[[], Any], kinds: str) -> None:
        self.now, self.slept, self.held = 1000, 0.0, set[str]()
        """Milliseconds since 1970, seconds that were slept, and the tokens of the claims that live."""
        self.hub = greenlet.getcurrent()
        self.world: World = make()
        self.store = SteppedStore(self._asked_of_the_store)
        self.world.step = self._asked_of_the_world
        self.dead, self.armed, self.fresh_ones = False, "", 0
        self.at: dict[int, str] = {}
        """Where each session stands: what it is about to do."""
        self.left = {i: kind for i, kind in enumerate(kinds) if kind in EVENTS}
        self.seen, self.results = [0] * len(kinds), [""] * len(kinds)
        self.lets = {i: self._begin(i, kind) for i, kind in enumerate(kinds) if kind not in EVENTS}

    def enter(self) -> None:
        """It is about this one from now on."""
        CLOCK.at = self
        claims.own_tokens = liveness.own_tokens = self.held
        self.world.enter()

    def _begin(self, i: int, kind: str) -> greenlet.greenlet:
        def body() -> None:
            self.results[i] = self._session(kind)

        let = greenlet.greenlet(body)
        let.__dict__.update(name=f"R{i}", index=i, claims=0)
        return let

    def _session(self, kind: str) -> str:
        pipeline = Pipeline(MemorySource(ROWS, 1), self.world.sink(), name="m", store=self.store, every=0)
        terminate = kind in "Tt"
        try:
            list(resumable.session.loop.session(pipeline.plan, takeover=kind.isupper(), terminate=terminate))
        except (ResumableError, Killed, AssertionError) as error:
            return type(error).__name__
        return "completed"

    def _asked_of_the_store(self, what: str) -> None:
        self._hand_over(what, StoreError("no answer"), may_be_lost="swap" in what)

    def _asked_of_the_world(self, what: str) -> None:
        lost = self.world.lost()
        self._hand_over(what, lost, may_be_lost=lost is not None)

    def _hand_over(self, what: str, error: ResumableError | None, *, may_be_lost: bool) -> None:
        """Before an effect: let the scheduler choose. After it: all that the session has seen is its local state."""
        me = greenlet.getcurrent()
        if me is self.hub:
            return
        if self.dead:
            raise Killed
        i = me.__dict__["index"]
        before = what.startswith("before")
        self.seen[i] = hash((self.seen[i], what, () if before else self.world.told()))
        if before:
            self.at[i] = what.removeprefix("before ")
            self.hub.switch()
            if self.dead:
                raise Killed
        if may_be_lost and error is not None and self.armed == ("n" if before else "x"):
            self.armed = ""
            self.seen[i] = hash((self.seen[i], "lost"))
            raise error

    def choices(self) -> list[Choice]:
        """The sessions that have not ended, and the events that can happen now."""
        found: list[Choice] = [i for i, let in self.lets.items() if not let.dead]
        for i, event in self.left.items():
            if event == "o":
                found += [(i, k) for k in range(len(self.store.history))]
            elif event == "l":
                found += [(i, 0)] * (self.store.record is not None)
            elif event in "xng":
                found += [(i, 0)] * (bool(found) and not self.armed and not self.store.deferred)
            else:
                found.append((i, 0))
        if self.store.late is not None:
            found.append((-1, 0))
        return found

    def go(self, choice: Choice) -> None:
        self.enter()
        if isinstance(choice, int):
            self.lets[choice].switch()
            return
        i, k = choice
        if i < 0:
            late, self.store.late = self.store.late, None
            assert late is not None
            late()
            return
        event = self.left.pop(i)
        self.results[i] = f"{event}{k}"
        if event == "l":
            self.store.put(None)
        elif event == "o":
            self.store.put(self.store.history[k])
        elif event == "b":
            self.now = 1000
        elif event == "g":
            self.store.deferred = True
        elif event in "xn":
            self.armed = event
        else:
            self.world.event(event)

    def fresh(self, kind: str) -> str:
        """One fresh session, alone."""
        self.enter()
        here = greenlet.greenlet(lambda: self._session(kind))
        self.fresh_ones += 1
        here.__dict__.update(name=f"F{self.fresh_ones}", index=0, claims=0)
        self.armed, self.store.deferred = "", False
        self.world.step = self.store.step = lambda what: None
        result: str = here.switch()
        return result

    def end(self) -> None:
        """Kill what is still there: the kernel closes its files, and it does nothing more."""
        self.enter()
        self.dead = True
        for let in self.lets.values():
            while let and not let.dead:
                let.switch()
        self.dead = False
        self.held.clear()

    def settled(self) -> bool:
        """Whether all have ended as they should, and the store says that all is over."""
        record, ended = self.store.record, (*ENDED, "Superseded", "AlreadyRunning")
        over = record is None or record.checkpoint.finished
        return over and all(self.results[i] in ended for i in self.lets)

    def outside(self) -> Any:
        """All that outlives the sessions."""
        return self.store.text, self.world.key(), self.now

    def key(self) -> Any:
        """The whole state: what comes after it depends on nothing else."""
        events = tuple(self.left.items()), self.armed, self.store.deferred, self.store.late is not None
        return self.outside(), tuple(self.seen), tuple(self.results), events

"""Exports whose every file system call is recorded, and what must hold in each state that a power cut may leave.

powercut.py has the model. In each state

* the store's record can be read: the last one saved, or one that was being saved;
* no step that was yielded is undone; what was said to be over is over: the target right, nothing else left;
* the target is as it was or complete, never anything else;
* the same call goes on from there and ends with every row once; or terminate does, with everything as it was.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crashing import Crash, crashing
from memory import MemorySource
from powercut import Note, State
from recorder import Disk
from resumable.checkpoint import Record
from resumable.errors import Superseded, UnknownRun
from resumable.pipeline import Pipeline
from resumable.protocols import Batch, Reject
from resumable.session.loop import session
from resumable.sinks.csv import CsvSink
from resumable.sinks.quarantine import QuarantineSink
from resumable.stores import FileStore

__all__ = ["Store", "Trial", "World", "records", "run", "run_paused", "run_taken_over", "run_terminated", "some"]

NAME = "m"
HERE = {"other": b"not ours"}
ROWS = b"n\n2\n4\n6\n"
LINE = {"source": "", "row": 0, "offset": None, "column": None, "reason": "odd", "text": None}
BAD = "".join(json.dumps(LINE | {"row": n}) + "\n" for n in (1, 3, 5)).encode()


@dataclass(frozen=True)
class Saving:
    """A swap has begun."""

    record: str


@dataclass(frozen=True)
class Saved(Saving):
    """A swap has returned."""


@dataclass(frozen=True)
class Yielded:
    """A step has been."""

    rows: int


@dataclass(frozen=True)
class Over:
    """The loop has ended by itself, or terminate has returned."""


class Odd(MemorySource):
    """Six integers, two a batch, of which the odd one is rejected."""

    def read(self, schema: pa.Schema, position: Any, identity: dict[str, Any]) -> Iterator[Batch]:
        for batch in super().read(schema, position, identity):
            yield replace(batch, rows=batch.rows.slice(1), rejects=(Reject(batch.rows["n"][0].as_py(), "odd"),))


class Store(FileStore):
    """Says what it does."""

    def __init__(self, folder: Path, note: Callable[[Any], None]) -> None:
        super().__init__(folder)
        self.note = note

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        text = record.to_json() if record else ""
        self.note(Saving(text))
        assert super().swap(name, version, record), "nobody else is here"
        self.note(Saved(text))
        return True


def records(facts: tuple[Any, ...]) -> set[str]:
    """What the store may hold after these: the last record saved, or one that was being saved."""
    last = max((at for at, fact in enumerate(facts) if isinstance(fact, Saved)), default=None)
    since = {fact.record for fact in facts[last or 0 :] if isinstance(fact, Saving)}
    return {"", *since} if last is None else since


class World:
    """A run exports to `files/t.csv`, with rejects in `aside/bad.jsonl`, and its store is two folders down.

    Folders of their own, so that none is synced by the others' leave.
    """

    def __init__(self, folder: Path, if_exists: Any, *, aside: bool) -> None:
        self.root = folder / "root"
        self.if_exists, self.aside, self.files = if_exists, aside, self.root / "files"
        self.files.mkdir(parents=True)
        (self.root / "aside").mkdir()
        self.before = HERE | ({"t.csv": b"old\n"} if if_exists == "replace" else {})
        for name, data in self.before.items():
            (self.files / name).write_bytes(data)
        self.after = {**self.before, "t.csv": ROWS} | ({"bad.jsonl": BAD} if aside else {})
        self.disk = Disk(self.root)

    def pipeline(self) -> Pipeline:
        sink: Any = CsvSink(self.files / "t.csv", if_exists=self.if_exists)
        sink = QuarantineSink(sink, self.root / "aside" / "bad.jsonl") if self.aside else sink
        store = Store(self.root / "deep" / "store", self.disk.note)
        return Pipeline(Odd(), sink, name=NAME, store=store, every=0)

    def steps(self, *, takeover: bool = False) -> Generator[None, None, None]:
        """One session, saying what it has said."""
        with contextlib.closing(session(self.pipeline().plan, takeover=takeover)) as steps:
            for step in steps:
                self.disk.note(Yielded(step.rows))
                yield
        self.disk.note(Over())

    def terminate(self) -> None:
        with contextlib.suppress(UnknownRun):
            self.pipeline().terminate()
        self.disk.note(Over())

    def image(self) -> dict[str, bytes]:
        """All that is in the targets' folders."""
        return {
            path.name: path.read_bytes() for folder in ("files", "aside") for path in (self.root / folder).iterdir()
        }

    def check(self, facts: tuple[Any, ...], end: Callable[[World], Any], ended: dict[str, bytes]) -> None:
        """What the disk holds keeps every promise, and `end` brings it to `ended`."""
        record = FileStore(self.root / "deep" / "store").load(NAME)
        assert (record.to_json() if record else "") in records(facts), "another record"
        rows = max((fact.rows for fact in facts if isinstance(fact, Yielded)), default=0)
        assert rows <= (record.checkpoint.rows if record else 0), "a step is undone"
        seen = {name: data for name, data in self.image().items() if not name.endswith(".partial")}
        assert seen in (self.before, self.after, {**self.before, "t.csv": ROWS}), "something half-done in sight"
        if Over() in facts:
            assert ended == self.image(), "it was over"
        end(self)
        assert ended == self.image(), "it ends otherwise"


def run(world: World) -> None:
    for _ in world.steps():
        pass


def two_steps(world: World) -> None:
    with contextlib.closing(world.steps()) as steps:
        next(steps), next(steps)


def run_paused(world: World) -> None:
    """Two steps in a session of their own."""
    two_steps(world)
    run(world)


def run_taken_over(world: World) -> None:
    """Two steps by a runner that lives on: the next gives the rows a new inode."""
    old = world.steps()
    next(old), next(old)
    for _ in world.steps(takeover=True):
        pass
    with pytest.raises(Superseded):
        next(old)


def run_terminated(world: World) -> None:
    two_steps(world)
    world.terminate()


def faults(world: World, states: list[State], end: Callable[[World], Any], ended: dict[str, bytes]) -> Iterator[str]:
    """What is wrong in each of the states that break a promise."""
    for state in states:
        world.disk.put(state)
        try:
            world.check(state.facts, end, ended)
        except Exception as error:
            yield f"{type(error).__name__}: {error}\n{state.folders}\n{state.files}"


def some(states: list[State], most: int) -> list[State]:
    """At most that many, evenly out of all."""
    return states[:: -(-len(states) // most)] if states else []


class Trial:
    """One way of running in one kind of world; `looked` at so many states of `total`, after `kills`."""

    def __init__(self, folder: Path, way: Callable[[World], None], if_exists: str, aside: bool) -> None:
        self.folder, self.way, self.if_exists, self.aside = folder, way, if_exists, aside
        self.end: Callable[[World], None] = World.terminate if way is run_terminated else run
        self.kills = self.looked = self.total = 0

    def world(self, name: object = "") -> World:
        return World(self.folder / f"world{name}", self.if_exists, aside=self.aside)

    def look(self, world: World, most: int | None, *, after: int = 0, ordered: bool = False) -> Iterator[str]:
        """The faults in at most that many of the states that may be left."""
        ended = world.before if self.way is run_terminated else world.after
        assert ended == world.image(), "it is wrong without a power cut"
        states = world.disk.states(ordered=ordered, after=after)
        chosen = some(states, most) if most else states
        self.looked, self.total = self.looked + len(chosen), self.total + len(states)
        return faults(world, chosen, self.end, ended)

    def straight(self, *, ordered: bool = False) -> Iterator[str]:
        """A power cut at any moment."""
        world = self.world()
        with world.disk.recording():
            self.way(world)
        return self.look(world, None, ordered=ordered)

    def killed(
        self, deaths: Iterable[int], most: int | None, *, late: int | None = None, ordered: bool = False
    ) -> Iterator[str]:
        """The process dies at such a change, the next one ends the run; then a power cut at any moment of that.

        `late`: only at that many moments before the end. Deaths after the end end it.
        """
        for at in deaths:
            world = self.world(at)
            with world.disk.recording():
                with contextlib.suppress(Crash), crashing(at, after=False):
                    self.way(world)
                died = not any(isinstance(e, Note) and e.fact == Over() for e in world.disk.events)
                before = len(world.disk.events)
                self.end(world)
                before = before if late is None else max(before, len(world.disk.events) - late)
            if not died:
                return
            self.kills += 1
            yield from self.look(world, most, after=before, ordered=ordered)

    def __str__(self) -> str:
        where = f"{self.way.__name__}, {self.if_exists}{', rejects' if self.aside else ''}"
        return f"reorder: {where}: {self.kills} kills, {self.looked} of {self.total} states"

"""Where the sessions of the interleaving model write: a table with a ledger, and a file in a folder, both in memory.

`Rows` is the smallest honest database sink (tests/tools/memory.py). `Files` is the library's own `FileWriter` over a folder
in memory (tests/tools/disk.py), with bytes that depend on who wrote them, as those of compressed files do: what a stale
writer writes where it left off would be seen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import memory
from disk import ROOT, Disk
from resumable.checkpoint import Checkpoint
from resumable.errors import ConnectionLost, ResumableError
from resumable.files.partial import PartialFile
from resumable.files.place import IfExists
from resumable.protocols import Batch, Claimant, Sink
from resumable.sinks.file import FileWriter

__all__ = ["Files", "Rows", "World"]

USER = b"somebody else's"


class World(Protocol):
    """What outlives a process, but for the store."""

    step: Callable[[str], None]

    def sink(self) -> Sink: ...

    def target(self) -> str:
        """before, after, user (somebody else's file), or what else it is."""

    def debris(self) -> bool: ...

    def event(self, event: str) -> None: ...

    def key(self) -> Any: ...

    def limits(self, happened: str) -> set[str]:
        """What isn't promised once these events have happened: results and targets that are right all the same."""

    def told(self) -> Any:
        """What a session has learnt from a call, beyond the call's own words."""

    def enter(self) -> None:
        """It is about this world from now on: there are several at a time."""

    def lost(self) -> ResumableError | None:
        """The error for an answer that was lost; None where none can be."""


class Rows:
    """A table that had the row -1, a staging list and a ledger row. `skip`: the sink's rules to break."""

    def __init__(self, skip: frozenset[str] = frozenset()) -> None:
        self.skip, self.inner = skip, memory.World()

    @property
    def step(self) -> Callable[[str], None]:
        return self.inner.step

    @step.setter
    def step(self, step: Callable[[str], None]) -> None:
        self.inner.step = step

    def sink(self) -> memory.MemorySink:
        return memory.MemorySink(self.inner, self.skip)

    def target(self) -> str:
        known = {(-1,): "before", (-1, 1, 2): "after"}
        return known.get(tuple(self.inner.target), str(self.inner.target))

    def debris(self) -> bool:
        return self.inner.staging is not None or (self.inner.ledger is not None and self.target() == "before")

    def event(self, event: str) -> None: ...

    def limits(self, happened: str) -> set[str]:
        """A record that has come back knows of commits that the target forgot when the run was called off."""
        return {"TargetChanged before"} if "o" in happened else set()

    def key(self) -> Any:
        return tuple(self.inner.target), repr(self.inner.staging), self.inner.ledger

    def told(self) -> Any:
        return self.key()

    def enter(self) -> None: ...

    def lost(self) -> ResumableError | None:
        return ConnectionLost("no answer")


class Framed:
    """The lines of one claim."""

    state = None

    def __init__(self, dots: str) -> None:
        self.dots = dots

    def begin(self) -> bytes:
        return b"n\n"

    def encode(self, batch: Batch) -> bytes:
        return "".join(f"{n}{self.dots}\n" for n in batch.rows["n"].to_pylist()).encode()

    def seal(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b""


class FramedSink:
    """Writes `{row}{as many dots as fit this claim}` a line: no two claims write the same bytes."""

    def __init__(self, if_exists: IfExists) -> None:
        self.if_exists = if_exists

    def open(self, claim: Claimant, last: Checkpoint) -> FileWriter:
        dots = "." * (1 + sum(claim.id.token.encode()) % 7)

        file = PartialFile(f"{ROOT}/out", claim.run, claim.id)
        return FileWriter.open(file, lambda schema, state: Framed(dots), claim, last, if_exists=self.if_exists)

    def describe(self) -> str:
        return "A file in memory."


class Files:
    """A folder without a file, or with an older one that is to be replaced."""

    def __init__(self, if_exists: IfExists = "fail") -> None:
        self.if_exists, self.disk = if_exists, Disk(lambda what: None)
        self.used = False
        """Whether a user has put a file at the target."""
        if if_exists == "replace":
            self.disk.put("out", b"old")

    @property
    def step(self) -> Callable[[str], None]:
        return self.disk.step

    @step.setter
    def step(self, step: Callable[[str], None]) -> None:
        self.disk.step = step

    def sink(self) -> FramedSink:
        return FramedSink(self.if_exists)

    def target(self) -> str:
        data = self.disk.read("out")
        if data == (b"old" if self.if_exists == "replace" else None):
            return "before"
        if self.used:
            return "user" if data == USER else f"{data!r} in place of the user's"
        assert data is not None
        lines = [line.rstrip(b".") for line in data.split(b"\n")]
        return "after" if lines == [b"n", b"1", b"2", b""] else repr(data)

    def debris(self) -> bool:
        return {*self.disk.names} - {f"{ROOT}/out"} != set()

    def limits(self, happened: str) -> set[str]:
        """Where the store has forgotten that the file was published, the file at its path is all there is to know."""
        lost, back = (
            {"TargetExists after", "UnknownRun after"},
            {"TargetChanged before", "TargetChanged after", "Terminated after"},
        )
        user = {" user", "TargetExists user", "Terminated user", "UnknownRun user"}
        found = lost if {*"lo"} & {*happened} else set()
        return found | (back if "o" in happened else set()) | (user if "u" in happened else set())

    def event(self, event: str) -> None:
        if self.disk.read("out") is None:
            self.disk.put("out", USER)
            self.used = True

    def key(self) -> Any:
        disk = self.disk
        data = tuple((n, bytes(disk.data[n])) for n in sorted({*disk.names.values(), *disk.descriptors.values()} - {0}))
        return tuple(sorted(disk.names.items())), data, tuple(sorted(disk.locks))

    def told(self) -> Any:
        return ()

    def enter(self) -> None:
        Disk.mounted = self.disk

    def lost(self) -> ResumableError | None:
        return None

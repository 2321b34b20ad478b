"""What a source and a sink must do. Everything else about them is their own.

Laws kept here:

* The position rides on the batch: it is where to read on *after* that batch.
* Opening a sink is the only recovery: after a pause, a crash, a lost connection, and for terminate.
* A write under an older claim fails inside the data's own transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

import pyarrow as pa

from resumable.checkpoint import Checkpoint, ClaimId, Json, Owner

__all__ = ["MAX_BYTES", "MAX_ROWS", "Batch", "Claimant", "Reject", "Sink", "Source", "Writer"]

MAX_ROWS = 65_536
"""A batch has at most this many rows ..."""
MAX_BYTES = 8 * 2**20
"""... and about this many bytes."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was put aside: `row` from 1, `offset` of its first byte if known, its `text` as it was found.

    `length`: its bytes, if they can be read again from `offset`; `text` may be left out then.
    """

    row: int
    reason: str
    column: str | None = None
    offset: int | None = None
    text: str | None = None
    length: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows, and the position from which to read on once they are safe.

    A batch whose `position` is None can't be read on from: it is kept only together with those after it, up to one
    that has a position or to the end of the input. Until then a pause or a crash drops it, and it is read again.

    `row` is the number of the first row in the source, from 1. `fraction` of the source that is read after this
    batch, 0 to 1, if it can be told. `rejects` are the rows left out of `rows` (only where the source was told to
    put bad rows aside; otherwise it raises `BadRow`).
    """

    rows: pa.RecordBatch
    position: Json
    row: int = 1
    fraction: float | None = None
    rejects: tuple[Reject, ...] = ()


class Source(Protocol):
    """Yields batches in a repeatable order, from any position it has given out.

    MUST: reading on from a batch's position gives exactly the rows after that batch, in the same order, in any
    process. MUST: positions and identity survive JSON. MUST: memory doesn't grow with the data, and reading on
    costs what starting costs. Raises `SourceError`, `BadRow`, `SourceChanged`.

    MAY: have what optional_parts.py describes: an `address`, after which runs are named; `volatile = True`, if it may
    change without `changed` being able to tell: a completed run over it is run anew where the sink's `if_exists` is
    "replace"; `more`, `note`, `notes`.
    """

    def identity(self) -> dict[str, Json]:
        """What the source is now: enough to notice that it has changed. Cheap. Raises `SourceError` if it isn't there."""
        ...

    def changed(self, identity: dict[str, Json], position: Json) -> str | None:
        """In words, what has changed since `identity` as far as `position` was read; None if nothing has."""
        ...

    def schema(self) -> pa.Schema:
        """What it yields, inferred where need be. Asked once a run; the answer is frozen in the checkpoint."""
        ...

    def read(self, schema: pa.Schema, position: Json, identity: dict[str, Json]) -> Iterator[Batch]:
        """Batches after `position` (None: all), of the frozen `schema`. `identity` is the one the run began with.

        Called and closed in one thread, not always the same as the other methods'.
        """
        ...

    def describe(self) -> str:
        """What it reads, and what a resume rests on: a sentence or two for `explain()`."""
        ...


@dataclass(frozen=True, slots=True)
class Claimant:
    """The claim under which a sink is opened.

    `run` is the run's name. `owner` is this process. `earlier` are the claims that the store knew before this one.
    `takeover`: the caller means to fence off a runner that may live. `store` says which store, for messages.
    `restart`: the caller means to run a completed run anew.
    """

    run: str
    id: ClaimId
    owner: Owner
    earlier: frozenset[ClaimId] = frozenset()
    takeover: bool = False
    store: str = ""
    restart: bool = False


class Sink(Protocol):
    """Can be brought back to any state it has given out.

    MUST: `open` fences older claims and recovers in one step, and may be interrupted and repeated anywhere. Given
    a checkpoint of number 0 it makes what it needs and answers with number 1; what can be known to fail beforehand
    it refuses before anything is made. Given an outcome, it makes nothing.
    MUST: a sink that remembers a completed run keeps it as the `previous` of the run after it, and puts it back where
    that one is undone or cleared without having been published: it is part of the target as it was.
    Raises `Superseded`, `AlreadyRunning`, `TargetChanged`, `TargetExists`, `TargetError`.
    """

    def open(self, claim: Claimant, last: Checkpoint) -> Writer:
        """Fence, recover, and return the writer that goes on from `writer.last`: the sink's word wins."""
        ...

    def describe(self) -> str:
        """What it writes, and what its guarantee rests on: a sentence or two for `explain()`."""
        ...


class Writer(Protocol):
    """An open sink. A context manager: leaving it closes connections and files, and drops what wasn't committed.

    MAY: have `sift`, if its sink can put rows aside (optional_parts.py).
    """

    last: Checkpoint
    """What the target holds."""

    def accepted(self) -> None:
        """The store has accepted `last`: older leftovers may be swept. Called once, before the first write."""
        ...

    def discard(self) -> None:
        """The store has refused `last`: remove only what this opening made."""
        ...

    def write(self, batch: Batch) -> tuple[Reject, ...]:
        """Take the rows. They count once `commit` has returned.

        Returns the rows that were put aside instead, if the sink was told to; otherwise it raises `BadRow`.
        """
        ...

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        """Make rows and checkpoint durable as one, if the claim still holds and `checkpoint.number` is next.

        Returns the checkpoint with the sink's own state in it. With outcome "terminated" it only decides that.
        """
        ...

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        """One atomic step: the rows are in the target, and the outcome is decided. Redone safely after a crash."""
        ...

    def clean_up(self) -> None:
        """Remove all of ours but what was published and its ledger row. Safe to repeat."""
        ...

    def is_published(self) -> bool:
        """Whether what a completed run published is still there. Raises `TargetChanged` if something else is."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

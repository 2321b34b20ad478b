"""A sink in memory: what the contract of sources loads into. Nothing is published before all of it is."""

from __future__ import annotations

from dataclasses import replace

from resumable.checkpoint import Checkpoint
from resumable.protocols import Batch, Claimant, Reject, Writer

__all__ = ["MemorySink"]


class MemorySink:
    """Keeps the rows of one run, as text, in this process; not safe against a second runner."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        """What is published."""
        self.staged: list[str] = []
        self.checkpoint = Checkpoint()

    def open(self, claim: Claimant, last: Checkpoint) -> Writer:
        """Go on from the last checkpoint."""
        self.checkpoint = replace(self.checkpoint if self.checkpoint.is_begun else last.next(), claim=claim.id)
        return _MemoryWriter(self)

    def describe(self) -> str:
        """What it is."""
        return "Rows in this process's memory."


class _MemoryWriter:
    def __init__(self, sink: MemorySink) -> None:
        self._sink, self._rows = sink, list[str]()

    @property
    def last(self) -> Checkpoint:
        return self._sink.checkpoint

    @last.setter
    def last(self, checkpoint: Checkpoint) -> None:
        self._sink.checkpoint = checkpoint

    def accepted(self) -> None: ...

    def discard(self) -> None:
        self._sink.checkpoint = Checkpoint()

    def write(self, batch: Batch) -> tuple[Reject, ...]:
        self._rows += map(repr, batch.rows.to_pylist())
        return ()

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        self._sink.staged += self._rows
        self._rows, self.last = [], checkpoint
        return checkpoint

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        self._sink.rows, self.last = self._sink.staged, checkpoint
        return checkpoint

    def clean_up(self) -> None:
        self.last = self.last.finish()

    def is_published(self) -> bool:
        return True

    def __enter__(self) -> _MemoryWriter:
        return self

    def __exit__(self, *error: object) -> None: ...

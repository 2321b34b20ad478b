"""A sink in memory, for what a source gives: nothing is on the shelf before all of it is."""

from __future__ import annotations

from dataclasses import replace

from resumable.checkpoint import Checkpoint
from resumable.protocols import Batch, Claimant, Reject, Writer

__all__ = ["Shelf"]


class Shelf:
    """Keeps the rows of one run, as text, in this process; not safe against a second runner."""

    def __init__(self) -> None:
        self.rows: list[str] = []
        """What is published."""
        self.staged: list[str] = []
        self.held = Checkpoint()

    def open(self, claim: Claimant, last: Checkpoint) -> Writer:
        """Go on from what is held here."""
        self.held = replace(self.held if self.held.is_begun else last.next(), claim=claim.id)
        return _Hand(self)

    def describe(self) -> str:
        """What it is."""
        return "Rows in this process's memory."


class _Hand:
    def __init__(self, shelf: Shelf) -> None:
        self._shelf, self._rows = shelf, list[str]()

    @property
    def last(self) -> Checkpoint:
        return self._shelf.held

    @last.setter
    def last(self, checkpoint: Checkpoint) -> None:
        self._shelf.held = checkpoint

    def accepted(self) -> None: ...

    def discard(self) -> None:
        self._shelf.held = Checkpoint()

    def write(self, batch: Batch) -> tuple[Reject, ...]:
        self._rows += map(repr, batch.rows.to_pylist())
        return ()

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        self._shelf.staged += self._rows
        self._rows, self.last = [], checkpoint
        return checkpoint

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        self._shelf.rows, self.last = self._shelf.staged, checkpoint
        return checkpoint

    def clean_up(self) -> None:
        self.last = self.last.finish()

    def is_published(self) -> bool:
        return True

    def __enter__(self) -> _Hand:
        return self

    def __exit__(self, *error: object) -> None: ...

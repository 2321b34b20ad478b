"""A run's rows in one file: the writer of every sink that only appends to a file.

The state in the checkpoint is `{"inode", "length"}`. Rows are made durable first; the store's save is the commit.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Self

from resumable.checkpoint import Checkpoint
from resumable.errors import Superseded, TargetChanged
from resumable.files.partial import PartialFile
from resumable.files.posix import IfExists, inspect_target
from resumable.protocols import Batch, Claimant, Reject

__all__ = ["FileWriter"]


class FileWriter:
    """An open file sink. `encode` maps a batch to the bytes that are appended for it: a pure function of its rows."""

    def __init__(
        self,
        file: PartialFile,
        last: Checkpoint,
        if_exists: IfExists,
        encode: Callable[[Batch], bytes | memoryview],
    ) -> None:
        self._file, self.last, self._if_exists, self._encode = file, last, if_exists, encode

    @classmethod
    def open(
        cls,
        target: str | os.PathLike[str],
        claim: Claimant,
        last: Checkpoint,
        *,
        if_exists: IfExists,
        head: bytes,
        encode: Callable[[Batch], bytes | memoryview],
    ) -> Self:
        """Fence and recover, as `Sink.open` promises. `head` is what a new file begins with."""
        file = PartialFile(target, claim.run, claim.id)
        try:
            file.fence()
            if not last.is_decided:
                last = replace(
                    _recover(file, claim, last) if last.is_begun else _begin(file, last, if_exists, head),
                    claim=claim.id,
                )
        except BaseException:
            file.close()
            raise
        return cls(file, last, if_exists, encode)

    def accepted(self) -> None:
        """Remove what a takeover or a crash has left of older claims; one may have come after the run was over."""
        self._file.sweep(keep=True)

    def discard(self) -> None:
        """Remove the file if this opening made it."""
        self._file.discard()

    def write(self, batch: Batch) -> tuple[Reject, ...]:
        """Append the rows."""
        self._file.append(self._encode(batch))
        return ()

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        """Make the rows durable; raises `Superseded` if the file was taken over."""
        self._follow(checkpoint)
        if not checkpoint.is_decided:
            self._file.sync()
            checkpoint = replace(checkpoint, sink=_state(self._file))
        self.last = checkpoint
        return checkpoint

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        """Give the file its name."""
        self._follow(checkpoint)
        self._file.publish(self._if_exists)
        self.last = checkpoint
        return checkpoint

    def clean_up(self) -> None:
        """Remove the run's partial files."""
        self._file.sweep()

    def is_published(self) -> bool:
        """Whether the target is there, and not empty if anything was written to it."""
        target, length = self._file.target, (self.last.sink or {}).get("length", 0)
        if length and target.is_file() and not target.stat().st_size:
            raise TargetChanged(
                f"{target} is empty by now: the run was completed with {length:,} bytes.",
                safe="Nothing was changed.",
                do="Remove it, and run the same again.",
            )
        return target.is_file()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _follow(self, checkpoint: Checkpoint) -> None:
        if checkpoint.number != self.last.number + 1:
            raise Superseded(
                f"Checkpoint {checkpoint.number} can't follow {self.last.number} in {self._file.target}.",
                safe="What was committed is safe.",
                do="Run the same again.",
            )


def _state(file: PartialFile) -> dict[str, int]:
    return {"inode": file.inode, "length": file.length}


def _begin(file: PartialFile, last: Checkpoint, if_exists: IfExists, head: bytes) -> Checkpoint:
    file.create(inspect_target(file.target, if_exists))
    try:
        file.append(head)
        file.sync()
    except BaseException:
        file.discard()
        raise
    return last.next(sink=_state(file))


def _recover(file: PartialFile, claim: Claimant, last: Checkpoint) -> Checkpoint:
    if not isinstance(last.sink, dict) or not {"inode", "length"} <= last.sink.keys():
        raise TargetChanged(
            f"Run {claim.run!r} was begun with another kind of target than the file {file.target}.",
            safe="Nothing was changed.",
            do="Go on with the target that it was begun with, or terminate it.",
        )
    inode, length = last.sink["inode"], last.sink["length"]
    if not file.take(inode, takeover=claim.takeover):
        # Renamed to its target, and the session died before it could say so.
        if last.stage == "loaded" and file.confirm(inode, length):
            return last.next(outcome="completed", previous=None)
        raise file.gone()
    # link() done, its first name not yet removed; the store may have gone back to a time before that.
    if file.is_target(inode):
        return last.next(complete=True, outcome="completed", previous=None)
    # A new inode is a new state, so a new checkpoint.
    return last.next(sink=_state(file)) if file.cut(length) else last

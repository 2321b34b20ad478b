"""The errors of a file that is being written, and the translation of the system's."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from resumable.errors import AlreadyRunning, Superseded, TargetChanged, TargetError, TargetExists

__all__ = [
    "changed_length",
    "closed",
    "emptied",
    "exists",
    "locked",
    "lost",
    "other_kind",
    "shorter",
    "superseded",
    "translating",
]

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextlib.contextmanager
def translating(what: str, target: Path) -> Iterator[None]:
    """Turns the system's errors into `TargetError`."""
    try:
        yield
    except OSError as error:
        full = error.errno in _FULL
        raise TargetError(
            f"Can't {what} {target}: {error.strerror or error}.",
            safe="What was committed is safe.",
            do="Make room, then run the same again." if full else "Put that right, then run the same again.",
        ) from error


def closed(target: Path, *, failed: bool) -> TargetError:
    """The error for a file that takes no more: an earlier write of it has `failed`, or it is closed."""
    return TargetError(
        f"Can't write {target}: {'an earlier write has failed' if failed else 'it is closed'}.",
        safe="What was committed is safe.",
        do="Run the same again: it goes on from the last commit.",
    )


def locked(target: Path) -> AlreadyRunning:
    """The error for a partial file that a live process writes."""
    return AlreadyRunning(
        f"Another process is writing {target}: it holds the lock on the partial file.",
        safe="Nothing was changed.",
        do="Wait for it, pause it, or fence it off with takeover (--takeover).",
    )


def exists(target: Path) -> TargetExists:
    """The error for a file that somebody has put at the target while the run was writing."""
    return TargetExists(
        f"{target} exists: somebody has put a file there since the run began.",
        safe="It was not touched, and all that this run has written is kept.",
        do="Move it away and run the same again.",
    )


def lost(target: Path) -> TargetChanged:
    """The error for a partial file that has disappeared."""
    return TargetChanged(
        f"The partial file of {target} is gone: {target.parent} no longer has the file that the run was writing.",
        safe="Nothing was changed.",
        do="Move it back if it was moved (a copy isn't the same file); else terminate the run and begin anew.",
    )


def superseded(target: Path, epoch: int = 0) -> Superseded:
    """The error for a partial file that is another runner's by now, whose claim has that epoch if it is known."""
    error = Superseded(
        f"The partial file of {target} is no longer this runner's: another has taken the run over.",
        safe="What was committed is safe; this runner publishes nothing.",
        do="Look at it with `resumable status`; if nobody runs it, the file was removed by hand: terminate the run.",
    )
    error.epoch = epoch
    return error


def shorter(target: Path, size: int, length: int) -> TargetChanged:
    """The error for a partial file that has lost bytes that were committed."""
    return TargetChanged(
        f"The partial file of {target} has {size:,} bytes, but {length:,} were committed.",
        safe="Nothing was changed.",
        do="Bring the file back, or terminate the run and begin anew.",
    )


def changed_length(target: Path, length: int) -> TargetChanged:
    """The error for a partial file that somebody else has written to."""
    return TargetChanged(
        f"The partial file of {target} no longer has the {length:,} bytes that were written.",
        safe="Nothing was published.",
        do="Somebody else has written to it: terminate the run and begin anew.",
    )


def emptied(target: Path, length: int) -> TargetChanged:
    """The error for a published file that has lost all its bytes."""
    return TargetChanged(
        f"{target} is empty by now: the run was completed with {length:,} bytes.",
        safe="Nothing was changed.",
        do="Remove it, and run the same again.",
    )


def other_kind(target: Path, run: str) -> TargetChanged:
    """The error for a state that is no file's."""
    return TargetChanged(
        f"Run {run!r} was begun with another kind of target than the file {target}.",
        safe="Nothing was changed.",
        do="Go on with the target that it was begun with, or terminate it.",
    )

"""What the file system is asked for when a file is put in its place, and its answers in our words."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, TypeAlias

from resumable.errors import Superseded, TargetChanged, TargetError, TargetExists

__all__ = [
    "IfExists",
    "copy_start",
    "exists",
    "inspect_target",
    "link_new",
    "lock",
    "lost",
    "rename_new",
    "superseded",
    "telling",
    "write_at",
]

IfExists: TypeAlias = Literal["fail", "replace"]

COPY = 8 * 2**20
"""Bytes copied at a time."""

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def inspect_target(target: Path, if_exists: IfExists) -> os.stat_result | None:
    """What is at the target now, None if nothing; refuses what can't or mustn't be written, before anything is made.

    Raises `TargetExists` and `TargetError`.
    """
    why, found = "", None
    try:
        found = os.lstat(target)
    except FileNotFoundError:
        if not target.parent.is_dir():
            why = f"there is no folder {target.parent}"
    except OSError as error:
        why = error.strerror or str(error)
    if found is not None and not stat.S_ISREG(found.st_mode):
        why = "it is a folder" if stat.S_ISDIR(found.st_mode) else "it isn't a plain file"
    if not why and not os.access(target.parent, os.W_OK | os.X_OK):
        why = f"the folder {target.parent} may not be written"
    if why:
        raise TargetError(
            f"Can't write {target}: {why}.", safe="Nothing was made.", do="Name another file, or put that right."
        )
    if found is not None and if_exists == "fail":
        raise TargetExists(
            f"{target} exists already.",
            safe="Nothing was changed.",
            do="Move it away, or say if_exists='replace' (--if-exists replace).",
        )
    return found


def exists(target: Path) -> TargetExists:
    """The error for a file that somebody has put at the target while the run was writing."""
    return TargetExists(
        f"{target} exists: somebody has put a file there since the run began.",
        safe="It was not touched, and all that this run has written is kept.",
        do="Move it away and run the same again.",
    )


def lost(target: Path) -> TargetChanged:
    """The error for a partial file that isn't there any more."""
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


@contextlib.contextmanager
def telling(what: str, target: Path) -> Iterator[None]:
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


def lock(fd: int) -> bool:
    """Take the exclusive `flock`, if nobody holds it. The kernel gives it back when its holder dies."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of it at `offset`, wherever the descriptor, which a forked child may share, stands."""
    view = memoryview(data)
    while view:
        done = os.pwrite(fd, view, offset)
        view, offset = view[done:], offset + done


def copy_start(old: int, new: int, length: int) -> None:
    """Copy the first `length` bytes."""
    at = 0
    while at < length:
        block = os.pread(old, min(COPY, length - at), at)
        if not block:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        write_at(new, block, at)
        at += len(block)


def link_new(path: Path, target: Path) -> None:
    """Give the file a second name, or a new one where the file system has no links. Never replaces a file."""
    try:
        os.link(path, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        rename_new(path, target)


def rename_new(path: Path, target: Path) -> None:
    """rename() that raises `FileExistsError` rather than replace: renameat2(2) with RENAME_NOREPLACE."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux" and hasattr(libc, "renameat2"):
        at_cwd, noreplace = -100, 1
        if libc.renameat2(at_cwd, os.fsencode(path), at_cwd, os.fsencode(target), noreplace) == 0:
            return
        code = ctypes.get_errno()
        if code not in (errno.EINVAL, errno.ENOSYS):
            raise OSError(code, os.strerror(code), str(target))
    raise OSError(errno.EOPNOTSUPP, "this file system can't promise not to replace a file; say if_exists='replace'")

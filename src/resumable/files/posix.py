"""Calls of the file system that put a file in its place: lock, write, copy, link, rename."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import sys
from pathlib import Path

from resumable.errors import TargetError, TargetExists
from resumable.files.place import IfExists

__all__ = [
    "copy_start",
    "inspect_target",
    "link_new",
    "lock",
    "rename_new",
    "write_at",
]

COPY = 8 * 2**20
"""Bytes copied at a time."""

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}


def inspect_target(target: Path, if_exists: IfExists) -> os.stat_result | None:
    """What is at the target now, None if nothing; refuses what can't or mustn't be written, before anything is made.

    Raises `TargetExists` and `TargetError`.
    """
    why, info = "", None
    try:
        info = os.lstat(target)
    except FileNotFoundError:
        if not target.parent.is_dir():
            why = f"there is no folder {target.parent}"
    except OSError as error:
        why = error.strerror or str(error)
    if info is not None and not stat.S_ISREG(info.st_mode):
        why = "it is a folder" if stat.S_ISDIR(info.st_mode) else "it isn't a plain file"
    if not why and not os.access(target.parent, os.W_OK | os.X_OK):
        why = f"the folder {target.parent} may not be written"
    if why:
        raise TargetError(
            f"Can't write {target}: {why}.", safe="Nothing was made.", do="Name another file, or put that right."
        )
    if info is not None and if_exists == "fail":
        raise TargetExists(
            f"{target} exists already.",
            safe="Nothing was changed.",
            do="Move it away, or say if_exists='replace' (--if-exists replace).",
        )
    return info


def lock(fd: int) -> bool:
    """Take the exclusive `flock`; False if somebody has it. The kernel frees it when its holder dies."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of it at `offset`, wherever the descriptor, which a forked child may share, stands."""
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, offset)
        view, offset = view[count:], offset + count


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

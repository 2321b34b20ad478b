"""Files that survive a power cut: write, fsync, rename, fsync the folder. A failed fsync is never tried again."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

__all__ = ["make_folder", "replace_file", "sync_folder"]


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path, mode: int = 0o777) -> bool:
    """Make a folder, and those above it, with durable names; False if it was there.

    One that was there is synced too: its maker may have died, or not yet come, between making and syncing it.
    """
    if folder.is_dir():
        # Where that may not be asked for, somebody else has made it.
        with contextlib.suppress(PermissionError):
            sync_folder(folder.parent)
        return False
    make_folder(folder.parent)
    try:
        folder.mkdir(mode)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return make_folder(folder)
    sync_folder(folder.parent)
    return True


def replace_file(path: Path, data: bytes) -> None:
    """Put `data` at `path`, atomically and durably: readers see the old file or the new one, whole.

    The caller holds a lock: the temporary name is fixed, so that a crash leaves at most one.
    """
    temporary = path.with_name(path.name + ".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
    os.rename(temporary, path)
    sync_folder(path.parent)

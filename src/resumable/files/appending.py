"""A file that bytes are added to: they wait in memory, and go to the system in pieces.

Law kept here: a write or fsync that has failed is never taken for done; the file then refuses all further use.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Iterator
from pathlib import Path

from resumable.files.faults import closed, translating
from resumable.files.posix import write_at

__all__ = ["Appending"]

BUFFER = 2**20
"""Bytes that may wait before they are handed to the system."""


class Appending:
    """The open descriptor of a file that goes to `target`, or none."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.length = 0
        """Bytes in the file, with those that still wait."""
        self._fd: int | None = None
        self._failed = False
        self._buffer: list[bytes | memoryview] = []
        self._waiting = 0
        _live.add(self)

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes at the end; they count once `sync` has returned."""
        self._descriptor()
        self._buffer.append(data)
        self._waiting += len(data)
        self.length += len(data)
        if self._waiting >= BUFFER:
            self._flush()

    def close(self) -> None:
        """Close the file, which frees its lock; bytes that wait are dropped."""
        fd, self._fd = self._fd, None
        self._buffer, self._waiting = [], 0
        if fd is not None:
            os.close(fd)

    def _flush(self) -> None:
        fd, data = self._descriptor(), b"".join(self._buffer)
        at = self.length - self._waiting
        self._buffer, self._waiting = [], 0
        with translating("write", self.target), self._failing():
            write_at(fd, data, at)

    def _descriptor(self) -> int:
        if self._fd is not None and not self._failed:
            return self._fd
        raise closed(self.target, failed=self._failed)

    @contextlib.contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self._failed = True
            raise


def _close_in_child() -> None:
    # A forked child shares the lock: while it kept its copy, a dead parent would look alive.
    for file in list(_live):
        file.close()


_live: weakref.WeakSet[Appending] = weakref.WeakSet()
os.register_at_fork(after_in_child=_close_in_child)

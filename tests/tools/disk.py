"""A folder in memory, as the kernel keeps it: names, inodes, descriptors, `flock`. For tests that replay thousands of times.

Only what lies below `/disk` is here; every other path and descriptor is the real system's. Two things are as unkind as
a real file system may be: the number of an inode that is gone is used again at once, and a descriptor still writes
after its file was renamed, unlinked or taken over. Power cuts are not: what was written stays.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["ROOT", "Disk"]

ROOT = "/disk"
FIRST = 1_000_000
"""The first descriptor of ours; the kernel's are smaller."""

SEEN = ("fstat", "stat", "access", "fsync", "close")
"""Calls before which nobody else need run: they change nothing, or nothing that others see before the next one."""


class Disk:
    """One file system. `step` is called before and after every call, with what was answered."""

    mounted: Disk
    """The one that `os` leads to."""

    def __init__(self, step: Callable[[str], None]) -> None:
        self.step = step
        self.names: dict[str, int] = {}
        self.data: dict[int, bytearray] = {}
        self.descriptors: dict[int, int] = {}
        self.locks: dict[int, int] = {}
        Disk.mounted = self

    def call(self, name: str, *arguments: Any, **options: Any) -> Any:
        what = f"{name} {os.path.basename(str(arguments[0]))}"
        if name not in SEEN:
            self.step(f"before {what}")
        try:
            answer = getattr(self, f"_{name}")(*arguments, **options)
        except OSError as error:
            self.step(f"after {what}: {error!r}")
            raise
        self.step(f"after {what}: {answer!r}")
        return answer

    def put(self, name: str, data: bytes) -> None:
        """Somebody else's file."""
        inode = self._fresh()
        self.names[f"{ROOT}/{name}"], self.data[inode] = inode, bytearray(data)

    def read(self, name: str) -> bytes | None:
        """What a file holds; None if there is none."""
        inode = self.names.get(f"{ROOT}/{name}")
        return None if inode is None else bytes(self.data[inode])

    def _fresh(self) -> int:
        used = {*self.names.values(), *self.descriptors.values()}
        return next(n for n in range(1, len(used) + 2) if n not in used)

    def _inode(self, path: Any) -> int:
        if (inode := self.names.get(os.fspath(path))) is None:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", os.fspath(path))
        return inode

    def _open(self, path: Any, flags: int, mode: int = 0o777) -> int:
        path = os.fspath(path)
        if path == ROOT:
            inode = 0
        elif flags & os.O_CREAT and path not in self.names:
            inode = self._fresh()
            self.names[path], self.data[inode] = inode, bytearray()
        elif flags & os.O_EXCL:
            raise FileExistsError(errno.EEXIST, "File exists", path)
        else:
            inode = self._inode(path)
        fd = next(n for n in range(FIRST, FIRST + 10_000) if n not in self.descriptors)
        self.descriptors[fd] = inode
        return fd

    def _close(self, fd: int) -> None:
        inode = self.descriptors.pop(fd)
        if self.locks.get(inode) == fd:
            del self.locks[inode]

    def _flock(self, fd: int, how: int) -> None:
        if self.locks.setdefault(self.descriptors[fd], fd) != fd:
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    def _pwrite(self, fd: int, data: Any, at: int) -> int:
        held, data = self.data[self.descriptors[fd]], bytes(data)
        held.extend(bytes(max(0, at - len(held))))
        held[at : at + len(data)] = data
        return len(data)

    def _pread(self, fd: int, length: int, at: int) -> bytes:
        return bytes(self.data[self.descriptors[fd]][at : at + length])

    def _ftruncate(self, fd: int, length: int) -> None:
        del self.data[self.descriptors[fd]][length:]

    def _fsync(self, fd: int) -> None: ...

    def _fchmod(self, fd: int, mode: int) -> None: ...

    def _access(self, path: Any, mode: int) -> bool:
        return os.fspath(path) == ROOT or os.fspath(path) in self.names

    def _fstat(self, fd: int) -> os.stat_result:
        return self._about(self.descriptors[fd])

    def _stat(self, path: Any, **options: Any) -> os.stat_result:
        return self._about(0 if os.fspath(path) == ROOT else self._inode(path))

    _lstat = _stat

    def _about(self, inode: int) -> os.stat_result:
        kind = stat.S_IFREG | 0o644 if inode else stat.S_IFDIR | 0o755
        return os.stat_result((kind, inode, 1, 1, 0, 0, len(self.data.get(inode, b"")), 0, 0, 0))

    def _listdir(self, folder: Any) -> list[str]:
        return sorted(path.removeprefix(f"{ROOT}/") for path in self.names)

    def _rename(self, old: Any, new: Any) -> None:
        inode = self._inode(old)
        del self.names[os.fspath(old)]
        self.names[os.fspath(new)] = inode

    def _link(self, old: Any, new: Any, **options: Any) -> None:
        inode = self._inode(old)
        if os.fspath(new) in self.names:
            raise FileExistsError(errno.EEXIST, "File exists", os.fspath(new))
        self.names[os.fspath(new)] = inode

    def _unlink(self, path: Any) -> None:
        self._inode(path)
        del self.names[os.fspath(path)]

    @staticmethod
    def mount(monkeypatch: pytest.MonkeyPatch) -> None:
        """Lead the system's calls to the disk that was made last, where they are about it."""

        def ours(first: Any) -> bool:
            if isinstance(first, int):
                return first >= FIRST
            return isinstance(first, (str, os.PathLike)) and os.fspath(first).startswith(ROOT)

        def leading(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
            def call(first: Any, *more: Any, **options: Any) -> Any:
                return (
                    Disk.mounted.call(name, first, *more, **options) if ours(first) else real(first, *more, **options)
                )

            return call

        calls = ("open", "close", "pwrite", "pread", "ftruncate", "fsync", "fchmod", "access")
        for name in (*calls, "fstat", "stat", "lstat", "listdir", "rename", "link", "unlink"):
            monkeypatch.setattr(os, name, leading(name, getattr(os, name)))
        monkeypatch.setattr(fcntl, "flock", leading("flock", fcntl.flock))

"""What a process does to the world, call by call: each call is a moment at which it may die.

Seen are Python's calls that change files, SQLAlchemy's statements and COMMITs, and whatever else is named. `open()`
for writing is Python's own implementation here, since that writes by `os.write`, where C's would write unseen. Not
seen: what C code does by itself (sqlite3 without SQLAlchemy, a driver's COPY), and `from os import fsync`.

Only the main thread counts: another one comes in its own time, and the n-th moment must always be the same.

These calls are replaced for good: it is for a forked child, which never goes back to what it was forked from.
"""

from __future__ import annotations

import _pyio  # type: ignore[import-not-found]
import builtins
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeAlias

__all__ = ["CrashPoints", "Effects", "watch"]

Effects: TypeAlias = Iterable[tuple[object, str]]
"""Calls that count: (object, name of its function), as (module, "send") or (Class, "execute")."""

FILES = (
    "chmod", "copy_file_range", "fchmod", "fdatasync", "fsync", "ftruncate", "link", "mkdir", "posix_fallocate",
    "remove", "rename", "replace", "rmdir", "sendfile", "symlink", "truncate", "unlink",
)  # fmt: skip
WRITES = {"write": 1, "pwrite": 1}
"""Calls that a process may die in the middle of, and where their data stands in the arguments."""
LOOKS = ("SELECT", "PRAGMA", "SHOW", "SET")
"""Statements that change nothing by themselves."""


class CrashPoints:
    """Counts the moments of the main thread, and calls `die(after, before)` at number `at` (0: never)."""

    def __init__(self) -> None:
        self.at, self._quiet = 0, False
        self.die: Callable[[str, str], None] = lambda after, before: None
        self.passed: list[str] = []
        """What came next at each moment so far."""

    def __call__(self, before: str) -> None:
        """The moment before something is done, and after whatever was done last."""
        if self._unseen():
            return
        if self.nearly():
            self.die(self.passed[-1] if self.passed else "the start", before)
        self.passed.append(before)

    def nearly(self) -> bool:
        """Whether the next moment is the last."""
        return not self._unseen() and self.at == len(self.passed) + 1

    @contextmanager
    def as_one(self, what: str) -> Iterator[None]:
        """One moment, before it: what is done within passes none."""
        self(what)
        before, self._quiet = self._quiet, self._quiet or not self._unseen()
        try:
            yield
        finally:
            self._quiet = before

    def _unseen(self) -> bool:
        return self._quiet or threading.current_thread() is not threading.main_thread()


def watch(crash_points: CrashPoints, effects: Effects = ()) -> None:
    """Replace the calls that count, each by one that passes a moment first."""
    for name in FILES:
        if hasattr(os, name):
            setattr(os, name, _counted(crash_points, name, getattr(os, name)))
    for name, place in WRITES.items():
        setattr(os, name, _halved(crash_points, name, place, getattr(os, name)))
    os.open = _opening(crash_points, os.open)
    builtins.open = io.open = _files(builtins.open)
    for owner, name in effects:
        called = f"{getattr(owner, '__name__', type(owner).__name__)}.{name}"
        setattr(owner, name, _counted(crash_points, called, getattr(owner, name)))
    _watch_databases(crash_points)


def _counted(crash_points: CrashPoints, name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **options: Any) -> Any:
        crash_points(f"{name}{_of(arguments)}")
        return real(*arguments, **options)

    return call


def _halved(crash_points: CrashPoints, name: str, place: int, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        crash_points(f"{name}{_of(arguments)}")
        view = memoryview(arguments[place]).cast("B")
        if view.nbytes > 1:
            if crash_points.nearly():
                real(*arguments[:place], view[: view.nbytes // 2], *arguments[place + 1 :])
            crash_points(f"the second half of {name}{_of(arguments)}")
        return real(*arguments)

    return call


def _opening(crash_points: CrashPoints, real: Callable[..., int]) -> Callable[..., int]:
    def call(path: Any, flags: int, *arguments: Any, **options: Any) -> int:
        if flags & (os.O_CREAT | os.O_TRUNC):
            crash_points(f"open{_of((path,))} for writing")
        return real(path, flags, *arguments, **options)

    return call


def _files(real: Callable[..., Any]) -> Callable[..., Any]:
    def call(file: Any, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        return (_pyio.open if set(mode) & set("wax+") else real)(file, mode, *arguments, **options)

    return call


def _watch_databases(crash_points: CrashPoints) -> None:
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    def statement(connection: Any, cursor: Any, text: str, *_: Any) -> None:
        if not text.lstrip(" \n(").upper().startswith(LOOKS):
            crash_points(" ".join(text.split())[:60])

    event.listen(Engine, "before_cursor_execute", statement)
    event.listen(Engine, "commit", lambda connection: crash_points("COMMIT"))


def _of(arguments: tuple[Any, ...]) -> str:
    """The name of the file that a call is about, as far as it can be told."""
    if arguments and isinstance(arguments[0], (str, bytes, os.PathLike)):
        return f" of {os.path.basename(os.fsdecode(arguments[0]))}"
    if arguments and isinstance(arguments[0], int):
        with suppress(OSError):
            return f" of {os.path.basename(os.readlink(f'/proc/self/fd/{arguments[0]}'))}"
    return ""

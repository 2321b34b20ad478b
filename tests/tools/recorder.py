"""A folder in which every change is recorded, so that it can be brought into each state of powercut.py.

A file keeps its inode number from state to state, since the library knows files by it: all of them are kept on a shelf
beside the folder, and a state is made by linking them back. While recording nothing is really synced. Files whose
content carries no promise are left out (`IGNORED`).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from powercut import FOLDER, Cut, Event, Names, Note, State, Sync, Write, applied, states

__all__ = ["Disk"]

IGNORED = {".lock", ".gitignore"}
T = TypeVar("T")


class Disk:
    """Records what is done below `root`, beginning with what is there, which is taken for durable."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.realpath(root))
        self.events: list[Event] = []
        self._shelf = self.root.with_name(f"{self.root.name}.shelf")
        self._shelf.mkdir(exist_ok=True)
        self._lock = threading.RLock()
        self.start = self._scan()

    def note(self, fact: Any) -> None:
        """Something was said."""
        self.events.append(Note(fact))

    def states(self, *, ordered: bool = False, after: int = 0) -> list[State]:
        """What a power cut may leave; see `states`."""
        return states(self.start, self.events, ordered=ordered, after=after)

    def put(self, state: State) -> None:
        """Bring the folder into a state."""
        for path in self.root.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        inside = [""]
        for folder in inside:
            for name, inode in state.folders.get(folder, {}).items():
                path = self.root / folder / name
                if inode == FOLDER:
                    path.mkdir()
                    inside.append(os.path.join(folder, name))
                else:
                    kept = self._shelf / str(inode)
                    kept.write_bytes(state.files.get(inode, b""))
                    os.link(kept, path)

    @contextlib.contextmanager
    def recording(self) -> Iterator[None]:
        """Everything that is asked of `os` in this block is done and recorded, by whichever thread."""
        calls = {name: getattr(self, f"_{name}") for name in CALLS}
        before = {name: getattr(os, name) for name in calls}
        for name, call in calls.items():
            setattr(os, name, self._alone(call))
        try:
            yield
        finally:
            for name, call in before.items():
                setattr(os, name, call)
        # A change that passed by would make all states wrong.
        assert self._scan().key() == applied(self.start, self.events).key(), "something was done that wasn't recorded"

    def _alone(self, call: Callable[..., T]) -> Callable[..., T]:
        def alone(*args: Any, **options: Any) -> T:
            with self._lock:
                return call(*args, **options)

        return alone

    def _open(self, path: Any, flags: int, *args: Any, **options: Any) -> int:
        place = self._where(path)
        known = place and os.path.lexists(path)
        fd = REAL["open"](path, flags, *args, **options)
        if place and not known:
            self._keep(Path(path), fd)
            self._name(place[0], (place[1], os.fstat(fd).st_ino))
        elif place and flags & os.O_TRUNC:
            self.events.append(Cut(os.fstat(fd).st_ino, 0))
        return fd

    def _write(self, fd: int, data: Any) -> int:
        offset = os.lseek(fd, 0, os.SEEK_CUR) if self._ours(fd) else 0
        return self._wrote(fd, REAL["write"](fd, data), data, offset)

    def _pwrite(self, fd: int, data: Any, offset: int) -> int:
        return self._wrote(fd, REAL["pwrite"](fd, data, offset), data, offset)

    def _wrote(self, fd: int, done: int, data: Any, offset: int) -> int:
        if self._ours(fd):
            self.events.append(Write(os.fstat(fd).st_ino, offset, bytes(data)[:done]))
        return done

    def _ftruncate(self, fd: int, length: int) -> None:
        REAL["ftruncate"](fd, length)
        if self._ours(fd):
            self.events.append(Cut(os.fstat(fd).st_ino, length))

    def _fsync(self, fd: int) -> None:
        there = os.fstat(fd)
        if stat.S_ISDIR(there.st_mode):
            self.events += [
                Sync(folder) for folder in self._folders() if os.stat(self.root / folder).st_ino == there.st_ino
            ]
        elif self._ours(fd):
            self.events.append(Sync(there.st_ino))

    def _rename(self, old: Any, new: Any) -> None:
        source, target = self._where(old), self._where(new)
        inode = os.lstat(old).st_ino
        REAL["rename"](old, new)
        if source and target:
            assert source[0] == target[0], "a rename between folders is two changes"
            self._name(source[0], (source[1], None), (target[1], inode))

    def _link(self, old: Any, new: Any, **options: Any) -> None:
        REAL["link"](old, new, **options)
        if place := self._where(new):
            self._name(place[0], (place[1], os.lstat(new).st_ino))

    def _unlink(self, path: Any) -> None:
        REAL["unlink"](path)
        if place := self._where(path):
            self._name(place[0], (place[1], None))

    def _mkdir(self, path: Any, *args: Any) -> None:
        REAL["mkdir"](path, *args)
        if place := self._where(path):
            self._name(place[0], (place[1], FOLDER))

    def _name(self, folder: str, *changes: tuple[str, int | None]) -> None:
        self.events.append(Names(folder, changes))

    def _where(self, path: Any) -> tuple[str, str] | None:
        """Folder below the root, and name, of a path that is recorded."""
        folder, name = os.path.split(os.path.abspath(path))
        if name in IGNORED or os.path.commonpath([folder, self.root]) != str(self.root):
            return None
        return os.path.relpath(folder, self.root).removeprefix("."), name

    def _ours(self, fd: int) -> bool:
        return (self._shelf / str(os.fstat(fd).st_ino)).exists()

    def _keep(self, path: Path, fd: int | None = None) -> None:
        """Put a file on the shelf."""
        inode = os.lstat(path).st_ino if fd is None else os.fstat(fd).st_ino
        if not (self._shelf / str(inode)).exists():
            REAL["link"](path, self._shelf / str(inode))

    def _folders(self) -> list[str]:
        return [os.path.relpath(path, self.root).removeprefix(".") for path, _, _ in os.walk(self.root)]

    def _scan(self) -> State:
        state = State({}, {})
        for folder in self._folders():
            state.folders[folder] = {}
            for path in (self.root / folder).iterdir():
                if path.is_dir():
                    state.folders[folder][path.name] = FOLDER
                elif path.name not in IGNORED:
                    self._keep(path)
                    state.folders[folder][path.name] = path.stat().st_ino
                    state.files[path.stat().st_ino] = path.read_bytes()
        return state


CALLS = ("open", "write", "pwrite", "fsync", "fdatasync", "rename", "link", "unlink", "ftruncate", "mkdir")
REAL: dict[str, Callable[..., Any]] = {name: getattr(os, name) for name in CALLS}
Disk._fdatasync = Disk._fsync  # type: ignore[attr-defined]

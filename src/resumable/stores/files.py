"""A checkpoint store in a folder: one file a run, replaced whole, under one lock.

Laws kept here:

* Nothing is made before the first swap; looking into a folder that isn't there finds nothing and leaves nothing.
* A file is replaced by renaming a synced one over it: a reader sees the old record or the new one, and so does a
  machine that lost power. The lock (`flock` on `.lock`) is only for writers.
* No two names share a file, on case-insensitive file systems either; plain names stay readable.
* Symbolic links in the folder are refused, not followed. The folder itself may be reached by one.

The folder is made for its owner alone (0700); files in it follow the umask, so that a folder which its owner opens
to a group can be shared.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote_to_bytes

from resumable.checkpoint import Record
from resumable.errors import CorruptCheckpoint, StoreError, UsageError
from resumable.files.durable import make_folder, replace_file, sync_folder

__all__ = ["FileStore"]

LOCK_TIMEOUT = 10.0
"""Seconds to wait for another process's swap; one that takes longer has been stopped in the middle."""
LONGEST = 180
"""Bytes of a file's name before it is cut and told apart by a hash; file systems end at 255."""

_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789._-")
_SAFE = "What was committed is safe."


class FileStore:
    """Records in a folder: `NAME.json` holds the run's name on one line and its record on the next."""

    def __init__(self, folder: str | os.PathLike[str] = ".resumable") -> None:
        named = os.fspath(folder)
        if not named or "\0" in named:
            raise UsageError(
                f"{named!r} can't be the name of a folder.",
                do="Name one, like .resumable.",
            )
        # Made absolute now: a program that changes its folder keeps its store.
        self.folder = Path(os.path.realpath(named))
        self.location = str(self.folder)

    def path(self, name: str) -> Path:
        """The file that keeps the run, whether it is there or not."""
        return self.folder / f"{_stem(name)}.json"

    def load(self, name: str) -> Record | None:
        """What is known of a run; None if nothing is. Raises `StoreError` and `CorruptCheckpoint`."""
        path = self.path(name)
        with self._translating(f"Reading {path}"):
            data = _read(path)
        if data is None:
            path = self.folder / f"{name}.json"  # by which `names` tells of a file whose name it can't read
            with self._translating(f"Reading {path}"):
                data = _read(path) if "~" in name and "/" not in name else None
            if data is not None:
                self._named(data, path)
            return None
        head, _, body = data.partition(b"\n")
        found = _name(head, path)
        if found != name:
            raise _corrupt(path, f"it holds run {found!r}")
        return Record.from_json(body, str(path))

    def names(self) -> list[str]:
        """The names of all runs, sorted. Raises `StoreError`."""
        with self._translating(f"Reading the folder {self.folder}"):
            try:
                files = os.listdir(self.folder)
            except FileNotFoundError:
                return []
        return sorted(self._names(files))

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        """Replace the record whose version is `version` (0: there is none); None removes it. Durable on return.

        Raises `StoreError` when the folder can't be written, or its lock isn't to be had within ten seconds.
        """
        text = None if record is None else f"{json.dumps(name)}\n{record.to_json()}\n"
        path = self.path(name)
        with self._translating(f"Writing {path}"):
            if (version or text is None) and not self.folder.exists():
                return version == 0
            if not version or not self.folder.is_dir():
                self._make()
            with self._locked():
                stored = self.load(name)
                if (stored.version if stored else 0) != version:
                    return False
                if text is not None:
                    replace_file(path, text.encode())
                elif stored is not None:
                    path.unlink()
                    sync_folder(self.folder)
                return True

    def describe(self) -> str:
        """What it is and what rests on it."""
        return f"Checkpoints are kept in the folder {self.folder}, a file a run, synced to disk at every commit."

    def __repr__(self) -> str:
        return f"<FileStore {self.location}>"

    def _names(self, files: list[str]) -> Iterator[str]:
        for file in files:
            stem, suffix = os.path.splitext(file)
            if suffix != ".json" or stem.startswith("."):
                continue
            if "~" not in stem:
                yield unquote_to_bytes(stem).decode("utf-8", "surrogatepass")
                continue
            path = self.folder / file
            with self._translating(f"Reading {path}"):
                data = _read(path)
            if data is not None:
                try:
                    yield self._named(data, path)
                except CorruptCheckpoint:  # it mustn't hide the others: who loads it hears of it
                    yield stem

    def _named(self, data: bytes, path: Path) -> str:
        """The run whose record the file holds, as the file says itself."""
        found = _name(data.partition(b"\n")[0], path)
        if self.path(found) != path:
            raise _corrupt(path, f"it holds run {found!r}")
        return found

    def _make(self) -> None:
        if make_folder(self.folder, 0o700):
            (self.folder / ".gitignore").write_text("*\n")  # only into a folder of our own making

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the folder's lock: no other process or thread swaps meanwhile."""
        path, end = self.folder / ".lock", time.monotonic() + LOCK_TIMEOUT
        while True:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
            try:
                self._wait(fd, path, end)
                # Whoever removed the folder meanwhile took the lock's file with it: a new one is another lock.
                if _same(fd, path):
                    os.ftruncate(fd, 0)
                    os.pwrite(fd, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
                    yield
                    return
            finally:
                # Closing alone wouldn't release it while a process forked meanwhile keeps its copy.
                with contextlib.suppress(OSError):
                    fcntl.flock(fd, fcntl.LOCK_UN)
                os.close(fd)

    def _wait(self, fd: int, path: Path, end: float) -> None:
        pause = 0.001
        while True:
            try:
                return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= end:
                    holder = os.pread(fd, 200, 0).decode(errors="replace").strip()
                    raise StoreError(
                        f"The store {self.folder} has been locked for {LOCK_TIMEOUT:g} seconds"
                        f"{' by ' + holder if holder.isprintable() and holder else ''}.",
                        safe=_SAFE,
                        do="A process that was stopped while it saved holds the lock: let it go on, or end it.",
                    ) from None
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL):
                    raise
                raise StoreError(
                    f"The file system of {path} can't lock files ({error.strerror}).",
                    safe="Nothing was changed.",
                    do="Use a store on a local disk, or a database: RESUMABLE_STORE=sqlite:///runs.db.",
                ) from error
            time.sleep(pause)
            pause = min(2 * pause, 0.02)

    @contextlib.contextmanager
    def _translating(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise StoreError(f"{what} failed: {_why(error, self.folder)}.", safe=_SAFE, do=_advice(error)) from error


def _stem(name: str) -> str:
    """The name in lower-case ASCII, everything else as %xx; cut and hashed if it is long or empty."""
    plain = "".join(
        c if c in _PLAIN and not (c == "." and at == 0) else "".join(f"%{b:02x}" for b in _bytes(c))
        for at, c in enumerate(name)
    )
    if plain and len(plain) <= LONGEST:
        return plain
    # `~` is never plain, so that no other name is written like this.
    return f"{plain[: LONGEST - 33]}~{hashlib.sha256(_bytes(name)).hexdigest()[:32]}"


def _bytes(text: str) -> bytes:
    # Names made from file names may hold what wasn't UTF-8 there.
    return text.encode("utf-8", "surrogatepass")


def _name(head: bytes, path: Path) -> str:
    try:
        found = json.loads(head)
    except ValueError:
        raise _corrupt(path, "it doesn't begin with a run's name") from None
    if not isinstance(found, str):
        raise _corrupt(path, "it doesn't begin with a run's name")
    return found


def _read(path: Path) -> bytes | None:
    """What a regular file holds; None if there is no file. Links, pipes and folders are an error."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        return file.read()


def _same(fd: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _corrupt(path: Path, why: str) -> CorruptCheckpoint:
    return CorruptCheckpoint(
        f"{path} can't be read: {why}.",
        safe="Nothing was changed; the target keeps what was committed.",
        do="Restore it from a copy, or remove it: a database target's ledger still knows the run.",
    )


def _why(error: OSError, folder: Path) -> str:
    if error.errno == errno.ELOOP:
        return "a symbolic link is in its place"
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{folder} is no folder"
    return error.strerror or str(error)


def _advice(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "Make room on the disk and run the same again."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Make it accessible, or name another store: store=… or RESUMABLE_STORE."
    if error.errno == errno.ELOOP:
        return "Remove the link if you didn't put it there for a reason; the store follows none."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return "Name a folder; a SQLite database is written as sqlite:///runs.db."
    return "See to the disk and run the same again."

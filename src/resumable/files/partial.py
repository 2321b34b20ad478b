"""A file that is being written: the hidden partial file beside its target, who may write it, and how it is published.

Laws kept here:

* Nothing half-done in sight: bytes go to `.{target}.{run}.{claim}.partial`; publishing is one link() or rename().
* The name carries the claim. Whoever takes a run over renames the partial first, so an older claim finds nothing
  to cut or publish. Its open descriptor still writes when it wakes: unless the `flock` proves the old writer dead,
  the committed bytes are copied to a new inode.
* A file is known by its inode. What lies beyond the committed length is cut off, a shorter file is an error, and
  never is one begun from zero in place of another.
* A write or fsync that has failed is never taken for done: the file then refuses all further use.
* What is found done needn't be durable: a publish or a removal that has happened already is synced again.
"""

from __future__ import annotations

import contextlib
import os
import stat
import weakref
from collections.abc import Iterator
from pathlib import Path

from resumable.checkpoint import ClaimId
from resumable.errors import TargetChanged
from resumable.files.durable import sync_folder
from resumable.files.faults import closed, exists, locked, lost, shorter, superseded, telling
from resumable.files.partial_names import Found, Names
from resumable.files.posix import IfExists, copy_start, link_new, lock, write_at

__all__ = ["PartialFile"]

BUFFER = 2**20
"""Bytes that may wait before they are handed to the system."""


class PartialFile:
    """The partial file of one target, run and claim; closed until `create` or `take`.

    `target` is where the file goes; a symbolic link is followed once, here. The system's errors arrive as
    `TargetError`.
    """

    def __init__(self, target: str | os.PathLike[str], run: str, claim: ClaimId) -> None:
        self.target, self.claim = Path(os.path.realpath(target)), claim
        self.folder = self.target.parent
        self.inode = 0
        self.length = 0
        """Bytes in the file, with those that still wait."""
        self._names = Names(self.target, run, claim)
        self._path = self._names.own
        self._fd: int | None = None
        self._locked = self._made = self._failed = False
        self._buffer: list[bytes | memoryview] = []
        self._waiting = 0
        _live.add(self)

    def create(self, like: os.stat_result | None = None) -> None:
        """Make an empty file under my claim, with the permissions of the file that it will replace, if any."""
        with telling("make a file beside", self.target):
            if any(f.path == self._names.own for f in self._names.all()):  # of an opening under this very claim
                os.unlink(self._names.own)
            self._fd = self._new(self._names.own, like)
            self.length = 0
            sync_folder(self.folder)

    def fence(self) -> None:
        """Raises `Superseded` if a newer claim has a partial of the run: only what is older can be swept.

        It is its runner's, or was left when a clock was ahead of this one.
        """
        with telling("write", self.target):
            newest = max((f.claim for f in self._names.all()), default=self.claim)
        if newest > self.claim:
            raise superseded(self.target, newest.epoch)

    def take(self, inode: int, *, takeover: bool) -> bool:
        """Find the run's partial with this inode, and rename it to my claim's name; False if there is none.

        Raises `Superseded` if a newer claim has it, `AlreadyRunning` if its writer lives and not `takeover`.
        """
        with telling("take over the partial file of", self.target):
            while found := next((f for f in self._names.all() if f.inode == inode), None):
                if found.claim > self.claim:
                    raise superseded(self.target, found.claim.epoch)
                try:
                    if self._take(found, takeover):
                        sync_folder(self.folder)
                        return True
                except FileNotFoundError:
                    pass
                except BaseException:
                    self.close()
                    raise
                self.close()  # it was renamed under our hands: look again
        return False

    def newest(self, length: int) -> int | None:
        """The inode of the run's newest partial that holds `length` bytes: for when none could be recorded."""
        fit = [f for f in self._names.all() if f.size >= length and not f.copy]  # a copy may be unfinished
        return max(fit, key=lambda f: f.claim).inode if fit else None

    def cut(self, length: int) -> bool:
        """Bring the file back to `length` bytes; True if that gave it another inode.

        Raises `TargetChanged` if it is shorter.
        """
        fd = self._descriptor()
        with telling("cut back the partial file of", self.target):
            size = os.fstat(fd).st_size
            if size < length:
                raise shorter(self.target, size, length)
            self.length = length
            if not self._locked:
                self._duplicate(fd, length)
                return True
            if size > length:
                os.ftruncate(fd, length)
                os.fsync(fd)
            return False

    def _take(self, found: Found, takeover: bool) -> bool:
        # Not blocking, should somebody have put a pipe there.
        self._fd = os.open(found.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        self._locked = lock(self._fd)
        if os.fstat(self._fd).st_ino != found.inode:
            return False
        if not self._locked and not takeover:
            raise locked(self.target)
        os.rename(found.path, self._names.own)
        self.inode, self._path = found.inode, self._names.own
        return os.lstat(self._names.own).st_ino == found.inode

    def _duplicate(self, old: int, length: int) -> None:
        """Go on in a new inode; the old one keeps its name until `settle`."""
        self._fd = None
        self._names.copy.unlink(missing_ok=True)
        try:
            self._fd = self._new(self._names.copy, os.fstat(old))
            copy_start(old, self._fd, length)
            os.fsync(self._fd)
            sync_folder(self.folder)
        except BaseException:
            self.discard()
            raise
        finally:
            os.close(old)

    def _new(self, path: Path, like: os.stat_result | None) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(path, flags, 0o666 if like is None else 0o600)
        try:
            self._locked = lock(fd)
            if like is not None:
                os.fchmod(fd, stat.S_IMODE(like.st_mode))
            self.inode = os.fstat(fd).st_ino
        except BaseException:
            os.close(fd)
            os.unlink(path)
            raise
        self._path, self._made = path, True
        return fd

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes at the end; they count once `sync` has returned."""
        self._descriptor()
        self._buffer.append(data)
        self._waiting += len(data)
        self.length += len(data)
        if self._waiting >= BUFFER:
            self._flush()

    def sync(self) -> None:
        """Make all bytes durable. Raises `Superseded` if the file is no longer mine to publish."""
        self._flush()
        with telling("write", self.target), self._failing():
            os.fsync(self._descriptor())
        self._check()

    def _flush(self) -> None:
        fd, data = self._descriptor(), b"".join(self._buffer)
        at = self.length - self._waiting
        self._buffer, self._waiting = [], 0
        with telling("write", self.target), self._failing():
            write_at(fd, data, at)

    def publish(self, if_exists: IfExists) -> None:
        """Give the file its final name in one step; with "fail", a file that is there is never replaced.

        May be redone. Raises `TargetExists`, `Superseded`, and `TargetChanged` for another length than was written.
        """
        fd = self._descriptor()
        with telling("publish", self.target):
            if self.confirm(self.inode):
                return
            if os.fstat(fd).st_size != self.length or self._waiting:
                raise TargetChanged(
                    f"The partial file of {self.target} no longer has the {self.length:,} bytes that were written.",
                    safe="Nothing was published.",
                    do="Somebody else has written to it: terminate the run and begin anew.",
                )
            self._check()
            try:
                if if_exists == "fail":
                    link_new(self._path, self.target)
                else:
                    with contextlib.suppress(FileNotFoundError):
                        os.fchmod(fd, stat.S_IMODE(os.stat(self.target).st_mode))
                    os.rename(self._path, self.target)
            except FileNotFoundError:  # taken over since the check
                raise superseded(self.target) from None
            except FileExistsError:
                if not self.is_target(self.inode):
                    raise exists(self.target) from None
            sync_folder(self.folder)

    def is_target(self, inode: int, length: int | None = None) -> bool:
        """Whether the target is the file with this inode; `length` guards against an inode used again."""
        with contextlib.suppress(OSError):
            found = os.lstat(self.target)
            return found.st_ino == inode and length in (None, found.st_size)
        return False

    def confirm(self, inode: int, length: int | None = None) -> bool:
        """`is_target`, and durably: whoever has published the file may have died before he synced its folder."""
        if not self.is_target(inode, length):
            return False
        with telling("publish", self.target):
            sync_folder(self.folder)
        return True

    def settle(self) -> None:
        """A copy takes the name of what it was copied from: `newest` finds only such."""
        with telling("rename the partial file of", self.target):
            self._check()
            os.rename(self._path, self._names.own)
            self._path = self._names.own
            sync_folder(self.folder)

    def sweep(self, *, keep: bool = False) -> None:
        """Remove the run's partials of my and of older claims; `keep` the one that is open."""
        with telling("remove the partial files of", self.target):
            gone = [f for f in self._names.all() if f.claim <= self.claim and not (keep and f.inode == self.inode)]
            for found in gone:
                found.path.unlink(missing_ok=True)
            if gone or not keep:  # they may be gone, and not durably; with `keep`, `take` has synced the folder
                with contextlib.suppress(FileNotFoundError):
                    sync_folder(self.folder)

    def discard(self) -> None:
        """Remove what this opening made, if it made anything, and close."""
        if self._made:
            with telling("remove the partial file of", self.target), contextlib.suppress(FileNotFoundError):
                if os.lstat(self._path).st_ino == self.inode:
                    os.unlink(self._path)
                    sync_folder(self.folder)
        self.close()

    def close(self) -> None:
        """Let go of the file and of its lock; bytes that wait are dropped."""
        fd, self._fd = self._fd, None
        self._buffer, self._waiting = [], 0
        if fd is not None:
            os.close(fd)

    def gone(self) -> TargetChanged:
        """The error for a partial file that is lost. Raises `Superseded` if it was taken over by a newer claim."""
        self.fence()
        return lost(self.target)

    def _check(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(self._path).st_ino == self.inode:
                return
        raise superseded(self.target)

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


_live: weakref.WeakSet[PartialFile] = weakref.WeakSet()
os.register_at_fork(after_in_child=_close_in_child)

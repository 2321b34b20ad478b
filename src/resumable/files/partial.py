"""A file that is being written: the hidden partial file beside its target, who may write it, and how it is published.

Laws kept here:

* Nothing unfinished is visible: bytes go to `.{target}.{run}.{claim}.partial`; publishing is one link() or rename().
* The name carries the claim. Whoever takes a run over renames the partial first, so an older claim finds nothing
  to cut or publish. Its open descriptor still writes when it wakes: unless the `flock` proves the old writer dead,
  the committed bytes are copied to a new inode.
* A file is recognized by its inode. What lies beyond the committed length is cut off. A shorter file is an error, and
  a lost one is never begun again from zero.
* A publish or a removal that has happened already may not be durable yet: it is synced again.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from resumable.checkpoint import ClaimId, Json
from resumable.errors import TargetChanged
from resumable.files.appending import Appending
from resumable.files.durable import sync_folder
from resumable.files.faults import (
    changed_length,
    emptied,
    exists,
    locked,
    lost,
    other_kind,
    shorter,
    superseded,
    translating,
)
from resumable.files.partial_names import NamedPartial, Names
from resumable.files.place import IfExists
from resumable.files.posix import copy_start, inspect_target, link_new, lock

__all__ = ["PartialFile"]


class PartialFile(Appending):
    """The partial file of one target, run and claim; closed until `create` or `adopt`. See `Partial`.

    `target` is where the file goes; a symbolic link is followed once, here. The system's errors arrive as
    `TargetError`.
    """

    def __init__(self, target: str | os.PathLike[str], run: str, claim: ClaimId) -> None:
        super().__init__(Path(os.path.realpath(target)))
        self.run, self.claim = run, claim
        self.folder = self.target.parent
        self.inode = 0
        self._names = Names(self.target, run, claim)
        self._path = self._names.own
        self._locked = self._made = False

    @property
    def state(self) -> dict[str, Json]:
        """Inode and length."""
        return {"inode": self.inode, "length": self.length}

    def create(self, if_exists: IfExists) -> None:
        """Make an empty file under my claim, with the permissions of the file that it will replace, if any."""
        like = inspect_target(self.target, if_exists)
        with translating("make a file beside", self.target):
            if any(f.path == self._names.own for f in self._names.all()):  # of an opening under this very claim
                os.unlink(self._names.own)
            self._fd = self._new(self._names.own, like)
            self.length = 0
            sync_folder(self.folder)

    def fence(self) -> None:
        """Raise `Superseded` if a newer claim has a partial of the run: only what is older can be swept.

        It is its runner's, or was left when a clock was ahead of this one.
        """
        with translating("write", self.target):
            newest = max((f.claim for f in self._names.all()), default=self.claim)
        if newest > self.claim:
            raise superseded(self.target, newest.epoch)

    def recover(self, state: dict[str, Json], *, takeover: bool, complete: bool) -> bool:
        """See `Partial.recover`. A file that had to be copied has another inode, and so another state."""
        if not isinstance(state, dict) or not {"inode", "length"} <= state.keys():
            raise other_kind(self.target, self.run)
        inode, length = state["inode"], state["length"]
        if not self.adopt(inode, takeover=takeover):
            # Renamed to its target, and the session died before it could say so.
            if complete and self.confirm(inode, length):
                return True
            raise self.missing_error()
        # link() done, its first name not yet removed; the store may have gone back to a time before that.
        if self.is_target(inode):
            return True
        self.truncate(length)
        return False

    def adopt(self, inode: int, *, takeover: bool) -> bool:
        """Find the run's partial with this inode, and rename it to my claim's name; False if there is none.

        Raises `Superseded` if a newer claim has it, `AlreadyRunning` if its writer lives and not `takeover`.
        """
        with translating("take over the partial file of", self.target):
            while partial := next((f for f in self._names.all() if f.inode == inode), None):
                if partial.claim > self.claim:
                    raise superseded(self.target, partial.claim.epoch)
                try:
                    if self._rename(partial, takeover):
                        sync_folder(self.folder)
                        return True
                except FileNotFoundError:
                    pass
                except BaseException:
                    self.close()
                    raise
                self.close()  # somebody has just renamed it: look again
        return False

    def newest(self, length: int) -> int | None:
        """The inode of the run's newest partial of at least `length` bytes: for a caller that could record none."""
        fit = [f for f in self._names.all() if f.size >= length and not f.copy]  # a copy may be unfinished
        return max(fit, key=lambda f: f.claim).inode if fit else None

    def truncate(self, length: int) -> bool:
        """Bring the file back to `length` bytes; True if that gave it another inode.

        Raises `TargetChanged` if it is shorter.
        """
        fd = self._descriptor()
        with translating("cut back the partial file of", self.target):
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

    def _rename(self, partial: NamedPartial, takeover: bool) -> bool:
        # Not blocking, should somebody have put a pipe there.
        self._fd = os.open(partial.path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        self._locked = lock(self._fd)
        if os.fstat(self._fd).st_ino != partial.inode:
            return False
        if not self._locked and not takeover:
            raise locked(self.target)
        os.rename(partial.path, self._names.own)
        self.inode, self._path = partial.inode, self._names.own
        return os.lstat(self._names.own).st_ino == partial.inode

    def _duplicate(self, old: int, length: int) -> None:
        """Go on in a new inode; the old one keeps its name until `rename_copy`."""
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

    def sync(self) -> None:
        """Make all bytes durable. Raises `Superseded` if the file is no longer mine to publish."""
        self._flush()
        with translating("write", self.target), self._failing():
            os.fsync(self._descriptor())
        self._check()

    def publish(self, if_exists: IfExists) -> None:
        """Give the file its final name in one step; with "fail", a file that is there is never replaced.

        May be redone. Raises `TargetExists`, `Superseded`, and `TargetChanged` for another length than was written.
        """
        fd = self._descriptor()
        with translating("publish", self.target):
            if self.confirm(self.inode):
                return
            if os.fstat(fd).st_size != self.length or self._waiting:
                raise changed_length(self.target, self.length)
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

    def is_published(self, state: dict[str, Json]) -> bool:
        """Whether a file is there, and not empty if anything was written to it."""
        length = state.get("length", 0)
        if length and self.target.is_file() and not self.target.stat().st_size:
            raise emptied(self.target, length)
        return self.target.is_file()

    def is_target(self, inode: int, length: int | None = None) -> bool:
        """Whether the target is the file with this inode; `length` guards against an inode used again."""
        with contextlib.suppress(OSError):
            info = os.lstat(self.target)
            return info.st_ino == inode and length in (None, info.st_size)
        return False

    def confirm(self, inode: int, length: int | None = None) -> bool:
        """`is_target`, and durably: whoever has published the file may have died before he synced its folder."""
        if not self.is_target(inode, length):
            return False
        with translating("publish", self.target):
            sync_folder(self.folder)
        return True

    def rename_copy(self) -> None:
        """Give a copy the name of what it was copied from: `newest` looks at no other names."""
        with translating("rename the partial file of", self.target):
            self._check()
            os.rename(self._path, self._names.own)
            self._path = self._names.own
            sync_folder(self.folder)

    def sweep(self, *, keep: bool = False) -> None:
        """Remove the run's partials of my and of older claims; `keep` the one that is open."""
        with translating("remove the partial files of", self.target):
            leftovers = [f for f in self._names.all() if f.claim <= self.claim and not (keep and f.inode == self.inode)]
            for partial in leftovers:
                partial.path.unlink(missing_ok=True)
            if (
                leftovers or not keep
            ):  # they may have been removed, and not durably; with `keep`, `adopt` has synced the folder
                with contextlib.suppress(FileNotFoundError):
                    sync_folder(self.folder)

    def discard(self) -> None:
        """Remove what this opening made, if it made anything, and close."""
        if self._made:
            with translating("remove the partial file of", self.target), contextlib.suppress(FileNotFoundError):
                if os.lstat(self._path).st_ino == self.inode:
                    os.unlink(self._path)
                    sync_folder(self.folder)
        self.close()

    def missing_error(self) -> TargetChanged:
        """The error for a partial file that is lost. Raises `Superseded` if it was taken over by a newer claim."""
        self.fence()
        return lost(self.target)

    def _check(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.lstat(self._path).st_ino == self.inode:
                return
        raise superseded(self.target)

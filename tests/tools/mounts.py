"""File systems of our own, in an image file on a loop device, whose power can be cut.

The cut is the kernel's own: the shutdown that ext4 and XFS answer to, after which nothing more reaches the image. What
the file system had not yet written or logged is lost. It isn't the cut of a disk that reorders what it was given: for
that there is powercut.py.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from services import Unavailable

__all__ = ["KINDS", "LOSE_LOG", "WRITE_LOG", "Mount"]

SHUTDOWN = 0x8004587D
"""XFS_IOC_GOINGDOWN, and EXT4_IOC_SHUTDOWN since Linux 4.17."""
WRITE_LOG, LOSE_LOG = 1, 2
"""Flags of the shutdown: whether the journal as it is in memory is still written."""
KINDS = {"ext4": (128, ["mkfs.ext4", "-q", "-F"]), "xfs": (320, ["mkfs.xfs", "-q", "-f"])}
"""Size in MiB (XFS is refused below 300; the image is sparse), and how it is made."""
PATIENCE = 30.0


class Mount:
    """A fresh file system at `path`. A context manager: leaving it unmounts, whatever has happened."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        size, make = KINDS[kind]
        if sys.platform != "linux" or os.geteuid() != 0:
            raise Unavailable("No loop mounts: they take Linux and root.")
        if shutil.which(make[0]) is None:
            raise Unavailable(f"No {make[0]} (Debian: apt-get install e2fsprogs xfsprogs).")
        # Not in pytest's folder, which is closed to the user that PostgreSQL runs as.
        self._folder = Path(tempfile.mkdtemp(prefix="resumable-mount-", dir="/tmp"))
        self._folder.chmod(0o755)
        self.image, self.path = self._folder / "image", self._folder / "mnt"
        self.path.mkdir()
        self._mounted = False
        with self.image.open("wb") as file:
            file.truncate(size * 2**20)
        try:
            _run(*make, str(self.image))
            self._mount()
        except BaseException:
            shutil.rmtree(self._folder)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._mounted:
            # Lazily: a failed test's process may still be in there.
            _run("umount", "--lazy", str(self.path))
        self.image.unlink()
        self.path.rmdir()
        self._folder.rmdir()

    def cut(self, flags: int) -> None:
        """The power goes: from here on every call on it fails."""
        fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", flags))
        finally:
            os.close(fd)

    def sync(self) -> None:
        """All that is on it is durable."""
        _run("sync", "--file-system", str(self.path))

    def again(self) -> None:
        """Unmount it, once nobody is in there any more, and mount it as after a boot."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                _run("umount", str(self.path))
                break
            except Unavailable:
                if time.monotonic() > end:
                    raise
            time.sleep(0.02)
        self._mounted = False
        self._mount()

    def _mount(self) -> None:
        _run("mount", "-o", "loop", str(self.image), str(self.path))
        self._mounted = True


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Unavailable(f"No loop mounts: {' '.join(command[:-1])} fails: {done.stderr.strip()[-300:]}")

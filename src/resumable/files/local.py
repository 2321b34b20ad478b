"""The local place: files in the folders of this machine.

A file's version is its inode and the time of its last write. How it is written: partial.py.
"""

from __future__ import annotations

import os
import shlex
import stat
from types import TracebackType
from typing import BinaryIO, Self

from resumable.checkpoint import ClaimId
from resumable.errors import SourceError
from resumable.files.partial import PartialFile
from resumable.files.place import IfExists

__all__ = ["LOCAL", "LocalFile", "LocalPlace", "file_path"]


def file_path(path: str | os.PathLike[str]) -> str:
    """The one path of a file to be written: it may be a link itself, but there is none on the way to it."""
    folder, base = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), base)


class LocalPlace:
    """See `Place`."""

    def address(self, path: str, *, write: bool = False) -> str:
        """The file's one path."""
        return file_path(path) if write else os.path.realpath(path)

    def open(self, path: str) -> LocalFile:
        """The file. Raises `SourceError` if it can't be read from any offset."""
        return LocalFile(path)

    def size(self, path: str) -> int | None:
        """Its bytes; None if nothing is there."""
        return os.path.getsize(path) if os.path.exists(path) else None

    def partial(self, path: str, run: str, claim: ClaimId) -> PartialFile:
        """The hidden file beside `path`."""
        return PartialFile(path, run, claim)

    def describe(self, if_exists: IfExists) -> str:
        """How a file is written."""
        return (
            "written to a hidden partial file beside it, made durable at each commit, cut back to the last commit by a"
            f" resume, and {'linked' if if_exists == 'fail' else 'renamed'} to its name at the end."
        )


LOCAL = LocalPlace()


class LocalFile:
    """An open file; leaving it closes it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self._file = _open(path)
        info = os.fstat(self._file.fileno())
        self.size = info.st_size
        self.version = [info.st_ino, info.st_mtime_ns]

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end of the file. Raises `SourceError` if the disk fails."""
        data = b""
        try:
            while len(data) < length:
                more = os.pread(self._file.fileno(), length - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise SourceError(
                f"{self.path} can't be read at byte {offset + len(data):,}: {_reason(error)}.",
                safe="What was committed is safe.",
                do="See to the disk, or bring a copy of the file, then run the same again.",
            ) from error
        return data

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _open(path: str) -> BinaryIO:
    """The file, if it can be read from any offset."""
    safe = "Nothing was changed."
    try:
        info = os.stat(path)
        if stat.S_ISDIR(info.st_mode):
            raise SourceError(f"{path} is a folder, not a file.", safe=safe, do="Name one of the files in it.")
        if not (stat.S_ISREG(info.st_mode) and info.st_nlink):
            raise SourceError(
                f"{path} is a pipe or a device: what has come through it can't be read again after a stop.",
                safe=safe,
                do=_pipe_advice(path),
            )
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        do = "Check the path." if os.path.isabs(path) else f"Check the path; the working directory is {os.getcwd()}."
        raise SourceError(f"{path} isn't there.", safe=safe, do=do) from None
    except OSError as error:
        do = "Check its permissions." if isinstance(error, PermissionError) else "Put that right, then run it again."
        raise SourceError(f"{path} can't be opened: {_reason(error)}.", safe=safe, do=do) from None


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _pipe_advice(path: str) -> str:
    """How what comes through a pipe becomes a file."""
    if path == "/dev/stdin":
        how = "COMMAND > rows.csv` instead of `COMMAND | resumable ..."
    elif path.startswith(("/dev/fd/", "/proc/")):
        how = "COMMAND > rows.csv` instead of `<(COMMAND)"
    else:
        how = f"cat < {shlex.quote(path)} > rows.csv"
    return f"Write it to a file first, and load that: `{how}`."

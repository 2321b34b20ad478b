"""What a file's content is known by, and whether it is still what was read.

Laws kept here:

* No path, no name, no time decides: a file that was copied or touched is the same, a file with other content isn't.
* When a file was written to since (its inode or time differ) all that was read is read again and compared; else its
  size, head and tail speak for it, and the last block that was read, which `read` looks at on every resume.
"""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
import zlib
from typing import BinaryIO

from resumable.checkpoint import Json
from resumable.errors import SourceError

__all__ = ["ENDS", "checksum", "difference", "fingerprint", "open_file", "read_at"]

ENDS = 64 * 2**10
"""Bytes of head and of tail that are hashed."""
_STEP = 8 * 2**20


def open_file(path: str) -> BinaryIO:
    """The file, for reading bytes. Raises `SourceError` if it can't be read from any place in it."""
    safe = "Nothing was changed."
    try:
        info = os.stat(path)
        if stat.S_ISDIR(info.st_mode):
            raise SourceError(f"{path} is a folder, not a file.", safe=safe, do="Name one of the files in it.")
        if not (stat.S_ISREG(info.st_mode) and info.st_nlink):
            raise SourceError(
                f"{path} is a pipe or a device: what has come through it can't be read again after a stop.",
                safe=safe,
                do=_spooled(path),
            )
        return open(path, "rb", buffering=0)
    except FileNotFoundError:
        do = (
            f"Check the path; the working directory is {os.getcwd()}." if not os.path.isabs(path) else "Check the path."
        )
        raise SourceError(f"{path} isn't there.", safe=safe, do=do) from None
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        do = "Check its permissions." if isinstance(error, PermissionError) else "Put that right, then run it again."
        raise SourceError(f"{path} can't be opened: {why}.", safe=safe, do=do) from None


def _spooled(path: str) -> str:
    """How what comes through a pipe becomes a file."""
    if path == "/dev/stdin":
        how = "COMMAND > rows.csv` instead of `COMMAND | resumable ..."
    elif path.startswith(("/dev/fd/", "/proc/")):
        how = "COMMAND > rows.csv` instead of `<(COMMAND)"
    else:
        how = f"cat < {shlex.quote(path)} > rows.csv"
    return f"Write it to a file first, and load that: `{how}`."


def read_at(file: BinaryIO, offset: int, length: int) -> bytes:
    """`length` bytes from `offset`, fewer only at the end of the file. Raises `SourceError` if the disk fails."""
    data = b""
    try:
        while len(data) < length and (more := os.pread(file.fileno(), length - len(data), offset + len(data))):
            data += more
    except OSError as error:
        raise SourceError(
            f"{file.name} can't be read at byte {offset + len(data):,}: {(error.strerror or str(error)).lower()}.",
            safe="What was committed is safe.",
            do="See to the disk, or bring a copy of the file, then run the same again.",
        ) from error
    return data


def checksum(file: BinaryIO, begin: int, end: int, crc: int = 0) -> int:
    """The CRC-32 of the bytes from `begin` to `end`, after others whose CRC-32 is `crc`."""
    while begin < end:
        data = read_at(file, begin, min(_STEP, end - begin))
        if not data:
            break
        crc, begin = zlib.crc32(data, crc), begin + len(data)
    return crc


def fingerprint(file: BinaryIO) -> dict[str, Json]:
    """Size in bytes, hashes of head and tail, inode and time of the last write: JSON."""
    info = os.fstat(file.fileno())
    size = info.st_size
    return {
        "size": size,
        "head": _hash(read_at(file, 0, ENDS)),
        "tail": _hash(read_at(file, max(0, size - ENDS), ENDS)),
        "stat": [info.st_ino, info.st_mtime_ns],
    }


def difference(file: BinaryIO, was: dict[str, Json], offset: int, crc: int, *, full: bool) -> str | None:
    """In words, what has changed since the fingerprint `was` was taken and `offset` bytes with that `crc` were read.

    `full` reads those bytes again even if the file looks untouched. None if nothing has changed.
    """
    now = fingerprint(file)
    sizes = f"its size was {was['size']:,} bytes and is {now['size']:,}"
    if now["size"] < was["size"]:
        return f"it has shrunk: {sizes}"
    if _hash(read_at(file, 0, min(ENDS, was["size"]))) != was["head"]:
        return f"its beginning differs, so it was replaced or edited ({sizes})"
    if now["size"] > was["size"]:
        return f"it has grown: {sizes}"
    if now["tail"] != was["tail"]:
        return f"its end was edited (its size is still {now['size']:,} bytes)"
    if (full or now["stat"] != was["stat"]) and checksum(file, 0, offset) != crc:
        return f"a part that was read already was edited, somewhere in the first {offset:,} bytes"
    return None


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

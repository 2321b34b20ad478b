"""The CRC-32 of a part of a file, read in pieces: how a position recognizes the bytes before it."""

from __future__ import annotations

import zlib

from resumable.formats.protocols import ReadableFile

__all__ = ["checksum"]

_STEP = 8 * 2**20


def checksum(file: ReadableFile, begin: int, end: int, crc: int = 0) -> int:
    """The CRC-32 of the bytes from `begin` to `end`, after others whose CRC-32 is `crc`."""
    while begin < end:
        data = file.read(begin, min(_STEP, end - begin))
        if not data:
            break
        crc = zlib.crc32(data, crc)
        begin += len(data)
    return crc

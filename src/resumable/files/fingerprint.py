"""How a file's content is recognized, and whether it is still what was read.

Laws kept here:

* No path, no name, no time decides: a file that was copied or touched is the same, a file with other content isn't.
* If the file was written to (its version differs), all that was read is read again and compared, by the format. Else
  its size, head and tail are enough, and the last block that was read, which every resume reads again.
"""

from __future__ import annotations

import hashlib

from resumable.checkpoint import Json
from resumable.files.place import OpenFile

__all__ = ["ENDS", "content_difference", "fingerprint"]

ENDS = 64 * 2**10
"""Bytes of head and of tail that are hashed."""


def fingerprint(file: OpenFile) -> dict[str, Json]:
    """Size in bytes, hashes of head and tail, and the version: JSON."""
    return {
        "size": file.size,
        "head": _hash(file.read(0, ENDS)),
        "tail": _hash(file.read(max(0, file.size - ENDS), ENDS)),
        "stat": file.version,
    }


def content_difference(file: OpenFile, was: dict[str, Json]) -> str | None:
    """In words, what size, head and tail show to have changed since the fingerprint `was` was taken; else None."""
    size = file.size
    sizes = f"its size was {was['size']:,} bytes and is {size:,}"
    if size < was["size"]:
        return f"it has shrunk: {sizes}"
    if _hash(file.read(0, min(ENDS, was["size"]))) != was["head"]:
        return f"its beginning differs, so it was replaced or edited ({sizes})"
    if size > was["size"]:
        return f"it has grown: {sizes}"
    if _hash(file.read(max(0, size - ENDS), ENDS)) != was["tail"]:
        return f"its end was edited (its size is still {size:,} bytes)"
    return None


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()

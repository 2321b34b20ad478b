"""State as a line of JSON with a version and a checksum.

Laws kept here:

* State is JSON with a version, never pickle.
* A corrupt or newer record is `CorruptCheckpoint`, never "start from zero".
"""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Iterator
from typing import Any

from resumable.errors import CorruptCheckpoint

__all__ = ["FORMAT", "reading", "seal", "unseal"]

FORMAT = 1
"""Version of the JSON form. A reader refuses a greater one."""


def seal(body: dict[str, Any]) -> str:
    """The line."""
    # Twice: a key that isn't text becomes text, and may then sort elsewhere; what is read must seal the same.
    text = _dump(json.loads(_dump(body)))
    return f'{{"format":{FORMAT},"crc32":{zlib.crc32(text.encode())},"body":{text}}}'


def unseal(text: str | bytes, where: str) -> dict[str, Any]:
    """What was sealed; to be called within `reading`."""
    sealed = json.loads(text)
    if sealed["format"] > FORMAT:
        raise CorruptCheckpoint(
            f"{where} was written by a newer version of resumable (format {sealed['format']}, this one reads {FORMAT}).",
            safe="Nothing was changed.",
            do="Update resumable: pip install -U resumable-pipelines.",
        )
    body: dict[str, Any] = sealed["body"]
    if zlib.crc32(_dump(body).encode()) != sealed["crc32"]:
        raise ValueError("checksum")
    return body


@contextlib.contextmanager
def reading(where: str) -> Iterator[None]:
    """Whatever goes wrong within is a `CorruptCheckpoint` that names `where`."""
    try:
        yield
    except CorruptCheckpoint:
        raise
    except Exception as error:
        raise CorruptCheckpoint(
            f"{where} can't be read ({type(error).__name__}: {error}).",
            safe="Nothing was changed; the target keeps what was committed.",
            do="Restore it from a copy, or remove it: a database target's ledger still knows the run.",
        ) from error


def _dump(body: Any) -> str:
    return json.dumps(body, separators=(",", ":"), sort_keys=True, allow_nan=False)

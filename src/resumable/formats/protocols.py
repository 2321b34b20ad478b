"""What a format is: a decoder turns bytes into rows, an encoder turns rows into bytes.

A new format brings these two, and one line in registry.py; it touches nothing else. Neither of them knows where the
bytes lie, nor of runs and claims.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

import pyarrow as pa

from resumable.checkpoint import Json
from resumable.protocols import Batch

__all__ = ["Decoder", "Encoder", "MakeEncoder", "ReadableFile", "ends_at", "fraction"]


class ReadableFile(Protocol):
    """The bytes that there were when the run began, wherever they lie."""

    @property
    def path(self) -> str:
        """How messages call it."""
        ...

    @property
    def size(self) -> int | None:
        """Its bytes; None where that isn't known before all is read, as of a compressed file."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end of the file. Cheap where reading goes forwards."""
        ...


def ends_at(file: ReadableFile, offset: int) -> bool:
    """Whether the file has no byte at `offset` or behind it."""
    return offset >= file.size if file.size is not None else not file.read(offset, 1)


def fraction(file: ReadableFile, offset: int) -> float | None:
    """How much of the file lies before `offset`, 0 to 1, if its size is known."""
    return offset / file.size if file.size else None


class Decoder(Protocol):
    """Bytes into rows, from any position that it has given out. It has no state of its own: a position is enough.

    A file that isn't of the format raises `SourceError`, a row that doesn't fit `BadRow`, and one that isn't what
    was read before `SourceChanged`. Memory doesn't grow with the file.

    MAY: have `note(file)`, what people should know of how the file is read, and `notes(file, schema)`, advice for
    `explain()`.
    """

    def schema(self, file: ReadableFile) -> pa.Schema:
        """The columns, inferred where need be."""
        ...

    def read(self, file: ReadableFile, schema: pa.Schema, position: Json) -> Iterator[Batch]:
        """Batches after `position` (None: all), each with the position behind it: small JSON."""
        ...

    def verify(self, file: ReadableFile, position: Json) -> str | None:
        """In words, what differs in the bytes before `position`, all of which are read again; None if nothing does."""
        ...

    def describe(self, path: str, size: str) -> str:
        """What is read, for `explain()`: a sentence or two. `size`: "1,024 bytes", or "not there"."""
        ...


class Encoder(Protocol):
    """Rows of one schema into bytes: all bytes that it gives, one after the other, are the file.

    A run may be cut at every `seal`: an encoder that is made anew from the `state` after it goes on to the same file.
    Raises `TargetError` for columns that the format can't hold, when it is made, and `BadRow` for a row.
    """

    @property
    def state(self) -> Json:
        """What another encoder needs to go on after the last `seal`: small JSON; None if it needs nothing."""
        ...

    def begin(self) -> bytes:
        """What a file begins with. Called once, for a new file."""
        ...

    def encode(self, batch: Batch) -> bytes | memoryview:
        """The rows, or what there is of them so far."""
        ...

    def seal(self) -> bytes:
        """The end of a commit: what is missing of all rows so far. b"" if nothing is."""
        ...

    def finish(self) -> bytes:
        """What a file ends with. Called once, after the last `seal`."""
        ...


MakeEncoder: TypeAlias = Callable[[pa.Schema, Json], Encoder]
"""Makes an encoder for rows of a schema, in the state that another one has left (None: it needs none, or is new)."""

"""What a source, a sink or a writer may have besides what it must: protocols of one member each, and how to ask for it.

It is asked for by name, so that a part may pass on what another one has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, cast

import pyarrow as pa

from resumable.checkpoint import Json
from resumable.protocols import Reject, Sink, Source, Writer

__all__ = [
    "HasAddress",
    "HasIfExists",
    "HasMore",
    "HasNote",
    "HasNotes",
    "HasSift",
    "IsVolatile",
    "address",
    "if_exists",
    "is_volatile",
    "more",
    "note",
    "notes",
    "sift",
]


class HasAddress(Protocol):
    """A source or a sink after which runs can be named."""

    @property
    def address(self) -> str:
        """A text that tells it from others, in any process."""
        ...


class HasNote(Protocol):
    """A source or a sink about which there may be something to know while a run is under way."""

    @property
    def note(self) -> str:
        """A sentence without its full stop, or nothing."""
        ...


class HasNotes(Protocol):
    """A source that can say more about itself in `explain()`."""

    def notes(self, schema: pa.Schema) -> list[str]:
        """A line for each thing that is worth knowing of the input."""
        ...


class HasMore(Protocol):
    """A source that may grow without having changed."""

    def more(self, identity: dict[str, Json]) -> str | None:
        """In words, what has been added since `identity`; None if nothing has."""
        ...


class IsVolatile(Protocol):
    """A source that may change without `changed` being able to tell, as a table may."""

    volatile: bool


class HasIfExists(Protocol):
    """A sink that was told what to do with a target that is there."""

    if_exists: str


class HasSift(Protocol):
    """A writer that can put aside rows which it has taken."""

    def sift(self) -> Iterator[tuple[Reject, ...]]:
        """Take the rows that `publish` would refuse out of what it holds, if the sink was told to put rows aside.

        Called once all input is in; the next commit is without them.
        """
        ...


def address(part: object) -> str:
    """See `HasAddress`."""
    return str(getattr(part, "address", "") or "")


def note(part: object) -> str:
    """See `HasNote`."""
    return str(getattr(part, "note", ""))


def notes(source: Source, schema: pa.Schema | None) -> list[str]:
    """See `HasNotes`; without a frozen schema, of what it would be now."""
    return cast(HasNotes, source).notes(schema or source.schema()) if hasattr(source, "notes") else []


def more(source: Source, identity: dict[str, Json]) -> str | None:
    """See `HasMore`."""
    return cast(HasMore, source).more(identity) if hasattr(source, "more") else None


def is_volatile(source: Source) -> bool:
    """See `IsVolatile`."""
    return bool(getattr(source, "volatile", False))


def if_exists(sink: Sink) -> str:
    """See `HasIfExists`; nothing if it doesn't say."""
    return str(getattr(sink, "if_exists", ""))


def sift(writer: Writer) -> Iterator[tuple[Reject, ...]]:
    """See `HasSift`; nothing if it can't."""
    return cast(HasSift, writer).sift() if hasattr(writer, "sift") else iter(())

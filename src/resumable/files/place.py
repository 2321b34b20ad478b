"""What a place is: where bytes lie, how they are read from any offset, and how they are put there as one.

A new place brings these three and touches nothing else: a local folder (local.py) is one, an object store another.
"""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Protocol, Self, TypeAlias

from resumable.checkpoint import ClaimId, Json

__all__ = ["IfExists", "OpenFile", "Partial", "Place"]

IfExists: TypeAlias = Literal["fail", "replace"]


class OpenFile(Protocol):
    """A file that is read. A context manager: leaving it closes the file."""

    @property
    def path(self) -> str:
        """How messages call it."""
        ...

    @property
    def size(self) -> int:
        """Its bytes when it was opened."""
        ...

    @property
    def version(self) -> Json:
        """Something small that differs if the file was written to: an inode and a time, an entity tag. JSON."""
        ...

    def read(self, offset: int, length: int) -> bytes:
        """`length` bytes from `offset`, fewer only at the end of the file. Raises `SourceError`."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Partial(Protocol):
    """A file that is being written for one run under one claim: nobody sees it before `publish`.

    Nothing is made or changed before `create` or `recover`. Raises `Superseded` where a newer claim has the run,
    `AlreadyRunning`, `TargetExists`, `TargetChanged`, `TargetError`.
    """

    @property
    def target(self) -> object:
        """Where it goes, for messages."""
        ...

    @property
    def state(self) -> dict[str, Json]:
        """What another process needs to come back to this length; it counts once `sync` has returned. Small JSON."""
        ...

    def fence(self) -> None:
        """Raise `Superseded` if a newer claim writes for this run."""
        ...

    def create(self, if_exists: IfExists) -> None:
        """Make an empty file under this claim; refuse a target that can't be written, or mustn't."""
        ...

    def recover(self, state: dict[str, Json], *, takeover: bool, complete: bool) -> bool:
        """Come back to `state`: what was written later is cut off, and an older claim can't write here any more.

        True if it was published already: looked for where the run was `complete` in that state. `takeover`: its
        writer may live. `state` may differ afterwards. Never begins from zero: `TargetChanged` if bytes are lost.
        """
        ...

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes at the end; they count once `sync` has returned."""
        ...

    def sync(self) -> None:
        """Make all bytes durable. Raises `Superseded` if the file is no longer this claim's."""
        ...

    def publish(self, if_exists: IfExists) -> None:
        """Put the file in its place in one step. May be repeated. With "fail" nothing is ever replaced."""
        ...

    def is_published(self, state: dict[str, Json]) -> bool:
        """Whether a file is in its place; `TargetChanged` if it can't be what a run in that state has published."""
        ...

    def sweep(self, *, keep: bool = False) -> None:
        """Remove what this claim and older ones have left of the run; `keep` the file that is open."""
        ...

    def discard(self) -> None:
        """Remove what this opening made, if it made anything, and close."""
        ...

    def close(self) -> None:
        """Stop writing. Bytes that weren't made durable may be dropped. Safe to repeat."""
        ...


class Place(Protocol):
    """Where files lie, by path."""

    def address(self, path: str, *, write: bool = False) -> str:
        """The one name of what a path means when it is read, or written: runs are named after it."""
        ...

    def open(self, path: str) -> OpenFile:
        """The file, to be read from any offset. Raises `SourceError`."""
        ...

    def size(self, path: str) -> int | None:
        """The file's bytes; None if it isn't there."""
        ...

    def partial(self, path: str, run: str, claim: ClaimId) -> Partial:
        """The file of that run and claim, which is to be put at `path`. Nothing is made yet."""
        ...

    def describe(self, if_exists: IfExists) -> str:
        """How a file is written, to be read after "CSV file NAME: "."""
        ...

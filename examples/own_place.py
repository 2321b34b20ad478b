"""A place of your own: files in the memory of this process. See docs/write-a-place.md.

A file that is being written is an upload, with a number and the claim under which it is written. Whoever opens it again
goes on in a copy of the committed bytes under his own claim. So what an older writer still writes does no harm.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any

from resumable import ClaimId
from resumable.errors import AlreadyRunning, SourceError, Superseded, TargetChanged, TargetError, TargetExists
from resumable.files.place import IfExists


@dataclass
class Upload:
    """Bytes on their way to a path. `live`: somebody has it open."""

    number: int
    path: str
    run: str
    claim: ClaimId
    data: bytearray
    live: bool = True


@dataclass
class MemoryPlace:
    """The files, the uploads, and a counter for both: no number is used twice."""

    files: dict[str, tuple[int, bytes]] = field(default_factory=dict)
    uploads: list[Upload] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=itertools.count)

    def address(self, path: str, *, write: bool = False) -> str:
        """A path has one spelling here."""
        return f"memory:{path}"

    def open(self, path: str) -> MemoryFile:
        """A file that is there."""
        if path not in self.files:
            raise SourceError(f"{path} isn't there.", safe="Nothing was changed.", do="Check the path.")
        return MemoryFile(path, *self.files[path])

    def size(self, path: str) -> int | None:
        """Its bytes."""
        return len(self.files[path][1]) if path in self.files else None

    def partial(self, path: str, run: str, claim: ClaimId) -> MemoryPartial:
        """A writer that has made nothing yet."""
        return MemoryPartial(self, path, run, claim)

    def describe(self, if_exists: IfExists) -> str:
        """How a file is written."""
        return "collected in memory, and lost with this process."

    def write(self, path: str, data: bytes) -> None:
        """Put a file there by hand."""
        self.files[path] = next(self.numbers), data


class MemoryFile:
    """See `OpenFile`. Its version is its number: another file at the same path has another one."""

    def __init__(self, path: str, version: int, data: bytes) -> None:
        self.path, self.version, self.size, self._data = path, version, len(data), data

    def read(self, offset: int, length: int) -> bytes:
        """Some of its bytes."""
        return self._data[offset : offset + length]

    def __enter__(self) -> MemoryFile:
        return self

    def __exit__(self, *error: object) -> None: ...


class MemoryPartial:
    """See `Partial`. Its state: the upload's number, and how many of its bytes count."""

    def __init__(self, place: MemoryPlace, path: str, run: str, claim: ClaimId) -> None:
        self.place, self.target, self.run, self.claim = place, path, run, claim
        self.upload: Upload | None = None

    @property
    def state(self) -> dict[str, Any]:
        """The number and the length."""
        upload = self._open()
        return {"upload": upload.number, "length": len(upload.data)}

    def fence(self) -> None:
        """A newer claim has an upload."""
        newest = max((upload.claim for upload in self._uploads()), default=self.claim)
        if newest > self.claim:
            error = Superseded("The run was taken over.", safe="What was committed is safe.", do="Look at its status.")
            error.epoch = newest.epoch
            raise error

    def create(self, if_exists: IfExists) -> None:
        """An empty upload."""
        self._refuse_existing(if_exists)
        self._begin(b"")

    def recover(self, state: dict[str, Any], *, takeover: bool, complete: bool) -> bool:
        """A copy of the first bytes of the upload, or nothing if that was published."""
        if not isinstance(state, dict) or not {"upload", "length"} <= state.keys():
            raise TargetChanged(f"{self.run} isn't {self.target}'s.", safe="Nothing was changed.", do="Begin anew.")
        old = next((upload for upload in self._uploads() if upload.number == state["upload"]), None)
        if old is None and complete and self.place.files.get(self.target, (None, b""))[0] == state["upload"]:
            return True
        if old is None or len(old.data) < state["length"]:
            self.fence()
            raise TargetChanged(f"{self.target}'s bytes are lost.", safe="Nothing was changed.", do="Begin anew.")
        if old.live and not takeover:
            raise AlreadyRunning(f"{self.target} is being written.", safe="Nothing was changed.", do="Wait for it.")
        self._begin(bytes(old.data[: state["length"]]))
        return False

    def append(self, data: bytes | memoryview) -> None:
        """Add bytes."""
        self._open().data += data

    def sync(self) -> None:
        """Memory is as durable as this place gets; is it still ours?"""
        self._open()
        self.fence()

    def publish(self, if_exists: IfExists) -> None:
        """In one step: the file is there, and the upload is gone."""
        upload = self._open()
        if self.place.files.get(self.target, (None, b""))[0] == upload.number:
            return
        self.fence()
        self._refuse_existing(if_exists)
        self.place.files[self.target] = upload.number, bytes(upload.data)
        self.place.uploads.remove(upload)

    def is_published(self, state: dict[str, Any]) -> bool:
        """Whether there is a file."""
        return self.target in self.place.files

    def sweep(self, *, keep: bool = False) -> None:
        """Remove the run's uploads, but for those of newer claims."""
        for upload in self._uploads():
            if upload.claim <= self.claim and not (keep and upload is self.upload):
                self.place.uploads.remove(upload)

    def discard(self) -> None:
        """Remove the upload that this opening made."""
        if self.upload in self.place.uploads:
            self.place.uploads.remove(self.upload)
        self.close()

    def close(self) -> None:
        """Leave the upload to whoever comes next."""
        if self.upload is not None:
            self.upload.live = False
        self.upload = None

    def _uploads(self) -> list[Upload]:
        return [upload for upload in self.place.uploads if (upload.path, upload.run) == (self.target, self.run)]

    def _begin(self, data: bytes) -> None:
        self.upload = Upload(next(self.place.numbers), self.target, self.run, self.claim, bytearray(data))
        self.place.uploads.append(self.upload)

    def _open(self) -> Upload:
        if self.upload is None:
            raise TargetError(f"{self.target} is closed.", safe="What was committed is safe.", do="Run it again.")
        return self.upload

    def _refuse_existing(self, if_exists: IfExists) -> None:
        if if_exists == "fail" and self.target in self.place.files:
            raise TargetExists(f"{self.target} is there.", safe="It wasn't touched.", do="Name another file.")

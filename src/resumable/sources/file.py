"""A file as a source: where it lies (a place) and how it is read (a format's decoder) are told apart here.

Law kept here: only the bytes that were there at the start are read. What is appended meanwhile is a change, not more
input.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, Literal

import pyarrow as pa

from resumable.checkpoint import Json
from resumable.errors import UsageError
from resumable.files.fingerprint import content_difference, fingerprint
from resumable.files.local import LOCAL
from resumable.files.place import OpenFile, Place
from resumable.formats.protocols import Decoder
from resumable.formats.registry import find_format
from resumable.protocols import Batch

__all__ = ["FileSource", "file_source"]


def file_source(
    path: str | os.PathLike[str],
    *,
    format: str = "",
    place: Place = LOCAL,
    identity: Literal["sampled", "full"] = "sampled",
    **options: Any,
) -> FileSource:
    """A file of a registered format, by its name or by the path's ending; `options` are the format's."""
    form, implied = find_format(os.fspath(path), format)
    return FileSource(path, form.make_decoder(implied | options), place=place, identity=identity)


class FileSource:
    """Reads one file of a place.

    `identity="full"` compares all that was read whenever a run goes on, not only if the file was written to.
    The file is first opened by the methods.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        decoder: Decoder,
        *,
        place: Place = LOCAL,
        identity: Literal["sampled", "full"] = "sampled",
    ) -> None:
        if identity not in ("sampled", "full"):
            raise UsageError(f"identity={identity!r} is unknown.", do="Use 'sampled' or 'full'.")
        self.path, self.decoder, self.place = os.fspath(path), decoder, place
        self.full = identity == "full"

    @property
    def address(self) -> str:
        """The file's one path."""
        return self.place.address(self.path)

    def identity(self) -> dict[str, Json]:
        """See `Source.identity`: size, head, tail, and whether it was written to; not where it lies."""
        with self.place.open(self.path) as file:
            return fingerprint(file)

    def changed(self, identity: dict[str, Json], position: Json) -> str | None:
        """See `Source.changed`."""
        with self.place.open(self.path) as file:
            difference = content_difference(file, identity)
            if difference is None and (self.full or file.version != identity["stat"]):
                difference = self.decoder.verify(file, position)
            return difference

    def schema(self) -> pa.Schema:
        """See `Source.schema`."""
        with self.place.open(self.path) as file:
            return self.decoder.schema(file)

    def read(self, schema: pa.Schema, position: Json, identity: dict[str, Json]) -> Iterator[Batch]:
        """See `Source.read`."""
        with self.place.open(self.path) as file:
            yield from self.decoder.read(_Start(file, identity["size"]), schema, position)

    def describe(self) -> str:
        """See `Source.describe`."""
        size = self.place.size(self.path)
        checked = "all that was read" if self.full else "the last block read, or all that was read if it was touched"
        return (
            f"{self.decoder.describe(self.path, 'not there' if size is None else f'{size:,} bytes')} A resume seeks to"
            " the byte after the last committed row, and rests on the file's size, its first and last 64 KiB and"
            f" {checked}."
        )

    def notes(self, schema: pa.Schema) -> list[str]:
        """What the format advises about the file, for `explain()`."""
        notes = getattr(self.decoder, "notes", None)
        if notes is None:
            return []
        with self.place.open(self.path) as file:
            return list(notes(file, schema))

    @property
    def note(self) -> str:
        """What people should know of how it is read; "" if nothing. Raises `SourceError` if it can't be opened."""
        note = getattr(self.decoder, "note", None)
        if note is None:
            return ""
        with self.place.open(self.path) as file:
            return str(note(file))


class _Start:
    """The first bytes of a file: those that it had when the run began."""

    def __init__(self, file: OpenFile, size: int) -> None:
        self._file, self.path, self.size = file, file.path, size

    def read(self, offset: int, length: int) -> bytes:
        return self._file.read(offset, max(0, min(length, self.size - offset)))

"""A file as a sink: where it goes (a place) and how its rows are written (a format's encoder) are told apart here.

The state in the checkpoint is that of the partial file, and under "encoder" the encoder's, if it has one. Rows are made
durable first; the store's save is the commit.

* Each commit seals what was encoded: an encoder made anew from the saved state goes on behind it.
* What the format ends a file with belongs to the commit that says `complete`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

from resumable.checkpoint import Checkpoint, Json
from resumable.errors import Superseded, UsageError
from resumable.files.local import LOCAL
from resumable.files.place import IfExists, Partial, Place
from resumable.formats.protocols import Encoder, MakeEncoder
from resumable.formats.registry import find_format
from resumable.protocols import Batch, Claimant, Reject

__all__ = ["FileSink", "FileWriter", "file_sink"]


def file_sink(
    path: str | os.PathLike[str],
    *,
    format: str = "",
    place: Place = LOCAL,
    if_exists: IfExists = "fail",
    **options: Any,
) -> FileSink:
    """A file of a registered format, by its name or by the path's ending; `options` are the format's."""
    form, implied = find_format(os.fspath(path), format)
    encoder = form.make_encoder(implied | options)
    return FileSink(path, encoder, title=form.title, place=place, if_exists=if_exists)


class FileSink:
    """Writes one file of a place. `title` is the format's, for messages.

    `if_exists`: "fail" refuses a file that is there, "replace" replaces it at the end, in one step.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        encoder: MakeEncoder,
        *,
        title: str,
        place: Place = LOCAL,
        if_exists: IfExists = "fail",
    ) -> None:
        if if_exists not in ("fail", "replace"):
            raise UsageError(f"if_exists={if_exists!r} is not for files.", do="Say if_exists='fail' or 'replace'.")
        self.path, self.if_exists = os.fspath(path), if_exists
        self._encoder, self._title, self._place = encoder, title, place

    @property
    def address(self) -> str:
        """The file's one path."""
        return self._place.address(self.path, write=True)

    def open(self, claim: Claimant, last: Checkpoint) -> FileWriter:
        """Fence, recover, and go on after the committed length."""
        file = self._place.partial(self.path, claim.run, claim.id)
        return FileWriter.open(file, self._encoder, claim, last, if_exists=self.if_exists)

    def describe(self) -> str:
        """What it writes, and what its guarantee rests on."""
        return f"{self._title} file {self.path}: {self._place.describe(self.if_exists)}"


class FileWriter:
    """An open file sink. A run that is decided writes no more rows: it has no encoder."""

    def __init__(self, file: Partial, encoder: Encoder | None, last: Checkpoint, if_exists: IfExists) -> None:
        self._file, self._encoder, self.last, self._if_exists = file, encoder, last, if_exists

    @classmethod
    def open(
        cls, file: Partial, make_encoder: MakeEncoder, claim: Claimant, last: Checkpoint, *, if_exists: IfExists
    ) -> Self:
        """Fence and recover, as `Sink.open` promises."""
        schema = last.output_schema or last.schema
        state = last.sink if isinstance(last.sink, dict) else {}
        encoder = make_encoder(schema, state.get("encoder")) if schema is not None else None
        writer = cls(file, encoder, last, if_exists)
        try:
            file.fence()
            if not last.is_decided:
                writer.last = replace(writer._recover(claim) if last.is_begun else writer._begin(), claim=claim.id)
        except BaseException:
            file.close()
            raise
        return writer

    def accepted(self) -> None:
        """Remove what a takeover or a crash has left of older claims; one may have come after the run was over."""
        self._file.sweep(keep=True)

    def discard(self) -> None:
        """Remove the file if this opening made it."""
        self._file.discard()

    def write(self, batch: Batch) -> tuple[Reject, ...]:
        """Append the rows."""
        assert self._encoder is not None
        self._file.append(self._encoder.encode(batch))
        return ()

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        """Make the rows durable; raises `Superseded` if the file was taken over."""
        self._check_number(checkpoint)
        if not checkpoint.is_decided:
            self._seal(complete=checkpoint.stage == "loaded" and self.last.stage != "loaded")
            self._file.sync()
            checkpoint = replace(checkpoint, sink=self._state())
        self.last = checkpoint
        return checkpoint

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        """Give the file its name."""
        self._check_number(checkpoint)
        self._file.publish(self._if_exists)
        self.last = checkpoint
        return checkpoint

    def clean_up(self) -> None:
        """Remove the run's partial files."""
        self._file.sweep()

    def is_published(self) -> bool:
        """Whether the target is there, and not empty if anything was written to it."""
        return self._file.is_published(self.last.sink or {})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def _begin(self) -> Checkpoint:
        self._file.create(self._if_exists)
        try:
            if self._encoder is not None:
                self._file.append(self._encoder.begin())
            self._seal(complete=False)
            self._file.sync()
        except BaseException:
            self._file.discard()
            raise
        return self.last.next(sink=self._state())

    def _recover(self, claim: Claimant) -> Checkpoint:
        last, state = self.last, self.last.sink
        if isinstance(state, dict):
            state = {key: value for key, value in state.items() if key != "encoder"}
        if self._file.recover(state, takeover=claim.takeover, complete=last.stage == "loaded"):
            return last.next(complete=True, outcome="completed", previous=None)
        # Another state of the partial file, such as a new inode, is another checkpoint.
        return last if self._file.state == state else last.next(sink=self._state())

    def _seal(self, *, complete: bool) -> None:
        """End what was encoded so far, and the whole file if it is `complete`."""
        if self._encoder is None:
            return
        self._file.append(self._encoder.seal())
        if complete:
            self._file.append(self._encoder.finish())

    def _state(self) -> dict[str, Json]:
        encoder = None if self._encoder is None else self._encoder.state
        return self._file.state if encoder is None else {**self._file.state, "encoder": encoder}

    def _check_number(self, checkpoint: Checkpoint) -> None:
        if checkpoint.number != self.last.number + 1:
            raise Superseded(
                f"Checkpoint {checkpoint.number} can't follow {self.last.number} in {self._file.target}.",
                safe="What was committed is safe.",
                do="Run the same again.",
            )

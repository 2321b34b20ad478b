"""Rejected rows, in a JSON-lines file beside what another sink writes.

One object a line: `{"source", "row", "offset", "column", "reason", "text"}`; a line is in the file exactly if its
row was left out of the target. `length`, where the source says it: the row's bytes from `offset` on. `text` is null where
they are more than a megabyte.

Laws kept here:

* The rejects are durable before the rows that were read with them: their length is in the checkpoint's `quarantine_state`, which
  the inner sink commits as it commits everything.
* The inner sink is opened first, and fences. Its word may be older than the newest partial file, so no inode can be
  recorded: the run's newest partial by claim that holds the committed length is the one.
* The file gets its name when the run is completed and has rejects. The file of an earlier run is never replaced, unless
  it is empty: it may be the only trace of rows that were left out.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from resumable.checkpoint import Checkpoint
from resumable.errors import TargetChanged, TargetError, TargetExists
from resumable.files.partial import PartialFile
from resumable.files.posix import inspect_target
from resumable.optional_parts import address, if_exists, note, sift
from resumable.protocols import Batch, Claimant, Reject, Sink, Writer

__all__ = ["QuarantineSink"]


class QuarantineSink:
    """Wraps `sink`, which puts rows aside as the source may do too; `path` is the file that they go to.

    `source` is what the lines name as their source.
    """

    def __init__(self, sink: Sink, path: str | os.PathLike[str], *, source: str = "") -> None:
        self.sink, self.path, self.source = sink, os.fspath(path), source
        self.if_exists: str = if_exists(sink)

    @property
    def address(self) -> str:
        """The inner sink's."""
        return address(self.sink)

    @property
    def note(self) -> str:
        """The inner sink's."""
        return note(self.sink)

    def open(self, claim: Claimant, last: Checkpoint) -> Writer:
        """Open the inner sink, then bring the rejects to what it has committed."""
        inner = self.sink.open(claim, last)
        file = PartialFile(self.path, claim.run, claim.id)
        try:
            file.fence()
            if not inner.last.is_decided:  # its word wins, where the store knows how another run has ended
                if last.stage == "new" and inner.last.number == 1:
                    _refuse_existing(file.target)
                try:
                    _recover(file, _length(inner.last))
                except (TargetChanged, TargetError):
                    if not last.is_decided:  # to call a run off needs no rejects
                        raise
        except BaseException as error:
            file.close()
            try:
                if not last.is_begun and inner.last.number == 1:
                    inner.discard()
            finally:
                inner.__exit__(type(error), error, error.__traceback__)
            raise
        return _QuarantineWriter(inner, file, self.source)

    def describe(self) -> str:
        """What it writes, and what its guarantee rests on."""
        return (
            f"{self.sink.describe()} Rows that don't fit are kept in {self.path}, one JSON object a line, made durable "
            "before the rows that were read with them; the file appears when the run is completed."
        )


class _QuarantineWriter:
    def __init__(self, inner: Writer, file: PartialFile, source: str) -> None:
        self._inner, self._file, self._source = inner, file, source

    @property
    def last(self) -> Checkpoint:
        return self._inner.last

    @last.setter
    def last(self, checkpoint: Checkpoint) -> None:
        self._inner.last = checkpoint

    def accepted(self) -> None:
        self._inner.accepted()
        if (
            self._file.inode or self.last.is_finished
        ):  # decided and not yet over: `clean_up` still has to name the newest
            self._file.sweep(keep=True)

    def discard(self) -> None:
        self._inner.discard()
        self._file.discard()

    def write(self, batch: Batch) -> tuple[Reject, ...]:
        refused = self._inner.write(batch)
        rejects = sorted((*batch.rejects, *refused), key=lambda reject: reject.row)
        if rejects:
            self._append(rejects)
        return refused

    def sift(self) -> Iterator[tuple[Reject, ...]]:
        for part in sift(self._inner):
            self._append(part)
            yield part

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        if checkpoint.is_decided:
            return self._inner.commit(checkpoint)
        self._file.sync()
        return self._inner.commit(replace(checkpoint, quarantine_state={"length": self._file.length}))

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        return self._inner.publish(checkpoint)

    def clean_up(self) -> None:
        # Before the inner sink's: once that has said that all is over, nobody calls again.
        length = _length(self.last)
        if self.last.is_published and length:
            self._publish_rejects(length)
        self._file.sweep()
        self._inner.clean_up()

    def is_published(self) -> bool:
        return self._inner.is_published()

    def __enter__(self) -> Self:
        self._inner.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._inner.__exit__(kind, error, trace)

    def _append(self, rejects: Iterable[Reject]) -> None:
        self._file.append(b"".join(_line(self._source, reject) for reject in rejects))

    def _publish_rejects(self, length: int) -> None:
        """Publish the rejects; may be redone by a session that finds the run completed and its file not yet named."""
        if not self._file.inode:
            inode = self._file.newest(length)
            if inode is None or self._file.confirm(inode):
                return
            _adopt(self._file, inode, length)
        empty = self._file.target.is_file() and not self._file.target.stat().st_size
        self._file.publish("replace" if empty else "fail")


def _length(last: Checkpoint) -> int:
    return last.quarantine_state["length"] if last.quarantine_state else 0


def _recover(file: PartialFile, length: int) -> None:
    inode = file.newest(length)
    if inode is not None:
        _adopt(file, inode, length)
    elif length:
        raise file.missing_error()
    else:
        file.create("replace")


def _adopt(file: PartialFile, inode: int, length: int) -> None:
    # The inner sink has fenced the old writer off already, so that it may live doesn't matter: it gets a copy.
    if not file.adopt(inode, takeover=True):
        raise file.missing_error()
    if file.truncate(length):
        file.rename_copy()


def _refuse_existing(target: Path) -> None:
    info = inspect_target(target, "replace")
    if info is not None and info.st_size:
        raise TargetExists(
            f"{target} is there already: it may hold the rejected rows of an earlier run.",
            safe="Nothing was changed.",
            do="Look at it, then move it away, or name another file with quarantine= (--quarantine).",
        )


def _line(source: str, reject: Reject) -> bytes:
    line = {
        "source": source,
        "row": reject.row,
        "offset": reject.offset,
        "column": reject.column,
        "reason": reject.reason,
        "text": reject.text,
    }
    if reject.length is not None:
        line["length"] = reject.length
    try:
        return json.dumps(line, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # bytes that are no text, as surrogates
        return json.dumps(line).encode() + b"\n"

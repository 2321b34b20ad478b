"""What a run is made of, and what it may go on over: the same input, the same options, or not at all."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import pyarrow as pa

from resumable.checkpoint import Checkpoint, CheckpointStore, Json
from resumable.errors import OptionsChanged, ResumableError, SourceChanged, UsageError
from resumable.optional_parts import if_exists, is_volatile, more, note
from resumable.protocols import Batch, Sink, Source

__all__ = ["Plan", "Transform"]

_SAME_ROWS = {"staging", "quarantine", "staging_schema"}
"""Options that change nothing of the rows that a completed run has published."""

Transform: TypeAlias = Callable[[pa.RecordBatch], pa.RecordBatch]


@dataclass(frozen=True, slots=True)
class Plan:
    """The parts of a run. `every`: seconds between commits; `reconnect`: how long to try to get a connection back."""

    source: Source
    sink: Sink
    name: str
    store: CheckpointStore
    every: float
    transform: Transform | None
    definition: dict[str, Json] = field(default_factory=dict)
    reconnect: float = 300.0

    def initial_checkpoint(self) -> Checkpoint:
        """A run's beginning: the source's identity and schema, frozen from here on."""
        identity, schema = self.source.identity(), self.source.schema()
        written = None
        if self.transform is not None:
            empty = pa.RecordBatch.from_arrays([pa.array([], f.type) for f in schema], schema=schema)
            written = self.transform(empty).schema
        return Checkpoint(source=identity, schema=schema, output_schema=written, definition=self.definition)

    def read(self, last: Checkpoint) -> Generator[Batch, None, None]:
        """The batches after the checkpoint, transformed."""
        assert last.schema is not None
        for batch in self.source.read(last.schema, last.position, last.source):
            if self.transform is None:
                yield batch
            else:
                yield replace(batch, rows=_cast(self.transform(batch.rows), last.output_schema))

    def check(self, last: Checkpoint) -> Checkpoint:
        """The checkpoint to go on from; other options, or another source, than the run began with are refused."""
        self.check_source(last)
        return self.with_current_options(last)

    def with_current_options(self, last: Checkpoint) -> Checkpoint:
        """The checkpoint with the options to go on with; other ones than the run began with are refused.

        Only one may change: a run that a bad row has stopped may go on with quarantine.
        """
        other = self._other(last)
        was = last.definition.get("options", {})
        if other and {*other} <= {"on_bad_row", "quarantine"} and was.get("on_bad_row") == "raise":
            return replace(last, definition=self.definition)
        if other:
            raise OptionsChanged(
                f"Run {self.name!r} was begun with other options: {', '.join(other.values())}.",
                safe="Nothing was changed; what it committed is kept.",
                do="Go on with the same options, or begin anew (--restart, pipeline.restart()), or terminate.",
            )
        return last

    def check_same_rows(self, last: Checkpoint) -> None:
        """Refuse to call a run completed that was completed with other options, if they change what its rows are."""
        other = {name: change for name, change in self._other(last).items() if name not in _SAME_ROWS}
        if not last.rejected:
            other.pop("on_bad_row", None)
        if other:
            raise OptionsChanged(
                f"Run {self.name!r} was completed{_on(last)} with other options: {', '.join(other.values())}.",
                safe="Nothing was changed: what it published stays.",
                do=f"Give the same options to leave it so. {self._anew()}",
            )

    def completed_message(self, last: Checkpoint) -> str:
        """What to say of a run that was completed before."""
        if not self._volatile:
            return "completed before, nothing to do"
        return f"completed before{_on(last)}, nothing to do; the table may have changed since. {self._anew()}"

    def _anew(self) -> str:
        if self._volatile and self.definition.get("kind") == "export":
            return "if_exists='replace' (--if-exists replace) exports it anew."
        twice = "; it adds the rows once more, unless the run has made the table itself" if self._adds else ""
        return f"A restart (--restart, pipeline.restart()) runs it anew with these{twice}."

    @property
    def _adds(self) -> bool:
        return if_exists(self.sink) == "append"

    @property
    def _volatile(self) -> bool:
        """Whether the source may have changed without a sign of it, as a table may."""
        return is_volatile(self.source)

    def note(self) -> str:
        """What people should know of how the source is read, and how the sink found its target once it has been opened."""
        notes = [note(self.sink)]
        with contextlib.suppress(ResumableError):  # it is to be read again for that; what it lacks is said elsewhere
            notes.append(note(self.source))
        return ". ".join(filter(None, notes))

    def _other(self, last: Checkpoint) -> dict[str, str]:
        """The options that aren't those the run began with, by name, in words."""
        was, now = last.definition.get("options"), self.definition.get("options")
        if was is None or now is None:
            return {}
        names = sorted(k for k in {*was, *now} - {"schema"} if was.get(k) != now.get(k))  # which table: the sink knows
        return {k: f"{k} was {was.get(k)!r} and is now {now.get(k)!r}" for k in names}

    def check_source(self, last: Checkpoint) -> None:
        """Refuse a source that is no longer what the run began with, as far as it was read."""
        if what := self.source.changed(last.source, last.position):
            raise SourceChanged(
                f"The source of run {self.name!r} has changed: {what}.",
                safe="Nothing was published, and what was committed is kept.",
                do="Bring the old source back to go on, or begin anew (--restart, pipeline.restart()), or terminate.",
            )

    def stale(self, last: Checkpoint) -> bool:
        """Whether a completed run is out of date: its source has changed, or there is `more` in it by now.

        Of one that can't prove that it is unchanged, each time that it is to replace what is there.
        """
        existing = if_exists(self.sink)
        if self._volatile and existing in ("fail", "replace"):  # with "fail" a new run could only be refused
            return existing == "replace"
        return bool(self.source.changed(last.source, last.position) or more(self.source, last.source))


def _on(last: Checkpoint) -> str:
    return time.strftime(" on %Y-%m-%d at %H:%M:%S", time.localtime(last.ended)) if last.ended else ""


def _cast(rows: pa.RecordBatch, schema: pa.Schema | None) -> pa.RecordBatch:
    if schema is None or rows.schema == schema:
        return rows
    try:
        return rows.select(schema.names).cast(schema)
    except (KeyError, ValueError, pa.ArrowNotImplementedError) as error:
        raise UsageError(
            f"The transform gave other columns or types than it gave for an empty batch: {error}.",
            safe="What was committed is safe; nothing was published.",
            do="A transform must always return the same columns and types.",
        ) from error

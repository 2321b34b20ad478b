"""SourceContract: what a source must do: the same rows after every position, in any process, or a refusal."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from resumable.checkpoint import Checkpoint, Json
from resumable.errors import SourceChanged
from resumable.pipeline import Pipeline
from resumable.protocols import MAX_BYTES, MAX_ROWS, Batch, Source
from resumable.stores import MemoryStore
from resumable.testing.checks import check, conclusive, equal, refused, told, world
from resumable.testing.crashing import Line, Process
from resumable.testing.shelf import Shelf

__all__ = ["SourceContract"]

FEWEST = 3
"""Batches that it takes for anything to be shown."""
SMALL = 100_000
"""Bytes of JSON that an identity or a position may have: each commit writes both."""


class SourceContract:
    """Subclass it as `class TestMySource(SourceContract)`, and say how source and input are made, and how it changes.

    `folder` is a world of its own in every test. The source must give at least three batches: a small input in
    smaller batches does.
    """

    def source(self, folder: Path) -> Source:
        """The source, made anew as another process would make it."""
        raise NotImplementedError

    def prepare(self, folder: Path) -> None:
        """Make the input; what lies elsewhere than in the folder, make anew."""

    def change(self, folder: Path) -> None:
        """Alter the input, so that a run in its middle mustn't go on over it."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------ reading on

    def test_from_every_position_the_same_rows_follow(self) -> None:
        """Read on by a new source, from every position, and again from each position that gives: the same rows after it."""
        with self._input() as run:
            for number, batch in enumerate(run.batches, 1):
                with told(f"Read on after batch {number}, from {batch.position}"):
                    rest = self._follows(run, batch)
                    if rest:
                        with told(f"then after the next batch, from {rest[0].position}"):
                            self._follows(run, rest[0])

    def test_after_the_last_position_nothing_follows(self) -> None:
        """The end of the input is a position like any other."""
        with self._input() as run:
            equal([], _rows(run.read(run.batches[-1].position)), "What comes after the last position")

    def test_reading_again_gives_the_same(self) -> None:
        """The same rows in the same order; the same schema, asked again."""
        with self._input() as run:
            equal(run.rows, _rows(run.read(None)), "The rows, read a second time")
            equal(run.schema, self.source(run.folder).schema(), "The schema, asked a second time")

    def test_another_process_reads_on(self) -> None:
        """Identity and positions are enough for a process that has nothing else."""
        with self._input() as run:
            middle = run.batches[len(run.batches) // 2]

            def read(line: Line) -> Json:
                return _rows(run.read(middle.position))

            with Process(read) as process:
                equal(run.after(middle), process.result(), "The rows that another process reads on with")

    def test_positions_and_identity_are_small_json(self) -> None:
        """Both come back from JSON as they were: no tuples, no numbers as keys, no NaN, nothing but what JSON has."""
        with self._input() as run:
            for what, value in (
                ("The identity", self.source(run.folder).identity()),
                *((f"The position of batch {number}", batch.position) for number, batch in enumerate(run.batches, 1)),
            ):
                text = json.dumps(value, allow_nan=False)
                equal(value, json.loads(text), f"{what}, written and read")
                check(len(text) < SMALL, f"{what} has {len(text):,} bytes: every commit writes it")

    # ------------------------------------------------------------------------------------------ its batches

    def test_batches_keep_to_the_schema_and_count_on(self) -> None:
        """Every batch has the frozen schema and at most so many rows; `row` counts on, `fraction` grows within 0 to 1."""
        with self._input() as run:
            row, fraction = 1, 0.0
            for number, batch in enumerate(run.batches, 1):
                with told(f"Batch {number}"):
                    check(batch.rows.schema.equals(run.schema), f"its schema is {batch.rows.schema}, not {run.schema}")
                    check(
                        batch.rows.num_rows <= MAX_ROWS, f"it has {batch.rows.num_rows:,} rows, more than {MAX_ROWS:,}"
                    )
                    check(
                        batch.rows.nbytes <= 2 * MAX_BYTES,
                        f"it has {batch.rows.nbytes:,} bytes, far over {MAX_BYTES:,}",
                    )
                    equal(row, batch.row, "the number of its first row")
                    row += batch.rows.num_rows + len(batch.rejects)
                    if batch.fraction is not None:
                        check(fraction <= batch.fraction <= 1, f"the fraction was {fraction} and is {batch.fraction}")
                        fraction = batch.fraction
            check(self.source(run.folder).describe(), "`describe` says nothing")

    def test_it_may_be_left_early_in_any_thread(self) -> None:
        """Another thread takes one batch and leaves; then yet another reads it all."""
        with self._input() as run:

            def peep() -> None:
                with closing(run.reader(None)) as batches:  # type: ignore[type-var]
                    next(batches)

            for _ in range(3):
                _elsewhere(peep)
            equal(run.rows, _elsewhere(lambda: _rows(run.read(None))), "The rows, after readers that were left early")

    def test_a_run_that_pauses_at_every_commit_has_every_row_once(self) -> None:
        """By a real pipeline, each session of which ends after its first commit: the same rows as in one go."""
        with self._input() as run:
            store, shelf = MemoryStore(), Shelf()
            for _ in range(len(run.batches) + 2):
                for _ in self._pipeline(run, store, shelf):
                    break
            equal("completed", self._pipeline(run, store, shelf).status, "The status after a session for each batch")
            equal(run.rows, shelf.rows, "The rows")

    # ------------------------------------------------------------------------------------- the same or none

    def test_an_unchanged_input_is_unchanged_at_every_position(self) -> None:
        """`changed` is None, asked of a new source, from the beginning to the end."""
        with self._input() as run:
            for position in (None, *(batch.position for batch in run.batches)):
                equal(None, self.source(run.folder).changed(run.identity, position), f"`changed` at {position}")

    def test_a_changed_input_is_refused(self) -> None:
        """`changed` says in words what has changed; a pipeline in its middle raises SourceChanged and publishes nothing."""
        with self._input() as run:
            store, shelf = MemoryStore(), Shelf()
            for _ in self._pipeline(run, store, shelf):
                break
            self.change(run.folder)
            for batch in (run.batches[0], run.batches[-1]):
                words = self.source(run.folder).changed(run.identity, batch.position)
                check(words, f"The input has changed, and `changed` at {batch.position} says {words!r}")
            refused(SourceChanged, lambda: list(self._pipeline(run, store, shelf)), "Going on over a changed input")
            equal([], shelf.rows, "What is published after that")

    # ------------------------------------------------------------------------------------------- in common

    @contextmanager
    def _input(self) -> Iterator[_Run]:
        with world() as folder:
            self.prepare(folder)
            source = self.source(folder)
            run = _Run(folder, self.source, _through_json(source.identity()), source.schema())
            run.batches = list(run.read(None))
            many = len(run.batches)
            conclusive(many >= FEWEST, f"{many} batches show little. Let the source make smaller ones.")
            yield run

    def _follows(self, run: _Run, batch: Batch) -> list[Batch]:
        rest = list(run.read(batch.position))
        equal(run.after(batch), _rows(rest), "the rows")
        if rest:
            equal(_next_row(batch), rest[0].row, "the number of the first row")
        return rest

    def _pipeline(self, run: _Run, store: MemoryStore, shelf: Shelf) -> Pipeline:
        return Pipeline(self.source(run.folder), shelf, name="contract", store=store, every=0)


@dataclass
class _Run:
    """An input and what one reading of it gave; identity and schema as a checkpoint keeps them."""

    folder: Path
    source: Callable[[Path], Source]
    identity: dict[str, Json]
    schema: pa.Schema
    batches: list[Batch] = ()  # type: ignore[assignment]

    def __post_init__(self) -> None:
        kept = Checkpoint(schema=self.schema, source=self.identity).to_json()
        self.schema = Checkpoint.from_json(kept, "The checkpoint").schema

    @property
    def rows(self) -> list[str]:
        """All rows."""
        return _rows(self.batches)

    def reader(self, position: Json) -> Iterator[Batch]:
        """What a new source reads after a position, which has been through JSON."""
        return self.source(self.folder).read(self.schema, _through_json(position), self.identity)

    def read(self, position: Json) -> list[Batch]:
        """All of it, closed at the end."""
        with closing(self.reader(position)) as batches:  # type: ignore[type-var]
            return list(batches)

    def after(self, batch: Batch) -> list[str]:
        """The rows that come after a batch."""
        first = _next_row(batch)
        return [row for b in self.batches for n, row in zip(_numbers(b), _rows([b]), strict=True) if n >= first]


def _rows(batches: list[Batch]) -> list[str]:
    return [repr(row) for batch in batches for row in batch.rows.to_pylist()]


def _next_row(batch: Batch) -> int:
    rows: int = batch.rows.num_rows
    return batch.row + rows + len(batch.rejects)


def _numbers(batch: Batch) -> list[int]:
    """The numbers of a batch's rows in the source: those of rejects are left out."""
    return sorted({*range(batch.row, _next_row(batch))} - {reject.row for reject in batch.rejects})


def _through_json(value: Json) -> Any:
    return json.loads(json.dumps(value))


def _elsewhere(act: Callable[[], Any]) -> Any:
    """What `act` gives, or raises, in a thread of its own."""
    done: list[Any] = []
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            done.append(act())
        except BaseException as error:
            wrong.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    for error in wrong:
        raise AssertionError(f"In another thread: {type(error).__name__}: {error}") from error
    return done[0]

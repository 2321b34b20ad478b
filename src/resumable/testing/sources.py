"""SourceContract: what a source must do: the same rows after every position, in any process, or a refusal."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

from resumable.checkpoint import Json
from resumable.errors import BadRow, SourceChanged
from resumable.pipeline import Pipeline
from resumable.protocols import MAX_BYTES, MAX_ROWS, Batch
from resumable.stores import MemoryStore
from resumable.testing.checks import check, conclusive, context, equal, refused, world
from resumable.testing.crashing import Line, Process
from resumable.testing.memory_sink import MemorySink
from resumable.testing.reading import Reading, following, in_words, through_json
from resumable.testing.source_under_test import SourceUnderTest

__all__ = ["SourceContract"]

FEWEST = 3
"""Batches that it takes for anything to be shown."""
SMALL = 100_000
"""Bytes of JSON that an identity or a position may have: each commit writes both."""
LARGE = 2**20
"""Bytes that a large input has at least, besides what is read at the start."""
SLACK = 2**17
"""Bytes that may be read ahead."""
COUNTER = "/proc/self/io"
"""Where Linux counts what a process reads; elsewhere nothing is shown."""


class SourceContract(SourceUnderTest):
    """Subclass it as `class TestMySource(SourceContract)`, and say how source and input are made, and how it changes.

    `folder` is a world of its own in every test. The source must give at least three batches: a small input in
    smaller batches does.
    """

    # ------------------------------------------------------------------------------------------ reading on

    def test_every_value_of_every_row_is_given(self) -> None:
        """What the author says is in the input, in that order: no row is left out, and no value is altered."""
        with self._input() as run:
            equal([repr(row) for row in self.rows(run.folder)], run.rows, "The rows")

    def test_from_every_position_the_same_rows_follow(self) -> None:
        """Read on by a new source, from every position, and again from each position that gives: the same rows after it."""
        with self._input() as run:
            for number, batch in enumerate(run.batches, 1):
                with context(f"Read on after batch {number}, from {batch.position}"):
                    rest = self._follows(run, batch)
                    if rest:
                        with context(f"then after the next batch, from {rest[0].position}"):
                            self._follows(run, rest[0])

    def test_after_the_last_position_nothing_follows(self) -> None:
        """The end of the input is a position like any other."""
        with self._input() as run:
            equal([], in_words(run.read(run.batches[-1].position)), "What comes after the last position")

    def test_reading_again_gives_the_same(self) -> None:
        """The same rows in the same order; the same schema, asked again."""
        with self._input() as run:
            equal(run.rows, in_words(run.read(None)), "The rows, read a second time")
            equal(run.schema, self.source(run.folder).schema(), "The schema, asked a second time")

    def test_another_process_reads_on(self) -> None:
        """Identity and positions are enough for a process that has nothing else."""
        with self._input() as run:
            middle = run.batches[len(run.batches) // 2]

            def read(line: Line) -> Json:
                return in_words(run.read(middle.position))

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

    def test_reading_on_costs_what_starting_costs(self) -> None:
        """Of a `large` input: for the first batch after a late position no more is read than for the very first."""
        with world() as folder:
            if self.large(folder) is None or not os.path.exists(COUNTER):
                return

            def measure(line: Line) -> Json:  # in a process of its own: nobody else reads in it
                source = self.large(folder)
                assert source is not None
                run = Reading(folder, lambda folder: source, through_json(source.identity()), source.schema())
                begin = _bytes_read()
                positions = [batch.position for batch in run.read(None)]
                costs = [_bytes_read() - begin]
                for position in (None, positions[len(positions) // 2], positions[-2]):
                    begin = _bytes_read()
                    with closing(run.reader(position)) as batches:  # type: ignore[type-var]
                        next(batches)
                    costs.append(_bytes_read() - begin)
                return costs

            with Process(measure) as process:
                whole, start, *later = process.result()
            conclusive(whole > LARGE + start, f"all of the large input is {whole:,} bytes, its start {start:,}")
            for what, cost in zip(("the middle", "the last position but one"), later, strict=True):
                check(cost <= 2 * start + SLACK, f"To read on from {what} it read {cost:,} bytes, to start {start:,}")

    # ------------------------------------------------------------------------------------------ its batches

    def test_batches_keep_to_the_schema_and_count_on(self) -> None:
        """Every batch has the frozen schema and at most so many rows; `row` counts on, `fraction` grows within 0 to 1."""
        with self._input() as run:
            row, fraction = 1, 0.0
            for number, batch in enumerate(run.batches, 1):
                with context(f"Batch {number}"):
                    check(batch.rows.schema.equals(run.schema), f"its schema is {batch.rows.schema}, not {run.schema}")
                    check(
                        batch.rows.num_rows <= MAX_ROWS,
                        f"it has {batch.rows.num_rows:,} rows, more than {MAX_ROWS:,}",
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

    def test_what_does_not_fit_is_refused_or_put_aside(self) -> None:
        """A spoilt row is `BadRow`, with its number or offset; or one of the `rejects`, and the rows count on."""
        if type(self).spoil is SourceContract.spoil:
            return
        with world() as folder:
            self.prepare(folder)
            schema = self.source(folder).schema()
            self.spoil(folder)
            run = Reading(folder, self.source, through_json(self.source(folder).identity()), schema)
            try:
                run.batches = list(run.read(None))
            except BadRow as error:
                check(error.row or error.offset is not None, f"BadRow says neither row nor offset: {error}")
                return
            rejects = [reject for batch in run.batches for reject in batch.rejects]
            check(rejects, "A row was spoilt: neither BadRow was raised, nor is a row among the rejects")
            for reject in rejects:
                check(reject.reason and reject.row, f"A reject has no reason or no number: {reject}")
            for number, batch in enumerate(run.batches, 1):
                with context(f"Read on after batch {number} of a spoilt input, from {batch.position}"):
                    self._follows(run, batch)

    def test_it_may_be_left_early_in_any_thread(self) -> None:
        """Another thread takes one batch and leaves; then yet another reads it all."""
        with self._input() as run:

            def peep() -> None:
                with closing(run.reader(None)) as batches:  # type: ignore[type-var]
                    next(batches)

            for _ in range(3):
                _elsewhere(peep)
            equal(
                run.rows, _elsewhere(lambda: in_words(run.read(None))), "The rows, after readers that were left early"
            )

    def test_a_run_that_pauses_at_every_commit_has_every_row_once(self) -> None:
        """By a real pipeline, each session of which ends after its first commit: the same rows as in one go."""
        with self._input() as run:
            store, sink = MemoryStore(), MemorySink()
            for _ in range(len(run.batches) + 2):
                for _ in self._pipeline(run, store, sink):
                    break
            equal("completed", self._pipeline(run, store, sink).status, "The status after a session for each batch")
            equal(run.rows, sink.rows, "The rows")

    # ------------------------------------------------------------------------------------- the same or none

    def test_an_unchanged_input_is_unchanged_at_every_position(self) -> None:
        """`changed` is None, asked of a new source, from the beginning to the end."""
        with self._input() as run:
            for position in (None, *(batch.position for batch in run.batches)):
                equal(None, self.source(run.folder).changed(run.identity, position), f"`changed` at {position}")

    def test_a_changed_input_is_refused(self) -> None:
        """`changed` says in words what has changed; a pipeline in its middle raises SourceChanged and publishes nothing."""
        with self._input() as run:
            store, sink = MemoryStore(), MemorySink()
            for _ in self._pipeline(run, store, sink):
                break
            self.change(run.folder)
            for batch in (run.batches[0], run.batches[-1]):
                words = self.source(run.folder).changed(run.identity, batch.position)
                check(words, f"The input has changed, and `changed` at {batch.position} says {words!r}")
            refused(SourceChanged, lambda: list(self._pipeline(run, store, sink)), "Going on over a changed input")
            equal([], sink.rows, "What is published after that")

    # ------------------------------------------------------------------------------------------- in common

    @contextmanager
    def _input(self) -> Iterator[Reading]:
        with world() as folder:
            self.prepare(folder)
            source = self.source(folder)
            run = Reading(folder, self.source, through_json(source.identity()), source.schema())
            run.batches = list(run.read(None))
            many = len(run.batches)
            conclusive(many >= FEWEST, f"{many} batches show little. Let the source make smaller ones.")
            yield run

    def _follows(self, run: Reading, batch: Batch) -> list[Batch]:
        rest = list(run.read(batch.position))
        equal(run.after(batch), in_words(rest), "the rows")
        if rest:
            equal(following(batch), rest[0].row, "the number of the first row")
        return rest

    def _pipeline(self, run: Reading, store: MemoryStore, sink: MemorySink) -> Pipeline:
        return Pipeline(self.source(run.folder), sink, name="contract", store=store, every=0)


def _bytes_read() -> int:
    """What this process has read by the system's calls so far."""
    with open(COUNTER) as file:
        return int(file.read().split()[1])


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

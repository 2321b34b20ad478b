"""The source contract sees what is broken: sources with one fault each, and the check that names it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

import owned
from resumable.errors import BadRow
from resumable.protocols import Batch, Reject
from resumable.testing import Inconclusive

LogSource: Any = owned.source.LogSource


class Ahead(LogSource):
    """The position is in front of the batch: what was read ahead counts as read."""

    def read(self, *arguments: Any) -> Iterator[Batch]:
        batches = list(super().read(*arguments))
        for batch, after in zip(batches, [*batches[1:], *batches[-1:]], strict=True):
            yield replace(batch, position=after.position)


class Behind(LogSource):
    """The position is the one before the batch."""

    def read(self, schema: Any, position: Any, identity: Any) -> Iterator[Batch]:
        for batch in super().read(schema, position, identity):
            yield replace(batch, position=position)
            position = batch.position


class Endless(LogSource):
    """Begins anew after its end."""

    def read(self, schema: Any, position: Any, identity: Any) -> Iterator[Batch]:
        at_end = position is not None and position["offset"] == self.path.stat().st_size
        return super().read(schema, None if at_end else position, identity)


class FromThere(LogSource):
    """Counts its rows from where it began to read."""

    def read(self, *arguments: Any) -> Iterator[Batch]:
        row = 1
        for batch in super().read(*arguments):
            yield replace(batch, row=row)
            row += batch.rows.num_rows


class Unordered(LogSource):
    """Another order each time."""

    calls = 0

    def read(self, *arguments: Any) -> Iterator[Batch]:
        Unordered.calls += 1
        for batch in super().read(*arguments):
            yield replace(batch, rows=batch.rows.take([1, 0])) if Unordered.calls % 2 and len(batch.rows) > 1 else batch


class InThisProcess(LogSource):
    """Its positions mean something to this process only."""

    def read(self, schema: Any, position: Any, identity: Any) -> Iterator[Batch]:
        if position is not None and position["process"] != os.getpid():
            position = None
        for batch in super().read(schema, position, identity):
            yield replace(batch, position={**batch.position, "process": os.getpid()})


class NotJson(LogSource):
    """A tuple for a position."""

    def read(self, schema: Any, position: Any, identity: Any) -> Iterator[Batch]:
        position = position and {"offset": position[0], "row": position[1]}
        for batch in super().read(schema, position, identity):
            yield replace(batch, position=tuple(batch.position.values()))


class Talkative(LogSource):
    """The whole file for an identity."""

    def identity(self) -> dict[str, Any]:
        return {**super().identity(), "lines": self.path.read_text() * 2_000}


class Fickle(LogSource):
    """Another type than it said."""

    def read(self, *arguments: Any) -> Iterator[Batch]:
        for batch in super().read(*arguments):
            yield replace(batch, rows=pa.record_batch({"line": batch.rows["line"].cast(pa.large_string())}))


class Overdone(LogSource):
    """More than all of it."""

    def read(self, *arguments: Any) -> Iterator[Batch]:
        for batch in super().read(*arguments):
            yield replace(batch, fraction=2 * batch.fraction)


class OfOneThread(LogSource):
    """Can only be read where it was first read."""

    first: int | None = None

    def read(self, *arguments: Any) -> Iterator[Batch]:
        OfOneThread.first = OfOneThread.first or threading.get_ident()
        if OfOneThread.first != threading.get_ident():
            raise ValueError("made in another thread")
        yield from super().read(*arguments)


class Anxious(LogSource):
    """Has changed once it was read."""

    def changed(self, identity: dict[str, Any], position: Any) -> str | None:
        return None if position is None else "it was read"


class Careless(LogSource):
    """Never sees that anything has changed."""

    def changed(self, identity: dict[str, Any], position: Any) -> str | None:
        return None


class Tongueless(LogSource):
    """Sees it, and doesn't say what."""

    def changed(self, identity: dict[str, Any], position: Any) -> str | None:
        return "" if super().changed(identity, position) else None


class Whole(LogSource):
    """All of it in one batch."""

    def __init__(self, path: str, lines: int) -> None:
        super().__init__(path, 1_000)


def test_what_is_in_the_input_has_to_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only its author knows; nothing is shown without it."""
    monkeypatch.delattr(owned.source_test, "rows")
    with pytest.raises(Inconclusive, match="Say it in `rows`"):
        owned.source_test().test_every_value_of_every_row_is_given()


def test_a_large_input_that_is_small_is_inconclusive(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is read at the start: nothing is shown."""
    contract = owned.source_test()
    monkeypatch.setattr(contract, "large", lambda folder: contract.prepare(folder) or contract.source(folder))
    with pytest.raises(Inconclusive, match="all of the large input is"):
        contract.test_reading_on_costs_what_starting_costs()


class Tidy(LogSource):
    """Alters a value: what stands in front of a line goes."""

    def read(self, *arguments: Any) -> Iterator[Batch]:
        for batch in super().read(*arguments):
            lines = [line.removeprefix("2026-").strip() for line in batch.rows["line"].to_pylist()]
            yield replace(batch, rows=pa.record_batch({"line": lines}))


class Headless(LogSource):
    """Takes the first line for a header, each time."""

    def read(self, *arguments: Any) -> Iterator[Batch]:
        for batch in super().read(*arguments):
            yield replace(batch, rows=batch.rows.slice(1), row=2) if batch.row == 1 else batch


class ReadsAgain(LogSource):
    """Gets to its position by reading all that is before it."""

    def read(self, schema: Any, position: Any, identity: Any) -> Iterator[Batch]:
        after = position["offset"] if position else 0
        for batch in super().read(schema, None, identity):
            if batch.position["offset"] > after:
                yield batch


class Lenient(LogSource):
    """Puts another character where it can't read one."""

    def reject(self, line: bytes, row: int, offset: int) -> Any:
        raise AssertionError

    def read(self, schema: Any, position: Any, identity: Any) -> Iterator[Batch]:
        whole = self.path.read_bytes()
        self.path.write_bytes(whole.replace(b"\xe9", b"?"))
        yield from super().read(schema, position, identity)


class Silent(LogSource):
    """Leaves out what it can't read."""

    def reject(self, line: bytes, row: int, offset: int) -> Any:
        return None

    def read(self, *arguments: Any) -> Iterator[Batch]:
        for batch in super().read(*arguments):
            yield replace(batch, rejects=())


class Raw(LogSource):
    """Python's own error."""

    def reject(self, line: bytes, row: int, offset: int) -> Any:
        line.decode()


class Placeless(LogSource):
    """Doesn't say which row."""

    def reject(self, line: bytes, row: int, offset: int) -> Any:
        raise BadRow("A line is no UTF-8.")


class Wordless(LogSource):
    """Doesn't say why."""

    def reject(self, line: bytes, row: int, offset: int) -> Any:
        return Reject(row, "")


class Uncounted(LogSource):
    """Doesn't count the rows that it puts aside."""

    def read(self, schema: Any, position: Any, identity: Any) -> Iterator[Batch]:
        self.on_bad_row = "quarantine"
        row = position["row"] + 1 if position else 1
        for batch in super().read(schema, position, identity):
            after = row + batch.rows.num_rows
            yield replace(batch, row=row, position={**batch.position, "row": after - 1})
            row = after


FAULTS: list[tuple[type[Any], str, str]] = [
    (Ahead, "from_every_position_the_same_rows_follow", "Read on after batch 1, from .*: the rows"),
    (Ahead, "a_run_that_pauses_at_every_commit_has_every_row_once", "The rows"),
    (Behind, "from_every_position_the_same_rows_follow", "Read on after batch 1, from None"),
    (Behind, "after_the_last_position_nothing_follows", "after the last position"),
    (Endless, "after_the_last_position_nothing_follows", "after the last position"),
    (FromThere, "from_every_position_the_same_rows_follow", "the number of the first row"),
    (Unordered, "reading_again_gives_the_same", "read a second time"),
    (InThisProcess, "another_process_reads_on", "another process reads on with"),
    (NotJson, "positions_and_identity_are_small_json", "The position of batch 1, written and read"),
    (Talkative, "positions_and_identity_are_small_json", "The identity has .* bytes"),
    (Fickle, "batches_keep_to_the_schema_and_count_on", "Batch 1: its schema is"),
    (Overdone, "batches_keep_to_the_schema_and_count_on", "the fraction was"),
    (OfOneThread, "it_may_be_left_early_in_any_thread", "In another thread: ValueError"),
    (Anxious, "an_unchanged_input_is_unchanged_at_every_position", "`changed` at .*'it was read'"),
    (Careless, "a_changed_input_is_refused", "says None"),
    (Tongueless, "a_changed_input_is_refused", "says ''"),
    (Tidy, "every_value_of_every_row_is_given", "The rows .*2026-01-01 request 0"),
    (Headless, "every_value_of_every_row_is_given", "The rows .*- .*request 0"),
    (ReadsAgain, "reading_on_costs_what_starting_costs", r"To read on from the middle it read [\d,]+ bytes, to start"),
    (Lenient, "what_does_not_fit_is_refused_or_put_aside", "neither BadRow was raised"),
    (Silent, "what_does_not_fit_is_refused_or_put_aside", "neither BadRow was raised"),
    (Raw, "what_does_not_fit_is_refused_or_put_aside", "can't decode"),
    (Placeless, "what_does_not_fit_is_refused_or_put_aside", "neither row nor offset"),
    (Wordless, "what_does_not_fit_is_refused_or_put_aside", "no reason"),
    (Uncounted, "what_does_not_fit_is_refused_or_put_aside", "Read on after batch"),
    (Whole, "reading_again_gives_the_same", "Inconclusive: 1 batches"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("source", "check", "words"), FAULTS, ids=[f"{fault.__name__}: {check}" for fault, check, _ in FAULTS]
)
def test_a_broken_source_is_caught(source: Any, check: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check fails that is called after the fault, in words that say what was seen."""
    monkeypatch.setattr(owned.source, "LogSource", source)
    with pytest.raises((AssertionError, UnicodeDecodeError), match=rf"(?s){words}"):
        getattr(owned.source_test(), f"test_{check}")()

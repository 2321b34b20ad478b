"""FormatContract: what a format must do: rows come back as they were, wherever writing or reading was cut."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, ClassVar

import pyarrow as pa

from resumable.checkpoint import Json
from resumable.formats.protocols import Decoder, Encoder
from resumable.protocols import MAX_ROWS, Batch
from resumable.testing.checks import check, conclusive, equal
from resumable.testing.rows import ROWS

__all__ = ["BytesFile", "FormatContract"]

FEWEST = 3
"""Batches that it takes for anything to be shown."""
SMALL = 100_000
"""Bytes of JSON that a position or a state may have: each commit writes both."""


class BytesFile:
    """A file whose bytes are at hand."""

    def __init__(self, data: bytes) -> None:
        self.path, self.size, self._data = "the file", len(data), data

    def read(self, offset: int, length: int) -> bytes:
        """See `ReadableFile`."""
        check(offset >= 0 and length >= 0, f"The decoder reads {length} bytes at {offset}")
        return self._data[offset : offset + length]


class FormatContract:
    """Subclass it as `class TestMyFormat(FormatContract)`, and say how decoder and encoder are made.

    The decoder must give at least three batches for `rows`: let it make small ones.
    """

    rows: ClassVar[pa.Table] = ROWS
    """What is written and read, two rows a commit: give it all types that the format holds, and NULLs."""

    def decoder(self) -> Decoder:
        """A decoder, made anew as another process would make it."""
        raise NotImplementedError

    def encoder(self, schema: pa.Schema, state: Json) -> Encoder:
        """An encoder, made anew for the state that another one has left; None is a new file."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------ writing

    def test_rows_come_back_as_they_were(self) -> None:
        """Written in one go and read in one go: no row is left out, and no value is altered."""
        self._same(self._written(), "The rows")

    def test_an_encoder_made_anew_goes_on(self) -> None:
        """After each commit another encoder goes on from the state, which was through JSON: the same rows."""
        self._same(self._written(anew=True), "The rows, by a new encoder after each commit")

    def test_what_was_not_sealed_is_forgotten(self) -> None:
        """An encoder dies with rows that weren't committed; they are written again by one made from the last state."""
        self._same(self._written(anew=True, twice=True), "The rows, each commit after one that was never finished")

    def test_a_commit_without_rows_changes_nothing(self) -> None:
        """Sealed twice in a row, with new encoders between: the same rows."""
        self._same(self._written(anew=True, seals=2), "The rows, each commit followed by an empty one")

    def test_a_file_without_rows_has_its_columns(self) -> None:
        """Begun, sealed and finished: no rows, and the same columns."""
        data = self._written(self.rows.slice(0, 0))
        schema = self.decoder().schema(BytesFile(data))
        equal(self.rows.schema.names, schema.names, "The columns of a file without rows")
        equal([], _rows(self._read(data, None, schema)), "The rows of a file without rows")

    def test_states_and_positions_are_small_json(self) -> None:
        """Both come back from JSON as they were, and don't grow with the data."""
        encoder = self.encoder(self.rows.schema, None)
        encoder.begin()
        values = []
        for part in self._parts(self.rows):
            encoder.encode(part)
            encoder.seal()
            values.append(("The state", encoder.state))
        data = self._written()
        values += [(f"The position of batch {n}", b.position) for n, b in enumerate(self._read(data), 1)]
        for what, value in values:
            text = json.dumps(value, allow_nan=False)
            equal(value, json.loads(text), f"{what}, written and read")
            check(len(text) < SMALL, f"{what} has {len(text):,} bytes: every commit writes it")

    # ------------------------------------------------------------------------------------------------ reading

    def test_from_every_position_the_same_rows_follow(self) -> None:
        """Read on by a new decoder from each position: the rows after it, and their numbers; after the last, none."""
        data = self._written()
        batches = self._batches(data)
        for number, batch in enumerate(batches, 1):
            rest = self._read(data, batch.position)
            what = f"after batch {number}, from {batch.position}"
            equal(_rows(batches[number:]), _rows(rest), f"The rows {what}")
            if rest:
                equal(batch.row + batch.rows.num_rows, rest[0].row, f"The number of the first row {what}")

    def test_batches_keep_to_the_schema_and_count_on(self) -> None:
        """Every batch has the schema and at most so many rows; `row` counts on, `fraction` grows within 0 to 1."""
        data = self._written()
        schema = self.decoder().schema(BytesFile(data))
        row, fraction = 1, 0.0
        for number, batch in enumerate(self._batches(data), 1):
            check(batch.rows.schema.equals(schema), f"Batch {number} has another schema: {batch.rows.schema}")
            check(batch.rows.num_rows <= MAX_ROWS, f"Batch {number} has {batch.rows.num_rows:,} rows")
            equal(row, batch.row, f"The number of the first row of batch {number}")
            row += batch.rows.num_rows
            now = fraction if batch.fraction is None else batch.fraction
            check(fraction <= now <= 1, f"The fraction was {fraction}, and is {now} after batch {number}")
            fraction = now
        check(self.decoder().describe("the file", "9 bytes"), "`describe` says nothing")

    def test_a_change_in_what_was_read_is_seen(self) -> None:
        """`verify` finds nothing in the same bytes, and says so in words if one of those before the position differs."""
        data = self._written()
        for number, batch in enumerate(self._batches(data), 1):
            position = through_json(batch.position)
            what = f"`verify` at the position of batch {number}"
            equal(None, self.decoder().verify(BytesFile(data), position), f"{what}, of the same bytes")
            begin = len(self._written(self.rows.slice(0, 0), finish=False))
            edited = data[:begin] + bytes([data[begin] ^ 1]) + data[begin + 1 :]
            words = self.decoder().verify(BytesFile(edited), position)
            check(words, f"{what} says {words!r} of a file whose first row was edited")

    # ---------------------------------------------------------------------------------------------- in common

    def _written(
        self,
        rows: pa.Table | None = None,
        *,
        anew: bool = False,
        twice: bool = False,
        seals: int = 1,
        finish: bool = True,
    ) -> bytes:
        """A whole file; `anew`: an encoder for each commit; `twice`: and one before it that dies."""
        rows = self.rows if rows is None else rows
        encoder = self.encoder(rows.schema, None)
        data = bytes(encoder.begin()) + encoder.seal()
        for part in self._parts(rows):
            if twice:
                self.encoder(rows.schema, through_json(encoder.state)).encode(part)
            for seal in range(seals):
                if anew:
                    encoder = self.encoder(rows.schema, through_json(encoder.state))
                if seal == 0:
                    data += bytes(encoder.encode(part))
                data += encoder.seal()
        return data + encoder.finish() if finish else data

    def _parts(self, rows: pa.Table) -> Iterable[Batch]:
        for at in range(0, rows.num_rows, 2):
            yield Batch(rows.slice(at, 2).combine_chunks().to_batches()[0], None, at + 1)

    def _read(self, data: bytes, position: Json = None, schema: pa.Schema | None = None) -> list[Batch]:
        schema = schema or self.decoder().schema(BytesFile(data))
        return list(self.decoder().read(BytesFile(data), schema, through_json(position)))

    def _batches(self, data: bytes) -> list[Batch]:
        batches = self._read(data)
        many = len(batches)
        conclusive(many >= FEWEST, f"{many} batches show little. Let the decoder make smaller ones.")
        return batches

    def _same(self, data: bytes, what: str) -> None:
        equal([repr(row) for row in self.rows.to_pylist()], _rows(self._read(data)), what)


def _rows(batches: Iterable[Batch]) -> list[str]:
    return [repr(row) for batch in batches for row in batch.rows.to_pylist()]


def through_json(value: Json) -> Any:
    """What a checkpoint makes of it."""
    return json.loads(json.dumps(value))

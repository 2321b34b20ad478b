"""Every format of ours keeps the contract, and the contract sees a format that doesn't."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

import owned
from resumable.checkpoint import Json
from resumable.formats.protocols import Decoder, Encoder, ReadableFile
from resumable.formats.registry import FORMATS
from resumable.protocols import Batch
from resumable.testing import FormatContract

CSV = FORMATS["csv"]


class TestCsv(FormatContract):
    """All kinds of values, and NULLs beside empty strings."""

    rows = pa.table(
        {
            "id": pa.array([1, 2, None, -4, 5, 6], pa.int64()),
            "word": pa.array(["a", "", None, 'd"e', "f\ng", "NA"], pa.string()),
            "price": pa.array([Decimal("1.50"), None, Decimal("-0.01"), Decimal(0), None, None], pa.decimal128(9, 2)),
            "at": pa.array([dt.datetime(2024, 2, 29, 13, 45, n) for n in range(6)], pa.timestamp("us")),
            "ratio": pa.array([0.1, 1.0, None, -0.0, 1e20, float("inf")], pa.float64()),
            "raw": pa.array([b"\x00", b"", None, b"abc", None, b"\xff"], pa.binary()),
        }
    )

    def decoder(self) -> Decoder:
        return CSV.decoder(columns=dict(zip(self.rows.schema.names, self.rows.schema.types, strict=True)), block_rows=2)

    def encoder(self, schema: pa.Schema, state: Json) -> Encoder:
        return CSV.encoder()(schema, state)


class TestCsvWithoutQuotes(TestCsv):
    """Another delimiter, and a word for NULL."""

    def decoder(self) -> Decoder:
        columns = dict(zip(self.rows.schema.names, self.rows.schema.types, strict=True))
        return CSV.decoder(columns=columns, delimiter="|", null_values=("NA",), block_rows=1)

    def encoder(self, schema: pa.Schema, state: Json) -> Encoder:
        return CSV.encoder(delimiter="|", null="NA")(schema, state)


class TestFixed(owned.fixed_test):
    """Buffers rows, numbers lines over all commits, and ends the file with their number."""


# ----------------------------------------------------------------------------------- formats that are broken


class OffByOne:
    """A decoder whose positions say one row too many."""

    def __init__(self, decoder: Any) -> None:
        self.inner = decoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def read(self, file: ReadableFile, schema: pa.Schema, position: Json) -> Iterator[Batch]:
        for batch in self.inner.read(file, schema, position):
            yield replace(batch, position={**batch.position, "row": batch.position["row"] + 1})


class Blind:
    """A decoder that trusts what was read."""

    def __init__(self, decoder: Any) -> None:
        self.inner = decoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def verify(self, file: ReadableFile, position: Json) -> str | None:
        return None


class Forgetful(owned.fixed.FixedEncoder):
    """An encoder that begins to count anew."""

    def __init__(self, schema: pa.Schema, state: Json) -> None:
        super().__init__(schema, None)


class Chatty(owned.fixed.FixedEncoder):
    """An encoder that seals what is sealed already."""

    def seal(self) -> bytes:
        data: bytes = super().seal()
        return data or b"sealed\n"


class Endless(owned.fixed.FixedEncoder):
    """An encoder that leaves out what the file ends with."""

    def finish(self) -> bytes:
        return b""


@pytest.mark.parametrize("base", [TestCsv, owned.fixed_test])
@pytest.mark.parametrize(
    ("fault", "test"),
    [
        (OffByOne, "test_from_every_position_the_same_rows_follow"),
        (Blind, "test_a_change_in_what_was_read_is_seen"),
    ],
)
def test_a_broken_decoder_is_seen(base: Any, fault: Any, test: str) -> None:
    """Whatever the format is."""

    class Broken(base):
        def decoder(self) -> Any:
            return fault(super().decoder())

    with pytest.raises(Exception, match=r"The number of the first row|other lines|of a file whose first row"):
        getattr(Broken(), test)()


@pytest.mark.parametrize(
    ("fault", "test"),
    [
        (Forgetful, "test_an_encoder_made_anew_goes_on"),
        (Forgetful, "test_what_was_not_sealed_is_forgotten"),
        (Chatty, "test_a_commit_without_rows_changes_nothing"),
        (Endless, "test_rows_come_back_as_they_were"),
    ],
)
def test_a_broken_encoder_is_seen(fault: Any, test: str) -> None:
    """The example's reader notices by numbers and end, as every reader of such a format would."""

    class Broken(owned.fixed_test):
        def encoder(self, schema: pa.Schema, state: Json) -> Any:
            return fault(schema, state)

    with pytest.raises(Exception, match=r"other lines|no end|should be"):
        getattr(Broken(), test)()

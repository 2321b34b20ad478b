"""Texts into values: nothing is altered, and a column at a time gives what one by one gives."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resumable.errors import UsageError
from resumable.formats.text_values import convert, infer, misfit, widened_type
from resumable.formats.type_names import parse_type, readable, type_name

I64, F64, STAMP = pa.int64(), pa.float64(), pa.timestamp("us")
ZONED = pa.timestamp("us", "UTC")
KINDS = [
    *(I64, pa.int8(), pa.uint64(), F64, pa.float32(), pa.decimal128(6, 2), pa.decimal256(50, 3), pa.bool_()),
    *(pa.date32(), STAMP, ZONED, pa.timestamp("s"), pa.timestamp("ns"), pa.time64("us"), pa.time32("s"), pa.binary()),
]
PARTS = [
    *"0123456789",
    *"-+.:eETZx \\",
    "00",
    "2024-02-29",
    "10:00:00",
    "+02",
    "true",
    "nan",
    "123456789012345678",
    "\\x",
]
ODD = st.lists(st.sampled_from(PARTS), min_size=1, max_size=5).map("".join)


def column(*texts: str | None) -> pa.StringArray:
    return pa.array(texts, pa.string())


@settings(max_examples=600, deadline=None)
@given(st.lists(st.none() | ODD, max_size=4), st.sampled_from(KINDS))
@example(["0x1F"], I64)
@example(["1", "007"], F64)
@example(["2024-02-29 10:00+02:00"], ZONED)
@example(["0000-01-01"], pa.date32())
def test_a_column_has_the_misfits_that_its_values_have(texts: list[str | None], kind: pa.DataType) -> None:
    """The kernels that vouch for whole columns never let through what is a misfit by itself."""
    values, wrong = convert(column(*texts), kind)
    assert {i: misfit(t, kind) for i, t in enumerate(texts) if t is not None and misfit(t, kind)} == wrong
    assert kind == values.type
    assert [t is None or i in wrong for i, t in enumerate(texts)] == values.is_null().to_pylist()


@settings(max_examples=300, deadline=None)
@given(st.integers(-(2**63), 2**63 - 1))
def test_every_integer_of_64_bits_is_read_as_it_is(number: int) -> None:
    """And one more than the range has is refused."""
    assert number == convert(column(str(number)), I64)[0][0].as_py()
    assert misfit(str(2**63), I64) == "doesn't fit into int64"


@settings(max_examples=300, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False))
@example(5e-324)
@example(1e22)
@example(-0.0)
def test_every_float_is_read_as_it_is(number: float) -> None:
    """As Python spells it, which is the shortest text that gives it back."""
    values, wrong = convert(column(repr(number)), F64)
    assert not wrong
    assert repr(number) == repr(values[0].as_py())


@settings(max_examples=300, deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False, places=6, min_value=-(10**12), max_value=10**12))
def test_a_number_is_a_float_only_if_it_is_equal_to_it(number: Decimal) -> None:
    """Digits past a float's precision are never dropped."""
    text = f"{number:f}"
    if misfit(text, F64) is None:
        assert number == Decimal(repr(convert(column(text), F64)[0][0].as_py()))
    else:
        assert Decimal(text) != Decimal(repr(float(text))) or text == "-0"


@pytest.mark.parametrize(
    ("text", "kind", "why"),
    [
        ("007", I64, "would lose its leading zero"),
        ("+5", I64, "would lose its plus sign"),
        ("-0", I64, "would lose its minus sign"),
        ("1.0", I64, "isn't an integer"),
        ("abc", I64, "isn't a number"),
        (" 1", I64, "isn't a number"),
        ("0x1F", I64, "isn't a number"),
        ("", I64, "is an empty string in quotes, not NULL and no int64"),
        ("300", pa.int8(), "doesn't fit into int8"),
        ("007.5", F64, "would lose its leading zero"),
        ("3.14159265358979323846", F64, "has more digits than float64 keeps"),
        ("1e999", F64, "has more digits than float64 keeps"),
        ("1e-999", F64, "has more digits than float64 keeps"),
        ("0e1123456789012345678", F64, "has an exponent that no number type holds"),
        ("10000000000000000000", F64, "is an integer past 64 bits"),
        ("9007199254740993", F64, "has more digits than float64 keeps"),
        ("16777217", pa.float32(), "has more digits than float32 keeps"),
        ("1.234", pa.decimal128(10, 2), "doesn't fit into decimal128(10, 2)"),
        ("123", pa.decimal128(4, 2), "doesn't fit into decimal128(4, 2)"),
        ("-0.00", pa.decimal128(4, 2), "would lose its minus sign"),
        ("1", pa.bool_(), "is neither true nor false"),
        ("2023-02-29", pa.date32(), "isn't a date (YYYY-MM-DD)"),
        ("0000-01-01", pa.date32(), "isn't a date (YYYY-MM-DD)"),
        ("20240229", pa.date32(), "isn't a date (YYYY-MM-DD)"),
        ("2024-02-29 10:00", STAMP, "isn't a timestamp (YYYY-MM-DD HH:MM:SS, in us, without a zone)"),
        ("2024-02-29", STAMP, "isn't a timestamp (YYYY-MM-DD HH:MM:SS, in us, without a zone)"),
        ("2024-02-29 10:00:00.1234567", STAMP, "isn't a timestamp (YYYY-MM-DD HH:MM:SS, in us, without a zone)"),
        ("2024-02-29 10:00:00Z", STAMP, "isn't a timestamp (YYYY-MM-DD HH:MM:SS, in us, without a zone)"),
        ("2024-02-29 10:00:00", ZONED, "isn't a timestamp (YYYY-MM-DD HH:MM:SS, in us, with a zone)"),
        ("0001-01-01 00:00:00+05:00", ZONED, "is before the year 1 or after the year 9999 in UTC"),
        ("10:00", pa.time64("us"), "isn't a time (HH:MM:SS, in us)"),
        ("24:00:00", pa.time64("us"), "isn't a time (HH:MM:SS, in us)"),
        ("\\x0", pa.binary(), r"isn't \x and pairs of hex digits"),
    ],
)
def test_what_would_be_altered_is_refused_with_the_reason(text: str, kind: pa.DataType, why: str) -> None:
    """One by one, and among values that fit."""
    assert why == misfit(text, kind)
    assert {1: why} == convert(column(None, text, None), kind)[1]


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("1.50", F64, 1.5),
        (".5", F64, 0.5),
        ("5.", F64, 5.0),
        ("1E5", F64, 1e5),
        ("-0.0", F64, -0.0),
        ("inf", F64, float("inf")),
        ("18446744073709551615", pa.uint64(), 2**64 - 1),
        ("12.30", pa.decimal128(10, 2), Decimal("12.30")),
        ("1e2", pa.decimal128(10, 2), Decimal("100.00")),
        ("9" * 47, pa.decimal256(50, 3), Decimal("9" * 47)),
        ("t", pa.bool_(), True),
        ("False", pa.bool_(), False),
        ("2024-02-29", pa.date32(), dt.date(2024, 2, 29)),
        ("2024-02-29T10:00:00.5", STAMP, dt.datetime(2024, 2, 29, 10, 0, 0, 500_000)),
        ("2024-02-29 10:00:00+02:00", ZONED, dt.datetime(2024, 2, 29, 8, tzinfo=dt.UTC)),
        ("10:00:00.25", pa.time64("us"), dt.time(10, 0, 0, 250_000)),
        ("\\x00fF", pa.binary(), b"\x00\xff"),
        ("007", pa.string(), "007"),
    ],
)
def test_other_notations_of_the_same_value_are_taken(text: str, kind: pa.DataType, value: Any) -> None:
    """A number's trailing zeros, a time's `T`, a zone's name: the value is the same."""
    assert ([value], {}) == (convert(column(text), kind)[0].to_pylist(), convert(column(text), kind)[1])


@pytest.mark.parametrize(
    ("texts", "kind"),
    [
        (["1", "-2", None], I64),
        (["1", "2.5"], F64),
        (["1e3", ".5"], F64),
        (["true", "false"], pa.bool_()),
        (["True", "False"], pa.string()),
        (["t", "f"], pa.string()),
        (["2024-02-29"], pa.date32()),
        (["2024-02-29 10:00:00", "2024-02-29T10:00:00.25"], STAMP),
        (["2024-02-29", "2024-02-29 10:00:00"], pa.string()),
        (["2024-02-29 10:00:00Z"], pa.string()),
        (["1", "007"], pa.string()),
        (["1", "-0"], pa.string()),
        (["1", "+5"], pa.string()),
        (["1", "9223372036854775808"], pa.string()),
        (["0.1", "3.14159265358979323846"], pa.string()),
        (["0.1", "0.30000000000000004"], F64),
        (["1.5", "NaN"], pa.string()),
        (["1.5", "inf"], pa.string()),
        (["1", ""], pa.string()),
        (["1", "NA"], pa.string()),
        ([None, None], pa.string()),
        ([], pa.string()),
    ],
)
def test_a_column_is_what_all_its_values_survive_as(texts: list[str | None], kind: pa.DataType) -> None:
    """And text where a single one would not; also if that one comes late."""
    assert kind == infer(column(*texts))
    if texts and kind != pa.string():
        assert pa.string() == infer(column(*(texts * 100), "odd"))


def test_a_wider_type_is_advised_where_there_is_one() -> None:
    """A fraction among integers asks for floats; anything else for text."""
    assert widened_type("1.5", I64) == F64
    assert widened_type("300", pa.int8()) == I64
    assert [pa.string()] * 3 == [widened_type("007", I64), widened_type("nan", I64), widened_type("x", pa.date32())]


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("int64", I64),
        ("Integer", I64),
        ("bigint", I64),
        ("float", F64),
        ("real", F64),
        ("text", pa.string()),
        ("boolean", pa.bool_()),
        ("date", pa.date32()),
        ("timestamp", STAMP),
        ("timestamptz", ZONED),
        ("time", pa.time64("us")),
        ("decimal(12,2)", pa.decimal128(12, 2)),
        ("NUMERIC( 40 , 3 )", pa.decimal256(40, 3)),
        ("decimal(5)", pa.decimal128(5, 0)),
    ],
)
def test_types_are_called_by_their_usual_names(text: str, kind: pa.DataType) -> None:
    """SQL's, Python's and Arrow's."""
    assert kind == parse_type(text)


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if k != pa.float32()] + [pa.string(), pa.timestamp("ms", "Europe/Berlin")]
)
def test_a_type_is_found_again_by_its_name(kind: pa.DataType) -> None:
    """Both by ours and by Arrow's, which is what a stored definition holds; only `float` means float64."""
    assert readable(kind)
    assert kind == parse_type(type_name(kind)) == parse_type(str(kind))


@pytest.mark.parametrize("text", ["", "flaot", "decimal", "decimal(77,2)", "decimal(3,5)", "list<int64>", "int128"])
def test_an_unknown_type_is_refused_with_those_there_are(text: str) -> None:
    """`UsageError`, before anything is touched."""
    with pytest.raises(UsageError, match=r"is no column type.*Use int64"):
        parse_type(text)

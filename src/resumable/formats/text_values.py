r"""Texts into values, without altering any: which texts a type takes, which type a column of texts has.

Laws kept here:

* A text becomes a value only if it can be told from the value again, but for its notation: `1.50` is the number 1.5,
  `2024-05-01T10:00:00` the time `2024-05-01 10:00:00`. What would be altered is a misfit, never rounded or cut.
* The law is the same in the sample and past it. Where a type isn't inferred but fixed, more spellings are taken
  (spelling.py).

What a type takes (everything else is a misfit, the empty string too, except in text):

* integers: digits, maybe a minus sign; no plus, no leading zero, no `-0`; in the type's range
* floats: as integers, with a point and an exponent; equal as a decimal number to the shortest text of the float that
  is made of it; no integer past 64 bits. And the words nan, inf, -inf, Infinity, -Infinity, which inference leaves
  text
* decimals: as floats, but exactly, within precision and scale
* booleans: true, false, True, False, TRUE, FALSE, t, f; inference only takes the first two
* date `YYYY-MM-DD`; time `HH:MM:SS`; timestamp the two with a blank or a `T` between; a fraction as far as the unit
  goes; with a zone if the type has one (`Z`, `+02`, `+0200`, `+02:00`) and without if it hasn't. Inference leaves
  timestamps with a zone and times text
* binary: `\x` and hex digits, as PostgreSQL and CsvSink write it
"""

from __future__ import annotations

import contextlib
import re
from decimal import Decimal, InvalidOperation
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resumable.formats.type_names import type_name

__all__ = ["convert", "convert_lossless", "infer", "misfit", "widened_type"]

INFERRED = (pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us"))
"""What a column may turn out to be, in this order; text if none of them."""

_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_DATE = r"(?!0000)[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TIME = r"[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?"
_ZONE = r"(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"
_WORDS = ("nan", "NaN", "inf", "-inf", "Infinity", "-Infinity")
_TRUE, _FALSE = ("true", "True", "TRUE", "t"), ("false", "False", "FALSE", "f")
_DIGITS = b"0123456789-."
_PROBE = 64  # values that are looked at one by one before a whole column is tried


def convert(column: pa.StringArray, kind: pa.DataType) -> tuple[pa.Array, dict[int, str]]:
    """The column as values of `kind`, and why each misfit is one, by its index; a misfit is NULL among the values.

    A few kernels prove most columns lossless; only where they can't are values looked at one by one.
    """
    values = convert_lossless(column, kind)
    if values is not None:
        return values, {}
    wrong = {text: why for text in _candidates(column, kind) if (why := misfit(text, kind))}
    bad = pc.is_in(column, value_set=pa.array(list(wrong), pa.string()))
    values = _cast(pc.if_else(bad, pa.scalar(None, pa.string()), column), kind)
    return values, {i: wrong[column[i].as_py()] for i in pc.indices_nonzero(bad).to_pylist()}


def convert_lossless(column: pa.StringArray, kind: pa.DataType) -> pa.Array | None:
    """All of its values, if a few kernels can prove that nothing is altered; else None: look at them one by one."""
    if kind == pa.string():
        return column
    try:
        values = _cast(column, kind)
    except pa.ArrowInvalid:
        return None
    return values if values.null_count == column.null_count and _proven_lossless(column, values, kind) else None


def infer(column: pa.StringArray) -> pa.DataType:
    """The first type of `INFERRED` that takes every value of a sample; text if none does, or there is no value."""
    texts = column.drop_null()
    probe = texts.slice(0, _PROBE).unique().to_pylist()
    for kind in INFERRED if probe else ():
        if any(misfit(text, kind) for text in probe) or not _fits(texts, kind):
            continue
        if not (pa.types.is_floating(kind) and _any(pc.is_in(texts, value_set=pa.array(_WORDS)))) and not (
            pa.types.is_boolean(kind) and set(texts.unique().to_pylist()) - {"true", "false"}
        ):
            return kind
    return pa.string()


def _fits(column: pa.StringArray, kind: pa.DataType) -> bool:
    """Whether there is no misfit, told without looking for all of them."""
    try:
        _cast(column, kind)
    except pa.ArrowInvalid:
        return False
    return convert_lossless(column, kind) is not None or not any(
        misfit(text, kind) for text in _candidates(column, kind)
    )


def widened_type(text: str, kind: pa.DataType) -> pa.DataType:
    """A type for a column of `kind` in which `text` has turned up."""
    if pa.types.is_integer(kind):
        return next((k for k in (pa.int64(), pa.float64()) if text not in _WORDS and not misfit(text, k)), pa.string())
    return pa.string()


def misfit(text: str, kind: pa.DataType) -> str | None:
    """Why `text` can't be a value of `kind`, to be read after the text; None if it can."""
    t = pa.types
    if t.is_string(kind):
        return None
    if not text:
        return f"is an empty string in quotes, not NULL and no {_title(kind)}"
    why = None
    if t.is_integer(kind):
        why = _not_whole(text)
    elif t.is_floating(kind) or t.is_decimal(kind):
        why = None if t.is_floating(kind) and text in _WORDS else _not_number(text, kind)
    elif t.is_boolean(kind):
        why = None if text in _TRUE + _FALSE else "is neither true nor false"
    elif t.is_binary(kind):
        why = None if re.fullmatch(r"\\x(?:[0-9a-fA-F]{2})*", text) else r"isn't \x and pairs of hex digits"
    elif not re.fullmatch(_shape(kind), text):
        why = f"isn't a {_title(kind)}"
    if why:
        return why
    try:
        value = _cast(pa.array([text]), kind)
    except pa.ArrowInvalid:
        return f"isn't a {_title(kind)}" if t.is_temporal(kind) else f"doesn't fit into {type_name(kind)}"
    if t.is_timestamp(kind) and kind.tz is not None and not _within_years(value):
        return "is before the year 1 or after the year 9999 in UTC"
    return None


def _not_whole(text: str) -> str | None:
    if _INTEGER.fullmatch(text):
        return "would lose its minus sign" if text == "-0" else None
    return _odd_spelling(text) or ("isn't an integer" if _NUMBER.fullmatch(text) else "isn't a number")


def _not_number(text: str, kind: pa.DataType) -> str | None:
    if not _NUMBER.fullmatch(text):
        return _odd_spelling(text) or "isn't a number"
    try:
        number = Decimal(text)
    except InvalidOperation:
        return "has an exponent that no number type holds"
    if pa.types.is_decimal(kind):
        if number.is_zero() and text.startswith("-"):
            return "would lose its minus sign"
        return None  # Arrow refuses what precision and scale can't hold
    if _INTEGER.fullmatch(text):
        if text == "-0":
            return "would lose its notation"
        if not -(2**63) <= int(text) < 2**63:
            return "is an integer past 64 bits"
    if number != Decimal(_cast(pa.array([text]), kind).cast(pa.string())[0].as_py()):
        return f"has more digits than {type_name(kind)} keeps"
    return None


def _odd_spelling(text: str) -> str | None:
    if re.fullmatch(r"\+[0-9.]+(?:[eE][+-]?[0-9]+)?", text):
        return "would lose its plus sign"
    if re.fullmatch(r"-?0[0-9]+(?:\.[0-9]*)?", text):
        return "would lose its leading zero"
    return None


def _shape(kind: pa.DataType) -> str:
    if pa.types.is_date(kind):
        return _DATE
    if pa.types.is_time(kind):
        return _TIME
    return f"{_DATE}[ T]{_TIME}{'' if kind.tz is None else _ZONE}"


def _title(kind: pa.DataType) -> str:
    if pa.types.is_date(kind):
        return "date (YYYY-MM-DD)"
    if pa.types.is_time(kind):
        return f"time (HH:MM:SS, in {kind.unit})"
    if pa.types.is_timestamp(kind):
        return f"timestamp (YYYY-MM-DD HH:MM:SS, in {kind.unit}, {'without' if kind.tz is None else 'with'} a zone)"
    return type_name(kind)


def _cast(column: pa.StringArray, kind: pa.DataType) -> pa.Array:
    """Arrow's cast, where it has one. A text that it refuses raises `ArrowInvalid`; one that is no boolean is NULL."""
    t = pa.types
    if t.is_boolean(kind):
        true = pc.is_in(column, value_set=pa.array(_TRUE))
        valid = pc.or_(true, pc.is_in(column, value_set=pa.array(_FALSE)))
        return pc.if_else(valid, true, pa.scalar(None, pa.bool_()))
    if t.is_time(kind):
        stamps = pc.binary_join_element_wise("1970-01-01", column, " ").cast(pa.timestamp(kind.unit))
        return stamps.cast(kind)
    if t.is_binary(kind):
        texts: list[Any] = column.to_pylist()
        try:
            return pa.array([None if s is None else _unhexed(s) for s in texts], pa.binary())
        except ValueError as error:
            raise pa.ArrowInvalid(str(error)) from None
    return column.cast(kind)


def _unhexed(text: str) -> bytes:
    if not text.startswith("\\x") or " " in text:
        raise ValueError(text)
    return bytes.fromhex(text[2:])


def _proven_lossless(column: pa.StringArray, values: pa.Array, kind: pa.DataType) -> bool:
    """Whether kernels can tell of the whole column that what Arrow's cast has taken is what the law takes.

    Arrow also takes leading zeros, plus signs, hex, digits past precision, and times without seconds.
    """
    t = pa.types
    if t.is_integer(kind):
        return bool(pc.all(pc.equal(values.cast(pa.string()), column), min_count=0).as_py())
    if t.is_floating(kind):
        exact = 15 if kind.bit_width == 64 else 6  # decimal digits that a float always gives back
        return (pc.max(pc.binary_length(column)).as_py() or 0) <= exact and _plain_digits(column)
    if t.is_decimal(kind):
        return _plain_digits(column)
    if t.is_date(kind):
        return not _any(pc.starts_with(column, "0000"))
    if t.is_time(kind):
        return (pc.min(pc.binary_length(column)).as_py() or 8) >= 8
    if t.is_timestamp(kind):
        shortest = pc.min(pc.binary_length(column)).as_py() or 20
        # Arrow's "HH:MM+02:00" is longer than "HH:MM:SS": where there is a zone, the seconds are looked for.
        seconds = kind.tz is None or not _any(pc.invert(pc.match_substring_regex(column, r"^.{16}:")))
        return shortest >= 19 and seconds and not _any(pc.starts_with(column, "0000")) and _within_years(values)
    return True  # booleans and bytes are our own


def _plain_digits(column: pa.StringArray) -> bool:
    """Whether all values are digits, points and minus signs, none with a leading zero or minus zero.

    The bytes of all values lie one after the other; a slice's neighbours among them can only make us more careful.
    """
    data = column.buffers()[2]
    if data is not None and data.to_pybytes().translate(None, _DIGITS):
        return False
    zero = pc.starts_with(column, "0").true_count
    plain = zero and pc.starts_with(column, "0.").true_count + pc.equal(column, "0").true_count
    return bool(zero == plain) and not _any(pc.starts_with(column, "-0"))


def _candidates(column: pa.StringArray, kind: pa.DataType) -> list[str]:
    """The distinct values that are to be looked at one by one."""
    texts = column.drop_null().unique()
    if pa.types.is_floating(kind):
        # Most long floats are spelled as Arrow spells them, and so are known to be kept.
        numbers = texts.filter(pc.match_substring_regex(texts, rf"^(?:{_NUMBER.pattern})$"))
        stable = numbers.filter(pc.equal(numbers.cast(kind).cast(pa.string()), numbers))
        long = pc.and_(pc.match_substring_regex(stable, r"^-?[0-9]+$"), pc.greater(pc.binary_length(stable), 15))
        safe = stable.filter(pc.and_(pc.invert(long), pc.not_equal(stable, "-0")))
        texts = texts.filter(pc.invert(pc.is_in(texts, value_set=safe)))
    elif shape := _regex(kind):
        # A word among numbers: the numbers are fine if they are fine without it.
        fitting = pc.match_substring_regex(texts, rf"^(?:{shape})$")
        shaped = texts.filter(fitting)
        with contextlib.suppress(pa.ArrowInvalid):
            if _proven_lossless(shaped, _cast(shaped, kind), kind):
                texts = texts.filter(pc.invert(fitting))
    candidates: list[str] = texts.to_pylist()
    return candidates


def _regex(kind: pa.DataType) -> str:
    """What texts of the kind look like, in Arrow's regular expressions; "" where that isn't worth to be asked."""
    t = pa.types
    if t.is_integer(kind):
        return _INTEGER.pattern
    if t.is_decimal(kind):
        return _NUMBER.pattern
    return _shape(kind).replace("(?!0000)", "") if t.is_temporal(kind) else ""  # which `_proven_lossless` looks for


def _within_years(values: pa.TimestampArray) -> bool:
    """Whether all lie in the years 1 to 9999, which is what dates have everywhere but in Arrow."""
    if values.type.unit == "ns":  # can't leave the years 1677 to 2262
        return True
    year = pc.min_max(pc.year(values.cast(pa.timestamp(values.type.unit))))
    return bool(year["min"].as_py() is None or (year["min"].as_py() >= 1 and year["max"].as_py() <= 9999))


def _any(mask: pa.BooleanArray) -> bool:
    return bool(mask.true_count)

"""Values on their way into PostgreSQL: what it couldn't keep as they are, and how COPY reads the others.

Numbers go as text into a numeric of whatever digits, and text goes into a column that takes words which Arrow's types
don't have (NaN, infinity): PostgreSQL reads both as they are meant, once it is sure that nothing would be rounded off.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation

import pyarrow as pa
import pyarrow.compute as pc

from resumable.databases.limits import Mask, first, no_time, years
from resumable.databases.relations import Column

__all__ = ["copied", "takes", "unrepresentable"]

_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SPECIAL = r"(?i)^(?:nan|-?inf(?:inity)?)$"
_NUMERIC = re.compile(r"numeric(?:\(\d+,(-?\d+)\))?")
_MOMENT = re.compile(r"(date|timestamp)(?:\((\d)\))?( with time zone)?.*")


def takes(kind: pa.DataType, column: Column) -> bool:
    """Whether the column keeps such values as they are, but for those that `unrepresentable` finds."""
    t = pa.types
    if not _NUMERIC.fullmatch(column.declared):
        return False
    # Where Arrow's decimals can't hold what the column does, numbers go as they are.
    return bool(t.is_floating(kind) or (column.type == pa.string() and (t.is_integer(kind) or t.is_decimal(kind))))


def unrepresentable(column: pa.Array, declared: Column | None) -> Mask:
    """See `Loader.unrepresentable`."""
    if column.type != pa.string():
        return first(_number(column, declared), _rounded(column, declared), years(column, 1), no_time(column))
    nul = pc.match_substring(column, "\0"), "holds a NUL character, which PostgreSQL can't keep"
    return first(nul, _number(column, declared), _long(column, declared), _moment(column, declared))


def _number(column: pa.Array, declared: Column | None) -> Mask:
    """What a numeric column would round off, or what is no number; Arrow has looked at its own decimals."""
    numeric = _NUMERIC.fullmatch(declared.declared) if declared else None
    if numeric is None or declared is None or (column.type == declared.type and column.type != pa.string()):
        return None
    texts, scale = column.cast(pa.string()), int(numeric[1]) if numeric[1] else None
    if pa.types.is_floating(column.type):
        texts = pc.if_else(pc.equal(texts, "-0"), "0", texts)
    fraction = r"\d*" if scale is None else rf"\d{{0,{max(scale, 0)}}}0*"
    usual = rf"^(?:0|-?[1-9]\d*)(?:\.{fraction})?$" if scale is None or scale >= 0 else "^0$"
    plain = pc.or_(pc.match_substring_regex(texts, usual), pc.match_substring_regex(texts, _SPECIAL))
    doubtful = texts.filter(pc.invert(plain)).drop_null().unique().to_pylist()
    wrong = pa.array([text for text in doubtful if not _keeps(text, scale)], pa.string())
    return pc.is_in(texts, value_set=wrong), f"isn't a number that {declared.declared} would keep as it is"


def _keeps(text: str, scale: int | None) -> bool:
    if not _NUMBER.fullmatch(text):
        return False
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    if number.is_zero():
        return not text.startswith("-")  # numeric has no minus zero
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    zeros = len(digits) - len("".join(map(str, digits)).rstrip("0"))
    return scale is None or -(exponent + zeros) <= scale


def _long(column: pa.Array, declared: Column | None) -> Mask:
    limit = re.fullmatch(r"character(?: varying)?\((\d+)\)", declared.declared) if declared else None
    if limit is None or declared is None:  # over-long blanks would be cut off without a word
        return None
    return pc.greater(pc.utf8_length(column), int(limit[1])), f"is longer than {declared.declared}"


def _moment(column: pa.Array, declared: Column | None) -> Mask:
    """Texts in a column of dates that PostgreSQL might read otherwise than they are meant, or round off."""
    if declared is None or declared.type == pa.string() or not declared.words:
        return None
    match = _MOMENT.fullmatch(declared.declared)
    if match is None:
        return None
    time = rf"[ T](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{{0,{match[2] or 6}}}0*)?)?"
    zone = r"(?:Z|[+-]\d{2}(?::?\d{2})?)" if match[3] else ""
    shape = rf"^(?:\d{{4}}-\d{{2}}-\d{{2}}{'' if match[1] == 'date' else time + zone}|-?infinity)$"
    return pc.invert(pc.match_substring_regex(column, shape)), f"isn't written as {declared.declared} is here"


def _rounded(column: pa.Array, declared: Column | None) -> Mask:
    """Fractions of a second that `timestamp(3)` and the like would round off."""
    digits = re.match(r"time(?:stamp)?\((\d)\)", declared.declared) if declared else None
    if digits is None or not (pa.types.is_timestamp(column.type) or pa.types.is_time64(column.type)):
        return None
    assert declared is not None
    step, micros = 10 ** (6 - int(digits[1])), column.cast(pa.int64())
    mask = pc.not_equal(pc.multiply(pc.divide(micros, step), step), micros)
    return mask, f"has a finer fraction than {declared.declared} keeps"


def copied(column: pa.Array) -> pa.Array:
    """The column as COPY reads it."""
    kind = column.type
    if pa.types.is_binary(kind):
        return pa.array([None if v is None else "\\x" + v.hex() for v in column.to_pylist()], pa.string())
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return column.cast(pa.timestamp("us", "UTC"))
    return column

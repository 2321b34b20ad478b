"""Values on their way into PostgreSQL: what it couldn't keep as they are, and how COPY reads the others."""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from resumable.sinks.dialect import Column
from resumable.sinks.values import Odd, first, no_time, years

__all__ = ["copied", "odd"]

_PLAIN_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"


def odd(column: pa.Array, declared: Column | None) -> Odd:
    """See `Dialect.odd`."""
    if column.type == pa.string():
        return first(_text(column, declared))
    return first(_rounded(column, declared), years(column, 1), no_time(column))


def _text(column: pa.Array, declared: Column | None) -> Odd:
    mask, why = pc.match_substring(column, "\0"), "holds a NUL character, which PostgreSQL can't keep"
    if declared is not None and not pc.any(mask).as_py():
        limit = re.fullmatch(r"character(?: varying)?\((\d+)\)", declared.declared)
        if limit:  # over-long blanks would be cut off without a word
            mask = pc.greater(pc.utf8_length(column), int(limit[1]))
            why = f"is longer than {declared.declared}"
        elif declared.declared == "numeric":
            mask = pc.invert(pc.match_substring_regex(column, _PLAIN_NUMBER))
            why = "isn't a number that numeric would keep as it is"
    return mask, why


def _rounded(column: pa.Array, declared: Column | None) -> Odd:
    """Fractions of a second that `timestamp(3)` and the like would round off."""
    digits = re.match(r"time(?:stamp)?\((\d)\)", declared.declared) if declared else None
    if digits is None or not (pa.types.is_timestamp(column.type) or pa.types.is_time64(column.type)):
        return None
    step, micros = 10 ** (6 - int(digits[1])), column.cast(pa.int64())
    assert declared is not None
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

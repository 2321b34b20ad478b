"""From a source's type to a column's: which of them can be tried, and casts that alter nothing or fail."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from resumable.arrow_types import plain_array

__all__ = ["castable", "exact"]


def castable(source: pa.DataType, target: pa.DataType) -> bool:
    """Whether some values of one may be values of the other, and `exact` tells which."""
    t = pa.types
    if t.is_integer(source):
        return bool(t.is_integer(target) or t.is_floating(target) or t.is_decimal(target) or t.is_boolean(target))
    if t.is_floating(source):
        return bool(t.is_integer(target) or t.is_floating(target) or t.is_decimal(target))
    if t.is_decimal(source):
        return bool(t.is_decimal(target) or t.is_integer(target))
    if t.is_date(source):
        return bool(t.is_timestamp(target) and target.tz is None)
    return bool(t.is_timestamp(source) and source.tz is None and t.is_date(target))


def exact(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """The same values as `kind`. Raises `ArrowInvalid` if there is one that would be altered.

    A float is the number that its shortest text says, as it is for databases: 0.1 goes into a numeric or a real.
    """
    t, source = pa.types, column.type
    if t.is_integer(source) and t.is_decimal(kind):
        return column.cast(pa.decimal128(20, 0)).cast(kind)  # straight, Arrow asks for the type's full range
    if t.is_integer(source) and t.is_boolean(kind):
        return _same(column, column.cast(kind), column.cast(kind).cast(source))
    if t.is_floating(source) and t.is_decimal(kind):
        return column.cast(pa.string()).cast(kind)
    if t.is_floating(source) and t.is_floating(kind) and kind.bit_width < source.bit_width:
        return _same(column.cast(pa.string()), column.cast(kind), column.cast(kind).cast(pa.string()))
    if t.is_timestamp(source) and t.is_date(kind):
        return _same(column, column.cast(kind), column.cast(kind).cast(source))
    return plain_array(column, kind)


def _same(before: pa.Array, cast: pa.Array, after: pa.Array) -> pa.Array:
    if not pc.all(pc.equal(before, after), min_count=0).as_py():
        raise pa.ArrowInvalid("a value would be altered")
    return cast

"""Values on their way into a database: what both kinds of database couldn't keep as it is."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Mask", "first", "no_time", "years"]

Mask = tuple[pa.Array, str] | None
"""A mask of values, and why none of them can be kept; None if there are none."""

_DAY = 86_400_000_000


def first(*masks: Mask) -> Mask:
    """The first of these that is there and finds something."""
    for mask in masks:
        if mask is not None and pc.any(mask[0]).as_py():
            return mask
    return None


def years(column: pa.Array, least: int, most: int | None = None) -> Mask:
    """Dates before the year `least` or after the year `most`."""
    if not (pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)) or not len(column):
        return None
    year = pc.year(column)
    mask, why = pc.less(year, least), f"is before the year {least}"
    if most is not None:
        mask, why = pc.or_(mask, pc.greater(year, most)), f"{why} or after the year {most}"
    return mask, why


def no_time(column: pa.Array) -> Mask:
    """Times of day, in microseconds, that no day has; Arrow doesn't look when they are made."""
    if not pa.types.is_time64(column.type):
        return None
    micros = column.cast(pa.int64())
    return pc.or_(pc.less(micros, 0), pc.greater_equal(micros, _DAY)), "is no time of a day"

"""Values on their way into SQLite: what it would alter, and how it keeps the others (resumable.databases.sqlite.types)."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resumable.databases.limits import Mask, first, no_time, years
from resumable.databases.relations import Column
from resumable.databases.sqlite.types import EXACT_DIGITS, affinity

__all__ = ["to_sql", "unrepresentable"]


def unrepresentable(column: pa.Array, declared: Column | None) -> Mask:
    """See `Loader.unrepresentable`."""
    return first(_altered(column, declared), years(column, 1, 9999), no_time(column))


def _altered(column: pa.Array, declared: Column | None) -> Mask:
    kind, mask, why = column.type, None, ""
    if pa.types.is_floating(kind):
        mask, why = pc.is_nan(column), "is NaN, which SQLite would keep as NULL"
    elif kind == pa.uint64():
        mask = pc.greater(column, pa.scalar(2**63 - 1, kind))
        why = "is past 64 bits, SQLite's greatest integer"
    elif (
        pa.types.is_decimal(kind)
        and kind.precision > EXACT_DIGITS
        and declared
        and affinity(declared.declared) != "TEXT"
    ):
        digits = ["" if v is None else format(abs(v), "f").replace(".", "").strip("0") for v in column.to_pylist()]
        mask, why = (
            pa.array([len(d) > EXACT_DIGITS for d in digits]),
            "has more than 15 digits, which SQLite would round",
        )
    return None if mask is None else (mask, why)


def to_sql(column: pa.Array) -> list[Any]:
    """The values as SQLite keeps them."""
    kind = column.type
    if pa.types.is_boolean(kind):
        column = column.cast(pa.int8())
    elif pa.types.is_date(kind):
        column = column.cast(pa.date32()).cast(pa.string())
    elif pa.types.is_timestamp(kind):
        text = _whole(column.cast(pa.timestamp("us")).cast(pa.string()))
        column = text if kind.tz is None else pc.binary_join_element_wise(text, "+00:00", "")
    elif pa.types.is_time(kind):
        column = _whole(column.cast(pa.time64("us")).cast(pa.string()))
    elif pa.types.is_decimal(kind):
        return [None if v is None else format(v, "f") for v in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def _whole(text: pa.Array) -> pa.Array:
    """Without a fraction of zero."""
    return pc.if_else(pc.ends_with(text, ".000000"), pc.utf8_slice_codeunits(text, 0, -7), text)

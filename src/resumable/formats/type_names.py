"""What column types are called: `int64`, `text`, `decimal(12,2)`, and whatever Arrow itself calls them."""

from __future__ import annotations

import re

import pyarrow as pa

from resumable.errors import UsageError

__all__ = ["parse_type", "readable", "type_name"]

_NAMES = {
    pa.int64(): ("int64", "integer", "int", "bigint", "long"),
    pa.int32(): ("int32",),
    pa.int16(): ("int16", "smallint"),
    pa.int8(): ("int8",),
    pa.uint64(): ("uint64",),
    pa.uint32(): ("uint32",),
    pa.uint16(): ("uint16",),
    pa.uint8(): ("uint8",),
    pa.float64(): ("float64", "double", "float", "real", "double precision"),
    pa.float32(): ("float32",),
    pa.string(): ("string", "text", "str", "varchar", "large_string", "string_view"),
    pa.bool_(): ("bool", "boolean"),
    pa.date32(): ("date", "date32", "date32[day]"),
    pa.timestamp("us"): ("timestamp", "datetime"),
    pa.timestamp("us", "UTC"): ("timestamptz", "timestamp with time zone"),
    pa.time64("us"): ("time", "time64"),
    pa.binary(): ("binary", "bytes", "bytea"),
}
_TYPES = {name: kind for kind, names in _NAMES.items() for name in names}
_DECIMAL = re.compile(r"(?:decimal|numeric|decimal128|decimal256)\(\s*([0-9]+)\s*(?:,\s*([0-9]+)\s*)?\)")
_STAMP = re.compile(r"timestamp\[(s|ms|us|ns)(?:,\s*tz=([^\]]+))?\]")
_CLOCK = re.compile(r"time(?:32|64)\[(s|ms|us|ns)\]")


def parse_type(text: str) -> pa.DataType:
    """The type that a word means: `int64`, `text`, `decimal(12,2)`, and whatever Arrow itself calls its types.

    Raises `UsageError` for a word that means none.
    """
    word = " ".join(text.lower().split())
    if word in _TYPES:
        return _TYPES[word]
    if match := _DECIMAL.fullmatch(word):
        precision, scale = int(match[1]), int(match[2] or 0)
        if 1 <= precision <= 76 and scale <= precision:
            return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)
    if match := _STAMP.fullmatch(" ".join(text.split())):
        return pa.timestamp(match[1], match[2])
    if match := _CLOCK.fullmatch(word):
        return pa.time32(match[1]) if match[1] in ("s", "ms") else pa.time64(match[1])
    raise UsageError(
        f"{text!r} is no column type.",
        do="Use int64, float64, string, bool, date, time, timestamp, timestamptz, binary or decimal(p,s), p up to 76.",
    )


def type_name(kind: pa.DataType) -> str:
    """A word for the type that `parse_type` understands."""
    return _NAMES[kind][0] if kind in _NAMES else str(kind)


def readable(kind: pa.DataType | pa.Field | None) -> bool:
    """Whether texts can be turned into values of this type, or of this column's."""
    t = pa.types
    kind = kind.type if isinstance(kind, pa.Field) else kind
    if kind is None:
        return False
    return bool(
        kind in _NAMES or t.is_timestamp(kind) or t.is_time(kind) or t.is_decimal128(kind) or t.is_decimal256(kind)
    )

"""SQLite's values as Arrow arrays: exact, or a `UnreadableValue` that says which value doesn't fit."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resumable.databases.halving import failing_rows
from resumable.databases.keyset import UnreadableValue

__all__ = ["array", "fits", "natural"]

_Values = Sequence[Any]


def natural(values: _Values) -> pa.DataType:
    """The type of values that no declaration speaks for: integers, numbers, blobs; else text."""
    kinds = set(map(type, values)) - {type(None)}
    if kinds == {bytes}:
        return pa.binary()
    for candidate in (pa.int64(), pa.float64()):
        if kinds and kinds <= {int, float} and fits(values, candidate):
            return candidate
    return pa.string()


def fits(values: _Values, kind: pa.DataType) -> bool:
    """Whether all the values can be of that type as they are."""
    try:
        _convert(values, kind)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):
        return False
    return True


def array(values: _Values, field: pa.Field) -> pa.Array:
    """The values as an array of the field's type. Raises `UnreadableValue` for the first that doesn't fit."""
    try:
        return _convert(values, field.type)
    except (pa.ArrowException, ValueError, TypeError, OverflowError):

        def attempt(start: int, stop: int) -> bool | None:
            return None if fits(values[start:stop], field.type) else True

        row, _ = next(failing_rows(0, len(values), attempt))
        raise UnreadableValue(row, field.name, values[row], field.type) from None


def _convert(values: _Values, kind: pa.DataType) -> pa.Array:
    """Raises `ValueError` or an `ArrowException` unless each value is kept as it is."""
    types = set(map(type, values)) - {type(None)}
    t = pa.types
    if t.is_string(kind):
        _only(types, {str, int, float})
        if types <= {str}:
            return pa.array(values, kind)
        return pa.array([v if v is None or type(v) is str else repr(v) for v in values], kind)
    if t.is_decimal(kind):
        _only(types, {str, int, float})
        return _decimals(values, types, kind)
    if t.is_binary(kind):
        _only(types, {bytes})
        return pa.array(values, kind)
    if t.is_integer(kind):
        _only(types, {int})
        return pa.array(values, kind)
    if t.is_floating(kind):
        _only(types, {int, float})
        return pa.array(values, kind)
    if t.is_boolean(kind):
        _only(types, {int})
        if not set(values) <= {0, 1, None}:
            raise ValueError("a boolean is 0 or 1")
        return pa.array(values, pa.int64()).cast(kind)
    _only(types, {str})
    return _moments(pa.array(values, pa.string()), kind)


def _only(types: set[type], wanted: Iterable[type]) -> None:
    if not types.issubset(wanted):
        raise ValueError("a value of another type")


def _decimals(values: _Values, types: set[type], kind: pa.DataType) -> pa.Array:
    """Decimals from text and integers, and from floats that are the nearest to a decimal of the type."""
    form = f"%.{kind.scale}f"
    texts = [_decimal_text(v, form) for v in values]
    if float in types and any(
        type(v) is float and float(text) != v for v, text in zip(values, texts, strict=True) if text is not None
    ):
        raise ValueError("more digits than its column declares")
    digits = pa.array(texts, pa.string())
    if not pc.all(pc.match_substring_regex(digits, "^[+-]?[0-9]+([.][0-9]+)?$"), min_count=0).as_py():
        raise ValueError("not a decimal")
    return digits.cast(kind)


def _decimal_text(value: Any, form: str) -> str | None:
    if value is None or type(value) is str:
        return value
    return form % value if type(value) is float else str(value)


_FORMS = {
    "date": r"^\d{4}-\d\d-\d\d$",
    "time": r"^\d\d:\d\d:\d\d(\.\d{1,6})?$",
    "naive": r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?$",
    "zoned": r"^\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d{1,6})?(Z|\+00(:?00)?)$",
}


def _moments(texts: pa.Array, kind: pa.DataType) -> pa.Array:
    """Dates and times from text. A zone other than UTC wouldn't come back, so it doesn't fit."""
    if pa.types.is_date(kind) or pa.types.is_time(kind):
        name = "date" if pa.types.is_date(kind) else "time"
    else:
        name = "zoned" if kind.tz else "naive"
    if not pc.all(pc.match_substring_regex(texts, _FORMS[name]), min_count=0).as_py():
        raise ValueError(f"not a {name} value as SQLite keeps it")
    if name == "time":  # Arrow casts no text to a time, but it does to a moment
        day = pc.binary_join_element_wise("1970-01-01", texts, " ")
        return day.cast(pa.timestamp("us")).cast(kind)
    return texts.cast(kind)

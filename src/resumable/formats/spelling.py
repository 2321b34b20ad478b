r"""Other spellings of a value, which are taken where a column's type is fixed: by `columns`, or from a table.

Inference never guesses them: a column of `1.0` is none of integers, one of `yes` none of booleans. A column whose type is
fixed takes, besides what text_values.py says:

* booleans: true/false, t/f, yes/no, y/n, on/off, 1/0, in any case
* integers: `1.0`
* floats: whole numbers past 64 bits and `-0`; nan, inf and infinity in any case
* timestamps without a zone: a date, which is its midnight
* timestamps and times: no seconds; zeros behind the last digit that the unit has
* dates: a midnight
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["respelled"]

_BOOLEANS = {"true": ("true", "t", "yes", "y", "on", "1"), "false": ("false", "f", "no", "n", "off", "0")}
_ZONE = r"((?:Z|[+-]\d{2}(?::?\d{2})?)?)"
_PATTERNS = {
    "integer": [(r"^(-?(?:0|[1-9]\d*))\.0*$", r"\1")],
    "float": [(r"^(-?[1-9]\d{18,}|-0)$", r"\1."), (r"(?i)^(-?)(nan|inf)(?:inity)?$", r"\1\2")],
    "date": [(r"^(\d{4}-\d{2}-\d{2})[ T]00:00(?::00(?:\.0+)?)?$", r"\1")],
    "time": [(r"^(\d{2}:\d{2})$", r"\1:00"), (r"(\.\d{6})0+$", r"\1")],
    "timestamp": [
        (rf"^(\d{{4}}-\d{{2}}-\d{{2}}[ T]\d{{2}}:\d{{2}}){_ZONE}$", r"\1:00\2"),
        (rf"(\.\d{{6}})0+{_ZONE}$", r"\1\2"),
    ],
    "naive": [(r"^(\d{4}-\d{2}-\d{2})$", r"\1 00:00:00")],
}


def respelled(column: pa.StringArray, kind: pa.DataType) -> pa.StringArray:
    """The column with each such spelling as text_values.py has it; every other text as it is."""
    if pa.types.is_boolean(kind):
        lower = pc.ascii_lower(column)
        for word, spellings in _BOOLEANS.items():
            column = pc.if_else(pc.is_in(lower, value_set=pa.array(spellings)), word, column)
        return column
    for pattern, spelled in _patterns(kind):
        column = pc.replace_substring_regex(column, pattern, spelled)
    return pc.ascii_lower(column) if pa.types.is_floating(kind) else column


def _patterns(kind: pa.DataType) -> list[tuple[str, str]]:
    t = pa.types
    if t.is_integer(kind):
        return _PATTERNS["integer"]
    if t.is_floating(kind):
        return _PATTERNS["float"]
    if t.is_date(kind):
        return _PATTERNS["date"]
    if t.is_time(kind):
        return _PATTERNS["time"]
    if t.is_timestamp(kind):
        return _PATTERNS["timestamp"] + (_PATTERNS["naive"] if kind.tz is None else [])
    return []

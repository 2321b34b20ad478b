"""Data in memory as an Arrow table; what Arrow would alter is refused, with the column's name.

Arrow's conversions alter these without a word, so they are checked here:

* extension types: arrow.uuid, arrow.json and arrow.bool8 are understood; of any other, such as pandas' Period, only its
  author knows what its storage means
* Python objects of several kinds in one pandas column: text among bytes, times with a zone among times without one,
  a datetime among dates would lose what the others haven't
* a zone of a `datetime.time`, the nanoseconds of a `pandas.Timestamp` among objects
* polars' Object columns, which hold addresses in memory

What pandas itself takes for missing (None, NaN, NaT, pandas.NA) is NULL. polars and Arrow tell NaN from NULL.
"""

from __future__ import annotations

import datetime as dt
import numbers
from collections.abc import Iterable
from typing import Any

import pyarrow as pa

from resumable.arrow_types import plain
from resumable.errors import SourceError

__all__ = ["check_types", "table", "unreadable"]

_ERRORS = (pa.ArrowException, TypeError, ValueError, OverflowError)
_TEXT = "Turn it into text (.astype(str) in pandas), numbers or dates, or leave it out."


def table(data: Any) -> pa.Table:
    """The data as a table, without copying more than its form of storage demands. Raises `SourceError`."""
    name = f"{type(data).__module__}.{type(data).__name__}"
    if isinstance(data, pa.Table):
        result = data
    elif isinstance(data, pa.RecordBatch):
        result = pa.Table.from_batches([data])
    elif name.startswith("polars.") and hasattr(data, "collect"):
        raise unreadable("A polars LazyFrame has no rows yet.", "Give frame.collect().")
    elif name.startswith("pandas.") and hasattr(data, "iloc") and hasattr(data, "columns"):
        result = _from_pandas(data)
    elif isinstance(data, pa.RecordBatchReader) or hasattr(data, "__next__") or not hasattr(data, "__arrow_c_stream__"):
        what = f"A {type(data).__name__} isn't data in Arrow's form."
        if isinstance(data, pa.RecordBatchReader) or hasattr(data, "__next__"):
            what = f"A {type(data).__name__} can be read only once, so a run over it couldn't be resumed."
        raise unreadable(
            what,
            "Give a table or data frame, a file, or a callable that makes a new stream: ArrowSource(lambda: reader).",
        )
    else:
        result = _from_stream(data)
    names = result.schema.names
    if not names or len(set(names)) < len(names):
        raise unreadable("The data has columns of the same name, or none.", "Give each column a name of its own.")
    check_types(result.schema, data)
    return result


def check_types(schema: pa.Schema, made_of: Any = None) -> pa.Schema:
    """The schema, if what its types mean is known. `made_of`: the frame it is of, which may tell more."""
    if type(made_of).__module__.startswith("polars"):
        for name, kind in made_of.schema.items():
            if str(kind) == "Object":
                raise _column_error(name, "holds Python objects, which polars gives away as addresses in memory", _TEXT)
    for field in schema:
        extension = _unknown_extension(field.type) or (field.metadata or {}).get(b"ARROW:extension:name", b"").decode()
        if extension and extension != "arrow.json":
            raise _column_error(field.name, f"is of type {extension}, whose values only its author can read", _TEXT)
    return schema


def unreadable(what: str, do: str) -> SourceError:
    """The error for data that can't be read."""
    return SourceError(what, safe="Nothing was changed.", do=do)


def _column_error(name: object, what: str, do: str) -> SourceError:
    return unreadable(f"Column {str(name)!r} {what}.", do)


def _unknown_extension(kind: pa.DataType) -> str:
    """The name of an extension type in it that isn't understood."""
    kind = plain(kind)
    if isinstance(kind, pa.BaseExtensionType):
        return str(kind.extension_name)
    inner = (kind.field(i).type for i in range(kind.num_fields))
    return next((name for name in map(_unknown_extension, inner) if name), "")


def _from_stream(data: Any) -> pa.Table:
    try:
        return pa.table(data)
    except _ERRORS as error:
        names = getattr(data, "columns", None)
        if isinstance(names, list) and len(names) > 1:  # polars says which column it is only if it is alone
            for name in names:
                _from_stream(data.select(name))
        one = names[0] if isinstance(names, list) and len(names) == 1 else None
        why = f"can't be brought into Arrow's form: {error}"
        do = "Cast it to a type that Arrow has, such as Decimal(38, 0) or text."
        raise (unreadable(f"The data {why}.", do) if one is None else _column_error(one, why, do)) from error


def _from_pandas(frame: Any) -> pa.Table:
    index = frame.index
    if type(index).__name__ != "RangeIndex" or index.name is not None:
        # Levels without a name are called as pandas calls them: index, level_0, ...
        frame = frame.reset_index()
    for at, name in enumerate(frame.columns):
        values = frame.iloc[:, at]
        values = getattr(getattr(values, "cat", None), "categories", values)
        if values.dtype == object and (what := _altered_objects(values.dropna())):
            raise _column_error(name, what, "Give its columns one type each.")
    try:
        return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    except _ERRORS as error:
        for at, name in enumerate(frame.columns):
            _raise_for_column(frame.iloc[:, [at]], name)
        raise unreadable(
            f"The frame can't be brought into Arrow's form: {error}.", "Give its columns one type each."
        ) from error


def _raise_for_column(column: Any, name: object) -> None:
    """Raise, if this column is why the frame can't be converted."""
    try:
        pa.Table.from_pandas(column, preserve_index=False)
    except _ERRORS as error:
        reason = str(error) if isinstance(error, UnicodeError) else str(error.args[0])
        raise _column_error(
            name, f"can't be brought into Arrow's form: {reason.rstrip('.')}", f"Give it one type. {_TEXT}"
        ) from error


def _altered_objects(values: Iterable[Any]) -> str:
    """What Arrow would alter among Python's objects, none of which is missing; "" if nothing."""
    kinds = {type(value) for value in values}
    families = {_family(kind) for kind in kinds}
    if len(families) > 1:
        return f"holds values of several types: {', '.join(sorted(kind.__name__ for kind in kinds))}"
    if families == {"datetime"}:
        if len({value.tzinfo is None for value in values}) > 1:
            return "holds times with a zone and times without one"
        if any(getattr(value, "nanosecond", 0) for value in values):
            return "holds nanoseconds in Python objects, which would be cut off (pandas.to_datetime keeps them)"
    if families == {"time"} and any(value.tzinfo is not None for value in values):
        return "holds times of day with a zone, which no column keeps"
    return ""


def _family(kind: type) -> str:
    """Kinds that Arrow brings together without altering them, or refuses to."""
    for family, of in (("datetime", dt.datetime), ("date", dt.date), ("time", dt.time), ("text", str)):
        if issubclass(kind, of):
            return family
    if issubclass(kind, (bytes, bytearray, memoryview)):
        return "bytes"
    return "number" if issubclass(kind, numbers.Number) else kind.__name__

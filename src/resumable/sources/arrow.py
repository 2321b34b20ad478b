"""ArrowSource: rows that are in memory already, a table or data frame, or that a callable can stream again.

A table is sliced, never copied. Its identity is its schema, its number of rows, and a hash of the values in its first
and last rows, which is the same in any process and however the table is chunked.
A stream that can be read only once can't be resumed, and is refused at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resumable.arrow_types import plain, plain_array
from resumable.checkpoint import Json
from resumable.protocols import MAX_BYTES, MAX_ROWS, Batch
from resumable.sources.frames import check_types, table, unreadable

__all__ = ["ArrowSource"]


class ArrowSource:
    """A pyarrow Table or RecordBatch, a pandas or polars frame, whatever has `__arrow_c_stream__`; or a callable.

    A callable is asked for a new stream of the same rows whenever reading begins; rows before the position are
    skipped, so reading on costs what reading them costs. Of a pandas frame a `RangeIndex` without a name is left out;
    any other index becomes columns in front. Types are made plain: large_string, string_view, dictionary are what
    they hold.
    Position: `{"row": rows read}`.
    """

    def __init__(self, data: Any) -> None:
        self._stream: Callable[[], Any] | None = None
        self._table: pa.Table | None = None
        if callable(data) and not hasattr(data, "__arrow_c_stream__"):
            self._stream, self._kind = data, "a stream that is made anew"
        else:
            self._table, self._kind = table(data), f"a {type(data).__module__.partition('.')[0]} {type(data).__name__}"

    @property
    def address(self) -> str:
        """A hash of all of the columns and values; "" of a stream, whose rows nobody knows beforehand."""
        if self._table is None:
            return ""
        digest = hashlib.sha256(repr([(field.name, str(field.type)) for field in self.schema()]).encode())
        for start in range(0, self._table.num_rows, MAX_ROWS):
            digest.update(_digest(self._table.slice(start, MAX_ROWS)).encode())
        return f"rows {digest.hexdigest()}"

    def identity(self) -> dict[str, Json]:
        """Columns, rows and a hash of both ends; of a stream only the columns can be known beforehand."""
        columns = [[field.name, str(field.type)] for field in self.schema()]
        if self._table is None:
            return {"columns": columns}
        return {"columns": columns, **_values(self._table, _end(self._table))}

    def changed(self, identity: dict[str, Json], position: Json) -> str | None:
        """What differs: columns, rows, or values at either end."""
        now: dict[str, Json] = {"columns": [[field.name, str(field.type)] for field in self.schema()]}
        if self._table is not None:
            now |= _values(self._table, identity.get("ends") or _end(self._table))
        if identity["columns"] != now["columns"]:
            was, is_ = ([f"{name} {kind}" for name, kind in side["columns"]] for side in (identity, now))
            return f"the columns were {', '.join(was)} and are now {', '.join(is_)}"
        if identity.get("rows") != now.get("rows"):
            return f"it had {identity.get('rows', 'unknown')} rows and now has {now.get('rows', 'unknown')}"
        for end, word in (("head", "first"), ("tail", "last")):
            if identity.get(end) != now.get(end):
                return f"the values in its {word} rows are others"
        return None

    def schema(self) -> pa.Schema:
        """The columns, of plain types."""
        if self._table is not None:
            return _plain(self._table.schema)
        with _Opened(self._stream) as reader:
            return _plain(check_types(reader.schema))

    def read(self, schema: pa.Schema, position: Json, identity: dict[str, Json]) -> Generator[Batch, None, None]:
        """Batches after the position. Raises `SourceError` for a stream that is shorter, or has other columns, now."""
        start = 0 if position is None else position["row"]
        total = identity.get("rows")
        if self._table is not None:
            yield from _batches(_slices(self._table, start), schema, start, total)
            return
        with _Opened(self._stream) as reader:
            yield from _batches(_skipped(reader, start), schema, start, total)

    def describe(self) -> str:
        """What is read, and what a resume rests on."""
        if self._table is None:
            return "Reads a stream that is made anew; a resumed run skips the rows it has read, which must be the same."
        return (
            f"Reads {self._kind} of {self._table.num_rows:,} rows in memory; a resumed run must be given the same rows "
            "in the same order, of which the number, the first and the last are checked."
        )


# -------------------------------------------------------------------------------------- a stream


class _Opened:
    """A new stream from the callable, as a RecordBatchReader; leaving it closes the stream."""

    def __init__(self, make: Callable[[], Any] | None) -> None:
        assert make is not None
        self._make = make

    def __enter__(self) -> pa.RecordBatchReader:
        made = self._make()
        if isinstance(made, pa.RecordBatchReader):
            self.reader = made
        elif hasattr(made, "__arrow_c_stream__"):
            self.reader = pa.RecordBatchReader.from_stream(made)
            check_types(self.reader.schema, made)
        else:
            raise unreadable(
                f"The callable gave a {type(made).__name__}, not an Arrow stream.", "Return a RecordBatchReader."
            )
        return self.reader

    def __exit__(self, *_: object) -> None:
        self.reader.close()


# ------------------------------------------------------------------------------------------- reading


def _plain(schema: pa.Schema) -> pa.Schema:
    return pa.schema(pa.field(field.name, plain(field.type)) for field in schema)


def _slices(table: pa.Table, start: int) -> Iterator[pa.RecordBatch]:
    yield from table.slice(start).to_batches(max_chunksize=MAX_ROWS)


def _skipped(reader: pa.RecordBatchReader, start: int) -> Iterator[pa.RecordBatch]:
    left = start
    for batch in reader:
        if left < batch.num_rows:
            yield batch.slice(left)
        left = max(left - batch.num_rows, 0)
    if left:
        raise unreadable(
            f"The stream ended {left} rows before the {start} that had been read.", "Make the same stream again."
        )


def _batches(parts: Iterator[pa.RecordBatch], schema: pa.Schema, start: int, total: int | None) -> Iterator[Batch]:
    row = start
    for part in parts:
        for rows in _cut(part):
            first, row = row + 1, row + rows.num_rows
            yield Batch(_cast(rows, schema), {"row": row}, first, row / total if total else None)


def _cut(rows: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Halves, until a part is small enough."""
    if rows.num_rows == 0:
        return
    if rows.num_rows > 1 and (rows.num_rows > MAX_ROWS or rows.nbytes > MAX_BYTES):
        middle = rows.num_rows // 2
        yield from _cut(rows.slice(0, middle))
        yield from _cut(rows.slice(middle))
    else:
        yield rows


def _cast(rows: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    if rows.schema.names != schema.names:
        raise unreadable(
            f"The columns are now {', '.join(rows.schema.names)}; they were {', '.join(schema.names)}.",
            "Give the same data again.",
        )
    try:
        arrays = [plain_array(array, field.type) for array, field in zip(rows.columns, schema, strict=True)]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise unreadable(f"A column can't be brought to its plain type: {error}.", "Cast it beforehand.") from error
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


# ------------------------------------------------------------------------------------------ identity

_END_BYTES = 16 * 2**20


def _values(table: pa.Table, ends: int) -> dict[str, Json]:
    head, tail = (_digest(part) for part in _ends(table, ends))
    return {"rows": table.num_rows, "ends": ends, "head": head, "tail": tail}


def _end(table: pa.Table) -> int:
    """How many rows are hashed at each end: fewer where they are long."""
    rows: int = min(MAX_ROWS, table.num_rows)
    while rows > 1 and max(part.nbytes for part in _ends(table, rows)) > _END_BYTES:
        rows //= 2
    return rows


def _ends(table: pa.Table, rows: int) -> tuple[pa.Table, pa.Table]:
    return table.slice(0, rows), table.slice(max(table.num_rows - rows, 0))


def _digest(part: pa.Table) -> str:
    """A hash of the values, the same however they are chunked, sliced or stored."""
    digest = hashlib.sha256()
    for column, kind in zip(part.columns, _plain(part.schema).types, strict=True):
        pieces = [plain_array(chunk, kind) for chunk in column.chunks]
        _hash(pa.concat_arrays(pieces) if pieces else pa.array([], kind), digest)
    return digest.hexdigest()[:32]


def _hash(array: pa.Array, digest: Any) -> None:
    kind, t = array.type, pa.types
    digest.update(f"{kind} {len(array)} {array.null_count}".encode())
    if array.null_count:  # the bytes beneath a NULL may be anything
        _hash(array.is_valid(), digest)
        array = array.drop_null()
    if t.is_string(kind) or t.is_binary(kind):
        _hash(pc.binary_length(array), digest)
        offsets, data = (memoryview(b"" if buffer is None else buffer) for buffer in array.buffers()[1:])
        bounds = offsets.cast("B").cast("i")[array.offset : array.offset + len(array) + 1] if offsets.nbytes else [0, 0]
        digest.update(data.cast("B")[bounds[0] : bounds[-1]])
    elif t.is_boolean(kind):
        _hash(array.cast(pa.uint8()), digest)
    elif t.is_primitive(kind) or t.is_decimal(kind):
        width, values = kind.bit_width // 8, array.buffers()[1]
        if len(array):
            digest.update(memoryview(values).cast("B")[array.offset * width : (array.offset + len(array)) * width])
    else:
        digest.update(repr(array.to_pylist()).encode())

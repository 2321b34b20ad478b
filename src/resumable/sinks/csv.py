r"""CSV out: UTF-8, `\n`, quotes only where needed, NULL as nothing and the empty string as `""`.

The bytes are a pure function of the rows, never of where batches or sessions were cut. How a value is written:

* boolean `true`, `false`; integers in digits; decimals with all digits of their scale, never with an exponent
* floats as the shortest text that reads back the same, always told from an integer: `1.0`, `0.1`, `1e+20`, `-0.0`,
  `nan`, `inf`, `-inf`
* date `2024-02-29`; time `13:45:00`; timestamp `2024-02-29 13:45:00`, with all digits of its unit if the fraction
  isn't zero (`13:45:00.250000`), and in UTC with `+00:00` if it has a zone
* binary as PostgreSQL does: `\x` and hex digits
* text is quoted if it is empty or holds the delimiter, `"`, CR or LF, begins with U+FEFF (a reader would take it
  for a byte order mark), or reads like the word for NULL

A row of one NULL column is an empty line. Nested values, durations and intervals are refused at the start.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from decimal import Decimal

import pyarrow as pa
import pyarrow.compute as pc

from resumable.checkpoint import Checkpoint
from resumable.errors import BadRow, TargetError, UsageError
from resumable.files.posix import IfExists
from resumable.protocols import Batch, Claimant
from resumable.run_names import file_path
from resumable.sinks.file import FileWriter

__all__ = ["CsvSink"]

PIECE = 2**28
"""Bytes of rows turned into text at a time: Arrow's strings end at 2**31, and text may be longer than its value."""


class CsvSink:
    """Writes one CSV file. With `spreadsheet_safe`, text that a spreadsheet would run as a formula gets a `'` before
    it: that can't be told from the same text read back.

    `if_exists`: "fail" refuses a file that is there, "replace" replaces it at the end, in one step. `null` is the
    word for NULL.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        if_exists: IfExists = "fail",
        delimiter: str = ",",
        header: bool = True,
        null: str = "",
        spreadsheet_safe: bool = False,
    ) -> None:
        if if_exists not in ("fail", "replace"):
            raise _usage(f"if_exists={if_exists!r} is not for files", "Say if_exists='fail' or 'replace'.")
        if len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii() or delimiter == "\0":
            raise _usage(
                f"{delimiter!r} can't be a delimiter", "Use one ASCII character that isn't a quote or line end."
            )
        if any(c in null for c in f'"\r\n{delimiter}'):
            raise _usage(f"{null!r} can't stand for NULL", "Use a word without quotes, delimiters and line ends.")
        self.path, self.if_exists, self.header = os.fspath(path), if_exists, header
        self._delimiter, self._null, self._safe = delimiter, null, spreadsheet_safe

    @property
    def address(self) -> str:
        """The file's one path."""
        return file_path(self.path)

    def open(self, claim: Claimant, last: Checkpoint) -> FileWriter:
        """Fence, recover, and go on after the committed length."""
        schema = last.output_schema or last.schema
        text = _Text(schema, self._delimiter, self._null, self._safe) if schema is not None else None
        head = text.header() if text is not None and self.header else b""
        encode: Callable[[Batch], memoryview] = text.encode if text is not None else _unreachable
        return FileWriter.open(self.path, claim, last, if_exists=self.if_exists, head=head, encode=encode)

    def describe(self) -> str:
        """What it writes, and what its guarantee rests on."""
        return (
            f"CSV file {self.path}: written to a hidden partial file beside it, made durable at each commit, "
            f"cut back to the last commit by a resume, and {'linked' if self.if_exists == 'fail' else 'renamed'} "
            "to its name at the end."
        )


class _Text:
    """Turns rows of one schema into lines."""

    def __init__(self, schema: pa.Schema, delimiter: str, null: str, safe: bool) -> None:
        self._delimiter, self._null, self._safe = delimiter, null, safe
        self._names = schema.names
        if not self._names:
            raise _refusal("A CSV file needs at least one column.")
        for field in schema:
            if not _known(_plain_type(field.type)):
                raise _refusal(
                    f"CSV can't hold column {field.name!r} of type {field.type} so that it reads back the same."
                )
        special = rf'[\x{ord(delimiter):02x}"\r\n]'
        self._special = rf"{special}|^\x{{FEFF}}"
        self._marks = [delimiter.encode(), b'"', b"\r", b"\n", "\ufeff".encode()]

    def header(self) -> bytes:
        """The line of column names."""
        names = [self._quoted(pa.array([name], pa.string()), True) for name in self._names]
        return bytes(_lines(names, self._delimiter, ""))

    def encode(self, batch: Batch) -> memoryview:
        """The batch's lines."""
        columns = [_plain(column) for column in batch.rows.columns]
        rows = pa.RecordBatch.from_arrays(columns, self._names)
        pieces = max(1, -(-rows.nbytes // PIECE))
        step = max(1, -(-rows.num_rows // pieces))
        done = [self._encode(rows.slice(at, step), batch.row + at) for at in range(0, rows.num_rows, step)]
        return done[0] if len(done) == 1 else memoryview(b"".join(done))

    def _encode(self, rows: pa.RecordBatch, row: int) -> memoryview:
        texts = []
        for name, column in zip(self._names, rows.columns, strict=True):
            text, is_text = _text(column), pa.types.is_string(column.type)
            if pa.types.is_temporal(column.type) and b"<" in _bytes(text):
                _refuse_out_of_range(text, name, row)
            texts.append(self._quoted(text, is_text))
        return _lines(texts, self._delimiter, self._null)

    def _quoted(self, text: pa.StringArray, is_text: bool) -> pa.StringArray:
        """The values as they stand in the file; only `is_text` ones can be empty or hold more than plain characters."""
        quote = None
        if is_text and self._safe:
            text = pc.if_else(
                pc.match_substring_regex(text, r"^[=+\-@\t\r]"), pc.binary_join_element_wise("'", text, ""), text
            )
        if is_text or self._delimiter not in ",;\t|":
            data = _bytes(text)
            if any(mark in data for mark in self._marks):
                quote = pc.match_substring_regex(text, self._special)
            if is_text:
                quote = _either(quote, pc.equal(text, ""))
        if self._null:
            quote = _either(quote, pc.equal(text, self._null))
        if quote is None or not pc.any(quote).as_py():
            return text
        quote = pc.fill_null(quote, False)
        inner = pc.replace_substring(pc.filter(text, quote), '"', '""')
        return pc.replace_with_mask(text, quote, pc.binary_join_element_wise('"', inner, '"', ""))


# ----------------------------------------------------------------------------------------- values as text


def _text(values: pa.Array) -> pa.StringArray:
    """The values as text, before quoting."""
    kind = values.type
    if pa.types.is_floating(kind):
        return _float_text(values)
    if pa.types.is_binary(kind):
        return _hex_text(values)
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        text = pc.cast(pc.cast(values, pa.timestamp(kind.unit, "UTC")), pa.string())
        return pc.replace_substring(_without_zeros(text, kind.unit), "Z", "+00:00")
    text = pc.cast(values, pa.string())
    if pa.types.is_timestamp(kind) or pa.types.is_time(kind):
        return _without_zeros(text, kind.unit)
    if pa.types.is_decimal(kind) and not 0 <= kind.scale <= 6:  # others never get an exponent
        far = pc.match_substring(text, "E")
        if pc.any(far).as_py():
            plain = [format(Decimal(t), "f") for t in pc.filter(text, far).to_pylist()]
            return pc.replace_with_mask(text, far, pa.array(plain, pa.string()))
    return text


def _float_text(values: pa.Array) -> pa.StringArray:
    text = pc.cast(values, pa.string())
    whole = pc.and_(pc.equal(values, pc.trunc(values)), pc.is_finite(values))
    if pc.any(whole).as_py():
        if b"e" in _bytes(text):
            whole = pc.and_(whole, pc.invert(pc.match_substring(text, "e")))
        text = pc.if_else(whole, pc.binary_join_element_wise(text, ".0", ""), text)
    return text


def _without_zeros(text: pa.StringArray, unit: str) -> pa.StringArray:
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    return pc.replace_substring(text, "." + "0" * digits, "") if digits else text


def _hex_text(values: pa.BinaryArray) -> pa.StringArray:
    # Twice as long as the bytes, so are the offsets: no loop over values.
    starts = _offsets(values)
    starts = pc.multiply(pc.subtract(starts, starts[0]), pa.scalar(2, pa.int32()))
    data = pa.py_buffer(_bytes(values).hex().encode())
    text = pa.StringArray.from_buffers(len(values), starts.buffers()[1], data)
    text = pc.binary_join_element_wise("\\x", text, "")
    return pc.if_else(pc.is_valid(values), text, pa.scalar(None, pa.string()))


def _offsets(values: pa.Array) -> pa.Int32Array:
    buffer = values.buffers()[1]
    return pa.Array.from_buffers(pa.int32(), len(values) + 1, [None, buffer], offset=values.offset)


def _bytes(values: pa.Array) -> bytes:
    """The bytes of all values of a string or binary array, one after the other."""
    data = values.buffers()[2]
    if data is None or not len(values):
        return b""
    offsets = memoryview(values.buffers()[1]).cast("i")
    first, last = offsets[values.offset], offsets[values.offset + len(values)]
    return bytes(memoryview(data)[first:last])


def _lines(columns: list[pa.StringArray], delimiter: str, null: str) -> memoryview:
    """One line a row, in one buffer."""
    options = {"null_handling": "replace", "null_replacement": null}
    last = pc.binary_join_element_wise(columns[-1], "\n", "", **options)
    lines = pc.binary_join_element_wise(*columns[:-1], last, delimiter, **options)
    data = lines.buffers()[2]
    return memoryview(b"" if data is None else data)[: memoryview(lines.buffers()[1]).cast("i")[len(lines)]]


def _either(one: pa.BooleanArray | None, other: pa.BooleanArray) -> pa.BooleanArray:
    return other if one is None else pc.or_(one, other)


# ------------------------------------------------------------------------------------------ Arrow's types


def _plain_type(kind: pa.DataType) -> pa.DataType:
    """The type without its encoding: text is `string`, bytes are `binary`, half floats are floats."""
    if isinstance(kind, pa.BaseExtensionType):
        return _plain_type(kind.storage_type) if pa.types.is_string(kind.storage_type) else kind
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return _plain_type(kind.value_type)
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.binary()
    return pa.float32() if pa.types.is_float16(kind) else kind


def _plain(values: pa.Array) -> pa.Array:
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_run_end_encoded(values.type):
        values = pc.run_end_decode(values)
    plain = _plain_type(values.type)
    return values if values.type == plain else pc.cast(values, plain)


def _known(kind: pa.DataType) -> bool:
    tests = ("null", "boolean", "integer", "floating", "decimal", "string", "binary", "date", "time", "timestamp")
    return any(getattr(pa.types, f"is_{test}")(kind) for test in tests)


def _refuse_out_of_range(text: pa.StringArray, name: str, row: int) -> None:
    """Arrow writes a date that no calendar has as `<value out of range: ...>`."""
    index = pc.index(pc.starts_with(text, "<"), True).as_py()
    if index >= 0:
        raise BadRow(
            f"Row {row + index}, column {name!r}: a date or time out of range has no text.",
            row=row + index,
            column=name,
            safe="Nothing of this row was written; what was committed is safe.",
            do="Correct it in the source, or with a transform.",
        )


def _unreachable(batch: Batch) -> memoryview:
    raise AssertionError("a run that is decided writes no rows")


def _refusal(what: str) -> TargetError:
    return TargetError(
        what, safe="Nothing was made.", do="Leave it out, give it another type with a transform, or write Parquet."
    )


def _usage(what: str, do: str) -> UsageError:
    return UsageError(f"{what}.", safe="Nothing was touched.", do=do)

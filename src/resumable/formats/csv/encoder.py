r"""Rows into CSV: UTF-8, `\n`, quotes only where needed, NULL as nothing and the empty string as `""`.

The bytes are a pure function of the rows, never of where batches or sessions were cut. How a value is written:

* boolean `true`, `false`; integers in digits; decimals with all digits of their scale, never with an exponent
* floats as the shortest text that reads back the same, always told from an integer: `1.0`, `0.1`, `1e+20`, `-0.0`,
  `nan`, `inf`, `-inf`
* date `2024-02-29`; time `13:45:00`; timestamp `2024-02-29 13:45:00`, with all digits of its unit if the fraction
  isn't zero (`13:45:00.250000`), and in UTC with `+00:00` if it has a zone
* binary as PostgreSQL does: `\x` and hex digits
* text is quoted if it is empty or holds the delimiter, `"`, CR or LF, begins with U+FEFF (a reader would take it
  for a byte order mark), ends with NUL or Ctrl-Z (it would take the file's last for padding or an end mark), or
  reads like the word for NULL

A row of one NULL column is an empty line. Nested values, durations and intervals are refused at the start.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from resumable.arrow_types import plain_array
from resumable.errors import BadRow, TargetError, UsageError
from resumable.formats.csv.to_text import all_bytes, as_text, has_text, plain_type
from resumable.formats.protocols import MakeEncoder
from resumable.protocols import Batch

__all__ = ["CsvEncoder", "csv_encoder"]

PIECE = 2**28
"""Bytes of rows turned into text at a time: Arrow's strings end at 2**31, and text may be longer than its value."""


def csv_encoder(
    *, delimiter: str = ",", header: bool = True, null: str = "", spreadsheet_safe: bool = False
) -> MakeEncoder:
    """What makes the encoders of one file, with the options of `CsvSink`. Raises `UsageError`."""
    if len(delimiter) != 1 or delimiter in '"\r\n' or not delimiter.isascii() or delimiter == "\0":
        raise UsageError(
            f"{delimiter!r} can't be a delimiter.", do="Use one ASCII character that isn't a quote or line end."
        )
    if any(c in null for c in f'"\r\n{delimiter}'):
        raise UsageError(f"{null!r} can't stand for NULL.", do="Use a word without quotes, delimiters and line ends.")
    return lambda schema, state: CsvEncoder(schema, delimiter, null, header=header, safe=spreadsheet_safe)


class CsvEncoder:
    """See `Encoder`. It has no state: each row's line is made of nothing but the row."""

    state = None

    def __init__(self, schema: pa.Schema, delimiter: str, null: str, *, header: bool, safe: bool) -> None:
        self._delimiter, self._null, self._header, self._safe = delimiter, null, header, safe
        self._names = schema.names
        if not self._names:
            raise _type_error("A CSV file needs at least one column.")
        for field in schema:
            if not has_text(plain_type(field.type)):
                raise _type_error(
                    f"CSV can't hold column {field.name!r} of type {field.type} so that it reads back the same."
                )
        special = rf'[\x{ord(delimiter):02x}"\r\n]'
        self._special = rf"{special}|^\x{{FEFF}}|[\x00\x1a]$"
        self._marks = [delimiter.encode(), b'"', b"\r", b"\n", "\ufeff".encode(), b"\0", b"\x1a"]

    def begin(self) -> bytes:
        """The line of column names, if there is to be one."""
        if not self._header:
            return b""
        names = [self._quoted(pa.array([name], pa.string()), True) for name in self._names]
        return bytes(_lines(names, self._delimiter, ""))

    def encode(self, batch: Batch) -> memoryview:
        """The batch's lines."""
        columns = [plain_array(column, plain_type(column.type)) for column in batch.rows.columns]
        rows = pa.RecordBatch.from_arrays(columns, self._names)
        pieces = max(1, -(-rows.nbytes // PIECE))
        step = max(1, -(-rows.num_rows // pieces))
        parts = [self._encode(rows.slice(at, step), batch.row + at) for at in range(0, rows.num_rows, step)]
        return parts[0] if len(parts) == 1 else memoryview(b"".join(parts))

    def seal(self) -> bytes:
        """Nothing: a line is whole."""
        return b""

    def finish(self) -> bytes:
        """Nothing: a CSV file ends with its last row."""
        return b""

    def _encode(self, rows: pa.RecordBatch, row: int) -> memoryview:
        texts = []
        for name, column in zip(self._names, rows.columns, strict=True):
            text, is_text = as_text(column), pa.types.is_string(column.type)
            if pa.types.is_temporal(column.type) and b"<" in all_bytes(text):
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
            data = all_bytes(text)
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


def _lines(columns: list[pa.StringArray], delimiter: str, null: str) -> memoryview:
    """One line a row, in one buffer."""
    options = {"null_handling": "replace", "null_replacement": null}
    last = pc.binary_join_element_wise(columns[-1], "\n", "", **options)
    lines = pc.binary_join_element_wise(*columns[:-1], last, delimiter, **options)
    data = lines.buffers()[2]
    return memoryview(b"" if data is None else data)[: memoryview(lines.buffers()[1]).cast("i")[len(lines)]]


def _either(one: pa.BooleanArray | None, other: pa.BooleanArray) -> pa.BooleanArray:
    return other if one is None else pc.or_(one, other)


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


def _type_error(what: str) -> TargetError:
    return TargetError(
        what, safe="Nothing was made.", do="Leave it out, give it another type with a transform, or write Parquet."
    )

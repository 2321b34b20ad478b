"""Turns a block of whole CSV records into rows: Arrow parses; where it can't, records are checked one by one.

Laws kept here:

* Fields are split as `csv.reader` splits them (dialect.py), and become values by the law of text_values.py.
* An unquoted field that equals a word for NULL is NULL, a quoted one never is. Empty lines are no rows, except in a
  file of one column, where an empty line is a row with an empty field.
* A row that doesn't fit is a `BadRecord`, never a row. Each row has at most one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.csv

from resumable.formats.csv.content import BOM
from resumable.formats.csv.cutter import Block
from resumable.formats.csv.dialect import Dialect
from resumable.formats.typed_columns import convert_column, declaration, suggested_type

__all__ = ["BadRecord", "Parser", "StringColumns"]

_SHOWN = 40  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A row that doesn't fit: its number among the block's rows, from 0, where it lies in the block, and why.

    `hint` is the type that its column would need; `kind` tells what else is to be done about it.
    """

    index: int
    begin: int
    end: int
    why: str
    column: str | None = None
    hint: str | None = None
    kind: Literal["value", "shape", "bytes", "quote", "end"] = "value"


@dataclass(frozen=True, slots=True)
class StringColumns:
    """The block's rows as columns of strings, without the `bad` records among them.

    `count` of data rows, bad ones included. `indices`: which of them the rows are, if not all.
    """

    columns: list[pa.StringArray]
    bad: list[BadRecord]
    count: int
    indices: list[int] | None = None

    def index(self, i: int) -> int:
        """Which data row of the block the row `i` is."""
        return i if self.indices is None else self.indices[i]


class Parser:
    """How the records of one file are read. `encoding` is "utf-8" or that of single bytes."""

    def __init__(self, dialect: Dialect, encoding: str, names: Sequence[str], null_values: Sequence[str]) -> None:
        self.dialect, self.encoding, self.names = dialect, encoding, list(names)
        # Arrow knows columns by their names, and needs names that are single: ours may be anything.
        keys = [str(i) for i in range(len(self.names))]
        self._read = pyarrow.csv.ReadOptions(use_threads=False, column_names=keys)
        self._parse = pyarrow.csv.ParseOptions(
            delimiter=dialect.delimiter.decode(),
            quote_char=dialect.quote.decode() if dialect.quote else False,
            newlines_in_values=dialect.quote is not None,
            ignore_empty_lines=len(keys) > 1,
        )
        self._convert = pyarrow.csv.ConvertOptions(
            column_types=dict.fromkeys(keys, pa.string()),
            null_values=list(null_values),
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        )

    def rows(self, strings: StringColumns, schema: pa.Schema, block: Block) -> tuple[pa.RecordBatch, list[BadRecord]]:
        """The rows that fit, as values of the schema's types, and the bad records of the block, in order."""
        columns, wrong = [], dict[int, tuple[str, str, str | None]]()
        for texts, field in zip(strings.columns, schema, strict=True):
            values, misfits = convert_column(texts, field)
            columns.append(values)
            for i, why in misfits.items():
                text = texts[i].as_py()
                if table := declaration(field):
                    why = f"{why}, and the table's column is {table}"
                why = f"column {field.name!r}: {_short(text)} {why}"
                wrong.setdefault(i, (field.name, why, suggested_type(text, field)))
        batch = pa.RecordBatch.from_arrays(columns, schema=schema)
        if not wrong:
            return batch, strings.bad
        records = self.records(block)
        bad = list(strings.bad)
        for i, (column, why, hint) in wrong.items():
            index = strings.index(i)
            bad.append(BadRecord(index, *records[index], why, column, hint))
        fits = pa.array([i not in wrong for i in range(batch.num_rows)], pa.bool_())
        return batch.filter(fits), sorted(bad, key=lambda record: record.index)

    def strings(self, block: Block) -> StringColumns:
        """The block's rows as text."""
        end_mark = _end_mark(block.data) if block.final else ""
        if not block.spoiled and not end_mark:
            try:
                columns = self._columns(block.data)
            except (pa.ArrowInvalid, UnicodeDecodeError):
                pass  # it doesn't say which record it was
            else:
                return StringColumns(columns, [], len(columns[0]))
        records = self.records(block)
        spoiled = {line.begin: line.why for line in block.spoiled}
        bad, indices, good = list[BadRecord](), list[int](), list[bytes]()
        for index, (begin, end) in enumerate(records):
            record = block.data[begin:end]
            if begin in spoiled:
                bad.append(BadRecord(index, begin, end, spoiled[begin], kind="quote"))
            elif end_mark and end == block.length:
                bad.append(BadRecord(index, begin, end, end_mark, kind="end"))
            elif wrong := self._check(index, begin, record, block.offset):
                bad.append(wrong)
            else:
                good.append(record.rstrip(b"\r\n") + b"\n")  # a \r and a \n that meet would be one line end
                indices.append(index)
        return StringColumns(self._columns(b"".join(good)), bad, len(records), indices)

    def records(self, block: Block) -> list[tuple[int, int]]:
        """Begin and end of each data row in the block, spoiled lines included."""
        spans, at = list[tuple[int, int]](), 0
        for line in block.spoiled:
            spans += self._records(block.data, at, line.begin)
            spans.append((line.begin, line.end))
            at = line.end
        return spans + self._records(block.data, at, len(block.data))

    def _records(self, data: bytes, begin: int, end: int) -> list[tuple[int, int]]:
        part = data[begin:end]
        spans = [(begin + a, begin + b) for a, b in self.dialect.spans(part)]
        return spans if len(self.names) == 1 else [(a, b) for a, b in spans if data[a] not in b"\r\n"]

    def _columns(self, block: bytes) -> list[pa.StringArray]:
        if not block:
            return [pa.array([], pa.string()) for _ in self.names]
        if self.encoding != "utf-8" and not block.isascii():
            block = block.decode(self.encoding).encode()
        if not block.endswith((b"\n", b"\r")):
            block += b"\n"  # at the end of input Arrow takes `"a",` for a quoted nothing behind the comma
        if block.startswith(BOM):
            block = BOM + block  # it is text here, and Arrow drops one
        self._read.block_size = len(block) + 1
        table = pyarrow.csv.read_csv(pa.BufferReader(block), self._read, self._parse, self._convert)
        return [column.combine_chunks() for column in table.columns]

    def _check(self, index: int, begin: int, record: bytes, offset: int) -> BadRecord | None:
        """What is wrong with a record that begins at `begin` of the block at `offset`."""
        count, expected, end = self.dialect.count(record), len(self.names), begin + len(record)
        if count != expected and not (expected == 1 and count == 0):
            fields = "1 field" if count == 1 else f"{count:,} fields"
            why = f"it has {fields} where the file has {expected:,} column{'s' if expected > 1 else ''}"
            return BadRecord(index, begin, end, why, kind="shape")
        try:
            record.decode(self.encoding)
        except UnicodeDecodeError as wrong:
            at = f"it is at byte {offset + begin + wrong.start:,}"
            for name, field in zip(self.names, self.dialect.fields(record), strict=True):
                try:
                    field.decode(self.encoding)
                except UnicodeDecodeError as error:
                    bad = f"the byte 0x{error.object[error.start]:02x} in {_short(field)} is no {self.encoding}"
                    return BadRecord(index, begin, end, f"column {name!r}: {bad} ({at})", name, kind="bytes")
        return None


def _end_mark(data: bytes) -> str:
    """Why what the file ends with is no row, if it is an end mark or padding."""
    last = data[-4:].rstrip(b"\r\n")[-1:]
    if last == b"\x1a":
        return "the file ends with the byte 0x1a (Ctrl-Z), an end mark of old programs"
    if last == b"\0":
        return "the file ends with NUL bytes: padding, or it was never written to its end"
    return ""


def _short(value: str | bytes) -> str:
    text = repr(value[: _SHOWN + 1])
    return text if len(value) <= _SHOWN else repr(value[:_SHOWN]) + "..."

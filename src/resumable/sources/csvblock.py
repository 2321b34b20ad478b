"""A block of whole CSV records into rows: Arrow parses, and where it can't, the records are looked at one by one.

Laws kept here:

* Fields are split as `csv.reader` splits them (records.py), and become values by the law of values.py.
* An unquoted field that reads like a word for NULL is NULL, a quoted one never is. Empty lines are no rows, except in
  a file of one column, where an unquoted nothing is what a line has.
* A row that doesn't fit is a `Fault`, never a row. Each row has at most one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.csv

from resumable.sources import known
from resumable.sources.records import Dialect

__all__ = ["BOM", "Fault", "Parser"]

BOM = b"\xef\xbb\xbf"
_SHOWN = 40  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class Fault:
    """A row that doesn't fit: its number among the block's rows, from 0, where it lies in the block, and why.

    `hint` is the type that its column would need. `value`: it is a value that doesn't fit its column's type.
    """

    index: int
    begin: int
    end: int
    why: str
    column: str | None = None
    hint: str | None = None
    value: bool = False


@dataclass(frozen=True, slots=True)
class Texts:
    """The block's rows as columns of strings, without those that are `faults` already.

    `count` of data rows, faults included. `kept`: which of them the rows are, if not all.
    """

    columns: list[pa.StringArray]
    faults: list[Fault]
    count: int
    kept: list[int] | None = None


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

    def rows(self, texts: Texts, schema: pa.Schema, block: bytes) -> tuple[pa.RecordBatch, list[Fault]]:
        """The rows that fit, as values of the schema's types, and the faults of the block, in order."""
        columns, wrong = [], dict[int, tuple[str, str, str | None]]()
        for texts_, field in zip(texts.columns, schema, strict=True):
            values, misfits = known.values(texts_, field)
            columns.append(values)
            for i, why in misfits.items():
                text = texts_[i].as_py()
                if table := known.declared(field):
                    why = f"{why}, and the table's column is {table}"
                wrong.setdefault(
                    i, (field.name, f"column {field.name!r}: {_short(text)} {why}", known.advised(text, field))
                )
        batch = pa.RecordBatch.from_arrays(columns, schema=schema)
        if not wrong:
            return batch, texts.faults
        records = self.records(block)
        faults = list(texts.faults)
        for i, (column, why, hint) in wrong.items():
            index = i if texts.kept is None else texts.kept[i]
            faults.append(Fault(index, *records[index], why, column, hint, value=True))
        keep = pa.array([i not in wrong for i in range(batch.num_rows)], pa.bool_())
        return batch.filter(keep), sorted(faults, key=lambda fault: fault.index)

    def texts(self, block: bytes, *, truncated: bool = False) -> Texts:
        """The block's rows as text. `truncated`: the last record opens a quote that nothing closes."""
        if not truncated:
            try:
                columns = self._columns(block)
            except (pa.ArrowInvalid, UnicodeDecodeError):
                pass  # it doesn't say which record it was
            else:
                return Texts(columns, [], len(columns[0]))
        records = self.records(block)
        faults, kept, good = list[Fault](), list[int](), list[bytes]()
        for index, (begin, end) in enumerate(records):
            record = block[begin:end]
            fault = self._fault(record)
            if truncated and index == len(records) - 1:
                fault = ("a quoted field is never closed: the file may have been cut off", None)
            if fault is None:
                good.append(record.rstrip(b"\r\n") + b"\n")  # a \r and a \n that meet would be one line end
                kept.append(index)
            else:
                faults.append(Fault(index, begin, end, *fault))
        return Texts(self._columns(b"".join(good)), faults, len(records), kept)

    def records(self, block: bytes) -> list[tuple[int, int]]:
        """Begin and end of each data row in the block."""
        if len(self.names) == 1:
            return list(self.dialect.spans(block))
        return [(begin, end) for begin, end in self.dialect.spans(block) if block[begin] not in b"\r\n"]

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

    def _fault(self, record: bytes) -> tuple[str, str | None] | None:
        count, expected = self.dialect.count(record), len(self.names)
        if count != expected and not (expected == 1 and count == 0):
            fields = "1 field" if count == 1 else f"{count:,} fields"
            return f"it has {fields} where the file has {expected:,} column{'s' if expected > 1 else ''}", None
        try:
            record.decode(self.encoding)
        except UnicodeDecodeError:
            for name, field in zip(self.names, self.dialect.fields(record), strict=True):
                try:
                    field.decode(self.encoding)
                except UnicodeDecodeError as error:
                    byte = error.object[error.start]
                    return f"column {name!r}: the byte 0x{byte:02x} in {_short(field)} is no {self.encoding}", name
        return None


def _short(value: str | bytes) -> str:
    text = repr(value[: _SHOWN + 1])
    return text if len(value) <= _SHOWN else repr(value[:_SHOWN]) + "..."

"""CSV into rows, by byte offset.

Laws kept here:

* A position is the offset behind a whole record, the rows before it, and the CRC-32 of all bytes before it; reading on
  seeks there. With it goes the last block's length and CRC-32, which a resume reads again before it trusts the offset.
* Types are inferred once, from the first `SAMPLE` bytes, and frozen; a later value that doesn't fit is a bad row,
  never altered (text_values.py).
* A quote that isn't closed spoils its line only (cutter.py). Memory: a block of about 2 MiB; where quotes are open,
  twice `max_record` bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from resumable.checkpoint import Json
from resumable.errors import UsageError
from resumable.formats.checksums import checksum
from resumable.formats.csv.bad_rows import refuse
from resumable.formats.csv.cutter import Block
from resumable.formats.csv.file import CsvFile
from resumable.formats.csv.options import CsvOptions, csv_options, quoted_list
from resumable.formats.csv.parser import Parser, StringColumns
from resumable.formats.protocols import ReadableFile, fraction
from resumable.formats.text_values import infer
from resumable.formats.type_names import readable, type_name
from resumable.formats.typed_columns import typed_field
from resumable.protocols import Batch, Reject

__all__ = ["CsvDecoder", "csv_decoder"]

SAMPLE = 4 * 2**20
"""Bytes from which types are inferred."""
_LONGEST_REJECT = 2**20  # bytes of a bad row whose text is stored
_CHECKED = 2**16  # bytes that a resume reads again behind a line that is too long to be held


def csv_decoder(**options: Any) -> CsvDecoder:
    """A decoder that takes the options of `CsvSource`."""
    return CsvDecoder(csv_options(**options))


class CsvDecoder:
    """See `Decoder`."""

    def __init__(self, options: CsvOptions) -> None:
        self.options = options

    def describe(self, path: str, size: str) -> str:
        """What is read."""
        encoding, most = self.options.format.encoding, self.options.max_record
        return f"CSV file {path} ({size}, {encoding}). A record has at most {most:,} bytes."

    def schema(self, file: ReadableFile) -> pa.Schema:
        """Each type as asked for, or expected, or inferred.

        Raises `UsageError` for `columns` that aren't there, `BadRow` for a bad row in the sample (if told to raise).
        """
        options = self.options
        expected = options.expected() if options.expected else {}
        csv = self._open(file)
        names, block, strings = self._sample(csv)
        if unknown := [name for name in options.columns if name not in names]:
            raise UsageError(
                f"columns= names {quoted_list(unknown)}, which {file.path} doesn't have.",
                do=f"It has {quoted_list(names)}.",
            )
        schema = pa.schema(
            typed_field(name, options.columns.get(name), expected.get(name), column)
            if name in options.columns or readable(expected.get(name))
            else pa.field(name, infer(column))
            for name, column in zip(names, strings.columns, strict=True)
        )
        self._rows(csv, self._parser(csv, names), strings, schema, block, 0)  # refuses what doesn't fit
        return schema

    def read(self, file: ReadableFile, schema: pa.Schema, position: Json) -> Iterator[Batch]:
        """Batches after the position."""
        csv = self._open(file)
        offset, row, crc = self._start(csv, schema, position)
        parser, lines = self._parser(csv, schema.names), csv.lines(offset)
        while not csv.ends_at(offset):
            block, strings = self._next(csv, parser, offset, lines)
            rows, rejects = self._rows(csv, parser, strings, schema, block, row)
            end = offset + block.length
            if block.data:
                crc = zlib.crc32(block.data, crc)
                last = [block.length, zlib.crc32(block.data)]
            else:
                length = min(block.length, _CHECKED)
                crc = checksum(file, offset, end, crc)
                last = [length, checksum(file, end - length, end)]
            first = row + 1
            offset, row = end, row + strings.count
            if strings.count:
                lines = strings.count / block.length
                at = {"offset": offset, "row": row, "crc": crc, "block": last}
                yield Batch(rows, at, first, fraction(file, offset), rejects)

    def verify(self, file: ReadableFile, position: Json) -> str | None:
        """Whether the bytes before the position have the CRC-32 that they had."""
        if position is None or checksum(file, 0, position["offset"]) == position["crc"]:
            return None
        return f"a part that was read already was edited, somewhere in the first {position['offset']:,} bytes"

    def note(self, file: ReadableFile) -> str:
        """What people should know of how it is read; "" if nothing."""
        encoding = self.options.format.encoding
        if self._open(file).encoding == encoding:
            return ""
        return f"{file.path} begins with a byte order mark, so it is read as UTF-8, not as {encoding}"

    def notes(self, file: ReadableFile, schema: pa.Schema) -> list[str]:
        """Which words, in the sample, keep a column from being more than text, and what to do about it."""
        csv = self._open(file)
        names, block, strings = self._sample(csv)
        notes = [f"{note}."] if (note := self.note(file)) else []
        for i, (name, column) in enumerate(zip(names, strings.columns, strict=True)):
            if name not in schema.names or schema.field(name).metadata or schema.field(name).type != pa.string():
                continue
            distinct = column.drop_null().unique()
            words = distinct.filter(pc.invert(pc.match_substring_regex(distinct, "[0-9]|^true$|^false$"))).to_pylist()
            if not 1 <= len(words) <= 3:
                continue
            nulls = tuple(dict.fromkeys((*self.options.format.null_values, *words)))
            without = self._parser(csv, names, nulls).strings(block).columns[i]
            if (kind := infer(without)) == pa.string():  # the words are in quotes, or not the only obstacle
                continue
            row = 1 + strings.index(pc.index(column, words[0]).as_py())
            notes.append(
                f"Column {name!r} is text because of {' and '.join(map(repr, words))} (first in row {row:,}):"
                f" null_values={nulls!r} would make it {type_name(kind)}."
            )
        return notes

    def _open(self, file: ReadableFile) -> CsvFile:
        return CsvFile(file, self.options.format, self.options.max_record)

    def _parser(self, csv: CsvFile, names: list[str], null_values: tuple[str, ...] | None = None) -> Parser:
        nulls = self.options.format.null_values if null_values is None else null_values
        return Parser(self.options.format.dialect, csv.encoding, names, nulls)

    def _start(self, csv: CsvFile, schema: pa.Schema, position: Json) -> tuple[int, int, int]:
        """Offset, row and CRC-32 at the position, where the file still is what was read."""
        if position is None:
            names, offset = csv.begin()
            if names != schema.names:
                raise csv.altered(f"its columns were {quoted_list(schema.names)} and are {quoted_list(names)}")
            return offset, 0, checksum(csv.file, 0, offset)
        offset = position["offset"]
        length, was = position["block"]
        if checksum(csv.file, offset - length, offset) != was:
            raise csv.altered(f"the {length:,} bytes before byte {offset:,} aren't those that were read")
        return offset, position["row"], position["crc"]

    def _sample(self, csv: CsvFile) -> tuple[list[str], Block, StringColumns]:
        """Names, and the first rows as they are and as text."""
        names, start = csv.begin()
        block = Block(start, b"", 0)
        while block.length < SAMPLE and not csv.ends_at(
            start
        ):  # a block ends where a quote opens that isn't closed in it
            more = csv.whole_records(start, SAMPLE - block.length)
            start += more.length
            if more.data:
                block = block.with_(more)
            elif (
                self.options.on_bad_row == "raise"
            ):  # a line too long to be held: it is refused, now or when it is read
                block = block if block.length else more
                break
        return names, block, self._parser(csv, names).strings(block)

    def _next(self, csv: CsvFile, parser: Parser, offset: int, lines: float) -> tuple[Block, StringColumns]:
        """The next block and its rows, no more than a batch may have; `lines` a byte are to be expected."""
        most = self.options.block_rows
        block = csv.whole_records(offset, max(1, min(self.options.block_size, int(0.95 * most / lines))))
        strings = parser.strings(block)
        if strings.count > most:
            block = block.head(parser.records(block)[most - 1][1])
            strings = parser.strings(block)
        return block, strings

    def _rows(
        self, csv: CsvFile, parser: Parser, strings: StringColumns, schema: pa.Schema, block: Block, row: int
    ) -> tuple[pa.RecordBatch, tuple[Reject, ...]]:
        """The block's rows as values, and its bad rows; or `BadRow` for the first of them."""
        rows, bad = parser.rows(strings, schema, block)
        if bad and self.options.on_bad_row == "raise":
            refuse(csv, bad[0], block, row)
        rejects = []
        for record in bad:
            at, number = block.offset + record.begin, row + record.index + 1
            length, data = csv.record(block, record.begin, record.end, _LONGEST_REJECT)
            text = None if data is None else data.decode(csv.encoding, "backslashreplace")
            rejects.append(Reject(number, record.why, record.column, at, text, length))
        return rows, tuple(rejects)

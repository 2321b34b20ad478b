"""CsvSource: a CSV file, read by byte offset.

Laws kept here:

* A position is the offset behind a whole record, the rows before it, and the CRC-32 of all bytes before it; reading on
  seeks there. With it goes the last block's length and CRC-32, which a resume reads again before it trusts the offset.
* Types are found out once, from the first `SAMPLE` bytes, and frozen; a later value that doesn't fit is a bad row,
  never altered (values.py).
* Only the bytes that were there at the start are read: what is appended meanwhile is a change, not more input.
* A quote that isn't closed spoils its line only (csvcut.py). Memory: a block of about 2 MiB; where quotes are open,
  twice `max_record` bytes.
"""

from __future__ import annotations

import os
import shlex
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NoReturn

import pyarrow as pa
import pyarrow.compute as pc

from resumable.checkpoint import Json
from resumable.errors import BadRow
from resumable.files.fingerprint import difference, fingerprint, open_file
from resumable.formats.csv.advice import shape_advice
from resumable.formats.csv.blocks import Fault, Parser, Texts
from resumable.formats.csv.cutter import Block
from resumable.formats.csv.file import CsvFile
from resumable.formats.csv.options import column_type, csv_format, listed, one_of, typed, usage
from resumable.formats.known import known
from resumable.formats.text_values import infer
from resumable.formats.type_names import readable, type_name
from resumable.protocols import MAX_BYTES, MAX_ROWS, Batch, Reject

__all__ = ["CsvSource"]

SAMPLE = 4 * 2**20
"""Bytes from which types are inferred."""
MAX_RECORD = 8 * 2**20
"""Bytes that a record may have, line end included, unless `max_record` says otherwise."""
_KEPT = 2**20  # bytes of a bad row whose text is kept
_CHECKED = 2**16  # bytes that a resume reads again behind a line that is too long to be held


class CsvSource:
    """Reads one CSV file, as `csv.reader` does, from any position that it has given out.

    `columns`: name to type, a word ("int64", "text", "decimal(12,2)"...) or an Arrow type, where the inferred one
    won't do. `expected` is asked for those of the table that the rows go into, by column: types, or fields (known.py).
    `null_values`: unquoted fields that
    mean NULL. `quote=None`: nothing is quoted. `encoding`: UTF-8 or one of single bytes. `header`: the first record
    names the columns; `names` names them instead (c1, c2... if neither does). `on_bad_row`: "raise" `BadRow`, or
    "quarantine": bad rows become the batch's rejects. `identity="full"` compares all that was read whenever a run
    goes on, not only if the file was touched. `max_record`: bytes that a record may have; a quote that isn't closed
    within them spoils its line. `block_size`: bytes. `block_rows`: rows a batch.

    Raises `UsageError` for arguments that make no sense; the file is first opened by the methods.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Mapping[str, str | pa.DataType] | None = None,
        expected: Callable[[], Mapping[str, pa.DataType | pa.Field]] | None = None,
        null_values: Sequence[str] = ("",),
        delimiter: str = ",",
        quote: str | None = '"',
        encoding: str = "utf-8",
        header: bool = True,
        names: Sequence[str] | None = None,
        on_bad_row: Literal["raise", "quarantine"] = "raise",
        identity: Literal["sampled", "full"] = "sampled",
        max_record: int = MAX_RECORD,
        block_size: int = MAX_BYTES // 4,
        block_rows: int = MAX_ROWS,
    ) -> None:
        self.path = os.fspath(path)
        self.form = csv_format(delimiter, quote, encoding, header, names, null_values)
        self.columns = {name: column_type(name, kind) for name, kind in (columns or {}).items()}
        self.expected = expected
        self.on_bad_row = one_of("on_bad_row", on_bad_row, "raise", "quarantine")
        self.full = one_of("identity", identity, "sampled", "full") == "full"
        if min(max_record, block_size, block_rows) < 1:
            raise usage("max_record, block_size and block_rows are at least 1.", "Leave them out.")
        self.max_record, self.block_size, self.block_rows = max_record, block_size, block_rows

    @property
    def address(self) -> str:
        """The file's one path."""
        return os.path.realpath(self.path)

    def identity(self) -> dict[str, Json]:
        """See `Source.identity`: size, head, tail, and whether it was written to; not where it lies."""
        with open_file(self.path) as file:
            return fingerprint(file)

    def changed(self, identity: dict[str, Json], position: Json) -> str | None:
        """See `Source.changed`."""
        at = position or {"offset": 0, "crc": 0}
        with open_file(self.path) as file:
            return difference(file, identity, at["offset"], at["crc"], full=self.full)

    def schema(self) -> pa.Schema:
        """See `Source.schema`: each type as asked for, or expected, or inferred.

        Raises `UsageError` for `columns` that aren't there, `BadRow` for a bad row in the sample (if told to raise).
        """
        expected = self.expected() if self.expected else {}
        with self._open() as file:
            names, block, texts = self._sample(file)
            if unknown := [name for name in self.columns if name not in names]:
                raise usage(
                    f"columns= names {listed(unknown)}, which {self.path} doesn't have.", f"It has {listed(names)}."
                )
            schema = pa.schema(
                known(name, self.columns.get(name), expected.get(name), column)
                if name in self.columns or readable(expected.get(name))
                else pa.field(name, infer(column))
                for name, column in zip(names, texts.columns, strict=True)
            )
            self._rows(file, self._parser(file, names), texts, schema, block, 0)  # refuses what doesn't fit
        return schema

    def read(self, schema: pa.Schema, position: Json, identity: dict[str, Json]) -> Iterator[Batch]:
        """See `Source.read`."""
        with self._open(identity["size"]) as file:
            if position is None:
                names, offset = file.begin()
                if names != schema.names:
                    raise file.altered(f"its columns were {listed(schema.names)} and are {listed(names)}")
                row, crc = 0, file.checksum(0, offset)
            else:
                offset, row, crc = position["offset"], position["row"], position["crc"]
                length, was = position["block"]
                if file.checksum(offset - length, offset) != was:
                    raise file.altered(f"the {length:,} bytes before byte {offset:,} aren't those that were read")
            parser, lines = self._parser(file, schema.names), file.lines(offset)
            while offset < file.size:
                block, texts = self._next(file, parser, offset, lines)
                rows, rejects = self._rows(file, parser, texts, schema, block, row)
                end = offset + block.length
                if block.data:
                    crc, last = zlib.crc32(block.data, crc), [block.length, zlib.crc32(block.data)]
                else:
                    length = min(block.length, _CHECKED)
                    crc, last = file.checksum(offset, end, crc), [length, file.checksum(end - length, end)]
                offset, first, row = end, row + 1, row + texts.count
                if texts.count:
                    lines = texts.count / block.length
                    at = {"offset": offset, "row": row, "crc": crc, "block": last}
                    yield Batch(rows, at, first, offset / file.size, rejects)

    def describe(self) -> str:
        """See `Source.describe`."""
        size = f"{os.path.getsize(self.path):,} bytes" if os.path.exists(self.path) else "not there"
        checked = "all that was read" if self.full else "the last block read, or all that was read if it was touched"
        return (
            f"CSV file {self.path} ({size}, {self.form.encoding}). A record has at most {self.max_record:,} bytes. A resume seeks to the byte after the last committed"
            f" row, and rests on the file's size, its first and last 64 KiB and {checked}."
        )

    def notes(self, schema: pa.Schema) -> list[str]:
        """Which words, in the sample, keep a column from being more than text, and what to do about it."""
        with self._open() as file:
            names, block, texts = self._sample(file)
        notes = [f"{note}."] if (note := self.note) else []
        for i, (name, column) in enumerate(zip(names, texts.columns, strict=True)):
            if name not in schema.names or schema.field(name).metadata or schema.field(name).type != pa.string():
                continue
            distinct = column.drop_null().unique()
            words = distinct.filter(pc.invert(pc.match_substring_regex(distinct, "[0-9]|^true$|^false$"))).to_pylist()
            if not 1 <= len(words) <= 3:
                continue
            nulls = tuple(dict.fromkeys((*self.form.null_values, *words)))
            again = self._parser(file, names, nulls).texts(block).columns[i]
            if (kind := infer(again)) == pa.string():  # the words are in quotes, or not the only obstacle
                continue
            found = pc.index(column, words[0]).as_py()
            row = 1 + (found if texts.kept is None else texts.kept[found])
            notes.append(
                f"Column {name!r} is text because of {' and '.join(map(repr, words))} (first in row {row:,}):"
                f" null_values={nulls!r} would make it {type_name(kind)}."
            )
        return notes

    @property
    def note(self) -> str:
        """What people should know of how it is read; "" if nothing. Raises `SourceError` if it can't be opened."""
        with self._open() as file:
            if file.encoding == self.form.encoding:
                return ""
        return f"{self.path} begins with a byte order mark, so it is read as UTF-8, not as {self.form.encoding}"

    def _open(self, size: int | None = None) -> CsvFile:
        return CsvFile(self.path, self.form, self.max_record, size)

    def _parser(self, file: CsvFile, names: list[str], null_values: tuple[str, ...] | None = None) -> Parser:
        nulls = self.form.null_values if null_values is None else null_values
        return Parser(self.form.dialect, file.encoding, names, nulls)

    def _sample(self, file: CsvFile) -> tuple[list[str], Block, Texts]:
        """Names, and the first rows as they are and as text."""
        names, start = file.begin()
        block = Block(start, b"", 0)
        while block.length < SAMPLE and start < file.size:  # a block ends where a quote opens that isn't closed in it
            more = file.whole(start, SAMPLE - block.length)
            start += more.length
            if more.data:
                block = block.with_(more)
            elif self.on_bad_row == "raise":  # a line too long to be held: it is refused, now or when it is read
                block = block if block.length else more
                break
        return names, block, self._parser(file, names).texts(block)

    def _next(self, file: CsvFile, parser: Parser, offset: int, lines: float) -> tuple[Block, Texts]:
        """The next block and its rows, no more than a batch may have; `lines` a byte are to be expected."""
        block = file.whole(offset, max(1, min(self.block_size, int(0.95 * self.block_rows / lines))))
        texts = parser.texts(block)
        if texts.count > self.block_rows:
            block = block.head(parser.records(block)[self.block_rows - 1][1])
            texts = parser.texts(block)
        return block, texts

    def _rows(
        self, file: CsvFile, parser: Parser, texts: Texts, schema: pa.Schema, block: Block, row: int
    ) -> tuple[pa.RecordBatch, tuple[Reject, ...]]:
        """The block's rows as values, and its bad rows; or `BadRow` for the first of them."""
        rows, faults = parser.rows(texts, schema, block)
        if faults and self.on_bad_row == "raise":
            self._refuse(file, faults[0], block, row)
        rejects = []
        for fault in faults:
            at, number = block.offset + fault.begin, row + fault.index + 1
            length, record = file.record(block, fault.begin, fault.end, _KEPT)
            text = None if record is None else record.decode(file.encoding, "backslashreplace")
            rejects.append(Reject(number, fault.why, fault.column, at, text, length))
        return rows, tuple(rejects)

    def _refuse(self, file: CsvFile, fault: Fault, block: Block, row: int) -> NoReturn:
        number, byte = row + fault.index + 1, block.offset + fault.begin
        aside = "go on with on_bad_row='quarantine' (--on-bad-row quarantine), which puts such rows aside"
        anew, ways = "Begin anew (restart(), --restart) with", ""
        if fault.kind == "bytes":
            record = block.data[fault.begin : fault.end]
            field = next((f for f in self.form.dialect.fields(record) if not f.isascii()), record)
            ways = file.encodings(field)
        do = f"Correct the file and begin anew (restart(), --restart), or {aside}."
        if fault.kind == "value":
            do = f"{typed(fault.column or '', fault.hint)}, or {aside}."
        elif ways:
            do = f"{anew} {ways}. Or {aside}."
        elif fault.kind == "bytes":
            do = f"The rest of the file seems to be {file.encoding}: correct that row and begin anew (restart(), --restart), or {aside}."
        elif fault.kind == "quote":
            more = self.max_record * 8
            with_ = "quote=None (--quote '') if quotes are ordinary characters in it" if "quote" in fault.why else ""
            if "max_record" in fault.why:
                longer = f"max_record={more} (--max-record {more}) if its rows are as long as that"
                with_ = f"{with_}, with {longer}" if with_ else longer
            do = f"{anew} {with_}; or correct the file first; or {aside}."
        elif fault.kind == "end":
            new = shlex.quote(os.path.splitext(os.path.basename(self.path))[0] + ".clean.csv")
            do = f"Load a copy without it: `tr -d '\\000\\032' < {shlex.quote(self.path)} > {new}`; or {aside}."
        elif fault.kind == "shape" and (shape := shape_advice(self.path, self.form, file.head())):
            do = shape
        raise BadRow(
            f"{self.path}, row {number:,} (at byte {byte:,}): {fault.why}.",
            row=number,
            offset=byte,
            column=fault.column,
            safe="What was committed before it is safe.",
            do=do,
        )

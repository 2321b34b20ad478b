"""CsvSource: a CSV file, read by byte offset.

Laws kept here:

* A position is the offset behind a whole record, the rows before it, and the CRC-32 of all bytes before it; reading on
  seeks there. With it goes the last block's length and CRC-32, which a resume reads again before it trusts the offset.
* Types are found out once, from the first `SAMPLE` bytes, and frozen; a later value that doesn't fit is a bad row,
  never altered (values.py).
* Only the bytes that were there at the start are read: what is appended meanwhile is a change, not more input.
* Memory: one block of about 8 MiB, or one record of up to `max_record` bytes.
"""

from __future__ import annotations

import codecs
import os
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc

from resumable.checkpoint import Json
from resumable.errors import BadRow, SourceChanged, SourceError, UsageError
from resumable.protocols import MAX_BYTES, MAX_ROWS, Batch, Reject
from resumable.sources.csvblock import BOM, Fault, Parser, Texts
from resumable.sources.fingerprint import checksum, difference, fingerprint, open_file, read_at
from resumable.sources.records import Dialect
from resumable.sources.typenames import parse_type, readable, type_name
from resumable.sources.values import infer

__all__ = ["CsvSource"]

SAMPLE = 4 * 2**20
"""Bytes from which types are inferred."""
_REJECTED = 10_000  # characters of a bad row that are kept
_OTHERS = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"PAR1": "Parquet"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


class CsvSource:
    r"""Reads one CSV file, as `csv.reader` does, from any position that it has given out.

    `columns`: name to type, a word (`"int64"`, `"text"`, `"decimal(12,2)"`...) or an Arrow type, where the inferred
    one won't do. `expected` is asked for more of them, which the file need not have. `null_values`: unquoted fields
    that mean NULL. `quote=None`: nothing is quoted. `encoding`: UTF-8 or one of single bytes. `header`: the first
    record names the columns; `names` names them instead (`c1`, `c2`... if neither does). `on_bad_row`: "raise"
    `BadRow`, or "quarantine": bad rows become the batch's rejects. `identity="full"` compares all that was read when
    a run goes on, not only if the file was touched. `max_record`: bytes.

    Raises `UsageError` for arguments that make no sense; the file is first opened by the methods.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        columns: Mapping[str, str | pa.DataType] | None = None,
        expected: Callable[[], Mapping[str, pa.DataType]] | None = None,
        null_values: Sequence[str] = ("",),
        delimiter: str = ",",
        quote: str | None = '"',
        encoding: str = "utf-8",
        header: bool = True,
        names: Sequence[str] | None = None,
        on_bad_row: Literal["raise", "quarantine"] = "raise",
        identity: Literal["sampled", "full"] = "sampled",
        max_record: int = 64 * 2**20,
        block_size: int = MAX_BYTES,
        block_rows: int = MAX_ROWS,
    ) -> None:
        self.path = os.fspath(path)
        self.columns = {name: _type(name, kind) for name, kind in (columns or {}).items()}
        self.null_values, self.encoding = _words(null_values), _encoding(encoding)
        self.header, self.names = header, None if names is None else _words(names, "names")
        self.on_bad_row = _one_of("on_bad_row", on_bad_row, "raise", "quarantine")
        self.full = _one_of("identity", identity, "sampled", "full") == "full"
        for what, byte in (("delimiter", delimiter), ("quote", quote)):
            if byte is not None and (len(byte) != 1 or not byte.isascii() or byte in "\r\n\0"):
                raise _usage(f"{what}={byte!r} is not one ASCII character.", "Give one, such as ',' ';' '|' or '\\t'.")
        if delimiter == quote:
            raise _usage(f"{delimiter!r} can't be both delimiter and quote.", "Give two characters, or quote=None.")
        if min(max_record, block_size, block_rows) < 1:
            raise _usage("max_record, block_size and block_rows are at least 1.", "Leave them out.")
        self.dialect = Dialect(delimiter.encode(), None if quote is None else quote.encode())
        self.expected, self.max_record, self.block_size, self.block_rows = expected, max_record, block_size, block_rows

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
        """See `Source.schema`: asked for, expected, or inferred, in this order.

        Raises `UsageError` for `columns` that aren't there, `BadRow` for a bad row in the sample (if told to raise).
        """
        with open_file(self.path) as file:
            names, block, start, parser, texts = self._sample(file)
            if unknown := [name for name in self.columns if name not in names]:
                raise _usage(
                    f"columns= names {_list(unknown)}, which {self.path} doesn't have.",
                    f"It has {_list(names)}.",
                )
            known = {
                **{n: k for n, k in (self.expected() if self.expected else {}).items() if readable(k)},
                **self.columns,
            }
            kinds = [known.get(name) or infer(column) for name, column in zip(names, texts.columns, strict=True)]
            schema = pa.schema(list(zip(names, kinds, strict=True)))
            if self.on_bad_row == "raise":
                self._refuse(parser.rows(texts, schema, block)[1], block, start, 0)
            return schema

    def read(self, schema: pa.Schema, position: Json, identity: dict[str, Json]) -> Iterator[Batch]:
        """See `Source.read`."""
        with open_file(self.path) as file:
            size = identity["size"]
            if position is None:
                names, offset = self._layout(file, size)
                if names != schema.names:
                    raise self._altered(f"its columns were {_list(schema.names)} and are {_list(names)}")
                row, crc = 0, checksum(file, 0, offset)
            else:
                offset, row, crc = position["offset"], position["row"], position["crc"]
                length, was = position["block"]
                if os.fstat(file.fileno()).st_size < offset or checksum(file, offset - length, offset) != was:
                    raise self._altered(f"the {length:,} bytes before byte {offset:,} aren't those that were read")
            parser, length = self._parser(schema.names), self._first_length(file, offset)
            while offset < size:
                block, texts = self._next(file, offset, size, length, parser, row)
                rows, faults = parser.rows(texts, schema, block)
                if self.on_bad_row == "raise":
                    self._refuse(faults, block, offset, row)
                rejects = tuple(self._reject(fault, block, offset, row) for fault in faults)
                crc, offset = zlib.crc32(block, crc), offset + len(block)
                first, row = row + 1, row + texts.count
                if texts.count:
                    # As many bytes as next time give nearly as many rows as a batch may have.
                    length = max(1, min(self.block_size, len(block) * self.block_rows * 19 // (texts.count * 20)))
                    at = {"offset": offset, "row": row, "crc": crc, "block": [len(block), zlib.crc32(block)]}
                    yield Batch(rows, at, first, offset / size, rejects)

    def describe(self) -> str:
        """See `Source.describe`."""
        size = f"{os.path.getsize(self.path):,} bytes" if os.path.exists(self.path) else "not there"
        checked = "all that was read" if self.full else "the last block read; all that was read if it was written to"
        return (
            f"CSV file {self.path} ({size}, {self.encoding}). A resume seeks to the byte after the last committed row,"
            f" and rests on the file's size, its first and last 64 KiB and {checked}."
        )

    def notes(self, schema: pa.Schema) -> list[str]:
        """Which words, in the sample, keep a column from being more than text, and what to do about it."""
        with open_file(self.path) as file:
            names, block, _, parser, texts = self._sample(file)
        notes = []
        for i, (name, column) in enumerate(zip(names, texts.columns, strict=True)):
            if name in self.columns or name not in schema.names or schema.field(name).type != pa.string():
                continue
            distinct = column.drop_null().unique()
            words = distinct.filter(pc.invert(pc.match_substring_regex(distinct, "[0-9]|^true$|^false$")))
            if not 1 <= len(words) <= 3:
                continue
            nulls = tuple(dict.fromkeys((*self.null_values, *words.to_pylist())))
            again = Parser(self.dialect, self.encoding, names, nulls).texts(block).columns[i]
            if (kind := infer(again)) == pa.string():  # quoted, or not the only obstacle
                continue
            found = pc.index(column, words[0]).as_py()
            row = 1 + (found if texts.kept is None else texts.kept[found])
            because = " and ".join(repr(word) for word in words.to_pylist())
            notes.append(
                f"Column {name!r} is text because of {because} (first in row {row:,}): null_values={nulls!r}"
                f" would make it {type_name(kind)}."
            )
        return notes

    # ---------------------------------------------------------------------------- the file's beginning

    def _layout(self, file: BinaryIO, size: int) -> tuple[list[str], int]:
        """The columns' names, and the offset of the first data row."""
        head = read_at(file, 0, 4)
        if head.startswith(_UTF16):
            raise self._unreadable("is UTF-16", f"Convert it first: iconv -f UTF-16 -t UTF-8 {self.path} > utf8.csv")
        for magic, kind in _OTHERS.items():
            if head.startswith(magic):
                raise self._unreadable(f"is {kind}, not CSV", "Unpack or convert it first.")
        start = len(BOM) if self.encoding == "utf-8" and head.startswith(BOM) else 0
        record, end = self._first_record(file, start, size)
        if not record:
            if not self.header and self.names:
                return list(self.names), start
            raise self._unreadable("is empty", "Check what wrote it; a table's CSV file has at least a header.")
        fields = self.dialect.fields(record)
        if self.names is not None and len(self.names) != len(fields):
            raise _usage(
                f"names= has {len(self.names)} names, and the first record of {self.path} has {len(fields)} fields.",
                "Give a name for each column.",
            )
        if self.names is not None:
            return list(self.names), end if self.header else start
        if not self.header:
            return [f"c{i}" for i in range(1, len(fields) + 1)], start
        return self._header(fields), end

    def _first_record(self, file: BinaryIO, start: int, size: int) -> tuple[bytes, int]:
        """The first record that isn't empty, and the offset behind it."""
        while start < size:
            block = self._whole(file, start, size, 2**16, 0)
            for begin, end in self.dialect.spans(block):
                if block[begin] not in b"\r\n":
                    return block[begin:end], start + end
            start += len(block)
        return b"", start

    def _header(self, fields: list[bytes]) -> list[str]:
        try:
            names = [field.decode(self.encoding) for field in fields]
        except UnicodeDecodeError:
            raise self._unreadable(
                f"has a header that is no {self.encoding}", "Say encoding='cp1252' or its like."
            ) from None
        do = "Name the columns yourself with names=, or correct the header."
        if "" in names:
            raise self._unreadable(f"has no name for column {names.index('') + 1} of {len(names)} in its header", do)
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise self._unreadable(f"has more than one column {_list(twice)} in its header", do)
        return names

    def _sample(self, file: BinaryIO) -> tuple[list[str], bytes, int, Parser, Texts]:
        size = os.fstat(file.fileno()).st_size
        names, start = self._layout(file, size)
        parser = self._parser(names)
        block = self._whole(file, start, size, SAMPLE, 0) if start < size else b""
        # Of a sample only whole records count: the last one may be a quote that is closed further on.
        truncated = start + len(block) == size and self.dialect.open_at_end(block)
        return names, block, start, parser, parser.texts(block, truncated=truncated)

    # ------------------------------------------------------------------------------------------ blocks

    def _parser(self, names: list[str]) -> Parser:
        return Parser(self.dialect, self.encoding, names, self.null_values)

    def _first_length(self, file: BinaryIO, offset: int) -> int:
        """How many bytes to begin with, judging by the lines in the next 64 KiB."""
        glance = read_at(file, offset, 2**16)
        lines = max(1, glance.count(b"\n"))
        return max(1, min(self.block_size, len(glance) * self.block_rows * 9 // (lines * 10)))

    def _whole(self, file: BinaryIO, offset: int, size: int, length: int, row: int) -> bytes:
        """Whole records from `offset`, of about `length` bytes, or one that is longer."""
        while True:
            length = min(length, self.max_record, size - offset)
            block = read_at(file, offset, length)
            if len(block) < length:
                raise self._altered(f"it ends at byte {offset + len(block):,}, and was {size:,} bytes long")
            if offset + length == size:
                return block
            if end := self.dialect.whole(block):
                return block[:end]
            if length == self.max_record:
                raise BadRow(
                    f"{self.path}: the record at byte {offset:,} (after row {row:,}) is longer than {length:,} bytes;"
                    " a quote that is never closed, most likely.",
                    row=row + 1,
                    offset=offset,
                    safe="What was committed before it is safe.",
                    do="Look at the file there; if quotes are ordinary characters in it, say quote=None. A larger"
                    " max_record= reads longer records.",
                )
            length *= 2

    def _next(
        self, file: BinaryIO, offset: int, size: int, length: int, parser: Parser, row: int
    ) -> tuple[bytes, Texts]:
        """The next block and its rows, no more than a batch may have."""
        block = self._whole(file, offset, size, length, row)
        truncated = offset + len(block) == size and self.dialect.open_at_end(block)
        texts = parser.texts(block, truncated=truncated)
        if texts.count > self.block_rows:
            block = block[: parser.records(block)[self.block_rows - 1][1]]
            texts = parser.texts(block)
        return block, texts

    # ---------------------------------------------------------------------------------------- refusals

    def _reject(self, fault: Fault, block: bytes, offset: int, row: int) -> Reject:
        text = block[fault.begin : fault.end].rstrip(b"\r\n").decode(self.encoding, "backslashreplace")
        return Reject(row + fault.index + 1, fault.why, fault.column, offset + fault.begin, text[:_REJECTED])

    def _refuse(self, faults: list[Fault], block: bytes, offset: int, row: int) -> None:
        """Raise `BadRow` for the first fault, if there is one."""
        for fault in faults:
            column, hint = fault.column, fault.hint
            number, byte = row + fault.index + 1, offset + fault.begin
            aside = "put bad rows aside with on_bad_row='quarantine' (--on-bad-row quarantine)"
            if hint:
                do = f"Say columns={{{column!r}: {hint!r}}} (--columns {column}={hint}), or {aside}."
            elif column:
                do = f"Say which encoding it is, such as encoding='cp1252', or {aside}."
            else:
                do = f"Correct the file (that is another input: begin anew), or {aside}."
            raise BadRow(
                f"{self.path}, row {number:,} (at byte {byte:,}): {fault.why}.",
                row=number,
                offset=byte,
                column=column,
                safe="What was committed before it is safe.",
                do=do,
            )

    def _altered(self, what: str) -> SourceChanged:
        return SourceChanged(
            f"{self.path} has changed: {what}.",
            safe="What was committed is safe.",
            do="Put the file back as it was, or begin anew (restart).",
        )

    def _unreadable(self, what: str, do: str) -> SourceError:
        return SourceError(f"{self.path} {what}.", safe="Nothing was changed.", do=do)


def _usage(what: str, do: str) -> UsageError:
    return UsageError(what, safe="Nothing was touched.", do=do)


def _list(names: Sequence[str], most: int = 30) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more


def _words(words: Sequence[str], what: str = "null_values") -> tuple[str, ...]:
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise _usage(f"{what}={words!r} is not a list of texts.", f"Write {what}=['...', '...'].")
    if what == "names" and (len(set(words)) < len(words) or "" in words or not words):
        raise _usage(f"names={list(words)!r} has an empty name or one twice.", "Give each column a name of its own.")
    return tuple(words)


def _one_of(what: str, value: str, *allowed: str) -> str:
    if value not in allowed:
        raise _usage(f"{what}={value!r} is unknown.", f"Use {' or '.join(repr(a) for a in allowed)}.")
    return value


def _type(name: str, kind: str | pa.DataType) -> pa.DataType:
    kind = parse_type(kind) if isinstance(kind, str) else kind
    if not isinstance(kind, pa.DataType) or not readable(kind):
        raise _usage(f"columns[{name!r}]={kind} is no type that a text can be read as.", "Read it as 'string'.")
    return kind


def _encoding(name: str) -> str:
    """The encoding's plain name, if records can be told apart in it without decoding: UTF-8, or single bytes."""
    do = "Use utf-8, latin-1, cp1252 or another of single bytes; convert others first with iconv."
    try:
        plain = codecs.lookup(name).name
        if plain in ("utf-8", "utf-8-sig"):
            return "utf-8"
        ascii_ = bytes(range(128))
        same = ascii_.decode(plain) == ascii_.decode("ascii")
        # In an encoding of several bytes some byte makes one character together with the next.
        pairs = [bytes([byte, other]).decode(plain, "replace") for byte in range(128, 256) for other in (byte, 65)]
    except (LookupError, UnicodeError):
        raise _usage(f"encoding={name!r} is unknown here.", do) from None
    if not same or any(len(pair) != 2 for pair in pairs):
        raise _usage(f"encoding={name!r} can't be read by byte offset.", do)
    return plain

"""An open CSV file: what its columns are called, where its rows begin, and whole records from any offset.

A file that is shorter than it was is `SourceChanged`; one that is no CSV file, or whose header names nothing, is
`SourceError`.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from resumable.errors import BadRow, SourceChanged, SourceError
from resumable.sources.csvblock import BOM
from resumable.sources.csvformat import CsvFormat, listed, usage
from resumable.sources.fingerprint import checksum, open_file, read_at

__all__ = ["CsvFile"]

_OTHERS = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bzip2", b"PAR1": "Parquet"}
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_GLANCE = 64 * 2**10


class CsvFile:
    """Open from the start; leaving it closes it. Only its first `size` bytes are looked at (None: all)."""

    def __init__(self, path: str, form: CsvFormat, max_record: int, size: int | None = None) -> None:
        self.path, self.form, self.max_record = path, form, max_record
        self.file = open_file(path)
        self.size = os.fstat(self.file.fileno()).st_size if size is None else size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.file.close()

    def begin(self) -> tuple[list[str], int]:
        """The columns' names, and the offset of the first data row."""
        head, form = read_at(self.file, 0, 4), self.form
        if head.startswith(_UTF16):
            raise self._unreadable("is UTF-16", f"Convert it first: iconv -f UTF-16 -t UTF-8 {self.path} > utf8.csv")
        for magic, kind in _OTHERS.items():
            if head.startswith(magic):
                raise self._unreadable(f"is {kind}, not CSV", "Unpack or convert it first.")
        start = len(BOM) if form.encoding == "utf-8" and head.startswith(BOM) else 0
        record, end = self._first_record(start)
        if not record:
            if form.names and not form.header:
                return list(form.names), start
            raise self._unreadable("is empty", "Check what wrote it; even a table without rows has a header.")
        fields = form.dialect.fields(record)
        if form.names is not None and len(form.names) != len(fields):
            raise usage(
                f"names= has {len(form.names)} names, and the first record of {self.path} has {len(fields)} fields.",
                "Give a name for each column.",
            )
        names = form.names or (self._header(fields) if form.header else [f"c{i + 1}" for i in range(len(fields))])
        return list(names), end if form.header else start

    def whole(self, offset: int, length: int, row: int = 0) -> bytes:
        """Whole records from `offset`, of about `length` bytes, or one that is longer. `row`s lie before it."""
        while True:
            length = min(length, self.max_record, self.size - offset)
            block = read_at(self.file, offset, length)
            if len(block) < length:
                raise self.altered(f"it ends at byte {offset + len(block):,}, and was {self.size:,} bytes long")
            if offset + length == self.size:
                return block
            if end := self.form.dialect.whole(block):
                return block[:end]
            if length == self.max_record:
                raise BadRow(
                    f"{self.path}: the record at byte {offset:,}, after row {row:,}, is longer than {length:,} bytes;"
                    " most likely it opens a quote that is never closed.",
                    row=row + 1,
                    offset=offset,
                    safe="What was committed before it is safe.",
                    do="Look at the file there. If quotes are ordinary characters in it, say quote=None (--quote ''); if records"
                    " are as long as that, raise max_record=.",
                )
            length *= 2

    def truncated(self, offset: int, block: bytes) -> bool:
        """Whether the block ends the file, inside quotes."""
        return offset + len(block) == self.size and self.form.dialect.open_at_end(block)

    def lines(self, offset: int) -> float:
        """Lines a byte, judging by the next 64 KiB."""
        glance = read_at(self.file, offset, _GLANCE)
        return max(1, glance.count(b"\n")) / max(1, len(glance))

    def checksum(self, begin: int, end: int) -> int:
        """The CRC-32 of the bytes from `begin` to `end`."""
        return checksum(self.file, begin, end)

    def altered(self, what: str) -> SourceChanged:
        """The error for a file that isn't what it was."""
        return SourceChanged(
            f"{self.path} has changed: {what}.",
            safe="What was committed is safe.",
            do="Put the file back as it was, or begin anew (restart).",
        )

    def _first_record(self, start: int) -> tuple[bytes, int]:
        """The first record that isn't empty, and the offset behind it."""
        while start < self.size:
            block = self.whole(start, _GLANCE)
            for begin, end in self.form.dialect.spans(block):
                if block[begin] not in b"\r\n":
                    return block[begin:end], start + end
            start += len(block)
        return b"", start

    def _header(self, fields: list[bytes]) -> list[str]:
        encoding = self.form.encoding
        try:
            names = [field.decode(encoding) for field in fields]
        except UnicodeDecodeError:
            raise self._unreadable(
                f"has a header that is no {encoding}", "Say encoding='cp1252' (--encoding cp1252) or its like."
            ) from None
        do = "Name the columns yourself with names=[...] (--names a,b,c), or correct the header."
        if "" in names:
            raise self._unreadable(f"has no name for column {names.index('') + 1} of {len(names)} in its header", do)
        if twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            raise self._unreadable(f"has more than one column {listed(twice)} in its header", do)
        return names

    def _unreadable(self, what: str, do: str) -> SourceError:
        return SourceError(f"{self.path} {what}.", safe="Nothing was changed.", do=do)

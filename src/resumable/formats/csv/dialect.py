r"""Where the records of a CSV file begin and end, in bytes.

Laws kept here:

* Records and fields are those of Python's `csv.reader` (not strict, quotes doubled), on every input: a quote opens a
  quoted field only as the field's first byte; elsewhere outside quotes it is a byte like any other; `\n`, `\r` and
  `\r\n` end a record wherever they stand outside quotes.
* Nothing here decodes: any encoding will do in which the delimiter, the quote and the line ends are single bytes that
  occur nowhere else.

A block of megabytes is cut by `bytes.count` and `bytes.rfind` where its quotes are in order, and by a regular
expression where they aren't; both give the same cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Dialect", "line_end"]


class Dialect:
    """A delimiter and a quote, each one byte; `quote=None` means that nothing is quoted."""

    def __init__(self, delimiter: bytes = b",", quote: bytes | None = b'"') -> None:
        self.delimiter, self.quote = delimiter, quote
        d, q = re.escape(delimiter), re.escape(quote or b"")
        plain = rb"[^%b\r\n]*+" % d
        # Possessive and atomic: what a field has taken it never gives back, so time is linear in the input.
        field = (
            plain if quote is None else rb"(?>%b[^%b]*+(?:%b%b[^%b]*+)*+%b?+%b|%b)" % (q, q, q, q, q, q, plain, plain)
        )
        self._field = re.compile(field)
        record = rb"%b(?:%b%b)*+" % (field, d, field)
        self._record = re.compile(record + rb"(?:\r\n|\r|\n|\Z)")
        # For RE2, which is faster here; the last field may be cut anywhere.
        comma, mark = rf"\x{ord(delimiter):02x}", rf"\x{ord(quote or delimiter):02x}"
        bare, quoted = rf"[^{mark}{comma}\r\n]*", rf"{mark}(?:[^{mark}]|{mark}{mark})*"
        self._orderly = rf"\A(?:(?:{bare}|{quoted}{mark})[{comma}\r\n])*(?:{bare}|{quoted}{mark}?)\z"

    def by_parity(self, block: bytes) -> int:
        """How many bytes at the beginning of a block that is `in_order` are whole records; 0 if none is.

        A record is whole when its line end is in the block, and it is certain that the line end has no second byte.
        """
        if self.quote is None:
            return line_end(block, len(block))
        open_quotes, end = block.count(self.quote), len(block)
        while True:
            cut = line_end(block, end)
            open_quotes -= block.count(self.quote, cut, end)
            if open_quotes % 2 == 0:
                return cut
            # The line end is inside quotes, and so is all back to the quote that opened them.
            end = block.rfind(self.quote, 0, cut)
            open_quotes -= 1

    def in_order(self, block: bytes) -> bool:
        """Whether every quote opens a field, closes one, or is doubled inside one; then parity tells in from out."""
        if self.quote is None or self.quote not in block:
            return True
        return bool(pc.match_substring_regex(pa.scalar(block, pa.binary()), self._orderly).as_py())

    def spans(self, block: bytes) -> Iterator[tuple[int, int]]:
        """Begin and end of each record in `block`, its line end included. Empty records are among them."""
        for match in self._record.finditer(block):
            if match.start() < len(block):
                yield match.span()

    def fields(self, record: bytes) -> list[bytes]:
        """The fields of one record, unquoted; none for an empty record. Its line end may be there or not."""
        fields, at, end = list[bytes](), 0, len(record)
        while True:
            match = self._field.match(record, at)
            assert match is not None  # a field may be empty, so there always is one
            fields.append(self._unquoted(match.group()))
            at = match.end() + 1
            if at > end or record[at - 1 : at] != self.delimiter:
                return [] if fields == [b""] and match.end() == 0 else fields

    def count(self, record: bytes) -> int:
        """How many fields a record has: `len(fields(record))`, cheaply."""
        if self.quote is None or self.quote not in record:
            return record.count(self.delimiter) + 1 if record.rstrip(b"\r\n") else 0
        return len(self.fields(record))

    def _unquoted(self, field: bytes) -> bytes:
        quote = self.quote
        if quote is None or not field.startswith(quote):
            return field
        # The field closes at the first run of quotes of odd length; what follows is taken as it stands.
        at = 1
        while (at := field.find(quote, at)) >= 0:
            if field[at + 1 : at + 2] != quote:
                return field[1:at].replace(quote * 2, quote) + field[at + 1 :]
            at += 2
        return field[1:].replace(quote * 2, quote)


def line_end(block: bytes, end: int) -> int:
    r"""Just behind the last line end in `block[:end]`, or 0. A `\r` at the block's end may be half of `\r\n`."""
    newline = block.rfind(b"\n", 0, end)
    return_ = block.rfind(b"\r", newline + 1, min(end, len(block) - 1))
    return max(newline, return_) + 1

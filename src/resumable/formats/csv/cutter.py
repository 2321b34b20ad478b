r"""Where a block of CSV is to be cut, and which lines in it a quote has spoiled.

Laws kept here:

* A record is read as `csv.reader` reads it (dialect.py), if it ends within `limit` bytes, and if behind each closing
  quote of a field that goes over a line's end comes the delimiter, a line end, or blanks and then one of them. Else
  most likely a stray quote was taken for an opening one: the record's first line is spoiled, and it alone. The next
  record begins behind it.
* What begins at an offset depends on nothing but the file from there on: not on where blocks are cut.
* Time is linear, whatever the file: while a record that began in quotes is followed, every later line of it would be
  followed the same way, so that this is remembered and not done again.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from resumable.formats.csv.dialect import Dialect

__all__ = ["LINE_END", "Block", "Cutter", "Spoiled"]

LINE_END = re.compile(rb"\r\n|\r|\n")
_MOST = 65_536
"""Spoiled lines in one block."""


@dataclass(frozen=True, slots=True)
class Spoiled:
    """A line that is no record, from `begin` to `end` in its block, and why."""

    begin: int
    end: int
    why: str


@dataclass(frozen=True, slots=True)
class Block:
    """Whole records of a file, from `offset`, and the spoiled lines among them.

    `data` is empty where all of it is one line that is too long to be held. `final`: the file ends with it.
    """

    offset: int
    data: bytes
    length: int
    spoiled: tuple[Spoiled, ...] = ()
    final: bool = False

    def head(self, length: int) -> Block:
        """Its first records, of `length` bytes."""
        spoiled = tuple(line for line in self.spoiled if line.begin < length)
        return Block(self.offset, self.data[:length], length, spoiled, self.final and length == self.length)

    def with_(self, more: Block) -> Block:
        """The two together; what lies between them is left out."""
        moved = tuple(Spoiled(s.begin + self.length, s.end + self.length, s.why) for s in more.spoiled)
        return Block(self.offset, self.data + more.data, self.length + more.length, self.spoiled + moved, more.final)


class Cutter:
    """Cuts the blocks of one file. It remembers what it found ahead, and needs no memory to go on."""

    def __init__(self, dialect: Dialect, limit: int) -> None:
        self.dialect, self.limit = dialect, limit
        # From inside quotes at offset `begin`, what happens next is `what`, at `at`; "" is nothing up to there.
        self._begin, self._at, self._what = 0, 0, ""
        d, q = re.escape(dialect.delimiter), re.escape(dialect.quote or b"")
        plain = rb"[^%b\r\n]*+" % d
        closed = rb"%b[^%b\r\n]*+(?:%b%b[^%b\r\n]*+)*+%b" % (q, q, q, q, q, q)
        # Nothing gives back what it has taken, so that time is linear.
        field = plain if dialect.quote is None else rb"(?>%b%b|(?!%b)%b)" % (closed, plain, q, plain)
        self._line = re.compile(rb"%b(?:%b%b)*+" % (field, d, field))
        self._lines = re.compile(rb"(?:%b(?:%b%b)*+(?:\r\n|\n|\r(?!\Z)))*+" % (field, d, field))
        self._rest = re.compile(rb"(?:%b%b)*+" % (d, field))
        blanks = b" \t".replace(dialect.delimiter, b"")
        self._close = re.compile(rb"[^%b]*+(?:%b%b[^%b]*+)*+%b" % (q, q, q, q, q) if dialect.quote else rb"(?!)")
        self._blanks = re.compile(rb"[%b]*+" % blanks)

    def cut(self, data: bytes, offset: int, length: int, *, final: bool) -> tuple[int, list[Spoiled]]:
        """How much of `data`, which begins with a record at `offset`, is whole, and its spoiled lines.

        `final`: the file ends with it.

        No more than about `length` bytes of it, if there is anything spoiled. 0 if more must be read; when `data` is
        longer than `limit` that means that its first line hasn't ended.
        """
        if len(data) <= self.limit and self.dialect.in_order(data):
            if final and (self.dialect.quote is None or data.count(self.dialect.quote) % 2 == 0):
                return len(data), []
            if end := self.dialect.by_parity(data):
                return end, []
        return self._one_by_one(data, offset, length, final=final)

    def _one_by_one(self, data: bytes, offset: int, length: int, *, final: bool) -> tuple[int, list[Spoiled]]:
        at, spoiled = 0, list[Spoiled]()
        while at < min(length, len(data)) and len(spoiled) < _MOST:
            if len(data) <= self.limit:
                lines = self._lines.match(data, at)
                if lines and lines.end() > at:
                    at = lines.end()
                    continue
            content, end = self._line_end(data, at, final=final)
            if not end:  # it isn't here
                break
            stop, why = self._record(data, offset, at, (content, end), final=final)
            if not stop:
                break
            if why:
                spoiled.append(Spoiled(at, end, why))
            at = stop
        return at, spoiled

    def _record(self, data: bytes, offset: int, at: int, line: tuple[int, int], *, final: bool) -> tuple[int, str]:
        """Where the record at `at` ends; or where its first line does, and why it is spoiled; 0 if more must be read."""
        content, end = line
        if end - at > self.limit:
            return end, f"it is longer than {self.limit:,} bytes (max_record)"
        if self._line.fullmatch(data, at, content):
            return end, ""
        what, stop = self._ahead(data, offset, end, final=final)
        if stop - at > self.limit:
            return end, f"it opens a quote, and the record doesn't end within {self.limit:,} bytes (max_record)"
        if what == "ends":
            return (stop, "") if stop <= len(data) else (0, "")
        if what == "stray":
            return end, "it opens a quote, and the next quote, on a later line, stands in the middle of a field"
        if what == "open":
            return end, "it opens a quote that is never closed: a stray quote, or the file was cut off"
        return 0, ""

    def _ahead(
        self, data: bytes, offset: int, at: int, *, final: bool
    ) -> tuple[Literal["ends", "stray", "open", ""], int]:
        """From inside quotes at `at`: where in `data` the record ends, or proves that its quote was a stray one.

        "open" if it does neither up to the file's end; "" and how far nothing is to be found yet. May be past `data`,
        where that was seen before.
        """
        remembered = self._begin <= offset + at < self._at
        if not remembered or (not self._what and self._at < offset + len(data)):
            what, stop = self._follow(data, at, final=final)
            self._begin, self._at, self._what = offset + at, offset + stop, what
        return self._what, self._at - offset  # type: ignore[return-value]

    def _follow(self, data: bytes, at: int, *, final: bool) -> tuple[str, int]:
        size = len(data)
        while closed := self._close.match(data, at):
            behind = self._blanks.match(data, closed.end())
            assert behind is not None
            here = behind.end()
            if here == size and not final:  # the quote may be the first of two
                break
            if here < size and data[here : here + 1] not in (self.dialect.delimiter, b"\r", b"\n"):
                return "stray", here
            content, end = self._line_end(data, here, final=final)
            if not end:
                break
            if self._rest.fullmatch(data, here, content):
                return "ends", end
            at = end
        return ("open" if final else ""), size

    def _line_end(self, data: bytes, at: int, *, final: bool) -> tuple[int, int]:
        """Where the line's content ends, and where the next line begins; 0 and 0 if that can't be known yet."""
        match = LINE_END.search(data, at)
        if match and (final or match.end() < len(data) or match.group() != b"\r"):
            return match.span()
        return (len(data), len(data)) if final else (0, 0)

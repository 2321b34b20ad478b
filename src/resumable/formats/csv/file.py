"""A CSV file: what its columns are called, where its rows begin, and whole records from any offset.

A file that is shorter than it was is `SourceChanged`; one that is no CSV file, or whose header names nothing, is
`SourceError`.
"""

from __future__ import annotations

from resumable.errors import SourceChanged, SourceError, UsageError
from resumable.formats.csv.advice import HEAD, header_advice, is_numbers
from resumable.formats.csv.content import BOM, foreign
from resumable.formats.csv.cutter import LINE_END, Block, Cutter, Spoiled
from resumable.formats.csv.encodings import encoding_advice
from resumable.formats.csv.options import CsvFormat, quoted_list
from resumable.formats.protocols import ReadableFile, ends_at

__all__ = ["CsvFile"]

_STEP = 2**20


class CsvFile:
    """A file that is read as CSV. `encoding` is its own: a byte order mark counts more than what was said."""

    def __init__(self, file: ReadableFile, form: CsvFormat, max_record: int) -> None:
        self.file, self.path = file, file.path
        self.format, self.max_record = form, max_record
        self.marked = file.read(0, len(BOM)) == BOM
        self.encoding = "utf-8" if self.marked else form.encoding
        self.cutter = Cutter(form.dialect, max_record)

    def begin(self) -> tuple[list[str], int]:
        """The columns' names, and the offset of the first data row."""
        form = self.format
        if other := foreign(self.path, self.head()):
            raise self._unreadable(*other)
        start = len(BOM) if self.marked else 0
        record, end = self._first_record(start)
        if not record:
            if form.names and not form.header:
                return list(form.names), start
            raise self._unreadable("is empty", "Check what wrote it; even a table without rows has a header.")
        fields = form.dialect.fields(record)
        if form.names is not None and len(form.names) != len(fields):
            raise UsageError(
                f"names= has {len(form.names)} names, and the first record of {self.path} has {len(fields)} fields.",
                do=f"Give a name for each of the {len(fields)} columns.",
            )
        names = form.names or (self._header(fields) if form.header else [f"c{i + 1}" for i in range(len(fields))])
        return list(names), end if form.header else start

    def whole_records(self, offset: int, length: int) -> Block:
        """Whole records from `offset`, of about `length` bytes, or one that is longer, and what spoils them."""
        target, most = length, 2 * self.max_record + 2  # so that a limit's worth of lines can be judged by one look
        length = min(length, self.max_record)
        while True:
            data = self.file.read(offset, length)
            final = self.ends_at(offset + len(data))
            if len(data) < length and not final:
                raise self.altered(f"it ends at byte {offset + len(data):,}, and was {self.file.size:,} bytes long")
            end, spoiled = self.cutter.cut(data, offset, target, final=final)
            if end:
                return Block(offset, data[:end], end, tuple(spoiled), final=final and end == len(data))
            if len(data) > self.max_record:
                end = self._line_end(offset + len(data) - 1) - offset
                why = f"it is longer than {self.max_record:,} bytes (max_record)"
                return Block(offset, b"", end, (Spoiled(0, end, why),), final=self.ends_at(offset + end))
            length = min(length * 2, most)

    def record(self, block: Block, begin: int, end: int, most: int) -> tuple[int, bytes | None]:
        """A record of the block, without its line end: its length, and its bytes if they are not more than `most`."""
        if block.data:
            data = block.data[begin:end].rstrip(b"\r\n")
            return len(data), data if len(data) <= most else None
        last = self.file.read(block.offset + max(begin, end - 2), min(2, end - begin))
        length = end - begin - len(last) + len(last.rstrip(b"\r\n"))
        return length, self.file.read(block.offset + begin, length) if length <= most else None

    def _line_end(self, offset: int) -> int:
        """Where the line ends that goes on at `offset`, however far away that is."""
        while data := self.file.read(offset, _STEP):
            match = LINE_END.search(data)
            if match and (match.end() < len(data) or match.group() != b"\r" or len(data) == 1):
                return offset + match.end()
            offset += match.start() if match else len(data)
        return offset

    def ends_at(self, offset: int) -> bool:
        """Whether the file has no byte at `offset` or behind it."""
        return ends_at(self.file, offset)

    def lines(self, offset: int) -> float:
        """Lines a byte, judging by the next 64 KiB."""
        probe = self.file.read(offset, HEAD)
        return max(1, probe.count(b"\n")) / max(1, len(probe))

    def altered(self, what: str) -> SourceChanged:
        """The error for a file that isn't what it was."""
        return SourceChanged(
            f"{self.path} has changed: {what}.",
            safe="What was committed is safe.",
            do="Put the file back as it was, or begin anew (restart(), --restart).",
        )

    def head(self) -> bytes:
        """Its first 64 KiB, to judge by."""
        return self.file.read(0, HEAD)

    def encodings(self, field: bytes) -> str:
        """What would read a field that `encoding` can't, to be read after "Begin anew with "; "" if nothing would."""
        return encoding_advice(self.file, field)

    def _first_record(self, start: int) -> tuple[bytes, int]:
        """The first record that isn't empty, and the offset behind it."""
        while not self.ends_at(start):
            block = self.whole_records(start, HEAD)
            first = block.spoiled[0] if block.spoiled else None
            for begin, end in self.format.dialect.spans(block.data[: first.begin] if first else block.data):
                if block.data[begin] not in b"\r\n":
                    return block.data[begin:end], start + end
            if first:
                raise self._unreadable(
                    f"can't be read from its first line on: {first.why}",
                    "If quotes are ordinary characters in it, say quote=None (--quote ''); else correct that line.",
                )
            start += block.length
        return b"", start

    def _header(self, fields: list[bytes]) -> list[str]:
        try:
            names = [field.decode(self.encoding) for field in fields]
        except UnicodeDecodeError as error:
            bad = error.object[error.start]
            ways = self.encodings(bytes(error.object))
            raise self._unreadable(
                f"has a header that is no {self.encoding}: the byte 0x{bad:02x} in {bytes(error.object[:40])!r}",
                f"Load it with {ways}." if ways else "Correct that line: the rest of the file seems to be UTF-8.",
            ) from None
        why = ""
        if "" in names:
            why = f"has no name for column {names.index('') + 1} of {len(names)} in its header"
        elif twice := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
            why = f"has more than one column {quoted_list(twice)} in its header"
        elif is_numbers(names):
            why = f"has nothing but numbers in its header, {quoted_list(names, 5)}: is that a row?"
        if why:
            raise self._unreadable(why, header_advice(self.path, self.format, names, self.head()))
        return names

    def _unreadable(self, what: str, do: str) -> SourceError:
        end = "" if what.endswith("?") else "."
        return SourceError(f"{self.path} {what}{end}", safe="Nothing was changed.", do=do)

"""A format of your own: text of fixed width, with numbered lines and a last line that counts them. See docs/write-a-format.md.

id:int64  word:string
1         1           one
2         2
= 2
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from resumable import Batch
from resumable.errors import BadRow, SourceChanged, SourceError, TargetError
from resumable.formats.protocols import ReadableFile, fraction
from resumable.formats.registry import Format

WIDTH = 14
"""Characters of a cell. A line has one for its number and one for each column, and its line end."""
TYPES = {"int64": pa.int64(), "string": pa.string()}


class FixedDecoder:
    """Bytes into rows. A position says how many rows and bytes were read, and the CRC-32 of those bytes."""

    def __init__(self, lines: int = 10_000) -> None:
        self.lines = lines

    def schema(self, file: ReadableFile) -> pa.Schema:
        """The columns, as the first line names them."""
        words = (word.rpartition(":") for word in self._head(file).decode().split())
        return pa.schema((name, TYPES[kind]) for name, _, kind in words)

    def read(self, file: ReadableFile, schema: pa.Schema, position: Any) -> Iterator[Batch]:
        """Whole lines, some at a time."""
        head = self._head(file)
        at = position or {"row": 0, "offset": len(head), "crc": zlib.crc32(head)}
        row, offset, crc = at["row"], at["offset"], at["crc"]
        size = WIDTH * (1 + len(schema)) + 1
        while True:
            data = file.read(offset, size * self.lines)
            lines = [data[i : i + size] for i in range(0, len(data), size)]
            rows = [self._cells(line) for line in lines if len(line) == size and not line.startswith(b"=")]
            if not rows:
                break
            data = data[: len(rows) * size]
            if [cells[0] for cells in rows] != [str(row + i + 1) for i in range(len(rows))]:
                raise SourceChanged(
                    f"{file.path} has other lines after row {row}.",
                    safe="What was committed is safe.",
                    do="Put it back.",
                )
            columns = [
                pa.array([cells[i + 1] or None for cells in rows], pa.string()).cast(field.type)
                for i, field in enumerate(schema)
            ]
            first = row + 1
            row, offset, crc = row + len(rows), offset + len(data), zlib.crc32(data, crc)
            batch = pa.RecordBatch.from_arrays(columns, schema=schema)
            yield Batch(batch, {"row": row, "offset": offset, "crc": crc}, first, fraction(file, offset))
        if file.read(offset, WIDTH).split() != [b"=", str(row).encode()]:
            raise SourceError(f"{file.path} has no end.", safe="What was committed is safe.", do="Fetch it again.")

    def verify(self, file: ReadableFile, position: Any) -> str | None:
        """Read again what was read."""
        if position is None:
            return None
        crc, offset, end = 0, 0, position["offset"]
        while block := file.read(offset, min(1_000_000, end - offset)):  # in parts: memory doesn't grow with the file
            crc, offset = zlib.crc32(block, crc), offset + len(block)
        return None if crc == position["crc"] else f"something in its first {position['row']} rows"

    def describe(self, path: str, size: str) -> str:
        """What is read."""
        return f"Text of fixed width {path} ({size})."

    def _head(self, file: ReadableFile) -> bytes:
        line, end, _ = file.read(0, 10_000).partition(b"\n")
        if not end or b":" not in line:
            raise SourceError(f"{file.path} is no text of fixed width.", safe="Nothing was changed.", do="Look at it.")
        return line + end

    def _cells(self, line: bytes) -> list[str]:
        return [line[i : i + WIDTH].decode().strip() for i in range(0, len(line) - 1, WIDTH)]


class FixedEncoder:
    """Rows into bytes. They wait for `seal`; its state is the number of rows so far, which the lines go on from."""

    def __init__(self, schema: pa.Schema, state: Any) -> None:
        for field in schema:
            if field.type not in TYPES.values():
                raise TargetError(
                    f"Column {field.name!r} is {field.type}.", safe="Nothing was made.", do="Make it text."
                )
        self.schema, self.lines = schema, list[str]()
        self.state = state or 0

    def begin(self) -> bytes:
        """The names and types."""
        return ("  ".join(f"{field.name}:{field.type}" for field in self.schema) + "\n").encode()

    def encode(self, batch: Batch) -> bytes:
        """Keep the lines."""
        for row in batch.rows.to_pylist():
            number = self.state + len(self.lines) + 1
            cells = [str(number), *("" if value is None else str(value) for value in row.values())]
            for cell, value in zip(cells[1:], row.values(), strict=True):
                if (
                    value == ""
                    or len(cell) >= WIDTH
                    or cell != cell.strip()
                    or not (cell.isascii() and cell.isprintable())
                ):
                    raise BadRow(f"{cell!r} doesn't fit.", row=number, safe="It wasn't written.", do="Leave it out.")
            self.lines.append("".join(cell.ljust(WIDTH) for cell in cells) + "\n")
        return b""

    def seal(self) -> bytes:
        """The lines since the last commit."""
        lines, self.lines = self.lines, []
        self.state += len(lines)
        return "".join(lines).encode()

    def finish(self) -> bytes:
        """The number of lines."""
        return f"= {self.state}\n".encode()


def make_encoder() -> Callable[[pa.Schema, Any], FixedEncoder]:
    """No options; one that has some checks them here."""
    return FixedEncoder


FIXED = Format("fixed", "Fixed-width", (".fixed",), FixedDecoder, make_encoder)

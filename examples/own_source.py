"""A source of your own: the lines of a log file, read by byte offset. See docs/write-a-source.md."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

import resumable

SCHEMA = pa.schema([("line", pa.string())])


class LogSource:
    """One row a line. A position is the offset behind the last whole line that was given out."""

    def __init__(self, path: str, lines: int = 10_000, on_bad_row: str = "raise") -> None:
        self.path, self.lines, self.on_bad_row = Path(path), lines, on_bad_row

    def identity(self) -> dict[str, Any]:
        try:
            with self.path.open("rb") as file:
                return {"first": file.readline(1_000).hex(), "size": self.path.stat().st_size}
        except OSError as error:
            raise resumable.SourceError(
                f"{self.path} can't be read: {error.strerror}.", safe="Nothing was changed.", do="Name a log file."
            ) from error

    def changed(self, identity: dict[str, Any], position: Any) -> str | None:
        now = self.identity()
        if now["first"] != identity["first"]:
            return "its first line is another: it was rotated"
        if now["size"] != identity["size"]:
            return f"its size was {identity['size']} and is {now['size']}"
        return None

    def schema(self) -> pa.Schema:
        return SCHEMA

    def read(self, schema: pa.Schema, position: Any, identity: dict[str, Any]) -> Iterator[resumable.Batch]:
        offset, row = (position["offset"], position["row"]) if position else (0, 0)
        with self.path.open("rb") as file:
            file.seek(offset)
            while lines := [line for _, line in zip(range(self.lines), file, strict=False)]:
                texts, rejects, first = [], [], row + 1
                for line in lines:
                    row += 1
                    try:
                        texts.append(line.decode().rstrip("\n"))
                    except UnicodeDecodeError:
                        rejects.append(self.reject(line, row, offset))
                    offset += len(line)
                rows = pa.RecordBatch.from_pydict({"line": texts}, schema=schema)
                after = {"offset": offset, "row": row}
                yield resumable.Batch(rows, after, first, offset / identity["size"], tuple(rejects))

    def reject(self, line: bytes, row: int, offset: int) -> resumable.Reject:
        if self.on_bad_row == "quarantine":
            return resumable.Reject(row, "it is no UTF-8", "line", offset, line.decode(errors="backslashreplace"))
        raise resumable.BadRow(
            f"Line {row} of {self.path}, at byte {offset:,}, is no UTF-8.",
            row=row,
            offset=offset,
            column="line",
            safe="What was committed is safe.",
            do="Put such lines aside with on_bad_row='quarantine', given to LogSource and to upload.",
        )

    def describe(self) -> str:
        return f"The lines of {self.path}, by byte offset."


if __name__ == "__main__":
    Path("app.log").write_text("".join(f"2026-01-01 request {n}\n" for n in range(50_000)))

    def run() -> resumable.Pipeline:
        return resumable.upload(LogSource("app.log"), "sqlite:///logs.db", "log", name="app.log", every=0)

    for progress in run():
        print(progress)
        break
    print(run().run())

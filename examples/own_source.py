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

    def __init__(self, path: str, lines: int = 10_000) -> None:
        self.path, self.lines = Path(path), lines

    def identity(self) -> dict[str, Any]:
        with self.path.open("rb") as file:
            return {"first": file.readline().decode(), "size": self.path.stat().st_size}

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
                offset += sum(map(len, lines))
                rows = pa.RecordBatch.from_pydict({"line": [x.decode().rstrip("\n") for x in lines]}, schema=schema)
                after = {"offset": offset, "row": row + len(lines)}
                yield resumable.Batch(rows, after, row + 1, offset / identity["size"])
                row += len(lines)

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

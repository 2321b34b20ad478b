"""A source of rows that are there already: what the contracts give a sink to write."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa

from resumable.checkpoint import Json
from resumable.protocols import Batch

__all__ = ["ROWS", "Rows"]

ROWS = pa.table(
    {"id": pa.array(range(1, 7), pa.int64()), "word": pa.array([f"word {n}" for n in range(1, 7)], pa.string())}
)
"""Integers and text."""


class Rows:
    """The rows of a table, `size` at a time. A position is the number of rows before it."""

    def __init__(self, table: pa.Table, size: int = 2) -> None:
        self.table, self.size = table.combine_chunks(), size

    def identity(self) -> dict[str, Json]:
        """How many there are."""
        return {"rows": self.table.num_rows}

    def changed(self, identity: dict[str, Json], position: Json) -> str | None:
        """Whether there are as many as there were."""
        return None if identity == self.identity() else f"it had {identity['rows']} rows, and has {self.table.num_rows}"

    def schema(self) -> pa.Schema:
        """The table's."""
        return self.table.schema

    def read(self, schema: pa.Schema, position: Json, identity: dict[str, Json]) -> Iterator[Batch]:
        """The rows after the position."""
        first = position["row"] if position else 0
        for at in range(first, self.table.num_rows, self.size):
            end = min(at + self.size, self.table.num_rows)
            rows = self.table.slice(at, end - at).to_batches()[0]
            yield Batch(rows, {"row": end}, at + 1, end / self.table.num_rows)

    def describe(self) -> str:
        """What it is."""
        return f"{self.table.num_rows} rows in memory."

"""One reading of an input, and new ones from any position, as a checkpoint lets them be made."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from resumable.checkpoint import Checkpoint, Json
from resumable.protocols import Batch, Source

__all__ = ["Reading", "following", "in_words", "through_json"]


@dataclass
class Reading:
    """An input and what one reading of it gave; identity and schema as a checkpoint keeps them."""

    folder: Path
    source: Callable[[Path], Source]
    identity: dict[str, Json]
    schema: pa.Schema
    batches: list[Batch] = ()  # type: ignore[assignment]

    def __post_init__(self) -> None:
        text = Checkpoint(schema=self.schema, source=self.identity).to_json()
        self.schema = Checkpoint.from_json(text, "The checkpoint").schema

    @property
    def rows(self) -> list[str]:
        """All rows."""
        return in_words(self.batches)

    def reader(self, position: Json) -> Iterator[Batch]:
        """What a new source reads after a position, which has been through JSON."""
        return self.source(self.folder).read(self.schema, through_json(position), self.identity)

    def read(self, position: Json) -> list[Batch]:
        """All of it, closed at the end."""
        with closing(self.reader(position)) as batches:  # type: ignore[type-var]
            return list(batches)

    def after(self, batch: Batch) -> list[str]:
        """The rows that come after a batch."""
        first = following(batch)
        return [row for b in self.batches for n, row in zip(_numbers(b), in_words([b]), strict=True) if n >= first]


def in_words(batches: list[Batch]) -> list[str]:
    return [repr(row) for batch in batches for row in batch.rows.to_pylist()]


def following(batch: Batch) -> int:
    rows: int = batch.rows.num_rows
    return batch.row + rows + len(batch.rejects)


def _numbers(batch: Batch) -> list[int]:
    """The numbers of a batch's rows in the source: those of rejects are left out."""
    return sorted({*range(batch.row, following(batch))} - {reject.row for reject in batch.rejects})


def through_json(value: Json) -> Any:
    return json.loads(json.dumps(value))

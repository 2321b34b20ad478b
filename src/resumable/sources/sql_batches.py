"""What is read of a database, as batches: where each ends, how far that is, and what can't be read."""

from __future__ import annotations

from collections.abc import Iterator

from resumable.checkpoint import Json
from resumable.databases.keyset import Chunk, UnreadableValue
from resumable.errors import BadRow
from resumable.protocols import Batch
from resumable.sources.keyrange import Opened, not_unique, shown

__all__ = ["batches", "whole_number"]


def batches(at: Opened, chunks: Iterator[Chunk], row: int, identity: dict[str, Json]) -> Iterator[Batch]:
    """The chunks as batches; one is read ahead: only then is it known that its last row has no twin, or was the last."""
    pending: Chunk | None = None
    try:
        for chunk in chunks:
            if pending is not None:
                if not at.key.proven and pending.last == chunk.first:
                    raise not_unique(at.key, chunk.first)
                yield _batch(pending, row, identity, end=False)
                row += pending.rows.num_rows
            if chunk.repeated is not None:
                raise not_unique(at.key, None)
            pending = chunk
    except UnreadableValue as unreadable:
        raise _bad_row(unreadable, at, row + (pending.rows.num_rows if pending is not None else 0)) from None
    if pending is not None:
        yield _batch(pending, row, identity, end=True)


def _batch(chunk: Chunk, row: int, identity: dict[str, Json], *, end: bool) -> Batch:
    count = row + chunk.rows.num_rows
    fraction = 1.0 if end else _fraction(chunk.last, count, identity)
    if not identity["key"]:
        return Batch(chunk.rows, None, row + 1, fraction)
    return Batch(chunk.rows, {"after": chunk.last, "row": count, "end": end}, row + 1, fraction)


def whole_number(key: list[Json]) -> int | None:
    """What a key begins with, if that is a whole number."""
    first = key[0]
    if isinstance(first, str) and first.lstrip("-").isascii() and first.lstrip("-").isdigit():
        return int(first)
    return first if isinstance(first, int) else None


def _fraction(last: list[Json], count: int, identity: dict[str, Json]) -> float | None:
    """By where the key is in its range, if it begins with a whole number; else by the database's guess of rows."""
    if identity["low"] is not None:
        low, now, high = (whole_number(key) for key in (identity["low"], last, identity["high"]))
        if low is not None and now is not None and high is not None and low < high:
            return min(max((now - low) / (high - low), 0.0), 0.999)
    rows = identity["estimated_rows"]
    return min(count / rows, 0.999) if rows else None


def _bad_row(unreadable: UnreadableValue, at: Opened, rows: int) -> BadRow:
    value, name = repr(unreadable.value), at.traits.quote(unreadable.column)
    key = f" at key {shown(unreadable.key)}" if isinstance(unreadable.key, tuple) and unreadable.key else ""
    return BadRow(
        f"Column {unreadable.column!r} of {at.relation.name}{key} holds {value[:80]}, which {unreadable.kind} can't hold as it is.",
        row=rows + unreadable.index + 1,
        column=unreadable.column,
        safe="What was committed is safe; nothing was published.",
        do=f"Correct the row, or read a query that makes text of it, with --key: select ..., cast({name} as text) as {name}.",
    )

"""Rows on their way into staging: cast to the target's types, stored in bulk, and the rows that don't fit found.

A batch that the database refuses is halved until the culprits are alone, each half in a savepoint; the good rows
stay. Each is staged with its number in the source, so that a conflict found at publishing names it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy.exc import SQLAlchemyError

from resumable.databases.casts import exact
from resumable.databases.connection import Connection
from resumable.databases.relations import Layout
from resumable.errors import BadRow
from resumable.protocols import Batch, Reject

__all__ = ["Misfit", "bad_row", "cast", "growing", "numbered", "store", "without"]

MOST = 1000
"""Rows of one batch that may be refused by the database, at about 17 statements each."""


@dataclass(frozen=True, slots=True)
class Misfit:
    """A row that doesn't fit: its index in the batch, from 0."""

    index: int
    reason: str
    column: str | None


def cast(rows: pa.RecordBatch, layout: Layout, c: Connection) -> tuple[pa.RecordBatch, list[Misfit]]:
    """The rows in the target's names and types, with NULL where a value doesn't fit; and those misfits."""
    declared = {column.name: column for column in layout.table.columns} if layout.table else {}
    columns, misfits = [], []
    for name, field, column in zip(rows.schema.names, layout.rows, rows.columns, strict=True):
        if column.type != field.type:
            told = declared[field.name].declared if field.name in declared else str(field.type)
            column, bad = _cast(column, field.type)
            misfits += [Misfit(i, f"doesn't fit into {told} without being altered", name) for i in bad]
        if odd := c.dialect.odd(column, declared.get(field.name)):
            mask, why = odd
            mask = pc.fill_null(mask, False)
            misfits += [Misfit(i, why, name) for i in pc.indices_nonzero(mask).to_pylist()]
            column = pc.if_else(mask, pa.scalar(None, column.type), column)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=layout.rows), misfits


def _cast(column: pa.Array, kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    try:
        return exact(column, kind), []
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        if len(column) == 1:
            return pa.nulls(1, kind), [0]
    half = len(column) // 2
    (left, a), (right, b) = _cast(column[:half], kind), _cast(column[half:], kind)
    return pa.concat_arrays([left, right]), [*a, *(half + i for i in b)]


def store(
    c: Connection, name: str, layout: Layout, rows: pa.RecordBatch, numbers: Sequence[int], *, all_misfits: bool
) -> list[Misfit]:
    """Store what fits, under its numbers. The misfits: all, or, to be cheap, only the first."""
    misfits: list[Misfit] = []
    _halve(c, name, layout, rows, 0, numbers, misfits, all_misfits)
    return misfits


def _halve(
    c: Connection,
    name: str,
    layout: Layout,
    rows: pa.RecordBatch,
    at: int,
    numbers: Sequence[int],
    misfits: list[Misfit],
    all_misfits: bool,
) -> None:
    if not rows.num_rows:
        return
    try:
        with c.savepoint("resumable_part"):
            c.dialect.bulk(c, name, layout, rows, numbers)
    except (SQLAlchemyError, c.dialect.error, OverflowError, UnicodeError) as error:
        found = c.dialect.fault(error)
        if found is None:
            raise
        if rows.num_rows == 1:
            misfits.append(Misfit(at, *found))
            return
    else:
        return
    if len(misfits) > MOST:
        raise BadRow(
            f"More than {MOST} rows of one batch don't fit; the first: {misfits[0].reason}.",
            column=misfits[0].column,
            safe="All that was committed is safe.",
            do="Put the source or the table right: this is more than stray rows.",
        )
    half = rows.num_rows // 2
    _halve(c, name, layout, rows[:half], at, numbers[:half], misfits, all_misfits)
    if all_misfits or not misfits:
        _halve(c, name, layout, rows[half:], at + half, numbers[half:], misfits, all_misfits)


def numbered(batch: Batch) -> Sequence[int]:
    """The source's numbers of the batch's rows: those that were put aside before are left out."""
    count = batch.rows.num_rows
    if not batch.rejects:
        return range(batch.row, batch.row + count)
    gone = {reject.row for reject in batch.rejects}
    return [n for n in range(batch.row, batch.row + count + len(gone)) if n not in gone][:count]


def growing(numbers: Sequence[int], after: int) -> Sequence[int]:
    """The numbers, which come `after` another; counted on from there where the source doesn't tell where it is."""
    if numbers and numbers[0] <= after:
        return range(after + 1, after + 1 + len(numbers))
    return numbers


def without(
    rows: pa.RecordBatch, misfits: list[Misfit], numbers: Sequence[int], rejects: list[Reject]
) -> tuple[pa.RecordBatch, Sequence[int]]:
    """The rest; the misfits become rejects, one a row."""
    if not misfits:
        return rows, numbers
    gone = {m.index: m for m in reversed(misfits)}
    rejects += [Reject(numbers[i], m.reason, m.column) for i, m in gone.items()]
    rest = [i for i in range(rows.num_rows) if i not in gone]
    return rows.take(pa.array(rest, pa.int64())), [numbers[i] for i in rest]


def bad_row(misfit: Misfit, numbers: Sequence[int]) -> BadRow:
    """The error for a misfit of a batch whose rows have those numbers."""
    row, column = numbers[misfit.index], misfit.column
    where = "" if column is None else f", column {column!r}"
    return BadRow(
        f"Row {row}{where} doesn't fit the target: {misfit.reason}.",
        row=row,
        column=column,
        safe="All that was committed is safe.",
        do="Put the row right and begin anew (--restart, pipeline.restart()), or put such rows aside"
        " (on_bad_row='quarantine', --on-bad-row quarantine).",
    )

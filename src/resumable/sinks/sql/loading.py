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
from resumable.databases.halving import failing_rows
from resumable.databases.relations import Layout
from resumable.errors import BadRow
from resumable.protocols import Batch, Reject

__all__ = ["Misfit", "bad_row", "cast", "increasing_numbers", "source_numbers", "store", "without_misfits"]

MAX_MISFITS = 1000
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
            target_type = declared[field.name].declared if field.name in declared else str(field.type)
            column, bad = _cast(column, field.type)
            misfits += [Misfit(i, f"doesn't fit into {target_type} without being altered", name) for i in bad]
        if unrepresentable := c.database.loader.unrepresentable(column, declared.get(field.name)):
            mask, why = unrepresentable
            mask = pc.fill_null(mask, False)
            misfits += [Misfit(i, why, name) for i in pc.indices_nonzero(mask).to_pylist()]
            column = pc.if_else(mask, pa.scalar(None, column.type), column)
        columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=layout.rows), misfits


def _cast(column: pa.Array, kind: pa.DataType) -> tuple[pa.Array, list[int]]:
    parts: list[pa.Array] = []

    def attempt(start: int, stop: int) -> Exception | None:
        try:
            parts.append(exact(column[start:stop], kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            failed: Exception = error
            return failed
        return None

    failing = []
    for index, _ in failing_rows(0, len(column), attempt):
        failing.append(index)
        parts.append(pa.nulls(1, kind))
    return pa.concat_arrays(parts) if parts else pa.nulls(0, kind), failing


def store(
    c: Connection, name: str, layout: Layout, rows: pa.RecordBatch, numbers: Sequence[int], *, all_misfits: bool
) -> list[Misfit]:
    """Store what fits, under its numbers. The misfits: all, or, to be cheap, only the first."""
    misfits: list[Misfit] = []

    def attempt(start: int, stop: int) -> tuple[str, str | None] | None:
        part = numbers[start:stop]
        try:
            with c.database.loader.savepoint(c, "resumable_part", name, part):
                c.database.loader.insert_batch(c, name, layout, rows[start:stop], part)
        except (SQLAlchemyError, c.traits.driver_error, OverflowError, UnicodeError) as error:
            failure = c.database.loader.row_error(error)
            if failure is None:
                raise
            if stop - start > 1 and len(misfits) > MAX_MISFITS:
                raise _too_many(misfits[0]) from None
            return failure
        return None

    for index, failure in failing_rows(0, rows.num_rows, attempt):
        misfits.append(Misfit(index, *failure))
        if not all_misfits:
            break
    return misfits


def _too_many(first: Misfit) -> BadRow:
    return BadRow(
        f"More than {MAX_MISFITS} rows of one batch don't fit; the first: {first.reason}.",
        column=first.column,
        safe="All that was committed is safe.",
        do="Put the source or the table right: this is more than stray rows.",
    )


def source_numbers(batch: Batch) -> Sequence[int]:
    """The source's numbers of the batch's rows: those that were put aside before are left out."""
    count = batch.rows.num_rows
    if not batch.rejects:
        return range(batch.row, batch.row + count)
    gone = {reject.row for reject in batch.rejects}
    return [n for n in range(batch.row, batch.row + count + len(gone)) if n not in gone][:count]


def increasing_numbers(numbers: Sequence[int], after: int) -> Sequence[int]:
    """The numbers, which come `after` another; counted on from there where the source doesn't tell where it is."""
    if numbers and numbers[0] <= after:
        return range(after + 1, after + 1 + len(numbers))
    return numbers


def without_misfits(
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

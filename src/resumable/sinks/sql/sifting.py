"""Sifting: rows that publishing would refuse are taken out of staging, and become rejects.

* They are marked first, all in one transaction: a mark is of what the table is at that moment, and rows that share a
  key are marked together, whatever is taken out first.
* Then they are read and deleted, in the transaction that commits the checkpoint with their count. Marks by themselves
  mean nothing: the next sifting begins with none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from resumable.databases.connection import Connection
from resumable.databases.relations import ROW, WHY, Layout
from resumable.errors import TargetError
from resumable.protocols import Reject
from resumable.sinks.sql.conflicts import Conflict, conflicts

__all__ = ["Sifting"]

PART = 5_000
"""Rejects that are in memory at a time."""


class Sifting:
    """The rows of a staging table that the table `name` wouldn't take."""

    def __init__(self, c: Connection, name: str, staging: str) -> None:
        self.c, self.name, self.staging = c, name, staging
        self._staged = c.qualified(staging)
        self._columns: list[str] = []
        self._conflicts: list[Conflict] = []
        self._marked = 0

    def mark(self, layout: Layout) -> None:
        """Mark them, in the caller's transaction; may be repeated."""
        c, staged = self.c, self._staged
        self._columns, self._marked = layout.columns, 0
        unmarked = f"(SELECT * FROM {staged} WHERE {WHY} IS NULL)"
        self._conflicts = conflicts(c, self.name, staged, layout, unmarked)
        if not self._conflicts:
            return
        if WHY in {column.name for column in c.database.catalog.describe(c, self.staging).columns}:
            c.sql(f"UPDATE {staged} SET {WHY} = NULL WHERE {WHY} IS NOT NULL")
        else:
            c.sql(f"ALTER TABLE {staged} ADD COLUMN {WHY} text")
        refers_to_itself = layout.table is not None and any(key.refers_to_itself for key in layout.table.foreign)
        marked = self._mark_once()
        while marked and refers_to_itself:  # what refers to a row that has just been marked is next
            marked = self._mark_once()

    def _mark_once(self) -> int:
        """Look for each conflict once; how many rows were marked."""
        marked = 0
        for at, conflict in enumerate(self._conflicts):
            why = f"'{at}:' || q.other" if conflict.paired else f"'{at}:'"
            marked += self.c.sql(
                f"UPDATE {self._staged} AS u SET {WHY} = f.why FROM (SELECT q.n, {why} AS why FROM ({conflict.query}) q) f"
                f" WHERE u.{ROW} = f.n AND u.{WHY} IS NULL"
            ).rowcount
        self._marked += marked
        return marked

    def taken(self) -> Iterator[tuple[Reject, ...]]:
        """The marked rows, in parts; after the last they are gone from staging. The transaction is left open."""
        if not self._marked:
            return
        c, taken = self.c, 0
        c.begin()
        columns = ", ".join(c.traits.text_cast.format(c.quote(name)) for name in self._columns)
        query = f"SELECT {ROW}, {WHY}, {columns} FROM {self._staged} WHERE {WHY} IS NOT NULL ORDER BY {ROW}"
        rows = c.sa.exec_driver_sql(query, execution_options={"stream_results": True, "max_row_buffer": PART})
        for part in rows.partitions(PART):
            taken += len(part)
            yield tuple(self._reject(*row) for row in part)
        deleted = c.sql(f"DELETE FROM {self._staged} WHERE {WHY} IS NOT NULL").rowcount
        if deleted != taken:
            raise TargetError(
                f"Of staging table {self.staging!r} {deleted:,} rows went, and {taken:,} were put aside: something else changed it.",
                safe="All that was committed is safe.",
                do="Run the same again.",
            )

    def _reject(self, n: int, why: str, *values: Any) -> Reject:
        at, _, other = why.partition(":")
        conflict = self._conflicts[int(at)]
        return Reject(n, conflict.reason.format(other), conflict.column, text=",".join(map(_field, values)))


def _field(value: Any) -> str:
    """A value as a field of CSV: NULL is nothing, and the empty text is quoted."""
    if value is None:
        return ""
    text = "\\x" + value.hex() if isinstance(value, bytes) else str(value)
    return '"' + text.replace('"', '""') + '"' if not text or any(x in text for x in ',"\r\n') else text

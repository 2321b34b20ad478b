"""Publishing: the staged rows into the target, inside the transaction that decides the run.

* What would conflict is looked for first, by joins, so that an error names the rows of the source.
* Rows go in the order of arrival; in an upsert the last row of a key wins; triggers fire once.
* The caller has locked an existing table and looked at it again behind the lock: what has come since the run began
  (a foreign key, say, that would cascade) counts.
* A table that is there is kept as an object: indexes, grants, views and foreign keys never see anything but rows.
"""

from __future__ import annotations

from resumable.checkpoint import Checkpoint
from resumable.databases.connection import Connection
from resumable.databases.relations import Layout
from resumable.errors import BadRow, TargetError, TargetExists
from resumable.sinks.sql.conflicts import Conflict, conflicts
from resumable.sinks.sql.published import why_irreplaceable

__all__ = ["fill_new_table", "publish", "refuse_existing"]

SHOWN = 5
"""Rows that an error names."""
_SAFE = "Nothing was published; the staged rows are kept."


def publish(c: Connection, name: str, staging: str, layout: Layout, rows: int) -> None:
    """Put the staged `rows` into the table `name`. Raises `BadRow`, `TargetExists`, `TargetError`."""
    _count(c, staging, rows)
    step = _Publishing(c, name, staging, layout)
    if layout.mode == "direct":
        return
    if layout.table is None:
        step.new()
    else:
        step.existing()


def fill_new_table(c: Connection, name: str, staging: str, layout: Layout, rows: int) -> None:
    """Put the staged `rows` into a new table that is there and empty."""
    _count(c, staging, rows)
    step = _Publishing(c, name, staging, layout)
    step.refuse_conflicts()
    step.fill()


def refuse_existing(c: Connection, name: str) -> None:
    """Refuse to publish a new table where there is something of its name."""
    if kind := c.database.catalog.kind(c, name):
        raise TargetExists(
            f"A {kind} {name!r} was made while the run was loading.",
            safe=_SAFE,
            do="Rename or drop it, then run the same again; or terminate the run.",
        )


def _count(c: Connection, staging: str, rows: int) -> None:
    count = c.sql(f"SELECT count(*) FROM {c.qualified(staging)}").scalar_one()
    if count != rows:
        raise TargetError(
            f"Staging table {staging!r} holds {count:,} rows, and {rows:,} were committed: something else changed it.",
            safe="Nothing was published.",
            do="Begin anew (--restart, pipeline.restart()), or terminate the run.",
        )


class _Publishing:
    def __init__(self, c: Connection, name: str, staging: str, layout: Layout) -> None:
        self.c, self.name, self.staging, self.layout = c, name, staging, layout
        self.target, self.staged = c.qualified(name), c.qualified(staging)

    def new(self) -> None:
        """A table that wasn't there."""
        if self.layout.replaces is not None and self.c.database.catalog.kind(self.c, self.name) == "table":
            self.drop_replaced(self.layout.replaces)
        refuse_existing(self.c, self.name)
        if self.layout.renamed:
            self.c.database.publisher.promote_staging(self.c, self.staging, self.name)
            return
        self.refuse_conflicts()
        self.c.database.publisher.create_table(self.c, self.name, self.layout)
        self.fill()

    def drop_replaced(self, completed: Checkpoint) -> None:
        """The table that an earlier run of this name has made goes, if it is still as that run left it."""
        self.c.database.locks.lock_exclusive(self.c, self.name)
        if why := why_irreplaceable(self.c, self.name, completed):
            raise TargetExists(
                f"Table {self.name!r} can't be replaced as a whole any more: {why}.",
                safe=_SAFE,
                do="Rename or drop it, then run the same again; or terminate the run.",
            )
        self.c.sql(f"DROP TABLE {self.target}")

    def existing(self) -> None:
        """A table that was there: it stays, its rows change."""
        self.refuse_conflicts()
        if self.layout.mode == "replace":
            self.reject_dangling_children()
            self.c.sql(f"DELETE FROM {self.target}")
        self.fill()

    def fill(self) -> None:
        """The rows, and what is done once they are in."""
        publisher = self.c.database.publisher
        put = publisher.upsert_rows if self.layout.mode == "upsert" else publisher.insert_rows
        put(self.c, self.name, self.staging, self.layout)
        publisher.finish(self.c, self.name, self.staging, self.layout)

    def refuse_conflicts(self) -> None:
        """Refuse rows that the table wouldn't take, by their numbers."""
        for conflict in conflicts(self.c, self.name, self.staged, self.layout):
            later = " WHERE other < n" if conflict.paired else ""
            query = f"SELECT n{', other' if conflict.paired else ''} FROM ({conflict.query}) q{later}"
            rows = self.c.sql(f"{query} ORDER BY n LIMIT {SHOWN}").all()
            if rows:
                self.refuse(conflict, rows)

    def refuse(self, conflict: Conflict, rows: list[tuple[int, ...]]) -> None:
        """Raise `BadRow` for the rows found."""
        named = [f"row {n} has that of row {of[0]}" if of else f"row {n}" for n, *of in rows]
        listed = ", ".join(named) + (" and more" if len(rows) == SHOWN else "")
        raise BadRow(
            conflict.message.format(listed),
            row=rows[0][0],
            column=conflict.column,
            safe=_SAFE,
            do="Put the table right and run the same again, or put such rows aside (on_bad_row='quarantine', "
            "--on-bad-row quarantine), or terminate the run and put the source right.",
        )

    def reject_dangling_children(self) -> None:
        """Refuse a replace after which rows of other tables would refer to nothing."""
        table = self.layout.table
        assert table is not None
        for ref in table.referrers:
            filled = " AND ".join(f"k.{self.c.quote(x)} IS NOT NULL" for x in ref.columns)
            pairs = zip(ref.parent_columns, ref.columns, strict=True)
            match = " AND ".join(f"p.{self.c.quote(p)} = k.{self.c.quote(x)}" for p, x in pairs)
            query = f"SELECT 1 FROM {ref.child} k WHERE {filled} AND NOT EXISTS (SELECT 1 FROM {self.staged} p WHERE {match})"
            if self.c.sql(f"{query} LIMIT 1").first():
                raise TargetError(
                    f"Rows of {ref.child} refer to rows of {self.name!r} that the source doesn't have.",
                    safe=_SAFE,
                    do="Remove those rows, then run the same again; or terminate the run.",
                )

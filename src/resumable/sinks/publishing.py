"""Publishing: the staged rows into the target, inside the transaction that decides the run.

* What would conflict is looked for first, by joins, so that an error names the rows of the source.
* Rows go in the order of arrival; in an upsert the last row of a key wins; triggers fire once.
* The caller has locked an existing table and looked at it again behind the lock: what has come since the run began
  (a foreign key, say, that would cascade) counts.
* A table that is there is kept as an object: indexes, grants, views and foreign keys never see anything but rows.
"""

from __future__ import annotations

from typing import Any

from resumable.checkpoint import Checkpoint
from resumable.errors import BadRow, ResumableError, TargetError, TargetExists
from resumable.sinks.connection import Connection
from resumable.sinks.dialect import ROW, Foreign, Layout, Unique
from resumable.sinks.published import irreplaceable
from resumable.sinks.rows import Numbers

__all__ = ["publish"]

SHOWN = 5
"""Rows that an error names."""
_SAFE = "Nothing was published; the staged rows are kept."


def publish(c: Connection, name: str, staging: str, layout: Layout, numbers: Numbers, rows: int) -> None:
    """Put the staged `rows` into the table `name`. Raises `BadRow`, `TargetExists`, `TargetError`."""
    there = c.sql(f"SELECT count(*) FROM {c.qualified(staging)}").scalar_one()
    if there != rows:
        raise TargetError(
            f"Staging table {staging!r} holds {there:,} rows, and {rows:,} were committed: something else changed it.",
            safe="Nothing was published.",
            do="Begin anew (--restart, pipeline.restart()), or terminate the run.",
        )
    step = _Publishing(c, name, staging, layout, numbers)
    if layout.mode == "direct":
        return
    if layout.table is None:
        step.new()
    else:
        step.existing()


class _Publishing:
    def __init__(self, c: Connection, name: str, staging: str, layout: Layout, numbers: Numbers) -> None:
        self.c, self.name, self.layout, self.numbers = c, name, layout, numbers
        self.staging = staging
        self.target = c.qualified(name)
        self.staged = c.dialect.numbered(c, staging, layout)

    def new(self) -> None:
        """A table that wasn't there."""
        kind = self.c.dialect.kind(self.c, self.name)
        if kind == "table" and self.layout.replaces is not None:
            self.give_way(self.layout.replaces)
        elif kind:
            raise TargetExists(
                f"A {kind} {self.name!r} was made while the run was loading.",
                safe=_SAFE,
                do="Rename or drop it, then run the same again; or terminate the run.",
            )
        if self.layout.mode == "new":
            if self.layout.key:
                self.twice(Unique(self.layout.key))
            self.c.dialect.adopt(self.c, self.staging, self.name, self.layout)
            return
        self.c.dialect.create(self.c, self.name, self.layout)
        self.upsert() if self.layout.mode == "upsert" else self.insert()

    def give_way(self, held: Checkpoint) -> None:
        """The table that an earlier run of this name has made goes, if it is still as that run left it."""
        self.c.dialect.seize(self.c, self.name)
        if why := irreplaceable(self.c, self.name, held):
            raise TargetExists(
                f"Table {self.name!r} can't be replaced as a whole any more: {why}.",
                safe=_SAFE,
                do="Rename or drop it, then run the same again; or terminate the run.",
            )
        self.c.sql(f"DROP TABLE {self.target}")

    def existing(self) -> None:
        """A table that was there: it stays, its rows change."""
        table, mode = self.layout.table, self.layout.mode
        assert table is not None
        columns = set(self.layout.columns)
        if mode != "upsert":
            for unique in table.uniques:
                if set(unique.columns) <= columns:
                    self.twice(unique)
                    if mode == "append":
                        self.present(unique)
        for key in table.foreign:
            if set(key.columns) <= columns:
                self.orphans(key)
        if mode == "replace":
            self.left_behind()
            self.c.sql(f"DELETE FROM {self.target}")
        self.upsert() if mode == "upsert" else self.insert()
        self.c.dialect.settle(self.c, self.name, self.staging, self.layout)

    def insert(self) -> None:
        """All rows."""
        columns = self.c.list(self.layout.columns)
        self.c.sql(
            f"INSERT INTO {self.target} ({columns}) {self.c.dialect.overriding(self.layout)}"
            f"SELECT {columns} FROM {self.staged} s ORDER BY {ROW}"
        )

    def upsert(self) -> None:
        """The last row of each key, over what is there."""
        c, key = self.c, self.layout.key
        columns = c.list(self.layout.columns)
        unique = self._unique(key)
        by, at = self._terms(unique, "s."), self._terms(unique)
        rest = [f"{c.quote(x)} = excluded.{c.quote(x)}" for x in self.layout.columns if x not in key]
        act = f"DO UPDATE SET {', '.join(rest)}" if rest else "DO NOTHING"
        c.sql(
            f"INSERT INTO {self.target} ({columns}) {c.dialect.overriding(self.layout)}SELECT {columns} FROM ("
            f"SELECT s.*, row_number() OVER (PARTITION BY {', '.join(by)} ORDER BY s.{ROW} DESC) AS resumable_age"
            f" FROM {self.staged} s) l WHERE resumable_age = 1 ORDER BY {ROW}"
            f" ON CONFLICT ({', '.join(at)}) {act}"
        )

    def twice(self, unique: Unique) -> None:
        """Refuse rows of the input that share a unique key. NULLs are never equal."""
        terms = self._terms(unique)
        filled = " AND ".join(f"{self.c.quote(x)} IS NOT NULL" for x in unique.columns)
        same = " AND ".join(
            f"{a} = {b}" for a, b in zip(self._terms(unique, "s."), self._terms(unique, "d."), strict=True)
        )
        found = self.c.sql(
            f"SELECT s.{ROW}, d.first FROM {self.staged} s JOIN (SELECT {self.c.list(unique.columns)}, min({ROW}) AS first"
            f" FROM {self.staged} x WHERE {filled} GROUP BY {', '.join(terms)} HAVING count(*) > 1) d ON {same}"
            f" WHERE s.{ROW} > d.first ORDER BY s.{ROW} LIMIT {SHOWN}"
        ).all()
        if found:
            told = ", ".join(f"{self.numbers.told(n)} has that of {self.numbers.told(first)}" for n, first in found)
            raise self._bad(
                found, f"Rows of the source share the unique key ({_names(unique.columns)}): {told}.", unique
            )

    def present(self, unique: Unique) -> None:
        """Refuse rows whose unique key the table has already."""
        same = " AND ".join(
            f"{a} = {b}" for a, b in zip(self._terms(unique, "t."), self._terms(unique, "s."), strict=True)
        )
        found = self.c.sql(
            f"SELECT s.{ROW} FROM {self.staged} s JOIN {self.target} t ON {same} ORDER BY s.{ROW} LIMIT {SHOWN}"
        ).all()
        if found:
            what = f"The table has the unique key ({_names(unique.columns)}) of {self._rows(found)} already."
            raise self._bad(found, what, unique)

    def orphans(self, key: Foreign) -> None:
        """Refuse rows whose parent isn't there."""
        c = self.c
        filled = " AND ".join(f"s.{c.quote(x)} IS NOT NULL" for x in key.columns)
        pairs = list(zip(key.parent_columns, key.columns, strict=True))
        same = " AND ".join(f"p.{c.quote(p)} = s.{c.quote(x)}" for p, x in pairs)
        parents = [key.parent] if not (key.own and self.layout.mode == "replace") else []
        if key.own and set(key.parent_columns) <= set(self.layout.columns):
            parents.append(self.staged)
        absent = " AND ".join(f"NOT EXISTS (SELECT 1 FROM {parent} p WHERE {same})" for parent in parents) or "1 = 1"
        found = c.sql(
            f"SELECT s.{ROW} FROM {self.staged} s WHERE {filled} AND {absent} ORDER BY s.{ROW} LIMIT {SHOWN}"
        ).all()
        if found:
            what = f"The foreign key ({_names(key.columns)}) of {self._rows(found)} refers to no row of {key.parent}."
            raise self._bad(found, what, Unique(key.columns))

    def left_behind(self) -> None:
        """Refuse a replace after which rows of other tables would refer to nothing."""
        table = self.layout.table
        assert table is not None
        for ref in table.referrers:
            filled = " AND ".join(f"k.{self.c.quote(x)} IS NOT NULL" for x in ref.columns)
            pairs = zip(ref.parent_columns, ref.columns, strict=True)
            same = " AND ".join(f"p.{self.c.quote(p)} = k.{self.c.quote(x)}" for p, x in pairs)
            query = f"SELECT 1 FROM {ref.child} k WHERE {filled} AND NOT EXISTS (SELECT 1 FROM {self.staged} p WHERE {same})"
            if self.c.sql(f"{query} LIMIT 1").first():
                raise TargetError(
                    f"Rows of {ref.child} refer to rows of {self.name!r} that the source doesn't have.",
                    safe=_SAFE,
                    do="Remove those rows, then run the same again; or terminate the run.",
                )

    def _unique(self, key: tuple[str, ...]) -> Unique:
        table = self.layout.table
        found = [u for u in table.uniques if set(u.columns) == set(key) and u.immediate] if table else []
        return found[0] if found else Unique(key)

    def _terms(self, unique: Unique, prefix: str = "") -> list[str]:
        return [
            f"{prefix}{self.c.quote(x)}"
            + (f" COLLATE {self.c.quote(unique.collations[x])}" if x in unique.collations else "")
            for x in unique.columns
        ]

    def _rows(self, found: Any) -> str:
        told = ", ".join(self.numbers.told(n) for n, *_ in found)
        return told + (" and more" if len(found) == SHOWN else "")

    def _bad(self, found: Any, what: str, unique: Unique) -> ResumableError:
        return BadRow(
            what[0].upper() + what[1:],
            row=self.numbers.row(found[0][0]),
            column=unique.columns[0] if len(unique.columns) == 1 else None,
            safe=_SAFE,
            do="Put the table right and run the same again, or terminate the run and put the source right.",
        )


def _names(columns: tuple[str, ...]) -> str:
    return ", ".join(columns)

"""Loading SQLite: many-row VALUES through the standard library's own connection.

* Values are stored as resumable.databases.sqlite.types says: dates and times as ISO text, booleans as 0 and 1, decimals as text
  for the column's affinity to take.
* SQLite's types don't bind, so what they would alter is refused: NaN (kept as NULL), integers past 64 bits, decimals
  past 15 digits in a numeric column, text in a column that takes it for a number.
* A new table's rows lie in the order of arrival: the rowid only grows, and survives the rename. What is staged for
  more than a rename has its number as the rowid, since VACUUM gives new ones to a table that names none.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.exc import OperationalError

from resumable.databases.executor import Executor
from resumable.databases.identifiers import SAME, fold
from resumable.databases.inserting import savepoint
from resumable.databases.relations import ROW, Column, Layout
from resumable.databases.sqlite.catalog import checks, declaration
from resumable.databases.sqlite.session import error_message
from resumable.databases.sqlite.to_sql import to_sql, unrepresentable
from resumable.databases.sqlite.types import SQLITE_TYPES, affinity
from resumable.databases.types import sql_type

__all__ = ["SqliteLoader", "create_table"]

_DIALECT = sa.make_url("sqlite://").get_dialect()()
_NUMBER = f"{ROW} INTEGER PRIMARY KEY"
ROWS_PER_INSERT = 20
"""Rows in one statement: more gain nothing."""
SLICE_ROWS = 8_000
"""Rows that are Python objects at a time: a whole batch of them takes 50 MB and more."""


def _declaration(field: pa.Field) -> str:
    kind: str = sql_type(field.type, SQLITE_TYPES, field.name).compile(dialect=_DIALECT)
    return kind


class SqliteLoader:
    """See `Loader`."""

    declaration = staticmethod(_declaration)
    unrepresentable = staticmethod(unrepresentable)
    savepoint = staticmethod(savepoint)

    def column_conflict(self, kind: pa.DataType, column: Column) -> str | None:
        if column.type == kind == pa.string() and affinity(column.declared) not in ("TEXT", "BLOB"):
            return f"in a column declared {column.declared} SQLite takes text for numbers, and 007 would become 7"
        return None

    def create_staging(self, c: Executor, staging: str, layout: Layout) -> None:
        if layout.table is None:
            create_table(c, staging, layout, staged=True)
            return
        supplied, table = set(map(fold, layout.columns)), layout.table
        keys = set(map(fold, layout.key)) if layout.mode == "upsert" else set()
        # Every column, so that a CHECK over one that isn't supplied sees its default.
        parts = [_NUMBER] + [
            declaration(c, column, supplied=fold(column.name) in supplied, key=fold(column.name) in keys)
            for column in table.columns
            if not column.generated
        ]
        begin, end = f"CREATE TABLE {c.qualified(staging)} (", ") STRICT" if _strict(c, table.name) else ")"
        constraints = checks(c, table)
        try:
            c.sql(begin + ", ".join([*parts, *constraints]) + end)
        except OperationalError:
            if not constraints:
                raise
            c.sql(begin + ", ".join(parts) + end)  # a CHECK that names its table: it's left to publishing

    def insert_batch(
        self, c: Executor, name: str, layout: Layout, rows: pa.RecordBatch, numbers: Sequence[int]
    ) -> None:
        names = [*rows.schema.names, *([ROW] if layout.numbered else [])]
        width = len(names)
        many = max(1, min(ROWS_PER_INSERT, c.raw.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // width))
        row, step = "(" + ",".join("?" * width) + ")", many * width
        insert = f"INSERT INTO {c.qualified(name)} ({c.list(names)}) VALUES "
        full = insert + ",".join([row] * many)
        with contextlib.closing(c.raw.cursor()) as cursor:
            for start in range(0, rows.num_rows, SLICE_ROWS):
                piece = rows.slice(start, SLICE_ROWS)
                flat: list[Any] = [None] * (width * piece.num_rows)
                for i, column in enumerate(piece.columns):
                    flat[i::width] = to_sql(column)
                if layout.numbered:
                    flat[width - 1 :: width] = numbers[start : start + SLICE_ROWS]
                whole = piece.num_rows // many * step
                if whole:
                    cursor.executemany(full, (flat[i : i + step] for i in range(0, whole, step)))
                if whole < len(flat):
                    cursor.execute(insert + ",".join([row] * ((len(flat) - whole) // width)), flat[whole:])

    def row_error(self, error: BaseException) -> tuple[str, str | None] | None:
        origin = getattr(error, "orig", None) or error
        if not isinstance(origin, (sqlite3.IntegrityError, sqlite3.DataError, UnicodeError, OverflowError)):
            return None
        if isinstance(origin, UnicodeError):
            return "text that isn't UTF-8", None
        text = error_message(origin)
        column = re.fullmatch(r"(?:NOT NULL|UNIQUE) constraint failed: ([^,]+)|cannot store .* in .* column (.+)", text)
        return text, next((g.rpartition(".")[2] for g in column.groups() if g), None) if column else None


def create_table(c: Executor, name: str, layout: Layout, *, staged: bool) -> None:
    """Make a table of the layout's rows: the target as it will stay, or the staging table of a new one."""
    parts = [_NUMBER] if staged and layout.numbered else []
    for column in layout.rows:
        kind = _declaration(column)
        if kind == "INTEGER" and [*layout.key] == [column.name]:
            kind = "BIGINT"  # INTEGER PRIMARY KEY would be the rowid, and rows would lie in the key's order
        parts.append(f"{c.quote(column.name)} {kind}{' NOT NULL' if column.name in layout.key else ''}")
    if layout.key and not staged:
        parts.append(f"PRIMARY KEY ({c.list(layout.key)})")
    c.sql(f"CREATE TABLE {c.qualified(name)} ({', '.join(parts)})")


def _strict(c: Executor, name: str) -> bool:
    with contextlib.suppress(OperationalError):  # SQLite before 3.37 has neither
        query = f"SELECT strict FROM pragma_table_list WHERE schema = ? AND {SAME}"
        return bool(c.sa.exec_driver_sql(query, (c.schema, name)).scalar())
    return False

"""SQLite as a target: many-row VALUES through the standard library's own connection.

* Values are stored as resumable.databases.types says: dates and times as ISO text, booleans as 0 and 1, decimals as text
  for the column's affinity to take.
* SQLite's types don't bind, so what they would alter is refused: NaN (kept as NULL), integers past 64 bits, decimals
  past 15 digits in a numeric column, text in a column that takes it for a number.
* A new table's rows lie in the order of arrival: the rowid only grows, and survives the rename. What is staged for
  more than a rename has its number as the rowid, since VACUUM gives new ones to a table that names none.
* Journal mode and foreign_keys stay as the user has them. `synchronous` is raised to EXTRA while we are connected:
  with FULL a power cut may bring back the journal of the last commit, and undo it. OFF is somebody's choice, and stays.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import StaticPool

from resumable.databases.connection import Connection
from resumable.databases.identifiers import SAME, fold
from resumable.databases.relations import ROW, Column, Features, Layout, Refusal, Table
from resumable.databases.sqlite.catalog import affinity, checks, declaration, describe, features, master
from resumable.databases.sqlite.settings import WAIT, Settings, ask, end_transaction
from resumable.databases.sqlite.to_sql import kept, odd
from resumable.databases.tables import Where
from resumable.databases.types import sql_type
from resumable.databases.urls import reason, sqlite_file
from resumable.errors import TargetError, UsageError

__all__ = ["Sqlite"]

_NUMBER = f"{ROW} INTEGER PRIMARY KEY"
ROWS = 20
"""Rows in one statement: more gain nothing."""
PIECE = 8_000
"""Rows that are Python objects at a time: a whole batch of them takes 50 MB and more."""


class Sqlite:
    """See `Dialect`."""

    name = "sqlite"
    now = "(julianday('now') - 2440587.5) * 86400.0"
    error: type[Exception] = sqlite3.Error
    tries = 1

    def __init__(self) -> None:
        self._settings = Settings()

    def attach(self, c: Connection) -> None:
        static = isinstance(c.engine.pool, StaticPool)
        if not static and sqlite_file(c.engine.url) is None:
            raise UsageError(
                "A SQLite database in memory is gone with its connection.",
                safe="Nothing was touched.",
                do="Give a file, sqlite:///shop.db, or an Engine with poolclass=StaticPool.",
            )
        if not isinstance(c.raw, sqlite3.Connection):
            raise UsageError(
                "Another SQLite than Python's own in one process loses commits.",
                safe="Nothing was touched.",
                do="Use the driver that sqlite:/// means (sqlite+pysqlite).",
            )
        if not static:
            c.sa.detach()  # so that our settings never reach a pool
        self._settings.take(c)

    def detach(self, c: Connection) -> None:
        self._settings.give_back(c)

    def home(self, c: Connection, where: Where, schema: str | None) -> str:
        if where.schema is None:
            raise TargetError(
                f"No database is attached as {schema!r}.",
                safe="Nothing was changed.",
                do="Leave schema out, or give an Engine that attaches it whenever it connects.",
            )
        # The path itself isn't asked for: it needn't be UTF-8.
        query = "SELECT 1 FROM pragma_database_list WHERE name = ? AND file <> ''"
        lasting = c.sa.exec_driver_sql(query, (where.schema,)).first()
        if not lasting and not isinstance(c.engine.pool, StaticPool):
            raise UsageError(
                f"Database {where.schema!r} is gone with its connection.",
                safe="Nothing was changed.",
                do="Give a table of a file.",
            )
        return where.schema

    def begin(self, c: Connection) -> None:
        # A runner leaves only short gaps between its transactions: SQLite's own waiting, with its long naps, would
        # miss them.
        if not c.sa.in_transaction():
            c.sa.begin()  # now, with what the engine's own events do: ours is the last word
        end_transaction(c)
        ask(c, "PRAGMA busy_timeout = 0")
        end = time.monotonic() + WAIT
        try:
            while True:
                try:
                    c.sql("BEGIN IMMEDIATE")
                    return
                except OperationalError as error:
                    if not self.locked(error) or time.monotonic() > end:
                        raise
                    time.sleep(0.002)
        finally:
            ask(c, f"PRAGMA busy_timeout = {int(WAIT * 1000)}")

    def look(self, c: Connection) -> None: ...  # busy_timeout holds for reads as well

    def lost(self, c: Connection) -> bool:
        return False

    def locked(self, error: BaseException) -> bool:
        code = getattr(getattr(error, "orig", None) or error, "sqlite_errorcode", None) or 0
        return code & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)

    def words(self, error: BaseException) -> str:
        if self.locked(error):
            return "another process is writing to the database"
        return re.sub(r"\bresumable_[0-9a-f]{10}_\w+\.", "", reason(error))

    def fault(self, error: BaseException) -> tuple[str, str | None] | None:
        origin = getattr(error, "orig", None) or error
        if not isinstance(origin, (sqlite3.IntegrityError, sqlite3.DataError, UnicodeError, OverflowError)):
            return None
        if isinstance(origin, UnicodeError):
            return "text that isn't UTF-8", None
        text = self.words(origin)
        column = re.fullmatch(r"(?:NOT NULL|UNIQUE) constraint failed: ([^,]+)|cannot store .* in .* column (.+)", text)
        return text, next((g.rpartition(".")[2] for g in column.groups() if g), None) if column else None

    def backend(self, c: Connection) -> str:
        return ""

    def dismiss(self, c: Connection, backend: str) -> None: ...

    def evict(self, c: Connection, staging: str) -> None: ...

    def seize(self, c: Connection, name: str) -> None: ...  # whoever writes has the whole database

    def holders(self, c: Connection, name: str, staging: str = "") -> str:
        return "SQLite can't say which process it is"

    def kind(self, c: Connection, name: str) -> str:
        found = c.sa.exec_driver_sql(f"SELECT type FROM {master(c)} WHERE {SAME}", (name,)).all()
        kinds = [kind for (kind,) in found if kind != "trigger"]
        return str(kinds[0]) if kinds else ""

    def tables(self, c: Connection, prefix: str) -> list[str]:
        query = f"SELECT name FROM {master(c)} WHERE type = 'table' AND substr(name, 1, ?) = ?"
        return [name for (name,) in c.sa.exec_driver_sql(query, (len(prefix), prefix))]

    def misname(self, name: str) -> str:
        if not name or "\0" in name:
            return "is empty" if not name else "holds a NUL character"
        return "is reserved by SQLite" if fold(name).startswith("sqlite_") else ""

    def fold(self, name: str) -> str:
        return fold(name)

    def judge(self, kind: pa.DataType, column: Column) -> str | None:
        if column.type == kind == pa.string() and affinity(column.declared) not in ("TEXT", "BLOB"):
            return f"in a column declared {column.declared} SQLite takes text for numbers, and 007 would become 7"
        return None

    def refused(self, c: Connection, layout: Layout) -> Refusal | None:
        if c.sql("PRAGMA query_only").scalar_one():
            return Refusal("the connection is read-only (PRAGMA query_only)", "Connect so that it may write.")
        return None

    # Who may write to the file may do everything, and it has one ledger.
    def barred(self, c: Connection, ledger: str, name: str, mode: str) -> Refusal | None:
        return None

    def withheld(self, c: Connection, staging: str) -> Refusal | None:
        return None

    def lent(self, c: Connection, ledger: str) -> bool:
        return False

    def ledgers(self, c: Connection, ledger: str) -> list[str]:
        return []

    def describe(self, c: Connection, name: str) -> Table:
        return describe(c, name)

    def features(self, c: Connection, name: str) -> Features:
        return features(c, name)

    def shape(self, c: Connection, name: str) -> object:
        space = "" if c.schema is None else f"{c.quote(c.schema)}."
        return c.sql(f"PRAGMA {space}schema_version").scalar_one()

    def odd(self, column: pa.Array, declared: Column | None) -> tuple[pa.Array, str] | None:
        return odd(column, declared)

    def stage(self, c: Connection, staging: str, layout: Layout) -> None:
        if layout.table is None:
            self._make(c, staging, layout, staged=True)
            return
        given, table = set(map(fold, layout.columns)), layout.table
        keys = set(map(fold, layout.key)) if layout.mode == "upsert" else set()
        # Every column, so that a CHECK over one that isn't supplied sees its default.
        parts = [_NUMBER] + [
            declaration(c, column, given=fold(column.name) in given, key=fold(column.name) in keys)
            for column in table.columns
            if not column.generated
        ]
        begin, end = f"CREATE TABLE {c.qualified(staging)} (", ") STRICT" if _strict(c, table.name) else ")"
        found = checks(c, table)
        try:
            c.sql(begin + ", ".join([*parts, *found]) + end)
        except OperationalError:
            if not found:
                raise
            c.sql(begin + ", ".join(parts) + end)  # a CHECK that names its table: it's left to publishing

    def create(self, c: Connection, name: str, layout: Layout) -> None:
        self._make(c, name, layout, staged=False)

    def _make(self, c: Connection, name: str, layout: Layout, *, staged: bool) -> None:
        dialect, parts = c.engine.dialect, [_NUMBER] if staged and layout.numbered else []
        for column in layout.rows:
            kind = sql_type(column.type, "sqlite", column.name).compile(dialect=dialect)
            if kind == "INTEGER" and [*layout.key] == [column.name]:
                kind = "BIGINT"  # INTEGER PRIMARY KEY would be the rowid, and rows would lie in the key's order
            parts.append(f"{c.quote(column.name)} {kind}{' NOT NULL' if column.name in layout.key else ''}")
        if layout.key and not staged:
            parts.append(f"PRIMARY KEY ({c.list(layout.key)})")
        c.sql(f"CREATE TABLE {c.qualified(name)} ({', '.join(parts)})")

    def bulk(self, c: Connection, name: str, layout: Layout, rows: pa.RecordBatch, numbers: Sequence[int]) -> None:
        names = [*rows.schema.names, *([ROW] if layout.numbered else [])]
        width = len(names)
        many = max(1, min(ROWS, c.raw.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) // width))
        row, step = "(" + ",".join("?" * width) + ")", many * width
        insert = f"INSERT INTO {c.qualified(name)} ({c.list(names)}) VALUES "
        full = insert + ",".join([row] * many)
        with contextlib.closing(c.raw.cursor()) as cursor:
            for start in range(0, rows.num_rows, PIECE):
                piece = rows.slice(start, PIECE)
                flat: list[Any] = [None] * (width * piece.num_rows)
                for i, column in enumerate(piece.columns):
                    flat[i::width] = kept(column)
                if layout.numbered:
                    flat[width - 1 :: width] = numbers[start : start + PIECE]
                whole = piece.num_rows // many * step
                if whole:
                    cursor.executemany(full, (flat[i : i + step] for i in range(0, whole, step)))
                if whole < len(flat):
                    cursor.execute(insert + ",".join([row] * ((len(flat) - whole) // width)), flat[whole:])

    def text(self, column: str) -> str:
        return column

    def reserve(self, c: Connection, name: str, layout: Layout) -> None:
        if layout.mode == "replace":
            c.sql("PRAGMA defer_foreign_keys = ON")  # until this transaction ends

    def adopt(self, c: Connection, staging: str, name: str, layout: Layout) -> None:
        # Without it, any broken view elsewhere in the database makes a rename fail.
        legacy = c.sql("PRAGMA legacy_alter_table").scalar_one()
        c.sql("PRAGMA legacy_alter_table = ON")
        try:
            c.sql(f"ALTER TABLE {c.qualified(staging)} RENAME TO {c.quote(name)}")
        finally:
            c.sql(f"PRAGMA legacy_alter_table = {int(legacy)}")

    def overriding(self, layout: Layout) -> str:
        return ""

    def settle(
        self, c: Connection, name: str, staging: str, layout: Layout
    ) -> None: ...  # AUTOINCREMENT follows by itself


def _strict(c: Connection, name: str) -> bool:
    with contextlib.suppress(OperationalError):  # SQLite before 3.37 has neither
        query = f"SELECT strict FROM pragma_table_list WHERE schema = ? AND {SAME}"
        return bool(c.sa.exec_driver_sql(query, (c.schema, name)).scalar())
    return False

"""A connection to SQLite as a target: ours while it lasts, and then as it was found.

Journal mode and foreign_keys stay as the user has them. `synchronous` is raised to EXTRA: with FULL a power cut may
bring back the journal of the last commit, and undo it. OFF is somebody's choice, and stays.
"""

from __future__ import annotations

import re
import sqlite3
import time
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import StaticPool

from resumable.databases.executor import Executor
from resumable.databases.sqlite.traits import SQLITE
from resumable.databases.tables import Where
from resumable.databases.urls import reason, sqlite_file
from resumable.errors import TargetError, UsageError

__all__ = ["SqliteSession", "error_message"]

WAIT = 5.0
"""Seconds to wait for another process's write lock."""
EXTRA = 3
"""The level of `synchronous` at which the folder is synced once a commit has removed its journal."""


class SqliteSession:
    """See `Session`. What was found before is kept, to be given back.

    All this past SQLAlchemy: an engine may have a "begin" event that begins a transaction, in which some of these
    settings can't be made.
    """

    def __init__(self) -> None:
        self._found: tuple[Any, Any, int, int] | None = None
        self._levels: dict[str, int] = {}

    def configure(self, c: Executor) -> None:
        static = isinstance(c.engine.pool, StaticPool)
        if not static and sqlite_file(c.engine.url.set(drivername=SQLITE.name)) is None:
            raise UsageError(
                "A SQLite database in memory is gone with its connection.",
                do="Give a file, sqlite:///shop.db, or an Engine with poolclass=StaticPool.",
            )
        if not isinstance(c.raw, sqlite3.Connection):
            raise UsageError(
                "Another SQLite than Python's own in one process loses commits.",
                do="Use the driver that sqlite:/// means (sqlite+pysqlite).",
            )
        if not static:
            c.sa.detach()  # so that our settings never reach a pool
        self._take_over(c)

    def restore(self, c: Executor) -> None:
        if self._found is None:
            return
        isolation, autocommit, waits, spill = self._found
        _end_transaction(c)
        _ask(c, f"PRAGMA busy_timeout = {waits}")
        _ask(c, f"PRAGMA cache_spill = {spill}")
        for space, level in self._levels.items():
            _ask(c, f"PRAGMA {c.quote(space)}.synchronous = {level}")
        c.raw.isolation_level = isolation
        if autocommit is not None:
            c.raw.autocommit = autocommit

    def default_schema(self, c: Executor, where: Where, schema: str | None) -> str:
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

    def begin(self, c: Executor) -> None:
        # A runner leaves only short gaps between its transactions: SQLite's own waiting, with its long naps, would
        # miss them.
        if not c.sa.in_transaction():
            c.sa.begin()  # now, with what the engine's own events do: ours is the last word
        _end_transaction(c)
        _ask(c, "PRAGMA busy_timeout = 0")
        end = time.monotonic() + WAIT
        try:
            while True:
                try:
                    c.sql("BEGIN IMMEDIATE")
                    return
                except OperationalError as error:
                    if not SQLITE.is_locked(error) or time.monotonic() > end:
                        raise
                    time.sleep(0.002)
        finally:
            _ask(c, f"PRAGMA busy_timeout = {int(WAIT * 1000)}")

    def begin_read(self, c: Executor) -> None: ...  # busy_timeout holds for reads as well

    def is_lost(self, c: Executor) -> bool:
        return False

    def error_message(self, error: BaseException) -> str:
        return error_message(error)

    def _take_over(self, c: Executor) -> None:
        """Ours: we say BEGIN ourselves, since the driver's own is deferred."""
        c.raw.rollback()
        (waits,), (spill,) = (_ask(c, f"PRAGMA {name}") for name in ("busy_timeout", "cache_spill"))
        self._found = (c.raw.isolation_level, getattr(c.raw, "autocommit", None), waits, spill)
        if hasattr(c.raw, "autocommit"):
            c.raw.autocommit = getattr(sqlite3, "LEGACY_TRANSACTION_CONTROL", -1)
        c.raw.isolation_level = None
        _end_transaction(c)
        _ask(c, f"PRAGMA busy_timeout = {int(WAIT * 1000)}")
        # Not the PRAGMA itself: it tells the paths as well, which needn't be UTF-8.
        for (space,) in c.raw.execute("SELECT name FROM pragma_database_list").fetchall():
            (level,) = _ask(c, f"PRAGMA {c.quote(space)}.synchronous")
            if 0 < level < EXTRA and space != "temp":
                self._levels[space] = level
                _ask(c, f"PRAGMA {c.quote(space)}.synchronous = {EXTRA}")
        # In a rollback journal, pages that don't fit the cache are written early, and that locks every reader out.
        _ask(c, "PRAGMA cache_spill = 8192")


def error_message(error: BaseException) -> str:
    """What SQLite says, without the names of our tables."""
    if SQLITE.is_locked(error):
        return "another process is writing to the database"
    return re.sub(r"\bresumable_[0-9a-f]{10}_\w+\.", "", reason(error))


def _ask(c: Executor, sql: str) -> Any:
    """The first row, past SQLAlchemy."""
    return c.raw.execute(sql).fetchone()


def _end_transaction(c: Executor) -> None:
    """No transaction is open: neither the driver's own, nor one that the engine's "begin" event has begun."""
    if c.raw.in_transaction:
        c.raw.execute("ROLLBACK")

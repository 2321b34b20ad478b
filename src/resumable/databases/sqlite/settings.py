"""A connection to SQLite as a target: ours while it lasts, and then as it was found.

Journal mode and foreign_keys stay as the user has them. `synchronous` is raised to EXTRA: with FULL a power cut may
bring back the journal of the last commit, and undo it. OFF is somebody's choice, and stays.
"""

from __future__ import annotations

import sqlite3
from typing import Any

from resumable.databases.connection import Connection

__all__ = ["WAIT", "Settings", "ask", "end_transaction"]

WAIT = 5.0
"""Seconds to wait for another process's write lock."""
EXTRA = 3
"""The level of `synchronous` at which the folder is synced once a commit has removed its journal."""


class Settings:
    """What was found, to be given back.

    All this past SQLAlchemy: an engine may have a "begin" event that begins a transaction, in which some of these
    settings can't be made.
    """

    def __init__(self) -> None:
        self._found: tuple[Any, Any, int, int] | None = None
        self._levels: dict[str, int] = {}

    def take(self, c: Connection) -> None:
        """Ours: we say BEGIN ourselves, since the driver's own is deferred."""
        c.raw.rollback()
        (waits,), (spill,) = (ask(c, f"PRAGMA {name}") for name in ("busy_timeout", "cache_spill"))
        self._found = (c.raw.isolation_level, getattr(c.raw, "autocommit", None), waits, spill)
        if hasattr(c.raw, "autocommit"):
            c.raw.autocommit = getattr(sqlite3, "LEGACY_TRANSACTION_CONTROL", -1)
        c.raw.isolation_level = None
        end_transaction(c)
        ask(c, f"PRAGMA busy_timeout = {int(WAIT * 1000)}")
        # Not the PRAGMA itself: it tells the paths as well, which needn't be UTF-8.
        for (space,) in c.raw.execute("SELECT name FROM pragma_database_list").fetchall():
            (level,) = ask(c, f"PRAGMA {c.quote(space)}.synchronous")
            if 0 < level < EXTRA and space != "temp":
                self._levels[space] = level
                ask(c, f"PRAGMA {c.quote(space)}.synchronous = {EXTRA}")
        # In a rollback journal, pages that don't fit the cache are written early, and that locks every reader out.
        ask(c, "PRAGMA cache_spill = 8192")

    def give_back(self, c: Connection) -> None:
        """As it was found."""
        if self._found is None:
            return
        isolation, autocommit, waits, spill = self._found
        end_transaction(c)
        ask(c, f"PRAGMA busy_timeout = {waits}")
        ask(c, f"PRAGMA cache_spill = {spill}")
        for space, level in self._levels.items():
            ask(c, f"PRAGMA {c.quote(space)}.synchronous = {level}")
        c.raw.isolation_level = isolation
        if autocommit is not None:
            c.raw.autocommit = autocommit


def ask(c: Connection, sql: str) -> Any:
    """The first row, past SQLAlchemy."""
    return c.raw.execute(sql).fetchone()


def end_transaction(c: Connection) -> None:
    """No transaction is open: neither the driver's own, nor one that the engine's "begin" event has begun."""
    if c.raw.in_transaction:
        c.raw.execute("ROLLBACK")

"""What SQLite is like, as data."""

from __future__ import annotations

import sqlite3

from resumable.databases.identifiers import fold
from resumable.databases.tables import DEFAULT
from resumable.databases.traits import Traits

__all__ = ["SQLITE", "schema_table"]

SQLITE = Traits(
    name="sqlite",
    label="SQLite",
    driver_error=sqlite3.Error,
    clock="(julianday('now') - 2440587.5) * 86400.0",
    default_schema=DEFAULT["sqlite"],
    lock_errors=frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}),
    folds_case=True,
    reserved_prefix="sqlite_",
)


def schema_table(schema: str) -> str:
    """The catalog of a schema, for SQL."""
    return "sqlite_temp_master" if fold(schema) == "temp" else f"{SQLITE.quote(schema)}.sqlite_master"

"""A database of your own: SQLite under another name, in which CREATE and DROP commit at once. See docs/write-a-database.md.

It has no savepoints either. All of that is said by data, its `Traits`; what reads and writes it is SQLite's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from resumable.databases import drivers
from resumable.databases.protocols import Database
from resumable.databases.sqlite.database import create
from resumable.databases.sqlite.traits import SQLITE

__all__ = ["TOY", "ToyDialect", "install"]

TOY = replace(SQLITE, name="toy", label="Toy", savepoints=False, transactional_ddl=False)


def create_toy() -> Database:
    """The toy, for one connection."""
    return create(TOY)


def install() -> None:
    """From here on `toy:////path/of/a.db` is a database that can be read and written."""
    registry.register("toy", __name__, "ToyDialect")
    drivers.register("toy", create_toy)


class ToyDialect(SQLiteDialect_pysqlite):
    """What SQLAlchemy is told of it: DDL ends the transaction before it and its own, and nobody can set a savepoint."""

    name = "toy"
    supports_statement_cache = True

    def do_execute(self, cursor: Any, statement: str, parameters: Any, context: Any = None) -> None:
        """Run a statement as such a database does."""
        word = statement.lstrip().partition(" ")[0].upper()
        if word == "SAVEPOINT":
            raise self.dbapi.OperationalError("there are no savepoints")
        commits = word in ("CREATE", "ALTER", "DROP") and cursor.connection.in_transaction
        if commits:
            cursor.execute("COMMIT")
        cursor.execute(statement, parameters)
        if commits:
            cursor.execute("BEGIN IMMEDIATE")

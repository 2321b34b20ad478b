"""The test of own_store.py."""

import sqlite3
from contextlib import closing
from pathlib import Path

import own_store

from resumable.testing import StoreContract


class TestLiteStore(StoreContract):
    """Statements that go to sqlite3 itself have to be named: the kit sees files and SQLAlchemy."""

    effects = ((own_store, "execute"),)

    def store(self, folder: Path) -> own_store.LiteStore:
        return own_store.LiteStore(folder / "runs.lite")

    def damage(self, folder: Path) -> None:
        with closing(sqlite3.connect(folder / "runs.lite")) as database, database:
            database.execute("update runs set record = substr(record, 1, 20)")

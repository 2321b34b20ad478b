"""The test of own_store.py."""

from pathlib import Path

import own_store

from resumable.testing import StoreContract


class TestLiteStore(StoreContract):
    """Statements that go to sqlite3 itself have to be named: the kit sees files and SQLAlchemy."""

    effects = ((own_store, "execute"),)

    def store(self, folder: Path) -> own_store.LiteStore:
        return own_store.LiteStore(folder / "runs.lite")

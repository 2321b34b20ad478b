"""Every database keeps the contract: names, errors, transactions, values."""

from __future__ import annotations

from pathlib import Path

import pytest

import toy
from jobs import execute
from resumable.testing import DatabaseContract


class TestSqlite(DatabaseContract):
    """A file."""

    def url(self, folder: Path) -> str:
        return f"sqlite:///{folder / 'a.db'}"


class TestToy(DatabaseContract):
    """SQLite under another name: CREATE commits at once, and there are no savepoints."""

    def url(self, folder: Path) -> str:
        toy.install()
        return f"toy:///{folder / 'a.db'}"


class TestPostgresql(DatabaseContract):
    """A server's database, whose schema is made anew for each test."""

    @pytest.fixture(autouse=True)
    def server(self, postgres: str) -> None:
        self.postgres = postgres

    def url(self, folder: Path) -> str:
        return self.postgres

    def prepare(self, folder: Path) -> None:
        execute(self.postgres, "drop schema public cascade", "create schema public")

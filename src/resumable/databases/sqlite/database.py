"""SQLite, put together."""

from __future__ import annotations

from resumable.databases.locks import NoLocks
from resumable.databases.privileges import AllPrivileges
from resumable.databases.protocols import Database
from resumable.databases.sqlite.catalog import SqliteCatalog
from resumable.databases.sqlite.load import SqliteLoader
from resumable.databases.sqlite.namespace import SqliteNamespace
from resumable.databases.sqlite.publish import SqlitePublisher
from resumable.databases.sqlite.read import SqliteReader
from resumable.databases.sqlite.session import SqliteSession
from resumable.databases.sqlite.traits import SQLITE
from resumable.databases.traits import Traits

__all__ = ["create"]


def create(traits: Traits = SQLITE) -> Database:
    """SQLite, for one connection; with other `traits`, a database that is made of it."""
    return Database(
        traits=traits,
        session=SqliteSession(),
        namespace=SqliteNamespace,
        catalog=SqliteCatalog(),
        locks=NoLocks(traits.label),
        privileges=AllPrivileges(),
        loader=SqliteLoader(),
        publisher=SqlitePublisher(),
        reader=SqliteReader(traits),
    )

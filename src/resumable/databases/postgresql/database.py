"""PostgreSQL, put together."""

from __future__ import annotations

from resumable.databases.postgresql.catalog import PostgresqlCatalog
from resumable.databases.postgresql.load import PostgresqlLoader
from resumable.databases.postgresql.locks import PostgresqlLocks
from resumable.databases.postgresql.namespace import PostgresqlNamespace
from resumable.databases.postgresql.privileges import PostgresqlPrivileges
from resumable.databases.postgresql.publish import PostgresqlPublisher
from resumable.databases.postgresql.read import PostgresqlReader
from resumable.databases.postgresql.session import PostgresqlSession
from resumable.databases.postgresql.traits import POSTGRESQL
from resumable.databases.protocols import Database

__all__ = ["create"]


def create() -> Database:
    """PostgreSQL, for one connection."""
    return Database(
        traits=POSTGRESQL,
        session=PostgresqlSession(),
        namespace=PostgresqlNamespace,
        catalog=PostgresqlCatalog(),
        locks=PostgresqlLocks(),
        privileges=PostgresqlPrivileges(),
        loader=PostgresqlLoader(),
        publisher=PostgresqlPublisher(),
        reader=PostgresqlReader(),
    )

"""What a database must be able to do for `SqlSource` and `SqlSink`.

A folder per database keeps these promises (sqlite/, postgresql/), and `drivers.py` names it; nothing else in the
package asks which database it talks to. All SQL text is built from quoted names only: values travel as parameters or
as bulk data. Methods take the connection; those that write expect a transaction to be open.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa

from resumable.checkpoint import Json
from resumable.databases.executor import Executor
from resumable.databases.keyset import Chunk, Key, Relation
from resumable.databases.relations import Column, Features, Layout, Refusal, Table
from resumable.databases.tables import Ask, Namespace, Where
from resumable.databases.traits import Traits

__all__ = ["Catalog", "Database", "Loader", "Locks", "Privileges", "Publisher", "Reader", "Session"]


@dataclass(frozen=True, slots=True)
class Database:
    """One kind of database, for one connection. `namespace` looks schemas and tables up."""

    traits: Traits
    session: Session
    namespace: Callable[[Ask], Namespace]
    catalog: Catalog
    locks: Locks
    privileges: Privileges
    loader: Loader
    publisher: Publisher
    reader: Reader


class Session(Protocol):
    """A connection that is written through, from its first settings to its last."""

    def configure(self, c: Executor) -> None:
        """Make a fresh connection ours: its settings, its transactions begun and ended by us alone."""
        ...

    def restore(self, c: Executor) -> None:
        """Leave the connection as it was."""
        ...

    def default_schema(self, c: Executor, where: Where, schema: str | None) -> str:
        """The schema of a table, where `schema` was asked for. Refuses one that isn't there, or goes with the connection."""
        ...

    def begin(self, c: Executor) -> None:
        """Begin a transaction that will write."""
        ...

    def begin_read(self, c: Executor) -> None:
        """Begin to read: nobody's lock is waited for without end."""
        ...

    def is_lost(self, c: Executor) -> bool:
        """Whether the connection is broken."""
        ...

    def error_message(self, error: BaseException) -> str:
        """What the database says, without row values."""
        ...


class Catalog(Protocol):
    """What there is in the database."""

    def kind(self, c: Executor, name: str) -> str:
        """What bears a name: "table", "view", something else in words, or "" for nothing."""
        ...

    def tables(self, c: Executor, prefix: str) -> list[str]:
        """The names of the tables that begin so, and that this user may drop; where staging lies."""
        ...

    def describe(self, c: Executor, name: str) -> Table:
        """An existing table."""
        ...

    def features(self, c: Executor, name: str) -> Features:
        """What tells an existing table from another of its name."""
        ...

    def shape(self, c: Executor, name: str) -> object:
        """What is another once a table or its columns have changed: cheap enough for every commit."""
        ...


class Locks(Protocol):
    """Locks, and the connections that hold them; `locks.NoLocks` for a database that tells nothing of them."""

    def backend_id(self, c: Executor) -> str:
        """What this connection is called by the database; "" if it has no such names."""
        ...

    def terminate_backend(self, c: Executor, backend: str) -> None:
        """End that connection where the database allows it."""
        ...

    def terminate_lock_holders(self, c: Executor, staging: str) -> None:
        """End the connections of fenced-off runners that still hold our staging table."""
        ...

    def lock_exclusive(self, c: Executor, name: str) -> None:
        """Lock a table against everybody until the transaction ends."""
        ...

    def describe_lock_holders(self, c: Executor, name: str, staging: str = "") -> str:
        """In words, who holds locks on a table or, even if only reading, on staging, as far as can be told."""
        ...


class Privileges(Protocol):
    """What the user may do; `privileges.AllPrivileges` for a database without users."""

    def missing_for_run(self, c: Executor, layout: Layout) -> Refusal | None:
        """Why the user may not do what the layout of a new run needs."""
        ...

    def missing_for_ledger(self, c: Executor, ledger: str, name: str, mode: str) -> Refusal | None:
        """Why the user may not use a ledger that is there. `mode` of a new run into `name`: with all else it lacks."""
        ...

    def missing_for_staging(self, c: Executor, staging: str) -> Refusal | None:
        """Why the user may not go on with a staging table that is there."""
        ...

    def is_shared(self, c: Executor, ledger: str) -> bool:
        """Whether an empty ledger is to stay: it is somebody else's, or was granted to others."""
        ...

    def schemas_with(self, c: Executor, ledger: str) -> list[str]:
        """The other schemas with a ledger that the user may read."""
        ...


class Loader(Protocol):
    """Rows on their way into staging."""

    def declaration(self, field: pa.Field) -> str:
        """The SQL type of a new column. Raises `TargetError` for a type that the database can't keep."""
        ...

    def column_conflict(self, kind: pa.DataType, column: Column) -> str | None:
        """Why a column would alter such values; "" if it keeps them all; None to go by its type."""
        ...

    def unrepresentable(self, column: pa.Array, declared: Column | None) -> tuple[pa.Array, str] | None:
        """A mask of the values that the database couldn't keep as they are, and why; None if there are none."""
        ...

    def create_staging(self, c: Executor, staging: str, layout: Layout) -> None:
        """Make the staging table."""
        ...

    def insert_batch(
        self, c: Executor, name: str, layout: Layout, rows: pa.RecordBatch, numbers: Sequence[int]
    ) -> None:
        """Store rows, all or an error, with their numbers where the layout has them numbered."""
        ...

    def savepoint(self, c: Executor, point: str, name: str, numbers: Sequence[int]) -> AbstractContextManager[None]:
        """What stores the rows of these numbers in it; after an error none of them are there."""
        ...

    def row_error(self, error: BaseException) -> tuple[str, str | None] | None:
        """Reason and column, if it says that a row doesn't fit; None if it is about anything else."""
        ...


class Publisher(Protocol):
    """Staged rows on their way into the table."""

    def lock_target(self, c: Executor, name: str, layout: Layout) -> None:
        """Lock the target against other writers as far as needed, put checks off to the end."""
        ...

    def create_table(self, c: Executor, name: str, layout: Layout) -> None:
        """Make a new table as it will stay."""
        ...

    def promote_staging(self, c: Executor, staging: str, name: str) -> None:
        """Staging becomes the table."""
        ...

    def insert_rows(self, c: Executor, name: str, staging: str, layout: Layout) -> None:
        """All staged rows, in their order."""
        ...

    def upsert_rows(self, c: Executor, name: str, staging: str, layout: Layout) -> None:
        """The last staged row of each key, over what is there."""
        ...

    def finish(self, c: Executor, name: str, staging: str, layout: Layout) -> None:
        """Last: a new table's key, if rows go in faster without; sequences past the supplied values."""
        ...


class Reader(Protocol):
    """Reading in the order of a key. `driver` is the DB-API connection, in a transaction that sees one snapshot."""

    def begin(self, connection: Any) -> Any:
        """Begin that transaction on a SQLAlchemy connection, and return its `driver`."""
        ...

    def relation(self, driver: Any, what: str, schema: str | None) -> Relation:
        """Look up a table or view, or prepare a query. Raises `SourceError`."""
        ...

    def resolve_key(self, driver: Any, relation: Relation, names: tuple[str, ...]) -> Key:
        """The key that the caller names; `proven` if one of the relation's own keys is within it."""
        ...

    def schema(self, driver: Any, relation: Relation) -> pa.Schema:
        """What the relation's columns are in Arrow."""
        ...

    def bind(self, driver: Any, relation: Relation, key: Key, values: list[Json]) -> tuple[list[str], list[Any]]:
        """SQL for a key's values, and the parameters that go with it."""
        ...

    def fetch_one(self, driver: Any, sql: str, parameters: list[Any]) -> tuple[Any, ...] | None:
        """The first row of a small query."""
        ...

    def key_at(self, driver: Any, relation: Relation, key: Key, direction: str) -> list[Json] | None:
        """The first key in `direction` ("" or " DESC"), in its JSON form; None if there are no rows."""
        ...

    def rows(
        self, driver: Any, relation: Relation, key: Key, schema: pa.Schema, where: str, parameters: list[Any]
    ) -> Generator[Chunk, None, None]:
        """The rows in the key's order, in chunks. Raises `UnreadableValue`."""
        ...

"""A checkpoint store in a database: one table, one row a run, and statements that any SQL database knows.

Laws kept here:

* A swap is one statement with the version in its WHERE, or one INSERT that a primary key lets in once: the database
  decides between processes, and no transaction is left open.
* Nothing is made before the first swap: loading from a missing table or SQLite file finds nothing.
* A COMMIT whose answer was lost is asked again, not assumed: repeating the statement waits for the first one, and
  then the stored text tells whose it is.
* No wait is without end, and no connection is shared with a forked child.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.engine import URL, Connection, Engine
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError

from resumable.checkpoint import Record
from resumable.databases.urls import (
    connect,
    missing_file,
    opened,
    plain_url,
    reason,
    remedy,
    resolved_url,
    sqlite_file,
    unreachable,
)
from resumable.errors import CorruptCheckpoint, StoreError, UsageError

__all__ = ["SqlStore"]

LOCK_TIMEOUT = 10
"""Seconds to wait for a connection, and for another process's swap."""

T = TypeVar("T")


class SqlStore:
    """Records in the table `table` of a database: any SQLAlchemy URL, or an `Engine` as it is. Safe between threads."""

    def __init__(self, database: str | URL | Engine, table: str = "resumable_checkpoints") -> None:
        if not table or "\0" in table or len(table.encode()) > 63:
            raise UsageError(f"{table!r} can't be the name of a table.", do="Use 1 to 63 bytes of text.")
        self._engine = database if isinstance(database, Engine) else connect(_with_timeout(database))
        self._own = not isinstance(database, Engine)
        if self._own and self._engine.dialect.name == "sqlite":
            sa.event.listen(self._engine, "connect", _sync_folder)
        self._adopt()
        self.location = plain_url(database if not isinstance(database, Engine) else database.url)
        if table != "resumable_checkpoints":
            self.location += f", table {table}"
        text = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")
        self._table = sa.Table(
            table,
            sa.MetaData(),
            # A hash, since databases differ in which texts they hold equal and how long a key may be.
            sa.Column("key", sa.String(64), primary_key=True),
            sa.Column("name", text, nullable=False),
            sa.Column("version", sa.BigInteger, nullable=False),
            sa.Column("record", text, nullable=False),
        )

    def load(self, name: str) -> Record | None:
        """What is known of a run; None if nothing is. Raises `StoreError` and `CorruptCheckpoint`."""
        with self._explained("read"):
            row = self._look(lambda c: c.execute(self._select(name)).one_or_none(), None)
        if row is None:
            return None
        record = Record.from_json(row.record, f"The record of run {name!r} in {self.location}")
        if record.version != row.version:
            raise CorruptCheckpoint(
                f"The record of run {name!r} in {self.location} is version {record.version}, its row {row.version}.",
                safe="Nothing was changed; the target keeps what was committed.",
                do="Restore the row from a copy, or delete it: a database target's ledger still knows the run.",
            )
        return record

    def names(self) -> list[str]:
        """The names of all runs, sorted. Raises `StoreError`."""
        nothing: Sequence[str] = ()
        with self._explained("read"):
            found = self._look(lambda c: c.execute(sa.select(self._table.c.name)).scalars().all(), nothing)
        return sorted(json.loads(f'"{name}"') for name in found)

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        """Replace the record whose version is `version` (0: there is none); None removes it. Durable on return.

        Raises `StoreError`; whether the record was replaced is then unknown, and the next `load` tells.
        """
        text = None if record is None else record.to_json()
        with self._explained("written"):
            if version == 0 and text is None:
                return self._text(name) is None
            if version != 0 and self._missing_file():
                return False
            change = self._change(name, version, record, text)
            try:
                return self._decide(change, make=version == 0)
            except DBAPIError as error:
                if not error.connection_invalidated:
                    raise
            return self._decide(change, make=version == 0) or self._text(name) == text

    def describe(self) -> str:
        """What it is and what rests on it."""
        return f"Checkpoints are kept in the table {self._table.name} of {plain_url(self._engine.url)}, a row a run."

    def __repr__(self) -> str:
        return f"<SqlStore {self.location}>"

    def _select(self, name: str) -> sa.Select[tuple[int, str]]:
        return sa.select(self._table.c.version, self._table.c.record).where(self._table.c.key == _key(name))

    def _change(
        self, name: str, version: int, record: Record | None, text: str | None
    ) -> sa.Insert | sa.Update | sa.Delete:
        table = self._table
        mine = (table.c.key == _key(name)) & (table.c.version == version)
        if record is None:
            return sa.delete(table).where(mine)
        if version == 0:
            return sa.insert(table).values(key=_key(name), name=_shown(name), version=record.version, record=text)
        return sa.update(table).where(mine).values(version=record.version, record=text)

    def _decide(self, change: sa.Insert | sa.Update | sa.Delete, make: bool) -> bool:
        """Let the database decide on the change; a missing table is made, or has no row to change."""
        for attempt in (1, 2):
            try:
                return self._commit(change)
            except DBAPIError as error:
                if attempt == 2 or not _without_table(error):
                    raise
            if make:
                self._make()
            elif self._missing_table():
                return False
        raise AssertionError

    def _make(self) -> None:
        try:
            with self._writing() as connection:
                self._table.create(connection, checkfirst=True)
        except DBAPIError:
            if self._missing_table():  # otherwise another process made it at the same moment
                raise

    def _commit(self, change: sa.Insert | sa.Update | sa.Delete) -> bool:
        try:
            with self._writing() as connection:
                changed = connection.execute(change)
                return change.is_insert or changed.rowcount == 1
        except IntegrityError:
            return False  # the row is there already

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction that doesn't wait for ever for one of a process that hangs."""
        with self._connected() as connection, connection.begin():
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}s'")
            yield connection

    def _text(self, name: str) -> str | None:
        row = self._look(lambda c: c.execute(self._select(name)).one_or_none(), None)
        return None if row is None else row.record

    def _look(self, look: Callable[[Connection], T], nothing: T) -> T:
        """What a query finds; `nothing` if there is no table yet. A broken connection is replaced, once."""
        if self._missing_file():
            return nothing
        for attempt in (1, 2):
            try:
                with self._connected() as connection:
                    return look(connection)
            except DBAPIError as error:
                # The table may have been made since: then look again.
                if _without_table(error):
                    if self._missing_table():
                        return nothing
                elif not error.connection_invalidated:
                    raise
                if attempt == 2:
                    raise
        raise AssertionError

    def _missing_table(self) -> bool:
        with self._connected() as connection:
            return not sa.inspect(connection).has_table(self._table.name)

    def _missing_file(self) -> bool:
        """Whether this is a SQLite file that isn't there: connecting would make it."""
        return bool(missing_file(self._engine.url))

    def _adopt(self) -> None:
        """Connections are this process's from here on, and closed with the store if the engine is its own."""
        self._pid = os.getpid()
        if self._own:
            weakref.finalize(self, _close, self._engine, self._pid)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[Connection]:
        if self._pid != os.getpid():  # a forked child: these connections are its parent's
            self._engine.dispose(close=False)
            self._adopt()
        with opened(self._engine) as connection:
            if connection.dialect.name == "postgresql":
                connection = connection.execution_options(isolation_level="READ COMMITTED")
            yield connection

    @contextlib.contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError) as error:
            told = StoreError(
                f"The store {self.location} can't be {what}: {reason(error, self._engine.url)}.",
                safe="What was committed is safe.",
                do=remedy(error) or "See that the database is there, reachable and writable, and run the same again.",
            )
            told.transient = unreachable(error) or getattr(error, "connection_invalidated", False)
            raise told from None  # the driver's own report may show what it was given


def _sync_folder(connection: Any, record: object) -> None:
    """With SQLite's own default, FULL, a power cut may bring back the journal of the last commit, and undo it."""
    connection.execute("PRAGMA synchronous = EXTRA")


def _close(engine: Engine, pid: int) -> None:
    if pid == os.getpid():
        engine.dispose()


def _without_table(error: DBAPIError) -> bool:
    """Whether the table may have been missing; SQLite has no error of its own for that."""
    return isinstance(error, ProgrammingError) or "no such table" in str(error.orig)


def _with_timeout(database: str | URL) -> URL:
    """The URL with an end to every wait that it doesn't set itself."""
    url = resolved_url(database)
    waits: dict[str, str] = {}
    if url.get_backend_name() == "sqlite":
        if sqlite_file(url) is None:
            raise UsageError(
                "A SQLite database in memory can't be a checkpoint store.",
                do="Name a file, sqlite:///runs.db, or use resumable.stores.MemoryStore().",
            )
        waits = {"timeout": str(LOCK_TIMEOUT)}
    return url.update_query_dict({wait: end for wait, end in waits.items() if wait not in url.query})


def _key(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _shown(name: str) -> str:
    """The name as JSON writes it between quotes: readable, and without NUL and lone surrogates."""
    return json.dumps(name, ensure_ascii=False)[1:-1].encode("utf-8", "backslashreplace").decode()

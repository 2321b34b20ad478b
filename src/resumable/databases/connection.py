"""One connection to the target database: its transactions, its quoting, its errors in our words.

Laws kept here:

* No transaction is open but between `begin` and `commit` or `rollback`.
* No password and no value of a row gets into a message.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import SQLAlchemyError

from resumable.databases.protocols import Dialect
from resumable.databases.tables import Where, locate
from resumable.databases.urls import connect, lost, opened, plain_url, redact, remedy, unreachable
from resumable.errors import ResumableError, TargetError, UsageError

__all__ = ["Connection", "ours"]

_OURS = re.compile(r"resumable_(ledger|[0-9a-f]{10}_[0-9a-z]+_[0-9a-f]{8})")


def ours(name: str) -> bool:
    """Whether a table's name is one of our own: the ledger's or a staging table's."""
    return _OURS.fullmatch(name) is not None


def _dialect(engine: Engine) -> Dialect:
    # Drivers are imported only where they are used.
    if engine.dialect.name == "sqlite":
        from resumable.databases.sqlite.write import Sqlite

        return Sqlite()
    if engine.dialect.name == "postgresql":
        from resumable.databases.postgresql.write import Postgresql

        return Postgresql()
    raise UsageError(
        f"{engine.dialect.name} can't be a target yet.", safe="Nothing was touched.", do="Use SQLite or PostgreSQL."
    )


class Connection:
    """A connection of our own, for the sake of a `table`. Close it, or use it as a context manager.

    `where` is the table that this name means; `schema`, where the table lies; `beside`, where our own tables do (None:
    in the same).
    """

    def __init__(self, engine: Engine, url: str | URL, *, dispose: bool) -> None:
        self.engine, self.url, self._dispose = engine, url, dispose
        self.dialect = _dialect(engine)
        self.in_transaction = False
        self.schema = self.beside = ""

    @classmethod
    def open(
        cls,
        target: str | URL | Engine,
        schema: str | None,
        table: str,
        beside: str | None = None,
        *,
        dispose: bool = False,
    ) -> Connection:
        """Connect, and look the table up. `dispose`: of the target's engine as well, when the connection is closed."""
        url = target.url if isinstance(target, Engine) else target
        c = cls(connect(target), url, dispose=dispose or not isinstance(target, Engine))
        try:
            c._connect(schema, table, beside)
        except BaseException:
            c.close()
            raise
        return c

    def _connect(self, schema: str | None, table: str, beside: str | None) -> None:
        there = "the server runs and can be reached, and check database, user and password"
        if self.engine.dialect.name == "sqlite":
            there = "its folder exists and may be written"
        what = f"The database {plain_url(self.url)} can't be opened"
        with self.errors(what, safe="Nothing was changed.", do=f"See that {there}; then run the same again."):
            self.sa: sa.Connection = opened(self.engine)
            self.dialect.attach(self)
            self.where = self.locate(table, schema)
            self.schema = self.beside = self.dialect.home(self, self.where, schema)
            if beside is not None:
                self.beside = self.dialect.home(self, self.locate(table, beside), beside)
            self.rollback()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @property
    def raw(self) -> Any:
        """The driver's own connection."""
        # Not `driver_connection`: a detached connection has none.
        return self.sa.connection.dbapi_connection

    def close(self) -> None:
        """Drop what wasn't committed, and the connection."""
        if hasattr(self, "sa") and not self.sa.closed:
            self._end()
        if self._dispose:
            self.engine.dispose()

    def _end(self) -> None:
        with contextlib.suppress(SQLAlchemyError, self.dialect.error):
            self.rollback()
            self.dialect.detach(self)
        with contextlib.suppress(SQLAlchemyError, self.dialect.error):
            self.sa.close()

    def quote(self, name: str) -> str:
        """The name, for SQL."""
        return self.engine.dialect.identifier_preparer.quote_identifier(name)

    def qualified(self, name: str) -> str:
        """A table's name with its schema, for SQL."""
        return f"{self.quote(self.space(name))}.{self.quote(name)}"

    def space(self, name: str) -> str:
        """The schema in which a table of that name lies."""
        return self.beside if ours(name) else self.schema

    def move(self, schema: str) -> None:
        """The table lies there, and so do our own, unless they were put elsewhere."""
        self.schema, self.beside = schema, schema if self.beside == self.schema else self.beside

    def locate(self, table: str, schema: str | None) -> Where:
        """Which table a name means."""

        def ask(sql: str, *values: str) -> Any:
            return self.sa.exec_driver_sql(sql, values or None).all()

        return locate(self.dialect.name, ask, table, schema)

    def list(self, names: Any, prefix: str = "") -> str:
        """Quoted names, with commas between them."""
        return ", ".join(prefix + self.quote(name) for name in names)

    def sql(self, text: str, **values: Any) -> Any:
        """Run a statement. With values it takes `:name` and no quoted names; without, quoted names and nothing else.

        The result is a `sqlalchemy.CursorResult`, whose type SQLAlchemy 2.0 and 2.1 spell differently.
        """
        return self.sa.execute(sa.text(text), values) if values else self.sa.exec_driver_sql(text)

    def begin(self) -> None:
        """Begin a transaction that will write, unless one is open."""
        if not self.in_transaction:
            self.dialect.begin(self)
            self.in_transaction = True

    def commit(self) -> None:
        """Make it durable. An error leaves open whether it is: `ConnectionLost`, or rolled back."""
        self.sa.commit()
        self.in_transaction = False

    def rollback(self) -> None:
        """Drop what wasn't committed."""
        self.in_transaction = False
        self.sa.rollback()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction, committed at the end, rolled back by an error."""
        try:
            self.begin()
            yield
            self.commit()
        except BaseException:
            with contextlib.suppress(SQLAlchemyError, self.dialect.error):
                self.rollback()
            raise

    def retry_on_lock(self, act: Callable[[], None], staging: str, table: str) -> None:
        """Run `act` in a transaction; again if a lock on our staging or the table is in the way, then say whose."""
        for left in reversed(range(self.dialect.tries)):
            try:
                with self.transaction():
                    act()
                return
            except SQLAlchemyError as error:
                if not self.dialect.locked(error):
                    raise
                with contextlib.suppress(SQLAlchemyError), self.transaction():  # it may not be ours to end
                    self.dialect.evict(self, staging)
                if not left:
                    who = self.dialect.holders(self, table, staging)
                    raise self.failure(error, f"Table {table!r} is locked ({who})") from None
            time.sleep(0.2)

    @contextlib.contextmanager
    def savepoint(self, name: str) -> Iterator[None]:
        """All that is in it, or after an error nothing of it."""
        self.sql(f"SAVEPOINT {name}")
        try:
            yield
        except BaseException:
            with contextlib.suppress(SQLAlchemyError, self.dialect.error):
                self.sql(f"ROLLBACK TO SAVEPOINT {name}")
                self.sql(f"RELEASE SAVEPOINT {name}")
            raise
        self.sql(f"RELEASE SAVEPOINT {name}")

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Reads, with no transaction left open, and no wait without end."""
        try:
            if not self.in_transaction:
                self.dialect.look(self)
            yield
        finally:
            if not self.in_transaction:
                with contextlib.suppress(SQLAlchemyError, self.dialect.error):
                    self.rollback()

    @contextlib.contextmanager
    def errors(self, what: str, *, safe: str = "", do: str = "") -> Iterator[None]:
        """The database's errors become ours."""
        try:
            yield
        except (SQLAlchemyError, OSError, self.dialect.error) as error:
            raise self.failure(error, what, safe=safe, do=do) from None

    def failure(self, error: BaseException, what: str, *, safe: str = "", do: str = "") -> ResumableError:
        """`ConnectionLost` if the connection broke, else `TargetError`, in the database's words."""
        said = redact(self.dialect.words(error), self.url)
        broken = getattr(error, "connection_invalidated", False)
        if broken or (hasattr(self, "sa") and self.dialect.lost(self)):
            return lost(said)
        if self.dialect.locked(error):
            do = "Run the same again once it is free; if that process hangs, end it."
        told = TargetError(
            f"{what}: {said}.",
            safe=safe or "All that was committed is safe.",
            do=remedy(error) or do or "Put that right in the database, then run the same again.",
        )
        told.transient = unreachable(error)
        return told

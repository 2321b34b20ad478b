"""One connection to the target database: its transactions, its quoting, its errors in our words.

Laws kept here:

* No transaction is open but between `begin` and `commit` or `rollback`.
* No password and no value of a row gets into a message.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import SQLAlchemyError

from resumable.databases import drivers
from resumable.databases.driver_errors import translate
from resumable.databases.executor import Executor
from resumable.databases.tables import Where, locate
from resumable.databases.urls import connect, opened, plain_url
from resumable.errors import ResumableError, TargetError, UsageError
from resumable.redaction import redact

__all__ = ["Connection"]


class Connection(Executor):
    """A connection of our own, for the sake of a `table`. Close it, or use it as a context manager.

    `where` is the table that this name means; `schema`, where the table lies; `own_schema`, where our own tables do (None:
    in the same).
    """

    def __init__(self, engine: Engine, url: str | URL, *, dispose: bool) -> None:
        database = drivers.find(engine.dialect.name)
        if database is None:
            raise UsageError(
                f"{engine.dialect.name} can't be a target yet.",
                do="Use SQLite or PostgreSQL.",
            )
        super().__init__(engine, database.traits)
        self.database, self.url, self._dispose = database, url, dispose
        self.in_transaction = False

    @classmethod
    def open(
        cls,
        target: str | URL | Engine,
        schema: str | None,
        table: str,
        own_schema: str | None = None,
        *,
        dispose: bool = False,
    ) -> Connection:
        """Connect, and look the table up. `dispose`: of the target's engine as well, when the connection is closed."""
        url = target.url if isinstance(target, Engine) else target
        c = cls(connect(target), url, dispose=dispose or not isinstance(target, Engine))
        try:
            c._connect(schema, table, own_schema)
        except BaseException:
            c.close()
            raise
        return c

    def _connect(self, schema: str | None, table: str, own_schema: str | None) -> None:
        there = "the server runs and can be reached, and check database, user and password"
        if self.engine.dialect.name == "sqlite":
            there = "its folder exists and may be written"
        what = f"The database {plain_url(self.url)} can't be opened"
        with self.errors(what, safe="Nothing was changed.", do=f"See that {there}; then run the same again."):
            self.sa: sa.Connection = opened(self.engine)
            self.database.session.configure(self)
            self.where = self.locate(table, schema)
            self.schema = self.own_schema = self.database.session.default_schema(self, self.where, schema)
            if own_schema is not None:
                self.own_schema = self.database.session.default_schema(self, self.locate(table, own_schema), own_schema)
            self.rollback()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop what wasn't committed, and the connection."""
        if hasattr(self, "sa") and not self.sa.closed:
            self._end()
        if self._dispose:
            self.engine.dispose()

    def _end(self) -> None:
        with contextlib.suppress(SQLAlchemyError, self.traits.driver_error):
            self.rollback()
            self.database.session.restore(self)
        with contextlib.suppress(SQLAlchemyError, self.traits.driver_error):
            self.sa.close()

    def locate(self, table: str, schema: str | None) -> Where:
        """Which table a name means."""

        def ask(sql: str, *values: str) -> Any:
            return self.sa.exec_driver_sql(sql, values or None).all()

        return locate(self.traits, self.database.namespace(ask), table, schema)

    def begin(self) -> None:
        """Begin a transaction that will write, unless one is open."""
        if not self.in_transaction:
            self.database.session.begin(self)
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
            with contextlib.suppress(SQLAlchemyError, self.traits.driver_error):
                self.rollback()
            raise

    def retry_on_lock(self, act: Callable[[], None], staging: str, table: str) -> None:
        """Run `act` in a transaction; again if a lock on our staging or the table is in the way, then say whose."""
        for left in reversed(range(self.traits.lock_attempts)):
            try:
                with self.transaction():
                    act()
                return
            except SQLAlchemyError as error:
                if not self.traits.is_locked(error):
                    raise
                with contextlib.suppress(SQLAlchemyError), self.transaction():  # it may not be ours to end
                    self.database.locks.terminate_lock_holders(self, staging)
                if not left:
                    who = self.database.locks.describe_lock_holders(self, table, staging)
                    raise self.failure(error, f"Table {table!r} is locked ({who})") from None
            time.sleep(0.2)

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """Reads, with no transaction left open, and no wait without end."""
        try:
            if not self.in_transaction:
                self.database.session.begin_read(self)
            yield
        finally:
            if not self.in_transaction:
                with contextlib.suppress(SQLAlchemyError, self.traits.driver_error):
                    self.rollback()

    @contextlib.contextmanager
    def errors(self, what: str, *, safe: str = "", do: str = "") -> Iterator[None]:
        """The database's errors become ours."""
        try:
            yield
        except (SQLAlchemyError, OSError, self.traits.driver_error) as error:
            raise self.failure(error, what, safe=safe, do=do) from None

    def failure(self, error: BaseException, what: str, *, safe: str = "", do: str = "") -> ResumableError:
        """`ConnectionLost` if the connection broke, else `TargetError`, in the database's words."""
        if self.traits.is_locked(error):
            do = "Run the same again once it is free; if that process hangs, end it."
        return translate(
            error,
            TargetError,
            what,
            redact(self.database.session.error_message(error), self.url),
            broken=hasattr(self, "sa") and self.is_lost(),
            safe=safe or "All that was committed is safe.",
            do=do or "Put that right in the database, then run the same again.",
        )

    def is_lost(self) -> bool:
        """Whether the connection is broken."""
        return self.database.session.is_lost(self)

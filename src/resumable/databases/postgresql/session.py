"""A connection to PostgreSQL as a target."""

from __future__ import annotations

import re

import psycopg

from resumable.databases.executor import Executor
from resumable.databases.postgresql.privileges import no_usable_schema
from resumable.databases.tables import Where
from resumable.databases.urls import reason
from resumable.errors import TargetError, UsageError

__all__ = ["PostgresqlSession", "error_message"]

LOCK_TIMEOUT = "3s"
"""How long to wait for a lock: whoever wants the table behind us waits as well."""


class PostgresqlSession:
    """See `Session`."""

    def configure(self, c: Executor) -> None:
        if not isinstance(c.raw, psycopg.Connection):
            raise UsageError(
                f"The engine's driver is {c.engine.dialect.driver}, which has no COPY that fits.",
                do="Make the engine with postgresql+psycopg:// (psycopg 3).",
            )
        c.sa.detach()  # a dismissed connection must not be somebody else's meanwhile
        c.raw.rollback()
        c.raw.autocommit, c.raw.isolation_level = False, psycopg.IsolationLevel.READ_COMMITTED

    def restore(self, c: Executor) -> None: ...

    def default_schema(self, c: Executor, where: Where, schema: str | None) -> str:
        if where.schema is None and schema is None:
            what, do = no_usable_schema(c) or (
                "the search_path names no schema that is there",
                "Make it, or give schema=.",
            )
            raise TargetError(f"{what[0].upper()}{what[1:]}.", safe="Nothing was changed.", do=do)
        if where.schema is None:
            raise TargetError(
                f"The database has no schema {schema!r}.",
                safe="Nothing was changed.",
                do=f"Make it (CREATE SCHEMA {c.quote(schema or '')}), or name another.",
            )
        return where.schema

    def begin(self, c: Executor) -> None:
        c.sql(
            "SELECT set_config('lock_timeout', :wait, true), set_config('synchronize_seqscans', 'off', true)",
            wait=LOCK_TIMEOUT,
        )

    def begin_read(self, c: Executor) -> None:
        self.begin(c)

    def is_lost(self, c: Executor) -> bool:
        return c.sa.invalidated or bool(c.raw.closed)

    def error_message(self, error: BaseException) -> str:
        return error_message(error)


def error_message(error: BaseException) -> str:
    """What PostgreSQL says, without row values and the names of our tables."""
    text = re.sub(r'(relation )?"resumable_[0-9a-f]{10}_\w+"', "the table", reason(error))
    state = getattr(getattr(error, "orig", None) or error, "sqlstate", None) or ""
    # Data exceptions quote the value; elsewhere quotes are for names.
    return re.sub(r':? "(?:[^"]|"")*"', "", text) if state.startswith("22") else text

"""Locks in PostgreSQL, and the connections that hold them."""

from __future__ import annotations

import json

from resumable.databases.executor import Executor

__all__ = ["PostgresqlLocks"]


class PostgresqlLocks:
    """See `Locks`."""

    def backend_id(self, c: Executor) -> str:
        query = (
            "SELECT pid, CAST(backend_start AS text) FROM pg_stat_activity WHERE pid = pg_backend_pid() AND :one = 1"
        )
        return json.dumps(list(c.sql(query, one=1).one()))

    def terminate_backend(self, c: Executor, backend: str) -> None:
        # The start tells it from a later connection that was given the same number.
        pid, start = json.loads(backend)
        c.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = :pid AND pid <> pg_backend_pid()"
            " AND CAST(backend_start AS text) = :start",
            pid=pid,
            start=start,
        ).all()

    def terminate_lock_holders(self, c: Executor, staging: str) -> None:
        c.sql(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_class t ON t.oid = l.relation"
            " JOIN pg_namespace n ON n.oid = t.relnamespace WHERE t.relname = :name AND n.nspname = :schema"
            " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND l.granted AND l.mode = 'RowExclusiveLock' AND l.pid <> pg_backend_pid()",
            name=staging,
            schema=c.schema_of(staging),
        ).all()

    def lock_exclusive(self, c: Executor, name: str) -> None:
        c.sql(f"LOCK TABLE {c.qualified(name)} IN ACCESS EXCLUSIVE MODE")

    def describe_lock_holders(self, c: Executor, name: str, staging: str = "") -> str:
        rows = c.sql(
            "SELECT DISTINCT l.pid, a.usename, a.application_name FROM pg_locks l LEFT JOIN pg_class t ON t.oid = l.relation"
            " LEFT JOIN pg_namespace n ON n.oid = t.relnamespace LEFT JOIN pg_stat_activity a ON a.pid = l.pid"
            " WHERE l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND l.granted AND l.pid <> pg_backend_pid() AND l.relation IS NOT NULL"
            " AND ((n.nspname = :beside AND t.relname = :staging)"
            " OR (n.nspname = :schema AND t.relname = :name AND l.mode NOT IN ('AccessShareLock', 'RowShareLock'))"
            # A table whose making isn't committed can't be seen; who makes one can.
            " OR (t.oid IS NULL AND l.mode = 'AccessExclusiveLock'"
            " AND to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:name AS text))) IS NULL))",
            name=name,
            staging=staging,
            schema=c.schema_of(name),
            beside=c.own_schema,
        ).all()
        holders = [f"backend {pid} of {user}{f' ({program})' if program else ''}" for pid, user, program in rows]
        return f"{', '.join(holders)} holds it" if holders else "it is free by now"

"""Publishing in PostgreSQL."""

from __future__ import annotations

from resumable.databases.executor import Executor
from resumable.databases.inserting import insert, upsert
from resumable.databases.postgresql.load import column_declarations
from resumable.databases.postgresql.sequences import move, sequences
from resumable.databases.relations import Layout

__all__ = ["PostgresqlPublisher"]


class PostgresqlPublisher:
    """See `Publisher`."""

    def lock_target(self, c: Executor, name: str, layout: Layout) -> None:
        # Readers go on; in a replace other writers wait, or what they add meanwhile would stay.
        mode = "SHARE ROW EXCLUSIVE" if layout.mode == "replace" else "ROW EXCLUSIVE"
        c.sql(f"LOCK TABLE {c.qualified(name)} IN {mode} MODE")
        if layout.mode == "replace":
            c.sql("SET CONSTRAINTS ALL DEFERRED")

    def create_table(self, c: Executor, name: str, layout: Layout) -> None:
        key = [f"PRIMARY KEY ({c.list(layout.key)})"] if layout.key and layout.mode != "new" else []
        c.sql(f"CREATE TABLE {c.qualified(name)} ({', '.join([*column_declarations(c, layout), *key])})")

    def promote_staging(self, c: Executor, staging: str, name: str) -> None:
        home = c.quote(c.schema)
        if c.own_schema != c.schema:
            c.sql(f"ALTER TABLE {c.qualified(staging)} SET SCHEMA {home}")
        c.sql(f"ALTER TABLE {home}.{c.quote(staging)} RENAME TO {c.quote(name)}")

    def insert_rows(self, c: Executor, name: str, staging: str, layout: Layout) -> None:
        insert(c, name, staging, layout, _overriding(layout))

    def upsert_rows(self, c: Executor, name: str, staging: str, layout: Layout) -> None:
        upsert(c, name, staging, layout, _overriding(layout))

    def finish(self, c: Executor, name: str, staging: str, layout: Layout) -> None:
        if layout.table is None and layout.mode == "new":
            c.sql(f"ALTER TABLE {c.qualified(name)} ADD PRIMARY KEY ({c.list(layout.key)})")
        if layout.table is None:
            return
        for sequence in sequences(c, name):
            if sequence.column in layout.columns:
                move(c, sequence, c.qualified(staging))


def _overriding(layout: Layout) -> str:
    """What an INSERT must say to set identity columns."""
    columns = layout.table.columns if layout.table else ()
    return "OVERRIDING SYSTEM VALUE " if any(x.always_identity and x.name in layout.columns for x in columns) else ""

"""Publishing in SQLite."""

from __future__ import annotations

from resumable.databases.executor import Executor
from resumable.databases.inserting import insert, upsert
from resumable.databases.relations import Layout
from resumable.databases.sqlite.load import create_table

__all__ = ["SqlitePublisher"]


class SqlitePublisher:
    """See `Publisher`. AUTOINCREMENT follows by itself."""

    insert_rows = staticmethod(insert)
    upsert_rows = staticmethod(upsert)

    def lock_target(self, c: Executor, name: str, layout: Layout) -> None:
        if layout.mode == "replace":
            c.sql("PRAGMA defer_foreign_keys = ON")  # until this transaction ends

    def create_table(self, c: Executor, name: str, layout: Layout) -> None:
        create_table(c, name, layout, staged=False)

    def promote_staging(self, c: Executor, staging: str, name: str) -> None:
        # Without it, any broken view elsewhere in the database makes a rename fail.
        legacy = c.sql("PRAGMA legacy_alter_table").scalar_one()
        c.sql("PRAGMA legacy_alter_table = ON")
        try:
            c.sql(f"ALTER TABLE {c.qualified(staging)} RENAME TO {c.quote(name)}")
        finally:
            c.sql(f"PRAGMA legacy_alter_table = {int(legacy)}")

    def finish(self, c: Executor, name: str, staging: str, layout: Layout) -> None: ...

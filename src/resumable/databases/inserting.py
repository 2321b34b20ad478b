"""What databases with savepoints and INSERT ... ON CONFLICT have in common."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from sqlalchemy.exc import SQLAlchemyError

from resumable.databases.executor import Executor
from resumable.databases.relations import AGE, ROW, Layout, Unique

__all__ = ["insert", "key_terms", "savepoint", "upsert"]


@contextlib.contextmanager
def savepoint(c: Executor, point: str, name: str = "", numbers: Sequence[int] = ()) -> Iterator[None]:
    """All that is in it, or after an error nothing of it.

    Where there are no savepoints, the rows of these `numbers` are deleted from staging, the table `name`.
    """
    if c.traits.savepoints:
        c.sql(f"SAVEPOINT {point}")
    try:
        yield
    except BaseException:
        with contextlib.suppress(SQLAlchemyError, c.traits.driver_error):
            if c.traits.savepoints:
                c.sql(f"ROLLBACK TO SAVEPOINT {point}")
                c.sql(f"RELEASE SAVEPOINT {point}")
            elif numbers:
                c.sql(f"DELETE FROM {c.qualified(name)} WHERE {ROW} BETWEEN {numbers[0]} AND {numbers[-1]}")
        raise
    if c.traits.savepoints:
        c.sql(f"RELEASE SAVEPOINT {point}")


def insert(c: Executor, name: str, staging: str, layout: Layout, overriding: str = "") -> None:
    """All staged rows; `overriding` is what the INSERT must say to set identity columns."""
    columns = c.list(layout.columns)
    c.sql(
        f"INSERT INTO {c.qualified(name)} ({columns}) {overriding}"
        f"SELECT {columns} FROM {c.qualified(staging)} s ORDER BY {ROW}"
    )


def upsert(c: Executor, name: str, staging: str, layout: Layout, overriding: str = "") -> None:
    """The last staged row of each key, over what is there."""
    columns = c.list(layout.columns)
    by, at = key_terms(c, layout.unique, "s."), key_terms(c, layout.unique)
    rest = [f"{c.quote(x)} = excluded.{c.quote(x)}" for x in layout.columns if x not in layout.key]
    act = f"DO UPDATE SET {', '.join(rest)}" if rest else "DO NOTHING"
    c.sql(
        f"INSERT INTO {c.qualified(name)} ({columns}) {overriding}SELECT {columns} FROM ("
        f"SELECT s.*, row_number() OVER (PARTITION BY {', '.join(by)} ORDER BY s.{ROW} DESC) AS {AGE}"
        f" FROM {c.qualified(staging)} s) l WHERE {AGE} = 1 ORDER BY {ROW}"
        f" ON CONFLICT ({', '.join(at)}) {act}"
    )


def key_terms(c: Executor, unique: Unique, prefix: str = "") -> list[str]:
    """The key's columns as they are compared."""
    terms = []
    for column in unique.columns:
        collation = f" COLLATE {c.quote(unique.collations[column])}" if column in unique.collations else ""
        terms.append(f"{prefix}{c.quote(column)}{collation}")
    return terms

"""Loading PostgreSQL: COPY on SQLAlchemy's own connection, so that rows and ledger share a transaction.

* Arrow writes the CSV that COPY reads: NULL is an empty field and "" a quoted one, NaN, infinity, decimals and time
  zones survive; bytes go as hex.
* Staging is an ordinary, logged table: an UNLOGGED one is empty after a crash while the ledger says that rows are
  there.
* A table has no order here: a row may lie in what longer rows before it have left free. So what is staged has its
  number in a column; a new table with a key is filled from there, since a column that is dropped leaves a trace in
  the table for ever. One without a key needs no numbers: staging is renamed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import psycopg
import pyarrow as pa
import pyarrow.csv
import sqlalchemy as sa
from psycopg import sql as names

from resumable.databases.executor import Executor
from resumable.databases.inserting import savepoint
from resumable.databases.postgresql.session import error_message
from resumable.databases.postgresql.to_sql import copied, takes, unrepresentable
from resumable.databases.postgresql.types import POSTGRESQL_TYPES
from resumable.databases.relations import ROW, Column, Layout
from resumable.databases.types import sql_type

__all__ = ["PostgresqlLoader", "column_declarations"]

_DIALECT = sa.make_url("postgresql+psycopg://").get_dialect()()
SLICE_ROWS = 4096
"""Rows sent at once: the server parses them while the next are made into text."""


def _declaration(field: pa.Field) -> str:
    kind: str = sql_type(field.type, POSTGRESQL_TYPES, field.name).compile(dialect=_DIALECT)
    return kind


class PostgresqlLoader:
    """See `Loader`."""

    declaration = staticmethod(_declaration)
    unrepresentable = staticmethod(unrepresentable)
    savepoint = staticmethod(savepoint)

    def column_conflict(self, kind: pa.DataType, column: Column) -> str | None:
        return "" if takes(kind, column) else None

    def create_staging(self, c: Executor, staging: str, layout: Layout) -> None:
        if layout.table is None:
            extra = [f"{ROW} bigint"] if layout.numbered else []
            c.sql(f"CREATE TABLE {c.qualified(staging)} ({', '.join([*column_declarations(c, layout), *extra])})")
            return
        like = c.qualified(layout.table.name)
        c.sql(f"CREATE TABLE {c.qualified(staging)} (LIKE {like} INCLUDING CONSTRAINTS)")
        # A column that isn't supplied goes, with its CHECKs: its default is taken when the rows are published.
        changes = [f"DROP COLUMN {c.quote(x.name)}" for x in layout.table.columns if x.name not in layout.columns]
        if layout.mode == "upsert" and not layout.unique.nulls_equal:
            changes += [f"ALTER COLUMN {c.quote(name)} SET NOT NULL" for name in layout.key]
        c.sql(f"ALTER TABLE {c.qualified(staging)} {', '.join([*changes, f'ADD COLUMN {ROW} bigint'])}")

    def insert_batch(
        self, c: Executor, name: str, layout: Layout, rows: pa.RecordBatch, numbers: Sequence[int]
    ) -> None:
        columns = {field.name: copied(column) for field, column in zip(rows.schema, rows.columns, strict=True)}
        if layout.numbered:
            columns[ROW] = pa.array(numbers, pa.int64())
        table = names.Identifier(c.schema_of(name), name)
        into = names.SQL(", ").join(map(names.Identifier, columns))
        copy = names.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')").format(table, into)
        data = pa.table(columns)
        with c.raw.cursor() as cursor, cursor.copy(copy) as stream:
            for at in range(0, data.num_rows, SLICE_ROWS):
                text = io.BytesIO()
                pyarrow.csv.write_csv(data.slice(at, SLICE_ROWS), text, pyarrow.csv.WriteOptions(include_header=False))
                stream.write(text.getbuffer())

    def row_error(self, error: BaseException) -> tuple[str, str | None] | None:
        origin = getattr(error, "orig", None) or error
        state = getattr(origin, "sqlstate", None) or ""
        if not isinstance(origin, psycopg.Error) or not (state[:2] in ("22", "23", "54") or state == "P0001"):
            return None
        context = re.search(r"(?m)^COPY .*?, line \d+, column (.+?)(?:: \"|: null|$)", origin.diag.context or "")
        return error_message(origin), origin.diag.column_name or (context[1] if context else None)


def column_declarations(c: Executor, layout: Layout) -> list[str]:
    """The columns of a new table."""
    out = []
    for column in layout.rows:
        kind = _declaration(column)
        out.append(f"{c.quote(column.name)} {kind}{' NOT NULL' if column.name in layout.key else ''}")
    return out

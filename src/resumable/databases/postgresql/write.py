"""PostgreSQL as a target: COPY on SQLAlchemy's own connection, so that rows and ledger share a transaction.

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
import json
import re
from collections.abc import Sequence

import psycopg
import pyarrow as pa
import pyarrow.csv
from psycopg import sql as names

import resumable.databases.postgresql.privileges as rights
from resumable.databases.connection import Connection
from resumable.databases.postgresql.catalog import describe, features, shape
from resumable.databases.postgresql.sequences import move, sequences
from resumable.databases.postgresql.to_sql import copied, odd, takes
from resumable.databases.relations import ROW, Column, Features, Layout, Refusal, Table
from resumable.databases.tables import Where
from resumable.databases.types import sql_type
from resumable.databases.urls import reason
from resumable.errors import TargetError, UsageError

__all__ = ["Postgresql"]

PATIENCE = "3s"
"""How long to wait for a lock: whoever wants the table behind us waits as well."""
PIECE = 4096
"""Rows sent at once: the server parses them while the next are made into text."""
_SYSTEM = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}


class Postgresql:
    """See `Dialect`."""

    name = "postgresql"
    now = "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"
    error: type[Exception] = psycopg.Error
    tries = 4

    def attach(self, c: Connection) -> None:
        if not isinstance(c.raw, psycopg.Connection):
            raise UsageError(
                f"The engine's driver is {c.engine.dialect.driver}, which has no COPY that fits.",
                safe="Nothing was touched.",
                do="Make the engine with postgresql+psycopg:// (psycopg 3).",
            )
        c.sa.detach()  # a dismissed connection must not be somebody else's meanwhile
        c.raw.rollback()
        c.raw.autocommit, c.raw.isolation_level = False, psycopg.IsolationLevel.READ_COMMITTED

    def detach(self, c: Connection) -> None: ...

    def home(self, c: Connection, where: Where, schema: str | None) -> str:
        if where.schema is None and schema is None:
            what, do = rights.hidden(c) or (
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

    def begin(self, c: Connection) -> None:
        c.sql(
            "SELECT set_config('lock_timeout', :wait, true), set_config('synchronize_seqscans', 'off', true)",
            wait=PATIENCE,
        )

    def look(self, c: Connection) -> None:
        self.begin(c)

    def lost(self, c: Connection) -> bool:
        return c.sa.invalidated or bool(c.raw.closed)

    def locked(self, error: BaseException) -> bool:
        # A deadlock too: a fenced-off runner that wakes holds staging and wants the ledger's row, we the other way round.
        return getattr(getattr(error, "orig", None) or error, "sqlstate", None) in ("55P03", "40P01")

    def words(self, error: BaseException) -> str:
        text = re.sub(r'(relation )?"resumable_[0-9a-f]{10}_\w+"', "the table", reason(error))
        state = getattr(getattr(error, "orig", None) or error, "sqlstate", None) or ""
        # Data exceptions quote the value; elsewhere quotes are for names.
        return re.sub(r':? "(?:[^"]|"")*"', "", text) if state.startswith("22") else text

    def fault(self, error: BaseException) -> tuple[str, str | None] | None:
        origin = getattr(error, "orig", None) or error
        state = getattr(origin, "sqlstate", None) or ""
        if not isinstance(origin, psycopg.Error) or not (state[:2] in ("22", "23", "54") or state == "P0001"):
            return None
        context = re.search(r"(?m)^COPY .*?, line \d+, column (.+?)(?:: \"|: null|$)", origin.diag.context or "")
        return self.words(origin), origin.diag.column_name or (context[1] if context else None)

    def backend(self, c: Connection) -> str:
        query = (
            "SELECT pid, CAST(backend_start AS text) FROM pg_stat_activity WHERE pid = pg_backend_pid() AND :one = 1"
        )
        return json.dumps(list(c.sql(query, one=1).one()))

    def dismiss(self, c: Connection, backend: str) -> None:
        # The start tells it from a later connection that was given the same number.
        pid, start = json.loads(backend)
        c.sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = :pid AND pid <> pg_backend_pid()"
            " AND CAST(backend_start AS text) = :start",
            pid=pid,
            start=start,
        ).all()

    def evict(self, c: Connection, staging: str) -> None:
        c.sql(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks l JOIN pg_class t ON t.oid = l.relation"
            " JOIN pg_namespace n ON n.oid = t.relnamespace WHERE t.relname = :name AND n.nspname = :schema"
            " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
            " AND l.granted AND l.mode = 'RowExclusiveLock' AND l.pid <> pg_backend_pid()",
            name=staging,
            schema=c.space(staging),
        ).all()

    def seize(self, c: Connection, name: str) -> None:
        c.sql(f"LOCK TABLE {c.qualified(name)} IN ACCESS EXCLUSIVE MODE")

    def holders(self, c: Connection, name: str, staging: str = "") -> str:
        found = c.sql(
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
            schema=c.space(name),
            beside=c.beside,
        ).all()
        told = [f"backend {pid} of {user}{f' ({program})' if program else ''}" for pid, user, program in found]
        return f"{', '.join(told)} holds it" if told else "it is free by now"

    def kind(self, c: Connection, name: str) -> str:
        kind = c.sql(
            "SELECT t.relkind FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace"
            " WHERE t.relname = :name AND n.nspname = :schema",
            name=name,
            schema=c.space(name),
        ).scalar()
        words = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table", "i": "index"}
        if kind:
            return words.get(kind, "sequence" if kind == "S" else "relation")
        other = c.sql(
            "SELECT 1 FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
            " WHERE t.typname = :name AND n.nspname = :schema AND t.typcategory <> 'A'",
            name=name,
            schema=c.space(name),
        ).scalar()
        return "type" if other else ""

    def tables(self, c: Connection, prefix: str) -> list[str]:
        query = (
            "SELECT tablename FROM pg_tables WHERE schemaname = :schema AND starts_with(tablename, :prefix)"
            " AND pg_has_role(tableowner, 'USAGE')"
        )
        return [name for (name,) in c.sql(query, schema=c.beside, prefix=prefix)]

    def misname(self, name: str) -> str:
        if not name or "\0" in name:
            return "is empty" if not name else "holds a NUL character"
        if len(name.encode()) > 63:
            return "is longer than PostgreSQL's 63 bytes, and would be cut"
        return "is the name of a system column" if name in _SYSTEM else ""

    def fold(self, name: str) -> str:
        return name

    def judge(self, kind: pa.DataType, column: Column) -> str | None:
        return "" if takes(kind, column) else None

    def refused(self, c: Connection, layout: Layout) -> Refusal | None:
        return rights.refused(c, layout)

    def barred(self, c: Connection, ledger: str, name: str, mode: str) -> Refusal | None:
        return rights.barred(c, ledger, name, mode)

    def withheld(self, c: Connection, staging: str) -> Refusal | None:
        return rights.withheld(c, staging)

    def lent(self, c: Connection, ledger: str) -> bool:
        return rights.lent(c, ledger)

    def ledgers(self, c: Connection, ledger: str) -> list[str]:
        return rights.ledgers(c, ledger)

    def describe(self, c: Connection, name: str) -> Table:
        return describe(c, name)

    def features(self, c: Connection, name: str) -> Features:
        return features(c, name)

    def shape(self, c: Connection, name: str) -> object:
        return shape(c, name)

    def odd(self, column: pa.Array, declared: Column | None) -> tuple[pa.Array, str] | None:
        return odd(column, declared)

    def stage(self, c: Connection, staging: str, layout: Layout) -> None:
        if layout.table is None:
            extra = [f"{ROW} bigint"] if layout.numbered else []
            c.sql(f"CREATE TABLE {c.qualified(staging)} ({', '.join([*self._columns(c, layout), *extra])})")
            return
        like = c.qualified(layout.table.name)
        c.sql(f"CREATE TABLE {c.qualified(staging)} (LIKE {like} INCLUDING CONSTRAINTS)")
        # A column that isn't supplied goes, with its CHECKs: its default is taken when the rows are published.
        changes = [f"DROP COLUMN {c.quote(x.name)}" for x in layout.table.columns if x.name not in layout.columns]
        if layout.mode == "upsert" and not layout.unique.nulls:
            changes += [f"ALTER COLUMN {c.quote(name)} SET NOT NULL" for name in layout.key]
        c.sql(f"ALTER TABLE {c.qualified(staging)} {', '.join([*changes, f'ADD COLUMN {ROW} bigint'])}")

    def create(self, c: Connection, name: str, layout: Layout) -> None:
        key = [f"PRIMARY KEY ({c.list(layout.key)})"] if layout.key and layout.mode != "new" else []
        c.sql(f"CREATE TABLE {c.qualified(name)} ({', '.join([*self._columns(c, layout), *key])})")

    def _columns(self, c: Connection, layout: Layout) -> list[str]:
        out = []
        for column in layout.rows:
            kind = sql_type(column.type, "postgresql", column.name).compile(dialect=c.engine.dialect)
            out.append(f"{c.quote(column.name)} {kind}{' NOT NULL' if column.name in layout.key else ''}")
        return out

    def bulk(self, c: Connection, name: str, layout: Layout, rows: pa.RecordBatch, numbers: Sequence[int]) -> None:
        columns = {field.name: copied(column) for field, column in zip(rows.schema, rows.columns, strict=True)}
        if layout.numbered:
            columns[ROW] = pa.array(numbers, pa.int64())
        table = names.Identifier(c.space(name), name)
        into = names.SQL(", ").join(map(names.Identifier, columns))
        copy = names.SQL("COPY {} ({}) FROM STDIN (FORMAT csv, ENCODING 'UTF8')").format(table, into)
        data = pa.table(columns)
        with c.raw.cursor() as cursor, cursor.copy(copy) as stream:
            for at in range(0, data.num_rows, PIECE):
                text = io.BytesIO()
                pyarrow.csv.write_csv(data.slice(at, PIECE), text, pyarrow.csv.WriteOptions(include_header=False))
                stream.write(text.getbuffer())

    def text(self, column: str) -> str:
        return f"CAST({column} AS text)"

    def reserve(self, c: Connection, name: str, layout: Layout) -> None:
        # Readers go on; in a replace other writers wait, or what they add meanwhile would stay.
        mode = "SHARE ROW EXCLUSIVE" if layout.mode == "replace" else "ROW EXCLUSIVE"
        c.sql(f"LOCK TABLE {c.qualified(name)} IN {mode} MODE")
        if layout.mode == "replace":
            c.sql("SET CONSTRAINTS ALL DEFERRED")

    def adopt(self, c: Connection, staging: str, name: str, layout: Layout) -> None:
        home = c.quote(c.schema)
        if c.beside != c.schema:
            c.sql(f"ALTER TABLE {c.qualified(staging)} SET SCHEMA {home}")
        c.sql(f"ALTER TABLE {home}.{c.quote(staging)} RENAME TO {c.quote(name)}")

    def overriding(self, layout: Layout) -> str:
        columns = layout.table.columns if layout.table else ()
        return "OVERRIDING SYSTEM VALUE " if any(x.always and x.name in layout.columns for x in columns) else ""

    def settle(self, c: Connection, name: str, staging: str, layout: Layout) -> None:
        if layout.table is None and layout.mode == "new":
            c.sql(f"ALTER TABLE {c.qualified(name)} ADD PRIMARY KEY ({c.list(layout.key)})")
        if layout.table is None:
            return
        for sequence in sequences(c, name):
            if sequence.column in layout.columns:
                move(c, sequence, c.qualified(staging))

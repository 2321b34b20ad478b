"""SqlSink: rows into a table of SQLite or PostgreSQL, by way of a staging table and one publishing transaction.

A run is opened in opening.py and written in writer.py; how each database does it is in resumable.databases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import StaticPool

from resumable.checkpoint import Checkpoint
from resumable.databases.connection import Connection
from resumable.databases.identity import database_identity, table_identity
from resumable.databases.relations import Column
from resumable.databases.tables import Where
from resumable.databases.urls import missing_file, plain_url, resolved_url
from resumable.errors import ResumableError, UsageError
from resumable.protocols import Claimant
from resumable.sinks.sql.opening import open_run
from resumable.sinks.sql.options import IfExists, OnBadRow, TableOptions, as_begun, resolve_table
from resumable.sinks.sql.preflight import plan_load, written_schema
from resumable.sinks.sql.writer import SqlWriter

__all__ = ["SqlSink", "SqlWriter"]


def _field(column: Column) -> pa.Field:
    return pa.field(column.name, column.type, metadata={"declared": column.declared, "words": " ".join(column.words)})


class _Named(Mapping[str, pa.Field]):
    """Fields that are found by any spelling of their names that the database takes for the same."""

    def __init__(self, fields: dict[str, pa.Field], fold: Callable[[str], str]) -> None:
        self._fields, self._fold = fields, fold

    def __getitem__(self, name: str) -> pa.Field:
        return self._fields[self._fold(name)]

    def __iter__(self) -> Iterator[str]:
        return (field.name for field in self._fields.values())

    def __len__(self) -> int:
        return len(self._fields)


class SqlSink:
    """A table of a database. `if_exists` says what to do with one that is there; a missing one is made.

    `key`: the columns that an upsert goes by (default: the primary key), or a new table's primary key.
    `staging_schema`: where staging and ledger lie (default: in the table's own schema); not for SQLite. A run stays in
    the schema that it was begun with.
    `staging=False` loads in plain view, only into a table that the run itself makes. `on_bad_row="quarantine"` has
    `write` return the rows that don't fit, and `sift` those that the table as a whole would refuse, instead of raising
    `BadRow`.
    """

    def __init__(
        self,
        target: str | URL | Engine,
        table: str,
        *,
        schema: str | None = None,
        if_exists: IfExists = "fail",
        key: str | Sequence[str] | None = None,
        staging: bool = True,
        on_bad_row: OnBadRow = "raise",
        staging_schema: str | None = None,
    ) -> None:
        if if_exists not in ("fail", "replace", "append", "upsert") or on_bad_row not in ("raise", "quarantine"):
            raise UsageError(
                f"if_exists={if_exists!r}, on_bad_row={on_bad_row!r}: one of them is unknown.",
                do="if_exists is 'fail', 'replace', 'append' or 'upsert'; on_bad_row is 'raise' or 'quarantine'.",
            )
        url = target.url if isinstance(target, Engine) else target
        if staging_schema is not None and resolved_url(url).get_backend_name() == "sqlite":
            raise UsageError(
                "SQLite has no schemas to put staging into: staging_schema is for PostgreSQL.",
                do="Leave staging_schema (--staging-schema) out.",
            )
        self.target, self.schema, self.staging_schema = target, schema, staging_schema
        columns = (key,) if isinstance(key, str) else tuple(key or ())
        self._options = TableOptions(table, if_exists, columns, staging, on_bad_row)
        self.note = ""
        """What people should know of how the table was found, once it has been opened."""

    @property
    def table(self) -> str:
        """The table's name, as it was given."""
        return self._options.table

    @property
    def if_exists(self) -> IfExists:
        """What to do with a table that is there."""
        return self._options.if_exists

    @property
    def address(self) -> str:
        """The database, whoever connects to it and how, and the table."""
        return f"{database_identity(self.target)} {table_identity(self.target, self.schema, self.table)}"

    def open(self, claim: Claimant, last: Checkpoint) -> SqlWriter:
        """See `Sink.open`."""
        c = self._connect(last)
        try:
            with c.translating(f"Table {self.table!r} can't be looked at"), c.reading():
                options = resolve_table(c, self._options, claim.run, last)
            self.note = c.where.note
            checkpoint, layout = open_run(c, options, claim, last)
            return SqlWriter(c, as_begun(c, options, checkpoint), claim, last, checkpoint, layout)
        except BaseException:
            c.close()
            raise

    def _connect(self, last: Checkpoint) -> Connection:
        """A connection for the run. A SQLite file that isn't there is made only for a run that can be loaded."""
        if self._is_missing_file():
            if last.stage != "new":
                return self._empty_database()
            with self._empty_database() as c, c.translating("The table can't be laid out"), c.reading():
                plan_load(c, replace(self._options, table=c.where.table), written_schema(last))
        staging_schema = self.staging_schema
        if last.is_begun and isinstance(last.sink, dict):  # a run stays where it is, whatever is said now
            staging_schema = last.sink.get("beside")
            if staging_schema == last.sink.get("schema"):
                staging_schema = None
        return Connection.open(self.target, self.schema, self.table, staging_schema)

    def columns(self) -> Mapping[str, pa.Field]:
        """The columns of a table that is there and will be added to, by name as the database compares names.

        Each field's metadata tells how the column is `declared`, and which `words` it takes besides values of its type.
        """
        if self.if_exists == "fail" or self._is_missing_file():
            return {}
        with (
            Connection.open(self.target, self.schema, self.table) as c,
            c.translating(f"Table {self.table!r} can't be looked at"),
            c.reading(),
        ):
            if c.database.catalog.kind(c, c.where.table) != "table":
                return {}
            found = c.database.catalog.describe(c, c.where.table).columns
            columns = [x for x in found if x.type is not None and not x.generated]
            return _Named(
                {c.traits.normalize_identifier(column.name): _field(column) for column in columns},
                c.traits.normalize_identifier,
            )

    def _is_missing_file(self) -> bool:
        """Whether the target is a SQLite file that isn't there: connecting would make it."""
        if isinstance(self.target, Engine):  # it may attach others, which a schema may mean
            return not self.schema and "." not in self.table and bool(missing_file(self.target.url))
        return bool(missing_file(self.target))

    def _empty_database(self) -> Connection:
        """What a SQLite file that isn't there holds."""
        engine = sa.create_engine("sqlite://", poolclass=StaticPool)
        return Connection.open(engine, self.schema, self.table, dispose=True)

    def describe(self) -> str:
        """See `Sink.describe`."""
        url = self.target.url if isinstance(self.target, Engine) else self.target
        how = {
            "fail": "a new table; refused if there is one",
            "replace": "its rows are replaced in one transaction; the table itself stays",
            "append": "rows are added in one transaction",
            "upsert": "rows are added or updated by key in one transaction; the last row of a key wins",
        }[self.if_exists]
        way = "by way of a staging table" if self._options.staging else "in plain view"
        ledger = f"; it and staging lie in schema {self.staging_schema!r}" if self.staging_schema else ""
        where = self._look_up()
        space = f" in schema {where.schema!r}" if where.schema is not None else ""
        note = f" Mind: {where.note}." if where.note else ""
        return (
            f"Table {where.table!r}{space} of {plain_url(url)}, {way}: {how}. Rows and checkpoint are committed in one"
            f" transaction (table resumable_ledger{ledger}), so that no row is lost or loaded twice.{note}"
        )

    # ------------------------------------------------------------------------------------ which table it is

    def _look_up(self) -> Where:
        """Which table a name with a dot means, as far as it can be looked up just now; no file is made for that."""
        if self.schema is not None or "." not in self.table:
            return Where(self.schema, self.table, exists=False)
        if self._is_missing_file():
            with self._empty_database() as c:
                return c.where
        try:
            with Connection.open(self.target, None, self.table) as c:
                return c.where
        except ResumableError:
            return Where(None, self.table, exists=False, note="the database can't be asked what the dot means")

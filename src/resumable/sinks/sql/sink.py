"""SqlSink: rows into a table of SQLite or PostgreSQL, by way of a staging table and one publishing transaction.

What a run does to the database is in sqlwriter.py; how each database does it in sqlite.py and postgresql.py.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine
from sqlalchemy.pool import StaticPool

from resumable.checkpoint import Checkpoint
from resumable.databases.connection import Connection
from resumable.databases.identity import database_identity, table_identity
from resumable.databases.relations import Column
from resumable.databases.tables import DEFAULT, Where, full_name
from resumable.databases.urls import missing_file, plain_url, resolved_url
from resumable.errors import ResumableError, TargetChanged, UsageError
from resumable.protocols import Claimant
from resumable.sinks.sql.new_run import written
from resumable.sinks.sql.preflight import lay_out
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
        if_exists: Literal["fail", "replace", "append", "upsert"] = "fail",
        key: str | Sequence[str] | None = None,
        staging: bool = True,
        on_bad_row: Literal["raise", "quarantine"] = "raise",
        staging_schema: str | None = None,
    ) -> None:
        if if_exists not in ("fail", "replace", "append", "upsert") or on_bad_row not in ("raise", "quarantine"):
            raise UsageError(
                f"if_exists={if_exists!r}, on_bad_row={on_bad_row!r}: one of them is unknown.",
                safe="Nothing was touched.",
                do="if_exists is 'fail', 'replace', 'append' or 'upsert'; on_bad_row is 'raise' or 'quarantine'.",
            )
        url = target.url if isinstance(target, Engine) else target
        if staging_schema is not None and resolved_url(url).get_backend_name() == "sqlite":
            raise UsageError(
                "SQLite has no schemas to put staging into: staging_schema is for PostgreSQL.",
                safe="Nothing was touched.",
                do="Leave staging_schema (--staging-schema) out.",
            )
        self.target, self.table, self.schema, self.if_exists = target, table, schema, if_exists
        self.key = (key,) if isinstance(key, str) else tuple(key or ())
        self.staging, self.on_bad_row, self.staging_schema = staging, on_bad_row, staging_schema
        self.note = ""
        """What people should know of how the table was found, once it has been opened."""

    @property
    def address(self) -> str:
        """The database, whoever connects to it and how, and the table."""
        return f"{database_identity(self.target)} {table_identity(self.target, self.schema, self.table)}"

    def open(self, claim: Claimant, last: Checkpoint) -> SqlWriter:
        """See `Sink.open`."""
        beside = self.staging_schema
        if last.number and isinstance(last.sink, dict):  # a run stays where it is, whatever is said now
            beside = last.sink.get("beside")
            beside = None if beside == last.sink.get("schema") else beside
        missing = self._missing()
        if missing and last.stage == "new":
            with (
                self._nothing() as c,
                c.errors("The table can't be laid out"),
                c.reading(),
            ):  # refused before it is made
                lay_out(c, c.where.table, written(last), self.if_exists, self.key, self.staging)
            missing = False
        c = self._nothing() if missing else Connection(self.target, self.schema, self.table, beside)
        try:
            with c.errors(f"Table {self.table!r} can't be looked at"), c.reading():
                at = self._settled(c, claim.run, last)
            self.note = c.where.note
            return SqlWriter(at, c, claim, last)
        except BaseException:
            c.close()
            raise

    def begun(self, c: Connection, last: Checkpoint) -> SqlSink:
        """This sink, its table spelled as the run began with it, if that is the same table."""
        then = _begun(last)
        if then is None or not _same(c, then, Where(c.schema, self.table, there=False)):
            return self
        return self._at(c, then)

    def columns(self) -> Mapping[str, pa.Field]:
        """The columns of a table that is there and will be added to, by name as the database compares names.

        Each field's metadata tells how the column is `declared`, and which `words` it takes besides values of its type.
        """
        if self.if_exists == "fail" or self._missing():
            return {}
        with (
            Connection(self.target, self.schema, self.table) as c,
            c.errors(f"Table {self.table!r} can't be looked at"),
            c.reading(),
        ):
            if c.dialect.kind(c, c.where.table) != "table":
                return {}
            found = c.dialect.describe(c, c.where.table).columns
            columns = [x for x in found if x.type is not None and not x.generated]
            return _Named({c.dialect.fold(column.name): _field(column) for column in columns}, c.dialect.fold)

    def _missing(self) -> bool:
        """Whether the target is a SQLite file that isn't there: connecting would make it."""
        if isinstance(self.target, Engine):  # it may attach others, which a schema may mean
            return not self.schema and "." not in self.table and bool(missing_file(self.target.url))
        return bool(missing_file(self.target))

    def _nothing(self) -> Connection:
        """What a SQLite file that isn't there holds."""
        c = Connection(sa.create_engine("sqlite://", poolclass=StaticPool), self.schema, self.table)
        c._own = True
        return c

    def describe(self) -> str:
        """See `Sink.describe`."""
        url = self.target.url if isinstance(self.target, Engine) else self.target
        how = {
            "fail": "a new table; refused if there is one",
            "replace": "its rows are replaced in one transaction; the table itself stays",
            "append": "rows are added in one transaction",
            "upsert": "rows are added or updated by key in one transaction; the last row of a key wins",
        }[self.if_exists]
        way = "by way of a staging table" if self.staging else "in plain view"
        ledger = f"; it and staging lie in schema {self.staging_schema!r}" if self.staging_schema else ""
        where = self._look()
        space = f" in schema {where.schema!r}" if where.schema is not None else ""
        note = f" Mind: {where.note}." if where.note else ""
        return (
            f"Table {where.table!r}{space} of {plain_url(url)}, {way}: {how}. Rows and checkpoint are committed in one"
            f" transaction (table resumable_ledger{ledger}), so that no row is lost or loaded twice.{note}"
        )

    # ------------------------------------------------------------------------------------ which table it is

    def _look(self) -> Where:
        """Which table a name with a dot means, as far as it can be looked up just now; no file is made for that."""
        if self.schema is not None or "." not in self.table:
            return Where(self.schema, self.table, there=False)
        if self._missing():
            with self._nothing() as c:
                return c.where
        try:
            with Connection(self.target, None, self.table) as c:
                return c.where
        except ResumableError:
            return Where(None, self.table, there=False, note="the database can't be asked what the dot means")

    def _settled(self, c: Connection, run: str, last: Checkpoint) -> SqlSink:
        """This sink at the table that the run began with, or where none has begun at what the name means now."""
        now, then = c.where, _begun(last)
        if then is None or _same(c, then, now):
            return self._at(c, now)
        assert then.schema is not None
        held = c.locate(then.table, then.schema)
        loaded = last.stage == "completed"
        if held.there if loaded else not last.is_decided:
            was, is_ = (full_name(c.dialect.name, str(x.schema), x.table) for x in (then, now))
            back = f"For {was} say {then.table!r}, schema={then.schema!r} and name={run!r}. " if held.schema else ""
            raise TargetChanged(
                f"Run {run!r} was begun into {was}, and {self.table!r} now means {is_}.",
                safe="Nothing was changed.",
                do=f"{back}For {is_} give the run a name of its own (name=, --name), or begin anew (--restart,"
                " pipeline.restart()).",
            )
        if loaded or held.schema is None:
            return self._at(c, now)
        return self._at(c, then)

    def _at(self, c: Connection, where: Where) -> SqlSink:
        assert where.schema is not None
        at = copy.copy(self)
        at.schema, at.table = where.schema, where.table
        c.move(where.schema)
        return at


def _begun(last: Checkpoint) -> Where | None:
    """The table that a run was begun into."""
    state = last.sink if last.number else None
    # Before there were attached databases, the only one of SQLite had no name.
    return Where(state["schema"] or DEFAULT["sqlite"], state["table"], there=False) if state else None


def _same(c: Connection, one: Where, other: Where) -> bool:
    fold = c.dialect.fold
    return (one.schema, fold(one.table)) == (other.schema, fold(other.table))

"""SqlSink: rows into a table of SQLite or PostgreSQL, by way of a staging table and one publishing transaction.

What a run does to the database is in sqlwriter.py; how each database does it in sqlite.py and postgresql.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import pyarrow as pa
from sqlalchemy.engine import URL, Engine

from resumable.checkpoint import Checkpoint
from resumable.database import plain_url, resolved_url
from resumable.errors import UsageError
from resumable.protocols import Claimant
from resumable.sinks.connection import Connection
from resumable.sinks.dialect import Column
from resumable.sinks.sqlwriter import SqlWriter

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

    def open(self, claim: Claimant, last: Checkpoint) -> SqlWriter:
        """See `Sink.open`."""
        beside = self.staging_schema
        if last.number and isinstance(last.sink, dict):  # a run stays where it is, whatever is said now
            beside = last.sink.get("beside", last.sink.get("schema"))
        c = Connection(self.target, self.schema, beside)
        try:
            return SqlWriter(self, c, claim, last)
        except BaseException:
            c.close()
            raise

    def columns(self) -> Mapping[str, pa.Field]:
        """The columns of a table that is there and will be added to, by name as the database compares names.

        Each field's metadata tells how the column is `declared`, and which `words` it takes besides values of its type.
        """
        if self.if_exists == "fail":
            return {}
        with (
            Connection(self.target, self.schema) as c,
            c.errors(f"Table {self.table!r} can't be looked at"),
            c.reading(),
        ):
            if c.dialect.kind(c, self.table) != "table":
                return {}
            columns = [x for x in c.dialect.describe(c, self.table).columns if x.type is not None and not x.generated]
            return _Named({c.dialect.fold(column.name): _field(column) for column in columns}, c.dialect.fold)

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
        where = f"; it and staging lie in schema {self.staging_schema!r}" if self.staging_schema else ""
        return (
            f"Table {self.table!r} of {plain_url(url)}, {way}: {how}. Rows and checkpoint are committed in one"
            f" transaction (table resumable_ledger{where}), so that no row is lost or loaded twice."
        )

"""SqlSource: a table, view or query of a SQL database, read in the order of a key; or whole, where there is none.

What one session sees is one snapshot: a single statement in one transaction, streamed, with flat memory. A snapshot
ends with its session, so across sessions another promise holds: the greatest key is recorded when the run begins, and
the run is the rows up to it.

* Each row that has a key in that range and isn't touched while the run lasts is read once, none twice.
* Rows added past the recorded key aren't part of the run, however long it takes.
* Rows added, changed or deleted within the range between two sessions are seen if they lie ahead of the position,
  and not if they lie behind it. A row whose key is changed meanwhile may be missed or come twice.

A view or query without a key, or a table without any unique one, is read whole, in one snapshot: its batches have no
position, so they are kept only once all are in, and a resume begins again from the start, in a new snapshot.

An identity of columns and key range is cheap; it doesn't notice values that changed in rows already read.

A session holds its snapshot open: PostgreSQL can't vacuum what was deleted meanwhile; SQLite outside of WAL mode
lets nobody else commit, so one SQLite file can't be source and target at once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import SingletonThreadPool

from resumable.checkpoint import Json
from resumable.databases import drivers
from resumable.databases.driver_errors import translate
from resumable.databases.identity import database_identity, table_identity
from resumable.databases.keyset import Key, Relation, choose, differences, is_query
from resumable.databases.protocols import Database
from resumable.databases.traits import error_code
from resumable.databases.urls import connect, missing_file, opened, plain_url, reason
from resumable.errors import ResumableError, SourceChanged, SourceError, UsageError
from resumable.protocols import Batch
from resumable.sources.keyrange import (
    Opened,
    key_range,
    refuse_duplicate_keys,
    refuse_nulls,
    rowids_changed,
    shown,
)
from resumable.sources.sql_batches import batches, whole_number

__all__ = ["SqlSource"]

_SAFE = "What was committed is safe."
_LATIN = (
    "Its encoding is SQL_ASCII, so that only you know what its bytes mean. Read a query that says it, with --key: "
    "select ..., convert_from(convert(convert_to(column, 'SQL_ASCII'), 'LATIN1', 'UTF8'), 'SQL_ASCII') as column."
)


class SqlSource:
    """A table, a view, or a query (`what` that begins with select, with or values), read in the order of a key.

    `key` names columns that are together unique and never NULL. Left out, it is the table's primary key, a unique key
    without NULLs, or, in SQLite, the rowid; where there is none of these, reading can't go on from its middle.
    `schema` is the table's schema (in SQLite: database).
    Position: `{"after": the last key, "row": rows read, "end": whether that is all}`; None without a key.
    """

    volatile = True  # values may have changed, and nothing of columns and key tells

    def __init__(
        self,
        url: str | URL | Engine,
        what: str,
        *,
        key: str | Sequence[str] | None = None,
        schema: str | None = None,
    ) -> None:
        self._engine, self._own = connect(url), not isinstance(url, Engine)
        self.what, self.schema_name = what, schema
        columns = (key,) if isinstance(key, str) else tuple(key or ())
        self.key = None if key is None else columns
        dialect = self._engine.dialect
        if not drivers.can_read(dialect.name, dialect.driver):
            raise UsageError(
                f"Tables of {dialect.name} can't be read through {dialect.driver!r}.",
                do="Use sqlite:/// or postgresql:// (psycopg 3).",
            )
        if isinstance(self._engine.pool, SingletonThreadPool):
            raise UsageError(
                "A SQLite database in memory is another one in each thread, and reading is done in a thread.",
                do="Use a file, or an engine made with poolclass=StaticPool.",
            )

    @property
    def url(self) -> str:
        """The database, without a password."""
        return plain_url(self._engine.url)

    @property
    def address(self) -> str:
        """The database, whoever connects to it and how, and what is read of it."""
        what = self.what if is_query(self.what) else table_identity(self._engine, self.schema_name, self.what)
        return f"{database_identity(self._engine)} {what}"

    def identity(self) -> dict[str, Json]:
        """Columns, key, and its range now. Raises `SourceError` for what isn't there, or can't be read on from."""
        with self._open() as at:
            refuse_nulls(at)
            structure = self._structure(at)
            high = self._end(at)
            low = (
                at.reader.key_at(at.driver, at.relation, at.key, "")
                if high and whole_number(high) is not None
                else None
            )
            return {
                **structure,
                "low": low,
                "high": high,
                "estimated_rows": at.relation.estimated_rows,
                "schema_version": at.key.schema_version,
            }

    def changed(self, identity: dict[str, Json], position: Json) -> str | None:
        """What differs in columns or key. Rows past the recorded range are no change: see `more`."""
        with self._open() as at:
            return differences(identity, self._structure(at)) or rowids_changed(at, identity, position)

    def more(self, identity: dict[str, Json]) -> str | None:
        """In words, whether the key's range now ends elsewhere than at `identity`: a run over it is out of date."""
        with self._open() as at:
            high = self._end(at)
        if high == identity["high"]:
            return None
        was, now = (shown(value) if value else "none" for value in (identity["high"], high))
        return f"the last key was {was} and is now {now}"

    def schema(self) -> pa.Schema:
        """The columns' types, as the database has them."""
        with self._open() as at:
            return at.reader.schema(at.driver, at.relation)

    def read(self, schema: pa.Schema, position: Json, identity: dict[str, Json]) -> Generator[Batch, None, None]:
        """Batches after `position`, up to the recorded key. Raises `SourceError`, `BadRow`, `SourceChanged`."""
        if identity["key"] and (identity["high"] is None or (position is not None and position["end"])):
            return
        with self._open() as at:
            if what := differences(identity, self._structure(at)) or rowids_changed(at, identity, position):
                raise SourceChanged(
                    f"{at.relation.name} has changed: {what}.",
                    safe="What was committed is safe.",
                    do="Begin anew (--restart, pipeline.restart()), or terminate.",
                )
            after = None if position is None else position["after"]
            if position is not None or not at.key.proven:
                refuse_nulls(at)
                refuse_duplicate_keys(at, after)
            where, parameters = key_range(at, after, identity["high"]) if at.key.names else ("", [])
            row = 0 if position is None else position["row"]
            with contextlib.closing(
                at.reader.rows(at.driver, at.relation, at.key, schema, where, parameters)
            ) as chunks:
                yield from batches(at, chunks, row, identity)

    def describe(self) -> str:
        """What is read, in which order, and what that promises."""
        with self._open() as at:
            if not at.key.names:
                return (
                    f"Reads {at.relation.name} of {self.url} whole, in one snapshot, as the rows come: it has no key. "
                    "A resume begins again from the start, in a new snapshot. Better, where there are columns that "
                    "together are unique and never NULL: key=[...] (--key) names them, and a resume goes on by them."
                )
            proof = (
                "which the database keeps unique and not null"
                if at.key.proven
                else "which you say is unique; NULLs and repeated keys are looked for while reading"
            )
            return (
                f"Reads {at.relation.full or at.relation.name} of {self.url} in the order of its {at.key.why} "
                f"({', '.join(at.key.names)}), {proof}. A session sees one snapshot; a resumed run goes on after the "
                "last key, up to the greatest key there was when it began."
                + (f" Mind: {at.relation.note}." if at.relation.note else "")
            )

    # --------------------------------------------------------------------------------------- inside

    @contextlib.contextmanager
    def _open(self) -> Iterator[Opened]:
        """A connection in a transaction, what it reads, and the key; closed at once when left."""
        if file := missing_file(self._engine.url):
            raise SourceError(f"There is no file {file}.", safe="Nothing was changed.", do="Check the database's path.")
        database = drivers.find(self._engine.dialect.name)
        assert database is not None  # looked at when the source was made
        reader, driver = database.reader, None
        try:
            with opened(self._engine) as connection:
                driver = reader.begin(connection)
                if self._own:
                    connection.detach()  # closed when left, instead of waiting in a pool
                try:
                    relation = reader.relation(driver, self.what, self.schema_name)
                    key = self._named_key(database, driver, relation)
                    yield Opened(database.traits, reader, driver, relation, choose(relation, key))
                finally:
                    with contextlib.suppress(Exception):  # a connection that broke has nothing left to end
                        driver.rollback()
        except (SQLAlchemyError, OSError, database.traits.driver_error) as error:
            raise self._translated(error, broken=getattr(driver, "broken", False)) from error

    def _named_key(self, database: Database, driver: Any, relation: Relation) -> Key | None:
        names, same = [column.name for column in relation.columns], database.traits.normalize_identifier
        if len(set(map(same, names))) < len(names) or not names:
            raise SourceError(
                f"{relation.name} has columns of the same name, or none: {', '.join(names)}.",
                safe="Nothing was changed.",
                do="Name each column once (select a.id, b.id as other_id ...).",
            )
        if self.key is None:
            return None
        hidden = [name for key in relation.keys if key.hidden for name in key.names]
        spelled = {same(name): name for name in (*hidden, *names)}
        if missing := [name for name in self.key if same(name) not in spelled]:
            raise SourceError(
                f"{relation.name} has no column {', '.join(map(repr, missing))} to be its key.",
                safe="Nothing was changed.",
                do=f"Its columns are {', '.join(names)}.",
            )
        return database.reader.resolve_key(driver, relation, tuple(spelled[same(name)] for name in self.key))

    def _translated(self, error: Exception, *, broken: bool) -> ResumableError:
        """Our error for the database's."""
        url = self._engine.url
        do = "Check the database, the names and your permissions, then run the same again."
        if error_code(error) == "22021":
            do = _LATIN
        what = f"{' '.join(self.what.split())[:80]!r} can't be read from {plain_url(url)}"
        return translate(error, SourceError, what, reason(error, url), broken=broken, safe=_SAFE, do=do)

    def _end(self, at: Opened) -> list[Json] | None:
        """The greatest key there is; None if there are no rows, or no key."""
        return at.reader.key_at(at.driver, at.relation, at.key, " DESC") if at.key.names else None

    def _structure(self, at: Opened) -> dict[str, Json]:
        """What of an identity can be told without looking at rows."""
        columns = [[column.name, column.declared] for column in at.relation.columns]
        what = at.relation.full or " ".join(self.what.split())
        return {"what": what, "columns": columns, "key": list(at.key.names)}

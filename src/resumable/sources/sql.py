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
import sqlite3
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pyarrow as pa
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import SingletonThreadPool

from resumable.checkpoint import Json
from resumable.databases.identity import database_identity, table_identity
from resumable.databases.keyset import Chunk, Dialect, Key, Misfit, Relation, choose, differences, is_query
from resumable.databases.postgresql.read import Postgres
from resumable.databases.sqlite.read import Sqlite
from resumable.databases.urls import connect, lost, missing_file, opened, plain_url, reason, remedy, unreachable
from resumable.errors import BadRow, ResumableError, SourceChanged, SourceError, UsageError
from resumable.protocols import Batch
from resumable.sources.keyrange import Opened, key_range, not_unique, refuse_nulls, refuse_twins, renumbered, shown

__all__ = ["SqlSource"]

_LATIN = (
    "Its encoding is SQL_ASCII, so that only you know what its bytes mean. Read a query that says it, with --key: "
    "select ..., convert_from(convert(convert_to(column, 'SQL_ASCII'), 'LATIN1', 'UTF8'), 'SQL_ASCII') as column."
)

_DIALECTS: dict[str, type[Dialect]] = {"sqlite": Sqlite, "postgresql": Postgres}


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
        self.key = None if key is None else (key,) if isinstance(key, str) else tuple(key)
        dialect = self._engine.dialect
        if dialect.name not in _DIALECTS or (dialect.name == "postgresql" and dialect.driver != "psycopg"):
            raise UsageError(
                f"Tables of {dialect.name} can't be read through {dialect.driver!r}.",
                safe="Nothing was touched.",
                do="Use sqlite:/// or postgresql:// (psycopg 3).",
            )
        if isinstance(self._engine.pool, SingletonThreadPool):
            raise UsageError(
                "A SQLite database in memory is another one in each thread, and reading is done in a thread.",
                safe="Nothing was touched.",
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
            found = self._face(at)
            high = self._end(at)
            low = at.dialect.key_at(at.driver, at.relation, at.key, "") if high and _number(high) is not None else None
            return {**found, "low": low, "high": high, "about": at.relation.about, "stamp": at.key.stamp}

    def changed(self, identity: dict[str, Json], position: Json) -> str | None:
        """What differs in columns or key. Rows past the recorded range are no change: see `more`."""
        with self._open() as at:
            return differences(identity, self._face(at)) or renumbered(at, identity, position)

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
            return at.dialect.schema(at.driver, at.relation)

    def read(self, schema: pa.Schema, position: Json, identity: dict[str, Json]) -> Generator[Batch, None, None]:
        """Batches after `position`, up to the recorded key. Raises `SourceError`, `BadRow`, `SourceChanged`."""
        if identity["key"] and (identity["high"] is None or (position is not None and position["end"])):
            return
        with self._open() as at:
            if what := differences(identity, self._face(at)) or renumbered(at, identity, position):
                raise SourceChanged(
                    f"{at.relation.name} has changed: {what}.",
                    safe="What was committed is safe.",
                    do="Begin anew (--restart, pipeline.restart()), or terminate.",
                )
            after = None if position is None else position["after"]
            if position is not None or not at.key.proven:
                refuse_nulls(at)
                refuse_twins(at, after)
            where, parameters = key_range(at, after, identity["high"]) if at.key.names else ("", [])
            row = 0 if position is None else position["row"]
            with contextlib.closing(
                at.dialect.rows(at.driver, at.relation, at.key, schema, where, parameters)
            ) as chunks:
                yield from _batches(at, chunks, row, identity)

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
        driver: Any = None
        try:
            with opened(self._engine) as connection:
                dialect = _DIALECTS[self._engine.dialect.name]()
                driver = dialect.begin(connection)
                if self._own:
                    connection.detach()  # closed when left, instead of waiting in a pool
                try:
                    relation = dialect.relation(driver, self.what, self.schema_name)
                    given = self._given(dialect, driver, relation)
                    yield Opened(dialect, driver, relation, choose(relation, given))
                finally:
                    with contextlib.suppress(Exception):  # a connection that broke has nothing left to end
                        driver.rollback()
        except (SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise self._told(error) from error
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "psycopg":
                raise
            raise self._told(error, broken=driver is not None and driver.broken) from error

    def _given(self, dialect: Dialect, driver: Any, relation: Relation) -> Key | None:
        names = [column.name for column in relation.columns]
        if len(set(map(dialect.fold, names))) < len(names) or not names:
            raise SourceError(
                f"{relation.name} has columns of the same name, or none: {', '.join(names)}.",
                safe="Nothing was changed.",
                do="Name each column once (select a.id, b.id as other_id ...).",
            )
        if self.key is None:
            return None
        hidden = [name for own in relation.keys if own.hidden for name in own.names]
        spelled = {dialect.fold(name): name for name in (*hidden, *names)}
        if missing := [name for name in self.key if dialect.fold(name) not in spelled]:
            raise SourceError(
                f"{relation.name} has no column {', '.join(map(repr, missing))} to be its key.",
                safe="Nothing was changed.",
                do=f"Its columns are {', '.join(names)}.",
            )
        return dialect.given(driver, relation, tuple(spelled[dialect.fold(name)] for name in self.key))

    def _told(self, error: Exception, *, broken: bool = False) -> ResumableError:
        """Our error for the database's."""
        url = self._engine.url
        if broken or getattr(error, "connection_invalidated", False):
            return lost(reason(error, url))
        told = SourceError(
            f"{' '.join(self.what.split())[:80]!r} can't be read from {plain_url(url)}: {reason(error, url)}.",
            safe="What was committed is safe.",
            do=_LATIN
            if getattr(error, "sqlstate", None) == "22021"
            else remedy(error) or "Check the database, the names and your permissions, then run the same again.",
        )
        told.transient = unreachable(error)
        return told

    def _end(self, at: Opened) -> list[Json] | None:
        """The greatest key there is; None if there are no rows, or no key."""
        return at.dialect.key_at(at.driver, at.relation, at.key, " DESC") if at.key.names else None

    def _face(self, at: Opened) -> dict[str, Json]:
        """What of an identity can be told without looking at rows."""
        columns = [[column.name, column.declared] for column in at.relation.columns]
        what = at.relation.full or " ".join(self.what.split())
        return {"what": what, "columns": columns, "key": list(at.key.names)}


# ------------------------------------------------------------------------------------------ batches


def _batches(at: Opened, chunks: Iterator[Chunk], row: int, identity: dict[str, Json]) -> Iterator[Batch]:
    """The chunks as batches; one is read ahead: only then is it known that its last row has no twin, or was the last."""
    held: Chunk | None = None
    try:
        for chunk in chunks:
            if held is not None:
                if not at.key.proven and held.last == chunk.first:
                    raise not_unique(at.key, chunk.first)
                yield _batch(held, row, identity, end=False)
                row += held.rows.num_rows
            if chunk.repeated is not None:
                raise not_unique(at.key, None)
            held = chunk
    except Misfit as misfit:
        raise _bad(misfit, at, row + (held.rows.num_rows if held is not None else 0)) from None
    if held is not None:
        yield _batch(held, row, identity, end=True)


def _batch(chunk: Chunk, row: int, identity: dict[str, Json], *, end: bool) -> Batch:
    count = row + chunk.rows.num_rows
    fraction = 1.0 if end else _fraction(chunk.last, count, identity)
    if not identity["key"]:
        return Batch(chunk.rows, None, row + 1, fraction)
    return Batch(chunk.rows, {"after": chunk.last, "row": count, "end": end}, row + 1, fraction)


def _number(key: list[Json]) -> int | None:
    first = key[0]
    if isinstance(first, str) and first.lstrip("-").isascii() and first.lstrip("-").isdigit():
        return int(first)
    return first if isinstance(first, int) else None


def _fraction(last: list[Json], count: int, identity: dict[str, Json]) -> float | None:
    """By where the key is in its range, if it begins with a whole number; else by the database's guess of rows."""
    if identity["low"] is not None:
        low, now, high = (_number(key) for key in (identity["low"], last, identity["high"]))
        if low is not None and now is not None and high is not None and low < high:
            return min(max((now - low) / (high - low), 0.0), 0.999)
    return min(count / identity["about"], 0.999) if identity["about"] else None


# ------------------------------------------------------------------------------------------- errors


def _bad(misfit: Misfit, at: Opened, rows: int) -> BadRow:
    value = repr(misfit.value)
    key = f" at key {shown(misfit.key)}" if isinstance(misfit.key, tuple) and misfit.key else ""
    return BadRow(
        f"Column {misfit.column!r} of {at.relation.name}{key} holds {value[:80]}, which {misfit.kind} can't hold as it is.",
        row=rows + misfit.index + 1,
        column=misfit.column,
        safe="What was committed is safe; nothing was published.",
        do=f"Correct the row, or read a query that makes text of it, with --key: select ..., {_as_text(misfit.column)}.",
    )


def _as_text(column: str) -> str:
    name = '"' + column.replace('"', '""') + '"'
    return f"cast({name} as text) as {name}"

"""A database to load into, and what the tests of its sink share: claims, batches, a dump of all that is in it."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.engine import make_url

import images
from resumable.checkpoint import Checkpoint, ClaimId
from resumable.control.liveness import this_process
from resumable.databases.urls import connect
from resumable.protocols import Batch, Claimant
from resumable.sinks.sql.sink import SqlSink
from resumable.sinks.sql.writer import SqlWriter

__all__ = ["Target", "batch", "claimant", "crash", "crashing", "load", "start", "terminate"]

RUN = "upload-orders"


class Target:
    """One database: `lite` or not."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.lite = url.startswith("sqlite")
        self.path = make_url(url).database or ""

    def all(self, sql: str) -> list[tuple[Any, ...]]:
        """Run a statement, in a connection of its own, and commit; its rows if it has any."""
        engine = connect(self.url)
        try:
            with engine.begin() as c:
                result = c.execute(sa.text(sql))
                return [tuple(row) for row in result] if result.returns_rows else []
        finally:
            engine.dispose()

    def do(self, *statements: str) -> None:
        """Run statements, each committed."""
        for statement in statements:
            self.all(statement)

    def dump(self) -> str:
        """All that is in it: schema, rows, sequences, grants, settings."""
        if self.lite:
            with contextlib.closing(sqlite3.connect(self.path)) as c:
                return "\n".join(
                    [*c.iterdump(), str(c.execute("SELECT * FROM sqlite_master ORDER BY name").fetchall())]
                )
        return images.dump(make_url(self.url).render_as_string(hide_password=False))

    def tables(self) -> set[str]:
        """The names of its tables."""
        engine = connect(self.url)
        try:
            return set(sa.inspect(engine).get_table_names())
        finally:
            engine.dispose()

    def staging(self) -> list[str]:
        """The names of staging tables."""
        return sorted(t for t in self.tables() if t.startswith("resumable_") and t != "resumable_ledger")


def claimant(epoch: int, *known: int, **more: Any) -> Claimant:
    """A claim of that epoch, which knows of others."""
    ids = frozenset(ClaimId(n, f"token{n}") for n in known)
    return Claimant(RUN, ClaimId(epoch, f"token{epoch}"), this_process(), ids, **more)


def batch(rows: pa.RecordBatch | Sequence[dict[str, Any]], row: int = 1, schema: pa.Schema | None = None) -> Batch:
    """A batch of those rows, whose first is the source's `row`."""
    if not isinstance(rows, pa.RecordBatch):
        rows = pa.RecordBatch.from_pylist(list(rows), schema=schema)
    return Batch(rows, position={"row": row + rows.num_rows}, row=row)


def start(sink: SqlSink, schema: pa.Schema, epoch: int = 1) -> SqlWriter:
    """A new run's writer."""
    writer = sink.open(claimant(epoch), Checkpoint(schema=schema))
    writer.accepted()
    return writer


def load(sink: SqlSink, *parts: pa.RecordBatch, publish: bool = True, epoch: int = 1) -> Checkpoint:
    """A run over these parts, a commit each, published and cleared."""
    with start(sink, parts[0].schema, epoch) as writer:
        row = 1
        for part in parts:
            refused = writer.write(batch(part, row))
            row += part.num_rows
            writer.commit(writer.last.next(rows=writer.last.rows + part.num_rows - len(refused)))
        writer.commit(writer.last.next(complete=True))
        if publish:
            writer.publish(writer.last.next(outcome="completed"))
            writer.clean_up()
        return writer.last


def terminate(writer: SqlWriter) -> None:
    """Decide, and remove what is there."""
    writer.commit(writer.last.next(outcome="terminated"))
    writer.clean_up()


def crash(writer: SqlWriter) -> None:
    """What a `kill -9` leaves: the connection is gone, and nobody said good-bye."""
    writer._c.close()


@contextlib.contextmanager
def crashing(writer: SqlWriter) -> Iterator[SqlWriter]:
    """The writer, crashed at the end of the block."""
    try:
        yield writer
    finally:
        crash(writer)

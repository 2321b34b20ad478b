"""The test of own_sink.py."""

import sqlite3
from contextlib import closing
from pathlib import Path

import own_sink

from resumable.testing import SinkContract


class TestEventSink(SinkContract):
    """A table that has a row before the run."""

    def prepare(self, folder: Path) -> None:
        with closing(sqlite3.connect(folder / "events.db")) as database, database:
            for statement in (*own_sink.TABLES, "insert into events values (0, 'before')"):
                database.execute(statement)

    def sink(self, folder: Path) -> own_sink.EventSink:
        return own_sink.EventSink(f"sqlite:///{folder / 'events.db'}")

    def image(self, folder: Path) -> object:
        with closing(sqlite3.connect(folder / "events.db")) as database:
            tables = ("sqlite_master", "events", "events_staging")
            image = {table: database.execute(f"select * from {table}").fetchall() for table in tables}
            return image | {"runs": database.execute("select run from events_ledger").fetchall()}

"""A store of your own: checkpoints in a SQLite file, with nothing but the standard library. See docs/write-a-store.md."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa

import resumable
from resumable.checkpoint import Record
from resumable.errors import StoreError


def execute(database: sqlite3.Connection, statement: str, *values: Any) -> list[Any]:
    """Run a statement; its rows."""
    return database.execute(statement, values).fetchall()


class LiteStore:
    """A row a run. A name is kept as JSON writes it: any text has a spelling there, NUL and half a surrogate too."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()
        self.location = f"lite:{self.path}"

    def load(self, name: str) -> Record | None:
        """What the last successful swap wrote; None if there was none."""
        found = self.look("select record from runs where name = ?", json.dumps(name))
        return Record.from_json(found[0][0], f"The record of run {name!r} in {self.location}") if found else None

    def names(self) -> list[str]:
        """The names of all runs, sorted."""
        return sorted(json.loads(name) for (name,) in self.look("select name from runs"))

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        """Compare and set, in one transaction that no other may enter."""
        text = None if record is None else record.to_json()  # before all else: what JSON can't write is refused
        if not self.path.exists() and (version or text is None):
            return version == 0  # looking makes nothing
        with self.database("rwc") as database:
            execute(database, "begin immediate")
            execute(database, "create table if not exists runs (name text primary key, version integer, record text)")
            held = execute(database, "select version from runs where name = ?", json.dumps(name))
            if (held[0][0] if held else 0) != version:
                return False  # closing rolls back
            if record is None:
                execute(database, "delete from runs where name = ?", json.dumps(name))
            else:
                values = (json.dumps(name), record.version, text)
                execute(database, "insert or replace into runs values (?, ?, ?)", *values)
            execute(database, "commit")
        return True

    def look(self, query: str, *values: Any) -> list[Any]:
        """The rows of a query; none where there is no file or no table yet."""
        if not self.path.exists():
            return []
        with self.database("ro") as database:
            made = execute(database, "select 1 from sqlite_master where name = 'runs'")
            return execute(database, query, *values) if made else []

    @contextlib.contextmanager
    def database(self, mode: str) -> Iterator[sqlite3.Connection]:
        """A connection for one call: nothing is shared between threads, or with a forked child."""
        uri = f"{self.path.as_uri()}?mode={mode}"
        try:
            with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=10, isolation_level=None)) as database:
                yield database
        except sqlite3.Error as error:
            raise StoreError(
                f"{self.location} can't be used: {error}.",
                safe="What was committed is safe.",
                do="See to the file and run the same again.",
            ) from error


if __name__ == "__main__":
    rows = pa.table({"n": range(200_000)})

    def run() -> resumable.Pipeline:
        store = LiteStore("runs.lite")
        return resumable.upload(rows, "sqlite:///numbers.db", "numbers", name="numbers", store=store, every=0)

    for progress in run():
        print(progress)
        break
    print(run().run())
    print(resumable.runs(LiteStore("runs.lite")))

"""Every sink of ours keeps the contract: killed at every moment, opened twice, called off, taken over."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from images import dump
from jobs import execute
from resumable.protocols import Batch, Reject, Sink, Writer
from resumable.sinks import CsvSink, QuarantineSink, SqlSink
from resumable.testing import SinkContract


class Told(SinkContract):
    """What its sweeps have tried is printed."""

    @pytest.fixture(autouse=True)
    def print_report(self, tried: Callable[[str], None]) -> None:
        self.report = tried


class Files(Told):
    """What is in the folder; partial files bear the claim in their names."""

    def image(self, folder: Path) -> object:
        return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestCsvSink(Files):
    """Into a file that isn't there."""

    def sink(self, folder: Path) -> Sink:
        return CsvSink(folder / "t.csv")


class TestCsvSinkInPlaceOfAFile(Files):
    """Another file is replaced, with its permissions."""

    def sink(self, folder: Path) -> Sink:
        return CsvSink(folder / "t.csv", if_exists="replace")

    def prepare(self, folder: Path) -> None:
        (folder / "t.csv").write_text("old")
        (folder / "t.csv").chmod(0o640)

    def image(self, folder: Path) -> object:
        return super().image(folder), (folder / "t.csv").stat().st_mode


TABLE = (
    "create table t (id bigint primary key, word text)",
    "insert into t values (0, 'before'), (2, 'upserted')",
    "create index t_word on t (word)",
    "create view v as select word from t",
    "create table log (id bigint)",
)


class OnSqlite(Told):
    """A table in a database file of the world."""

    if_exists: ClassVar[Any] = "fail"
    before: ClassVar[tuple[str, ...]] = TABLE
    trigger: ClassVar[tuple[str, ...]] = (
        "create trigger g after insert on t begin insert into log values (new.id); end",
    )
    every: ClassVar[int] = 2

    @pytest.fixture(autouse=True)
    def form(self, long: bool) -> None:
        self.stride = 1 if long else self.every

    def url(self, folder: Path) -> str:
        return f"sqlite:///{folder / 'target.db'}"

    def sink(self, folder: Path) -> Sink:
        return SqlSink(self.url(folder), "t", if_exists=self.if_exists)

    def prepare(self, folder: Path) -> None:
        execute(self.url(folder), *self.before, *self.trigger)

    def image(self, folder: Path) -> object:
        return dump(self.url(folder), ledger=False)


class OnPostgresql(OnSqlite):
    """A table in a schema that is made anew for every world."""

    every = 7
    trigger = (
        "create function g() returns trigger language plpgsql as 'begin insert into log values (new.id); return new; end'",
        "create trigger g after insert on t for each row execute function g()",
    )

    @pytest.fixture(autouse=True)
    def database(self, postgres: str) -> None:
        self.server = postgres

    def url(self, folder: Path) -> str:
        return self.server

    def prepare(self, folder: Path) -> None:
        execute(self.server, "drop schema public cascade", "create schema public", *self.before, *self.trigger)


class New:
    """A table that isn't there."""

    before = ("create table other (x int)",)
    trigger = ()


class Append:
    """A table with rows, an index and a view."""

    if_exists = "append"
    before = (*TABLE, "delete from t where id = 2")


class Replace:
    """Its rows are replaced."""

    if_exists = "replace"


class Upsert:
    """Some of its rows are replaced, by the primary key."""

    if_exists = "upsert"


class TestNewOnSqlite(New, OnSqlite): ...


class TestAppendOnSqlite(Append, OnSqlite): ...


class TestReplaceOnSqlite(Replace, OnSqlite): ...


class TestUpsertOnSqlite(Upsert, OnSqlite): ...


class TestNewOnPostgresql(New, OnPostgresql): ...


class TestAppendOnPostgresql(Append, OnPostgresql): ...


class TestReplaceOnPostgresql(Replace, OnPostgresql): ...


class TestUpsertOnPostgresql(Upsert, OnPostgresql): ...


class Choosy:
    """Puts every second row aside before it gets to another sink."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.describe = sink.describe

    def open(self, claim: Any, last: Any) -> Writer:
        writer = self.sink.open(claim, last)
        writer.write = self.choosing(writer.write)  # type: ignore[method-assign]
        return writer

    def choosing(self, write: Any) -> Any:
        def writing(batch: Batch) -> tuple[Reject, ...]:
            write(Batch(batch.rows.slice(1), batch.position, batch.row + 1))
            return (Reject(batch.row, "it comes first"),)

        return writing


class TestQuarantineBesideAFile(Files):
    """Rejects are written beside a file."""

    def sink(self, folder: Path) -> Sink:
        return QuarantineSink(Choosy(CsvSink(folder / "t.csv")), folder / "rejects.jsonl")


class TestQuarantineBesideADatabase(OnSqlite):
    """Rejects are written to a file beside a database's transactions."""

    before = ("create table t (id int not null, word text)",)
    trigger = ()
    rows = pa.table({"id": [1, None, 3, 4, None, 6], "word": ["a", "b", "c", "d", "e", "f"]})

    def sink(self, folder: Path) -> Sink:
        sink = SqlSink(self.url(folder), "t", if_exists="append", on_bad_row="quarantine")
        return QuarantineSink(sink, folder / "rejects.jsonl")

    def image(self, folder: Path) -> object:
        files = {path.name: path.read_bytes() for path in folder.iterdir() if ".db" not in path.name}
        return files, super().image(folder)


class Sifted:
    """Keys that come twice, that are there, and parents that aren't: publishing would refuse them."""

    rows = pa.table({"id": [1, 0, 3, 1, 5, 6, 7], "up": [None, None, 1, None, 9, 6, 5]})
    before = (
        "create table t (id bigint primary key, up bigint references t)",
        "insert into t values (0, null)",
        "create table log (id bigint)",
    )

    def sink(self, folder: Path) -> Sink:
        made: Any = self
        sink = SqlSink(made.url(folder), "t", if_exists=made.if_exists, key=made.key, on_bad_row="quarantine")
        return QuarantineSink(sink, folder / "rejects.jsonl")

    key = ()

    def image(self, folder: Path) -> object:
        files = {path.name: path.read_bytes() for path in folder.iterdir() if ".db" not in path.name}
        return files, super().image(folder)  # type: ignore[misc]


class SiftedAppend(Sifted):
    """Into a table with rows."""

    if_exists = "append"


class SiftedNew(Sifted):
    """Into a new table with a key."""

    before = ("create table other (x int)",)
    trigger = ()
    key = ("id",)


class TestSiftedAppendOnSqlite(SiftedAppend, OnSqlite):
    every = 3


class TestSiftedNewOnSqlite(SiftedNew, OnSqlite):
    every = 5


class TestSiftedAppendOnPostgresql(SiftedAppend, OnPostgresql): ...


class TestSiftedNewOnPostgresql(SiftedNew, OnPostgresql): ...

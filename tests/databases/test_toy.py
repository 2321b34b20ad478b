"""A database whose DDL commits at once, and without savepoints: loaded, exported, killed anywhere, called off."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import resumable
import toy
from images import dump
from resumable.protocols import Sink
from resumable.sinks import SqlSink
from resumable.testing import SinkContract

toy.install()

ROWS = 30


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def url(folder: Path) -> str:
    return f"toy:///{folder / 'toy.db'}"


def query(folder: Path, sql: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(folder / "toy.db")) as connection:
        rows = connection.execute(sql).fetchall()
        connection.commit()
    return rows


def lines(folder: Path, *rows: str) -> Path:
    path = folder / "t.csv"
    path.write_text("\n".join(["id,word", *(rows or [f"{n},w{n}" for n in range(ROWS)]), ""]))
    return path


@pytest.mark.parametrize("key", [None, "id"])
def test_what_is_uploaded_is_exported_again(folder: Path, key: str | None) -> None:
    """Into a table that isn't there, with a key and without; and only the ledger is left beside it."""
    source = lines(folder)
    assert ROWS == resumable.upload(source, url(folder), "t", key=key).run().rows
    assert {("t",), ("resumable_ledger",)} == set(query(folder, "select name from sqlite_master where type = 'table'"))
    resumable.export(url(folder), "t", folder / "out.csv").run()
    assert source.read_text() == (folder / "out.csv").read_text()


@pytest.mark.parametrize("mode", ["append", "upsert", "replace"])
def test_rows_come_into_a_table_that_is_there(folder: Path, mode: Any) -> None:
    """Only rows change, so a transaction is enough."""
    query(folder, "create table t (id integer primary key, word text)")
    query(folder, "insert into t values (100, 'old'), (101, 'older')")
    if mode == "upsert":
        query(folder, "insert into t values (3, 'another')")
    resumable.upload(lines(folder), url(folder), "t", if_exists=mode).run()
    old = 0 if mode == "replace" else 2
    assert [(ROWS + old, "w3")] == query(folder, "select count(*), max(word) filter (where id = 3) from t")


def test_bad_rows_are_put_aside_without_savepoints(folder: Path) -> None:
    """The good rows of their batch stay, once each."""
    query(folder, "create table t (id integer primary key, word text not null check (word <> 'bad'))")
    rows = [f"{n},{'bad' if n % 7 == 0 else 'good'}" for n in range(ROWS)]
    resumable.upload(lines(folder, *rows), url(folder), "t", if_exists="append", on_bad_row="quarantine").run()
    assert [(n,) for n in range(ROWS) if n % 7] == query(folder, "select id from t order by id")


def test_loading_in_plain_view_is_refused(folder: Path) -> None:
    """Such a database couldn't undo it."""
    with pytest.raises(resumable.errors.TargetError, match="Toy can't undo"):
        resumable.upload(lines(folder), url(folder), "t", staging=False).run()


def test_a_run_that_was_paused_goes_on_or_is_called_off(folder: Path) -> None:
    """Nothing is in sight until the end, and nothing is left."""
    for end in ("run", "terminate"):
        pipeline = resumable.upload(lines(folder), url(folder), "t", name=end, every=0)
        for _ in pipeline:
            break
        assert not query(folder, "select 1 from sqlite_master where name = 't'")
        getattr(pipeline, end)()
        if end == "run":
            assert [(ROWS,)] == query(folder, "select count(*) from t")
            query(folder, "drop table t")
    assert not query(
        folder, "select 1 from sqlite_master where name = 't' or name like 'resumable\\_%\\_%\\_%' escape '\\'"
    )


def test_the_document_shows_the_toy_and_its_test() -> None:
    """To the letter."""
    document = (Path(__file__).parents[2] / "docs" / "write-a-database.md").read_text()
    assert Path(toy.__file__).read_text() in document
    contract = (Path(__file__).parent / "test_contract.py").read_text()
    (shown,) = (part for part in document.split("```python\n") if part.startswith("class TestToy"))
    assert shown.partition("```")[0] in contract


class TestToy(SinkContract):
    """A table that isn't there: killed at every statement, also between a CREATE or a RENAME and the next COMMIT."""

    before = "create table other (x int)"

    @pytest.fixture(autouse=True)
    def print_report(self, tried: Callable[[str], None], long: bool) -> None:
        self.report = tried
        self.stride = 1 if long else 3

    def sink(self, folder: Path) -> Sink:
        toy.install()
        return SqlSink(url(folder), "t", if_exists=self.if_exists)

    if_exists: Any = "fail"

    def prepare(self, folder: Path) -> None:
        query(folder, self.before)

    def image(self, folder: Path) -> object:
        return dump(f"sqlite:///{folder / 'toy.db'}", ledger=False)


class TestToyAppend(TestToy):
    """A table with rows."""

    before = "create table t (id bigint primary key, word text)"
    if_exists = "append"

"""`upload`, by its keyword arguments: sources and targets of every kind, and what a run does with them."""

from __future__ import annotations

import csv
import io
import json
import os
import pathlib
import sqlite3
import subprocess
import sys
from contextlib import closing
from typing import Any

import pandas as pd
import polars as pl
import psycopg
import pyarrow as pa
import pyarrow.csv
import pytest
import sqlalchemy as sa

import resumable
from resumable.errors import OptionsChanged, SourceChanged, SourceError, TargetExists, UsageError
from resumable.sinks import CsvSink, SqlSink
from resumable.sources import ArrowSource, CsvSource
from resumable.stores import MemoryStore
from shell import environment, image, numbers, rows_of, tables

SHOP = "sqlite:///shop.db"


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A working folder of its own, with a small file in it."""
    monkeypatch.chdir(tmp_path)
    for variable in environment().keys() ^ os.environ.keys():
        monkeypatch.delenv(variable)
    (tmp_path / "orders.csv").write_text("id,name\n1,ann\n2,bob\n3,\n")
    return tmp_path


ORDERS = [(1, "ann"), (2, "bob"), (3, None)]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh database, of each kind."""
    return SHOP if request.param == "sqlite" else request.getfixturevalue("postgres")


def query(url: str, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query, or [] of a statement, which is committed."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.begin() as c:
            done = c.exec_driver_sql(sql)
            return [tuple(row) for row in done] if done.returns_rows else []
    finally:
        engine.dispose()


def execute(url: str, *statements: str) -> None:
    for statement in statements:
        query(url, statement)


def begun(pipeline: resumable.Pipeline) -> resumable.Progress:
    """Its first commit, after which it is paused."""
    with closing(iter(pipeline)) as steps:
        return next(steps)


# ----------------------------------------------------------------------------------------------- sources


def sources() -> dict[str, Any]:
    table = pa.table({"id": pa.array([1, 2, 3], pa.int64()), "name": ["ann", "bob", None]})

    class Capsule:
        def __arrow_c_stream__(self, requested_schema=None):
            return table.__arrow_c_stream__(requested_schema)

    return {
        "path": lambda: "orders.csv",
        "pathlib": lambda: pathlib.Path("orders.csv"),
        "CsvSource": lambda: CsvSource("orders.csv"),
        "ArrowSource": lambda: ArrowSource(table),
        "Table": lambda: table,
        "RecordBatch": lambda: table.to_batches()[0],
        "pandas": lambda: pd.DataFrame({"id": [1, 2, 3], "name": ["ann", "bob", None]}),
        "polars": lambda: pl.DataFrame({"id": [1, 2, 3], "name": ["ann", "bob", None]}),
        "capsule": Capsule,
        "callable": lambda: lambda: table,
    }


@pytest.mark.parametrize("kind", sources())
def test_every_kind_of_source_loads_the_same_rows(kind: str, url: str) -> None:
    """Paths, sources, Arrow data, data frames, and whatever has an Arrow stream."""
    last = resumable.upload(sources()[kind](), url, "orders", name="mine").run()
    assert (last.status, last.rows) == ("completed", 3)
    assert query(url, "select * from orders order by id") == ORDERS


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (lambda: pa.table({"a": [1]}).to_reader(), "only once"),
        (lambda: pl.DataFrame({"a": [1]}).lazy(), "collect"),
        (lambda: iter([1, 2]), "only once"),
        (lambda: io.StringIO("a\n1\n"), "only once"),
        (lambda: [1, 2], "list"),
        (lambda: "sqlite:///other.db", "file, not a URL"),
        (lambda: "orders.parquet", "parquet"),
        (lambda: "orders.csv.gz", "gz"),
    ],
    ids=["reader", "lazy frame", "iterator", "open file", "list", "URL", "Parquet", "gzip"],
)
def test_what_cannot_be_read_again_or_at_all_is_refused_at_once(source: Any, words: str, folder: pathlib.Path) -> None:
    """Before anything is made, and saying what to give instead."""
    with pytest.raises((SourceError, UsageError), match=words):
        resumable.upload(source(), SHOP, "orders")
    assert os.listdir(folder) == ["orders.csv"]


def test_a_frame_goes_on_in_another_pipeline_and_another_frame_is_refused() -> None:
    """Data in memory has no path: rows, first and last values are what it is known by."""
    frame = pd.DataFrame({"id": range(140_000)})
    assert 0 < begun(resumable.upload(frame, SHOP, "t", every=0, name="mine")).rows < 140_000
    with pytest.raises(SourceChanged):
        resumable.upload(frame[::-1], SHOP, "t", every=0, name="mine").run()
    assert resumable.upload(frame.copy(), SHOP, "t", every=0, name="mine").run().sessions == 2
    assert rows_of(pathlib.Path("shop.db"), "select count(*), count(distinct id) from t") == [(140_000, 140_000)]


# ----------------------------------------------------------------------------------------------- targets


def test_an_engine_a_url_and_a_sink_are_the_same_target(url: str) -> None:
    """And the same run: a URL object, an engine with another driver's name, a sink of one's own."""
    name = resumable.upload("orders.csv", url, "orders").name
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    targets = [sa.engine.make_url(url), engine, SqlSink(url, "orders"), SqlSink(engine, "orders")]
    assert [resumable.upload("orders.csv", target, "orders").name for target in targets] == [name] * 4
    resumable.upload("orders.csv", engine, "orders").run()
    assert resumable.upload("orders.csv", url, "orders").status == "completed"
    assert query(url, "select * from orders order by id") == ORDERS
    engine.dispose()


def test_any_sink_may_be_the_target(folder: pathlib.Path) -> None:
    """A CSV file, say."""
    resumable.upload("orders.csv", CsvSink("out.csv"), "orders", transform=lambda rows: rows).run()
    assert (folder / "out.csv").read_bytes() == (folder / "orders.csv").read_bytes()


@pytest.mark.parametrize("target", [pathlib.Path("shop.db"), "shop.db", "postgresql+psycopg2://h/d", 7, None])
def test_what_is_no_target_is_refused_at_once(target: Any, folder: pathlib.Path) -> None:
    """A path is no URL."""
    with pytest.raises(UsageError, match=r"sqlite:///|driver|psycopg|pip install"):
        resumable.upload("orders.csv", target, "orders").run()
    assert [name for name in os.listdir(folder) if name not in ("orders.csv", ".resumable")] == []


# ------------------------------------------------------------------------------------------------- names


def test_names_are_readable_and_stable_from_any_folder(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the resolved source, the target without credentials, and the table; not by who connects or how."""
    absolute = f"sqlite:///{folder / 'shop.db'}"
    name = resumable.upload("orders.csv", SHOP, "orders").name
    assert name.startswith("upload-orders.csv-orders-")
    (folder / "link.csv").symlink_to("orders.csv")
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    for source in ("../orders.csv", folder / "orders.csv", "../sub/../orders.csv", "../link.csv"):
        for target in (absolute, "sqlite:///../shop.db", "sqlite+pysqlite:///../shop.db"):
            assert resumable.upload(source, target, "orders", store=MemoryStore()).name == name
    monkeypatch.chdir(folder)
    others = [
        resumable.upload("orders.csv", SHOP, "other"),
        resumable.upload("orders.csv", "sqlite:///other.db", "orders"),
        resumable.upload("other.csv", SHOP, "orders"),
        resumable.upload("orders.csv", SqlSink("sqlite:///other.db", "orders"), "orders"),
    ]
    assert name not in {other.name for other in others}
    base = "postgresql://{}/shop"
    same = {
        resumable.upload("orders.csv", base.format(who), "orders").name
        for who in ("h", "me@h", "me:secret@h", "me:secret@h:5432")
    }
    assert len(same) == 1
    assert "secret" not in same.pop()
    assert resumable.upload("orders.csv", SHOP, "orders", name="mine").name == "mine"
    for bad in ("", "a\nb", "x" * 201):
        with pytest.raises(UsageError, match="name"):
            resumable.upload("orders.csv", SHOP, "orders", name=bad)


def test_building_a_pipeline_touches_nothing(folder: pathlib.Path) -> None:
    """Nothing has run yet: no store, no database, and the file may not even be there."""
    pipeline = resumable.upload("missing.csv", "sqlite:///no/such/shop.db", "orders")
    assert (pipeline.status, pipeline.progress.rows) == ("new", 0)
    assert os.listdir(folder) == ["orders.csv"]


# ------------------------------------------------------------------------------------------------ columns


def test_columns_and_nulls_are_what_is_said(url: str, folder: pathlib.Path) -> None:
    """Words for types and Arrow's own; the other columns are inferred; only the given words are NULL."""
    (folder / "t.csv").write_text('zip,total,day,n,word\n007,1.50,2024-02-29,1,NA\n8,2,2024-03-01,-,""\n9,,,2,\n')
    columns = {"zip": "string", "total": "decimal(12,2)", "day": pa.date32()}
    resumable.upload("t.csv", url, "t", columns=columns, null_values=("", "-")).run()
    names = "zip, word, n, total is null, day is null"
    order = "order by coalesce(n, 1.5)"
    found = [tuple(map(plain, row)) for row in query(url, f"select {names} from t {order}")]
    assert found == [("007", "NA", 1, 0, 0), ("8", "", None, 0, 0), ("9", None, 2, 1, 1)]
    if url != SHOP:
        types = "select column_name, data_type from information_schema.columns where table_name = 't'"
        assert dict(query(url, types)) == {
            "zip": "text", "total": "numeric", "day": "date", "n": "bigint", "word": "text"
        }  # fmt: skip


def plain(value: Any) -> Any:
    return int(value) if isinstance(value, bool) else value


def test_a_column_of_an_existing_table_is_read_as_its_type(url: str, folder: pathlib.Path) -> None:
    """A number is text where the table says so; `007` is never made a number, even there."""
    (folder / "t.csv").write_text("a,b\n7,8\n")
    execute(url, "create table t(a integer, b text)")
    resumable.upload("t.csv", url, "t", if_exists="append").run()
    assert query(url, "select a, b from t") == [(7, "8")]
    (folder / "t.csv").write_text("a,b\n007,007\n")
    with pytest.raises(resumable.BadRow, match="leading zero") as bad:
        resumable.upload("t.csv", url, "t", if_exists="append").run()
    assert (bad.value.row, bad.value.column) == (1, "a")
    assert query(url, "select a, b from t") == [(7, "8")]


def test_columns_and_format_options_go_with_files_only() -> None:
    """Data in memory has its types already."""
    table = pa.table({"a": [1]})
    for options in ({"columns": {"a": "string"}}, {"delimiter": ";"}, {"null_values": ("NA",)}):
        with pytest.raises(UsageError, match=next(iter(options))):
            resumable.upload(table, SHOP, "t", **options)
    with pytest.raises(TypeError, match="delimeter"):
        resumable.upload("orders.csv", SHOP, "t", delimeter=";")


# ------------------------------------------------------------------------------------- if_exists and key


def test_a_table_that_is_there_is_refused_by_default(url: str) -> None:
    """And stays as it is."""
    execute(url, "create table orders(id integer)", "insert into orders values (7)")
    with pytest.raises(TargetExists, match="append"):
        resumable.upload("orders.csv", url, "orders").run()
    assert query(url, "select * from orders") == [(7,)]


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("append", [(1, "ann"), (2, "bob"), (3, None), (7, "old"), (8, "old")]),
        ("replace", ORDERS),
        ("upsert", [(1, "ann"), (2, "bob"), (3, None), (7, "old"), (8, "old")]),
    ],
)
def test_what_becomes_of_a_table_that_is_there(how: Any, expected: list[tuple[Any, ...]], url: str) -> None:
    """append, replace and upsert; before the end it is as it was, and the table itself is the same one after."""
    execute(url, "create table orders(id integer primary key, name text default 'x')")
    execute(url, "insert into orders values (7, 'old'), (8, 'old')", "create view v as select count(*) from orders")
    pipeline = resumable.upload(
        "orders.csv", url, "orders", if_exists=how, key="id" if how == "upsert" else None, every=0
    )
    seen = [query(url, "select * from v") for step in pipeline if step.status == "running"]
    assert all(rows == [(2,)] for rows in seen)
    assert query(url, "select id, name from orders order by id") == expected
    assert query(url, "select * from v") == [(len(expected),)]


def test_an_upsert_updates_known_keys_and_the_last_row_of_a_key_wins(url: str, folder: pathlib.Path) -> None:
    """By one column, and by two; on a new table the key becomes its primary key."""
    (folder / "u.csv").write_text("id,name\n7,new\n1,a\n1,b\n")
    execute(url, "create table orders(id integer primary key, name text)", "insert into orders values (7, 'old')")
    resumable.upload("u.csv", url, "orders", if_exists="upsert", key="id").run()
    assert query(url, "select * from orders order by id") == [(1, "b"), (7, "new")]
    resumable.upload("u.csv", url, "fresh", if_exists="upsert", key=["id", "name"]).run()
    execute(url, "insert into fresh values (9, 'x')")
    with pytest.raises(sa.exc.IntegrityError):
        execute(url, "insert into fresh values (9, 'x')")


def test_a_key_makes_a_new_tables_primary_key(url: str) -> None:
    """So that an export finds it."""
    resumable.upload("orders.csv", url, "orders", key=["id"]).run()
    with pytest.raises(sa.exc.IntegrityError):
        execute(url, "insert into orders values (1, 'again')")
    resumable.export(url, "orders", "out.csv").run()
    assert pathlib.Path("out.csv").read_bytes() == pathlib.Path("orders.csv").read_bytes()


@pytest.mark.parametrize(
    "options",
    [
        {"if_exists": "overwrite"},
        {"on_bad_row": "skip"},
        {"quarantine": "aside"},
        {"every": -1},
        {"every": float("nan")},
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(options: dict[str, Any]) -> None:
    """Before anything runs."""
    with pytest.raises(UsageError):
        resumable.upload("orders.csv", SHOP, "orders", **options)


def test_a_schema_names_where_the_table_is(postgres: str) -> None:
    """In PostgreSQL a schema; another one is another table."""
    execute(postgres, "create schema shop")
    resumable.upload("orders.csv", postgres, "orders", schema="shop").run()
    resumable.upload("orders.csv", postgres, "orders").run()
    with psycopg.connect(postgres) as c:
        found = c.execute("select schemaname from pg_tables where tablename = 'orders' order by 1").fetchall()
        assert found == [("public",), ("shop",)]
        assert c.execute("select * from shop.orders order by id").fetchall() == ORDERS


# ------------------------------------------------------------------------------------------------ the run


def test_nothing_shows_before_the_end_unless_staging_is_waived(url: str) -> None:
    """With `staging=False` the rows are in sight after the first commit; terminate removes them all the same."""
    numbers(pathlib.Path("many.csv"), 140_000)
    there = "select count(*) from many"
    begun(resumable.upload("many.csv", url, "many", every=0, name="hidden"))
    with pytest.raises(sa.exc.DBAPIError):
        query(url, there)
    resumable.upload("many.csv", url, "many", every=0, name="hidden").terminate()
    step = begun(resumable.upload("many.csv", url, "many", every=0, name="plain", staging=False))
    assert query(url, there) == [(step.rows,)]
    resumable.upload("many.csv", url, "many", every=0, name="plain", staging=False).terminate()
    with pytest.raises(sa.exc.DBAPIError):
        query(url, there)
    resumable.upload("many.csv", url, "many", every=0, name="plain", staging=False).run()
    assert query(url, there) == [(140_000,)]
    with pytest.raises(resumable.ResumableError):
        resumable.upload("orders.csv", url, "many", staging=False, if_exists="append").run()


def test_every_is_the_time_between_commits() -> None:
    """0 commits after each batch; a great number only at the end."""
    numbers(pathlib.Path("many.csv"), 140_000)
    often = [p.rows for p in resumable.upload("many.csv", SHOP, "a", every=0)]
    assert len(often) >= 3
    assert often == sorted(often)
    assert [p.rows for p in resumable.upload("many.csv", SHOP, "b", every=3600)] == [140_000]


def test_a_transform_changes_rows_and_columns(url: str) -> None:
    """It maps a batch to a batch; columns may come and go, rows may be left out."""

    def transform(rows: pa.RecordBatch) -> pa.RecordBatch:
        upper = pa.compute.utf8_upper(rows["name"])
        made = pa.RecordBatch.from_arrays([rows["id"], upper], ["id", "upper"])
        return made.filter(pa.compute.is_valid(upper))

    last = resumable.upload("orders.csv", url, "orders", transform=transform).run()
    assert query(url, "select id, upper from orders order by id") == [(1, "ANN"), (2, "BOB")]
    assert last.rows == 2


def test_a_transform_that_gives_other_columns_each_time_is_refused() -> None:
    """What it gives for an empty batch holds for all."""

    def transform(rows: pa.RecordBatch) -> pa.RecordBatch:
        return rows.select(["id"]) if rows.num_rows else rows

    with pytest.raises(UsageError, match="same columns and types"):
        resumable.upload("orders.csv", SHOP, "orders", transform=transform).run()
    assert "orders" not in tables(pathlib.Path("shop.db"))


def test_a_failed_run_goes_on_with_quarantine_but_not_back(folder: pathlib.Path) -> None:
    """The one option that may change in the middle: otherwise a bad row would mean to begin again from the first."""
    numbers(folder / "bad.csv", 600_000, bad=600_000)
    with pytest.raises(resumable.BadRow) as bad:
        resumable.upload("bad.csv", SHOP, "bad", every=0).run()
    assert (bad.value.row, bad.value.column) == (600_000, "n")
    store = resumable.stores.FileStore(".resumable")
    (name,) = store.names()
    rows = store.load(name).checkpoint.rows
    assert rows > 0
    aside = {"on_bad_row": "quarantine", "quarantine": "aside.jsonl"}
    step = begun(resumable.upload("bad.csv", SHOP, "bad", every=0, **aside))
    assert step.rows > rows or step.status == "completed"
    if step.status != "completed":
        with pytest.raises(OptionsChanged, match="on_bad_row"):
            resumable.upload("bad.csv", SHOP, "bad", every=0).run()
        with pytest.raises(OptionsChanged, match="quarantine"):
            resumable.upload("bad.csv", SHOP, "bad", every=0, on_bad_row="quarantine", quarantine="other").run()
    with pytest.raises(OptionsChanged, match="columns"):
        resumable.upload("bad.csv", SHOP, "bad", every=0, columns={"n": "string"}, **aside).run()
    last = resumable.upload("bad.csv", SHOP, "bad", every=0, **aside).run()
    assert (last.rows, last.rejected) == (599_999, 1)
    assert [json.loads(line)["row"] for line in (folder / "aside.jsonl").read_text().splitlines()] == [600_000]


KILL = """
import os, sys, resumable
def rows(batch):
    return batch
pipeline = resumable.upload("bad.csv", sys.argv[1], "t", columns={"n": "int64"}, on_bad_row="quarantine", every=0)
for number, step in enumerate(pipeline):
    if number == int(sys.argv[2]):
        os.kill(os.getpid(), 9)
"""


def test_rejected_rows_are_in_the_quarantine_once_after_kills(url: str, folder: pathlib.Path) -> None:
    """Every seventieth row is bad; the process dies twice; each is in the file once, in order, and in the table never."""
    total = 200_000
    lines = [f"{i},{'oops' if i % 70 == 0 else i}\n" for i in range(1, total + 1)]
    (folder / "bad.csv").write_text("id,n\n" + "".join(lines))
    for after in ("0", "1"):
        done = subprocess.run([sys.executable, "-c", KILL, url, after], env=environment(), check=False, cwd=folder)
        assert done.returncode == -9
        assert not (folder / "bad.csv.rejected.jsonl").exists()
    pipeline = resumable.upload("bad.csv", url, "t", columns={"n": "int64"}, on_bad_row="quarantine", every=0)
    assert pipeline.status == "interrupted"
    last = pipeline.run()
    assert (last.rows, last.rejected) == (total - total // 70, total // 70)
    with open(folder / "bad.csv.rejected.jsonl", encoding="utf-8") as file:
        rejects = [json.loads(line) for line in file]
    assert [reject["row"] for reject in rejects] == list(range(70, total + 1, 70))
    assert {reject["column"] for reject in rejects} == {"n"}
    data = (folder / "bad.csv").read_bytes()
    for reject in (rejects[0], rejects[-1]):
        assert data[reject["offset"] :].startswith(reject["text"].encode())
    assert query(url, "select count(*), count(distinct id), sum(id) from t") == [
        (total - total // 70,) * 2 + (sum(i for i in range(1, total + 1) if i % 70),)
    ]


def test_a_run_that_was_paused_is_the_same_as_one_that_was_not(url: str, folder: pathlib.Path) -> None:
    """Paused after every commit, in a new pipeline each time; all rows, once, in order; progress over all sessions."""
    numbers(folder / "many.csv", 200_000)
    sessions = 0
    while True:
        sessions += 1
        step = begun(resumable.upload("many.csv", url, "many", every=0))
        if step.status == "completed":
            break
    assert sessions > 3
    assert step.sessions == sessions
    assert query(url, "select count(*), count(distinct id), sum(n) from many") == [
        (200_000, 200_000, 3 * 200_000 * 200_001 // 2)
    ]


TRICKY = [
    ["1", "plain", None, "2024-02-29", "1.5"],
    ["2", "", "NA", None, "-0.25"],
    ["3", None, '"', "1999-12-31", "1e+20"],
    ["4", "a,b", 'say "hi"', "0001-01-01", "0.1"],
    ["5", "two\nlines", "cr\rlf\r\n", "9999-12-31", None],
    ["6", " spaces ", "\t", "2024-01-01", "3.0"],
    ["7", "Ünï¢öde 🦆", "'", "2024-01-02", "2.2250738585072014e-308"],
    ["9007199254740993", "007", "null", "2024-01-03", "1.7976931348623157e+308"],
]


def tricky() -> str:
    """The rows as CsvSink writes them: quotes where needed, NULL as nothing, the empty string as `""`."""

    def field(value: str | None) -> str:
        if value is None:
            return ""
        return value if value and not set(value) & set(',"\r\n') else '"' + value.replace('"', '""') + '"'

    return "id,a,b,day,f\n" + "".join(",".join(map(field, row)) + "\n" for row in TRICKY)


def test_a_tricky_file_comes_back_to_the_byte(url: str, folder: pathlib.Path) -> None:
    """Quotes, line ends within fields, NULL beside the empty string, leading zeros, great integers, small floats."""
    (folder / "in.csv").write_text(tricky(), encoding="utf-8", newline="")
    with open(folder / "in.csv", newline="", encoding="utf-8") as file:
        assert [[f or "" for f in row] for row in TRICKY] == list(csv.reader(file))[1:]
    resumable.upload("in.csv", url, "t", key="id").run()
    resumable.export(url, "t", "out.csv").run()
    assert (folder / "out.csv").read_bytes() == (folder / "in.csv").read_bytes()


AWKWARD = ["a b", "50%", "%s", "x:y", 'say "hi"', "sel;ect", "Größe", "a.b", "?", "order"]


@pytest.mark.parametrize(("how", "rows"), [("append", 2), ("replace", 1), ("upsert", 2)])
def test_names_may_be_awkward(how: Any, rows: int, url: str, folder: pathlib.Path) -> None:
    """Blanks, quotes, per cent signs, colons, keywords: in the names of tables, columns and keys, in and out."""
    head = ",".join('"' + name.replace('"', '""') + '"' if '"' in name else name for name in AWKWARD)
    first, second = (",".join(str(n + i) for i in range(len(AWKWARD))) for n in (0, 100))
    (folder / "first.csv").write_text(f"{head}\n{first}\n", encoding="utf-8")
    (folder / "second.csv").write_text(f"{head}\n{second}\n", encoding="utf-8")
    table = 'we"ird %s:x'
    resumable.upload("first.csv", url, table, key="50%", columns={"%s": "int32"}).run()
    resumable.upload("second.csv", url, table, if_exists=how, key="50%" if how == "upsert" else None).run()
    resumable.export(url, table, "out.csv").run()
    expected = [head, first, second] if rows == 2 else [head, second]
    assert (folder / "out.csv").read_text(encoding="utf-8").splitlines() == expected


def test_the_users_sqlite_settings_stay(folder: pathlib.Path) -> None:
    """Journal mode and page size are the database's own."""
    with closing(sqlite3.connect("shop.db")) as c:
        c.execute("pragma page_size = 8192")
        c.execute("pragma journal_mode = wal")
        c.execute("create table other(a)")
    resumable.upload("orders.csv", SHOP, "orders").run()
    with closing(sqlite3.connect("shop.db")) as c:
        assert (c.execute("pragma journal_mode").fetchone(), c.execute("pragma page_size").fetchone()) == (
            ("wal",),
            (8192,),
        )


def test_two_uploads_into_one_database_do_not_know_of_each_other(url: str) -> None:
    """Both paused, one terminated, one completed: each has its own staging and ledger row."""
    numbers(pathlib.Path("many.csv"), 140_000)
    one, two = (resumable.upload("many.csv", url, name, every=0) for name in ("one", "two"))
    begun(one)
    begun(two)
    one.terminate()
    assert two.run().rows == 140_000
    assert query(url, "select count(*) from two") == [(140_000,)]
    assert query(url, "select name from resumable_ledger") == [(two.name,)]
    assert image(pathlib.Path.cwd())

"""`export`, by its keyword arguments: tables, views and queries into files."""

from __future__ import annotations

import os
import pathlib
import sqlite3
from contextlib import closing
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

import resumable
from resumable.errors import OptionsChanged, SourceError, TargetExists, UsageError
from resumable.sinks import CsvSink
from resumable.sources import ArrowSource, SqlSource
from resumable.stores import MemoryStore
from shell import environment

SHOP = "sqlite:///shop.db"
WHOLE = "id,name\n" + "".join(f"{i},{'' if i % 3 == 0 else f'n{i}'}\n" for i in range(1, 140_001))


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A working folder of its own."""
    monkeypatch.chdir(tmp_path)
    for variable in environment().keys() ^ os.environ.keys():
        monkeypatch.delenv(variable)
    return tmp_path


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest) -> str:
    """The URL of a database of each kind, with a table `many` of three batches, and a view of it."""
    url = SHOP if request.param == "sqlite" else request.getfixturevalue("postgres")
    numbers = {
        "sqlite": "with recursive r(i) as (values (1) union all select i + 1 from r where i < 140000) select i from r",
        "postgresql": "select i from generate_series(1, 140000) i",
    }[request.param]
    execute(
        url,
        "create table many(id integer primary key, name text)",
        f"insert into many select i, case when i - i / 3 * 3 <> 0 then 'n' || i end from ({numbers}) x",
        "create view few as select id, name from many where id <= 3",
    )
    return url


def execute(url: str, *statements: str) -> None:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    try:
        with engine.begin() as c:
            for statement in statements:
                c.exec_driver_sql(statement)
    finally:
        engine.dispose()


def begun(pipeline: resumable.Pipeline) -> resumable.Progress:
    """Its first commit, after which it is paused."""
    with closing(iter(pipeline)) as steps:
        return next(steps)


def read(path: str) -> str:
    return pathlib.Path(path).read_bytes().decode()


def test_a_table_is_written_in_the_order_of_its_key(url: str, folder: pathlib.Path) -> None:
    """All rows, once; no other file is left."""
    last = resumable.export(url, "many", "out.csv").run()
    assert (last.status, last.rows, last.fraction) == ("completed", 140_000, 1.0)
    assert read("out.csv") == WHOLE
    assert sorted(os.listdir(folder)) == sorted([".resumable", "out.csv", *(["shop.db"] if url == SHOP else [])])


def test_the_bytes_do_not_depend_on_where_it_was_interrupted(url: str, folder: pathlib.Path) -> None:
    """Paused after every commit; before the end nothing is at the target's path."""
    steps = 0
    while begun(resumable.export(url, "many", "out.csv", every=0)).status != "completed":
        steps += 1
        assert not (folder / "out.csv").exists()
    assert steps >= 2
    assert read("out.csv") == WHOLE


@pytest.mark.parametrize(
    "what",
    ["select name, id from many where id <= 3", "with t as (select * from many where id <= 3) select name, id from t"],
)
def test_a_query_is_written_in_the_order_of_the_key_that_is_given(what: str, url: str) -> None:
    """Its columns in its own order."""
    resumable.export(url, what, "out.csv", key="id").run()
    assert read("out.csv") == "name,id\nn1,1\nn2,2\n,3\n"


def test_a_query_may_hold_what_drivers_take_for_placeholders(url: str) -> None:
    """Per cent signs, colons and question marks are the query's own, also after a resume."""
    query = "select id, name from many where name like 'n1%' and id % 2 = 1 and name <> ':x' and name <> '%s?'"
    while begun(resumable.export(url, query, "out.csv", key="id", every=0)).status != "completed":
        pass
    assert read("out.csv") == "id,name\n" + "".join(
        f"{i},n{i}\n" for i in range(1, 140_001, 2) if i % 3 and str(i).startswith("1")
    )


def test_a_view_can_be_given_a_key_too(url: str) -> None:
    """One or several columns."""
    resumable.export(url, "few", "out.csv", key=["id"]).run()
    assert read("out.csv") == "id,name\n1,n1\n2,n2\n3,\n"


def test_a_key_of_several_columns_loses_no_ties(url: str) -> None:
    """Ties in the first column, across the boundaries of batches and sessions."""
    execute(url, "create table pairs(a integer not null, b integer not null, primary key (a, b))",
            "insert into pairs select id / 50000, id from many")  # fmt: skip
    while begun(resumable.export(url, "pairs", "out.csv", every=0)).status != "completed":
        pass
    assert read("out.csv") == "a,b\n" + "".join(f"{i // 50000},{i}\n" for i in range(1, 140_001))


def test_every_kind_of_source_writes_the_same_file(url: str) -> None:
    """A URL, a URL object, an engine, a source of one's own."""
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    for number, source in enumerate((url, sa.engine.make_url(url), engine, SqlSource(url, "many"))):
        resumable.export(source, "many", f"{number}.csv").run()
        assert read(f"{number}.csv") == WHOLE
    engine.dispose()


def test_any_source_and_any_sink_go_together() -> None:
    """A table in memory into a sink of one's own."""
    table = pa.table({"a": [1, 2]})
    resumable.export(ArrowSource(table), "numbers", CsvSink("out.csv", delimiter=";")).run()
    resumable.export(ArrowSource(table), "numbers", pathlib.Path("path.csv")).run()
    assert (read("out.csv"), read("path.csv")) == ("a\n1\n2\n",) * 2


@pytest.mark.parametrize(
    ("arguments", "options", "words"),
    [
        ((7, "many", "out.csv"), {}, "int is no source"),
        ((pathlib.Path("shop.db"), "many", "out.csv"), {}, "is no source"),
        (("shop.db", "many", "out.csv"), {}, "no database URL"),
        ((SHOP, "many", 7), {}, "int is no target"),
        ((SHOP, "many", "postgresql://h/x"), {}, "file, not a URL"),
        ((SHOP, "many", "out.parquet"), {}, "parquet"),
        ((SHOP, "many", "out.csv"), {"if_exists": "append"}, "append"),
        ((SHOP, "many", "out.csv"), {"delimiter": "ab"}, "delimiter"),
        ((SHOP, "many", "out.csv"), {"null": "a,b"}, "NULL"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(
    arguments: Any, options: Any, words: str, folder: pathlib.Path
) -> None:
    """Before anything runs or is made."""
    with pytest.raises(UsageError, match=words):
        resumable.export(*arguments, **options)
    assert os.listdir(folder) == []


def test_a_file_that_is_there_is_refused_or_replaced_at_the_end(url: str) -> None:
    """With `replace` the old one stays whole until the new one is."""
    pathlib.Path("out.csv").write_text("old\n")
    with pytest.raises(TargetExists, match="replace"):
        resumable.export(url, "many", "out.csv").run()
    for _ in resumable.export(url, "many", "out.csv", if_exists="replace", every=0):
        assert read("out.csv") in ("old\n", WHOLE)
    assert read("out.csv") == WHOLE


def test_format_options_reach_the_file(url: str) -> None:
    """delimiter, header, null, spreadsheet_safe; a tab for *.tsv; format= where the name doesn't say."""
    execute(
        url, "create table odd(id integer primary key, a text)", "insert into odd values (1, '=1'), (2, null), (3, '')"
    )
    resumable.export(
        url, "odd", "a.dat", format="csv", delimiter=";", header=False, null="NULL", spreadsheet_safe=True
    ).run()
    assert read("a.dat") == '1;\'=1\n2;NULL\n3;""\n'
    resumable.export(url, "odd", "b.tsv").run()
    assert read("b.tsv") == 'id\ta\n1\t=1\n2\t\n3\t""\n'
    with pytest.raises(UsageError, match="'dat'"):
        resumable.export(url, "odd", "c.dat")


def test_an_empty_table_makes_a_file_with_only_a_header(url: str) -> None:
    """It reads back as an empty table."""
    execute(url, "create table bare(id integer primary key, a text)")
    resumable.export(url, "bare", "out.csv").run()
    assert read("out.csv") == "id,a\n"


def test_a_transform_changes_what_is_written(url: str) -> None:
    """Columns may come and go."""
    resumable.export(url, "few", "out.csv", key="id", transform=lambda rows: rows.select(["name"])).run()
    assert read("out.csv") == "name\nn1\nn2\n\n"


def test_a_schema_names_where_the_table_is(postgres: str) -> None:
    """In PostgreSQL; without it the search path counts."""
    execute(postgres, "create schema shop", "create table shop.t(id int primary key)", "insert into shop.t values (1)")
    resumable.export(postgres, "t", "out.csv", schema="shop").run()
    assert read("out.csv") == "id\n1\n"
    with pytest.raises(SourceError, match="'t'"):
        resumable.export(postgres, "t", "other.csv").run()


def test_names_are_readable_and_stable_from_any_folder(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the source without credentials, the table or query, and the file."""
    name = resumable.export(SHOP, "many", "out.csv").name
    assert name.startswith("export-many-out.csv-")
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    for target in ("../out.csv", folder / "out.csv"):
        assert resumable.export(f"sqlite:///{folder / 'shop.db'}", "many", target, store=MemoryStore()).name == name
    monkeypatch.chdir(folder)
    others = [
        resumable.export(SHOP, "other", "out.csv"),
        resumable.export(SHOP, "many", "other.csv"),
        resumable.export("sqlite:///other.db", "many", "out.csv"),
        resumable.export(SHOP, "select * from many", "out.csv"),
    ]
    assert len({name, *(other.name for other in others)}) == 5
    assert others[3].name.startswith("export-query-out.csv-")
    assert os.listdir(folder) == ["sub"], "nothing has run yet"


def test_a_replaced_export_is_done_anew_each_time_once_the_last_is_over(url: str) -> None:
    """A table can't prove that it is unchanged: an update, a delete, a row below the greatest key, more, or nothing."""
    pipeline = resumable.export(url, "few", "out.csv", key="id", if_exists="replace")
    pipeline.run()
    for change, there in {
        "update many set name = 'new' where id = 1": "1,new\n2,n2\n3,\n",
        "delete from many where id = 2": "1,new\n3,\n",
        "insert into many values (-1, 'low')": "-1,low\n1,new\n3,\n",
        "select 1": "-1,low\n1,new\n3,\n",
    }.items():
        execute(url, change)
        assert (pipeline.run().message, read("out.csv")) == ("", f"id,name\n{there}"), change


def test_a_repeated_query_is_done_anew_too_and_an_unfinished_one_goes_on(url: str) -> None:
    """`replace` over a run that isn't over goes on with it; the next call is another run."""
    pipeline = resumable.export(url, "select * from many", "out.csv", key="id", if_exists="replace", every=0)
    begun(pipeline)
    paused = pipeline.progress.rows
    assert paused
    assert pipeline.run().rows == 140_000
    assert len(pipeline.progress.history) == 2
    execute(url, "delete from many where id > 5")
    assert pipeline.run().rows == 5


def test_a_repeated_export_without_replace_says_when_the_file_was_written(url: str) -> None:
    """It ends well, so that a loop until exit status 0 ends; whatever has happened to the table. Taken, the advice helps."""
    pipeline = resumable.export(url, "few", "out.csv", key="id")
    pipeline.run()
    execute(url, "insert into many values (-1, 'low')", "update many set name = 'new' where id = 1")
    said = pipeline.run().message
    assert "completed before on 2" in said
    assert "the table may have changed since" in said
    assert "if_exists='replace' (--if-exists replace) exports it anew" in said
    assert read("out.csv") == "id,name\n1,n1\n2,n2\n3,\n"
    resumable.export(url, "few", "out.csv", key="id", if_exists="replace").run()
    assert read("out.csv") == "id,name\n-1,low\n1,new\n2,n2\n3,\n"
    os.remove("out.csv")
    assert resumable.export(url, "few", "out.csv", key="id").run().message == ""


def test_a_completed_export_is_not_done_with_other_options(url: str) -> None:
    """What is there isn't what they mean; with `replace` they are taken."""
    resumable.export(url, "few", "out.csv", key="id").run()
    other = {"key": "id", "delimiter": ";"}
    with pytest.raises(OptionsChanged, match="delimiter was None and is now ';'"):
        resumable.export(url, "few", "out.csv", **other).run()
    resumable.export(url, "few", "out.csv", **other, if_exists="replace").run()
    assert read("out.csv").startswith("id;name\n")


def test_terminate_leaves_the_old_file_and_no_other(url: str, folder: pathlib.Path) -> None:
    """The partial file goes, the old one stays."""
    pathlib.Path("out.csv").write_text("old\n")
    pipeline = resumable.export(url, "many", "out.csv", if_exists="replace", every=0)
    begun(pipeline)
    assert any("partial" in name for name in os.listdir(folder))
    pipeline.terminate()
    assert read("out.csv") == "old\n"
    assert not any("partial" in name for name in os.listdir(folder))


def test_the_database_is_only_read(folder: pathlib.Path) -> None:
    """No table of ours, not a byte of another; a file that may not be written will do."""
    with closing(sqlite3.connect("shop.db")) as c:
        c.executescript("create table t(id integer primary key); insert into t values (1)")
    before = (folder / "shop.db").read_bytes()
    (folder / "shop.db").chmod(0o400)
    resumable.export(SHOP, "t", "out.csv").run()
    assert (folder / "shop.db").read_bytes() == before
    assert read("out.csv") == "id\n1\n"

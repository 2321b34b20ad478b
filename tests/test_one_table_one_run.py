"""Default names: one table, one run, however source, target and table are spelled; other data, another run."""

from __future__ import annotations

import pathlib
from dataclasses import replace
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL, make_url

import resumable
from memory import MemorySource
from resumable.checkpoint import Checkpoint
from resumable.databases.identity import database_identity
from resumable.databases.urls import resolved_url, sqlite_file
from resumable.errors import SourceError, UsageError
from resumable.rebuild import url_from_environment
from resumable.sinks import CsvSink, SqlSink
from resumable.sources import ArrowSource, CsvSource, SqlSource
from resumable.stores import SqlStore, open_store
from shell import rows_of

SHOP = "sqlite:///shop.db"


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A working folder of its own, with a small file in it."""
    monkeypatch.chdir(tmp_path)
    for variable in ("PGHOST", "PGPORT", "PGDATABASE", "PGUSER"):
        monkeypatch.delenv(variable, raising=False)
    for variable in ("RESUMABLE_STORE", "RESUMABLE_TARGET_URL", "RESUMABLE_SOURCE_URL"):
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "orders.csv").write_text("id,name\n1,ann\n2,bob\n3,\n")
    return tmp_path


def uploaded(target: Any, table: str = "orders", schema: str | None = None) -> str:
    return resumable.upload("orders.csv", target, table, schema=schema).name


def exported(source: Any, table: str = "orders", schema: str | None = None) -> str:
    return resumable.export(source, table, "out.csv", schema=schema).name


# ------------------------------------------------------------------------------------- one table, one run


def uri(path: str) -> str:
    """The URL of a SQLite `file:` URI, which SQLAlchemy 2.0 and 2.1 write differently."""
    return URL.create("sqlite", database=f"file:{path}", query={"uri": "true"}).render_as_string()


PLACES = {
    "this machine": [
        "postgresql://localhost/shop",
        "postgresql:///shop",
        "postgresql://me@/shop",
        "postgresql://me:secret@localhost:5432/shop",
        "postgresql://LocalHost./shop",
        "postgresql://127.0.0.1/shop",
        "postgresql://127.1.2.3/shop",
        "postgresql://[::1]/shop",
        "postgresql://[::ffff:127.0.0.1]:5432/shop",
        "postgresql:///shop?host=/var/run/postgresql",
        "postgresql:///shop?host=127.0.0.1&port=5432",
        "postgresql://?dbname=shop",
        "postgresql://shop@",
        "postgresql+psycopg://localhost/shop",
        "postgresql+psycopg2://localhost/shop",
        "postgres://localhost/shop",
        "postgres://me:secret@127.0.0.1:5432/shop?sslmode=prefer",
    ],
    "another port": ["postgresql://localhost:5433/shop", "postgres://[::1]:5433/shop", "postgresql:///shop?port=5433"],
    "another machine": ["postgresql://db.example/shop", "postgresql://me@DB.example.:5432/shop"],
    "by number": ["postgresql://[2001:db8::1]/shop", "postgresql://[2001:0db8:0:0::1]:5432/shop"],
    "another database": ["postgresql://localhost/other", "postgresql://127.0.0.1:5432/other"],
    "a file": [
        SHOP,
        "sqlite:///./shop.db",
        "sqlite:///sub/../shop.db",
        "sqlite:///link.db",
        "sqlite:///sub/up/shop.db",
        "sqlite+pysqlite:///shop.db",
        "sqlite:///{folder}/shop.db",
        "sqlite:///file:shop.db?uri=true",
        "sqlite:///file:{folder}/shop.db?uri=true",
        "sqlite:///file://localhost{folder}/shop.db?uri=true&mode=rwc",
        "sqlite:///file:link.db?uri=1",
    ],
    "a file whose name begins with file:": ["sqlite:///file:shop.db", "sqlite:///./file:shop.db"],
    "a file with a space": ["sqlite:///my shop.db", uri("my%20shop.db")],
}
"""Ways to write each database."""


def spelled(folder: pathlib.Path) -> dict[str, list[str]]:
    (folder / "sub").mkdir()
    (folder / "shop.db").touch()
    (folder / "link.db").symlink_to("shop.db")
    (folder / "sub" / "up").symlink_to(folder)
    return {where: [url.replace("{folder}", str(folder)) for url in urls] for where, urls in PLACES.items()}


def test_a_database_has_one_name_however_it_is_reached(folder: pathlib.Path) -> None:
    """By host name, number, socket or nothing, with the default port or without, by any driver, path or link."""
    names: dict[str, set[str]] = {}
    for where, urls in spelled(folder).items():
        engines = [url for url in urls if make_url(url).drivername in ("sqlite", "postgresql+psycopg")]
        names[where] = {database_identity(url) for url in urls} | {
            database_identity(sa.create_engine(url)) for url in engines
        }
        assert len(names[where]) == 1, (where, names[where])
        assert len({uploaded(url) for url in urls if "psycopg2" not in url}) == 1, where
        assert len({exported(url) for url in urls if "psycopg2" not in url}) == 1, where
        for url in urls:
            assert database_identity(resolved_url(url).render_as_string(hide_password=False)) in names[where], url
    assert len(set.union(*names.values())) == len(PLACES)


def test_the_environment_names_the_server_where_the_url_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """As libpq has it: the name is of the server that will be reached."""
    here = database_identity("postgresql://localhost/shop")
    monkeypatch.setenv("PGHOST", "db.example")
    monkeypatch.setenv("PGPORT", "5433")
    monkeypatch.setenv("PGDATABASE", "shop")
    assert database_identity("postgresql://") == database_identity("postgresql://db.example:5433/shop")
    assert database_identity("postgresql://127.0.0.1:5432/shop") == here


TABLES = {
    "sqlite": {
        "orders": [("orders", None), ("Orders", None), ("ORDERS", "Main"), ("main.orders", None), ("orders", "main")],
        "an attached one": [("aux.orders", None), ("orders", "aux"), ("ORDERS", "Aux"), ("Aux.Orders", None)],
        "not ASCII": [("é", None), ("main.é", None)],
        "its capital": [("É", None), ("É", "main")],
    },
    "postgresql": {
        "orders": [("orders", None), ("public.orders", None), ("orders", "public")],
        "a capital": [("Orders", None), ("Orders", "public"), ("public.Orders", None)],
        "another schema": [("sales.orders", None), ("orders", "sales")],
        "two dots": [("sales.a.b", None), ("a.b", "sales")],
        "a capital schema": [("Public.orders", None), ("orders", "Public")],
        "main is no word here": [("main.orders", None), ("orders", "main")],
    },
}


@pytest.mark.parametrize("backend", TABLES)
@pytest.mark.parametrize("make", [uploaded, exported])
def test_a_table_has_one_name_however_it_is_spelled(make: Any, backend: str) -> None:
    """SQLite folds ASCII and has `main`; PostgreSQL folds nothing, and means `public`."""
    url = SHOP if backend == "sqlite" else "postgresql://h/shop"
    names = {what: {make(url, *spelling) for spelling in spellings} for what, spellings in TABLES[backend].items()}
    assert {what: len(found) for what, found in names.items()} == dict.fromkeys(names, 1)
    assert len(set.union(*names.values())) == len(names)


def test_a_sink_or_source_of_ours_has_the_name_that_its_url_has(folder: pathlib.Path) -> None:
    """An object in place of a URL or path changes nothing; another place of one's own is another run."""
    assert uploaded(SqlSink(SHOP, "Orders"), "anything") == uploaded(SHOP)
    assert resumable.upload(CsvSource("./orders.csv"), SHOP, "orders").name == uploaded(SHOP)
    assert exported(SqlSource(SHOP, "main.orders"), "anything") == exported(SHOP)
    assert resumable.export(SHOP, "orders", CsvSink("./out.csv")).name == exported(SHOP)
    (folder / "here").symlink_to(folder)
    assert resumable.export(SHOP, "orders", "here/out.csv").name == exported(SHOP)
    (folder / "link.csv").symlink_to("out.csv")  # which an export replaces
    assert resumable.export(SHOP, "orders", "link.csv").name != exported(SHOP)
    assert uploaded(CsvSink("one.csv")) != uploaded(CsvSink("two.csv"))


def test_another_spelling_is_the_same_run_from_its_pause_to_its_end(folder: pathlib.Path) -> None:
    """Paused under one, gone on with under a second, completed under a third; asked to go on by name as well."""
    rows = "".join(f"{i}\n" for i in range(200_000))
    (folder / "many.csv").write_text("id\n" + rows)
    (folder / "link.db").symlink_to("shop.db")
    steps = iter(resumable.upload("many.csv", SHOP, "Many", every=0, if_exists="append"))
    next(steps)
    steps.close()
    name = resumable.runs()[0].name
    other = resumable.upload("./many.csv", "sqlite:///link.db", "main.many", every=0, if_exists="append")
    assert other.status == "paused"
    steps = iter(other)
    next(steps)
    steps.close()
    given = f"sqlite:///{folder}/shop.db"
    assert resumable.Run(name).resume(target=given).rows == 200_000
    again_ = resumable.upload("many.csv", "sqlite:///file:shop.db?uri=true", "MANY", schema="MAIN", if_exists="append")
    assert "nothing to do" in again_.run().message
    for store in ("elsewhere", ".resumable"):  # the ledger knows as well
        last = resumable.upload("many.csv", SHOP, "many", if_exists="append", store=store).run()
        assert "nothing to do" in last.message
    assert rows_of(folder / "shop.db", "select count(*) from many") == [(200_000,)]
    assert [run.name for run in resumable.runs()] == [name]


def test_a_lost_store_does_not_tell_spellings_apart(folder: pathlib.Path) -> None:
    """What the ledger has of `Many`, unpublished as yet, goes on as `many`, and is called off as `MANY`."""
    (folder / "many.csv").write_text("id\n" + "".join(f"{i}\n" for i in range(140_000)))
    for spelling, act in (("many", "run"), ("MANY", "terminate")):
        url = f"sqlite:///{act}.db"
        steps = iter(resumable.upload("many.csv", url, "Many", every=0, store=f"{act}-one"))
        next(steps)
        steps.close()
        getattr(resumable.upload("many.csv", url, spelling, every=0, store=f"{act}-two"), act)()
    assert rows_of(folder / "run.db", "select count(*) from many") == [(140_000,)]
    assert rows_of(folder / "terminate.db", "select count(*) from sqlite_master") == [(0,)]


def test_where_the_table_lies_is_no_option() -> None:
    """A run that kept its schema among the options, as it was kept at first, goes on; the sink looks at where it is."""
    was = Checkpoint(number=3, definition={"options": {"schema": "sales", "key": []}})
    plan = resumable.upload("orders.csv", SHOP, "orders", schema="main", name="mine").plan
    plan = replace(plan, definition={"options": {"key": []}})
    assert plan.with_current_options(was) == was


def test_postgres_is_taken_wherever_a_url_is(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As target, source and store, and given again from the environment."""
    url = postgres.replace("postgresql:", "postgres:")
    assert resumable.upload("orders.csv", url, "orders", key="id", store=url).run().rows == 3
    assert "nothing to do" in resumable.upload("orders.csv", postgres, "orders", key="id", store=postgres).run().message
    assert resumable.export(url, "orders", "out.csv", store=url).run().rows == 3
    assert {run.status for run in resumable.runs(url)} == {"completed"}
    assert isinstance(open_store(url), SqlStore)
    assert resolved_url("postgres+psycopg://h/x").drivername == "postgresql+psycopg"
    with_password = make_url(url).set(password="secret").render_as_string(hide_password=False)
    monkeypatch.setenv("RESUMABLE_TARGET_URL", with_password)
    assert url_from_environment(postgres, "RESUMABLE_TARGET_URL") == with_password


def test_a_uri_of_sqlite_means_its_file(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From any folder, as target, source and store; one in memory isn't a file."""
    odd = uri("odd%23name.db")
    assert resumable.upload("orders.csv", odd, "orders", store=odd).run().rows == 3
    assert (folder / "odd#name.db").exists()
    kept = resolved_url(odd).render_as_string()
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    assert resumable.export(kept, "orders", "out.csv").run().rows == 3
    with pytest.raises(SourceError, match="no file"):
        resumable.export("sqlite:///file:nothing.db?uri=true", "orders", "other.csv").run()
    with pytest.raises(UsageError, match="the database itself"):
        resumable.export(kept, "orders", sqlite_file(kept) or "", format="csv")
    for memory in (
        "sqlite://",
        "sqlite:///:memory:",
        "sqlite:///file::memory:?uri=true",
        f"{SHOP}?mode=memory&uri=true",
    ):
        found = sqlite_file(memory.replace("///shop", "///file:shop"))
        assert found is None, memory


# ------------------------------------------------------------------------- data that has no path: by content


def frame(kind: str, values: list[int]) -> Any:
    columns = {"id": values, "name": [f"n{v}" for v in values]}
    return {
        "pandas": lambda: pd.DataFrame(columns),
        "polars": lambda: pl.DataFrame(columns),
        "arrow": lambda: pa.table(columns),
        "chunks": lambda: pa.concat_tables([pa.table(columns).slice(0, 2), pa.table(columns).slice(2)]),
        "source": lambda: ArrowSource(pa.table(columns)),
    }[kind]()


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "chunks", "source"])
def test_each_frame_is_loaded_once_in_any_order(kind: str, folder: pathlib.Path) -> None:
    """a, b, then a again, appended: rows of a and b, and not those of a twice. Made anew each time, as a script does."""
    frames = {"a": [1, 2, 3, 4, 5], "b": [6, 7, 8, 9, 10]}
    said = [
        resumable.upload(frame(kind, frames[which]), SHOP, "t", if_exists="append").run().message for which in "abaabb"
    ]
    assert [bool(message) for message in said] == [False, False, True, True, True, True]
    assert rows_of(folder / "shop.db", "select count(*), count(distinct id) from t") == [(10, 10)]


def test_the_same_content_is_the_same_run_in_whatever_form() -> None:
    """Frames of any make; columns, types, order and each value count, in the middle too."""
    kinds = ("pandas", "polars", "arrow", "chunks", "source")
    assert len({resumable.upload(frame(kind, [1, 2, 3]), SHOP, "t").name for kind in kinds}) == 1
    many = pa.table({"id": range(300_000)})
    middle = pa.table({"id": [*range(150_000), -1, *range(150_001, 300_000)]})
    others = [
        many,
        middle,
        many.slice(1),
        many.rename_columns(["ID"]),
        many.cast(pa.schema([("id", pa.int32())])),
        many.take(pa.array([1, 0, *range(2, 300_000)])),
    ]
    assert len({resumable.upload(other, SHOP, "t").name for other in others}) == len(others)
    assert resumable.upload(many, SHOP, "t").name != resumable.upload(many, SHOP, "u").name


def test_a_frame_that_was_left_goes_on_and_another_one_begins_its_own_run(folder: pathlib.Path) -> None:
    """The first is still there, by its name; with one name for both, the second is refused (test_upload.py)."""
    resumable.upload(pd.DataFrame({"id": [-1]}), SHOP, "t").run()
    one, two = pd.DataFrame({"id": range(140_000)}), pd.DataFrame({"id": range(140_000, 141_000)})
    steps = iter(resumable.upload(one, SHOP, "t", if_exists="append", every=0))
    next(steps)
    steps.close()
    assert resumable.upload(two, SHOP, "t", if_exists="append").run().rows == 1_000
    assert sorted(run.status for run in resumable.runs()) == ["completed", "completed", "paused"]
    assert resumable.upload(one.copy(), SHOP, "t", if_exists="append").run().sessions == 2
    assert rows_of(folder / "shop.db", "select count(*), count(distinct id) from t") == [(141_001, 141_001)]


def test_a_frame_that_is_gone_is_called_off_by_the_name_of_its_run(folder: pathlib.Path) -> None:
    """Any frame will do for that: nothing of it is read."""
    steps = iter(resumable.upload(pd.DataFrame({"id": range(140_000)}), SHOP, "t", every=0))
    next(steps)
    steps.close()
    (run,) = resumable.runs()
    resumable.upload(pd.DataFrame({"id": [1]}), SHOP, "t", name=run.name).terminate()
    assert rows_of(folder / "shop.db", "select count(*) from sqlite_master") == [(0,)]


NAMELESS: dict[str, Any] = {
    "a stream that is made anew": lambda name: resumable.upload(lambda: pa.table({"id": [1]}), SHOP, "t", name=name),
    "a source of one's own": lambda name: resumable.upload(MemorySource(3), SHOP, "t", name=name),
    "a source of one's own, exported": lambda name: resumable.export(MemorySource(3), "t", "out.csv", name=name),
    "a sink of one's own": lambda name: resumable.upload("orders.csv", OwnSink("own.csv"), "t", name=name),
}


class OwnSink:
    """A sink that says nothing of where it writes."""

    def __init__(self, path: str) -> None:
        self.inner = CsvSink(path)
        self.open, self.describe = self.inner.open, self.inner.describe


@pytest.mark.parametrize("which", NAMELESS)
def test_what_nothing_tells_from_another_needs_a_name(which: str, folder: pathlib.Path) -> None:
    """A clear error before anything is made; with the name that it asks for, it runs."""
    with pytest.raises(UsageError, match=r"needs a name.* Give name="):
        NAMELESS[which](None)
    assert sorted(path.name for path in folder.iterdir()) == ["orders.csv"]
    assert NAMELESS[which]("mine").run().status == "completed"


def test_a_source_of_ones_own_may_say_what_it_is(folder: pathlib.Path) -> None:
    """Its `address` is enough, and another one is another run: a, b, a again."""

    class Log(MemorySource):
        address = ""

    def load(address: str, rows: int) -> str:
        source = Log(rows)
        source.address = address
        return resumable.upload(source, SHOP, "t", if_exists="append").run().message

    assert [bool(load(which, rows)) for which, rows in (("a", 3), ("b", 4), ("a", 3))] == [False, False, True]
    assert rows_of(folder / "shop.db", "select count(*) from t") == [(7,)]

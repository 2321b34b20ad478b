"""Which table a name means: one rule for upload and export, and a run that keeps to what it began with."""

from __future__ import annotations

import csv
import pathlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

import resumable
from resumable.errors import SourceChanged, SourceError, TargetChanged, TargetError, UsageError
from shell import environment, here


@dataclass
class Database:
    """A database with a schema `sales`: of PostgreSQL, or a file of SQLite to which every connection attaches another."""

    kind: str
    url: Any
    default: str
    run: Callable[..., list[tuple[Any, ...]]]

    def make(self, schema: str, table: str, *rows: int) -> None:
        """A table of numbers by hand."""
        self.run(f"create table {self.quote(schema)}.{self.quote(table)} (id bigint primary key)")
        for row in rows:
            self.run(f"insert into {self.quote(schema)}.{self.quote(table)} values ({row})")

    def quote(self, name: str) -> str:
        return '"' + name.replace('"', '""') + '"'

    def found(self) -> dict[tuple[str, str], list[int]]:
        """All tables with their numbers, without ours."""
        if self.kind == "postgresql":
            names = self.run(
                "select table_schema, table_name from information_schema.tables"
                " where table_schema not in ('pg_catalog', 'information_schema')"
            )
        else:
            spaces = [space for _, space, _ in self.run("pragma database_list")]
            names = [
                (s, n) for s in spaces for (n,) in self.run(f"select name from {s}.sqlite_master where type='table'")
            ]
        return {
            (s, n): [i for (i,) in self.run(f"select id from {self.quote(s)}.{self.quote(n)} order by 1")]
            for s, n in names
            if not n.startswith("resumable_")
        }

    def ours(self) -> int:
        """How many tables of ours there are."""
        if self.kind == "postgresql":
            return int(
                self.run("select count(*) from pg_class where relname like 'resumable%' and relkind = 'r'")[0][0]
            )
        counts = [
            self.run(f"select count(*) from {space}.sqlite_master where name like 'resumable%' and type = 'table'")
            for _, space, _ in self.run("pragma database_list")
        ]
        return sum(int(count[0][0]) for count in counts)


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A working folder with a small file and one of three batches."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESUMABLE_STORE", raising=False)
    numbers(tmp_path / "few.csv", 1, 4)
    numbers(tmp_path / "many.csv", 1, MANY)
    return tmp_path


MANY = 140_001


def numbers(path: pathlib.Path, first: int, end: int) -> None:
    path.write_text("id\n" + "".join(f"{i}\n" for i in range(first, end)))


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, folder: pathlib.Path) -> Iterator[Database]:
    """One of each kind."""
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres")
        with psycopg.connect(url, autocommit=True) as c:

            def run(sql: str) -> list[tuple[Any, ...]]:
                done = c.execute(sql)  # type: ignore[call-overload]
                return done.fetchall() if done.description else []

            run("create schema sales")
            yield Database("postgresql", url, "public", run)
        return
    engine = attaching(folder, "sales")

    def run_(sql: str) -> list[tuple[Any, ...]]:
        with engine.begin() as c:
            done = c.exec_driver_sql(sql)
            return [tuple(row) for row in done] if done.returns_rows else []

    yield Database("sqlite", engine, "main", run_)
    engine.dispose()


def attaching(folder: pathlib.Path, *names: str, **options: Any) -> sa.Engine:
    """An engine that attaches a file of each name whenever it connects."""
    engine = sa.create_engine(f"sqlite:///{folder / 'main.db'}", **options)

    @sa.event.listens_for(engine, "connect")
    def attach(connection: Any, record: object) -> None:
        for name in names:
            connection.execute(f"ATTACH '{folder / name}.db' AS \"{name}\"")

    return engine


def upload(database: Database, table: str, file: str = "few.csv", **options: Any) -> resumable.Pipeline:
    return resumable.upload(file, database.url, table, every=0, **{"if_exists": "append", **options})


def begun(pipeline: resumable.Pipeline) -> resumable.Progress:
    """Its first commit, after which it is paused."""
    with closing(iter(pipeline)) as steps:
        return next(steps)


def exported(database: Database, table: str, **options: Any) -> list[int]:
    resumable.export(database.url, table, "out.csv", if_exists="replace", **options).run()
    with pathlib.Path("out.csv").open(newline="") as file:
        return [int(row["id"]) for row in csv.DictReader(file)]


# ------------------------------------------------------------------------------------------------ the rule

HOME = "home"
RULE: dict[str, tuple[list[tuple[str, str]], str, str | None, tuple[str, str], str]] = {
    # what is there; table and schema as they are spelled; what that means; what the run says of it
    "a new table of a schema": ([], "sales.orders", None, ("sales", "orders"), ""),
    "a schema's table": ([("sales", "orders")], "sales.orders", None, ("sales", "orders"), ""),
    "a schema's, though there is one at home": (
        [("sales", "orders"), (HOME, "orders")], "sales.orders", None, ("sales", "orders"), "",
    ),
    "the exact name comes first": (
        [("sales", "orders"), (HOME, "sales.orders")], "sales.orders", None, (HOME, "sales.orders"), "",
    ),
    "home itself": ([("sales", "orders")], "HOME.orders", None, (HOME, "orders"), ""),
    "no such schema": ([], "nowhere.orders", None, (HOME, "nowhere.orders"), "no schema 'nowhere'"),
    "no such schema, but the table": ([(HOME, "nowhere.orders")], "nowhere.orders", None, (HOME, "nowhere.orders"), ""),
    "schema= overrides": ([(HOME, "sales.orders")], "orders", "sales", ("sales", "orders"), ""),
    "schema= overrides the dot": ([("sales", "orders")], "sales.orders", "HOME", (HOME, "sales.orders"), ""),
    "a dot in a schema's table": ([], "sales.a.b", None, ("sales", "a.b"), ""),
    "a dot in front": ([], ".orders", None, (HOME, ".orders"), "dot and all"),
    "a dot at the end": ([], "sales.", None, (HOME, "sales."), "dot and all"),
    "spaces and capitals": ([], "sales.My Orders", None, ("sales", "My Orders"), ""),
    "quotes": ([], 'sales.say "hi"', None, ("sales", 'say "hi"'), ""),
    "quotes are part of the name": ([], '"sales".x', None, (HOME, '"sales".x'), "dot and all"),
    "percent signs and colons": ([], "sales.50%:x", None, ("sales", "50%:x"), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", RULE)
def test_upload_and_export_mean_the_same_table(case: str, database: Database) -> None:
    """Rows that are appended to a name come back by that name, and lie where the rule says; nothing else changes."""
    there, table, schema, (space, name), note = RULE[case]
    real = {HOME: database.default, "HOME": database.default}
    table, schema = table.replace("HOME", database.default), real.get(schema or "", schema)
    for n, each in enumerate(there):
        database.make(real.get(each[0], each[0]), each[1], 1000 + n)
    before = database.found()
    pipeline = upload(database, table, schema=schema, key="id")
    said = pipeline.explain()
    last = pipeline.run()
    assert note in last.message if note else last.message == ""
    assert not note or note in said
    target = (real.get(space, space), name)
    assert database.found() == before | {target: [1, 2, 3, *before.get(target, [])]}
    assert exported(database, table, schema=schema) == [1, 2, 3, *before.get(target, [])]
    assert "nothing to do" in upload(database, table, schema=schema, key="id").run().message


def test_case_counts_as_the_database_has_it(database: Database) -> None:
    """SQLite's `SALES.Orders` is `sales.orders`; in PostgreSQL there is no schema of that name."""
    database.make("sales", "orders", 9)
    upload(database, "SALES.Orders").run()
    lite = database.kind == "sqlite"
    assert database.found()[("sales", "orders")] == ([1, 2, 3, 9] if lite else [9])
    assert (("public", "SALES.Orders") in database.found()) is not lite
    assert exported(database, "SALES.Orders", **({} if lite else {"key": "id", "schema": "public"})) == (
        [1, 2, 3, 9] if lite else [1, 2, 3]
    )


def test_non_ascii_letters_are_not_folded(database: Database) -> None:
    """`É` and `é` are two tables, at home and in a schema."""
    for name in ("É", "é", "sales.É", "sales.é"):
        upload(database, name, key="id").run()
        assert exported(database, name) == [1, 2, 3]
    assert len(database.found()) == 4


def test_a_column_of_the_table_that_is_meant_is_read_as_its_type(database: Database) -> None:
    """Types are looked up where the rows go, not in a namesake."""
    database.run("create table sales.orders (id text)")
    database.run("create table orders (id bigint)")
    pathlib.Path("zip.csv").write_text("id\n007\n08\n")
    upload(database, "sales.orders", "zip.csv").run()
    assert sorted(database.run("select id from sales.orders")) == [("007",), ("08",)]


def test_what_is_not_there_is_said_with_what_is(database: Database) -> None:
    """A table that a schema hasn't is looked for among that schema's; a schema that isn't there is said to be missing."""
    database.make("sales", "orders")
    with pytest.raises(SourceError, match=r"'oders' in (schema|database) 'sales'.*Did you mean 'orders'"):
        exported(database, "sales.oders")
    with pytest.raises(SourceError, match=r"'nowhere.orders'"):
        exported(database, "nowhere.orders")
    with pytest.raises(TargetError, match=r"no schema 'nowhere'|No database is attached as 'nowhere'"):
        upload(database, "orders", schema="nowhere").run()
    for name in ("", "a\0b", "sales.a\0b"):
        with pytest.raises((TargetError, SourceError)):
            upload(database, name).run()
        with pytest.raises(SourceError):
            exported(database, name)


# ------------------------------------------------------------------------- a run keeps to what it began with


def other_table(d: Database) -> None:
    d.make(d.default, "sales.orders", 7)


@pytest.fixture
def renamed(database: Database) -> Database:
    """A run was begun into sales.orders and left; now there is a table "sales.orders" too, which the name means."""
    database.make("sales", "orders", -1)
    assert 0 < begun(upload(database, "sales.orders", "many.csv")).rows < MANY - 1
    other_table(database)
    with pytest.raises(
        TargetChanged, match=r"For sales.orders say 'orders', schema='sales' and name='.*For .*--restart"
    ):
        upload(database, "sales.orders", "many.csv").run()
    return database


WHOLE = list(range(1, MANY))


def test_schema_says_which_table_is_meant(renamed: Database) -> None:
    """The same run goes on, whose name that is already. Completed, it isn't "nothing to do" for the other table, until that is gone."""
    done = upload(renamed, "orders", "many.csv", schema="sales").run()
    assert (done.sessions, done.rows) == (2, MANY - 1)
    assert renamed.found() == {("sales", "orders"): [-1, *WHOLE], (renamed.default, "sales.orders"): [7]}
    with pytest.raises(TargetChanged):
        upload(renamed, "sales.orders", "many.csv").run()
    renamed.run(f'drop table {renamed.default}."sales.orders"')
    assert "nothing to do" in upload(renamed, "sales.orders", "many.csv").run().message


@pytest.mark.parametrize("act", ["name", "restart"])
def test_a_name_of_its_own_or_a_restart_loads_the_other_table(act: str, renamed: Database) -> None:
    """And the run that was left can still be called off, or has been by the restart: nothing of ours is left of it."""
    renamed.run(f'delete from {renamed.default}."sales.orders"')
    if act == "name":
        upload(renamed, "sales.orders", "many.csv", name="another").run()
        upload(renamed, "sales.orders", "many.csv").terminate()
    else:
        upload(renamed, "sales.orders", "many.csv").restart()
    assert renamed.found() == {("sales", "orders"): [-1], (renamed.default, "sales.orders"): WHOLE}
    assert renamed.ours() == 1, "the ledger beside the table that was loaded"


def test_it_is_called_off_where_it_was_begun(renamed: Database) -> None:
    """By the same call, or by its name alone."""
    pipeline = upload(renamed, "sales.orders", "many.csv")
    if renamed.kind == "postgresql":
        resumable.Run(pipeline.name).terminate()
    else:  # what an Engine attaches can't be told from its URL
        pipeline.terminate()
    assert renamed.found() == {("sales", "orders"): [-1], (renamed.default, "sales.orders"): [7]}
    assert renamed.ours() == 0


def test_a_schema_that_comes_or_goes_between_sessions(postgres: str) -> None:
    """Refused as long as it is so; put back, the run goes on; called off, nothing is left."""
    with psycopg.connect(postgres, autocommit=True) as c:

        def run(sql: str) -> list[tuple[Any, ...]]:
            done = c.execute(sql)  # type: ignore[call-overload]
            return done.fetchall() if done.description else []

        database = Database("postgresql", postgres, "public", run)
        assert begun(upload(database, "sales.orders", "many.csv")).message.endswith("no schema 'sales'")
        run("create schema sales")
        with pytest.raises(TargetChanged, match='begun into "public"'):
            upload(database, "sales.orders", "many.csv").run()
        run("drop schema sales")
        assert upload(database, "sales.orders", "many.csv").run().sessions == 2
        run("create schema sales")
        assert exported(database, "sales.orders", key="id") == list(range(1, MANY))

        numbers(pathlib.Path("other.csv"), 1, MANY)
        pipeline = upload(database, "sales.new", "other.csv")
        begun(pipeline)
        run("drop schema sales cascade")
        with pytest.raises(TargetChanged):
            upload(database, "sales.new", "other.csv").run()
        pipeline.terminate()
        assert pipeline.status == "terminated"
        assert set(database.found()) == {("public", "sales.orders")}
        assert upload(database, "sales.new", "other.csv").run().sessions == 1
        assert ("public", "sales.new") in database.found()


def test_a_completed_run_whose_schema_is_gone_is_run_anew(database: Database) -> None:
    """As for a table that was dropped: where the name now leads."""
    upload(database, "sales.orders").run()
    database.run("drop table sales.orders")
    assert upload(database, "sales.orders").run().message == ""
    assert database.found()[("sales", "orders")] == [1, 2, 3]
    database.run("drop table sales.orders")
    other_table(database)
    assert upload(database, "sales.orders").run().message == ""
    assert database.found() == {(database.default, "sales.orders"): [1, 2, 3, 7]}


def test_an_export_keeps_to_its_table_too(database: Database) -> None:
    """Begun over sales.orders; a table of that whole name made meanwhile is another source."""
    upload(database, "sales.orders", "many.csv", key="id").run()
    pipeline = resumable.export(database.url, "sales.orders", "out.csv", every=0)
    begun(pipeline)
    other_table(database)
    with pytest.raises(SourceChanged, match="another table"):
        pipeline.run()
    last = resumable.export(database.url, "orders", "out.csv", schema="sales", every=0).run()
    assert (last.sessions, last.rows) == (2, MANY - 1)


# --------------------------------------------------------------------------- what no name can tell beforehand


def test_a_search_path_is_followed_at_both_ends_and_said(postgres: str) -> None:
    """Where PostgreSQL itself would find a table, or make it; the run says which schema that is."""
    with psycopg.connect(postgres, autocommit=True) as c:
        c.execute("create schema app")
        c.execute("create table public.orders (id bigint primary key)")
    url = postgres + "?options=-csearch_path%3Dnowhere,app,public"
    last = resumable.upload("few.csv", url, "orders", if_exists="append").run()
    assert last.message == ""
    assert exported(Database("postgresql", url, "", lambda sql: []), "orders") == [1, 2, 3]
    last = resumable.upload("few.csv", url, "fresh", key="id").run()
    assert "'app'" in last.message
    assert "schema='app' it would be another run" in last.message
    with psycopg.connect(postgres) as c:
        assert c.execute("select count(*) from app.fresh").fetchone() == (3,)
        assert c.execute("select count(*) from public.orders").fetchone() == (3,)
    assert exported(Database("postgresql", url, "", lambda sql: []), "fresh") == [1, 2, 3]
    lost = postgres + "?options=-csearch_path%3Dnowhere"
    with pytest.raises(TargetError, match="search_path names no schema"):
        resumable.upload("few.csv", lost, "more").run()
    assert resumable.upload("few.csv", lost, "app.more", key="id").run().rows == 3


def test_another_search_path_in_mid_run_is_another_table(postgres: str) -> None:
    """The run keeps to the schema that it began in."""
    with psycopg.connect(postgres, autocommit=True) as c:
        c.execute("create schema app")
    url = postgres + "?options=-csearch_path%3Dapp"
    begun(resumable.upload("many.csv", url, "orders", every=0))
    with pytest.raises(TargetChanged, match=r"app\.orders, and 'orders' now means orders"):
        resumable.upload("many.csv", postgres, "orders", every=0).run()
    resumable.upload("many.csv", postgres, "orders", every=0).terminate()
    with psycopg.connect(postgres) as c:
        assert c.execute("select count(*) from pg_tables where schemaname in ('app', 'public')").fetchone() == (0,)


def test_a_table_that_comes_earlier_in_the_search_path_is_another_one(postgres: str) -> None:
    """The error's advice names the table that was meant, and the run: the default name wouldn't be the same."""
    with psycopg.connect(postgres, autocommit=True) as c:
        c.execute("create schema app")
        url = postgres + "?options=-csearch_path%3Dapp,public"
        begun(resumable.upload("many.csv", url, "orders", every=0))
        c.execute("create table public.orders (id bigint)")
        with pytest.raises(TargetChanged) as caught:
            resumable.upload("many.csv", url, "orders", every=0).run()
        told = re.search(r"say '(\w+)', schema='(\w+)' and name='(\S+)'\.", str(caught.value))
        assert told
        table, schema, name = told.groups()
        assert resumable.upload("many.csv", url, table, schema=schema, name=name).run().sessions == 2
        assert c.execute("select count(*) from app.orders").fetchone() == (MANY - 1,)


def test_a_table_that_would_be_gone_with_its_connection_is_refused(folder: pathlib.Path) -> None:
    """`temp`, and a database in memory that is attached; in one connection that stays they are as good as any."""
    for table in ("temp.orders", "TEMP.orders"):
        with pytest.raises(UsageError, match="gone with its connection"):
            resumable.upload("few.csv", "sqlite:///main.db", table).run()
    engine = sa.create_engine("sqlite:///main.db", poolclass=StaticPool)
    assert resumable.upload("few.csv", engine, "temp.orders", key="id").run().rows == 3
    assert resumable.export(engine, "temp.orders", "out.csv").run().rows == 3
    with engine.connect() as c:
        assert c.exec_driver_sql("select count(*) from temp.orders").scalar() == 3
    with pytest.raises(SourceError):
        resumable.export(engine, "main.orders", "other.csv").run()
    engine.dispose()


def test_the_command_line_goes_by_the_same_rule(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A schema's table, --schema, and a plain name that is said to be one; on stderr, in JSON and by --explain."""
    for variable in environment({}).keys() & {"RESUMABLE_TARGET_URL", "RESUMABLE_SOURCE_URL"}:
        monkeypatch.delenv(variable)
    with psycopg.connect(postgres, autocommit=True) as c:
        c.execute("create schema sales")
        c.execute("create table sales.orders (id bigint primary key)")
        assert here("upload", "few.csv", postgres, "sales.orders", "--if-exists", "append").returncode == 0
        assert c.execute("select count(*) from sales.orders").fetchone() == (3,)
        done = here("upload", "few.csv", postgres, "orders", "--schema", "sales", "--if-exists", "append")
        assert (done.returncode, "nothing to do" in done.stderr) == (0, True)
        assert "no schema 'sale'" in here("upload", "few.csv", postgres, "sale.orders", "--explain").stdout
        assert c.execute("select count(*) from pg_class where relname = 'sale.orders'").fetchone() == (0,)
        done = here("upload", "few.csv", postgres, "sale.orders")
        assert (done.returncode, "no schema 'sale'" in done.stderr) == (0, True)
        assert here("export", postgres, "sales.orders", "out.csv").returncode == 0
    assert pathlib.Path("out.csv").read_text() == "id\n1\n2\n3\n"


def test_explain_makes_no_file_to_look_into(folder: pathlib.Path) -> None:
    """A SQLite file that isn't there yet has main and temp, and nothing else."""
    assert "no schema 'sales'" in resumable.upload("few.csv", "sqlite:///new.db", "sales.orders").explain()
    assert "Mind" not in resumable.upload("few.csv", "sqlite:///new.db", "main.orders").explain()
    assert not (folder / "new.db").exists()
    said = resumable.upload("few.csv", "postgresql://127.0.0.1:1/x", "sales.orders").explain()
    assert "can't be asked" in said

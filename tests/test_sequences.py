"""Sequences of runs: the same call after a completed one, after other options, after the table was changed by hand."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy.engine import make_url

import images
import resumable
from resumable.checkpoint import Checkpoint
from resumable.errors import (
    AlreadyCompleted,
    OptionsChanged,
    ResumableError,
    Superseded,
    TargetChanged,
    TargetError,
    TargetExists,
)
from resumable.protocols import Claimant, Writer
from resumable.sinks import SqlSink
from resumable.sources import ArrowSource
from resumable.stores import MemoryStore
from targets import Target

ROWS = 70_000
"""More than one batch, so that a run with `every=0` can be left."""


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest) -> Target:
    """An empty database of either kind."""
    return Target(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a file of many rows, one of few, and one of few with semicolons."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "many.csv").write_text("id,name\n" + "".join(f"{n},n{n}\n" for n in range(1, ROWS + 1)))
    (tmp_path / "few.csv").write_text("id,name\n1,a\n2,b\n")
    (tmp_path / "semicolons.csv").write_text("id;name\n1;a\n2;b\n")
    return tmp_path


def upload(target: Target, source: str = "many.csv", **options: Any) -> resumable.Pipeline:
    return resumable.upload(source, target.url, "t", **{"every": 0, **options})


def leave(pipeline: resumable.Pipeline, **acts: bool) -> None:
    """Stop at the first commit."""
    for _ in pipeline.steps(**acts):
        return


def count(target: Target) -> int:
    return int(target.all("select count(*) from t")[0][0])


# ------------------------------------------------------------- a completed run is part of the target as it was


@pytest.mark.parametrize("new", ["restart", "source"])
def test_a_run_after_a_completed_one_that_is_called_off_leaves_that_completed(target: Target, new: str) -> None:
    """A completed append, a restart or an edited source, left and terminated: the same call loads nothing twice."""
    target.do("create table t (id bigint, name text)")
    upload(target, if_exists="append").run()
    before = target.dump().replace("\n", " ").partition("resumable_ledger")[0]
    if new == "source":
        os.rename("many.csv", "kept.csv")
        Path("many.csv").write_text("id,name\n" + "".join(f"{n},other\n" for n in range(1, ROWS + 1)))
    leave(upload(target, if_exists="append"), restart=new == "restart")
    assert upload(target, if_exists="append").status == "paused"
    upload(target, if_exists="append").terminate()
    assert (upload(target, if_exists="append").status, count(target)) == ("completed", ROWS)
    assert before == target.dump().replace("\n", " ").partition("resumable_ledger")[0]
    upload(target, if_exists="append").terminate()  # that it is called off already is no error
    if new == "source":
        os.rename("kept.csv", "many.csv")
    for store in (None, MemoryStore()):
        again = upload(target, if_exists="append", store=store)
        assert ("nothing to do", ROWS) == (again.run().message[-13:], count(target))
        with pytest.raises(AlreadyCompleted):
            again.terminate()


def test_a_run_after_a_completed_one_that_ends_well_is_the_one_remembered(target: Target) -> None:
    """The chain doesn't grow: what is remembered is one completed run."""
    for _ in range(3):
        leave(upload(target, if_exists="append"), restart=True)
        upload(target, if_exists="append").run()
    record = resumable.stores.open_store(None).load(upload(target).name)
    assert record is not None
    assert (record.checkpoint.outcome, record.checkpoint.previous) == ("completed", None)
    assert target.all("select count(*) from resumable_ledger where checkpoint like '%\"previous\":{%'") == [(0,)]


def test_an_export_after_a_completed_one_that_is_called_off_leaves_that_completed(target: Target) -> None:
    """The file of the completed run stays, and so does its memory, in the store."""
    upload(target).run()

    def export() -> resumable.Pipeline:
        return resumable.export(target.url, "t", "out.csv", key="id", if_exists="replace", every=0)

    export().run()
    before = Path("out.csv").read_bytes()
    target.do("delete from t where id > 60000")
    leave(export())
    assert export().status == "paused"
    export().terminate()
    assert (export().status, Path("out.csv").read_bytes()) == ("completed", before)
    assert export().run().rows == 60_000


def test_a_runner_that_comes_between_opening_and_save_erases_no_completed_run(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A restarts a completed run and opens; B takes over, opens and leaves; A's save is refused, and what A made goes."""
    upload(target, if_exists="append").run()
    real = SqlSink.open

    def open_slowly(self: SqlSink, claim: Claimant, last: Checkpoint) -> Writer:
        monkeypatch.setattr(SqlSink, "open", real)
        writer = real(self, claim, last)
        leave(upload(target, if_exists="append"), takeover=True, restart=True)
        return writer

    monkeypatch.setattr(SqlSink, "open", open_slowly)
    with pytest.raises(Superseded):
        upload(target, if_exists="append").restart()
    upload(target, if_exists="append").terminate()
    assert upload(target, if_exists="append").status == "completed"
    for store in (None, MemoryStore()):
        assert "nothing to do" in upload(target, if_exists="append", store=store).run().message
    assert count(target) == ROWS


# --------------------------------------------------------------- a green run over nothing, or over something else


@pytest.mark.parametrize("if_exists", ["fail", "append", "replace", "upsert"])
def test_an_emptied_table_is_not_called_done_and_the_advice_loads_it(target: Target, if_exists: str) -> None:
    """Exit status 0 over an empty table would be a lie; `--restart` is said, and loads it."""
    options: dict[str, Any] = {"if_exists": if_exists, "key": "id"}
    upload(target, **options).run()
    target.do("delete from t")
    for store in (None, MemoryStore()):
        with pytest.raises(TargetChanged, match=r"70,000 rows, but table 't' is empty by now.*restart"):
            upload(target, store=store, **options).run()
    assert upload(target, **options).restart().rows == count(target) == ROWS


def test_sqlite_tells_another_table_by_its_columns(sqlite_url: str) -> None:
    """It has no identity of tables. Dropped, as the message says, the table is loaded anew."""
    target = Target(sqlite_url)
    upload(target, "few.csv").run()
    target.do("alter table t add column note text")
    assert "nothing to do" in upload(target, "few.csv").run().message
    target.do("drop table t", "create table t (other text)", "insert into t values ('by hand')")
    with pytest.raises(TargetChanged, match=r"2 rows, but table 't' has no column 'id' by now.*drop this one"):
        upload(target, "few.csv").run()
    target.do("drop table t")
    assert (upload(target, "few.csv").run().message, count(target)) == ("", 2)


@pytest.mark.parametrize("if_exists", ["append", "replace", "upsert"])
def test_a_table_made_anew_by_hand_is_another_and_a_restart_loads_into_it(target: Target, if_exists: str) -> None:
    """PostgreSQL tells it by its identity, rows or none; SQLite by its emptiness."""
    options: dict[str, Any] = {"if_exists": if_exists, "key": "id"}
    upload(target, **options).run()
    rows = [] if target.lite else ["insert into t values (-1, 'by hand')"]
    target.do("drop table t", "create table t (id bigint primary key, name text)", *rows)
    what = "is empty by now" if target.lite else "another table has the name 't' by now, with 1 rows"
    with pytest.raises(TargetChanged, match=what):
        upload(target, **options).run()
    upload(target, **options).restart()
    assert count(target) == ROWS + (1 if rows and if_exists != "replace" else 0)


def test_what_can_not_be_replaced_is_loaded_into_as_the_advice_says(target: Target) -> None:
    """A table made by hand in the place of a new one: a restart alone would be refused, so that isn't advised."""
    upload(target).run()
    target.do("drop table t", "create table t (id bigint, name text)", "create index i on t (name)")
    with pytest.raises(TargetChanged, match="--restart --if-exists append"):
        upload(target).run()
    with pytest.raises(TargetExists, match="can't replace as a whole: "):
        upload(target).restart()
    upload(target, if_exists="append").restart()
    assert count(target) == ROWS


def test_a_dropped_table_is_loaded_anew(target: Target) -> None:
    """There is nothing to be mistaken about."""
    upload(target).run()
    target.do("drop table t")
    assert (upload(target).run().message, count(target)) == ("", ROWS)


def test_a_database_that_was_dumped_and_restored_is_no_other(postgres: str, postgres_server: Any) -> None:
    """There every table has another identity, the ledger's as well: nothing is loaded twice."""
    target = Target(postgres)
    target.do("create table t (id bigint, name text)")
    upload(target, "few.csv", if_exists="append", name="a").run()
    dump = images.dump(postgres)
    name = make_url(postgres).database
    target.do("drop table t", "drop table resumable_ledger", "create table filler (n int)")
    psql = Path(images._pg_dump()).with_name("psql")
    subprocess.run([str(psql), f"--dbname={postgres}", "-q"], input=dump, text=True, check=True, capture_output=True)
    assert name
    assert "nothing to do" in upload(target, "few.csv", if_exists="append", name="a").run().message


def test_an_emptied_file_is_not_called_done(target: Target) -> None:
    """The advice, taken, writes it again."""
    upload(target, "few.csv").run()
    export = resumable.export(target.url, "t", "out.csv", key="id")
    export.run()
    Path("out.csv").write_text("")
    with pytest.raises(TargetChanged, match="is empty by now"):
        export.run()
    os.remove("out.csv")
    export.run()
    assert Path("out.csv").read_text() == "id,name\n1,a\n2,b\n"


# -------------------------------------------------------------------------------------------------- other options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"if_exists": "append"}, "if_exists was 'fail' and is now 'append'"),
        ({"key": "id"}, "key was"),
        ({"columns": {"id": "string"}}, "columns was"),
        ({"null_values": ["", "a"]}, "null_values was"),
        ({"header": False, "names": ["id", "name"]}, "header was"),
        ({"delimiter": ";"}, "delimiter was None and is now ';'"),
        ({"transform": lambda rows: rows}, "transform was False and is now True"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_options_that_change_the_rows_are_not_called_done(options: dict[str, Any], said: str, sqlite_url: str) -> None:
    """A completed run was completed with its own options; with the same again it is done, with a restart these count."""
    target = Target(sqlite_url)
    upload(target, "few.csv").run()
    with pytest.raises(OptionsChanged, match=said) as caught:
        upload(target, "few.csv", **options).run()
    assert "--restart" in str(caught.value)
    assert "nothing to do" in upload(target, "few.csv").run().message
    if "delimiter" not in options:
        upload(target, "few.csv", **options).restart()
        assert "nothing to do" in upload(target, "few.csv", **options).run().message


def test_options_that_change_no_row_change_nothing(sqlite_url: str) -> None:
    """How often it commits, whether it waits for servers, where rejects would have gone."""
    target = Target(sqlite_url)
    upload(target, "few.csv").run()
    for options in ({"every": 5, "reconnect": 1}, {"staging": False}, {"on_bad_row": "quarantine", "quarantine": "q"}):
        assert "nothing to do" in upload(target, "few.csv", **options).run().message


# ------------------------------------------------------------------- a restart over a table that the run has made


@pytest.mark.parametrize("if_exists", ["fail", "append", "replace", "upsert"])
def test_a_restart_replaces_the_table_that_the_run_has_made(target: Target, if_exists: str) -> None:
    """Loaded as one column, then told the delimiter: the table is what it would have been had that been said at first."""
    wrong = {"if_exists": if_exists} | ({"key": "id;name"} if if_exists == "upsert" else {})
    right = {"if_exists": if_exists, "delimiter": ";"} | ({"key": "id"} if if_exists == "upsert" else {})
    upload(target, "semicolons.csv", **wrong).run()
    assert target.all("select * from t") == [("1;a",), ("2;b",)]
    with pytest.raises(OptionsChanged):
        upload(target, "semicolons.csv", **right).run()
    assert upload(target, "semicolons.csv", **right).restart().status == "completed"
    assert target.all("select id, name from t order by id") == [(1, "a"), (2, "b")]
    other = Target(target.url)
    fresh = resumable.upload("semicolons.csv", target.url, "fresh", **right, name="fresh")
    fresh.run()
    assert schema(other, "t") == schema(other, "fresh")


def schema(target: Target, table: str) -> Any:
    """Columns and types; names of indexes and constraints, with `T` for the table's."""
    if target.lite:
        (text,) = target.all(f"select sql from sqlite_master where name = '{table}'")[0]
        return text.replace(f'"{table}"', "T")
    columns = f"select attname, format_type(atttypid, atttypmod), attnum from pg_attribute where attrelid = '{table}'::regclass"
    names = f"select replace(conname, '{table}_', 'T_') from pg_constraint where conrelid = '{table}'::regclass"
    return target.all(columns.replace(":", "\\:")), target.all(names.replace(":", "\\:"))


def test_until_it_is_published_the_old_table_is_there_and_terminate_leaves_it(target: Target) -> None:
    """Replaced as a whole means in one step, at the end."""
    upload(target).run()
    before = target.dump().partition("resumable_ledger")[0]
    leave(upload(target, null_values=["n1"]), restart=True)
    assert count(target) == ROWS
    upload(target, null_values=["n1"]).terminate()
    assert before == target.dump().partition("resumable_ledger")[0]
    assert "nothing to do" in upload(target).run().message
    leave(upload(target, null_values=["n1"]), restart=True)
    upload(target, null_values=["n1"]).run()
    assert target.all("select id from t where name is null") == [(1,)]
    assert count(target) == ROWS


CHANGES = {
    "a row": ("insert into t values (3, 'c')", "it has 3 rows, and the completed run left 2"),
    "a view": ("create view v as select * from t", "v"),
    "an index": ("create index i on t (name)", "index i"),
    "a column": ("alter table t add column more int", "it was altered"),
    "a foreign key": ("create table child (t_id bigint references t (id))", "child"),
    "a trigger": (
        {
            "sqlite": "create trigger g after insert on t begin select 1; end",
            "postgresql": (
                "create function f() returns trigger language plpgsql as 'begin return new; end'; "
                "create trigger g after insert on t for each row execute function f()"
            ),
        },
        "trigger g",
    ),
    "a default": ({"postgresql": "alter table t alter name set default 'x'"}, "default value"),
    "row security": ({"postgresql": "alter table t enable row level security"}, "row level security"),
    "a comment": ({"postgresql": "comment on column t.name is 'x'"}, "comments"),
    "storage": ({"postgresql": "alter table t set (fillfactor = 70)"}, "storage parameters"),
    "a replica identity": ({"postgresql": "alter table t replica identity full"}, "a replica identity"),
    "no log": ({"postgresql": "alter table t set unlogged"}, "unlogged"),
    "statistics": ({"postgresql": "alter table t alter name set statistics 500"}, "settings of columns"),
    "its row type": (
        {"postgresql": "create function g(x t) returns int language sql as 'select 1'"},
        r"function g\(",
    ),
    "a grant": ({"postgresql": "grant select on t to public"}, "it was altered"),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("late", [False, True], ids=["before", "while it runs"])
def test_what_somebody_else_has_added_to_the_table_is_never_dropped(target: Target, change: str, late: bool) -> None:
    """A restart says what is there, at its start or before it publishes; the table and what depends on it stay."""
    act, said = CHANGES[change]
    if isinstance(act, dict):
        if target.lite and "sqlite" not in act:
            return
        act = act["sqlite" if target.lite else "postgresql"]
    upload(target, "few.csv", key="id").run()
    restart: dict[str, Any] = {"key": "id", "null_values": ["a"]}
    if late:
        source = Slow(act, target)
        pipeline = resumable.Pipeline(
            source, resumable.sinks.SqlSink(target.url, "t", key="id"), name=upload(target, "few.csv").name, every=0
        )
    else:
        target.do(act)
        pipeline = upload(target, "few.csv", **restart)
    before = target.all("select * from t order by id")
    with pytest.raises(TargetExists, match=said):
        pipeline.restart()
    if not late:
        assert before == target.all("select * from t order by id")
        with pytest.raises(ResumableError):
            upload(target, "few.csv", **restart, if_exists="append").restart()
        assert before == target.all("select * from t order by id")
    else:
        pipeline.terminate()
        assert target.all("select name from t where id = 1") == [("a",)]


class Slow(ArrowSource):
    """A few rows; while they are read somebody is at the table."""

    def __init__(self, act: str, target: Target) -> None:
        super().__init__(pa.table({"id": [1, 2], "name": ["x", "y"]}))
        self.act, self.target = act, target

    def read(self, *args: Any) -> Any:
        yield from super().read(*args)
        if self.act:
            self.target.do(self.act)
            self.act = ""


def test_rows_that_others_have_appended_are_not_taken_for_the_run_s_own(target: Target) -> None:
    """A restart of an append that made its table: with others' rows in it, neither they nor its own come twice or go."""
    upload(target, "few.csv", if_exists="append").run()
    upload(target, "semicolons.csv", if_exists="append", delimiter=";").run()
    with pytest.raises(TargetError, match=r"it has 4 rows, and the completed run left 2.*another name"):
        upload(target, "few.csv", if_exists="append").restart()
    assert count(target) == 4

"""What PostgreSQL does that SQLite doesn't: a heap without order, keys to which NULLs are equal, sequences."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from resumable.databases.urls import connect
from resumable.errors import BadRow, Terminated
from resumable.pipeline import Pipeline
from resumable.sinks import QuarantineSink, SqlSink
from resumable.stores import FileStore, MemoryStore
from resumable.testing import Crashed, Ended, crash
from resumable.testing.rows import Rows
from targets import Target


@pytest.fixture
def target(postgres: str) -> Target:
    """An empty database."""
    return Target(postgres)


def run(url: str, table: pa.Table, size: int = 100, aside: Path | None = None, **options: Any) -> Pipeline:
    sink: Any = SqlSink(url, "t", on_bad_row="quarantine" if aside else "raise", **options)
    made = QuarantineSink(sink, aside) if aside else sink
    return Pipeline(Rows(table, size), made, name="m", store=MemoryStore(), every=0)


@contextlib.contextmanager
def another(url: str, *statements: str) -> Iterator[None]:
    """Somebody else's open transaction."""
    engine = connect(url)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
        yield
    engine.dispose()


# ------------------------------------------------------------------------------------------------- a heap's order


def filled_behind() -> pa.Table:
    """Rows of 1,900 bytes, four to a page, then short ones, which PostgreSQL puts into what is left free; two share a key."""
    ids = [*range(1, 400), 5]
    words = ["x" * 1900 if n < 300 else "short" for n in range(400)]
    return pa.table({"id": pa.array(ids, pa.int64()), "word": words})


def test_rows_in_conflict_have_their_numbers_where_the_heap_has_another_order(target: Target, tmp_path: Path) -> None:
    """A new table with a key, and an unkeyed one beside it which shows that the heap isn't in the source's order."""
    run(target.url, filled_behind()).run()
    heap = [n for (n,) in target.all("select id from t order by ctid")]
    assert heap != [*range(1, 400), 5], "inconclusive: the rows lie as they came"
    assert sorted(heap) == sorted([*range(1, 400), 5])
    target.do("drop table t", "drop table resumable_ledger")
    with pytest.raises(BadRow, match="row 400 has that of row 5"):
        run(target.url, filled_behind(), key="id").run()
    target.do("delete from resumable_ledger")
    run(target.url, filled_behind(), aside=tmp_path / "aside", key="id").run()
    lines = [json.loads(line) for line in (tmp_path / "aside").read_text().splitlines()]
    assert [(line["row"], line["text"][:7]) for line in lines] == [(5, "5,xxxxx"), (400, "5,short")]


def test_a_new_table_with_a_key_has_no_trace_of_how_it_was_loaded(target: Target) -> None:
    """No dropped column, no storage option, nothing but its own columns in the catalog."""
    run(target.url, pa.table({"id": [2, 1], "word": ["b", "a"]}), key="id").run()
    catalog = "select attname from pg_attribute where attrelid = CAST('t' AS regclass) and attnum > 0 order by attnum"
    assert target.all(catalog) == [("id",), ("word",)]
    assert target.all("select reloptions from pg_class where relname = 't'") == [(None,)]
    assert target.all("select conname from pg_constraint where conrelid = CAST('t' AS regclass)") == [("t_pkey",)]


# ------------------------------------------------------------------------------------------ NULLS NOT DISTINCT


@pytest.fixture
def nulls(target: Target) -> Target:
    """A table to whose key NULLs are equal."""
    if target.all("show server_version_num") < [("150000",)]:
        pytest.skip("NULLS NOT DISTINCT came with PostgreSQL 15")
    target.do(
        "create table t (a bigint, b text, c text, unique nulls not distinct (a, b))",
        "insert into t values (1, null, 'old'), (null, null, 'old')",
    )
    return target


NULLS = pa.table({"a": [2, 1, 3, None, 3, 4], "b": ["x", None, None, None, None, None], "c": [*"uvwxyz"]})


def test_a_key_with_nulls_that_are_equal_is_named_by_row(nulls: Target) -> None:
    """Against the table, and within the input."""
    with pytest.raises(BadRow, match=r"Rows of the source share the unique key \(a, b\): row 5 has that of row 3"):
        run(nulls.url, NULLS, if_exists="append").run()
    nulls.do("delete from resumable_ledger")
    with pytest.raises(BadRow, match=r"has the unique key \(a, b\) of row 2, row 4 already"):
        run(nulls.url, NULLS.slice(0, 4), if_exists="append").run()
    assert nulls.all("select count(*) from t") == [(2,)]


def test_rows_with_such_keys_are_set_aside(nulls: Target, tmp_path: Path) -> None:
    """NULL is a value like another to them."""
    run(nulls.url, NULLS, aside=tmp_path / "aside", if_exists="append").run()
    assert nulls.all("select a, b, c from t where c <> 'old' order by a") == [(2, "x", "u"), (4, None, "z")]
    assert [json.loads(line)["row"] for line in (tmp_path / "aside").read_text().splitlines()] == [2, 3, 4, 5]


def test_an_upsert_by_such_a_key_updates_the_row_with_the_null(nulls: Target) -> None:
    """A NULL names a row there: it isn't refused, and the last of its rows wins."""
    run(nulls.url, NULLS, if_exists="upsert", key=("a", "b")).run()
    rows = nulls.all("select a, b, c from t order by a nulls last, b")
    assert rows == [(1, None, "v"), (2, "x", "u"), (3, None, "y"), (4, None, "z"), (None, None, "x")]


def test_many_keys_with_nulls_are_joined_in_no_quadratic_time(nulls: Target) -> None:
    """The planner hashes or merges: it does not compare each row with each."""
    nulls.do("insert into t select n, null, 'old' from generate_series(1000, 30000) n")
    table = pa.table({"a": pa.array(range(30_001, 60_001), pa.int64()), "b": pa.nulls(30_000, pa.string())})
    run(nulls.url, table, 30_000, if_exists="append").run()
    plan = nulls.all("explain select 1 from t s join t d on array[s.a] = array[d.a] and array[s.b] = array[d.b]")
    assert not any("Nested Loop" in line for (line,) in plan), plan
    assert nulls.all("select count(*) from t") == [(59_003,)]


# -------------------------------------------------------------------------------------------------- sequences


def state(target: Target) -> list[tuple[Any, ...]]:
    return target.all("select last_value, is_called from t_id_seq")


def upload(url: str, folder: Path) -> Pipeline:
    table = pa.table({"id": pa.array(range(100, 106), pa.int64()), "word": [*"abcdef"]})
    sink = SqlSink(url, "t", if_exists="append")
    return Pipeline(Rows(table), sink, name="m", store=FileStore(folder), every=0)


def last_moment(outcome: object) -> int:
    """The moment before the COMMIT of publishing, with the sequence moved."""
    assert isinstance(outcome, Ended)
    moved = next(at for at, what in enumerate(outcome.crash_points) if what.startswith("ALTER SEQUENCE"))
    return 1 + outcome.crash_points.index("COMMIT", moved)


@pytest.mark.parametrize(
    "kind", ["bigserial", "bigint generated by default as identity", "bigint generated always as identity"]
)
def test_a_sequence_is_as_it_was_if_publishing_dies_before_its_commit(
    target: Target, tmp_path: Path, kind: str
) -> None:
    """Killed between setval and COMMIT; called off: to the letter as before. Run again: moved."""
    make = (
        "drop table if exists t, resumable_ledger",
        f"create table t (id {kind} primary key, word text)",
        "insert into t (word) values ('old')",
    )
    target.do(*make)
    at = last_moment(crash(lambda: upload(target.url, tmp_path / "whole").run().rows, at=0))
    assert state(target) == [(105, True)]
    target.do(*make)
    before = target.dump()
    for store in ("called off", "run again"):
        death = crash(lambda folder=store: upload(target.url, tmp_path / folder).run().rows, at=at)  # type: ignore[misc]
        assert isinstance(death, Crashed)
        assert death.before == "COMMIT"
        assert state(target) == [(1, True)]
        if store == "called off":
            with contextlib.suppress(Terminated):
                upload(target.url, tmp_path / store).terminate()
            assert target.dump() == before
    upload(target.url, tmp_path / "run again").run()
    assert state(target) == [(105, True)]


def test_a_sequence_that_others_are_drawing_from_is_not_waited_for(target: Target, tmp_path: Path) -> None:
    """Their transaction stays open: publishing ends all the same, and nobody's number comes twice."""
    target.do("create table t (id bigserial primary key, word text)")
    with another(target.url, "insert into t (word) values ('theirs')"):
        upload(target.url, tmp_path / "store").run()
    target.do("insert into t (word) values ('next')")
    assert target.all("select max(id) from t") == [(106,)]


def test_one_who_does_not_own_the_sequence_may_move_it_all_the_same(
    canary: str, postgres_server: Any, tmp_path: Path
) -> None:
    """UPDATE on it is enough, as before; then it isn't part of the transaction."""
    owner = postgres_server.set(database=sa.engine.make_url(canary).database).render_as_string(hide_password=False)
    role = sa.engine.make_url(canary).username
    target = Target(owner)
    target.do(
        "create table t (id bigserial primary key, word text)",
        f'grant select, insert on t to "{role}"', f'grant select, update, usage on t_id_seq to "{role}"',
        f'grant create, usage on schema public to "{role}"',
    )  # fmt: skip
    upload(canary, tmp_path / "store").run()
    assert state(target) == [(105, True)]

"""`staging_schema`: a user who may add to a table, and make none beside it, has staging and ledger elsewhere.

PostgreSQL 15's default for `public`: the role `loader` may use the schema and has rights on the table, no more; in the
schema `etl` it may make tables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

import images
import resumable
from jobs import Jobs, execute
from resumable.errors import OptionsChanged, TargetError, UsageError
from resumable.sinks import SqlSink
from roles import Role, roles, statements

RIGHTS = {"append": "select, insert", "upsert": "select, insert, update", "replace": "select, insert, delete"}
MODES = list(RIGHTS)
ROWS = 5_000


class World:
    """The table `orders` with two rows, which the role may use as a mode needs it."""

    def __init__(self, admin: str, loader: Role, folder: Path) -> None:
        self.admin, self.loader, self.folder = admin, loader, folder
        self.allowed: set[str] = set()
        lines = "".join(f"{n},word {n}\n" for n in range(1, ROWS + 1))
        (folder / "rows.csv").write_text("id,word\n" + lines)
        execute(
            admin,
            "revoke create on schema public from public",
            "create table orders (id bigint primary key, word text)",
            "insert into orders values (-1, 'before'), (1, 'old')",
            f"create schema etl; grant usage, create on schema etl to {loader}",
        )

    def upload(self, mode: str, *, store: str = "store", **options: Any) -> resumable.Pipeline:
        """An upload in that mode, with a small `every`."""
        if mode in RIGHTS and mode not in self.allowed:
            self.allowed.add(mode)
            execute(self.admin, f"grant {RIGHTS[mode]} on orders to {self.loader}")
            execute(self.admin, "delete from orders where id = 1" if mode == "append" else "select 1")
        options = {"staging_schema": "etl", **options}
        return resumable.upload(
            self.folder / "rows.csv", self.loader.url, "orders" if mode in RIGHTS else "anew",
            if_exists=mode, store=self.folder / store, every=0, **options,
        )  # fmt: skip

    def assert_loaded(self, mode: str) -> None:
        """Every row once, over or beside what was there; nothing of ours but the ledger in `etl`."""
        before = [] if mode in ("replace", "fail") else [(-1, "before")]
        table = "orders" if mode in RIGHTS else "anew"
        assert self.rows(table) == [*before, *((n, f"word {n}") for n in range(1, ROWS + 1))]
        assert self.ours() == ["etl.resumable_ledger"]

    def rows(self, table: str = "orders") -> list[Any]:
        return execute(self.admin, f"select id, word from {table} order by id")

    def ours(self) -> list[str]:
        query = "select schemaname || '.' || tablename from pg_tables where tablename like 'resumable%' order by 1"
        return [name for (name,) in execute(self.admin, query)]


@pytest.fixture
def world(postgres: str, tmp_path: Path) -> Iterator[World]:
    """A database with the table, the role and the schema."""
    with roles(postgres, "loader") as (loader,):
        yield World(postgres, loader, tmp_path)


def left(pipeline: resumable.Pipeline) -> None:
    """Begun, and paused at its first commit."""
    with closing(iter(pipeline)) as steps:
        next(steps)


@pytest.mark.parametrize("mode", MODES)
def test_it_is_loaded_paused_and_gone_on_with(world: World, mode: str) -> None:
    """Staging and ledger lie in `etl`; in the target's schema nothing is made."""
    left(world.upload(mode))
    assert [name.partition(".")[0] for name in world.ours()] == ["etl", "etl"]
    assert world.upload(mode).run().rows == ROWS
    world.assert_loaded(mode)
    assert "completed before" in world.upload(mode).run().message


@pytest.mark.parametrize("mode", MODES)
def test_terminated_it_leaves_nothing_in_either_schema(world: World, mode: str) -> None:
    """By the pipeline that was begun, and by its name alone, from what the store knows."""
    world.upload(mode)  # its rights
    before = images.dump(world.admin)
    for by_name in (False, True):
        pipeline = world.upload(mode)
        left(pipeline)
        if by_name:
            resumable.Run(pipeline.name, world.folder / "store").terminate(target=world.loader.url)
        else:
            pipeline.terminate()
        assert before == images.dump(world.admin)


@pytest.mark.parametrize("mode", MODES)
def test_killed_in_its_middle_it_goes_on_or_is_called_off(world: World, jobs: Jobs, mode: str) -> None:
    """`kill -9`, and the same line again; and again, and `terminate`."""
    world.upload(mode)  # its rights
    before = images.dump(world.admin)
    line = ("upload", str(world.folder / "rows.csv"), world.loader.url, "orders", "--if-exists", mode, "--name", "r",
            "--staging-schema", "etl")  # fmt: skip
    jobs(*line).committed(2).kill()
    assert jobs("terminate", "r", "--target", world.loader.url).end() == 0
    assert before == images.dump(world.admin)
    jobs(*line).committed(1).kill()
    jobs(*line).committed(1).kill()
    last = jobs(*line)
    assert last.end() == 0, last.said
    world.assert_loaded(mode)


@pytest.mark.parametrize("mode", MODES)
def test_without_it_the_grant_and_the_option_are_named_and_either_will_do(world: World, mode: str) -> None:
    """Before anything is made; an own schema, or the right to make tables in the table's."""
    for way in ("option", "grant"):
        world.upload(mode)  # its rights
        before = images.dump(world.admin)
        with pytest.raises(TargetError, match=r"staging_schema=\.\.\. \(--staging-schema\)") as refused:
            world.upload(mode, staging_schema=None, name=way).run()
        assert before == images.dump(world.admin)
        if way == "option":
            left(world.upload(mode, name=way))
            world.upload(mode, name=way).terminate()
            continue
        assert statements(refused.value) == [f'GRANT CREATE ON SCHEMA "public" TO {world.loader};']
        execute(world.admin, *statements(refused.value))
        assert world.upload(mode, staging_schema=None, name=way).run().rows == ROWS


@pytest.mark.parametrize("options", [{}, {"key": "id"}, {"staging": False}])
def test_a_new_table_needs_the_right_to_be_made_where_it_will_be(world: World, options: dict[str, Any]) -> None:
    """Refused with the GRANT at the start; with it, staging is moved into the table's schema when it is published."""
    with pytest.raises(TargetError) as refused:
        world.upload("fail", **options).run()
    assert statements(refused.value) == [f'GRANT CREATE ON SCHEMA "public" TO {world.loader};']
    assert "--staging-schema" not in str(refused.value)
    assert world.ours() == []
    execute(world.admin, *statements(refused.value))
    left(world.upload("fail", **options))
    world.upload("fail", **options).run()
    world.assert_loaded("fail")
    keys = "select conname::text from pg_constraint where conrelid = 'public.anew'::regclass"
    assert execute(world.admin, keys) == ([("anew_pkey",)] if "key" in options else [])


def test_the_table_s_schema_may_be_any_other_too(world: World) -> None:
    """`schema` is where the table is, `staging_schema` where ours are; neither is the connection's own."""
    execute(world.admin, f"create schema shop; alter table orders set schema shop; grant usage on schema shop to {world.loader}",
            f"grant {RIGHTS['upsert']} on shop.orders to {world.loader}")  # fmt: skip
    left(pipeline := resumable.upload(world.folder / "rows.csv", world.loader.url, "orders", if_exists="upsert", every=0,
         schema="shop", staging_schema="etl", store=world.folder / "store"))  # fmt: skip
    assert pipeline.run().rows == ROWS
    assert len(world.rows("shop.orders")) == ROWS + 1
    assert world.ours() == ["etl.resumable_ledger"]


# ------------------------------------------------------------------------------- with it, then without it


@pytest.mark.parametrize("first", ["etl", None])
def test_called_with_another_schema_and_another_store_it_is_not_loaded_twice(world: World, first: str | None) -> None:
    """The other ledger is seen; the advice, taken, finds that the run is completed."""
    execute(world.admin, f"grant create on schema public to {world.loader}")
    then = None if first else "etl"
    world.upload("append", staging_schema=first).run()
    rows = world.rows()
    with pytest.raises(OptionsChanged, match=f"in schema '{first or 'public'}'") as refused:
        world.upload("append", staging_schema=then, store="another").run()
    assert ("Leave staging_schema out" if first is None else "--staging-schema etl") in str(refused.value)
    assert "completed before" in world.upload("append", staging_schema=first, store="a third").run().message
    assert rows == world.rows()


@pytest.mark.parametrize("first", ["etl", None])
def test_called_with_another_schema_and_the_same_store_it_is_completed(world: World, first: str | None) -> None:
    """The store knows where the run's ledger is."""
    execute(world.admin, f"grant create on schema public to {world.loader}")
    world.upload("append", staging_schema=first).run()
    rows = world.rows()
    assert "completed before" in world.upload("append", staging_schema=None if first else "etl").run().message
    assert rows == world.rows()


def test_another_run_of_that_name_into_another_table_is_another_run(world: World) -> None:
    """A ledger of another schema counts only for the same table."""
    execute(world.admin, f"grant create on schema public to {world.loader}")
    world.upload("append", name="nightly").run()
    assert world.upload("fail", name="nightly", staging_schema=None, store="another").run().rows == ROWS


@pytest.mark.parametrize("store", ["store", "another"])
def test_an_unfinished_run_keeps_the_schema_that_it_was_begun_with(world: World, store: str) -> None:
    """Another one is refused, from whatever store; what it was begun with goes on."""
    execute(world.admin, f"grant create on schema public to {world.loader}")
    left(world.upload("append"))
    with pytest.raises(OptionsChanged, match="staging"):
        world.upload("append", staging_schema=None, store=store).run()
    assert world.upload("append").run().rows == ROWS
    world.assert_loaded("append")


def test_begun_anew_with_another_schema_nothing_is_left_in_the_old_one(world: World) -> None:
    """`--restart`, which the refusal names: the old staging and the old row go, wherever they are."""
    execute(world.admin, f"grant create on schema public to {world.loader}")
    left(world.upload("append"))
    pipeline = world.upload("append", staging_schema=None)
    assert pipeline.restart().rows == ROWS
    assert world.ours() == ["public.resumable_ledger"]


# ------------------------------------------------------------------------------------------------ and else


def test_a_fenced_off_runner_that_holds_staging_is_evicted(world: World) -> None:
    """Looked for where staging lies: one that was stopped inside its transaction doesn't block the run for ever."""
    left(world.upload("append"))
    staging = next(name for name in world.ours() if "ledger" not in name)
    with pytest.raises(psycopg.errors.AdminShutdown), psycopg.connect(world.loader.url) as c:
        c.execute(f"insert into {staging} (id, resumable_row) values (0, 0)")  # type: ignore[arg-type]
        assert world.upload("append").run().rows == ROWS
    world.assert_loaded("append")


def test_explain_says_where_staging_and_ledger_lie(world: World) -> None:
    """The sink's own line."""
    assert "it and staging lie in schema 'etl'" in world.upload("append").explain()


def test_a_schema_that_is_not_there_is_refused(world: World) -> None:
    """With what makes it."""
    with pytest.raises(TargetError, match='CREATE SCHEMA "nowhere"'):
        world.upload("append", staging_schema="nowhere").run()


def test_a_table_that_is_called_like_staging_is_refused(world: World) -> None:
    """Our own tables are told by their names."""
    with pytest.raises(TargetError, match="resumable's own: a staging table"):
        resumable.upload(
            world.folder / "rows.csv", world.admin, "resumable_0123456789_abc_01234567", store="memory:"
        ).run()


def test_sqlite_has_no_schemas_for_it(tmp_path: Path, sqlite_url: str) -> None:
    """A wrong call, like a schema for a sink that has its own; nothing is made."""
    (tmp_path / "rows.csv").write_text("id\n1\n")
    with pytest.raises(UsageError, match="for PostgreSQL"):
        resumable.upload(tmp_path / "rows.csv", sqlite_url, "t", staging_schema="etl")
    with pytest.raises(UsageError, match="Give the Sink its own"):
        resumable.upload(tmp_path / "rows.csv", SqlSink(sqlite_url, "t"), "t", staging_schema="etl")
    assert not (tmp_path / "target.db").exists()


def test_what_the_tutorial_says_is_enough_for_two_users(postgres: str, tmp_path: Path) -> None:
    """Its SQL and its options, to the letter: both load, whoever is first, pause and call off."""
    text = (Path(__file__).parents[3] / "docs" / "tutorial.md").read_text()
    (block,) = re.findall(r"```sql\n(CREATE SCHEMA staging.*?)```", text, re.DOTALL)
    (tmp_path / "rows.csv").write_text("id\n1\n2\n")
    with roles(postgres, "alice", "bob") as (alice, bob):
        execute(postgres, "create table orders (id bigint)", "revoke create on schema public from public")
        execute(postgres, re.sub(r"\balice\b", str(alice), re.sub(r"\bbob\b", str(bob), block)))
        for number, who in enumerate([alice, bob, alice], 1):
            options = {"if_exists": "append", "staging_schema": "staging", "every": 0, "store": tmp_path / "store"}
            left(resumable.upload(tmp_path / "rows.csv", who.url, "orders", name="off", **options))
            resumable.upload(tmp_path / "rows.csv", who.url, "orders", name="off", **options).terminate()
            resumable.upload(tmp_path / "rows.csv", who.url, "orders", name=f"run {number}", **options).run()
            assert execute(postgres, "select count(*) from orders") == [(2 * number,)]

"""Rights in PostgreSQL: what is missing is named with its GRANT before anything is made, and the GRANT is right.

Two roles, `alice` and `bob`; every statement that a message prints is carried out to the letter, by whoever may.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import images
import resumable
from jobs import execute
from resumable.checkpoint import Checkpoint
from resumable.errors import ResumableError, TargetError
from resumable.sinks.sql.sink import SqlSink
from roles import Role, roles, statements
from targets import batch, claimant, start

ORDERS = "create table orders (id bigint primary key, word text)"
LEDGER = '"public"."resumable_ledger"'


class World:
    """A database; `alice` has loaded something, so that the ledger is hers, and owns the table `orders`."""

    def __init__(self, admin: str, alice: Role, bob: Role, folder: Path) -> None:
        self.admin, self.alice, self.bob, self.folder = admin, alice, bob, folder
        execute(admin, f"grant create on schema public to {alice}")
        (folder / "rows.csv").write_text("id,word\n" + "".join(f"{n},word {n}\n" for n in range(1, 51)))
        self.upload(alice, "hers").run()
        execute(alice.url, ORDERS, "insert into orders values (0, 'before')")

    def upload(self, who: Role, table: str = "orders", *, source: str = "rows.csv", **options: Any) -> Any:
        """An upload of 50 rows by one of the two, with a store that is always the same."""
        store = self.folder / "store"
        return resumable.upload(self.folder / source, who.url, table, store=store, every=0, **options)

    def refusal(self, act: Callable[[], Any]) -> TargetError:
        """The refusal that it ends in, after which nothing has been made."""
        before = self.image()
        with pytest.raises(TargetError) as refused:
            act()
        assert before == self.image()
        return refused.value

    def image(self) -> list[Any]:
        """Every relation with its owner and grants, and the ledger."""
        made = execute(self.admin, "select oid, relname, relnamespace, relowner, relacl::text from pg_class order by 1")
        return [made, execute(self.admin, "select * from resumable_ledger order by 1")]

    def grant(self, message: object) -> list[str]:
        """Carry out what it prints: by alice, who owns the tables; by a superuser, who owns the schema."""
        found = statements(message)
        assert found, message
        for statement in found:
            mine = " ON TABLE " in statement or " ON SEQUENCE " in statement
            execute(self.alice.url if mine else self.admin, statement)
        return found

    def table(self, name: str = "orders") -> list[Any]:
        return execute(self.admin, f"select id from {name} order by id")

    def ledger(self) -> list[Any]:
        return execute(self.admin, "select checkpoint::json #>> '{body,sink,table}' from resumable_ledger order by 1")


@pytest.fixture
def world(postgres: str, tmp_path: Path) -> Iterator[World]:
    """Two roles, one of which has loaded something."""
    with roles(postgres, "alice", "bob") as (alice, bob):
        yield World(postgres, alice, bob, tmp_path)


MODES = [
    ({"table": "his"}, ["GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE "]),
    ({"if_exists": "append"}, ["GRANT SELECT, INSERT ON TABLE "]),
    ({"if_exists": "upsert"}, ["GRANT SELECT, INSERT, UPDATE ON TABLE "]),
    ({"if_exists": "replace"}, ["GRANT SELECT, INSERT, DELETE ON TABLE "]),
]


@pytest.mark.parametrize(("options", "told"), MODES, ids=["new", "append", "upsert", "replace"])
def test_a_second_role_uploads_with_the_grants_that_it_is_told(
    world: World, options: dict[str, Any], told: list[str]
) -> None:
    """One refusal names them all; then it is paused, gone on with, and completed; alice goes on using her ledger."""
    refused = world.refusal(world.upload(world.bob, **options).run)
    found = world.grant(refused)
    assert any(statement.startswith(told[0]) for statement in found), found
    assert f"GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE {LEDGER} TO {world.bob};" in found
    assert f'GRANT CREATE ON SCHEMA "public" TO {world.bob};' in found
    with closing(iter(world.upload(world.bob, **options))) as steps:
        next(steps)
    assert world.upload(world.bob, **options).run().rows == 50
    before = [] if options.get("if_exists") in (None, "replace") else [(0,)]
    assert world.table(options.get("table", "orders")) == [*before, *((n,) for n in range(1, 51))]
    assert world.upload(world.bob, **options).run().message.startswith("completed before")
    (world.folder / "more.csv").write_text("id,word\n1000,more\n")
    assert world.upload(world.alice, if_exists="append", source="more.csv").run().rows == 1


@pytest.mark.parametrize(("options", "told"), MODES, ids=["new", "append", "upsert", "replace"])
def test_a_second_role_can_call_its_run_off(world: World, options: dict[str, Any], told: list[str]) -> None:
    """Its row goes from the ledger, its staging too; the ledger itself, which isn't its own, stays."""
    world.grant(world.refusal(world.upload(world.bob, **options).run))
    before = images.dump(world.admin)
    with closing(iter(world.upload(world.bob, **options))) as steps:
        next(steps)
    assert len(world.ledger()) == 2
    world.upload(world.bob, **options).terminate()
    assert before == images.dump(world.admin)


def test_the_ledger_of_another_is_left_with_its_last_row(world: World) -> None:
    """It can be dropped by its owner alone, and would be without its grants if it were made anew: it stays, empty."""
    world.grant(world.refusal(world.upload(world.bob, if_exists="append").run))
    execute(world.admin, "delete from resumable_ledger")
    for who in (world.bob, world.alice):
        with closing(iter(world.upload(who, if_exists="append"))) as steps:
            next(steps)
        world.upload(who, if_exists="append").terminate()
        assert world.ledger() == []
    assert world.upload(world.bob, if_exists="append").run().rows == 50


def test_a_ledger_that_nobody_was_granted_goes_with_its_last_row(world: World) -> None:
    """Default privileges are no reason to keep it: they come back with the next one."""
    execute(world.admin, "drop table resumable_ledger")
    execute(world.alice.url, f"alter default privileges in schema public grant select on tables to {world.bob}")
    before = images.dump(world.admin)
    with closing(iter(world.upload(world.alice, if_exists="append"))) as steps:
        next(steps)
    assert len(world.ledger()) == 1
    world.upload(world.alice, if_exists="append").terminate()
    assert before == images.dump(world.admin)


def test_what_an_opening_made_can_be_undone(world: World) -> None:
    """Where the store has refused it: its row and its staging go."""
    world.grant(world.refusal(world.upload(world.bob, if_exists="append").run))
    before = images.dump(world.admin)
    schema = pa.schema([("id", pa.int64()), ("word", pa.string())])
    with SqlSink(world.bob.url, "orders", if_exists="append").open(claimant(1), Checkpoint(schema=schema)) as writer:
        assert before != images.dump(world.admin)
        writer.discard()
    assert before == images.dump(world.admin)


RIGHTS = [
    *((right, "TABLE", LEDGER, "append") for right in ("SELECT", "INSERT", "UPDATE", "DELETE")),
    *((right, "TABLE", '"public"."orders"', "append") for right in ("SELECT", "INSERT")),
    *((right, "TABLE", '"public"."orders"', "upsert") for right in ("SELECT", "INSERT", "UPDATE")),
    *((right, "TABLE", '"public"."orders"', "replace") for right in ("SELECT", "INSERT", "DELETE")),
    ("SELECT", "TABLE", '"public"."lines"', "replace"),
    ("SELECT", "SEQUENCE", '"public"."orders_id_seq"', "append"),
    ("UPDATE", "SEQUENCE", '"public"."orders_id_seq"', "append"),
    ("USAGE", "SEQUENCE", '"public"."orders_n_seq"', "append"),
    ("CREATE", "SCHEMA", '"public"', "append"),
    ("USAGE", "SCHEMA", '"public"', "append"),
]


@pytest.mark.parametrize(("right", "kind", "what", "mode"), RIGHTS)
def test_each_right_that_is_missing_is_named_alone(world: World, right: str, kind: str, what: str, mode: Any) -> None:
    """All but one are there: nothing is made, the one is named, and with it the run gets through."""
    alice, bob = world.alice, world.bob
    execute(
        alice.url,
        "drop table orders",
        "create table orders (id bigserial primary key, word text, n serial)",
        "create table lines (id bigint references orders (id) deferrable)",
        "alter table orders drop column n" if mode == "replace" else "select 1",
        f"grant all on all tables in schema public to {bob}",
        f"grant all on all sequences in schema public to {bob}",
    )
    execute(world.admin, f"grant all on schema public to {bob}", "revoke usage on schema public from public")
    execute(world.admin, f"grant usage on schema public to {alice}")
    execute(world.admin, f"revoke {right} on {kind} {what} from {bob}")
    if right in ("USAGE", "UPDATE") and kind == "SEQUENCE":  # nextval asks for either
        execute(world.admin, f"revoke usage, update on {kind} {what} from {bob}")
    pipeline = world.upload(bob, if_exists=mode)
    refused = world.refusal(pipeline.run)
    assert [f"GRANT {right} ON {kind} {what} TO {bob};"] == statements(refused)
    assert ("--staging-schema" in str(refused)) == (right == "CREATE")
    world.grant(refused)
    assert pipeline.run().rows == 50


def test_a_run_that_goes_on_names_what_it_lost(world: World) -> None:
    """Its rights on the ledger were taken away while it was paused: nothing changes, and it can be given back."""
    world.grant(world.refusal(world.upload(world.bob, if_exists="append").run))
    with closing(iter(world.upload(world.bob, if_exists="append"))) as steps:
        next(steps)
    execute(world.alice.url, f"revoke update, delete on resumable_ledger from {world.bob}")
    refused = world.refusal(world.upload(world.bob, if_exists="append").run)
    assert [f"GRANT UPDATE, DELETE ON TABLE {LEDGER} TO {world.bob};"] == statements(refused)
    world.grant(refused)
    assert world.upload(world.bob, if_exists="append").run().rows == 50


@pytest.mark.parametrize("how", ["run", "terminate"])
@pytest.mark.parametrize("mode", ["append", "fail"])
def test_a_run_that_another_role_has_begun_is_its_own(world: World, how: str, mode: Any) -> None:
    """Staging is alice's: bob is refused before he takes the run over, and told how he may go on, or call it off."""
    table = "orders" if mode == "append" else "anew"
    world.grant(world.refusal(world.upload(world.bob, table, if_exists=mode).run))
    with closing(iter(world.upload(world.alice, table, if_exists=mode))) as steps:
        next(steps)
    refused = world.refusal(getattr(world.upload(world.bob, table, if_exists=mode), how))
    assert [f"GRANT {world.alice} TO {world.bob};"] == statements(refused)
    for statement in statements(refused):
        execute(world.admin, statement)
    getattr(world.upload(world.bob, table, if_exists=mode), how)()
    if how == "run":
        assert world.table(table)[-50:] == [(n,) for n in range(1, 51)]
    else:
        assert len(world.ledger()) == 1


def test_leftovers_of_another_role_do_not_stop_a_run(world: World) -> None:
    """What a crash of alice's left before it had a row in the ledger is hers to drop: bob's run gets through."""
    world.grant(world.refusal(world.upload(world.bob, if_exists="append").run))
    sink, schema = SqlSink(world.alice.url, "orders", if_exists="append"), pa.schema([("id", pa.int64())])
    with start(sink, schema) as writer:
        execute(world.admin, "delete from resumable_ledger where name = 'upload-orders'")
    with start(SqlSink(world.bob.url, "orders", if_exists="append"), schema, epoch=2) as writer:
        writer.write(batch([{"id": 7}], schema=schema))
        writer.commit(writer.last.next(rows=1, complete=True))
        writer.publish(writer.last.next(outcome="completed"))
        writer.clean_up()
    assert world.table() == [(0,), (7,)]


def test_the_message_says_who_may_grant_and_to_whom(world: World) -> None:
    """The owner of the ledger and of the schema, and the user by name; no password."""
    refused = str(world.refusal(world.upload(world.bob, if_exists="append").run))
    assert re.search(
        rf"the user {world.bob} may not create tables in schema 'public' and has no SELECT privilege", refused
    )
    assert f"by the database's owner and {world.alice.name} or a superuser: GRANT" in refused
    with contextlib.suppress(ResumableError):
        assert world.upload(world.bob).status == "new"

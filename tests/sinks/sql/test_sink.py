"""SqlSink on SQLite and PostgreSQL: claims, commits, recovery, undoing, and the values that come through."""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import sqlite3
import threading
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import make_url
from sqlalchemy.pool import StaticPool

from resumable.checkpoint import Checkpoint, ClaimId
from resumable.control import liveness
from resumable.control.liveness import this_process
from resumable.databases.urls import connect
from resumable.errors import (
    AlreadyRunning,
    BadRow,
    ConnectionLost,
    ResumableError,
    TargetChanged,
    TargetError,
    TargetExists,
    UsageError,
)
from resumable.protocols import Reject
from resumable.sinks.sql import ledger
from resumable.sinks.sql.fencing import STALE_AFTER
from resumable.sinks.sql.sink import SqlSink
from resumable.sinks.sql.staging import staging_name
from targets import Target, batch, claimant, crashing, load, start, terminate

END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
)
SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest) -> Target:
    """An empty database of either kind."""
    return Target(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres"))


def part(first: int, last: int) -> pa.RecordBatch:
    ids = range(first, last + 1)
    return pa.RecordBatch.from_arrays(
        [pa.array(list(ids), pa.int64()), pa.array([f"n{i}" for i in ids])], schema=SCHEMA
    )


def rows(first: int, last: int) -> list[tuple[Any, ...]]:
    return [(i, f"n{i}") for i in range(first, last + 1)]


def orders(target: Target) -> list[tuple[Any, ...]]:
    return target.all(f"SELECT * FROM orders {'' if target.lite else 'ORDER BY 1'}")


# ------------------------------------------------------------------------------------------- a run's way


def test_a_new_table_is_hidden_until_published_and_then_has_every_row_in_order(target: Target) -> None:
    """Staging is beside the target until one step makes it the target; the ledger row stays."""
    with start(SqlSink(target.url, "orders"), SCHEMA) as writer:
        assert writer.last.number == 1
        writer.write(batch(part(1, 1000)))
        writer.commit(writer.last.next(rows=1000))
        writer.write(batch(part(1001, 2000), 1001))
        done = writer.commit(writer.last.next(rows=2000, complete=True))
        assert target.tables() == {"resumable_ledger", *target.staging()}
        assert len(target.staging()) == 1
        assert writer.publish(done.next(outcome="completed")).outcome == "completed"
        writer.clean_up()
        assert writer.is_published()
    assert orders(target) == rows(1, 2000)
    assert target.tables() == {"orders", "resumable_ledger"}


def test_a_published_table_is_as_if_it_had_been_made_under_its_own_name(target: Target) -> None:
    """Key, index and constraint names, and storage options: a schema dump shows no trace of staging."""
    load(SqlSink(target.url, "orders", key="id"), part(1, 3))
    made = target.dump()
    columns = '"id" BIGINT NOT NULL, "name" TEXT, PRIMARY KEY ("id")'
    target.do("DROP TABLE orders", f'CREATE TABLE "orders" ({columns})')
    target.do(*(f"INSERT INTO orders VALUES ({i}, '{name}')" for i, name in rows(1, 3)))
    assert target.dump() == made


def test_no_transaction_is_open_when_a_commit_has_returned(target: Target) -> None:
    """Another connection may take any lock it likes between two commits."""
    with start(SqlSink(target.url, "orders"), SCHEMA) as writer:
        writer.write(batch(part(1, 10)))
        writer.commit(writer.last.next(rows=10))
        target.do("CREATE TABLE elsewhere (x int)")
        if not target.lite:
            target.do(f'LOCK TABLE "{target.staging()[0]}" IN ACCESS EXCLUSIVE MODE NOWAIT')


def test_publishing_again_after_a_crash_changes_nothing(target: Target) -> None:
    """The row says completed: whoever opens it sweeps, and publishes no second time."""
    target.do("CREATE TABLE orders (id bigint, name text)")
    sink = SqlSink(target.url, "orders", if_exists="append")
    with crashing(start(sink, SCHEMA)) as writer:
        writer.write(batch(part(1, 5)))
        last = writer.commit(writer.last.next(rows=5, complete=True))
        writer.publish(last.next(outcome="completed"))
    assert len(target.staging()) == 1
    with sink.open(claimant(2, 1), last) as writer:
        assert writer.last.outcome == "completed"
        assert writer.publish(replace(writer.last, number=writer.last.number + 1)) == writer.last
        writer.accepted()
        writer.clean_up()
    assert orders(target) == rows(1, 5)
    assert target.staging() == []


# ------------------------------------------------------------------------------------------------ fences


def test_a_run_that_my_store_does_not_know_is_taken_over_only_when_it_is_dead(target: Target) -> None:
    """On this machine the kernel knows; elsewhere ten quiet seconds by the database's clock."""
    sink, new = SqlSink(target.url, "orders"), Checkpoint(schema=SCHEMA)
    one = claimant(1, store="file:/home/anna/.resumable")
    with crashing(sink.open(one, new)):
        liveness.own_tokens.add("token1")
        try:
            with pytest.raises(AlreadyRunning, match=r"/home/anna/\.resumable"):
                sink.open(claimant(2), new)
        finally:
            liveness.own_tokens.discard("token1")
    elsewhere = replace(claimant(3), owner=replace(this_process(), host="elsewhere"))
    with crashing(sink.open(elsewhere, new)) as writer:
        assert writer.last.number == 1
    with pytest.raises(AlreadyRunning, match="elsewhere"):
        sink.open(claimant(4), new)
    target.do(f"UPDATE resumable_ledger SET updated_at = updated_at - {STALE_AFTER}")
    with crashing(sink.open(claimant(5), new)) as writer:
        assert writer.last.number == 1
    with (
        crashing(sink.open(replace(elsewhere, id=ClaimId(6, "x")), new)),
        sink.open(claimant(7, takeover=True), new) as w,
    ):
        assert w.last.claim == ClaimId(7, "token7")


def test_a_runner_that_left_in_good_order_is_waited_for_by_nobody(target: Target) -> None:
    """A pause in another store, by a process that lives on: the ledger says that nobody is at work."""
    sink = SqlSink(target.url, "orders")
    elsewhere = replace(claimant(3), owner=replace(this_process(), host="elsewhere"))
    with sink.open(elsewhere, Checkpoint(schema=SCHEMA)):
        pass
    with sink.open(claimant(4), Checkpoint(schema=SCHEMA)) as writer:
        assert writer.last.number == 1


def test_a_run_that_is_over_writes_nothing_more(sqlite_url: str) -> None:
    """The ledger names no runner any more once it is cleared; leaving the writer then begins no transaction.

    A `kill -9` in one would leave SQLite's journal beside the database until somebody writes to it.
    """
    target, sink = Target(sqlite_url), SqlSink(sqlite_url, "t")
    with start(sink, SCHEMA) as writer:
        writer.publish(writer.last.next(outcome="completed"))
        writer.clean_up()
        assert [(None, None)] == target.all("SELECT owner, backend FROM resumable_ledger")
        with contextlib.closing(sqlite3.connect(target.path)) as another:
            before = another.execute("PRAGMA data_version").fetchone()
            writer.__exit__(None, None, None)
            assert before == another.execute("PRAGMA data_version").fetchone()


def test_a_run_is_loaded_once_from_whatever_store(target: Target) -> None:
    """The ledger row outlives completion: a store that knows nothing is told that it is done."""
    sink = SqlSink(target.url, "orders")
    done = load(sink, part(1, 5))
    assert done.finished
    with sink.open(claimant(9), Checkpoint(schema=SCHEMA)) as writer:
        assert (writer.last.outcome, writer.last.finished, writer.last.rows) == ("completed", True, 5)
    assert orders(target) == rows(1, 5)


def test_a_new_run_after_a_completed_one_is_begun_only_knowingly(target: Target) -> None:
    """A checkpoint of number 0 with a claim no older than the row's: the caller knew, and wants it anew."""
    target.do("CREATE TABLE orders (id bigint, name text)")
    sink = SqlSink(target.url, "orders", if_exists="append")
    done = load(sink, part(1, 5))
    with sink.open(claimant(2, 1), Checkpoint(schema=SCHEMA, claim=done.claim)) as writer:
        assert (writer.last.number, writer.last.outcome) == (1, "")
        writer.accepted()
        writer.write(batch(part(6, 7)))
        writer.commit(writer.last.next(rows=2, complete=True))
        writer.publish(writer.last.next(outcome="completed"))
        writer.clean_up()
    assert orders(target) == rows(1, 7)


def test_what_the_store_knows_and_the_target_does_not_is_never_a_start_from_zero(target: Target) -> None:
    """A restored or dropped target is said so; an outcome that was decided only needs sweeping."""
    sink = SqlSink(target.url, "orders")
    with pytest.raises(TargetChanged):
        sink.open(claimant(2, 1), Checkpoint(number=7, rows=70, schema=SCHEMA))
    with sink.open(claimant(2, 1), Checkpoint(number=7, outcome="terminated", schema=SCHEMA)) as writer:
        assert writer.last.number == 7
        writer.clean_up()
    assert target.tables() == set()


def test_lost_staging_is_said_and_nothing_is_published(target: Target) -> None:
    """Somebody dropped the staging table, or a crash emptied it: rows that were committed are missing."""
    sink = SqlSink(target.url, "orders")
    with crashing(start(sink, SCHEMA)) as writer:
        writer.write(batch(part(1, 5)))
        last = writer.commit(writer.last.next(rows=5, complete=True))
    target.do(f'DELETE FROM "{target.staging()[0]}" WHERE id = 3')
    with sink.open(claimant(2, 1), last) as writer, pytest.raises(TargetError, match="4 rows, and 5"):
        writer.publish(last.next(outcome="completed"))
    target.do(f'DROP TABLE "{target.staging()[0]}"')
    with sink.open(claimant(3, 2), last) as writer:
        with pytest.raises(TargetChanged):
            writer.publish(last.next(outcome="completed"))
        terminate(writer)
    assert target.tables() == set()


# ----------------------------------------------------------------------------- what a refusal or crash leaves


def test_a_refused_first_save_undoes_only_what_the_opening_made(target: Target) -> None:
    """Row, staging and ledger go again; a row that was taken over meanwhile stays."""
    before, sink, new = target.dump(), SqlSink(target.url, "orders"), Checkpoint(schema=SCHEMA)
    with sink.open(claimant(1), new) as writer:
        writer.discard()
    assert target.dump() == before
    with sink.open(claimant(2), new) as late, sink.open(claimant(3, 2), new) as writer:
        late.discard()
        writer.accepted()
        writer.write(batch(part(1, 3)))
        writer.commit(writer.last.next(rows=3))


def test_staging_that_a_crash_left_without_a_row_is_swept_by_the_next_runner(target: Target) -> None:
    """Its name tells run and claim; a newer claim's is left alone."""
    orphan, newer = (staging_name(claimant(n).run, claimant(n).id) for n in (1, 99))
    target.do(f"CREATE TABLE {orphan} (x int)", f"CREATE TABLE {newer} (x int)")
    with start(SqlSink(target.url, "orders"), SCHEMA, 2) as writer:
        assert len(target.staging()) == 2
        assert newer in target.staging()
        assert orphan not in target.staging()
        terminate(writer)
    assert target.staging() == [newer]


def test_staging_that_was_swept_before_anything_was_in_it_is_made_again(target: Target) -> None:
    """A birth that was interrupted between staging and row, and swept by another: nothing is lost by it."""
    sink = SqlSink(target.url, "orders")
    with crashing(start(sink, SCHEMA)) as writer:
        last = writer.last
    target.do(f'DROP TABLE "{target.staging()[0]}"')
    with sink.open(claimant(2, 1), last) as writer:
        writer.accepted()
        writer.write(batch(part(1, 3)))
        writer.commit(writer.last.next(rows=3, complete=True))
        writer.publish(writer.last.next(outcome="completed"))
        writer.clean_up()
    assert orders(target) == rows(1, 3)


def test_the_ledger_goes_with_its_last_row_only(target: Target) -> None:
    """Another run's row keeps it."""
    with start(SqlSink(target.url, "orders"), SCHEMA) as writer:
        other = replace(claimant(1), run="another")
        with SqlSink(target.url, "more").open(other, Checkpoint(schema=SCHEMA)) as more:
            terminate(writer)
            assert "resumable_ledger" in target.tables()
            terminate(more)
    assert target.tables() == set()


def test_loading_in_plain_view_goes_into_a_table_of_its_own_and_terminate_drops_it(target: Target) -> None:
    """staging=False: committed rows show at once; a table that is there is refused."""
    before, sink = target.dump(), SqlSink(target.url, "orders", staging=False, key="id")
    with crashing(start(sink, SCHEMA)) as writer:
        writer.write(batch(part(1, 3)))
        last = writer.commit(writer.last.next(rows=3))
        assert orders(target) == rows(1, 3)
        assert target.staging() == []
    with sink.open(claimant(2, 1), last) as writer:
        terminate(writer)
    assert target.dump() == before
    load(sink, part(1, 3), part(4, 6), epoch=3)
    assert orders(target) == rows(1, 6)
    target.do("CREATE TABLE there (id bigint, name text)")
    for how in ("fail", "append", "replace", "upsert"):
        with pytest.raises(TargetError):
            SqlSink(target.url, "there", if_exists=how, staging=False).open(
                replace(claimant(1), run="r"), Checkpoint(schema=SCHEMA)
            )


def test_many_runs_that_begin_at_once_make_one_ledger(target: Target) -> None:
    """CREATE TABLE IF NOT EXISTS fails now and then in PostgreSQL when two do it at once."""
    failures: list[BaseException] = []

    def run(n: int) -> None:
        try:
            sink = SqlSink(target.url, f"orders{n}")
            with sink.open(replace(claimant(1), run=f"r{n}"), Checkpoint(schema=SCHEMA)) as writer:
                writer.write(batch(part(1, 3)))
                writer.commit(writer.last.next(rows=3))
                if n % 2:
                    terminate(writer)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert target.all("SELECT count(*) FROM resumable_ledger") == [(3,)]


# ----------------------------------------------------------------------------------- locks and connections


def test_a_connection_that_breaks_at_a_commit_is_said_and_the_next_opening_knows(postgres: str) -> None:
    """ConnectionLost leaves the outcome open; opening again, under the same claim, reads it from the ledger."""
    target, sink = Target(postgres), SqlSink(postgres, "orders")
    with start(sink, SCHEMA) as writer:
        writer.write(batch(part(1, 3)))
        target.do(END_OTHERS)
        with pytest.raises(ConnectionLost):
            writer.commit(writer.last.next(rows=3))
        last = writer.last
    with sink.open(claimant(1), last) as writer:
        assert writer.last.rows == 0
        writer.write(batch(part(1, 3)))
        target.do(END_OTHERS)
        with pytest.raises(ConnectionLost):
            writer.write(batch(part(1, 3)))


def test_a_runner_that_was_stopped_inside_its_transaction_is_ended_by_the_next(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the ledger row: its connection, recorded there, is ended by the claim that may take it."""
    monkeypatch.setattr("resumable.databases.postgresql.session.LOCK_TIMEOUT", "100ms")
    target, sink = Target(postgres), SqlSink(postgres, "orders")
    stuck = start(sink, SCHEMA)
    with contextlib.closing(stuck._c):
        stuck.write(batch(part(1, 3)))
        stuck._ledger.write(claimant(1).id, 1, stuck.last.next(rows=3))  # ... and here it was stopped
        with sink.open(claimant(2, 1), stuck.last) as writer:
            assert writer.last.rows == 0
            writer.accepted()
            writer.write(batch(part(1, 2)))
            writer.commit(writer.last.next(rows=2, complete=True))
            writer.publish(writer.last.next(outcome="completed"))
            writer.clean_up()
    assert orders(target) == rows(1, 2)


def test_a_runner_that_was_stopped_while_it_writes_does_not_keep_the_next_from_publishing(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds locks on staging only; it is fenced off, so its connection may go."""
    monkeypatch.setattr("resumable.databases.postgresql.session.LOCK_TIMEOUT", "100ms")
    target, sink = Target(postgres), SqlSink(postgres, "orders")
    stuck = start(sink, SCHEMA)
    with contextlib.closing(stuck._c):
        stuck.write(batch(part(1, 3)))
        with sink.open(claimant(2, 1), stuck.last) as writer:
            writer.accepted()
            writer.write(batch(part(7, 9)))
            writer.commit(writer.last.next(rows=3, complete=True))
            writer.publish(writer.last.next(outcome="completed"))
            writer.clean_up()
    assert orders(target) == rows(7, 9)


def test_a_locked_sqlite_database_is_said_with_the_runner_that_the_ledger_names(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite has nobody to ask: wait a while, then say who had it last."""
    monkeypatch.setattr("resumable.databases.sqlite.session.WAIT", 0.2)
    target, sink = Target(sqlite_url), SqlSink(sqlite_url, "orders")
    with start(sink, SCHEMA) as writer:
        last = writer.last
        with contextlib.closing(sqlite3.connect(target.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(TargetError, match=f"process {this_process().pid} on"):
                sink.open(claimant(2, 1), last)
            with pytest.raises(TargetError, match="another process is writing"):
                writer.write(batch(part(1, 3)))
            other.execute("ROLLBACK")
        writer.write(batch(part(1, 3)))
        writer.commit(writer.last.next(rows=3))


def test_a_lock_on_the_target_is_waited_for_in_turns_and_then_named(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Publishing gives up with the backend that holds the table; later it succeeds."""
    monkeypatch.setattr("resumable.databases.postgresql.session.LOCK_TIMEOUT", "50ms")
    target = Target(postgres)
    target.do("CREATE TABLE orders (id bigint, name text)")
    sink, engine = SqlSink(postgres, "orders", if_exists="append"), connect(postgres)
    with start(sink, SCHEMA) as writer:
        writer.write(batch(part(1, 3)))
        last = writer.commit(writer.last.next(rows=3, complete=True))
        with engine.connect() as other:
            other.execute(sa.text("LOCK TABLE orders IN SHARE MODE"))
            with pytest.raises(TargetError, match=r"backend .* holds it"):
                writer.publish(last.next(outcome="completed"))
        writer.publish(last.next(outcome="completed"))
        writer.clean_up()
    engine.dispose()
    assert orders(target) == rows(1, 3)


def test_an_engine_is_used_as_it_is_and_its_pool_gets_nothing_of_ours(target: Target) -> None:
    """AUTOCOMMIT engines too: rows and ledger still share a transaction."""
    url = make_url(target.url)
    url = url if target.lite else url.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
    sink = SqlSink(engine, "orders")
    with crashing(start(sink, SCHEMA)) as writer:
        writer.write(batch(part(1, 3)))
        last = writer.commit(writer.last.next(rows=3))
        writer.write(batch(part(4, 6), 4))
    with sink.open(claimant(2, 1), last) as writer:
        assert target.all(f'SELECT count(*) FROM "{target.staging()[0]}"') == [(3,)]
        terminate(writer)
    engine.dispose()
    assert target.tables() == set()


def test_a_database_in_memory_works_over_one_shared_connection_and_is_refused_otherwise() -> None:
    """sqlite:// is gone with its connection."""
    engine = sa.create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    load(SqlSink(engine, "orders"), part(1, 3))
    with engine.connect() as c:
        assert [tuple(r) for r in c.execute(sa.text("SELECT * FROM orders"))] == rows(1, 3)
        assert c.connection.dbapi_connection.isolation_level == ""
    engine.dispose()
    for url in ("sqlite://", "sqlite:///:memory:"):
        with pytest.raises(UsageError, match="StaticPool"):
            SqlSink(url, "orders").open(claimant(1), Checkpoint(schema=SCHEMA))


def test_journal_mode_and_settings_of_a_sqlite_database_stay(sqlite_url: str) -> None:
    """They are the user's."""
    target = Target(sqlite_url)
    for epoch, mode in enumerate(("wal", "delete"), 1):
        target.all(f"PRAGMA journal_mode = {mode}")
        sink = SqlSink(sqlite_url, f"orders_{mode}")
        with sink.open(replace(claimant(epoch), run=mode), Checkpoint(schema=SCHEMA)) as writer:
            writer.write(batch(part(1, 3)))
            writer.commit(writer.last.next(rows=3))
        assert target.all("PRAGMA journal_mode") == [(mode,)]


@pytest.mark.parametrize(("theirs", "ours"), [("FULL", 3), ("NORMAL", 3), ("OFF", 0)])
def test_a_sqlite_commit_is_synced_with_its_folder_unless_syncing_is_off(
    sqlite_url: str, theirs: str, ours: int
) -> None:
    """Else a power cut brings its journal back (crash/test_power.py). An engine's connection is given back as it was."""
    engine = sa.create_engine(sqlite_url, poolclass=StaticPool)
    with engine.connect() as c:
        c.exec_driver_sql(f"PRAGMA synchronous = {theirs}")
        before = c.exec_driver_sql("PRAGMA synchronous").all()
    with start(SqlSink(engine, "orders"), SCHEMA) as writer:
        assert ours == writer._c.sql("PRAGMA synchronous").scalar_one()
        terminate(writer)
    with engine.connect() as c:
        assert before == c.exec_driver_sql("PRAGMA synchronous").all()
    engine.dispose()


def test_readers_of_a_sqlite_database_go_on_while_rows_are_written(sqlite_url: str) -> None:
    """In a rollback journal too, with more pages than SQLite's own cache holds."""
    target = Target(sqlite_url)
    target.do("CREATE TABLE t (x int)", "INSERT INTO t VALUES (1)")
    with start(SqlSink(sqlite_url, "orders"), SCHEMA) as writer:
        for _ in range(4):
            writer.write(batch(part(1, 65536)))
        assert target.all("SELECT x FROM t") == [(1,)]


# ------------------------------------------------------------------------------------------------ values

MOMENT = dt.datetime(2024, 2, 29, 23, 59, 58, 123456)
VALUES: list[tuple[str, pa.DataType, list[Any]]] = [
    ("int", pa.int64(), [-(2**63), 2**63 - 1, 0]),
    ("small", pa.int8(), [-128, 127, 0]),
    ("float", pa.float64(), [0.1, -1e308, float("inf")]),
    ("text", pa.string(), ["", 'a"b,c\n\\.\n\\N', "NULL\t 'é\u2028\U0001f600' "]),
    ("large", pa.large_string(), ["007", "", "1e5"]),
    ("bool", pa.bool_(), [True, False, True]),
    ("bytes", pa.binary(), [b"", b"\x00\xff\\x", b"abc"]),
    ("date", pa.date32(), [dt.date(1, 1, 1), dt.date(9999, 12, 31), dt.date(2024, 2, 29)]),
    ("time", pa.time64("us"), [dt.time(0), dt.time(23, 59, 59, 999999), dt.time(12, 30)]),
    ("stamp", pa.timestamp("us"), [MOMENT, dt.datetime(1, 1, 1), MOMENT.replace(microsecond=0)]),
    ("zoned", pa.timestamp("us", "UTC"), [MOMENT.replace(tzinfo=dt.UTC)] * 3),
    ("price", pa.decimal128(12, 2), [decimal.Decimal("0.10"), decimal.Decimal("-1234567890.99"), decimal.Decimal(0)]),
    (
        "exact",
        pa.decimal128(38, 10),
        [decimal.Decimal("1e-10"), decimal.Decimal("1234567890123456789012345678.0123456789"), decimal.Decimal(-1)],
    ),
]


def test_values_come_through_as_they_were(target: Target) -> None:
    """Each type, with NULL, alone in its table: an empty line is a NULL to COPY."""
    text = {"date": dt.date.fromisoformat, "time": dt.time.fromisoformat, "exact": decimal.Decimal}
    text |= {
        "stamp": dt.datetime.fromisoformat,
        "zoned": dt.datetime.fromisoformat,
        "price": lambda v: decimal.Decimal(str(v)),
    }
    for name, kind, values in VALUES:
        rows = pa.RecordBatch.from_arrays([pa.array([*values, None], kind)], names=[name])
        with SqlSink(target.url, name).open(replace(claimant(1), run=name), Checkpoint(schema=rows.schema)) as writer:
            writer.write(batch(rows))
            writer.commit(writer.last.next(rows=4, complete=True))
            writer.publish(writer.last.next(outcome="completed"))
        read = text.get(name, lambda v: v) if target.lite else lambda v: v
        assert [None if v is None else read(v) for (v,) in target.all(f'SELECT * FROM "{name}"')] == [*values, None]


def test_a_zone_is_a_moment_not_a_wall_clock(target: Target) -> None:
    """Stored in UTC."""
    kind = pa.timestamp("us", "Europe/Berlin")
    load(SqlSink(target.url, "orders"), pa.RecordBatch.from_arrays([pa.array([MOMENT], kind)], names=["z"]))
    want = "2024-02-29 23:59:58.123456+00:00" if target.lite else MOMENT.replace(tzinfo=dt.UTC)
    assert target.all("SELECT * FROM orders") == [(want,)]


def test_odd_names_are_quoted(target: Target) -> None:
    """Percent signs, colons, quotes, spaces, keywords, in tables, columns and keys."""
    names = ['a"b', "100%s", ":c", "select", "Ü x"]
    table = pa.RecordBatch.from_arrays([pa.array([1, 2])] * 5, names=names)
    sink = SqlSink(target.url, 'odd "%s" :name', key=names[:2])
    load(sink, table)
    again = SqlSink(target.url, 'odd "%s" :name', if_exists="upsert")
    with again.open(replace(claimant(1), run="2"), Checkpoint(schema=table.schema)) as writer:
        writer.write(batch(table))
        writer.commit(writer.last.next(rows=2, complete=True))
        writer.publish(writer.last.next(outcome="completed"))
        writer.clean_up()
    assert again.columns().keys() == set(names)


# ---------------------------------------------------------------------------------------------- bad rows


def strict_table(target: Target) -> None:
    target.do("CREATE TABLE orders (id bigint NOT NULL, name varchar(5) CHECK (length(name) < 4))")


def test_a_row_that_the_target_refuses_is_named_by_the_source_s_number(target: Target) -> None:
    """NOT NULL and CHECK show when the row arrives; what was committed before stays."""
    strict_table(target)
    with start(SqlSink(target.url, "orders", if_exists="append"), SCHEMA) as writer:
        writer.write(batch(part(1, 90)))
        writer.commit(writer.last.next(rows=90))
        ids: list[int | None] = list(range(1, 3001))
        ids[1234] = None
        bad = pa.RecordBatch.from_arrays([pa.array(ids, pa.int64()), pa.array(["x"] * 3000)], schema=SCHEMA)
        with pytest.raises(BadRow) as caught:
            writer.write(batch(bad, 91))
        assert (caught.value.row, caught.value.column) == (91 + 1234, "id")
        long = pa.RecordBatch.from_arrays([pa.array([1, 2]), pa.array(["abc", "s3cr"])], schema=SCHEMA)
        with pytest.raises(BadRow) as caught:
            writer.write(batch(long, 91))
        assert caught.value.row == 92
        assert "s3cr" not in str(caught.value)
        assert "resumable_" not in str(caught.value)
        terminate(writer)


def test_rows_that_do_not_fit_are_put_aside_where_that_was_asked_for(target: Target) -> None:
    """The others of the batch are loaded, in order; numbers stay the source's, also past earlier rejects."""
    strict_table(target)
    sink = SqlSink(target.url, "orders", if_exists="append", on_bad_row="quarantine")
    with start(sink, SCHEMA) as writer:
        odd = [{"id": i if i % 50 else None, "name": "long!" if i % 33 == 0 else "ok"} for i in range(1, 201)]
        given = replace(batch(odd, 1, SCHEMA), rejects=(Reject(5, "not CSV"),))
        refused = writer.write(given)
        bad = [i for i in range(1, 201) if i % 50 == 0 or i % 33 == 0]
        assert [r.row for r in refused] == [i + 1 for i in bad]  # row 5 was put aside by the source
        assert {r.column for r in refused if r.row == 51} == {"id"}
        done = writer.commit(writer.last.next(rows=200 - len(bad), complete=True))
        writer.publish(done.next(outcome="completed"))
        writer.clean_up()
    assert [i for (i,) in target.all("SELECT id FROM orders")] == [i for i in range(1, 201) if i not in bad]


def test_more_bad_rows_than_stray_ones_end_the_search(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bisecting a batch of nothing but bad rows would take for ever."""
    monkeypatch.setattr("resumable.sinks.sql.loading.MAX_MISFITS", 20)
    strict_table(target)
    with start(SqlSink(target.url, "orders", if_exists="append", on_bad_row="quarantine"), SCHEMA) as writer:
        with pytest.raises(BadRow, match="More than 20"):
            writer.write(batch([{"id": None, "name": "x"}] * 500, 1, SCHEMA))
        terminate(writer)


@pytest.mark.parametrize(
    ("kind", "value", "database"),
    [
        (pa.float64(), float("nan"), "sqlite"),
        (pa.uint64(), 2**64 - 1, "sqlite"),
        (pa.string(), "a\0b", "postgresql"),
        (pa.timestamp("ns"), 1, "both"),
    ],
    ids=["NaN", "uint64", "NUL", "nanoseconds"],
)
def test_a_value_that_could_not_be_kept_as_it_is_is_a_bad_row(
    target: Target, kind: Any, value: Any, database: str
) -> None:
    """SQLite would keep NaN as NULL, PostgreSQL cuts no text at a NUL, neither has nanoseconds."""
    table = pa.RecordBatch.from_arrays(
        [pa.array([None, value], pa.int64() if database == "both" else kind).cast(kind)], names=["v"]
    )
    with start(SqlSink(target.url, "orders"), table.schema) as writer:
        if database in ("both", "sqlite" if target.lite else "postgresql"):
            with pytest.raises(BadRow) as caught:
                writer.write(batch(table, 11))
            assert (caught.value.row, caught.value.column) == (12, "v")
        else:
            writer.write(batch(table, 11))
        terminate(writer)


def test_values_go_into_other_types_only_where_none_is_altered(target: Target) -> None:
    """Integers into doubles and decimals as far as they are exact; the row that isn't is named."""
    target.do("CREATE TABLE orders (a double precision, b numeric(6,2), c bigint)")
    schema = pa.schema([("a", pa.int64()), ("b", pa.int64()), ("c", pa.float64())])
    with start(SqlSink(target.url, "orders", if_exists="append"), schema) as writer:
        writer.write(batch([{"a": 5, "b": 1234, "c": 3.0}], 1, schema))
        for column, value in (("a", 2**53 + 1), ("b", 123456), ("c", 1.5)):
            with pytest.raises(BadRow) as caught:
                writer.write(batch([{"a": 1, "b": 1, "c": 1.0}, {"a": 1, "b": 1, "c": 1.0, column: value}], 2, schema))
            assert (caught.value.row, caught.value.column) == (3, column)
        done = writer.commit(writer.last.next(rows=1, complete=True))
        writer.publish(done.next(outcome="completed"))
        writer.clean_up()
    assert target.all("SELECT a, b, c FROM orders") == [(5.0, 1234, 3)]


# --------------------------------------------------------------------------------------------- refusals


def refusal(target: Target, schema: pa.Schema, table: str = "orders", **options: Any) -> ResumableError:
    before = target.dump()
    with pytest.raises(ResumableError) as caught:
        SqlSink(target.url, table, **options).open(claimant(1), Checkpoint(schema=schema))
    assert target.dump() == before
    return caught.value


def test_what_can_be_known_beforehand_is_refused_before_anything_is_made(target: Target) -> None:
    """Names, types, columns, keys: each with the reason."""
    target.do(
        "CREATE TABLE orders (id bigint NOT NULL, name text, needed int NOT NULL, price numeric(8,2))",
        "CREATE VIEW seen AS SELECT * FROM orders",
    )
    text, number = pa.string(), pa.int64()
    exists = refusal(target, SCHEMA)
    assert isinstance(exists, TargetExists)
    assert isinstance(refusal(target, SCHEMA, "seen"), TargetExists)
    assert "not a table" in str(refusal(target, SCHEMA, "seen", if_exists="append"))
    assert "'nope'" in str(refusal(target, pa.schema([("nope", text)]), if_exists="append"))
    assert "'needed'" in str(refusal(target, SCHEMA, if_exists="append"))
    full = pa.schema([("id", text), ("name", text), ("needed", number)])
    assert "'id' is string" in str(refusal(target, full, if_exists="append"))
    assert "'price'" in str(
        refusal(target, pa.schema([("id", number), ("needed", number), ("price", text)]), if_exists="append")
    )
    assert "'price'" in str(
        refusal(target, pa.schema([("id", number), ("needed", number), ("name", text)]), if_exists="replace")
    )
    whole = pa.schema([("id", number), ("needed", number), ("name", text)])
    assert "no primary key" in str(refusal(target, whole, if_exists="upsert"))
    assert "no unique index" in str(refusal(target, whole, if_exists="upsert", key="id"))
    assert "'k'" in str(refusal(target, SCHEMA, "new", key="k"))
    assert "needs a key" in str(refusal(target, SCHEMA, "new", if_exists="upsert"))
    assert isinstance(refusal(target, pa.schema([("l", pa.list_(number))]), "new"), TargetError)
    assert "'resumable_row'" in str(refusal(target, pa.schema([("resumable_row", number)]), "new"))
    assert "no columns" in str(refusal(target, pa.schema([]), "new"))
    for name in ("", "a\0b"):
        refusal(target, SCHEMA, name)
        refusal(target, pa.schema([(name, number)]), "new")
    twice = pa.schema([("a", number), ("A" if target.lite else "a", number)])
    assert "would be one" in str(refusal(target, twice, "new"))
    if not target.lite:
        assert "63 bytes" in str(refusal(target, SCHEMA, "ä" * 32))
        with pytest.raises(TargetError, match="no schema 'nowhere'"):
            SqlSink(target.url, "new", schema="nowhere").open(claimant(1), Checkpoint(schema=SCHEMA))


def test_text_is_not_put_where_sqlite_would_take_it_for_a_number(sqlite_url: str) -> None:
    """A column declared STRING has numeric affinity: 007 would become 7."""
    target = Target(sqlite_url)
    target.do("CREATE TABLE orders (zip STRING, any_ ANY)")
    assert "007" in str(refusal(target, pa.schema([("zip", pa.string())]), if_exists="append"))
    load(SqlSink(sqlite_url, "orders", if_exists="append"), pa.RecordBatch.from_pydict({"any_": ["x", "y"]}))


def test_a_sqlite_file_that_cannot_be_made_or_written_is_said_at_the_start(sqlite_url: str) -> None:
    """A missing folder; a read-only database."""
    target = Target(sqlite_url)
    with pytest.raises(TargetError, match="unable to open"):
        SqlSink(sqlite_url.replace("target.db", "no/target.db"), "orders").open(claimant(1), Checkpoint(schema=SCHEMA))
    target.do("CREATE TABLE other (x int)")
    read_only = f"sqlite:///file:{target.path}?mode=ro&uri=true"
    with pytest.raises(TargetError, match="readonly database"):
        SqlSink(read_only, "orders").open(claimant(1), Checkpoint(schema=SCHEMA))


def test_columns_may_be_called_what_sqlite_calls_its_own(sqlite_url: str) -> None:
    """All three names of the rowid may be taken: staging names its own, and a new table's order needs no name."""
    target = Target(sqlite_url)
    target.do("CREATE TABLE orders (rowid int, oid int UNIQUE)")
    table = pa.RecordBatch.from_pydict({"rowid": [3, 1, 2], "oid": [1, 2, 3]})
    load(SqlSink(sqlite_url, "orders", if_exists="append"), table)
    assert orders(target) == [(3, 1), (1, 2), (2, 3)]
    target.do("DROP TABLE orders", "DELETE FROM resumable_ledger")
    every = pa.RecordBatch.from_pydict({"rowid": [3, 1], "_rowid_": [1, 2], "oid": [5, 6]})
    load(SqlSink(sqlite_url, "orders", key="oid"), every)
    assert orders(target) == [(3, 1, 5), (1, 2, 6)]


def test_a_user_who_may_not_is_told_at_the_start(canary: str, postgres_server: Any) -> None:
    """Creating in the schema, inserting into the table; and no password in what is said."""
    from services import CANARY

    admin = Target(postgres_server.set(database=make_url(canary).database).render_as_string(hide_password=False))
    admin.do(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC",
        "ALTER SCHEMA public OWNER TO postgres",
        "CREATE TABLE orders (id bigint, name text)",
    )
    with pytest.raises(TargetError, match="may not create") as caught:
        SqlSink(canary, "new").open(claimant(1), Checkpoint(schema=SCHEMA))
    assert CANARY not in str(caught.value)
    admin.do("GRANT CREATE ON SCHEMA public TO canary")
    with pytest.raises(TargetError, match=r"no (SELECT|INSERT) privilege"):
        SqlSink(canary, "orders", if_exists="append").open(claimant(1), Checkpoint(schema=SCHEMA))
    admin.do("GRANT SELECT, INSERT ON orders TO canary")
    load(SqlSink(canary, "orders", if_exists="append"), part(1, 3))
    assert orders(admin) == rows(1, 3)


def test_no_password_is_in_an_error_when_the_server_is_away() -> None:
    """Nor in what describes the sink."""
    secret = "c4nary-s3cret"
    sink = SqlSink(f"postgresql://u:{secret}@127.0.0.1:1/shop", "orders")
    with pytest.raises(ResumableError) as caught:
        sink.open(claimant(1), Checkpoint(schema=SCHEMA))
    assert secret not in str(caught.value) + sink.describe()


def test_the_ledger_says_who_and_when_by_the_database_s_clock(target: Target) -> None:
    """Name, claim, number, owner, store, time; and nothing of it is a password."""
    with start(SqlSink(target.url, "orders"), SCHEMA) as writer:
        writer.write(batch(part(1, 3)))
        writer.commit(writer.last.next(rows=3))
        [(name, epoch, number, age)] = target.all(
            f"SELECT name, epoch, number, {writer._c.traits.clock} - updated_at FROM {ledger.NAME}"
        )
        assert (name, epoch, number) == ("upload-orders", 1, 2)
        assert 0 <= age < 60

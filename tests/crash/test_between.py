"""What may come between two steps of a run: clocks, locks, other people's DDL, a closing thread."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from memory import MemorySource
from resumable.checkpoint import Checkpoint, ClaimId, Record
from resumable.control.claims import claim_run
from resumable.control.requests import ask
from resumable.databases.connection import Connection
from resumable.databases.urls import connect
from resumable.errors import (
    AlreadyRunning,
    SourceError,
    Superseded,
    TargetChanged,
    TargetError,
    TargetExists,
    Terminated,
)
from resumable.pipeline import Pipeline
from resumable.protocols import Batch, Claimant
from resumable.session.loop import session
from resumable.sinks.sql.ledger import Ledger
from resumable.sinks.sql.sink import SqlSink
from resumable.stores import MemoryStore
from targets import Target


def pipeline(url: str, store: MemoryStore | None = None, **options: Any) -> Pipeline:
    """Six integers into table t, two a commit."""
    return Pipeline(MemorySource(), SqlSink(url, "t", **options), name="m", store=store or MemoryStore(), every=0)


def ahead() -> MemoryStore:
    """A store that was used while the clock was an hour ahead."""
    store = MemoryStore()
    store.swap("m", 0, Record(version=1, claim=ClaimId(int((time.time() + 3600) * 1000), "ahead")))
    return store


@contextlib.contextmanager
def another(url: str, *statements: str) -> Iterator[sa.Connection]:
    """Somebody else's open transaction."""
    engine = connect(url)
    with engine.connect() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
        yield connection
    engine.dispose()


# ------------------------------------------------------------------------------------------- clocks


def test_a_completed_run_is_known_though_its_clock_was_ahead_and_the_store_is_lost(database: str) -> None:
    """The ledger has a newer claim than this clock can make: mine is made newer still, and nothing is loaded twice."""
    list(pipeline(database, ahead()))
    assert "completed" == list(pipeline(database))[-1].status
    assert [(6,)] == Target(database).all("SELECT count(*) FROM t")


def test_a_dead_run_goes_on_though_its_clock_was_ahead_and_the_store_is_lost(database: str) -> None:
    """Nobody waits for the hour to pass; nothing is left over."""
    for _ in pipeline(database, ahead()):
        break
    assert 6 == list(pipeline(database))[-1].rows
    assert [] == Target(database).staging()


def test_a_live_run_whose_clock_is_ahead_is_refused_or_fenced_off(database: str) -> None:
    """From another store: `AlreadyRunning`; with takeover the older runner hears that it was superseded."""
    steps = iter(pipeline(database, ahead()))
    next(steps)
    with pytest.raises(AlreadyRunning):
        list(pipeline(database))
    assert 6 == list(pipeline(database).steps(takeover=True))[-1].rows
    with pytest.raises(Superseded):
        list(steps)


def test_a_pause_reaches_a_runner_whose_claim_was_renewed() -> None:
    """It was asked of the claim before: the same runner."""
    store = MemoryStore()
    with claim_run(store, "m", heartbeat=False) as claim:
        ask(store, "m", "pause")
        claim.raise_epoch(claim.id.epoch + 1000)
        assert "pause" == claim.save(Checkpoint(number=1))


def test_a_claim_that_was_taken_over_is_not_renewed() -> None:
    """A newer claim in the store is the end of an older one, however it got there."""
    store = MemoryStore()
    with claim_run(store, "m", heartbeat=False) as old:
        old.raise_epoch(old.id.epoch + 1000)
        record = store.load("m")
        assert record is not None
        assert old.id == record.claim
        with claim_run(store, "m", takeover=True, heartbeat=False) as new:
            assert new.id > old.id
            with pytest.raises(Superseded):
                old.raise_epoch(new.id.epoch)


# ------------------------------------------------------------------------------------------- other people


def test_a_foreign_key_that_came_meanwhile_does_not_cascade(database: str) -> None:
    """ON DELETE CASCADE, added while a replace was loading: refused at publishing, the child's rows stay."""
    target = Target(database)
    target.do("CREATE TABLE t (n bigint PRIMARY KEY)", "INSERT INTO t VALUES (1), (50)")
    engine = connect(database)
    if target.lite:
        sa.event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA foreign_keys = ON"))
    steps = iter(
        Pipeline(MemorySource(), SqlSink(engine, "t", if_exists="replace"), name="m", store=MemoryStore(), every=0)
    )
    next(steps)
    target.do("CREATE TABLE k (n bigint REFERENCES t (n) ON DELETE CASCADE)", "INSERT INTO k VALUES (1)")
    with pytest.raises(TargetChanged, match="CASCADE"):
        list(steps)
    assert [(1,)] == target.all("SELECT * FROM k")
    assert [(1,), (50,)] == target.all("SELECT * FROM t")
    engine.dispose()


class Decimals(MemorySource):
    """Decimals of four digits after the point."""

    def schema(self) -> pa.Schema:
        return pa.schema([("n", pa.decimal128(12, 4))])

    def read(self, schema: pa.Schema, position: Any, identity: dict[str, Any]) -> Iterator[Batch]:
        for batch in super().read(pa.schema([("n", pa.int64())]), position, identity):
            values = [n + Decimal("0.1234") for n in batch.rows["n"].to_pylist()]
            rows = pa.RecordBatch.from_pydict({"n": values}, schema=self.schema())
            yield Batch(rows, batch.position, batch.row, batch.fraction)


@pytest.mark.parametrize("again", [False, True])
def test_a_column_that_was_narrowed_meanwhile_alters_no_value(postgres: str, *, again: bool) -> None:
    """numeric(12,4) becomes numeric(12,2): PostgreSQL would round; refused at publishing and at the next session."""
    target, store = Target(postgres), MemoryStore()
    target.do("CREATE TABLE t (n numeric(12,4))")
    made = Pipeline(Decimals(), SqlSink(postgres, "t", if_exists="append"), name="m", store=store, every=0)
    steps = iter(made)
    next(steps)
    target.do("ALTER TABLE t ALTER n TYPE numeric(12,2)")
    if again:
        steps.close()
    with pytest.raises(TargetChanged, match=r"was numeric\(12,4\) and is numeric\(12,2\)"):
        list(made if again else steps)
    assert [] == target.all("SELECT * FROM t")
    target.do("ALTER TABLE t ALTER n TYPE numeric(12,4)")
    assert 6 == list(made)[-1].rows


def test_a_view_that_took_the_name_meanwhile_is_kept(database: str) -> None:
    """`TargetExists`; once it is out of the way the same call ends the run."""
    target, made = Target(database), pipeline(database)
    steps = iter(made)
    next(steps)
    target.do("CREATE VIEW t AS SELECT 7 AS n")
    with pytest.raises(TargetExists, match="view"):
        list(steps)
    assert [(7,)] == target.all("SELECT * FROM t")
    target.do("DROP VIEW t")
    assert 6 == list(made)[-1].rows


def test_terminate_ends_no_connection_of_others_who_use_a_table_in_plain_view(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever writes to it is named and waited for; with staging, only runners can hold it."""
    monkeypatch.setattr("resumable.databases.postgresql.session.LOCK_TIMEOUT", "50ms")
    made = pipeline(postgres, staging=False)
    for _ in made:
        break
    with another(postgres, "INSERT INTO t VALUES (99)") as other:
        with pytest.raises(TargetError, match=r"backend .* holds it"):
            made.terminate()
        assert [(1,)] == other.execute(sa.text("SELECT 1")).all()
    made.terminate()
    assert set() == Target(postgres).tables()


def test_a_frozen_runner_in_plain_view_does_not_keep_terminate_waiting(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stopped while it wrote, and holds the table: whoever fences it off ends its connection."""
    monkeypatch.setattr("resumable.databases.postgresql.session.LOCK_TIMEOUT", "50ms")
    store = MemoryStore()
    made, sink = pipeline(postgres, store, staging=False), SqlSink(postgres, "t", staging=False)
    with claim_run(store, "m", heartbeat=False) as claim:
        who = Claimant("m", claim.id, claim.owner, claim.earlier)
        stuck = sink.open(who, Checkpoint(source={"rows": 6, "mark": "a"}, schema=MemorySource().schema()))
        claim.save(stuck.last)
        stuck.write(Batch(pa.RecordBatch.from_pydict({"n": [1]}), {"n": 1}))
        with pytest.raises(Terminated):
            list(session(made.plan, takeover=True, terminate=True))
    stuck._c.close()
    assert set() == Target(postgres).tables()


def test_a_reader_of_staging_that_holds_up_publishing_is_named(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pg_dump, say: it is left alone; the same call later publishes."""
    monkeypatch.setattr("resumable.databases.postgresql.session.LOCK_TIMEOUT", "50ms")
    target, made = Target(postgres), pipeline(postgres)
    steps = iter(made)
    next(steps)
    with another(postgres, f"SELECT * FROM {target.staging()[0]}") as other:
        with pytest.raises(TargetError, match=r"backend .* holds it"):
            list(steps)
        assert [(1,)] == other.execute(sa.text("SELECT 1")).all()
    assert 6 == list(made)[-1].rows


@pytest.mark.parametrize("stands", ["dropping the ledger", "making the ledger", "writing its first row"])
def test_a_runner_that_stands_still_at_the_ledger_is_not_waited_for_without_end(
    postgres: str, monkeypatch: pytest.MonkeyPatch, stands: str
) -> None:
    """Nobody else can see what it makes, or whose it is: the error names the backend that holds it; then all goes on."""
    monkeypatch.setattr("resumable.databases.postgresql.session.LOCK_TIMEOUT", "50ms")
    monkeypatch.setattr("resumable.sinks.sql.fencing.WAIT", 0.5)
    target, store = Target(postgres), MemoryStore()
    with Connection.open(connect(postgres), None, "t") as c:
        ledger = Ledger(c, "m")
        if stands == "dropping the ledger":
            for _ in pipeline(postgres, store):
                break
            statement = "LOCK TABLE resumable_ledger IN ACCESS EXCLUSIVE MODE"
        elif stands == "making the ledger":
            statement = str(sa.schema.CreateTable(ledger.table).compile(dialect=c.sa.dialect))
        else:
            ledger.make()
            statement = (
                "INSERT INTO resumable_ledger (name, epoch, token, number, checkpoint, updated_at) "
                "VALUES ('m', 1, 'x', 0, '{}', 0)"
            )
    staging = target.staging()
    with (
        another(postgres, statement),
        pytest.raises(TargetError, match=r"locked by another .*backend .* holds it") as caught,
    ):
        list(pipeline(postgres, store))
    assert "if that process hangs, end it" in caught.value.do
    assert staging == target.staging()
    assert 6 == list(pipeline(postgres, store))[-1].rows


def test_a_user_without_rights_on_the_ledger_is_told_and_nothing_is_made(postgres: str) -> None:
    """Another role made it: the refusal names the table."""
    target = Target(postgres)
    list(pipeline(postgres))
    role = "DO $$ BEGIN CREATE ROLE weak LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    target.do(role, "GRANT CREATE, USAGE ON SCHEMA public TO weak")
    url = sa.engine.make_url(postgres).set(username="weak").render_as_string()
    with pytest.raises(
        TargetError, match=r"has no SELECT privilege and no INSERT .*GRANT SELECT, INSERT, UPDATE, DELETE"
    ):
        list(Pipeline(MemorySource(), SqlSink(url, "t2"), name="m2", store=MemoryStore()))
    assert [] == target.staging()


# ------------------------------------------------------------------------------------------- connections


def test_opening_waits_for_a_commit_in_doubt(postgres: str) -> None:
    """An older runner's COMMIT lands while the next one opens: it goes on behind it, not from what it read before."""
    sink, store = SqlSink(postgres, "t"), MemoryStore()
    begun = Checkpoint(schema=MemorySource().schema())
    with claim_run(store, "m", heartbeat=False) as claim:
        old = Claimant("m", ClaimId(1, "old"), claim.owner)
        new = Claimant("m", ClaimId(2, "new"), claim.owner, frozenset({old.id}))
    with sink.open(old, begun) as writer:
        writer.write(Batch(pa.RecordBatch.from_pydict({"n": [1]}), {"n": 1}))
        assert writer._ledger.write(old.id, 1, writer.last.next(rows=1, sink={**writer.last.sink, "rows": 1}))
        timer = threading.Timer(0.5, writer._c.commit)
        timer.start()
        with sink.open(new, writer.last) as behind:
            timer.join()
            assert (2, 1) == (behind.last.number, behind.last.rows)


def test_steps_may_be_closed_in_another_thread(database: str) -> None:
    """A garbage collector does it where it likes: the run is paused, and goes on."""
    made = pipeline(database)
    steps = iter(made)
    next(steps)
    thread = threading.Thread(target=steps.close)
    thread.start()
    thread.join()
    assert "paused" == made.status
    assert 6 == list(made)[-1].rows


def test_a_restart_whose_source_is_gone_keeps_the_run(database: str) -> None:
    """It is looked at before anything is undone."""

    class Gone(MemorySource):
        def identity(self) -> dict[str, Any]:
            raise SourceError("It isn't there.")

    store = MemoryStore()
    for _ in pipeline(database, store):
        break
    with pytest.raises(SourceError):
        Pipeline(Gone(), SqlSink(database, "t"), name="m", store=store).restart()
    assert "paused" == pipeline(database, store).status
    assert [4, 6, 6] == [step.rows for step in pipeline(database, store)]


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # Python 3.12 warns of just what is tested here
def test_a_forked_child_that_ends_leaves_the_run_to_its_parent(database: str) -> None:
    """Its copy of the loop is torn down in mid-run: claim, ledger row and connection stay the parent's."""
    made = pipeline(database)
    steps = iter(made)
    next(steps)
    child = os.fork()
    if not child:
        try:
            steps.close()
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert "running" == made.status
    assert [4, 6, 6] == [step.rows for step in steps]
    assert [(n,) for n in range(1, 7)] == Target(database).all("SELECT * FROM t")


def test_a_runner_that_slept_through_the_run_makes_no_staging_when_it_wakes(database: str) -> None:
    """It was stopped before its first row, and staging went with the run that another completed: it is told so."""
    target, store = Target(database), MemoryStore()
    made = pipeline(database, store)
    with claim_run(store, "m", heartbeat=False) as claim:
        sleeping = made.plan.sink.open(
            Claimant("m", claim.id, claim.owner, claim.earlier),
            Checkpoint(source={"rows": 6, "mark": "a"}, schema=MemorySource().schema()),
        )
        claim.save(sleeping.last)
        assert 6 == list(pipeline(database, store).steps(takeover=True))[-1].rows
        with pytest.raises(Superseded):
            sleeping.write(Batch(pa.RecordBatch.from_pydict({"n": [1]}), {"n": 1}))
        sleeping.__exit__(None, None, None)
    assert [] == target.staging()

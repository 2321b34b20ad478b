"""Lost connections: every COMMIT in doubt, backends that are ended, a server that is killed; the run goes on by itself.

Whether a COMMIT without an answer has landed is found out by opening again, behind the fence; nothing is repeated
before that. Each test's rows would tell: the table has no key that could keep a second copy out.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import services
from memory import MemorySource
from proxy import MODES, Mode, Proxy
from resumable.errors import ConnectionLost, Paused, ResumableError, TargetError, Terminated
from resumable.pipeline import Pipeline
from resumable.progress import Progress
from resumable.session.loop import session
from resumable.sinks import CsvSink
from resumable.sinks.sql.sink import SqlSink
from resumable.sources import SqlSource
from resumable.stores import MemoryStore, SqlStore
from targets import Target

END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid()"
)


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here rests on how long is waited."""
    monkeypatch.setattr("resumable.session.backoff.FIRST_DELAY", 0.01)
    monkeypatch.setattr("resumable.session.backoff.MAX_DELAY", 0.2)


@pytest.fixture
def proxy(postgres: str) -> Iterator[Proxy]:
    """Between the library and the server."""
    with Proxy(postgres) as made:
        yield made


def pipeline(url: str, store: Any = None, rows: int = 6, **options: Any) -> Pipeline:
    """Integers into table t, two a commit."""
    more = {name: options.pop(name) for name in ("reconnect",) if name in options}
    sink = SqlSink(url, "t", if_exists="append", **options)
    return Pipeline(MemorySource(rows), sink, name="m", store=store or MemoryStore(), every=0, **more)


def made(url: str) -> Target:
    """A table with a row in it, and no key."""
    target = Target(url)
    target.do("DROP TABLE IF EXISTS t", "CREATE TABLE t (n bigint)", "INSERT INTO t VALUES (-1)")
    return target


def published(target: Target, rows: int = 6) -> bool:
    """Every row once, in order, and nothing left over."""
    there = [n for (n,) in target.all("SELECT n FROM t ORDER BY ctid")]
    return there == [-1, *range(1, rows + 1)] and target.tables() == {"t", "resumable_ledger"}


# -------------------------------------------------------------------------------------- commits in doubt

FIRST, REOPENED = 6, 3
"""Which COMMIT is the first of the data, in a new run and after opening again."""


@pytest.mark.parametrize("mode", MODES)
def test_every_commit_of_a_run_may_be_in_doubt(
    postgres: str, proxy: Proxy, mode: Mode, long: bool, tried: Callable[[str], None]
) -> None:
    """Each of 100 commits loses its connection once, the one that says complete and the publishing one too."""
    commits = 100 if mode != "late" or long else 40  # a late one is waited for
    target = made(postgres)
    proxy.lose(FIRST, mode)
    for step in pipeline(proxy.url, rows=2 * commits):
        if mode == "before" and not step.message:
            proxy.lose(1, mode)  # the next commit; the same one then gets through
        elif mode != "before" and step.message:
            proxy.lose(REOPENED, mode)  # it has landed: the next one comes after those of opening again
    assert published(target, 2 * commits)
    assert proxy.lost >= commits, "inconclusive"
    tried(f"commit in doubt, {mode}: {proxy.lost} of {proxy.commits} COMMITs lost in one run")


@pytest.mark.parametrize("act", ["run", "terminate"])
@pytest.mark.parametrize("mode", MODES)
def test_any_commit_may_be_in_doubt(
    postgres: str, proxy: Proxy, mode: Mode, act: str, tried: Callable[[str], None]
) -> None:
    """The n-th of a run, or of a terminate, for every n: making staging, opening, committing, publishing, sweeping."""
    for n in itertools.count(1):
        target, store = made(postgres), MemoryStore()
        before = target.dump()
        if act == "terminate":
            with contextlib.closing(iter(pipeline(postgres, store))) as steps:
                next(steps)
        proxy.lost = 0
        proxy.lose(n, mode)
        if act == "run":
            assert "completed" == list(pipeline(proxy.url, store))[-1].status, n
            assert published(target), n
            target.do("DROP TABLE resumable_ledger")
        else:
            pipeline(proxy.url, store).terminate()
            assert before == target.dump(), n
        if not proxy.lost:
            break
    assert n > (10 if act == "run" else 4), "inconclusive"
    tried(f"commit in doubt, {mode}: each of the {n - 1} COMMITs of a {act}")


@pytest.mark.parametrize("mode", ["before", "after"])
def test_a_commit_of_the_store_may_be_in_doubt(
    postgres: str, proxy: Proxy, sqlite_url: str, mode: Mode, tried: Callable[[str], None]
) -> None:
    """Checkpoints in PostgreSQL, rows in SQLite: every third COMMIT of the store is lost."""
    target, losses = made(sqlite_url), 0
    for n in itertools.count(2, 3):
        target.do("DROP TABLE IF EXISTS resumable_ledger", "DELETE FROM t WHERE n > 0")
        store, proxy.lost = SqlStore(proxy.url, f"store_{n}"), 0
        store.names()
        proxy.lose(n, mode)
        assert "completed" == list(pipeline(sqlite_url, store))[-1].status, n
        assert [-1, 1, 2, 3, 4, 5, 6] == [v for (v,) in target.all("SELECT n FROM t")], n
        store._engine.dispose()
        if not proxy.lost:
            break
        losses += 1
    assert losses > 2, "inconclusive"
    tried(f"commit in doubt, {mode}: {losses} COMMITs of a store, one a run")


# ------------------------------------------------------------------------------- connections that are ended


def test_a_connection_that_is_ended_is_made_anew_and_the_run_goes_on(postgres: str) -> None:
    """An administrator ends it after each commit: the same loop gets through, says so, and counts one session."""
    target, steps = made(postgres), []
    for step in pipeline(postgres):
        steps.append(step)
        if not step.message:
            target.do(END_OTHERS)
    assert published(target)
    lost = [step for step in steps if step.message]
    assert 3 <= len(lost)
    assert all("connection to the database was lost" in step.message for step in lost)
    assert all("Trying again in" in str(step) for step in lost)
    assert {"running"} == {step.status for step in lost}
    assert 1 == steps[-1].sessions
    assert "" == steps[-1].message


def test_a_source_that_is_ended_is_read_on_from_the_last_commit(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An export whose reading connection is ended again and again: the same bytes as an undisturbed one."""
    monkeypatch.setattr("resumable.databases.postgresql.read.MAX_ROWS", 500)
    target, losses = made(postgres), 0
    target.do(
        "CREATE TABLE s AS SELECT n, repeat('x', 2000) AS pad FROM generate_series(1, 20000) n"
    )  # more than sockets hold
    target.do("ALTER TABLE s ADD PRIMARY KEY (n)")
    out = tmp_path / "s.csv"
    run = Pipeline(SqlSource(postgres, "s"), CsvSink(out), name="m", store=MemoryStore(), every=0)
    for step in run:
        losses += bool(step.message)
        if not step.message and step.rows % 4000 == 0:
            target.do(END_OTHERS)
    assert losses > 1, "inconclusive"
    assert "n,pad\n" + "".join(f"{n},{'x' * 2000}\n" for n in range(1, 20001)) == out.read_text()


def test_without_reconnect_a_lost_connection_fails_the_run_and_the_same_call_goes_on(postgres: str) -> None:
    """`reconnect=0`: `ConnectionLost` after each of three commits, status failed, and every row once."""
    target, store = made(postgres), MemoryStore()
    for _ in range(3):
        with pytest.raises(ConnectionLost):
            for _ in pipeline(postgres, store, reconnect=0):
                target.do(END_OTHERS)
        assert "failed" == pipeline(postgres, store).status
    assert 6 == list(pipeline(postgres, store))[-1].rows
    assert published(target)


# ------------------------------------------------------------------------------------- a server that dies


@pytest.fixture
def server() -> Iterator[services.Postgres]:
    """A server of the test's own, to be killed."""
    made = services.Postgres(services.find_programs())
    try:
        made.start()
        yield made
    finally:
        made.stop()


def test_a_server_that_is_killed_and_comes_back_is_found_again(server: services.Postgres, tmp_path: Path) -> None:
    """kill -9 of PostgreSQL in mid-run, twice, with target and store in it; the loop itself sees it through."""
    target = made(server.url.render_as_string())
    store = SqlStore(server.url)
    run, kills, tries = pipeline(target.url, store, rows=20), 0, 0
    for step in run:
        tries += bool(step.message)
        if step.rows in (4, 12) and not step.message:
            server.kill()
            kills += 1
        elif server.process is None and tries % 3 == 0:  # it stays away for a while
            server.start()
    assert (2, True) == (kills, tries >= 6)
    assert (20, "completed", 1) == (step.rows, step.status, step.sessions)
    assert {"t", "resumable_ledger", "resumable_checkpoints"} == target.tables()
    assert [-1, *range(1, 21)] == [n for (n,) in target.all("SELECT n FROM t ORDER BY ctid")]
    store._engine.dispose()


def test_past_the_limit_the_run_fails_and_the_same_call_goes_on(server: services.Postgres) -> None:
    """The error says how long it was tried; while the server is away a new call is refused at once."""
    target, store = made(server.url.render_as_string()), MemoryStore()
    steps = iter(pipeline(target.url, store, reconnect=0.3))
    assert 2 == next(steps).rows
    server.kill()
    with pytest.raises(ConnectionLost, match=r"Given up after 0\.3 seconds.*committed is safe.*Run the same again"):
        list(steps)
    assert "failed" == pipeline(target.url, store).status
    with pytest.raises(TargetError, match="can't be opened"):
        list(pipeline(target.url, store))
    server.start()
    assert [4, 6, 6] == [step.rows for step in pipeline(target.url, store)]
    assert published(target)


def test_a_pause_is_honoured_while_the_server_is_away(server: services.Postgres) -> None:
    """Asked for by a signal handler or another process: at once, since nothing is open; then it goes on."""
    target, store = made(server.url.render_as_string()), MemoryStore()
    run = pipeline(target.url, store)
    for how in (run.stop, lambda: ask(run)):
        steps = iter(run)
        rows = next(steps).rows
        server.kill()
        with pytest.raises(Paused):
            for step in steps:
                assert (rows, "running") == (step.rows, step.status)
                how()
        assert "paused" == run.status
        server.start()
    assert 6 == list(run)[-1].rows
    assert published(target)


def ask(run: Pipeline) -> None:
    """As from another process."""
    from resumable.control.requests import ask

    ask(run.store, run.name, "pause")


def test_leaving_the_loop_while_the_server_is_away_pauses(server: services.Postgres) -> None:
    """`break` at the step that says so."""
    target, store = made(server.url.render_as_string()), MemoryStore()
    for step in pipeline(target.url, store):
        if step.message:
            break
        server.kill()
    assert "paused" == pipeline(target.url, store).status
    server.start()
    assert 6 == list(pipeline(target.url, store))[-1].rows
    assert published(target)


def test_a_terminate_that_loses_its_server_is_seen_through(server: services.Postgres) -> None:
    """Killed between its decision and its sweep; the target is as it was before."""
    target, store = made(server.url.render_as_string()), MemoryStore()
    before = target.dump()
    with contextlib.closing(iter(pipeline(target.url, store))) as steps:
        next(steps)
    run = pipeline(target.url, store)
    with pytest.raises(Terminated):
        for step in killing(server, session(run.plan, terminate=True), store):
            assert step.message
            server.start()
    assert before == target.dump()
    assert "terminated" == run.status


def killing(server: services.Postgres, steps: Iterator[Progress], store: MemoryStore) -> Iterator[Progress]:
    """The steps; the server is killed as soon as the store has heard of the outcome."""
    swap, killed = store.swap, []

    def swapped(name: str, version: int, record: Any) -> bool:
        done = swap(name, version, record)
        if record is not None and record.checkpoint.outcome and not killed:
            killed.append(True)
            server.kill()
        return done

    store.swap = swapped  # type: ignore[method-assign]
    yield from steps
    assert killed


def test_what_is_wrong_with_the_rows_is_never_tried_again(postgres: str) -> None:
    """Only a connection is waited for: a column that is gone fails at once."""
    target, store = made(postgres), MemoryStore()
    steps = iter(pipeline(postgres, store))
    next(steps)
    target.do("ALTER TABLE t RENAME n TO m")
    with pytest.raises(ResumableError) as failure:
        for step in steps:
            assert "" == step.message
    assert not failure.value.transient
    with psycopg.connect(postgres) as connection:
        assert 1 == connection.execute("SELECT count(*) FROM t").fetchone()[0]  # type: ignore[index]

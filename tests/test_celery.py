"""Runs by real Celery workers over a real Redis: sliced, shared, killed, told twice, stopped, called off."""

from __future__ import annotations

import base64
import itertools
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import redisserver
from images import dump
from jobs import execute, until
from resumable.checkpoint import Record
from resumable.control.claims import claim_run
from resumable.errors import AlreadyCompleted, OptionsChanged, Refused, UnknownRun, UsageError
from resumable.run import Run
from services import CANARY, free_port
from workers import ROWS, Service


@pytest.fixture
def slice_seconds(request: pytest.FixtureRequest) -> float:
    return getattr(request, "param", 0.3)


@pytest.fixture
def service(own_redis: redisserver.Redis, tmp_path: Path, slice_seconds: float) -> Iterator[Service]:
    """A broker, a store, a target, no worker yet; whoever still lives at the end is killed."""
    made = Service(tmp_path, own_redis, slice_seconds)
    yield made
    for worker in made.workers:
        worker.kill()
    made.app.close()


# ---------------------------------------------------------------------------------------------- slices


@pytest.mark.parametrize("slice_seconds", [0.0], indirect=True)
def test_a_run_is_carried_out_in_slices(service: Service) -> None:
    """Started here, done there: as many sessions as slices, each row once, and no message is left."""
    run = service.upload()
    assert ("queued", [["t", ""]]) == (run.status, service.messages())
    service.worker().ready()
    service.ends(run, "completed")
    assert service.whole()
    assert run.progress.sessions > 1
    until(lambda: service.messages() == [], "messages are left")
    for act in (service.runs.pause, service.runs.resume, service.runs.terminate):
        with pytest.raises(AlreadyCompleted):
            act("t")
    assert "queued" == service.upload().status
    service.ends(run, "completed")
    assert service.whole()


@pytest.mark.parametrize("slice_seconds", [0.0], indirect=True)
def test_two_runs_share_one_worker_fairly(service: Service, tried: Callable[[str], None]) -> None:
    """With one process and slices of one commit, the two take turns: neither has two slices while the other waits."""
    runs = [service.upload(table, rows=20_000) for table in ("a", "b")]
    service.worker().ready()
    for run in runs:
        service.ends(run, "completed")
    turns = sorted(
        (session.started, run.name) for run in runs for session in service.record(run.name).checkpoint.sessions
    )
    order = "".join(name for _, name in turns)
    both = order[: min(order.rindex("a"), order.rindex("b"))]
    assert len(both) > 20, "inconclusive"
    assert 0 == sum(both.count(twice) for twice in ("aaa", "bbb")), order
    assert sum(both.count(twice) for twice in ("aa", "bb")) <= 2, order  # a worker that begins sends for both once more
    assert service.whole("a", 20_000)
    assert service.whole("b", 20_000)
    tried(f"two runs on one worker took turns: {len(order)} slices")


def test_an_export_is_carried_out_too(service: Service) -> None:
    """From a database by its connection's name into a file."""
    execute(
        service.target, "create table t (id integer primary key, word text)", "insert into t values (1, 'a'), (2, 'b')"
    )
    target = service.folder / "t.csv"
    run = service.runs.start("export", {"source": "shop", "what": "t", "target": str(target)})
    service.worker().ready()
    service.ends(run, "completed")
    assert "id,word\n1,a\n2,b\n" == target.read_text()


# ----------------------------------------------------------------------------------------------- death


def test_a_killed_child_is_succeeded_by_the_same_message(service: Service, tried: Callable[[str], None]) -> None:
    """`kill -9` of the process at work, twice: the message comes back and the run goes on; each row once."""
    run, killed, rows = service.upload(), set(), 0
    worker = service.worker().ready()
    for _ in range(2):
        record = service.under_way(run, rows)
        assert record.owner is not None
        os.kill(record.owner.pid, signal.SIGKILL)
        killed.add(record.owner.pid)
        rows = service.record().checkpoint.rows
    service.ends(run, "completed")
    assert service.whole()
    assert 2 == len(killed) == worker.said.count("exited with 'signal 9")
    tried(f"Celery: {len(killed)} processes killed at work, and succeeded")


def test_a_killed_worker_is_succeeded_by_the_next(service: Service) -> None:
    """`kill -9` of the worker and all its processes: its message is lost for an hour, and the next worker asks the store."""
    run = service.upload()
    worker = service.worker().ready()
    service.under_way(run)
    worker.kill()
    until(lambda: run.status in ("interrupted", "queued"), "its process outlives it")
    service.worker().ready()
    service.ends(run, "completed")
    assert service.whole()


def test_a_worker_killed_alone_leaves_its_process_to_end_its_slice(service: Service) -> None:
    """The parent dies, its child lives on a while: whatever it still does, another worker ends the run, each row once."""
    run = service.upload()
    worker = service.worker().ready()
    service.under_way(run)
    worker.process.kill()
    worker.process.wait()
    service.worker(2).ready()
    service.ends(run, "completed")
    assert service.whole()


def test_a_restart_of_redis_is_survived(service: Service) -> None:
    """Broker and store are one Redis, killed by `kill -9` in mid-run and started again: the run ends by itself.

    Celery's worker may die of it (kombu 5.7 does, on what it hasn't acknowledged); its supervisor starts another.
    """
    run = service.upload(rows=4 * ROWS)
    service.worker().ready()
    service.under_way(run)
    service.redis.kill()
    service.redis.start()
    service.ends(run, "completed", meanwhile=service.supervise)
    assert service.whole(rows=4 * ROWS)


@pytest.mark.parametrize("slice_seconds", [3600.0], indirect=True)
def test_a_run_that_kills_its_workers_is_given_up(service: Service) -> None:
    """Three processes in a row die before they commit anything: it has failed, and says so; resumed, it is tried again."""
    run = service.upload(rows=10 * ROWS, every=3600)
    service.worker().ready()
    seen = set()
    while run.status not in ("failed", "completed"):
        owner = service.record().owner
        # The fourth process has a claim only to say that the run is given up.
        if owner is not None and owner.pid not in seen and service.record().checkpoint.number and len(seen) < 3:
            os.kill(owner.pid, signal.SIGKILL)
            seen.add(owner.pid)
    assert ("failed", 3) == (run.status, len(seen))
    assert "3 workers in a row" in run.progress.message
    service.runs.resume("t")
    service.ends(run, "completed")
    assert service.whole(rows=10 * ROWS)


# ------------------------------------------------------------------------------------------- too much


@pytest.mark.parametrize("slice_seconds", [0.0], indirect=True)
def test_a_message_that_comes_twice_does_no_harm(service: Service, tried: Callable[[str], None]) -> None:
    """Twenty of each, before and while it runs, of the past and of now: each row once, and at the end none is left."""
    run, sent = service.upload(), 0
    for _ in range(20):
        service.runs._slice.apply_async(("t", ""))
    service.worker(3).ready()
    for _ in range(5):
        token = service.under_way(run).claim.token
        for _ in range(20):
            service.runs._slice.apply_async(("t", token))
            sent += 1
    service.ends(run, "completed")
    assert service.whole()
    assert not [s for s in service.workers[0].said.splitlines() if "Traceback" in s], service.workers[0].said
    assert run.progress.sessions > 5
    tried(f"Celery: {sent + 20} duplicate messages of a run of {run.progress.sessions} slices")


def test_a_message_that_meets_a_live_runner_waits(service: Service) -> None:
    """Another process has the run: the message isn't lost, but looked at again later; nobody is disturbed meanwhile."""
    run = service.upload()
    with claim_run(service.runs.store, "t") as claim:
        assert "" == claim.asked
        worker = service.worker().ready()
        until(
            lambda: worker.said.count(" succeeded ") == 2,
            "it isn't looked at, and neither is what the worker asks at its start",
        )
        assert service.record().claim == claim.id
        claim.release()
    service.ends(run, "completed")
    assert service.whole()


class Watched:
    """The service's store, with a word to say before each load and each swap."""

    def __init__(self, store: Any, load: Callable[[], None], swap: Callable[[Record | None], None]) -> None:
        self.store, self.before_load, self.before_swap = store, load, swap
        self.names, self.location = store.names, store.location

    def load(self, name: str) -> Record | None:
        self.before_load()
        return self.store.load(name)

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        self.before_swap(record)
        return self.store.swap(name, version, record)


@pytest.mark.parametrize("slice_seconds", [0.0], indirect=True)
def test_there_is_always_a_message_to_go_on_with(service: Service) -> None:
    """The next one is there when the claim is given back; the last one's turn is over by then."""
    run, left, store = service.upload(), [], service.runs.store

    def swap(record: Record | None) -> None:
        if record is not None and record.owner is None:
            left.append((service.messages()[0], record.claim.token))

    service.runs.store = Watched(store, lambda: None, swap)
    service.runs._run_slice("t", "", 0)
    token = service.record().claim.token
    assert [(["t", token], token)] == left
    rows = run.progress.rows
    assert 0 < rows < ROWS
    for late in ("", "another"):
        service.runs._run_slice("t", late, 0)
        assert (rows, token) == (run.progress.rows, service.record().claim.token)
    service.runs._run_slice("t", token, 0)
    assert rows < run.progress.rows


def test_a_pause_that_comes_between_a_message_and_its_claim_wins(service: Service) -> None:
    """It is asked for at each of the loads in turn; whichever it is, once it stands nothing more is committed."""
    run, store = service.upload(), service.runs.store
    for number in range(1, 6):
        loads = itertools.count(1)

        def load(number: int = number, loads: Iterator[int] = loads) -> None:
            if next(loads) == number:
                Run("t", store).ask("pause")

        run.ask("resume")
        before = service.record()
        service.runs.store = Watched(store, load, lambda record: None)
        service.runs._run_slice("t", before.claim.token, 0)
        assert run.status in ("new", "paused"), number
        assert "" == run.asked
        assert next(loads) > number, "inconclusive"
        if number <= 2:
            assert before.claim == service.record().claim


# -------------------------------------------------------------------------------------------- requests


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGQUIT], ids=["SIGTERM", "SIGQUIT"])
@pytest.mark.parametrize("slice_seconds", [3600.0], indirect=True)
def test_a_worker_that_is_stopped_leaves_the_run_to_the_next(service: Service, how: signal.Signals) -> None:
    """It doesn't wait for the slice to end: a commit, the next message, good-bye. The run is queued, and goes on."""
    run = service.upload(rows=4 * ROWS)
    worker = service.worker().ready()
    service.under_way(run)
    worker.told(how)
    assert "queued" == run.status, worker.said
    assert [["t", service.record().claim.token]] == service.messages()
    assert 0 < run.progress.rows < 4 * ROWS
    service.worker().ready()
    service.ends(run, "completed")
    assert service.whole(rows=4 * ROWS)


def test_a_paused_run_stays_paused_until_it_is_resumed(service: Service) -> None:
    """Its last message comes to nothing, and so does a new worker; nothing is revoked."""
    run = service.upload()
    service.worker().ready()
    service.under_way(run)
    service.runs.pause("t")
    service.ends(run, "paused")
    before = run.progress
    other = service.upload("other", rows=10)  # when that is through, whatever lay before it is
    service.worker().ready()
    service.ends(other, "completed")
    assert (before, "") == (run.progress, run.asked)
    service.runs.resume("t")
    service.ends(run, "completed")
    assert service.whole()


def test_a_pause_before_a_worker_comes_holds(service: Service) -> None:
    """The message is there already, and does nothing."""
    run = service.upload()
    service.runs.pause("t")
    assert ("new", [["t", ""]]) == (run.status, service.messages())
    other = service.upload("other", rows=10)
    service.worker().ready()
    service.ends(other, "completed")
    assert "new" == run.status
    service.runs.resume("t")
    service.ends(run, "completed")
    assert service.whole()


@pytest.mark.parametrize("when", ["new", "running", "paused", "interrupted"])
def test_a_worker_calls_a_run_off(service: Service, when: str) -> None:
    """Whoever asks needs no credentials; whatever state it is in, the target is as it was."""
    execute(service.target, "create table before (id integer)")
    before, run = dump(service.target), service.upload()
    if when != "new":
        worker = service.worker().ready()
        service.under_way(run)
        if when == "paused":
            run.pause()
        elif when == "interrupted":
            worker.kill()
    if when == "interrupted":
        service.worker()
    service.runs.terminate("t")
    service.ends(run, "terminated")
    assert before == dump(service.target)
    with pytest.raises(Refused):
        service.runs.resume("t")
    assert run.status != service.upload(rows=10).status
    if when == "new":
        service.worker()
    service.ends(run, "completed")
    assert service.whole(rows=10)


def test_a_run_that_cannot_be_carried_out_has_failed_with_the_reason(service: Service) -> None:
    """A table that exists, a file that is gone: said in the store, once; a worker that begins doesn't try again."""
    execute(service.target, "create table t (id integer)")
    exists, gone = service.upload(), service.upload("gone")
    (service.folder / "gone.csv").unlink()
    service.worker().ready()
    service.ends(exists, "failed")
    service.ends(gone, "failed")
    assert "exists" in exists.progress.message
    assert "gone.csv" in gone.progress.message
    worker = service.worker().ready()
    service.ends(service.upload("other", rows=10), "completed")
    assert "failed" == exists.status == gone.status
    assert "Traceback" not in worker.said


def test_a_target_that_is_away_is_waited_for(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens at first: the run stays queued and says why, and it is tried again later."""
    port = free_port()
    service.target = f"postgresql://me@127.0.0.1:{port}/shop?connect_timeout=2"
    service.runs = service.serve(service.target)
    run = service.upload(rows=10)
    worker = service.worker().ready()
    until(lambda: "succeeded" in worker.said and "refused" in worker.said, "it isn't tried")
    until(lambda: run.status == "queued", f"it has failed: {run.progress}")
    run.ask("pause")
    assert run.status in ("new", "failed")


# --------------------------------------------------------------------------------------------- secrets


def test_no_password_is_in_a_message_or_the_store(service: Service, canary: str) -> None:
    """Only the connection has it, which the worker has from its own environment."""
    service.target = canary
    service.runs = service.serve(canary)
    run = service.upload(rows=5_000)
    worker = service.worker().ready()
    service.ends(run, "completed")
    assert CANARY not in worker.said
    log = b"".join(path.read_bytes() for path in service.redis.folder.rglob("*.aof"))  # all that Redis was ever told
    bodies = [base64.b64decode(body) for body in re.findall(rb'"body": "([^"]+)"', log)]
    assert b"resumable.slice" in log
    assert any(b'"t"' in body for body in bodies)
    assert CANARY.encode() not in log + b"".join(bodies)
    assert [(5_000,)] == execute(canary, "select count(*) from t")


def test_what_cannot_be_left_to_a_worker_is_refused_at_once(service: Service) -> None:
    """Unknown kinds and arguments, other options for an unfinished run, unknown names: nothing is kept, nothing sent."""
    runs: Any = service.runs
    for kind, arguments in (
        ("copy", {}),
        ("upload", {"source": "a.csv", "target": "shop"}),
        ("upload", {"source": "a.csv", "target": "shop", "table": "t", "colour": "red"}),
        ("upload", {"source": "a.csv", "target": "shop", "table": "t", "store": "/tmp/x"}),
        ("upload", {"source": "a.csv", "target": "shop", "table": "t", "if_exists": "maybe"}),
        ("upload", {"source": "a.csv", "target": "nowhere", "table": "t"}),
    ):
        with pytest.raises(UsageError) as caught:
            runs.start(kind, arguments)
        assert caught.value.do
    assert ([], []) == (runs.store.names(), service.messages())
    for act in (runs.pause, runs.resume, runs.terminate):
        with pytest.raises(UnknownRun):
            act("nobody")
    run = service.upload()
    for _ in run.pipeline(target=service.target):
        break
    with pytest.raises(OptionsChanged):
        service.upload(if_exists="replace")

"""How a run stands, and what stands open: who has it, what is asked of it, and what was removed by hand."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import resumable
from proxy import Proxy
from resumable.checkpoint import Checkpoint, ClaimId, Owner, Record
from resumable.control import claims, status
from resumable.control.claims import claim_run
from resumable.control.liveness import this_process
from resumable.control.requests import ask
from resumable.control.status import status_of
from resumable.control.waiting import wait_until_idle
from resumable.errors import AlreadyRunning, NotHonoured, ResumableError, Superseded, Terminated
from resumable.run import Run
from resumable.stores import FileStore, MemoryStore
from shell import here, numbers, rows_of

ELSEWHERE = Owner("another-host", "boot", "pid:[1]", 1, "1", 0.0)
NEWCOMER = replace(ELSEWHERE, pid=77)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a file of three batches."""
    monkeypatch.chdir(tmp_path)
    numbers(tmp_path / "many.csv", 140_000)
    return tmp_path


def upload(target: str, store: object = None) -> resumable.Pipeline:
    """Three commits."""
    return resumable.upload("many.csv", target, "t", name="r", every=0, store=store)


def begun(pipeline: resumable.Pipeline) -> None:
    """Run it to its first commit."""
    with contextlib.closing(pipeline.steps()) as steps:
        next(steps)


# ------------------------------------------------------------------------------------- another machine's runner


def test_a_heart_elsewhere_is_judged_by_this_process_s_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever hour the other clock gives: running at a look; interrupted once nothing has beaten for a while; and back."""
    for clock in (-1e6, 0.0, 1e6):
        record = Record(1, owner=ELSEWHERE, claim=ClaimId(1, str(clock)), heartbeat=1, heartbeat_at=time.time() + clock)
        monkeypatch.setattr(status, "HEARTBEAT_TIMEOUT", 3600)
        assert "running" == status_of(record)
        monkeypatch.setattr(status, "HEARTBEAT_TIMEOUT", 0)
        assert "interrupted" == status_of(record)
        monkeypatch.setattr(status, "HEARTBEAT_TIMEOUT", 3600)
        assert "running" == status_of(replace(record, heartbeat=2))


def test_only_so_many_hearts_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one seen longest ago is forgotten, so that a service may look for years."""
    monkeypatch.setattr(status, "MAX_HEARTS", 2)
    claims = [ClaimId(1, f"remembered {i}") for i in range(4)]
    for claim in claims:
        status_of(Record(1, owner=ELSEWHERE, claim=claim))
    assert claims[2:] == list(status._hearts)


def test_who_runs_it_elsewhere_is_said(folder: Path) -> None:
    """A look can't tell whether it lives: so it says whose heart it is, and when it beat last, by that one's clock."""
    store = FileStore(folder / "s")
    store.swap("r", 0, Record(1, owner=ELSEWHERE, claim=ClaimId(1, "said"), checkpoint=Checkpoint(number=1, rows=5)))
    said = here("status", "r", "--store", folder / "s").stdout
    assert "r: running, 5 rows - run by process 1 on another-host, whose last heartbeat was at 19" in said
    assert said.endswith("by its own clock\n")


def successor(store: MemoryStore, owner: Owner | None) -> threading.Thread:
    """Another claim, a moment from now."""

    def claim() -> None:
        record = store.load("r")
        assert record is not None
        store.swap("r", record.version, replace(record, version=record.version + 1, owner=owner, claim=ClaimId(6, "n")))

    later = threading.Timer(0.05, claim)
    later.start()
    return later


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    """In it a run of another machine's."""
    monkeypatch.setattr(claims, "POLL_INTERVAL", 0.005)
    made = MemoryStore()
    made.swap("r", 0, Record(1, owner=ELSEWHERE, claim=ClaimId(5, "t"), checkpoint=Checkpoint(number=1)))
    return made


@pytest.mark.usefixtures("store")
def test_a_runner_that_has_come_meanwhile_is_the_one_that_is_named(store: MemoryStore) -> None:
    """While the heart of one is watched, another claims the run: that one is running, not the one before it."""
    coming = successor(store, NEWCOMER)
    with pytest.raises(AlreadyRunning, match="process 77 on another-host"), claim_run(store, "r"):
        pass
    coming.join()


def test_a_runner_that_has_come_and_died_meanwhile_is_taken_over(store: MemoryStore) -> None:
    """One of this machine's, of which the kernel says that it is dead."""
    coming = successor(store, replace(this_process(), start_time="1"))
    with claim_run(store, "r") as mine:
        assert mine.id > ClaimId(6, "n")
    coming.join()


def test_a_pause_that_was_meant_for_the_runner_before_says_so(store: MemoryStore) -> None:
    """It isn't honoured by the one that has taken over, and it doesn't stand."""
    ask(store, "r", "pause")
    record = store.load("r")
    assert record is not None
    store.swap("r", record.version, replace(record, version=record.version + 1, asked=""))
    coming = successor(store, NEWCOMER)
    with pytest.raises(NotHonoured, match=r"process 77 on another-host has it now.*Ask for the pause again"):
        wait_until_idle(store, "r", 0.5)
    coming.join()


# ------------------------------------------------------------------------------------------- requests that stand


@pytest.mark.parametrize("by", ["pipeline", "run"])
def test_a_terminate_that_can_t_be_carried_out_leaves_no_request(folder: Path, postgres: str, by: str) -> None:
    """The server is away and nobody runs it: it fails, nothing stands, and the next upload goes on to its end."""
    with Proxy(postgres) as proxy:
        away = upload(proxy.url, FileStore(folder / "s"))
        begun(away)
    act = away.terminate if by == "pipeline" else Run("r", folder / "s").terminate
    with pytest.raises(ResumableError) as failed:
        act()
    assert "is_published" not in str(failed.value)
    assert ("", "failed") == (Run("r", folder / "s").asked, away.status)
    back = resumable.upload("many.csv", postgres, "t", name="r", every=0, store=folder / "s")
    assert 140_000 == back.run().rows


@pytest.mark.parametrize("by", ["pipeline", "run"])
def test_a_request_that_stands_is_said_everywhere(
    folder: Path, postgres: str, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A runner elsewhere was asked and is dead, the server away: error, status and list say that the request stands."""
    monkeypatch.setattr(claims, "HEARTBEAT_TIMEOUT", 0.1)
    store = FileStore(folder / "s")
    with Proxy(postgres) as proxy:
        away = upload(proxy.url, store)
        begun(away)
    record = store.load("r")
    assert record is not None
    store.swap("r", record.version, replace(record, version=record.version + 1, owner=ELSEWHERE))
    act = away.terminate if by == "pipeline" else Run("r", store).terminate
    with pytest.raises(ResumableError, match=r"The request to terminate stands: the next to run it rolls it back\."):
        act()
    for line in ("status", "r"), ("list",):
        assert "asked to terminate: the next to run it rolls it back" in here(*line, "--store", store.location).stdout
        assert "terminate" == json.loads(here(*line, "--json", "--store", store.location).stdout)["asked"]
    with pytest.raises(Terminated, match="was terminated, as was asked of it"):
        resumable.upload("many.csv", postgres, "t", name="r", every=0, store=store).run()
    assert "" == Run("r", store).asked


# -------------------------------------------------------------------------------------------- removed by hand


def record_removed(folder: Path) -> None:
    for record in (folder / ".resumable").glob("*.json"):
        record.unlink()


def row_removed(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "shop.db")) as database:
        database.execute("DELETE FROM resumable_ledger")
        database.commit()


def ledger_removed(folder: Path) -> None:
    with contextlib.closing(sqlite3.connect(folder / "shop.db")) as database:
        database.execute("DROP TABLE resumable_ledger")


@pytest.mark.parametrize(
    ("remove", "said", "way_on"),
    [
        (record_removed, "The record of run 'r' was removed from the store", ()),
        (row_removed, "The ledger's row of run 'r' (table resumable_ledger) is gone", ("--restart",)),
        (ledger_removed, "The ledger's row of run 'r' (table resumable_ledger) is gone", ("--restart",)),
    ],
)
def test_what_was_removed_by_hand_is_said_to_be(
    folder: Path, remove: Callable[[Path], None], said: str, way_on: tuple[str, ...]
) -> None:
    """Nobody has taken the run over. The advice is taken, and every row is there once."""
    steps = upload("sqlite:///shop.db").steps()
    next(steps)
    remove(folder)
    with pytest.raises(Superseded) as stopped:
        for _ in steps:
            pass
    assert str(stopped.value).startswith(said)
    assert "taken over" not in str(stopped.value)
    assert ("--restart" if way_on else "Run the same again") in str(stopped.value)
    done = here("upload", "many.csv", "sqlite:///shop.db", "t", "--name", "r", "--every", "0", *way_on)
    assert 0 == done.returncode, done.stderr
    assert [(140_000, 140_000)] == rows_of(folder / "shop.db", "select count(*), count(distinct id) from t")


def test_an_export_s_record_that_was_removed_by_hand_is_said_to_be(folder: Path) -> None:
    """A file's only memory is the store: run again, it begins anew, and is whole."""
    upload("sqlite:///shop.db").run()
    line = resumable.export("sqlite:///shop.db", "t", "out.csv", key="id", name="e", every=0)
    steps = line.steps()
    next(steps)
    record_removed(folder)
    with pytest.raises(Superseded, match=r"was removed from the store.*into a file it begins anew"):
        for _ in steps:
            pass
    assert 140_000 == line.run().rows
    assert (folder / "many.csv").read_text() == (folder / "out.csv").read_text()


# ------------------------------------------------------------------------------------------- a corrupt record


@pytest.mark.parametrize("name", ["bad", "b" * 200], ids=["short", "long"])
@pytest.mark.parametrize("garbage", ["", "null\n", '"bad"\nnull\n', "\0\0\0"])
def test_one_record_that_can_t_be_read_hides_no_other(folder: Path, name: str, garbage: str) -> None:
    """The list has the others, names the bad one on stderr, and ends with 1; looked at by itself it is told as well."""
    store = FileStore(folder / "s")
    for run in ("a", name, "z"):
        store.swap(run, 0, Record(1, checkpoint=Checkpoint(number=1)))
    store.path(name).write_text(garbage)
    for extra in ((), ("--json",)):
        listed = here("list", "--store", folder / "s", *extra)
        assert 1 == listed.returncode
        assert 2 == len(listed.stdout.splitlines())
        assert f"{store.path(name)} can't be read" in listed.stderr
    runs = resumable.runs(store)
    assert (["a", "z"], 1) == ([run.name for run in runs], len(runs.unreadable))
    assert "can&#x27;t be read" in runs._repr_html_() or "can't be read" in runs._repr_html_()
    for command in ("status", "pause", "terminate", "resume"):
        done = here(command, name, "--store", folder / "s")
        assert (1, True) == (done.returncode, f"{store.path(name)} can't be read" in done.stderr), done.stderr

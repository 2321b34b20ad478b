"""Claims, liveness and requests, in one process over a store in memory; between processes: test_two_processes.py."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resumable.checkpoint import Checkpoint, ClaimId, Owner, Record
from resumable.control import claims, liveness
from resumable.control.claims import claim_run
from resumable.control.liveness import alive, this_process
from resumable.control.requests import ask
from resumable.control.status import status_of
from resumable.control.waiting import wait_until_idle
from resumable.errors import AlreadyRunning, NotHonoured, StoreError, Superseded
from resumable.stores import MemoryStore

ELSEWHERE = Owner("another-host", "boot", "pid:[1]", 1, "1", 0.0)
OVER = Checkpoint(number=3, outcome="completed", finished=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hearts beat fast, and silence is short."""
    monkeypatch.setattr(claims, "HEARTBEAT_INTERVAL", 0.01)
    monkeypatch.setattr(claims, "POLL_INTERVAL", 0.005)
    monkeypatch.setattr(claims, "HEARTBEAT_TIMEOUT", 0.2)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def put(store: MemoryStore, **fields: Any) -> Record:
    """Make the record of run "r" be this."""
    stored = store.load("r")
    version = stored.version if stored else 0
    record = replace(Record(claim=ClaimId(5, "t")), **fields, version=version + 1)
    assert store.swap("r", version, record)
    return record


def get(store: MemoryStore) -> Record:
    record = store.load("r")
    assert record is not None
    return record


# ---------------------------------------------------------------------------------------------- claims


def test_a_claim_saves_and_gives_itself_back(store: MemoryStore) -> None:
    """From new over running to paused; the record has the checkpoint and no owner."""
    assert status_of(store.load("r")) == "new"
    with claim_run(store, "r") as mine:
        assert status_of(get(store)) == "running"
        assert mine.save(Checkpoint(number=1, rows=5)) == ""
        assert mine.last.rows == 5
        mine.save(replace(mine.last, stopped_as="paused"), release=True)
    assert status_of(get(store)) == "paused"
    assert (get(store).checkpoint.rows, get(store).owner) == (5, None)


def test_a_run_has_one_runner_in_a_process_too(store: MemoryStore) -> None:
    """A second claim of the same process, from any thread, is refused and changes nothing; another run is free."""
    with claim_run(store, "r", heartbeat=False):
        before = get(store)
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()} on"), claim_run(store, "r"):
            pass
        assert get(store) == before
        with claim_run(store, "other"):
            pass


def test_many_threads_claim_and_one_has_it(store: MemoryStore) -> None:
    """Of eight threads at one moment one gets the run."""
    ready, done, won, refused = threading.Barrier(8), threading.Barrier(8), [], []

    def run() -> None:
        ready.wait()
        try:
            with claim_run(store, "r", heartbeat=False) as mine:
                won.append(mine.id)
                done.wait()
        except AlreadyRunning as error:
            refused.append(error)
            done.wait()

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(refused)) == (1, 7)


def test_claims_only_grow(store: MemoryStore) -> None:
    """A new claim is greater than all that the record knows, even when clocks go back."""
    far = 2**60
    put(store, claim=ClaimId(far, "z"), checkpoint=Checkpoint(number=1, claim=ClaimId(far + 5, "y")))
    with claim_run(store, "r") as mine:
        assert mine.id > ClaimId(far + 5, "zzz")
        assert mine.earlier == {ClaimId(far, "z"), ClaimId(far + 5, "y")}
        first = mine.id
    with claim_run(store, "r") as mine:
        assert mine.id > first


def test_a_takeover_ends_the_older_claim(store: MemoryStore) -> None:
    """The runner that was fenced off can neither save, leave nor forget any more; the newer one isn't disturbed."""
    with claim_run(store, "r", heartbeat=False) as old:
        old.save(Checkpoint(number=1))
        with claim_run(store, "r", takeover=True, heartbeat=False) as new:
            before = get(store)
            for act in (lambda: old.save(Checkpoint(number=2)), old.release):
                with pytest.raises(Superseded, match="process"):
                    act()
            old.delete()
            assert old.lost
            assert get(store) == before
            new.save(Checkpoint(number=2))


def test_the_heart_notices_a_takeover(store: MemoryStore) -> None:
    """Without a save, `lost` is set by the heartbeat."""
    with claim_run(store, "r") as old, claim_run(store, "r", takeover=True):
        while not old.lost:
            time.sleep(0.001)


def test_a_forgotten_run_was_never_there(store: MemoryStore) -> None:
    """A run that was refused before anything was made leaves no record."""
    with claim_run(store, "r") as mine:
        mine.delete()
        with pytest.raises(Superseded, match="removed"):
            mine.save(Checkpoint(number=1))
    assert store.names() == []


def test_a_sleeper_does_not_mistake_a_new_record_for_its_own(store: MemoryStore) -> None:
    """A record is removed and made anew while a runner sleeps between load and swap: its version is never met again."""
    with claim_run(store, "r", heartbeat=False):
        asleep = get(store)  # it has loaded, and is about to swap
        with claim_run(store, "r", takeover=True, heartbeat=False) as second:
            second.delete()
        with claim_run(store, "r", heartbeat=False) as third:
            while get(store).version < asleep.version:
                third.save(third.last.next())
            assert get(store).version > asleep.version
            assert not store.swap("r", asleep.version, replace(asleep, version=asleep.version + 1))


def test_a_claim_is_free_again_when_its_session_has_ended(store: MemoryStore) -> None:
    """A session that ended without a word, by a store that failed, holds the run no longer in this process."""
    with pytest.raises(RuntimeError), claim_run(store, "r"):
        raise RuntimeError
    assert status_of(get(store)) == "interrupted"
    with claim_run(store, "r"):
        pass


def test_a_store_that_fails_leaves_nothing_held(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The swap of a claim fails: the error is passed on, and the run is not held by this process."""

    def swap(name: str, version: int, record: Record | None) -> bool:
        raise StoreError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(store, "swap", swap)
        with pytest.raises(StoreError), claim_run(store, "r"):
            pass
    assert liveness.own_tokens == set()


def test_the_heart_survives_a_store_that_is_away(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store can't be reached the heart goes on trying, and beats again afterwards."""
    with claim_run(store, "r") as mine:
        calls = []

        def load(name: str) -> Record | None:
            calls.append(name)
            raise StoreError("It is away.")

        with monkeypatch.context() as patch:
            patch.setattr(store, "load", load)
            while len(calls) < 3:
                time.sleep(0.001)
        beat = get(store).heartbeat
        while get(store).heartbeat == beat:
            time.sleep(0.001)
        assert not mine.lost


def test_the_heart_stops_with_the_session(store: MemoryStore) -> None:
    """After the session its thread is gone, and the record stays as it was left."""
    with claim_run(store, "r") as mine:
        mine.save(Checkpoint(number=1), release=True)
    assert not [thread for thread in threading.enumerate() if thread.name == "resumable heartbeat r"]


# -------------------------------------------------------------------------------------------- who lives


def test_a_reused_process_id_is_not_the_owner() -> None:
    """The same pid, born at another time, is another process; so is one of another boot or container, unknown."""
    here = this_process()
    assert alive(replace(here, start_time="1"), "t") is False
    assert alive(replace(here, pid=2**22 + 1), "t") is False
    assert alive(replace(here, boot="another"), "t") is None
    assert alive(replace(here, pid_namespace="pid:[2]"), "t") is None
    assert alive(replace(here, host="another"), "t") is None


def test_another_process_of_this_machine_is_asked_for_by_the_kernel() -> None:
    """Alive while it runs, dead once it has ended, even before anybody has waited for it."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        owner = replace(this_process(), pid=child.pid, start_time=liveness._start_time(child.pid) or "")
        assert alive(owner, "t") is True
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert alive(owner, "t") is False
    assert alive(owner, "t") is False


def test_a_dead_owner_is_taken_over_at_once(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine no heartbeat is waited for."""
    monkeypatch.setattr(claims, "HEARTBEAT_TIMEOUT", 3600)
    put(store, owner=replace(this_process(), start_time="1"), checkpoint=Checkpoint(number=4))
    assert status_of(get(store)) == "interrupted"
    with claim_run(store, "r") as mine:
        assert mine.last.number == 4


def test_a_silent_owner_elsewhere_is_taken_over(store: MemoryStore) -> None:
    """No beat for `HEARTBEAT_TIMEOUT` seconds of this machine's clock: the run is free, whatever the other clock says."""
    put(store, owner=ELSEWHERE, heartbeat=7, heartbeat_at=time.time() + 1e6)
    with claim_run(store, "r") as mine:
        assert mine.id > ClaimId(5, "t")


def test_a_beating_owner_elsewhere_keeps_its_run(store: MemoryStore) -> None:
    """A heartbeat from another machine is seen, however wrong its clock."""
    put(store, owner=ELSEWHERE, heartbeat=1, heartbeat_at=0.0)
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(0.01):
            put(store, owner=ELSEWHERE, heartbeat=get(store).heartbeat + 1, heartbeat_at=0.0)

    heart = threading.Thread(target=beat)
    heart.start()
    try:
        with pytest.raises(AlreadyRunning, match="another-host"), claim_run(store, "r"):
            pass
    finally:
        stop.set()
        heart.join()


def test_a_runner_elsewhere_that_leaves_is_not_waited_out(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watching ends as soon as the owner has gone."""
    monkeypatch.setattr(claims, "HEARTBEAT_TIMEOUT", 3600)
    put(store, owner=ELSEWHERE)
    leaving = threading.Timer(0.02, lambda: put(store, owner=None))
    leaving.start()
    with claim_run(store, "r"):
        pass
    leaving.join()


def test_a_forked_child_that_ends_does_not_release_the_claim(tmp_path: Path) -> None:
    """The child is another process: it doesn't hold the claim, sees its parent's, and leaves it alone when it ends."""
    code = """
import os, sys, time
from resumable.control.claims import claim_run
from resumable.control.status import status_of
from resumable.checkpoint import Checkpoint
from resumable.errors import AlreadyRunning
from resumable.stores import FileStore
store = FileStore(sys.argv[1])
child = 1
try:
    with claim_run(store, "r") as mine:
        mine.save(Checkpoint(number=1))
        child = os.fork()
        if child == 0:
            try:
                with claim_run(store, "r"):
                    os._exit(3)
            except AlreadyRunning:
                sys.exit(0)  # runs the finally of its parent's claim
        assert os.waitpid(child, 0)[1] == 0
        record = store.load("r")
        assert status_of(record) == "running"
        assert record.claim == mine.id
        mine.save(mine.last.next())
        beat = store.load("r").heartbeat
        while store.load("r").heartbeat == beat:
            time.sleep(0.01)
        try:
            with claim_run(store, "r"):
                print("claimed twice")
        except AlreadyRunning:
            print("held")
finally:
    if child:
        print(status_of(store.load("r")))
"""
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["held", "interrupted"], done.stderr


# --------------------------------------------------------------------------------------------- requests


def test_a_pause_is_heard_by_the_next_save_and_by_the_heart(store: MemoryStore) -> None:
    """Either tells the runner."""
    with claim_run(store, "r", heartbeat=False) as mine:
        ask(store, "r", "pause")
        assert mine.save(Checkpoint(number=1)) == "pause"
    with claim_run(store, "r") as mine:
        ask(store, "r", "pause")
        while mine.asked != "pause":
            time.sleep(0.001)


def test_a_pause_binds_only_the_claim_that_ran(store: MemoryStore) -> None:
    """Yesterday's pause doesn't stop today's run, nor a runner that has taken over."""
    with claim_run(store, "r", heartbeat=False):
        ask(store, "r", "pause")
    with claim_run(store, "r", heartbeat=False) as mine:
        assert (mine.asked, mine.save(Checkpoint(number=1))) == ("", "")
        ask(store, "r", "pause")
        with claim_run(store, "r", heartbeat=False, takeover=True) as newer:
            assert newer.save(Checkpoint(number=2)) == ""


def test_terminate_is_heard_by_every_session_until_the_run_is_over(store: MemoryStore) -> None:
    """It outlives claims and isn't softened to a pause; the save of what is over ends it."""
    with claim_run(store, "r", heartbeat=False) as mine:
        mine.save(Checkpoint(number=1))
        ask(store, "r", "terminate")
    for _ in range(2):
        with claim_run(store, "r", heartbeat=False) as mine:
            assert mine.asked == "terminate"
            ask(store, "r", "pause")
            assert mine.save(mine.last.next()) == "terminate"
    with claim_run(store, "r", heartbeat=False) as mine:
        mine.save(replace(mine.last, outcome="terminated", finished=True), release=True)
    assert status_of(get(store)) == "terminated"
    with claim_run(store, "r", heartbeat=False) as mine:
        assert mine.save(Checkpoint(number=1)) == ""


def test_a_request_that_came_too_late_does_not_hit_the_next_run(store: MemoryStore) -> None:
    """Asked between the last save and the end of a run that is over, terminate dies with that run."""
    for leave in (True, False):
        with claim_run(store, "r", heartbeat=False) as mine:
            mine.save(OVER)
            ask(store, "r", "terminate")
            if leave:
                mine.release()
        with claim_run(store, "r", heartbeat=False) as mine:
            assert mine.asked == ""
            assert mine.save(Checkpoint(number=1)) == ""


def test_nobody_is_asked_where_nobody_is(store: MemoryStore) -> None:
    """An unknown run stays unknown, and one that is over stays as it is."""
    assert ask(store, "r", "terminate") is None
    assert store.names() == []
    put(store, checkpoint=OVER)
    before = get(store)
    assert ask(store, "r", "terminate") == before
    assert get(store) == before


def test_requests_and_saves_do_not_undo_each_other(store: MemoryStore) -> None:
    """While a runner saves as fast as it can, a request isn't lost and no save is."""
    with claim_run(store, "r") as mine:
        asking = threading.Timer(0.02, ask, (store, "r", "pause"))
        asking.start()
        saves = 0
        while mine.save(mine.last.next()) != "pause":
            saves += 1
        asking.join()
        assert get(store).checkpoint.number == saves + 1


def test_whoever_asks_waits_for_the_runner(store: MemoryStore) -> None:
    """The record is returned once nobody runs; a runner that doesn't listen is `NotHonoured`, which names it."""
    with claim_run(store, "r") as mine:
        with pytest.raises(NotHonoured, match=f"process {os.getpid()}"):
            wait_until_idle(store, "r", 0.02)
        leaving = threading.Timer(0.02, mine.release)
        leaving.start()
        record = wait_until_idle(store, "r", 30)
        assert record is not None
        assert record.owner is None
        leaving.join()
    assert wait_until_idle(store, "unknown", 0) is None


@pytest.mark.parametrize("clock", [-7200.0, 7200.0])
def test_waiting_compares_no_two_clocks(store: MemoryStore, clock: float) -> None:
    """A runner elsewhere is waited for while its heart beats and no longer, were its clock two hours off."""
    put(store, owner=ELSEWHERE, heartbeat=1, heartbeat_at=time.time() + clock)
    record = wait_until_idle(store, "r", 30)
    assert record is not None
    assert record.heartbeat == 1
    put(store, owner=ELSEWHERE, heartbeat=2, heartbeat_at=time.time() + clock)
    with pytest.raises(NotHonoured, match="another-host"):
        wait_until_idle(store, "r", 0)  # one look: between two a busy machine may let the time of silence pass


def test_a_resume_stands_until_it_is_withdrawn(store: MemoryStore) -> None:
    """It is not a runner's to hear; it outlives claims, saves and leaving, a failure that may pass, and no other."""
    put(store, asked="resume")
    with claim_run(store, "r") as mine:
        assert "" == mine.asked == mine.save(Checkpoint(number=1))
        mine.save(Checkpoint(number=2, stopped_as="paused"), release=True)
    assert "resume" == get(store).asked
    with claim_run(store, "r") as mine:
        mine.save(Checkpoint(number=2, stopped_as="failed"), release=True, withdraw=True)
    assert "" == get(store).asked


def test_runners_that_die_in_a_row_are_counted(store: MemoryStore) -> None:
    """From one commit to the next; one that leaves in good order begins the count anew."""
    put(store, owner=replace(this_process(), start_time="1"), checkpoint=Checkpoint(number=1))
    for falls in (1, 2, 3):
        with claim_run(store, "r") as mine:
            mine.save(mine.last)
        assert falls == get(store).consecutive_crashes
    with claim_run(store, "r") as mine:
        mine.save(mine.last.next())
        assert 0 == get(store).consecutive_crashes
    with claim_run(store, "r") as mine:
        mine.save(mine.last, release=True)
    with claim_run(store, "r"):
        assert 0 == get(store).consecutive_crashes


# ----------------------------------------------------------------------------------------------- status


def test_the_status_is_read_off_the_record() -> None:
    """Every status and what it comes from."""
    here, dead = this_process(), replace(this_process(), start_time="1")
    liveness.own_tokens.add("held")
    try:
        cases = [
            (None, "new"),
            (Record(1, owner=here, claim=ClaimId(1, "held")), "running"),
            (Record(1, owner=here, claim=ClaimId(1, "held"), checkpoint=OVER), "running"),
            (Record(1, owner=here, claim=ClaimId(1, "let go")), "interrupted"),
            (Record(1, owner=dead), "interrupted"),
            (Record(1, owner=dead, checkpoint=Checkpoint(stopped_as="paused")), "interrupted"),
            (Record(1, owner=dead, checkpoint=OVER), "completed"),
            (Record(1, owner=ELSEWHERE, heartbeat_at=time.time()), "running"),
            (Record(1, owner=ELSEWHERE, heartbeat_at=time.time() - 3600, claim=ClaimId(1, "slow clock")), "running"),
            (Record(1, checkpoint=Checkpoint(stopped_as="paused")), "paused"),
            (Record(1, checkpoint=Checkpoint(stopped_as="failed")), "failed"),
            (Record(1, checkpoint=OVER), "completed"),
            (Record(1, checkpoint=replace(OVER, outcome="terminated")), "terminated"),
            (Record(1, checkpoint=replace(OVER, finished=False)), "interrupted"),
            (Record(1), "new"),
            (Record(1, asked="resume"), "queued"),
            (Record(1, asked="resume", checkpoint=Checkpoint(number=2, stopped_as="paused")), "queued"),
            (Record(1, asked="resume", checkpoint=OVER), "queued"),
            (Record(1, asked="resume", owner=dead), "interrupted"),
            (Record(1, asked="resume", owner=here, claim=ClaimId(1, "held")), "running"),
        ]
        assert [status_of(record) for record, _ in cases] == [expected for _, expected in cases]
    finally:
        liveness.own_tokens.discard("held")

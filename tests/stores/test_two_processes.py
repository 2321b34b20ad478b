"""Claims between real processes that are killed and stopped; the rest of what stores promise is their contract."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from resumable.checkpoint import Json
from resumable.control.claims import claim_run
from resumable.errors import AlreadyRunning, StoreError, Superseded
from resumable.stores import open_store
from resumable.testing import Line, Process


@pytest.fixture(params=["file", "sqlite", "postgresql", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The name of a store that processes share."""
    if server := {"postgresql": "postgres", "redis": "redis"}.get(request.param):
        return str(request.getfixturevalue(server))
    return {"file": f"{tmp_path}/runs", "sqlite": f"sqlite:///{tmp_path}/runs.db"}[request.param]


@pytest.fixture
def runner(where: str) -> Callable[[Line], Json]:
    """Claims the run, saves, and saves again whenever it is told to; it says how that went."""

    def run(line: Line) -> Json:
        with claim_run(open_store(where), "run") as claim:
            while True:
                try:
                    claim.save(claim.last.next(rows=claim.last.rows + 1))
                    line.say("saved")
                except Superseded:
                    line.say("superseded")
                line.hear()

    return run


def test_a_zombie_is_dead(where: str, runner: Callable[[Line], Json]) -> None:
    """A killed process whose parent hasn't looked yet doesn't hold the run."""
    with Process(runner) as process:
        assert ["saved"] == process.line.hear()
        os.kill(process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with claim_run(open_store(where), "run") as claim:
            assert 1 == claim.last.rows


def stop(process: Process) -> None:
    """It has stopped, not only been told to."""
    os.kill(process.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED)


def test_a_stopped_runner_is_fenced_off_by_a_takeover(where: str, runner: Callable[[Line], Json]) -> None:
    """Asleep it still has the run; taken over, its next save after waking is refused and changes nothing."""
    with Process(runner) as process:
        assert ["saved"] == process.line.hear()
        store = open_store(where)
        stop(process)
        with pytest.raises(AlreadyRunning), claim_run(store, "run"):
            pass
        # It may have been stopped while it held the store's lock: then nobody can save until it goes on.
        taken = None
        while taken is None:
            try:
                with claim_run(store, "run", takeover=True, heartbeat=False) as claim:
                    claim.save(claim.last.next(rows=10))
                    taken = claim.id
            except StoreError:
                os.kill(process.pid, signal.SIGCONT)
                stop(process)
        os.kill(process.pid, signal.SIGCONT)
        process.line.say("save")
        assert ["superseded"] == process.line.hear()
        record = store.load("run")
        assert record is not None
        assert (10, taken) == (record.checkpoint.rows, record.claim)

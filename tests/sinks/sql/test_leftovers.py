"""What is found beside a file sink's target when clocks went back, stores were restored, or a claimant came too late."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from memory import MemorySource
from resumable.checkpoint import Checkpoint, ClaimId, Record
from resumable.control.liveness import this_process
from resumable.errors import Terminated, UnknownRun
from resumable.pipeline import Pipeline
from resumable.protocols import Claimant
from resumable.session.loop import session
from resumable.sinks.csv import CsvSink
from resumable.sinks.quarantine import QuarantineSink
from resumable.stores import MemoryStore

ROWS = "n\n1\n2\n3\n4\n5\n6\n"


def pipeline(folder: Path, store: MemoryStore, *, quarantine: bool = False) -> Pipeline:
    sink = CsvSink(folder / "out.csv")
    return Pipeline(
        MemorySource(), QuarantineSink(sink, folder / "bad") if quarantine else sink, name="m", store=store, every=0
    )


def late_claimant(made: Pipeline, epoch: int) -> None:
    """One with that claim makes its partial files and is gone before it has saved anything."""
    claimant = Claimant("m", ClaimId(epoch, "late"), this_process())
    with made.plan.sink.open(claimant, Checkpoint(schema=MemorySource().schema())):
        pass


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("quarantine", [False, True])
def test_a_partial_that_came_after_the_run_was_over_is_swept_by_the_next_call(
    tmp_path: Path, *, quarantine: bool
) -> None:
    """A claimant slept through the whole run before it made its file, and died."""
    store = MemoryStore()
    list(pipeline(tmp_path, store, quarantine=quarantine))
    finished = (tmp_path / "out.csv").rename(tmp_path / "elsewhere")
    late_claimant(pipeline(tmp_path, store, quarantine=quarantine), epoch=1)
    finished.rename(tmp_path / "out.csv")
    assert 1 < len(names(tmp_path))
    assert "completed" == list(pipeline(tmp_path, store, quarantine=quarantine))[-1].status
    assert ["out.csv"] == names(tmp_path)


def test_a_published_file_is_not_cut_back_by_an_older_record(tmp_path: Path) -> None:
    """The runner died between link() and unlink(), and the store came back from a backup: the file is published."""
    store = MemoryStore()
    steps = iter(pipeline(tmp_path, store))
    next(steps)
    backup = store.load("m")
    assert backup is not None
    partial = next(path for path in tmp_path.iterdir())
    (tmp_path / "other name").hardlink_to(partial)
    list(steps)
    (tmp_path / "other name").rename(partial)
    now = store.load("m")
    assert now is not None
    store.swap("m", now.version, replace(backup, owner=None))
    assert ["completed"] == [step.status for step in pipeline(tmp_path, store)]  # nothing is written again
    assert ROWS == (tmp_path / "out.csv").read_text()
    assert ["out.csv"] == names(tmp_path)


@pytest.mark.parametrize("terminate", [False, True])
def test_a_partial_of_a_lost_store_is_swept_though_the_clock_was_ahead_then(tmp_path: Path, *, terminate: bool) -> None:
    """Its claim is newer than this clock can make: mine is made newer still."""
    late_claimant(pipeline(tmp_path, MemoryStore()), epoch=int((time.time() + 3600) * 1000))
    store = MemoryStore()
    if terminate:
        with pytest.raises((UnknownRun, Terminated)):
            list(session(pipeline(tmp_path, store).plan, terminate=True))
        assert [] == names(tmp_path)
    else:
        assert 6 == list(pipeline(tmp_path, store))[-1].rows
        assert ["out.csv"] == names(tmp_path)
        assert isinstance(store.load("m"), Record)

"""The stages of a run: every legal transition is made by some real run, and every other one is refused."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest

import resumable
from resumable.checkpoint import Checkpoint, ClaimId
from resumable.control.liveness import this_process
from resumable.errors import TargetExists
from resumable.protocols import Claimant
from resumable.run import submit
from resumable.sinks import CsvSink
from resumable.stages import DECIDED, FINISHED, TRANSITIONS, Stage
from resumable.stores import MemoryStore
from resumable.testing.rows import ROWS, Rows

STAGES: tuple[Stage, ...] = get_args(Stage)
FIELDS: dict[Stage, dict[str, Any]] = {
    "new": {},
    "loading": {"number": 3},
    "loaded": {"number": 3, "complete": True},
    "published": {"number": 3, "complete": True, "outcome": "completed"},
    "rolling back": {"number": 3, "outcome": "terminated"},
    "completed": {"number": 3, "complete": True, "outcome": "completed", "finished": True},
    "terminated": {"number": 3, "outcome": "terminated", "finished": True},
}
"""A checkpoint of each stage."""
LEGAL = {(before, after) for before, following in TRANSITIONS.items() for after in following}


@pytest.mark.parametrize("stage", STAGES)
def test_a_checkpoint_tells_its_stage(stage: Stage) -> None:
    """The table has them all, and the words about a stage agree with it."""
    checkpoint = Checkpoint(**FIELDS[stage])
    assert checkpoint.stage == stage
    assert checkpoint.is_begun is (stage != "new")
    assert checkpoint.is_decided is (stage in DECIDED) is (checkpoint.is_published or checkpoint.is_called_off)
    assert checkpoint.is_finished is (stage in FINISHED) is (TRANSITIONS[stage] == set())
    assert stage in TRANSITIONS


ILLEGAL = sorted((before, after) for before in STAGES for after in STAGES if (before, after) not in LEGAL)


@pytest.mark.parametrize(("before", "after"), [pair for pair in ILLEGAL if pair[1] != "new"])
def test_an_illegal_transition_is_refused(before: Stage, after: Stage) -> None:
    """Whatever is asked for; and what follows is never new, since the number grows."""
    last = Checkpoint(**FIELDS[before])
    changes = {"complete": False, "outcome": "", "finished": False} | FIELDS[after]
    changes.pop("number", None)
    with pytest.raises(ValueError, match=f"A run that is {before} can't become {after}"):
        last.next(**changes)


def _completed(folder: Path) -> None:
    resumable.export(Rows(ROWS), "rows", folder / "rows.csv", name="r", store=MemoryStore()).run()


def _terminated(folder: Path) -> None:
    pipeline = resumable.export(Rows(ROWS), "rows", folder / "rows.csv", name="r", store=MemoryStore(), every=0)
    for _ in pipeline:
        break
    pipeline.terminate()


def _terminated_when_loaded(folder: Path) -> None:
    pipeline = resumable.export(Rows(ROWS), "rows", folder / "rows.csv", name="r", store=MemoryStore(), every=0)
    with pytest.raises(TargetExists):
        for _ in pipeline:
            (folder / "rows.csv").write_text("somebody else's")
    pipeline.terminate()


def _terminated_before_it_began(folder: Path) -> None:
    (folder / "rows.csv").write_text("id\n1\n")
    submit(resumable.upload(folder / "rows.csv", f"sqlite:///{folder}/new.db", "rows", store=folder)).terminate()


def _conflicting_rows_are_put_aside(folder: Path) -> None:
    with sqlite3.connect(folder / "shop.db") as db:
        db.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY)")
        db.execute("INSERT INTO rows VALUES (1)")
    db.close()
    (folder / "rows.csv").write_text("id\n1\n2\n")
    how: dict[str, Any] = {"if_exists": "append", "on_bad_row": "quarantine", "store": folder}
    resumable.upload(folder / "rows.csv", f"sqlite:///{folder}/shop.db", "rows", **how).run()


def _a_store_was_put_back(folder: Path) -> None:
    sink = CsvSink(folder / "rows.csv")
    with sink.open(Claimant("r", ClaimId(1, "a"), this_process()), Checkpoint(schema=ROWS.schema)) as writer:
        writer.accepted()
        before = writer.last
        writer.commit(before.next(complete=True))
        writer.publish(writer.last.next(outcome="completed"))
    with sink.open(Claimant("r", ClaimId(2, "b"), this_process()), before) as writer:
        assert writer.last.is_published


RUNS: list[Callable[[Path], None]] = [
    _completed,
    _terminated,
    _terminated_when_loaded,
    _terminated_before_it_began,
    _conflicting_rows_are_put_aside,
    _a_store_was_put_back,
]


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> set[tuple[Stage, Stage]]:
    """The transitions that are made meanwhile."""
    seen: set[tuple[Stage, Stage]] = set()
    real = Checkpoint._becomes

    def becomes(self: Checkpoint, following: Checkpoint) -> Checkpoint:
        after = real(self, following)
        seen.add((self.stage, after.stage))
        return after

    monkeypatch.setattr(Checkpoint, "_becomes", becomes)
    return seen


def test_every_legal_transition_is_made_by_some_real_run(tmp_path: Path, made: set[tuple[Stage, Stage]]) -> None:
    """And no other: what no run needs isn't in the table."""
    for number, run in enumerate(RUNS):
        folder = tmp_path / str(number)
        folder.mkdir()
        run(folder)
    assert made == LEGAL

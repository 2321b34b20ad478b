"""Legal reorderings: every state that a power cut may leave of our file protocols, and a resume from each.

The library runs over real files, and what it asks of the system is recorded (powercut.py has the model and its source,
reordering.py what must hold in every state). SQLite and PostgreSQL have journals of their own: test_power.py cuts
them, nothing here replays them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder import Disk
from reordering import Store, Trial, World, records, run, run_paused, run_taken_over, run_terminated, some
from resumable.checkpoint import Record
from resumable.stores import FileStore

pytestmark = pytest.mark.usefixtures("unhurried")
WORLDS = [("fail", False), ("replace", False), ("fail", True)]
Tried = Callable[[str], None]


@pytest.mark.parametrize("way", [run, run_paused, run_taken_over, run_terminated])
@pytest.mark.parametrize(("if_exists", "aside"), WORLDS)
def test_a_power_cut_at_any_moment_keeps_what_was_said(
    way: Callable[[World], None], if_exists: str, *, aside: bool, tmp_path: Path, long: bool, tried: Tried
) -> None:
    """Straight through, in two sessions, taken over from a live runner, called off."""
    trial = Trial(tmp_path, way, if_exists, aside)
    assert [] == list(trial.straight())
    tried(str(trial))
    assert trial.total > 40, "inconclusive"


@pytest.mark.parametrize("way", [run, run_terminated])
@pytest.mark.parametrize(("if_exists", "aside"), WORLDS)
def test_a_power_cut_after_a_kill_and_a_resume_keeps_what_was_said(
    way: Callable[[World], None], if_exists: str, *, aside: bool, tmp_path: Path, long: bool, tried: Tried
) -> None:
    """What the process that died left unsynced may still be lost, though the next one has gone on from it."""
    trial = Trial(tmp_path, way, if_exists, aside)
    assert [] == list(
        trial.killed(itertools.count(), None) if long else trial.killed(itertools.count(len(if_exists), 9), 8)
    )
    tried(str(trial))
    assert trial.kills >= 10, "inconclusive"


@pytest.mark.parametrize(("if_exists", "aside"), WORLDS)
def test_a_power_cut_in_the_recovery_from_another_keeps_what_was_said(
    if_exists: str, *, aside: bool, tmp_path: Path, long: bool, tried: Tried
) -> None:
    """The resume after a cut is cut in its turn."""
    trial = Trial(tmp_path, run, if_exists, aside)
    world = trial.world()
    with world.disk.recording():
        run(world)
    cuts = world.disk.states() if long else some(world.disk.states(), 10)
    for state in cuts:
        world.disk.put(state)
        world.disk = Disk(world.root)
        for fact in state.facts:
            world.disk.note(fact)
        with world.disk.recording():
            run(world)
        assert [] == list(trial.look(world, None if long else 8, after=len(state.facts)))
    tried(f"{trial}, after {len(cuts)} cuts")
    assert trial.looked > 5 * len(cuts), "inconclusive"


def test_a_power_cut_in_a_store_leaves_the_old_record_or_the_new(tmp_path: Path, tried: Tried) -> None:
    """Made, replaced, removed, and made again."""
    root = tmp_path / "root"
    root.mkdir()
    disk = Disk(root)
    with disk.recording():
        store = Store(root / "store", disk.note)
        for before, after in itertools.pairwise([0, 1, 2, 0, 3]):
            assert store.swap("m", before, Record(version=after) if after else None)
    states = disk.states()
    for state in states:
        disk.put(state)
        record = FileStore(root / "store").load("m")
        assert (record.to_json() if record else "") in records(state.facts)
    tried(f"reorder: a store: {len(states)} states")
    assert len(states) > 10, "inconclusive"

"""The interleaving model: the library's own session code, two and three sessions at once, stepped by a scheduler.

tests/tools/interleaving.py has the sessions and what may happen to them, tests/tools/schedules.py the walk and its judgement,
tests/tools/worlds.py a database and a file to write to, tests/tools/rules.py the rules that the model must not do without.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from disk import Disk
from interleaving import EVENTS
from rules import RULES, Rule
from schedules import faults, wander
from stillness import still
from worlds import Files, Rows

Tried = Callable[[str], None]

WORLDS: dict[str, Callable[[], Any]] = {"rows": Rows, "file": Files, "replaced file": lambda: Files("replace")}


@pytest.fixture(autouse=True)
def in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A schedule replays to the letter, and `/disk` is a folder in memory."""
    still(monkeypatch)
    Disk.mount(monkeypatch)


@pytest.fixture(params=list(WORLDS))
def world(request: pytest.FixtureRequest) -> str:
    """Where the sessions write."""
    name: str = request.param
    return name


@pytest.mark.parametrize("kinds", ["RR", "RT", "TT"])
def test_two_sessions_end_rightly_from_every_state(kinds: str, world: str, tried: Tried, *, long: bool) -> None:
    """Every schedule of run and run, run and terminate with a preemption (long: two); frozen or killed anywhere; then
    a fresh run, and a fresh terminate, alone."""
    states, wrong = faults(WORLDS[world], kinds, preemptions=2 if long else 1)
    tried(f"interleavings: {states:,} states of {kinds} in {world}")
    assert set() == wrong
    assert states > 5


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("kind", ["R", "T"])
def test_a_session_to_which_something_happens_ends_rightly(event: str, kind: str, world: str, *, long: bool) -> None:
    """Each event at every moment of a run, and of a terminate (long: of two at once, with a preemption)."""
    _, wrong = faults(WORLDS[world], f"R{kind}{event}" if long else f"{kind}{event}", preemptions=int(long))
    assert set() == wrong


@pytest.mark.parametrize("kinds", ["RRT", "RrTlobxng", "RtTlobxng", "RRRbo", "RTTlx"])
def test_sessions_switched_at_random_end_rightly(kinds: str, world: str, tried: Tried, *, long: bool) -> None:
    """Two sessions are not enough (one missing rule passed with two and loaded twice with three), nor is one switch;
    and more than one thing may happen."""
    seed = random.randrange(10**9) if long else 1
    worlds, wrong = wander(WORLDS[world], kinds, random.Random(f"{kinds}{seed}"), times=20_000 if long else 200)
    tried(f"interleavings: {worlds:,} worlds of {kinds} at random (seed {seed}) in {world}")
    assert set() == wrong


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_the_model_sees_a_missing_rule(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """The walk is no decoration: without any one rule of the protocol it finds a fault."""
    rule.skip(monkeypatch)
    _, wrong = faults(rule.make, rule.kinds, rule.preemptions, first=True)
    assert wrong

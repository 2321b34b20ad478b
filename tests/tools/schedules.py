"""All schedules of sessions with so many preemptions, random ones with more, and the judgement of where they lead.

In every state that is reached everything else is frozen, as by SIGSTOP, or killed; then fresh sessions alone must end
rightly and leave no debris. Frozen sessions that wake later are the other schedules.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from interleaving import ENDED, EVENTS, Schedule, Sim

__all__ = ["faults", "wander"]

SWITCH = 0.12
"""How likely another goes on at a step of a random schedule."""


class Judge:
    """Says what is wrong in a state, and after fresh sessions from there; each world is judged once."""

    def __init__(self, make: Callable[[], Any], kinds: str) -> None:
        self.make, self.kinds = make, kinds
        self.found: dict[str, Schedule] = {}
        """What was wrong, and the shortest schedule that leads there."""
        self.known: set[Any] = set()

    def replay(self, schedule: Schedule) -> Sim:
        sim = Sim(self.make, self.kinds)
        for choice in schedule:
            sim.go(choice)
        return sim

    def look(self, sim: Sim, schedule: Schedule, endings: Sequence[str] = ("RR", "TR", "rr", "tr")) -> None:
        """Everything else is frozen (then a fresh session needs takeover), or killed (then it needs none)."""
        happened = "".join(sorted(r[0] for i, r in enumerate(sim.results) if r and self.kinds[i] in EVENTS))
        if not happened and sim.settled() and sim.world.debris():
            self.found.setdefault("debris, though nobody died", schedule)
        key = sim.outside(), happened
        if key in self.known:
            return
        self.known.add(key)
        limits = sim.world.limits(happened)
        self._say(schedule, limits, "", "", sim.world.target(), debris=False)
        for kinds in endings:
            again = self.replay(schedule)
            if kinds.islower():
                again.end()
            for kind in kinds:
                result = again.fresh(kind)
                target, debris = again.world.target(), again.world.debris()
                self._say(schedule, limits, kind, result, target, debris=debris)
                if kind in "Tt" and result == "completed":
                    break  # nothing is left to do
            again.end()

    def _say(self, schedule: Schedule, limits: set[str], kind: str, result: str, target: str, *, debris: bool) -> None:
        good = {
            "": {" before", " after"},
            "r": {"completed after", "Terminated before"},
            "t": {"completed after", "Terminated before", "UnknownRun before"},
        }[kind.lower()]
        told, wrong = f"{result} {target}", ""
        if told not in good | limits:
            wrong = f"{kind}: {told}"
        elif result in ENDED and debris:
            wrong = f"{kind}: {told}, debris"
        if wrong and (wrong not in self.found or len(schedule) < len(self.found[wrong])):
            self.found[wrong] = schedule

    def verdict(self) -> set[str]:
        """What was wrong, and how it came about."""
        return {f"{what}\n  after {self._told(schedule)}" for what, schedule in self.found.items()}

    def _told(self, schedule: Schedule) -> str:
        sim, told = Sim(self.make, self.kinds), []
        for choice in schedule:
            if isinstance(choice, int):
                told.append(f"{choice} {sim.at.get(choice, 'begins')}")
            else:
                told.append(EVENTS[self.kinds[choice[0]]] if choice[0] >= 0 else "the save is done")
            sim.go(choice)
        told += [f"{i} stands at {at}" for i, at in sim.at.items() if not sim.lets[i].dead]
        results = sim.results
        sim.end()
        return " > ".join(told) + f" {results}"


def faults(make: Callable[[], Any], kinds: str, preemptions: int, *, first: bool = False) -> tuple[int, set[str]]:
    """How many states all schedules with so many preemptions reach, and every way in which one was wrong.

    Events may come at any moment, beside the preemptions. `first`: one fault is enough.
    """
    judge = Judge(make, kinds)
    seen: set[Any] = set()
    stack: list[tuple[Schedule, int]] = [((), preemptions)]
    while stack and not (first and judge.found):
        schedule, left = stack.pop()
        sim = judge.replay(schedule)
        while True:
            last = next((c for c in reversed(schedule) if isinstance(c, int)), None)
            if (key := (sim.key(), last, left)) in seen:
                break
            seen.add(key)
            judge.look(sim, schedule)
            choices = sim.choices()
            onward = last if last in choices else None
            for choice in choices:
                cost = isinstance(choice, int) and onward is not None
                if choice != onward and left >= cost:
                    stack.append(((*schedule, choice), left - cost))
            if onward is None:
                break
            sim.go(onward)
            schedule = (*schedule, onward)
        sim.end()
    return len(seen), judge.verdict()


def wander(make: Callable[[], Any], kinds: str, chance: random.Random, times: int) -> tuple[int, set[str]]:
    """Random schedules; how many worlds they ended in, and every way in which one was wrong."""
    judge = Judge(make, kinds)
    for _ in range(times):
        schedule: Schedule = ()
        sim, last = Sim(make, kinds), None
        for _ in range(chance.randrange(40 * len(kinds))):
            if not (choices := sim.choices()):
                break
            if last not in choices or chance.random() < SWITCH:
                last = chance.choice(choices)
            sim.go(last)
            schedule = (*schedule, last)
        judge.look(sim, schedule, [chance.choice(["RR", "TR", "rr", "tr"])])
        sim.end()
    return len(judge.known), judge.verdict()

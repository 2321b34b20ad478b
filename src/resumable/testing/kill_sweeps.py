"""Runs into a sink that are killed, before every call and every effect there is, and what is made of what they leave."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from resumable.testing.checks import conclusive, context, equal
from resumable.testing.crashing import Crashed, Ended
from resumable.testing.scenario import Act, Scenario
from resumable.testing.sink_under_test import SinkUnderTest

__all__ = ["KillSweeps"]


class KillSweeps(SinkUnderTest):
    """Run and terminate, each dying at each of its moments; so does what comes after."""

    def test_a_run_that_dies_at_any_moment_is_finished_by_the_next(self) -> None:
        """Killed before every call and effect, and run again: the same is there as after a run that nobody disturbed."""
        after = self._after
        for scenario, death in self._deaths("run", then="run again"):
            with context(f"The first run {death}"):
                self._ends(scenario, "run", "completed", after, "after it was run again")

    def test_a_run_that_dies_at_any_moment_can_be_called_off(self) -> None:
        """Killed before every call and effect, then terminated: as it was before, to the letter; or all of it is there."""
        before, after = self._before(), self._after
        for scenario, death in self._deaths("run", then="terminated"):
            with context(f"The run {death}"):
                self._called_off(scenario, before, after)

    def test_a_terminate_that_dies_at_any_moment_is_ended_by_the_next(self) -> None:
        """A run dies in its middle, terminate dies before each of its effects, and is called again."""
        before, after = self._before(), self._after
        middle = self._middle()[0]
        for scenario, death in self._deaths("terminate", middle, then="terminated again"):
            with context(f"The run died at its moment {middle}, then terminate {death}"):
                self._called_off(scenario, before, after)

    def test_a_recovery_that_dies_is_recovered_from(self) -> None:
        """A run dies in its middle, before and after its publishing; the next dies too; the third ends it."""
        after = self._after
        for number, middle in enumerate(self._middle()):
            for scenario, death in self._deaths(
                "run", middle, then="run again", first=1 + number, step=3 * self.stride
            ):
                with context(f"The first run died at its moment {middle}, and the second {death}"):
                    self._ends(scenario, "run", "completed", after, "after the third run")

    # ------------------------------------------------------------------------------------------------ in common

    def _middle(self) -> tuple[int, ...]:
        """CrashPoints of a run: in its second commit, the last before publishing, and the first after it."""
        with self._scenario() as scenario:
            outcome = scenario.attempt("run")
        assert isinstance(outcome, Ended)
        passed = list(outcome.crash_points)
        commit = passed.index("Writer.commit", passed.index("Writer.commit") + 1)
        publish = passed.index("Writer.publish")
        return passed.index("the store's swap", commit) + 1, publish, passed.index("the store's swap", publish) + 1

    def _deaths(
        self, act: Act, after_death_at: int = 0, *, then: str, first: int = 1, step: int = 0
    ) -> Iterator[tuple[Scenario, Crashed]]:
        """A new world for every moment of an act, at which it has died; before it a run that died, if so wished."""
        landed = 0
        for at in count(first, step or self.stride):
            with self._scenario() as scenario:
                if act == "restart":
                    equal("completed", scenario.act("run"), "How the run before it ends")
                if after_death_at:
                    earlier = scenario.attempt("run", after_death_at)
                    conclusive(isinstance(earlier, Crashed), "the first run lived to its end")
                outcome = scenario.attempt(act, at)
                if isinstance(outcome, Ended):
                    break
                landed += 1
                yield scenario, outcome
        conclusive(landed, "no kill landed")
        after = " of a completed run" if act == "restart" else ""
        after += f" after a run that died at its moment {after_death_at}" if after_death_at else ""
        self.report(f"{type(self).__name__}: {act}{after} killed at {landed} moments, and {then} after each")

    def _ends(self, scenario: Scenario, act: Act, expected: str, image: object, when: str) -> None:
        outcome = scenario.attempt(act)
        equal(expected, outcome.result if isinstance(outcome, Ended) else str(outcome), f"How it ends {when}")
        equal(image, self.image(scenario.folder), f"What is there {when}")

    def _called_off(self, scenario: Scenario, before: object, after: object) -> None:
        outcome = scenario.attempt("terminate")
        ended = outcome.result if isinstance(outcome, Ended) else str(outcome)
        expected = after if ended == "completed" else before
        equal(expected, self.image(scenario.folder), f"What is there after terminate, which says that it is {ended}")

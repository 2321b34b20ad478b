"""Runs into a sink that are killed, before every call and every effect there is, and what is made of what they leave."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from resumable.testing.checks import conclusive, equal, told
from resumable.testing.crashing import Crashed, Ended
from resumable.testing.subject import SinkUnderTest
from resumable.testing.trial import Act, Trial

__all__ = ["KilledRuns"]


class KilledRuns(SinkUnderTest):
    """Run and terminate, each dying at each of its moments; so does what comes after."""

    def test_a_run_that_dies_at_any_moment_is_finished_by_the_next(self) -> None:
        """Killed before every call and effect, and run again: the same is there as after a run that nobody disturbed."""
        after = self._after
        for trial, death in self._deaths("run", then="run again"):
            with told(f"The first run {death}"):
                self._ends(trial, "run", "completed", after, "after it was run again")

    def test_a_run_that_dies_at_any_moment_can_be_called_off(self) -> None:
        """Killed before every call and effect, then terminated: as it was before, to the letter; or all of it is there."""
        before, after = self._before(), self._after
        for trial, death in self._deaths("run", then="terminated"):
            with told(f"The run {death}"):
                self._called_off(trial, before, after)

    def test_a_terminate_that_dies_at_any_moment_is_ended_by_the_next(self) -> None:
        """A run dies in its middle, terminate dies before each of its effects, and is called again."""
        before, after = self._before(), self._after
        middle = self._middle()[0]
        for trial, death in self._deaths("terminate", middle, then="terminated again"):
            with told(f"The run died at its moment {middle}, then terminate {death}"):
                self._called_off(trial, before, after)

    def test_a_recovery_that_dies_is_recovered_from(self) -> None:
        """A run dies in its middle, before and after its publishing; the next dies too; the third ends it."""
        after = self._after
        for number, middle in enumerate(self._middle()):
            for trial, death in self._deaths("run", middle, then="run again", first=1 + number, step=3 * self.stride):
                with told(f"The first run died at its moment {middle}, and the second {death}"):
                    self._ends(trial, "run", "completed", after, "after the third run")

    # ------------------------------------------------------------------------------------------------ in common

    def _middle(self) -> tuple[int, ...]:
        """Moments of a run: in its second commit, the last before publishing, and the first after it."""
        with self._trial() as trial:
            outcome = trial.attempt("run")
        assert isinstance(outcome, Ended)
        passed = list(outcome.moments)
        commit = passed.index("Writer.commit", passed.index("Writer.commit") + 1)
        publish = passed.index("Writer.publish")
        return passed.index("the store's swap", commit) + 1, publish, passed.index("the store's swap", publish) + 1

    def _deaths(
        self, act: Act, after_death_at: int = 0, *, then: str, first: int = 1, step: int = 0
    ) -> Iterator[tuple[Trial, Crashed]]:
        """A new world for every moment of an act, at which it has died; before it a run that died, if so wished."""
        landed = 0
        for at in count(first, step or self.stride):
            with self._trial() as trial:
                if act == "restart":
                    equal("completed", trial.act("run"), "How the run before it ends")
                if after_death_at:
                    earlier = trial.attempt("run", after_death_at)
                    conclusive(isinstance(earlier, Crashed), "the first run lived to its end")
                outcome = trial.attempt(act, at)
                if isinstance(outcome, Ended):
                    break
                landed += 1
                yield trial, outcome
        conclusive(landed, "no kill landed")
        after = " of a completed run" if act == "restart" else ""
        after += f" after a run that died at its moment {after_death_at}" if after_death_at else ""
        self.tried(f"{type(self).__name__}: {act}{after} killed at {landed} moments, and {then} after each")

    def _ends(self, trial: Trial, act: Act, expected: str, image: object, when: str) -> None:
        outcome = trial.attempt(act)
        equal(expected, outcome.result if isinstance(outcome, Ended) else str(outcome), f"How it ends {when}")
        equal(image, self.image(trial.folder), f"What is there {when}")

    def _called_off(self, trial: Trial, before: object, after: object) -> None:
        outcome = trial.attempt("terminate")
        ended = outcome.result if isinstance(outcome, Ended) else str(outcome)
        expected = after if ended == "completed" else before
        equal(expected, self.image(trial.folder), f"What is there after terminate, which says that it is {ended}")

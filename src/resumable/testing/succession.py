"""A run after a completed one: whatever becomes of it, the completed one is remembered until it is published."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TypeAlias

from resumable.checkpoint import Checkpoint
from resumable.errors import Refused
from resumable.protocols import Writer
from resumable.testing.checks import check, context, equal
from resumable.testing.crashing import Ended
from resumable.testing.kill_sweeps import KillSweeps
from resumable.testing.scenario import Scenario

__all__ = ["SuccessiveRuns"]

Memory: TypeAlias = tuple[int, int, str, bool] | None


class SuccessiveRuns(KillSweeps):
    """A completed run, and then: the same from another store, a restart that dies, one that is undone or called off."""

    def test_a_completed_run_called_from_another_store_changes_nothing(self) -> None:
        """A store that knows nothing: the target says that it is completed, or refuses, or is the same in the end."""
        after = self._after
        with self._scenario() as scenario:
            scenario.act("run")
            for store in ("another", "and another"):
                scenario.act("run", store=store)
                equal(after, self.image(scenario.folder), f"What is there after the same run from {store} store")

    def test_a_restart_that_dies_at_any_moment_can_be_called_off(self) -> None:
        """Then what the completed run published is there, and nobody loads it again, from whatever store."""
        after, twice = self._after, self._after_a_restart
        for scenario, death in self._deaths("restart", then="terminated", step=3 * self.stride):
            with context(f"A completed run's restart {death}"):
                outcome = scenario.attempt("terminate")
                ended = outcome.result if isinstance(outcome, Ended) else str(outcome)
                image = self.image(scenario.folder)
                if ended == "terminated" or image != twice:
                    equal(after, image, f"What is there after terminate, which says that it is {ended}")
                for store in ("", "another"):
                    scenario.act("run", store=store)
                    what = f"What is there after it is called again, {store or 'the same'} store"
                    equal(image, self.image(scenario.folder), what)

    def test_a_run_after_a_completed_one_remembers_it(self) -> None:
        """It is in `previous` from the first checkpoint on, and back in its place when the new run is called off."""
        after = self._after
        for name, act in _ENDS.items():
            with context(f"A run after a completed one was {name}"), self._scenario() as scenario:
                with scenario.open(1) as writer:
                    scenario.finish(writer)
                    completed = writer.last
                equal(after, self.image(scenario.folder), "What is there after the first")
                before = scenario.find_completed(2)
                scenario.follow(before or completed, remembered=before is None)
                self._lead(scenario, act, _memory(before or completed))
                now = scenario.find_completed(8)
                if scenario.last is None or not scenario.last.is_published:
                    equal(after, self.image(scenario.folder), "What is there in the end")
                    equal(_memory(before), _memory(now), "What somebody finds who knows nothing")
                elif before is not None:
                    expected = {"run": "the second"}, None
                    equal(expected, (now and now.definition, now and now.previous), "Definition and `previous`")

    def _lead(self, scenario: Scenario, act: Callable[[Scenario, Writer], None], remembered: Memory) -> None:
        try:
            writer = scenario.open(3)
        except Refused:  # what is there may not be replaced
            return
        with writer:
            equal(remembered, _memory(writer.last.previous), "`previous` of what it answers")
            equal((1, ""), (writer.last.number, writer.last.outcome), "Number and outcome of what it answers")
            act(scenario, writer)

    @cached_property
    def _after_a_restart(self) -> object:
        with self._scenario() as scenario:
            scenario.act("run")
            ended = scenario.act("restart")
            return self.image(scenario.folder) if ended == "completed" else None


def _memory(last: Checkpoint | None) -> Memory:
    return None if last is None else (last.number, last.rows, last.outcome, last.finished)


def _undone(scenario: Scenario, writer: Writer) -> None:
    writer.discard()


def _called_off(scenario: Scenario, writer: Writer) -> None:
    scenario.terminate(writer)
    writer.clean_up()


def _called_off_later(scenario: Scenario, writer: Writer) -> None:
    _going(scenario, writer)
    scenario.terminate(writer)


def _called_off_by_the_next(scenario: Scenario, writer: Writer) -> None:
    _going(scenario, writer)
    writer.__exit__(None, None, None)
    with scenario.open(4) as following:
        check(following.last.previous, "Opened again in its middle it has no `previous`")
        scenario.terminate(following)


def _decided(scenario: Scenario, writer: Writer) -> None:
    _going(scenario, writer)
    assert scenario.last is not None
    scenario.last = writer.commit(scenario.last.next(outcome="terminated"))
    writer.__exit__(None, None, None)
    for epoch in (4, 5):
        with scenario.open(epoch) as following:
            following.clean_up()


def _unsaved(scenario: Scenario, writer: Writer) -> None:
    writer.__exit__(None, None, None)
    with scenario.open(4) as following:
        check(following.last.previous, "Opened again, since the first opening was never saved, it has no `previous`")
        scenario.terminate(following)


def _published(scenario: Scenario, writer: Writer) -> None:
    with suppress(Refused):
        scenario.finish(writer)
        return
    scenario.terminate(writer)


def _going(scenario: Scenario, writer: Writer) -> None:
    scenario.save(writer)
    scenario.step(writer)
    check(scenario.last and scenario.last.previous, "After a commit it has no `previous`")


_ENDS: dict[str, Callable[[Scenario, Writer], None]] = {
    "undone": _undone,
    "called off at once": _called_off,
    "called off in its middle": _called_off_later,
    "called off by the next": _called_off_by_the_next,
    "called off, and cleared by the next": _decided,
    "never saved": _unsaved,
    "published": _published,
}

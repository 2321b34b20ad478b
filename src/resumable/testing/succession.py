"""A run after a completed one: whatever becomes of it, the completed one is remembered until it is published."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TypeAlias

from resumable.checkpoint import Checkpoint
from resumable.errors import Refused
from resumable.protocols import Writer
from resumable.testing.checks import check, equal, told
from resumable.testing.crashing import Ended
from resumable.testing.killed import KilledRuns
from resumable.testing.trial import Trial

__all__ = ["SuccessiveRuns"]

Memory: TypeAlias = tuple[int, int, str, bool] | None


class SuccessiveRuns(KilledRuns):
    """A completed run, and then: the same from another store, a restart that dies, one that is undone or called off."""

    def test_a_completed_run_called_from_another_store_changes_nothing(self) -> None:
        """A store that knows nothing: the target says that it is completed, or refuses, or is the same in the end."""
        after = self._after
        with self._trial() as trial:
            trial.act("run")
            for store in ("another", "and another"):
                trial.act("run", store=store)
                equal(after, self.image(trial.folder), f"What is there after the same run from {store} store")

    def test_a_restart_that_dies_at_any_moment_can_be_called_off(self) -> None:
        """Then what the completed run published is there, and nobody loads it again, from whatever store."""
        after, twice = self._after, self._after_a_restart
        for trial, death in self._deaths("restart", then="terminated", step=3 * self.stride):
            with told(f"A completed run's restart {death}"):
                outcome = trial.attempt("terminate")
                ended = outcome.result if isinstance(outcome, Ended) else str(outcome)
                image = self.image(trial.folder)
                if ended == "terminated" or image != twice:
                    equal(after, image, f"What is there after terminate, which says that it is {ended}")
                for store in ("", "another"):
                    trial.act("run", store=store)
                    what = f"What is there after it is called again, {store or 'the same'} store"
                    equal(image, self.image(trial.folder), what)

    def test_a_run_after_a_completed_one_remembers_it(self) -> None:
        """It is in `previous` from the first checkpoint on, and back in its place when the new run is called off."""
        after = self._after
        for name, act in _ENDS.items():
            with told(f"A run after a completed one was {name}"), self._trial() as trial:
                with trial.open(1) as writer:
                    trial.finish(writer)
                    completed = writer.last
                equal(after, self.image(trial.folder), "What is there after the first")
                known = trial.look(2)
                trial.follow(known or completed, told=known is None)
                self._lead(trial, act, _memory(known or completed))
                found = trial.look(8)
                if trial.last is None or not trial.last.is_published:
                    equal(after, self.image(trial.folder), "What is there in the end")
                    equal(_memory(known), _memory(found), "What somebody finds who knows nothing")
                elif known is not None:
                    expected = {"run": "the second"}, None
                    equal(expected, (found and found.definition, found and found.previous), "Definition and `previous`")

    def _lead(self, trial: Trial, act: Callable[[Trial, Writer], None], remembered: Memory) -> None:
        try:
            writer = trial.open(3)
        except Refused:  # what is there may not be replaced
            return
        with writer:
            equal(remembered, _memory(writer.last.previous), "`previous` of what it answers")
            equal((1, ""), (writer.last.number, writer.last.outcome), "Number and outcome of what it answers")
            act(trial, writer)

    @cached_property
    def _after_a_restart(self) -> object:
        with self._trial() as trial:
            trial.act("run")
            ended = trial.act("restart")
            return self.image(trial.folder) if ended == "completed" else None


def _memory(last: Checkpoint | None) -> Memory:
    return None if last is None else (last.number, last.rows, last.outcome, last.finished)


def _undone(trial: Trial, writer: Writer) -> None:
    writer.discard()


def _called_off(trial: Trial, writer: Writer) -> None:
    trial.terminate(writer)
    writer.clean_up()


def _called_off_later(trial: Trial, writer: Writer) -> None:
    _going(trial, writer)
    trial.terminate(writer)


def _called_off_by_the_next(trial: Trial, writer: Writer) -> None:
    _going(trial, writer)
    writer.__exit__(None, None, None)
    with trial.open(4) as following:
        check(following.last.previous, "Opened again in its middle it has no `previous`")
        trial.terminate(following)


def _decided(trial: Trial, writer: Writer) -> None:
    _going(trial, writer)
    assert trial.last is not None
    trial.last = writer.commit(trial.last.next(outcome="terminated"))
    writer.__exit__(None, None, None)
    for epoch in (4, 5):
        with trial.open(epoch) as following:
            following.clean_up()


def _unsaved(trial: Trial, writer: Writer) -> None:
    writer.__exit__(None, None, None)
    with trial.open(4) as following:
        check(following.last.previous, "Opened again, since the first opening was never saved, it has no `previous`")
        trial.terminate(following)


def _published(trial: Trial, writer: Writer) -> None:
    with suppress(Refused):
        trial.finish(writer)
        return
    trial.terminate(writer)


def _going(trial: Trial, writer: Writer) -> None:
    trial.save(writer)
    trial.step(writer)
    check(trial.last and trial.last.previous, "After a commit it has no `previous`")


_ENDS: dict[str, Callable[[Trial, Writer], None]] = {
    "undone": _undone,
    "called off at once": _called_off,
    "called off in its middle": _called_off_later,
    "called off by the next": _called_off_by_the_next,
    "called off, and cleared by the next": _decided,
    "never saved": _unsaved,
    "published": _published,
}

"""SinkContract: what a sink must do, call by call. When it dies: killed.py; over a completed run: succession.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from resumable.checkpoint import Checkpoint
from resumable.errors import ResumableError, Superseded, TargetChanged
from resumable.protocols import Batch, Writer
from resumable.testing.checks import check, equal, refused, told
from resumable.testing.crashing import Line, Process
from resumable.testing.succession import SuccessiveRuns
from resumable.testing.trial import Trial

__all__ = ["SinkContract"]

FLOOD = 3 * 2**20
"""Bytes that are written and not committed: more than anybody keeps in memory."""


class SinkContract(SuccessiveRuns):
    """Subclass it as `class TestMySink(SinkContract)`, and say how the sink is made and what is at its target."""

    def test_opening_again_finds_the_last_commit(self) -> None:
        """However often it is opened, under newer claims and under the same, it is where the last commit was."""
        with self._goes_on() as trial:
            with trial.open(1) as writer:
                equal((1, 0), (writer.last.number, writer.last.rows), "Number and rows when a run begins")
                trial.save(writer)
                trial.step(writer)
            for epoch in (2, 3, 3):
                with trial.open(epoch) as writer:
                    _at(trial, writer)
                    equal(epoch, writer.last.claim.epoch, "The epoch of the claim in it")
                    trial.save(writer)

    def test_what_was_not_committed_is_cut_back(self) -> None:
        """Megabytes that were written and not committed: left by an error, left by `kill -9`, they are gone."""
        for how in ("left", "killed"):
            with told(f"A writer was {how} with rows that weren't committed"), self._goes_on() as trial:
                with Process(partial(_flood, trial, how)) as process:
                    trial.last = Checkpoint.from_json(process.line.hear()[0], "What the child said")
                    process.kill() if how == "killed" else process.result()
                with trial.open(2) as writer:
                    _at(trial, writer)
                    trial.save(writer)

    def test_publishing_is_found_again(self) -> None:
        """Published, and died before it could say so: the next opening knows it, or does it again to the same end."""
        with self._goes_on() as trial:
            with trial.open(1) as writer:
                trial.save(writer)
                trial.complete(writer)
                writer.publish(_next(trial, outcome="completed"))
            for epoch in (2, 3):
                with trial.open(epoch) as writer:
                    trial.finish(writer)
                    writer.clean_up()
                    check(writer.is_published(), "What was published is there, and `is_published` says that it isn't")

    def test_an_older_claim_changes_nothing(self) -> None:
        """A writer that was taken over: commit and publish are `Superseded`, and nothing that it does has any effect."""
        acts: dict[str, Callable[[Writer, Checkpoint, Batch], object]] = {
            "commit": lambda writer, last, batch: (writer.write(batch), writer.commit(last.next(rows=last.rows + 2))),
            "publish": lambda writer, last, batch: writer.publish(last.next(outcome="completed")),
            "write": lambda writer, last, batch: writer.write(batch),
            "terminate": lambda writer, last, batch: writer.commit(last.next(outcome="terminated")),
            "clean_up": lambda writer, last, batch: writer.clean_up(),
            "discard": lambda writer, last, batch: writer.discard(),
        }
        for name, act in acts.items():
            with told(f"{name} under an older claim"), self._goes_on() as trial, trial.open(1) as older:
                trial.save(older)
                trial.step(older)
                batch = trial.batches()[0]
                if name == "publish":
                    trial.complete(older)
                do = partial(act, older, _next(trial, number=0), batch)
                with trial.open(2, takeover=True) as newer:
                    trial.save(newer)
                    there = self.image(trial.folder)
                    if name in ("commit", "publish"):
                        refused(Superseded, do, "It")
                    else:
                        with suppress(Superseded):
                            do()
                    older.__exit__(None, None, None)
                    refused(Superseded, partial(trial.open, 1), "Opening under it")
                    equal(there, self.image(trial.folder), "What is there")
                    trial.finish(newer)

    def test_a_number_out_of_turn_is_refused(self) -> None:
        """A commit that leaves a number out, or comes twice, fails, and what was committed before stays."""
        for number, what in ((2, "leaves a number out"), (0, "comes twice")):
            with told(f"A commit that {what}"), self._goes_on() as trial:
                with trial.open(1) as writer:
                    trial.save(writer)
                    trial.step(writer)
                    writer.write(trial.batches()[0])
                    refused(ResumableError, partial(writer.commit, _next(trial, number=number)), "It")
                with trial.open(2) as writer:
                    _at(trial, writer)

    def test_a_decided_run_makes_nothing(self) -> None:
        """Opened with an outcome where nothing is, to clear up: nothing comes about, however often."""
        with self._trial() as trial:
            before = self.image(trial.folder)
            for number in (0, 5):
                trial.last = Checkpoint(number=number, outcome="terminated", schema=self.rows.schema)
                with told(f"Opened with number {number} and an outcome"), trial.open(1) as writer:
                    equal(before, self.image(trial.folder), "What is there")
                    writer.clean_up()
                    writer.clean_up()
                    equal(before, self.image(trial.folder), "What is there after it was cleared")

    def test_what_a_refused_opening_made_is_undone(self) -> None:
        """`discard` takes back what this very opening made: a new run leaves nothing, an old one loses nothing."""
        with self._goes_on() as trial:
            before = self.image(trial.folder)
            with trial.open(1) as writer:
                writer.discard()
            equal(before, self.image(trial.folder), "What is there after a run's first opening was undone")
            with trial.open(2) as writer:
                trial.save(writer)
                trial.step(writer)
            with trial.open(3) as writer:
                writer.discard()  # the store has what was saved before, and nothing of this opening
            with trial.open(4) as writer:
                _at(trial, writer)

    def test_what_was_committed_and_is_lost_is_no_new_beginning(self) -> None:
        """What the store knows to be committed isn't there: TargetChanged, at the opening or at the latest at publishing."""
        before = self._before()
        for complete in (False, True):
            with told("With all of it written" if complete else "In its middle"), self._trial() as trial:
                with trial.open(1) as writer:
                    trial.save(writer)
                    trial.complete(writer) if complete else trial.step(writer)
                known = trial.last
                self.lose(trial.folder)
                for epoch in (2, 3):
                    trial.last = known
                    refused(TargetChanged, partial(_go_on, trial, epoch), "Going on over a target that has lost it")
                trial.last = known
                with _to_undo(trial, 4) as writer:
                    trial.terminate(writer)
                equal(before, self.image(trial.folder), "What is there after it was called off")

    def test_its_state_is_json(self) -> None:
        """Every checkpoint that it gives comes back from JSON as it was: no tuples, no numbers as keys, no NaN."""
        with self._goes_on() as trial, trial.open(1) as writer:
            check(self.sink(trial.folder).describe(), "`describe` says nothing")
            trial.save(writer)
            while trial.last and trial.batches():
                read = Checkpoint.from_json(trial.last.to_json(), "The checkpoint")
                equal(trial.last, read, "A checkpoint, written and read")
                trial.step(writer)

    def test_a_run_without_rows_completes(self) -> None:
        """No rows is an outcome too, and stays it when the run is called again."""
        with self._trial(self.rows.slice(0, 0)) as trial:
            for _ in range(2):
                equal("completed", trial.act("run"), "How a run without rows ends")

    @contextmanager
    def _goes_on(self) -> Iterator[Trial]:
        """Whatever is done to the run, it goes on from there, and ends as if nothing had been."""
        after = self._after
        with self._trial() as trial:
            yield trial
            with trial.open(9) as writer:
                trial.finish(writer)
            equal(after, self.image(trial.folder), "What is there in the end")


def _next(trial: Trial, *, number: int = 1, **changes: Any) -> Checkpoint:
    assert trial.last is not None
    return replace(trial.last, number=trial.last.number + number, **changes)


def _at(trial: Trial, writer: Writer) -> None:
    """The writer is where the last commit was."""
    assert trial.last is not None
    expected, found = trial.last, writer.last
    equal((expected.rows, expected.position), (found.rows, found.position), "Rows and position found again")


def _flood(trial: Trial, how: str, line: Line) -> None:
    """Commit a batch, and write some megabytes more."""
    with trial.open(1) as writer:
        trial.save(writer)
        trial.step(writer)
        assert trial.last is not None
        many = trial.many()
        with suppress(ResumableError):  # it may not take the same rows again and again
            for _ in range(FLOOD // many.rows.nbytes + 1):
                writer.write(many)
        line.say(trial.last.to_json())
        if how == "killed":
            line.hear()


def _go_on(trial: Trial, epoch: int) -> None:
    with trial.open(epoch) as writer:
        trial.finish(writer)


def _to_undo(trial: Trial, epoch: int) -> Writer:
    """Opened to call it off, as a session does."""
    try:
        return trial.open(epoch)
    except TargetChanged:
        assert trial.last is not None
        trial.last = replace(trial.last, outcome="terminated")
        return trial.open(epoch)

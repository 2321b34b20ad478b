"""SinkContract: what a sink must do, call by call. When it dies: kill_sweeps.py; over a completed run: succession.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import Any

from resumable.checkpoint import Checkpoint
from resumable.errors import ResumableError, Superseded, TargetChanged
from resumable.protocols import Batch, Writer
from resumable.testing.checks import check, context, equal, refused
from resumable.testing.crashing import Line, Process
from resumable.testing.scenario import Scenario
from resumable.testing.succession import SuccessiveRuns

__all__ = ["SinkContract"]

FLOOD = 3 * 2**20
"""Bytes that are written and not committed: more than anybody keeps in memory."""


class SinkContract(SuccessiveRuns):
    """Subclass it as `class TestMySink(SinkContract)`, and say how the sink is made and what is at its target."""

    def test_opening_again_finds_the_last_commit(self) -> None:
        """However often it is opened, under newer claims and under the same, it is where the last commit was."""
        with self._goes_on() as scenario:
            with scenario.open(1) as writer:
                equal((1, 0), (writer.last.number, writer.last.rows), "Number and rows when a run begins")
                scenario.save(writer)
                scenario.step(writer)
            for epoch in (2, 3, 3):
                with scenario.open(epoch) as writer:
                    _at(scenario, writer)
                    equal(epoch, writer.last.claim.epoch, "The epoch of the claim in it")
                    scenario.save(writer)

    def test_what_was_not_committed_is_cut_back(self) -> None:
        """Megabytes that were written and not committed: left by an error, left by `kill -9`, they are gone."""
        for how in ("left", "killed"):
            with context(f"A writer was {how} with rows that weren't committed"), self._goes_on() as scenario:
                with Process(partial(_flood, scenario, how)) as process:
                    scenario.last = Checkpoint.from_json(process.line.hear()[0], "What the child said")
                    if how == "killed":
                        process.kill()
                    else:
                        process.result()
                with scenario.open(2) as writer:
                    _at(scenario, writer)
                    scenario.save(writer)

    def test_publishing_is_found_again(self) -> None:
        """Published, and died before it could say so: the next opening knows it, or does it again to the same end."""
        with self._goes_on() as scenario:
            with scenario.open(1) as writer:
                scenario.save(writer)
                scenario.complete(writer)
                writer.publish(_next(scenario, outcome="completed"))
            for epoch in (2, 3):
                with scenario.open(epoch) as writer:
                    scenario.finish(writer)
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
            with context(f"{name} under an older claim"), self._goes_on() as scenario, scenario.open(1) as older:
                scenario.save(older)
                scenario.step(older)
                batch = scenario.batches()[0]
                if name == "publish":
                    scenario.complete(older)
                do = partial(act, older, _next(scenario, number=0), batch)
                with scenario.open(2, takeover=True) as newer:
                    scenario.save(newer)
                    there = self.image(scenario.folder)
                    if name in ("commit", "publish"):
                        refused(Superseded, do, "It")
                    else:
                        with suppress(Superseded):
                            do()
                    older.__exit__(None, None, None)
                    refused(Superseded, partial(scenario.open, 1), "Opening under it")
                    equal(there, self.image(scenario.folder), "What is there")
                    scenario.finish(newer)

    def test_a_number_out_of_turn_is_refused(self) -> None:
        """A commit that leaves a number out, or comes twice, fails, and what was committed before stays."""
        for number, what in ((2, "leaves a number out"), (0, "comes twice")):
            with context(f"A commit that {what}"), self._goes_on() as scenario:
                with scenario.open(1) as writer:
                    scenario.save(writer)
                    scenario.step(writer)
                    writer.write(scenario.batches()[0])
                    refused(ResumableError, partial(writer.commit, _next(scenario, number=number)), "It")
                with scenario.open(2) as writer:
                    _at(scenario, writer)

    def test_a_decided_run_makes_nothing(self) -> None:
        """Opened with an outcome where nothing is, to clear up: nothing comes about, however often."""
        with self._scenario() as scenario:
            before = self.image(scenario.folder)
            for number in (0, 5):
                scenario.last = Checkpoint(number=number, outcome="terminated", schema=self.rows.schema)
                with context(f"Opened with number {number} and an outcome"), scenario.open(1) as writer:
                    equal(before, self.image(scenario.folder), "What is there")
                    writer.clean_up()
                    writer.clean_up()
                    equal(before, self.image(scenario.folder), "What is there after it was cleared")

    def test_what_a_refused_opening_made_is_undone(self) -> None:
        """`discard` takes back what this very opening made: a new run leaves nothing, an old one loses nothing."""
        with self._goes_on() as scenario:
            before = self.image(scenario.folder)
            with scenario.open(1) as writer:
                writer.discard()
            equal(before, self.image(scenario.folder), "What is there after a run's first opening was undone")
            with scenario.open(2) as writer:
                scenario.save(writer)
                scenario.step(writer)
            with scenario.open(3) as writer:
                writer.discard()  # the store has what was saved before, and nothing of this opening
            with scenario.open(4) as writer:
                _at(scenario, writer)

    def test_what_was_committed_and_is_lost_is_no_new_beginning(self) -> None:
        """What the store knows to be committed isn't there: TargetChanged, at the opening or at the latest at publishing."""
        before = self._before()
        for complete in (False, True):
            with context("With all of it written" if complete else "In its middle"), self._scenario() as scenario:
                with scenario.open(1) as writer:
                    scenario.save(writer)
                    if complete:
                        scenario.complete(writer)
                    else:
                        scenario.step(writer)
                known = scenario.last
                self.lose(scenario.folder)
                for epoch in (2, 3):
                    scenario.last = known
                    refused(TargetChanged, partial(_go_on, scenario, epoch), "Going on over a target that has lost it")
                scenario.last = known
                with _to_undo(scenario, 4) as writer:
                    scenario.terminate(writer)
                equal(before, self.image(scenario.folder), "What is there after it was called off")

    def test_its_state_is_json(self) -> None:
        """Every checkpoint that it gives comes back from JSON as it was: no tuples, no numbers as keys, no NaN."""
        with self._goes_on() as scenario, scenario.open(1) as writer:
            check(self.sink(scenario.folder).describe(), "`describe` says nothing")
            scenario.save(writer)
            while scenario.last and scenario.batches():
                read = Checkpoint.from_json(scenario.last.to_json(), "The checkpoint")
                equal(scenario.last, read, "A checkpoint, written and read")
                scenario.step(writer)

    def test_a_run_without_rows_completes(self) -> None:
        """No rows is an outcome too, and stays it when the run is called again."""
        with self._scenario(self.rows.slice(0, 0)) as scenario:
            for _ in range(2):
                equal("completed", scenario.act("run"), "How a run without rows ends")

    @contextmanager
    def _goes_on(self) -> Iterator[Scenario]:
        """Whatever is done to the run, it goes on from there, and ends as if nothing had been."""
        after = self._after
        with self._scenario() as scenario:
            yield scenario
            with scenario.open(9) as writer:
                scenario.finish(writer)
            equal(after, self.image(scenario.folder), "What is there in the end")


def _next(scenario: Scenario, *, number: int = 1, **changes: Any) -> Checkpoint:
    assert scenario.last is not None
    return replace(scenario.last, number=scenario.last.number + number, **changes)


def _at(scenario: Scenario, writer: Writer) -> None:
    """The writer is where the last commit was."""
    assert scenario.last is not None
    expected, actual = scenario.last, writer.last
    equal((expected.rows, expected.position), (actual.rows, actual.position), "Rows and position found again")


def _flood(scenario: Scenario, how: str, line: Line) -> None:
    """Commit a batch, and write some megabytes more."""
    with scenario.open(1) as writer:
        scenario.save(writer)
        scenario.step(writer)
        assert scenario.last is not None
        batch = scenario.large_batch()
        with suppress(ResumableError):  # it may not take the same rows again and again
            for _ in range(FLOOD // batch.rows.nbytes + 1):
                writer.write(batch)
        line.say(scenario.last.to_json())
        if how == "killed":
            line.hear()


def _go_on(scenario: Scenario, epoch: int) -> None:
    with scenario.open(epoch) as writer:
        scenario.finish(writer)


def _to_undo(scenario: Scenario, epoch: int) -> Writer:
    """Opened to call it off, as a session does."""
    try:
        return scenario.open(epoch)
    except TargetChanged:
        assert scenario.last is not None
        scenario.last = replace(scenario.last, outcome="terminated")
        return scenario.open(epoch)

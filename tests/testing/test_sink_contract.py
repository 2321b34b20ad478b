"""The sink contract sees what is broken: sinks with one fault each, and the check that names it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import owned
from resumable.checkpoint import Checkpoint, ClaimId
from resumable.errors import TargetChanged
from resumable.files.partial import PartialFile
from resumable.files.posix import lock
from resumable.protocols import Batch
from resumable.sinks import CsvSink
from resumable.testing import SinkContract

Writer: Any = owned.sink.EventWriter


class IgnoresTheClaim(Writer):
    """Whoever has the run: it goes on."""

    def mine(self) -> int:
        return self.sql("select number from events_ledger where run = :run").scalar() or 0


class Fenceless(Writer):
    """Doesn't say in the ledger that it has the run."""

    def fence(self, last: Checkpoint) -> None:
        put = self.put
        if last.number:
            self.put = lambda held: setattr(self, "last", held)
        super().fence(last)
        self.put = put


class HidesTheClaim(Writer):
    """Answers with the claim of whoever was there before."""

    def fence(self, last: Checkpoint) -> None:
        super().fence(last)
        if last.number:
            self.last = replace(self.last, claim=last.claim)


class ForgetsTheNumber(Writer):
    """Any number may follow."""

    def follow(self, checkpoint: Checkpoint) -> None:
        super().follow(checkpoint) if not self.mine() else self.put(replace(checkpoint, claim=self.claim.id))


class RowsFirst(Writer):
    """Rows in one transaction, the checkpoint in the next."""

    def write(self, batch: Batch) -> Any:
        super().write(batch)
        with self.transaction():
            self.c.execute(owned.sink.sa.text("insert into events_staging values (:run, :id, :word)"), self.rows)
        self.rows = []
        return ()


class CheckpointFirst(Writer):
    """The checkpoint in one transaction, the rows in the next."""

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        rows, self.rows = self.rows, []
        done = super().commit(checkpoint)
        if rows:
            with self.transaction():
                self.c.execute(owned.sink.sa.text("insert into events_staging values (:run, :id, :word)"), rows)
        return done


class PublishesTwice(Writer):
    """Doesn't decide in the transaction that publishes."""

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        with self.transaction():
            self.sql("insert into events select id, word from events_staging where run = :run")
        with self.transaction():
            self.follow(checkpoint)
        return self.last


class PublishesUnlocked(Writer):
    """Publishes whoever has the run."""

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        with self.transaction():
            self.sql("insert into events select id, word from events_staging where run = :run")
            self.put(checkpoint)
        return self.last


class InPlainView(Writer):
    """Loads into the table itself, and forgets that terminate has to take that back."""

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        done = super().commit(checkpoint)
        with self.transaction():
            self.sql("insert into events select id, word from events_staging where run = :run")
            self.sql("delete from events_staging where run = :run")
        return done


class LeavesStaging(Writer):
    """Clears the ledger only."""

    def clean_up(self) -> None:
        with self.transaction():
            if self.mine() and self.last.outcome != "completed":
                self.sql("delete from events_ledger where run = :run")


class LeavesTheLedger(Writer):
    """Clears staging only."""

    def clean_up(self) -> None:
        with self.transaction():
            self.sql("delete from events_staging where run = :run")


class BeginsAnew(Writer):
    """Takes a run in its middle for a new one."""

    def fence(self, last: Checkpoint) -> None:
        self.begin(Checkpoint(source=last.source, schema=last.schema)) if not last.outcome else super().fence(last)


class BelievesTheStore(Writer):
    """Goes on from what the store says, not from what the ledger says."""

    def fence(self, last: Checkpoint) -> None:
        super().fence(last)
        if last.number and not self.last.outcome:
            self.put(replace(last, claim=self.claim.id))


class MakesOnAnOutcome(Writer):
    """Begins a run that is decided."""

    def fence(self, last: Checkpoint) -> None:
        self.begin(last) if last.outcome else super().fence(last)


class UndoesTooMuch(Writer):
    """Takes back what an earlier opening made."""

    def discard(self) -> None:
        with self.transaction():
            self.sql("delete from events_ledger where run = :run")


class UndoesNothing(Writer):
    """Leaves the ledger row that it made."""

    def discard(self) -> None: ...


class NeedsRows(Writer):
    """Can't commit nothing."""

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        if not checkpoint.rows:
            raise ValueError("no rows")
        return super().commit(checkpoint)


class NotJson(Writer):
    """Keeps a tuple."""

    def put(self, last: Checkpoint) -> None:
        super().put(replace(last, sink=("staging", 1)))
        self.last = replace(last, sink=("staging", 1))


class Blind(Writer):
    """Doesn't see what it has published."""

    def is_published(self) -> bool:
        return False


class StartsFromZero(Writer):
    """Takes a run that its ledger has lost for a new one."""

    def fence(self, last: Checkpoint) -> None:
        first = Checkpoint(source=last.source, schema=last.schema)
        held = self.sql("select 1 from events_ledger where run = :run").scalar()
        super().fence(last if held or last.outcome else first)


class GoesOnWithout(Writer):
    """The same, and goes on from where the store says."""

    def fence(self, last: Checkpoint) -> None:
        held = self.sql("select 1 from events_ledger where run = :run").scalar()
        super().fence(last) if held or last.outcome or not last.number else self.begin(last)


class ForgetsTheCompleted(Writer):
    """A new run takes the place of the completed one in the ledger, and that is all."""

    def begin(self, last: Checkpoint) -> None:
        super().begin(replace(last, previous=None))


class ForgetsItOnTheWay(Writer):
    """Keeps it until the first commit."""

    def follow(self, checkpoint: Checkpoint) -> None:
        super().follow(replace(checkpoint, previous=None))


class DeletesItsRow(Writer):
    """Terminate and undo leave no row, whatever was there."""

    def put_back(self) -> None:
        self.sql("delete from events_ledger where run = :run")


class UndoesToNothing(Writer):
    """Undo leaves no row, whatever was there."""

    def discard(self) -> None:
        with self.transaction():
            if self.made and self.mine() == 1:
                self.sql("delete from events_ledger where run = :run")


class BeginsOverACompleted(Writer):
    """Whoever doesn't know that the run is completed loads it again."""

    def fence(self, last: Checkpoint) -> None:
        super().fence(replace(last, claim=ClaimId(2**60, "z")) if not last.number else last)


FAULTS: list[tuple[type[Any], str, str]] = [
    (StartsFromZero, "what_was_committed_and_is_lost_is_no_new_beginning", "In its middle: .* should raise TargetChanged"),
    (GoesOnWithout, "what_was_committed_and_is_lost_is_no_new_beginning", "In its middle: .* should raise TargetChanged"),
    (ForgetsTheCompleted, "a_run_after_a_completed_one_remembers_it", "was undone: `previous` of what it answers"),
    (ForgetsTheCompleted, "a_restart_that_dies_at_any_moment_can_be_called_off", r"A completed run's restart died at moment \d+: after COMMIT"),
    (ForgetsItOnTheWay, "a_run_after_a_completed_one_remembers_it", "called off at once: What is there in the end"),
    (DeletesItsRow, "a_run_after_a_completed_one_remembers_it", "was undone: What (is there|somebody finds)"),
    (DeletesItsRow, "a_restart_that_dies_at_any_moment_can_be_called_off", "A completed run's restart died at moment"),
    (UndoesToNothing, "a_run_after_a_completed_one_remembers_it", "was undone: What (is there|somebody finds)"),
    (BeginsOverACompleted, "a_completed_run_called_from_another_store_changes_nothing", "after the same run from another store"),
    (IgnoresTheClaim, "an_older_claim_changes_nothing", "commit under an older claim: It: should raise Superseded"),
    (PublishesUnlocked, "an_older_claim_changes_nothing", "publish under an older claim"),
    (Fenceless, "an_older_claim_changes_nothing", "commit under an older claim"),
    (HidesTheClaim, "opening_again_finds_the_last_commit", "The epoch of the claim"),
    (ForgetsTheNumber, "a_number_out_of_turn_is_refused", "A commit that leaves a number out"),
    (RowsFirst, "a_run_that_dies_at_any_moment_is_finished_by_the_next", r"died at moment \d+: after COMMIT"),
    (RowsFirst, "what_was_not_committed_is_cut_back", "in the end"),
    (CheckpointFirst, "a_run_that_dies_at_any_moment_is_finished_by_the_next", "after it was run again"),
    (PublishesTwice, "a_run_that_dies_at_any_moment_is_finished_by_the_next", "after it was run again"),
    (InPlainView, "a_run_that_dies_at_any_moment_can_be_called_off", "after terminate, which says that it is terminated"),
    (LeavesStaging, "a_run_that_dies_at_any_moment_can_be_called_off", "after terminate"),
    (LeavesTheLedger, "a_terminate_that_dies_at_any_moment_is_ended_by_the_next", "then terminate died at moment"),
    (BeginsAnew, "opening_again_finds_the_last_commit", "Rows and position"),
    (BelievesTheStore, "a_recovery_that_dies_is_recovered_from", "after the third run"),
    (MakesOnAnOutcome, "a_decided_run_makes_nothing", "Opened with number 0 and an outcome"),
    (UndoesTooMuch, "what_a_refused_opening_made_is_undone", "ledger has lost the run"),
    (UndoesNothing, "what_a_refused_opening_made_is_undone", "after a run's first opening was undone"),
    (NeedsRows, "a_run_without_rows_completes", "no rows"),
    (NotJson, "its_state_is_json", "A checkpoint, written and read"),
    (Blind, "publishing_is_found_again", "when a completed run is called again"),
]  # fmt: skip


def fails(contract: SinkContract, check: str, words: str) -> None:
    """The check fails, in words that say what was seen."""
    with pytest.raises(Exception, match=rf"(?s){words}"):
        getattr(contract, f"test_{check}")()


@pytest.mark.parametrize(
    ("writer", "check", "words"), FAULTS, ids=[f"{fault.__name__}: {check}" for fault, check, _ in FAULTS]
)
def test_a_broken_sink_is_caught(writer: Any, check: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The check fails that is called after the fault, in words that say what was seen."""
    monkeypatch.setattr(owned.sink, "EventWriter", writer)
    fails(owned.sink_test(), check, words)


class Copies(owned.file_sink.LinesWriter):  # type: ignore[misc,name-defined]
    """Takes whoever had the file for alive: a new inode at each opening."""

    def __init__(self, target: Path, claim: Any, last: Checkpoint) -> None:
        super().__init__(target, replace(claim, takeover=True), last)

    def lock(self) -> bool:
        return False


class UndoesTheOld(Copies):
    """Takes back what was there before it as well."""

    def discard(self) -> None:
        self.sweep()


class LosesAll(Copies):
    """Begins anew where the partial file is gone."""

    def take(self) -> None:
        try:
            super().take()
        except TargetChanged:
            self.create()
            self.last = self.last.next(sink={"inode": owned.file_sink.inode(self.path), "length": 0})


def test_a_new_inode_at_each_opening_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was saved before is found again after an opening that was undone."""
    monkeypatch.setattr(owned.file_sink, "LinesWriter", Copies)
    owned.file_sink_test().test_what_a_refused_opening_made_is_undone()


def test_what_undo_or_a_loss_leaves_of_a_file_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The committed part is gone after an undo; a lost file is begun anew."""
    monkeypatch.setattr(owned.file_sink, "LinesWriter", UndoesTheOld)
    fails(owned.file_sink_test(), "what_a_refused_opening_made_is_undone", "is gone")
    monkeypatch.setattr(owned.file_sink, "LinesWriter", LosesAll)
    fails(owned.file_sink_test(), "what_was_committed_and_is_lost_is_no_new_beginning", "should raise TargetChanged")


def keeps_the_rest(self: PartialFile, length: int) -> bool:
    """Recovery that doesn't cut."""
    self.length = (self.folder / self._path).stat().st_size
    return False


def copies(self: PartialFile, if_exists: str) -> None:
    """Publishing that isn't one step."""
    shutil.copyfile(self._path, self.target)


def keeps_its_name(self: PartialFile, found: Any, takeover: bool) -> bool:
    """Taking over without renaming: an older claim still finds its file."""
    self._fd = os.open(found.path, os.O_RDWR)
    self._locked, self.inode, self._path = lock(self._fd) or True, found.inode, found.path
    return True


FILE_FAULTS: list[tuple[str, Any, str, str]] = [
    ("truncate", keeps_the_rest, "what_was_not_committed_is_cut_back", "in the end"),
    ("publish", copies, "a_run_that_dies_at_any_moment_can_be_called_off", "after open of t.csv for writing"),
    ("_rename", keeps_its_name, "an_older_claim_changes_nothing", "under an older claim"),
]


@pytest.mark.parametrize(("method", "fault", "check", "words"), FILE_FAULTS, ids=[f[1].__name__ for f in FILE_FAULTS])
def test_a_broken_file_sink_is_caught(
    method: str, fault: Callable[..., Any], check: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same of a sink whose commit is the store's save."""

    class Contract(SinkContract):
        def sink(self, folder: Path) -> CsvSink:
            return CsvSink(folder / "t.csv")

        def image(self, folder: Path) -> object:
            return {path.name: path.read_bytes() for path in folder.iterdir()}

    monkeypatch.setattr(PartialFile, method, fault)
    fails(Contract(), check, words)

"""Opening the sink in a session: the first time, and again after a lost connection.

Laws kept here:

* Opening is the only recovery. It may be interrupted and repeated anywhere, under the same claim too.
* The store learns what the target holds before the first write; a refused save undoes what this opening made.
* What the target holds at a first opening decides whether a new run begins. A later one only goes on: a run that has
  been published since is this session's own, and must not be taken for an earlier one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from resumable.checkpoint import Checkpoint, location
from resumable.control.claims import Claim
from resumable.errors import ConnectionLost, ResumableError, Superseded, TargetChanged, UnknownRun
from resumable.protocols import Claimant, Writer
from resumable.session.plan import Plan

__all__ = ["Opening"]

MAX_RAISES = 8
"""How often a claim is made newer than one in the target: a sink that refuses every claim must not keep us for ever."""


@dataclass(slots=True)
class Opening:
    """`initial` is a new run's beginning, if one was looked at already. The acts are those of `session`."""

    plan: Plan
    initial: Checkpoint | None
    takeover: bool = False
    restart: bool = False
    terminate: bool = False
    again: bool = False
    """Whether this session has opened the sink before."""
    lost: bool = False
    """Whether a connection that was there has broken."""
    called_off: bool = False
    """Whether a session before this one has terminated the run, and died before it could say so."""

    def open(self, claim: Claim) -> Writer:
        """The open sink. A newer claim in it that my store doesn't know is no reason to stop: a clock has gone back."""
        for _ in range(MAX_RAISES):
            try:
                return self._open(claim)
            except Superseded as error:
                if not error.epoch:
                    raise
                claim.raise_epoch(error.epoch)  # refused if my store knows a newer claim as well
        return self._open(claim)

    def save(self, claim: Claim, writer: Writer) -> Checkpoint:
        """The claim has outlived the opening; otherwise what the opening made goes again."""
        in_target = writer.last
        previous = None if in_target.is_published else in_target.previous
        last = replace(in_target, stopped_as="", error="", previous=previous)
        self.called_off = (self.terminate or claim.last.is_called_off) and claim.last.was_put_back(in_target)
        try:
            claim.save(last)
        except Superseded:
            writer.discard()
            raise
        writer.accepted()
        self.again = True
        return last

    def may_retry(self, error: ResumableError) -> bool:
        """Whether to open again after it. What can't be reached at the very first try is refused, not waited for."""
        self.lost = self.lost or isinstance(error, ConnectionLost)
        return error.transient and (self.again or self.lost)

    def _open(self, claim: Claim) -> Writer:
        """The sink at the last checkpoint; or at a new run, where the last one is over and done with."""
        plan, last, restart = self.plan, claim.last, self.restart and not self.again
        claimant = Claimant(
            plan.name, claim.id, claim.owner, claim.earlier, self.takeover, location(plan.store), restart
        )
        if self.terminate:
            return self._open_to_undo(claimant, last)
        if not last.is_decided:
            plan.with_current_options(last)  # here already: with other options the sink would look for what isn't there
        if last.stage in ("new", "terminated") or (restart and last.stage == "completed"):
            last = self._first(last)
        writer = plan.sink.open(claimant, last)
        in_target = writer.last
        only_to_finish = last.is_called_off and last.was_put_back(
            in_target
        )  # the store doesn't know yet that it is over
        if self.again or only_to_finish or in_target.stage != "completed":
            return writer
        try:
            begins = restart or plan.stale(in_target) or not writer.is_published()
            first = self._first(in_target) if begins else None
            if first is None:
                plan.check_same_rows(in_target)
        except BaseException:
            writer.__exit__(None, None, None)
            raise
        if first is None:
            return writer
        writer.__exit__(None, None, None)
        return plan.sink.open(claimant, first)

    def _first(self, before: Checkpoint) -> Checkpoint:
        """A new run's beginning after the run `before`; the claim in it says that this one was known."""
        return replace((self.initial or self.plan.initial_checkpoint()).follow(before), claim=before.claim)

    def _open_to_undo(self, claimant: Claimant, last: Checkpoint) -> Writer:
        """The sink, to call the run off: nothing is made in it."""
        nothing = replace(last, outcome=last.outcome or "terminated")
        try:
            writer = self.plan.sink.open(claimant, nothing if last.stage == "new" else last)
        except TargetChanged:  # what was there is gone: only sweeping is left
            writer = self.plan.sink.open(claimant, nothing)
        if not writer.last.is_begun:
            with writer:
                writer.clean_up()  # a crash may have left what was made before the first checkpoint
            raise UnknownRun(
                f"No run {self.plan.name!r} is known to the store or to the target.",
                safe="Nothing was changed.",
                do="`resumable list` shows the runs that the store knows.",
            )
        return writer

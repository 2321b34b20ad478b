"""One session of a run: claim, open, and then read, write, commit, save, yield; at the end decide, save, sweep.

Laws kept here:

* Opening the sink fences older claims off and recovers; the store learns what was found before the first write.
* Commit in the sink, then save in the store; yield only after both, with no transaction open.
* The outcome is decided in the sink, saved, and only then is anything swept.
* A loop ends by itself only when everything is published and swept.

The order of the steps was found by model checking (docs/design.md); tests/test_model.py walks it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import replace

from resumable import control
from resumable.ahead import ahead
from resumable.checkpoint import Checkpoint, Session
from resumable.control import Asked, Claim
from resumable.database import redact
from resumable.errors import Paused, ResumableError, Superseded, TargetChanged, Terminated, UnknownRun
from resumable.plan import Plan
from resumable.progress import Progress
from resumable.protocols import Batch, Claimant, Reject, Writer

__all__ = ["session"]

SESSIONS = 100
"""Sessions that a checkpoint lists; older ones are added up into the first."""

_abandoned: list[object] = []  # what a forked child must neither use nor close


def session(
    plan: Plan, *, takeover: bool = False, restart: bool = False, terminate: bool = False
) -> Generator[Progress, None, None]:
    """Run one session; the three acts are those of `Pipeline.run`, `restart` and `terminate`."""
    plan.asked = ""  # before all else: a signal that comes while the run is opened counts
    record = plan.store.load(plan.name)
    unbegun = record is None or not record.checkpoint.number or record.checkpoint.over
    begun = (
        plan.begin() if (unbegun or restart) and not terminate else None
    )  # refuses before anything is made or undone
    if restart:
        with contextlib.suppress(Terminated, UnknownRun):
            for _ in session(plan, takeover=takeover, terminate=True):
                pass
    with contextlib.ExitStack() as stack:
        claim = stack.enter_context(control.claim(plan.store, plan.name, takeover=takeover))
        pid = os.getpid()
        try:
            writer = stack.enter_context(_behind_fence(plan, claim, begun, takeover, restart, terminate))
            last = _first_save(claim, writer)
            settled = last.over
            if not settled:
                asked: Asked = "terminate" if terminate else claim.asked
                if not (last.outcome or asked):
                    last = plan.check(last)
                    last, asked = yield from _transfer(plan, claim, writer, last)
                if not last.outcome:
                    last = _decide(plan, writer, last, asked)
                    claim.save(last)
                writer.clear()
                last = replace(last, over=True)
            claim.save(last, leave=True)
        except BaseException as error:
            if os.getpid() != pid:  # a forked child ends: the run is its parent's
                _abandoned.append(stack.pop_all())
            elif (fenced := _farewell(claim, error)) and isinstance(error, ResumableError):
                raise fenced from error  # whatever failed: it did because somebody else has the run
            raise
    if last.outcome == "terminated":
        raise Terminated(
            f"Run {plan.name!r} was terminated.",
            safe="The target is as it was before the run.",
            do="The same call begins anew.",
        )
    yield Progress.of(plan.name, "completed", last, plan.settled(last) if settled else "")


def _transfer(
    plan: Plan, claim: Claim, writer: Writer, last: Checkpoint
) -> Generator[Progress, None, tuple[Checkpoint, Asked]]:
    """Move rows until the input ends or something is asked; a step after each commit."""
    if last.complete:
        return last, ""
    clock, past, asked = _Clock(), last, claim.asked

    def commit(pending: Checkpoint, *, complete: bool = False) -> Checkpoint:
        done = writer.commit(pending.next(sessions=clock.session(past, pending), complete=complete))
        claim.save(done)
        return done

    with ahead(plan.read(last)) as batches:
        pending, due = last, time.monotonic() + plan.every
        for batch in batches:
            if batch is not None:
                pending = _advance(pending, batch, writer.write(batch))
            asked = claim.asked or plan.asked
            if pending is not last and (asked or time.monotonic() >= due):
                last = pending = commit(pending)
                with clock.stopped():
                    yield Progress.of(plan.name, "running", last)
                due = time.monotonic() + plan.every
            if asked:
                return last, asked
        last = commit(pending, complete=True)
        return last, claim.asked or plan.asked


def _decide(plan: Plan, writer: Writer, last: Checkpoint, asked: Asked) -> Checkpoint:
    """Publish, or undo, in the sink's own transaction; or stop here for a while."""
    if asked == "pause":
        raise Paused(
            f"Run {plan.name!r} is paused at {last.rows:,} rows.",
            safe="Everything up to there is safe; the target doesn't show it yet.",
            do="The same call goes on from there.",
        )
    if asked == "terminate":
        return writer.commit(last.next(outcome="terminated"))
    plan.check_source(last)
    return writer.publish(last.next(outcome="completed"))


def _behind_fence(
    plan: Plan, claim: Claim, begun: Checkpoint | None, takeover: bool, restart: bool, terminate: bool
) -> Writer:
    """The open sink. A newer claim in it that my store doesn't know is no reason to stop: a clock has gone back."""
    while True:
        try:
            return _open(plan, claim, begun, takeover, restart, terminate)
        except Superseded as error:
            if not error.epoch:
                raise
            claim.renew(error.epoch)  # refused if my store knows a newer claim as well


def _open(plan: Plan, claim: Claim, begun: Checkpoint | None, takeover: bool, restart: bool, terminate: bool) -> Writer:
    """The sink at the last checkpoint; or at a new run, where the last one is over and done with."""
    where = str(getattr(plan.store, "location", ""))
    claimant = Claimant(plan.name, claim.id, claim.owner, claim.known, takeover, where)
    last = claim.last
    if terminate:
        return _open_to_undo(plan, claimant, last)
    if not last.outcome:
        plan.agreed(last)  # here already: with other options the sink would look for what isn't there
    if not last.number or (last.over and (restart or last.outcome == "terminated")):
        last = replace(begun or plan.begin(), claim=last.claim)
    writer = plan.sink.open(claimant, last)
    held = writer.last
    if not (held.over and held.outcome == "completed"):
        return writer
    try:
        anew = restart or not writer.stands() or plan.stale(held)
        first = replace(begun or plan.begin(), claim=held.claim) if anew else None
    except BaseException:
        writer.__exit__(None, None, None)
        raise
    if first is None:
        return writer
    writer.__exit__(None, None, None)
    return plan.sink.open(claimant, first)


def _open_to_undo(plan: Plan, claimant: Claimant, last: Checkpoint) -> Writer:
    """The sink, made nothing in that isn't there."""
    nothing = replace(last, outcome=last.outcome or "terminated")
    try:
        writer = plan.sink.open(claimant, last if last.number else nothing)
    except TargetChanged:  # what was there is gone: only sweeping is left
        writer = plan.sink.open(claimant, nothing)
    if not writer.last.number:
        with writer:
            writer.clear()  # a crash may have left what was made before the first checkpoint
        raise UnknownRun(
            f"No run {plan.name!r} is known to the store or to the target.",
            safe="Nothing was changed.",
            do="`resumable list` shows the runs that the store knows.",
        )
    return writer


def _first_save(claim: Claim, writer: Writer) -> Checkpoint:
    """The claim has outlived the opening; otherwise what the opening made goes again."""
    last = replace(writer.last, halt="", error="")
    try:
        claim.save(last)
    except Superseded:
        writer.undo()
        raise
    writer.saved()
    return last


def _advance(pending: Checkpoint, batch: Batch, refused: tuple[Reject, ...]) -> Checkpoint:
    return replace(
        pending,
        position=batch.position,
        fraction=batch.fraction,
        rows=pending.rows + batch.rows.num_rows - len(refused),
        rejected=pending.rejected + len(batch.rejects) + len(refused),
    )


def _farewell(claim: Claim, error: BaseException) -> Superseded | None:
    """Tell the store how the session ended, if it can still be told; or the reason why it is not ours to tell."""
    last = claim.last
    try:
        if isinstance(error, Superseded):
            pass
        elif not last.number:
            claim.forget()
        elif last.over:
            claim.leave()
        elif isinstance(error, (Paused, GeneratorExit, KeyboardInterrupt)):
            claim.save(replace(last, halt="paused", error=""), leave=True)
        else:
            claim.save(replace(last, halt="failed", error=redact(str(error) or type(error).__name__)), leave=True)
    except Superseded as fenced:
        return fenced
    except Exception:  # safety doesn't rest on it
        return None
    return None


class _Clock:
    """This session's active seconds: without those that the caller's loop took."""

    def __init__(self) -> None:
        self._started, self._begun, self._away = time.time(), time.monotonic(), 0.0

    def session(self, past: Checkpoint, now: Checkpoint) -> tuple[Session, ...]:
        """All sessions up to now; `past` is the checkpoint at which this one began."""
        seconds = round(time.monotonic() - self._begun - self._away, 3)
        known = past.sessions
        if len(known) >= SESSIONS:
            first, second = known[:2]
            known = (Session(first.started, first.seconds + second.seconds, first.rows + second.rows), *known[2:])
        return (*known, Session(round(self._started, 3), seconds, now.rows - past.rows))

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Leaves out the time within."""
        left = time.monotonic()
        yield
        self._away += time.monotonic() - left

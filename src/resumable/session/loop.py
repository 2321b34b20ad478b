"""One session of a run: claim, open, and then read, write, commit, save, yield; at the end decide, save, sweep.

Laws kept here:

* Opening the sink fences older claims off and recovers; the store learns what the target holds before the first write.
* Commit in the sink, then save in the store; yield only after both, with no transaction open. Rows without a position
  to read on from aren't committed before a row that has one: a step counts them apart, as `pending`.
* The outcome is decided in the sink, saved, and only then is anything swept.
* A loop ends by itself only when everything is published and swept.
* A lost connection ends an attempt, not the session: the sink is opened again, under the same claim. Whether a COMMIT
  without an answer took effect is learned there, behind the fence, before anything is repeated.

The order of the steps was found by model checking (docs/design.md); tests/test_model.py walks it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Literal

from resumable.checkpoint import Checkpoint, Record
from resumable.control.claims import Asked, Claim, claim_run
from resumable.errors import ConnectionLost, ResumableError, Terminated, UnknownRun
from resumable.progress import Progress
from resumable.protocols import Batch, Reject, Writer
from resumable.session.backoff import Backoff
from resumable.session.clock import SessionClock
from resumable.session.exits import record_exit
from resumable.session.forks import ForkSafeStack
from resumable.session.outcome import decide, paused, terminated
from resumable.session.plan import Plan
from resumable.session.prefetch import prefetch
from resumable.session.recovery import Opening

__all__ = ["StopRequest", "session"]

TICK = 0.1
"""Seconds between looks at what is asked, while a connection is waited for."""


@dataclass(slots=True)
class StopRequest:
    """What is asked of a session from within its process, by a signal handler say: heard between two batches."""

    asked: Literal["", "pause"] = ""


def session(
    plan: Plan,
    *,
    takeover: bool = False,
    restart: bool = False,
    terminate: bool = False,
    stop: StopRequest | None = None,
    precondition: Callable[[Record], None] | None = None,
) -> Generator[Progress, None, None]:
    """Run one session; the three acts are those of `Pipeline.run`, `restart` and `terminate`.

    `precondition` is shown the record that the claim is about to go into, and raises to refuse.
    """
    stop = stop or StopRequest()
    record = plan.store.load(plan.name)
    begins = record is None or record.checkpoint.stage == "new" or record.checkpoint.is_finished
    # A new run's beginning is looked at first: it refuses before anything is made or undone.
    initial = plan.initial_checkpoint() if (begins or restart) and not terminate else None
    if restart:
        with contextlib.suppress(Terminated, UnknownRun):
            for _ in session(plan, takeover=takeover, terminate=True, stop=stop, precondition=precondition):
                pass
    opening = Opening(plan, initial, takeover, restart, terminate)
    with ForkSafeStack() as stack:
        claim = stack.enter_context(claim_run(plan.store, plan.name, takeover=takeover, precondition=precondition))
        try:
            last, nothing_to_do = yield from _attempts(plan, claim, opening, stop)
        except BaseException as error:
            superseded = None if stack.forked else record_exit(claim, error)
            if superseded is not None and isinstance(error, ResumableError):
                raise superseded from error  # whatever failed: it did because somebody else has the run
            raise
    if last.stage == "terminated" or opening.called_off:
        raise terminated(plan, last, asked=not terminate)
    message = plan.completed_message(last) if nothing_to_do else plan.note()
    yield Progress.of(plan.name, "completed", last, message)


def _attempts(
    plan: Plan, claim: Claim, opening: Opening, stop: StopRequest
) -> Generator[Progress, None, tuple[Checkpoint, bool]]:
    """One attempt, and another after each lost connection, until one gets through or it has taken too long."""
    clock, backoff = SessionClock(), Backoff(plan.reconnect)
    while True:
        try:
            return (yield from _attempt(plan, claim, opening, stop, clock))
        except ResumableError as error:
            if not plan.reconnect or not opening.may_retry(error):
                raise
            delay = backoff.delay(claim.last.number)
            if delay is None:
                raise ConnectionLost(
                    f"{error.what} Given up after {plan.reconnect:g} seconds.",
                    safe="All that was committed is safe.",
                    do="Run the same again once it is back.",
                ) from error
            message = f"{error.what} Trying again in {delay:.1f} s"
        with clock.stopped():
            yield Progress.of(plan.name, "running", claim.last, message)
            _wait(plan, claim, stop, delay)


def _attempt(
    plan: Plan, claim: Claim, opening: Opening, stop: StopRequest, clock: SessionClock
) -> Generator[Progress, None, tuple[Checkpoint, bool]]:
    """From an opening of the sink to the end: the last checkpoint, and whether there was nothing to do."""
    first = not opening.again
    with ForkSafeStack() as stack:
        writer = stack.enter_context(opening.open(claim))
        last = opening.save(claim, writer)
        finished_before = last.is_finished
        if not finished_before:
            asked: Asked = "terminate" if opening.terminate else claim.asked
            if not (last.is_decided or asked):
                last = plan.check(last)
                last, asked = yield from _transfer(plan, claim, stop, writer, last, clock)
            if not last.is_decided:
                last = decide(plan, claim, writer, last, asked)
                claim.save(last)
            writer.clean_up()
            last = last.finish()
        claim.save(last.remembered(claim.id), release=True)
        return last, finished_before and first


def _transfer(
    plan: Plan, claim: Claim, stop: StopRequest, writer: Writer, last: Checkpoint, clock: SessionClock
) -> Generator[Progress, None, tuple[Checkpoint, Asked]]:
    """Move rows until the input ends or something is asked; a step after each commit."""
    if last.stage == "loaded":
        return last, ""
    asked = claim.asked
    clock.begin(last)

    def commit(pending: Checkpoint, *, complete: bool = False) -> Checkpoint:
        done = writer.commit(pending.next(sessions=clock.sessions(pending), complete=complete))
        claim.save(done)
        return done

    with prefetch(plan.read(last)) as batches:
        pending, due, note = last, time.monotonic() + plan.every, plan.note()
        for batch in batches:
            if batch is not None:
                pending = _advance(pending, batch, writer.write(batch))
            asked = claim.asked or stop.asked
            now = pending is not last and (asked or time.monotonic() >= due)
            if now and pending.position is None:  # no reading on from here: there is nothing to commit yet
                if asked == "pause":
                    raise paused(plan, last, pending.rows - last.rows)
                with clock.stopped():
                    yield _under_way(plan, last, pending)
            elif now:
                last = pending = commit(pending)
                with clock.stopped():
                    yield Progress.of(plan.name, "running", last, note)
                note = ""
            if now:
                due = time.monotonic() + plan.every
            if asked:
                return last, asked
        last = commit(pending, complete=True)
        return last, claim.asked or stop.asked


def _wait(plan: Plan, claim: Claim, stop: StopRequest, seconds: float) -> None:
    """Wait before the next attempt; a request to pause is followed at once, since nothing is open."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if "pause" in (claim.asked, stop.asked):
            raise paused(plan, claim.last)
        time.sleep(min(TICK, left))


def _under_way(plan: Plan, last: Checkpoint, pending: Checkpoint) -> Progress:
    """What is committed; and what isn't, where there is no position yet to commit it with."""
    step = Progress.of(plan.name, "running", replace(last, fraction=pending.fraction))
    return replace(step, pending=pending.rows - last.rows)


def _advance(pending: Checkpoint, batch: Batch, refused: tuple[Reject, ...]) -> Checkpoint:
    return replace(
        pending,
        position=batch.position,
        fraction=batch.fraction,
        rows=pending.rows + batch.rows.num_rows - len(refused),
        rejected=pending.rejected + len(batch.rejects) + len(refused),
    )

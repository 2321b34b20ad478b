"""One session of a run: claim, open, and then read, write, commit, save, yield; at the end decide, save, sweep.

Laws kept here:

* Opening the sink fences older claims off and recovers; the store learns what was found before the first write.
* Commit in the sink, then save in the store; yield only after both, with no transaction open. Rows without a position
  to read on from aren't committed before the next one: a step tells of them apart, as `pending`.
* The outcome is decided in the sink, saved, and only then is anything swept.
* A loop ends by itself only when everything is published and swept.
* A lost connection ends a sitting, not the session: the sink is opened again, under the same claim. Whether a COMMIT
  that wasn't answered has landed is found out there, behind the fence, before anything is repeated.

The order of the steps was found by model checking (docs/design.md); tests/test_model.py walks it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from types import TracebackType
from typing import Literal

from resumable.checkpoint import Checkpoint, Session
from resumable.control.claims import Asked, Claim, claim_run
from resumable.control.status import fenced
from resumable.databases.urls import redact
from resumable.errors import ConnectionLost, Paused, ResumableError, Superseded, Terminated, UnknownRun
from resumable.progress import Progress
from resumable.protocols import Batch, Reject, Writer
from resumable.session.backoff import Backoff
from resumable.session.outcome import decide, paused, terminated
from resumable.session.plan import Plan
from resumable.session.prefetch import ahead
from resumable.session.recovery import Opening

__all__ = ["session"]

SESSIONS = 100
"""Sessions that a checkpoint lists; older ones are added up into the first."""
TICK = 0.1
"""Seconds between looks at what is asked, while a connection is waited for."""

_abandoned: list[object] = []  # what a forked child must neither use nor close


def session(
    plan: Plan, *, takeover: bool = False, restart: bool = False, terminate: bool = False
) -> Generator[Progress, None, None]:
    """Run one session; the three acts are those of `Pipeline.run`, `restart` and `terminate`."""
    record = plan.store.load(plan.name)
    begins = record is None or record.checkpoint.stage == "new" or record.checkpoint.is_finished
    # A new run's beginning is looked at first: it refuses before anything is made or undone.
    begun = plan.begin() if (begins or restart) and not terminate else None
    if restart:
        with contextlib.suppress(Terminated, UnknownRun):
            for _ in session(plan, takeover=takeover, terminate=True):
                pass
    opening = Opening(plan, begun, takeover, restart, terminate)
    with _Ours() as stack:
        claim = stack.enter_context(claim_run(plan.store, plan.name, takeover=takeover, precondition=plan.precondition))
        try:
            last, settled = yield from _sittings(plan, claim, opening)
        except BaseException as error:
            if not stack.forked and (fenced := _record_exit(claim, error)) and isinstance(error, ResumableError):
                raise fenced from error  # whatever failed: it did because somebody else has the run
            raise
    if last.stage == "terminated" or opening.called_off:
        raise terminated(plan, last, asked=not terminate)
    yield Progress.of(plan.name, "completed", last, plan.settled(last) if settled else plan.note())


def _sittings(plan: Plan, claim: Claim, opening: Opening) -> Generator[Progress, None, tuple[Checkpoint, bool]]:
    """One sitting, and another after each lost connection, until one gets through or patience ends."""
    clock, patience = _Clock(), Backoff(plan.reconnect)
    while True:
        try:
            return (yield from _sitting(plan, claim, opening, clock))
        except ResumableError as error:
            if not plan.reconnect or not opening.may_retry(error):
                raise
            pause = patience.pause(claim.last.number)
            if pause is None:
                raise ConnectionLost(
                    f"{error.what} Given up after {plan.reconnect:g} seconds.",
                    safe="All that was committed is safe.",
                    do="Run the same again once it is back.",
                ) from error
            said = f"{error.what} Trying again in {pause:.1f} s"
        with clock.stopped():
            yield Progress.of(plan.name, "running", claim.last, said)
            _wait(plan, claim, pause)


def _sitting(
    plan: Plan, claim: Claim, opening: Opening, clock: _Clock
) -> Generator[Progress, None, tuple[Checkpoint, bool]]:
    """From an opening of the sink to the end: the last checkpoint, and whether there was nothing to do."""
    inside = opening.again
    with _Ours() as stack:
        writer = stack.enter_context(opening.open(claim))
        last = opening.save(claim, writer)
        settled = last.is_finished
        if not settled:
            asked: Asked = "terminate" if opening.terminate else claim.asked
            if not (last.is_decided or asked):
                last = plan.check(last)
                last, asked = yield from _transfer(plan, claim, writer, last, clock)
            if not last.is_decided:
                last = decide(plan, claim, writer, last, asked)
                claim.save(last)
            writer.clean_up()
            last = last.finish()
        claim.save(last.remembered(claim.id), release=True)
        return last, settled and not inside


def _transfer(
    plan: Plan, claim: Claim, writer: Writer, last: Checkpoint, clock: _Clock
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

    with ahead(plan.read(last)) as batches:
        pending, due, note = last, time.monotonic() + plan.every, plan.note()
        for batch in batches:
            if batch is not None:
                pending = _advance(pending, batch, writer.write(batch))
            asked = claim.asked or plan.asked
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
        return last, claim.asked or plan.asked


def _wait(plan: Plan, claim: Claim, seconds: float) -> None:
    """Wait before the next sitting; a pause is honoured at once, since nothing is open."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if "pause" in (claim.asked, plan.asked):
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


def _record_exit(claim: Claim, error: BaseException) -> Superseded | None:
    """Tell the store how the session ended, if it can still be told; or the reason why it is not ours to tell."""
    last = claim.last
    try:
        stored = claim.store.load(claim.name)
        if stored is not None and stored.claim == claim.id:
            last = stored.checkpoint  # an interrupt may have struck when a save was done, and before it was known
        if isinstance(error, Superseded):
            # The store knows more than a target whose ledger row is gone: it may have been ended rightly.
            return fenced(claim.name, stored) if stored is not None and stored.claim != claim.id else None
        if not last.is_begun and not last.definition:
            claim.delete()
        elif last.stage == "new" and isinstance(error, UnknownRun):  # left to a worker, and called off before it began
            claim.save(last.call_off(), release=True)
        elif last.is_finished:
            claim.release()
        elif isinstance(error, (Paused, GeneratorExit, KeyboardInterrupt)):
            claim.save(replace(last, stopped_as="paused", error=""), release=True)
        else:
            failed = replace(last, stopped_as="failed", error=redact(str(error) or type(error).__name__))
            claim.save(failed, release=True, withdraw=not getattr(error, "transient", False))
    except Superseded as newer:
        return newer
    except Exception:  # safety doesn't rest on it
        return None
    return None


class _Ours(contextlib.ExitStack):
    """Closes what it holds, but not in a forked child that ends: there the run is its parent's."""

    def __init__(self) -> None:
        super().__init__()
        self._pid = os.getpid()

    @property
    def forked(self) -> bool:
        """Whether this process isn't the one that entered."""
        return os.getpid() != self._pid

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> Literal[False]:
        if self.forked:
            _abandoned.append(self.pop_all())
        super().__exit__(kind, error, trace)
        return False


class _Clock:
    """This session's active seconds: without those that the caller's loop took, or a server that was away."""

    def __init__(self) -> None:
        self._started, self._begun, self._away = time.time(), time.monotonic(), 0.0
        self._past: Checkpoint | None = None

    def begin(self, last: Checkpoint) -> None:
        """Rows and seconds count from here on; a later sitting goes on counting."""
        if self._past is None:
            self._past, self._begun, self._away = last, time.monotonic(), 0.0

    def sessions(self, now: Checkpoint) -> tuple[Session, ...]:
        """All sessions up to now, this one the last."""
        assert self._past is not None
        seconds = round(time.monotonic() - self._begun - self._away, 3)
        known = self._past.sessions
        if len(known) >= SESSIONS:
            first, second = known[:2]
            known = (Session(first.started, first.seconds + second.seconds, first.rows + second.rows), *known[2:])
        return (*known, Session(round(self._started, 3), seconds, now.rows - self._past.rows))

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Leaves out the time within."""
        left = time.monotonic()
        yield
        self._away += time.monotonic() - left

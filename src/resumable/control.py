"""Who runs a pipeline, and what was asked of it: claims, heartbeats, requests, on nothing but a store's `swap`.

Laws kept here:

* A claim is (epoch, token). A newer one ends every older one: its next save is refused.
* Liveness only decides how soon one may claim, never safety. On the same machine the kernel is asked whether the
  owner lives; elsewhere the heartbeat is watched by the observer's own monotonic clock, so no two clocks are
  ever compared.
* Which request reaches which runner is said in requests.py.
"""

from __future__ import annotations

import contextlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Literal

from resumable.checkpoint import Checkpoint, CheckpointStore, ClaimId, Owner, Record
from resumable.errors import AlreadyRunning, NotHonoured, Superseded
from resumable.liveness import _held, alive, me
from resumable.requests import after, ask, submit
from resumable.swaps import update

__all__ = ["Claim", "alive", "ask", "claim", "may_live", "me", "status", "submit", "wait_until_idle"]

BEAT = 1.0
"""Seconds between heartbeats."""
SILENCE = 6.0
"""A runner on another machine that shows no heartbeat for this many seconds is taken for dead."""
POLL = 0.25
"""Seconds between looks at what is asked."""

Status = Literal["new", "queued", "running", "paused", "failed", "interrupted", "completed", "terminated"]
Asked = Literal["", "pause", "terminate"]
"""What a runner may be asked."""


# ------------------------------------------------------------------------------------------- who lives


def _lives(store: CheckpointStore, name: str, record: Record) -> bool:
    """Whether the record's runner lives, watching its heartbeat if nothing else can tell."""
    if record.owner is None:
        return False
    known = alive(record.owner, record.claim.token)
    if known is not None:
        return known
    end = time.monotonic() + SILENCE
    while time.monotonic() < end:
        time.sleep(POLL)
        now = store.load(name)
        if now is None or now.claim != record.claim or now.owner is None:
            return now is not None and now.owner is not None
        if now.beat != record.beat:
            return True
    return False


def status(record: Record | None) -> Status:
    """What a run's record says of it. `interrupted` is derived: it says running, and its runner is dead.

    `queued`: nobody runs it, and a worker is asked to.
    """
    if record is None:
        return "new"
    last, lives = record.checkpoint, False
    if record.owner is not None:
        known = alive(record.owner, record.claim.token)
        lives = time.time() - record.beat_at < 2 * SILENCE if known is None else known
    if lives:
        return "running"
    if record.asked == "resume" and record.owner is None:
        return "queued"
    if last.over and last.outcome:
        return last.outcome
    if record.owner is not None:
        return "interrupted"
    return last.halt or ("interrupted" if last.number else "new")


def called_off(record: Record | None) -> bool:
    """Whether the last that was heard of it is that it was terminated, or a run was that followed a completed one."""
    now = status(record)
    return now == "terminated" or (now == "completed" and record is not None and record.checkpoint.halt == "terminated")


def may_live(record: Record | None) -> bool:
    """Whether there may be a runner to ask: only the kernel of its own machine can say no."""
    return record is not None and record.owner is not None and alive(record.owner, record.claim.token) is not False


# ---------------------------------------------------------------------------------------------- claims


class Claim:
    """The right to write, until a newer claim. Saves, beats and hears what is asked; safe between threads."""

    def __init__(self, store: CheckpointStore, name: str, record: Record, known: frozenset[ClaimId]) -> None:
        self.store, self.name, self.id, self.known = store, name, record.claim, known
        self.last = record.checkpoint
        assert record.owner is not None
        self.owner: Owner = record.owner
        self.asked: Asked = ""
        """What is asked of this runner, as last heard."""
        self.lost = False
        """Whether a newer claim has been seen."""
        self._lock = threading.Lock()
        self._done = threading.Event()

    def save(self, checkpoint: Checkpoint, *, leave: bool = False, withdraw: bool = False) -> Asked:
        """Keep the checkpoint, if the claim still holds; answers with what is asked.

        `leave` gives the claim back; `withdraw`: no worker is to go on with the run unless asked again.
        """
        with self._lock:
            record = self._swap(
                lambda r: replace(
                    r,
                    checkpoint=checkpoint,
                    owner=None if leave else r.owner,
                    beat=r.beat + 1,
                    beat_at=time.time(),
                    falls=0 if leave or checkpoint.number > r.checkpoint.number else r.falls,
                    asked="" if checkpoint.over or (withdraw and r.asked == "resume") else r.asked,
                )
            )
            self.last = checkpoint
            return self._hear(record)

    def renew(self, above: int) -> None:
        """Make the claim newer than that epoch, if it still holds: a clock ahead of this one has been at the target."""
        with self._lock:
            newer = ClaimId(max(above, self.id.epoch) + 1, self.id.token)
            # A pause that was asked of the claim before is meant for this runner.
            self._swap(lambda r: replace(r, claim=newer, asked_of=newer if r.asked_of == self.id else r.asked_of))
            self.id = newer

    def forget(self) -> None:
        """Remove the record of a run that was refused before anything was made."""
        with self._lock:
            record = self.store.load(self.name)
            if record is not None and record.claim == self.id:
                self.store.swap(self.name, record.version, None)

    def leave(self) -> None:
        """Give the claim back without a word about the run."""
        with self._lock:
            # What is asked of a run that is over must not reach the next run of that name.
            self._swap(lambda r: replace(r, owner=None, asked="" if r.checkpoint.over else r.asked))

    def _hear(self, record: Record) -> Asked:
        if record.asked == "terminate":
            self.asked = "terminate"
        elif record.asked == "pause" and record.asked_of == self.id:
            self.asked = "pause"
        return self.asked

    def _swap(self, change: Callable[[Record], Record]) -> Record:
        def mine(record: Record | None) -> Record:
            if record is not None and record.claim == self.id:
                return change(replace(record, version=record.version + 1))
            self.lost = True
            who = "it was removed from the store" if record is None else f"{record.owner or 'another runner'} has it"
            raise Superseded(
                f"Run {self.name!r} was taken over: {who}.",
                safe="What was committed is safe; this runner wrote nothing after that.",
                do="Look at it with `resumable status`.",
            )

        _, new = update(self.store, self.name, mine)
        assert new is not None
        return new

    def _beat(self) -> None:
        due = time.monotonic() + BEAT
        while not self._done.wait(POLL):
            # A store that can't be reached is the saves' business, not the heart's.
            with contextlib.suppress(Exception), self._lock:
                record = self.store.load(self.name)
                if record is None or record.claim != self.id:
                    self.lost = True
                    return
                self._hear(record)
                if time.monotonic() >= due and not self._done.is_set():
                    due = time.monotonic() + BEAT
                    beaten = replace(record, version=record.version + 1, beat=record.beat + 1, beat_at=time.time())
                    self.store.swap(self.name, record.version, beaten)


@contextlib.contextmanager
def claim(
    store: CheckpointStore,
    name: str,
    *,
    takeover: bool = False,
    beat: bool = True,
    admit: Callable[[Record], None] | None = None,
) -> Iterator[Claim]:
    """Claim a run: a dead runner is taken over at once, a live one is `AlreadyRunning` unless `takeover`.

    `admit` is shown the record that the claim would go into, and raises to refuse: nothing comes between.
    """
    token = secrets.token_hex(8)
    _held.add(token)  # before the store has it, and until the end: an interrupt at any line leaves no owner that lives
    try:
        record, new = _enter(store, name, token, takeover, admit)
        held = Claim(store, name, new, frozenset({record.claim, record.checkpoint.claim}))
        held._hear(new)
        thread = threading.Thread(target=held._beat, name=f"resumable heartbeat {name}", daemon=True)
        try:
            if beat:
                thread.start()
            yield held
        finally:
            held._done.set()
            with contextlib.suppress(RuntimeError):  # it is this very thread, or an interrupt came before its start
                thread.join(timeout=5)
    finally:
        _held.discard(token)


def _enter(
    store: CheckpointStore, name: str, token: str, takeover: bool, admit: Callable[[Record], None] | None
) -> tuple[Record, Record]:
    """Put a claim into the store; the record before, and the one with the claim in it."""

    def enter(record: Record | None) -> Record:
        record = record or Record()
        if record.owner is not None and not takeover and _lives(store, name, record):
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.owner.since))
            raise AlreadyRunning(
                f"Run {name!r} is running: {record.owner}, since {since}.",
                safe="Nothing was changed.",
                do="Wait for it, pause it, or fence it off with takeover (--takeover).",
            )
        if admit is not None:
            admit(record)
        mine = ClaimId(max(record.claim.epoch, record.checkpoint.claim.epoch, int(time.time() * 1000)) + 1, token)
        # A pause was meant for the claim before this one; terminate is meant for any, until the run is over.
        kept = record.asked == "resume" or (record.asked == "terminate" and not record.checkpoint.over)
        return replace(
            record,
            version=after(record, time.time()),
            claim=mine,
            owner=me(),
            beat=record.beat + 1,
            beat_at=time.time(),
            falls=0 if record.owner is None else record.falls + 1,
            asked=record.asked if kept else "",
        )

    found, new = update(store, name, enter)
    assert new is not None
    return found or Record(), new


# --------------------------------------------------------------------------------------------- waiting


def wait_until_idle(store: CheckpointStore, name: str, wait: float) -> Record | None:
    """The record once no live runner has the run; `NotHonoured` after `wait` seconds."""
    begun = changed = time.monotonic()
    seen = None
    while True:
        record, now = store.load(name), time.monotonic()
        if record is None or record.owner is None:
            return record
        if seen != (record.claim, record.beat):
            seen, changed = (record.claim, record.beat), now
        known = alive(record.owner, record.claim.token)
        # On another machine only the heart tells, by this machine's clock: the two may be hours apart.
        if known is False or (known is None and now - changed >= SILENCE):
            return record
        if now - begun >= wait:
            raise NotHonoured(
                f"{record.owner} has not stopped run {name!r} within {wait:g} seconds.",
                safe="The request stands and nothing is lost.",
                do="Wait, or take the run over (--takeover) if its process hangs.",
            )
        time.sleep(min(POLL / 2, max(0.0, begun + wait - time.monotonic())))

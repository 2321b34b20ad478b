"""Who runs a pipeline: claims and heartbeats, on nothing but a store's `swap`.

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
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from resumable.checkpoint import Checkpoint, CheckpointStore, ClaimId, Owner, Record
from resumable.control.liveness import alive, own_tokens, this_process
from resumable.control.requests import next_version
from resumable.control.status import HEARTBEAT_TIMEOUT, fenced, removed
from resumable.control.swaps import update
from resumable.control.waiting import POLL_INTERVAL
from resumable.errors import AlreadyRunning

__all__ = ["Asked", "Claim", "claim_run"]

HEARTBEAT_INTERVAL = 1.0
"""Seconds between heartbeats."""

Asked = Literal["", "pause", "terminate"]
"""What a runner may be asked."""


# ------------------------------------------------------------------------------------------- who lives


def _live(store: CheckpointStore, name: str, record: Record) -> Record | None:
    """The record of a live runner, this one or one that has come since; watches its heartbeat if nothing else tells."""
    if record.owner is None:
        return None
    lives = alive(record.owner, record.claim.token)
    if lives is not None:
        return record if lives else None
    end = time.monotonic() + HEARTBEAT_TIMEOUT
    while time.monotonic() < end:
        time.sleep(POLL_INTERVAL)
        now = store.load(name)
        if now is None or now.owner is None:
            return None
        if now.claim != record.claim:
            return None if alive(now.owner, now.claim.token) is False else now
        if now.heartbeat != record.heartbeat:
            return now
    return None


# ---------------------------------------------------------------------------------------------- claims


class Claim:
    """The right to write, until a newer claim. It saves, shows that its runner lives, and learns what is asked; safe between threads."""

    def __init__(
        self, store: CheckpointStore, name: str, record: Record, earlier: frozenset[ClaimId], done: threading.Event
    ) -> None:
        assert record.owner is not None
        self.store, self.name, self.id = store, name, record.claim
        self.earlier = earlier
        """The claims that the store knew before this one."""
        self.last = record.checkpoint
        self.owner: Owner = record.owner
        self.asked: Asked = ""
        """What is asked of this runner, as last heard."""
        self.lost = False
        """Whether a newer claim has been seen."""
        self._lock = threading.Lock()
        self._done = done

    def save(self, checkpoint: Checkpoint, *, release: bool = False, withdraw: bool = False) -> Asked:
        """Keep the checkpoint, if the claim still holds; answers with what is asked.

        `release` gives the claim back; `withdraw`: no worker is to go on with the run unless asked again.
        """

        def change(record: Record) -> Record:
            got_on = release or checkpoint.number > record.checkpoint.number
            withdrawn = checkpoint.is_finished or (withdraw and record.asked == "resume")
            return replace(
                record,
                checkpoint=checkpoint,
                owner=None if release else record.owner,
                heartbeat=record.heartbeat + 1,
                heartbeat_at=time.time(),
                consecutive_crashes=0 if got_on else record.consecutive_crashes,
                asked="" if withdrawn else record.asked,
            )

        with self._lock:
            record = self._swap(change)
            self.last = checkpoint
            return self._hear(record)

    def raise_epoch(self, above: int) -> None:
        """Make the claim newer than that epoch, if it still holds: a clock ahead of this one has been at the target."""
        with self._lock:
            newer = ClaimId(max(above, self.id.epoch) + 1, self.id.token)
            # A pause that was asked of the claim before is meant for this runner.
            self._swap(lambda r: replace(r, claim=newer, asked_of=newer if r.asked_of == self.id else r.asked_of))
            self.id = newer

    def delete(self) -> None:
        """Remove the record of a run that was refused before anything was made."""
        with self._lock:
            record = self.store.load(self.name)
            if record is not None and record.claim == self.id:
                self.store.swap(self.name, record.version, None)

    def release(self) -> None:
        """Give the claim back without a word about the run."""
        with self._lock:
            # What is asked of a run that is over must not reach the next run of that name.
            self._swap(lambda r: replace(r, owner=None, asked="" if r.checkpoint.is_finished else r.asked))

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
            raise removed(self.store, self.name) if record is None else fenced(self.name, record)

        _, record = update(self.store, self.name, mine)
        assert record is not None
        return record

    def _pulse(self, *, heartbeat: bool) -> None:
        """Hear what is asked, and show that the runner lives."""
        # A store that can't be reached is the saves' business, not the heart's.
        with contextlib.suppress(Exception), self._lock:
            record = self.store.load(self.name)
            if record is None or record.claim != self.id:
                self.lost = True
                return
            self._hear(record)
            if heartbeat and not self._done.is_set():
                beaten = replace(
                    record, version=record.version + 1, heartbeat=record.heartbeat + 1, heartbeat_at=time.time()
                )
                self.store.swap(self.name, record.version, beaten)


def _beat(claim_ref: weakref.ref[Claim], done: threading.Event) -> None:
    """The heart: it beats until it is told to end, and never longer than there is a claim to beat for."""
    due = time.monotonic() + HEARTBEAT_INTERVAL
    while not done.wait(POLL_INTERVAL) and (claim := claim_ref()) is not None and not claim.lost:
        is_due = time.monotonic() >= due
        claim._pulse(heartbeat=is_due)
        due = time.monotonic() + HEARTBEAT_INTERVAL if is_due else due
        del claim


class claim_run:
    """Claim a run: a dead runner is taken over at once, a live one is `AlreadyRunning` unless `takeover`.

    `precondition` is shown the record that the claim would go into, and raises to refuse: nothing comes between.
    A context manager, and a class: between the heart's start and the caller's block there is no line at which an
    interrupt could leave it beating. Where one strikes in the leaving itself, the heart ends with the claim.
    """

    def __init__(
        self,
        store: CheckpointStore,
        name: str,
        *,
        takeover: bool = False,
        heartbeat: bool = True,
        precondition: Callable[[Record], None] | None = None,
    ) -> None:
        self._store, self._name = store, name
        self._takeover, self._heartbeat, self._precondition = takeover, heartbeat, precondition
        self._token, self._done = secrets.token_hex(8), threading.Event()
        self._heart: threading.Thread | None = None
        self._claim: Claim | None = None  # it lives as long as this does, whether anybody else keeps it or not

    def __enter__(self) -> Claim:
        try:
            own_tokens.add(self._token)  # before the store has it, and until the end
            before, record = _enter(self._store, self._name, self._token, self._takeover, self._precondition)
            earlier = frozenset({before.claim, before.checkpoint.claim})
            claim = self._claim = Claim(self._store, self._name, record, earlier, self._done)
            weakref.finalize(claim, own_tokens.discard, self._token)
            claim._hear(record)
            if self._heartbeat:
                name, arguments = f"resumable heartbeat {self._name}", (weakref.ref(claim), self._done)
                self._heart = threading.Thread(target=_beat, args=arguments, name=name, daemon=True)
                self._heart.start()
            return claim
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        self._done.set()
        try:
            if self._heart is not None:
                with contextlib.suppress(RuntimeError):  # it is this very thread, or an interrupt came before its start
                    self._heart.join(timeout=5)
        finally:
            own_tokens.discard(self._token)


def _enter(
    store: CheckpointStore, name: str, token: str, takeover: bool, precondition: Callable[[Record], None] | None
) -> tuple[Record, Record]:
    """Put a claim into the store; the record before, and the one with the claim in it."""

    def enter(record: Record | None) -> Record:
        record = record or Record()
        live = None if takeover else _live(store, name, record)
        if live is not None and live.owner is not None:
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(live.owner.since))
            raise AlreadyRunning(
                f"Run {name!r} is running: {live.owner}, since {since}.",
                safe="Nothing was changed.",
                do="Wait for it, pause it, or fence it off with takeover (--takeover).",
            )
        if precondition is not None:
            precondition(record)
        mine = ClaimId(max(record.claim.epoch, record.checkpoint.claim.epoch, int(time.time() * 1000)) + 1, token)
        # A pause was meant for the claim before this one; terminate is meant for any, until the run is over.
        stands = record.asked == "resume" or (record.asked == "terminate" and not record.checkpoint.is_finished)
        return replace(
            record,
            version=next_version(record, time.time()),
            claim=mine,
            owner=this_process(),
            heartbeat=record.heartbeat + 1,
            heartbeat_at=time.time(),
            consecutive_crashes=0 if record.owner is None else record.consecutive_crashes + 1,
            asked=record.asked if stands else "",
        )

    before, after = update(store, name, enter)
    assert after is not None
    return before or Record(), after

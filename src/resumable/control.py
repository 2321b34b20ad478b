"""Who runs a pipeline, and what was asked of it: claims, heartbeats, requests, on nothing but a store's `swap`.

Laws kept here:

* A claim is (epoch, token). A newer one ends every older one: its next save is refused.
* Liveness only decides how soon one may claim, never safety. On the same machine the kernel is asked whether the
  owner lives; elsewhere the heartbeat is watched by the observer's own monotonic clock, so no two clocks are
  ever compared.
* A pause binds the claim that runs when it is asked for; terminate is sticky until the run is over.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Literal

from resumable.checkpoint import Checkpoint, CheckpointStore, ClaimId, Owner, Record
from resumable.errors import AlreadyRunning, NotHonoured, Superseded

__all__ = ["Claim", "alive", "ask", "claim", "may_live", "me", "status", "wait_until_idle"]

BEAT = 1.0
"""Seconds between heartbeats."""
SILENCE = 6.0
"""A runner on another machine that shows no heartbeat for this many seconds is taken for dead."""
POLL = 0.25
"""Seconds between looks at what is asked."""

Status = Literal["new", "running", "paused", "failed", "interrupted", "completed", "terminated"]
Asked = Literal["", "pause", "terminate"]

_held: set[str] = set()  # the tokens of the claims that live in this process


# ------------------------------------------------------------------------------------------- who lives


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(path) as file:
        return file.read().strip()
    return ""


def _born(pid: int) -> str | None:
    """When a process of this machine began, in the kernel's words; None if there is none, or only its corpse."""
    if sys.platform == "linux":
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return None if not fields or fields[0] in "ZX" else fields[19]
    out = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return out.stdout.strip() or None


def me() -> Owner:
    """This process."""
    space = ""
    with contextlib.suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    boot = _read("/proc/sys/kernel/random/boot_id")
    pid = os.getpid()
    return Owner(socket.gethostname(), boot, space, pid, _born(pid) or "", time.time())


def alive(owner: Owner, token: str) -> bool | None:
    """Whether the owner of a claim lives; None if this machine can't tell."""
    here = me()
    if (owner.host, owner.boot, owner.space) != (here.host, here.boot, here.space):
        return None
    if owner.pid == here.pid and owner.born == here.born:
        return token in _held
    return _born(owner.pid) == owner.born if owner.born else None  # without /proc nobody can tell


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
    """What a run's record says of it. `interrupted` is derived: it says running, and its runner is dead."""
    if record is None:
        return "new"
    last, lives = record.checkpoint, False
    if record.owner is not None:
        known = alive(record.owner, record.claim.token)
        lives = time.time() - record.beat_at < 2 * SILENCE if known is None else known
    if lives:
        return "running"
    if last.over and last.outcome:
        return last.outcome
    return "interrupted" if record.owner is not None else last.halt or "interrupted"


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

    def save(self, checkpoint: Checkpoint, *, leave: bool = False) -> Asked:
        """Keep the checkpoint, if the claim still holds; answers with what is asked. `leave` gives the claim back."""
        with self._lock:
            record = self._swap(
                lambda r: replace(
                    r,
                    checkpoint=checkpoint,
                    owner=None if leave else r.owner,
                    beat=r.beat + 1,
                    beat_at=time.time(),
                    asked="" if checkpoint.over else r.asked,
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
        if record.asked == "terminate" or (record.asked == "pause" and record.asked_of == self.id):
            self.asked = record.asked
        return self.asked

    def _swap(self, change: object) -> Record:
        assert callable(change)
        while True:
            record = self.store.load(self.name)
            if record is None or record.claim != self.id:
                self.lost = True
                who = (
                    "it was removed from the store" if record is None else f"{record.owner or 'another runner'} has it"
                )
                raise Superseded(
                    f"Run {self.name!r} was taken over: {who}.",
                    safe="What was committed is safe; this runner wrote nothing after that.",
                    do="Look at it with `resumable status`.",
                )
            new: Record = change(replace(record, version=record.version + 1))
            if self.store.swap(self.name, record.version, new):
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
def claim(store: CheckpointStore, name: str, *, takeover: bool = False, beat: bool = True) -> Iterator[Claim]:
    """Claim a run: a dead runner is taken over at once, a live one is `AlreadyRunning` unless `takeover`."""
    token = secrets.token_hex(8)
    _held.add(token)  # before the store has it, and until the end: an interrupt at any line leaves no owner that lives
    try:
        record, new = _enter(store, name, token, takeover=takeover)
        held = Claim(store, name, new, frozenset({record.claim, record.checkpoint.claim}))
        held.asked = new.asked
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


def _enter(store: CheckpointStore, name: str, token: str, *, takeover: bool) -> tuple[Record, Record]:
    """Put a claim into the store; the record before, and the one with the claim in it."""
    while True:
        record = store.load(name) or Record()
        if record.owner is not None and not takeover and _lives(store, name, record):
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.owner.since))
            raise AlreadyRunning(
                f"Run {name!r} is running: {record.owner}, since {since}.",
                safe="Nothing was changed.",
                do="Wait for it, pause it, or fence it off with takeover (--takeover).",
            )
        mine = ClaimId(max(record.claim.epoch, record.checkpoint.claim.epoch, int(time.time() * 1000)) + 1, token)
        # A pause was meant for the claim before this one; terminate is meant for any, until the run is over.
        asked: Asked = "terminate" if record.asked == "terminate" and not record.checkpoint.over else ""
        new = replace(
            record,
            # Not from 1 each time: one that slept while the record was removed and made anew must not find its version.
            version=record.version + 1 if record.version else int(time.time() * 1e6),
            claim=mine,
            owner=me(),
            beat=record.beat + 1,
            beat_at=time.time(),
            asked=asked,
        )
        if store.swap(name, record.version, new):
            return record, new


# -------------------------------------------------------------------------------------------- requests


def ask(store: CheckpointStore, name: str, what: Literal["pause", "terminate"]) -> Record | None:
    """Leave a request for the run; the record with the request in it, or None if there is nobody to ask."""
    while True:
        record = store.load(name)
        if record is None or (record.checkpoint.over and record.owner is None):
            return record
        if what == "pause" and record.asked == "terminate":
            return record
        new = replace(record, version=record.version + 1, asked=what, asked_of=record.claim)
        if store.swap(name, record.version, new):
            return new


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

"""Waiting for a runner to leave, by this machine's clock alone."""

from __future__ import annotations

import time

from resumable.checkpoint import CheckpointStore, Record
from resumable.control.liveness import alive
from resumable.control.status import HEARTBEAT_TIMEOUT
from resumable.errors import NotHonoured

__all__ = ["POLL_INTERVAL", "wait_until_idle"]

POLL_INTERVAL = 0.25
"""Seconds between looks at what is asked."""


def wait_until_idle(store: CheckpointStore, name: str, wait: float) -> Record | None:
    """The record once no live runner has the run; `NotHonoured` after `wait` seconds."""
    started = changed = time.monotonic()
    seen = first = None
    while True:
        record, now = store.load(name), time.monotonic()
        if record is None or record.owner is None:
            return record
        first = first or record.claim
        if seen != (record.claim, record.heartbeat):
            seen, changed = (record.claim, record.heartbeat), now
        lives = alive(record.owner, record.claim.token)
        # On another machine only the heart tells, by this machine's clock: the two may be hours apart.
        if lives is False or (lives is None and now - changed >= HEARTBEAT_TIMEOUT):
            return record
        if now - started >= wait:
            if record.claim != first and not record.asked:
                raise NotHonoured(
                    f"Run {name!r} was taken over meanwhile: {record.owner} has it now.",
                    safe="A pause is asked of a runner: it doesn't hold for the next one. Nothing is lost.",
                    do="Ask for the pause again.",
                )
            raise NotHonoured(
                f"{record.owner} has not stopped run {name!r} within {wait:g} seconds.",
                safe="The request stands and nothing is lost.",
                do="Wait, or take the run over (--takeover) if its process hangs.",
            )
        time.sleep(min(POLL_INTERVAL / 2, max(0.0, started + wait - time.monotonic())))

"""What may be asked of a run, through its record.

Laws kept here:

* A pause binds the claim that runs when it is asked for: yesterday's doesn't stop today's run.
* Terminate is sticky until the run is over, and outweighs the others.
* A resume is for workers. It stands, from claim to claim, until the run has ended, failed or is to pause; so a worker
  that dies leaves it to the next.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

from resumable.checkpoint import Checkpoint, CheckpointStore, Record
from resumable.control.swaps import update

__all__ = ["ask", "enqueue", "next_version"]


def ask(store: CheckpointStore, name: str, what: Literal["pause", "resume", "terminate"]) -> Record | None:
    """Leave a request for the run; the record with the request in it, or None if there is nobody to ask.

    Nothing is asked of a run that is over, and nothing else of one that is to be terminated. A run that nobody has
    begun is terminated by this alone.
    """

    def change(record: Record | None) -> Record | None:
        if record is None:
            return None
        idle, last = record.owner is None, record.checkpoint
        withdraws = what == "pause" and record.asked == "resume"
        if last.is_finished and idle and not withdraws:
            return None
        if record.asked == "terminate" and what != "terminate":
            return None
        asked: Literal["", "pause", "resume", "terminate"] = what
        if what == "pause" and idle:
            asked = ""  # there is nobody to pause: a worker is no longer asked to go on
        elif what == "terminate" and idle and last.stage == "new":
            asked, last = "", last.call_off()
        return replace(record, version=record.version + 1, asked=asked, asked_of=record.claim, checkpoint=last)

    before, after = update(store, name, change)
    return after or before


def enqueue(store: CheckpointStore, name: str, first: Callable[[Checkpoint], Checkpoint]) -> Record:
    """Leave the run to a worker, known to the store or not; `first` gives the checkpoint to go on from, after the last one."""

    def change(record: Record | None) -> Record:
        record = record or Record()
        asked = record.asked if record.asked == "terminate" and not record.checkpoint.is_finished else "resume"
        return replace(
            record, version=next_version(record, time.time()), checkpoint=first(record.checkpoint), asked=asked
        )

    _, record = update(store, name, change)
    assert record is not None
    return record


def next_version(record: Record, clock: float) -> int:
    """The version that follows.

    Not from 1 each time: one that slept while the record was removed and made anew must not find its version.
    """
    return record.version + 1 if record.version else int(clock * 1e6)

"""The status of a run, from its record alone: quickly, and without comparing two machines' clocks."""

from __future__ import annotations

import time
from typing import Literal

from resumable.checkpoint import CheckpointStore, ClaimId, Record, location
from resumable.control.liveness import alive
from resumable.errors import Superseded

__all__ = [
    "HEARTBEAT_TIMEOUT",
    "Status",
    "fenced",
    "may_live",
    "pending_request",
    "removed",
    "status_of",
    "was_called_off",
    "whereabouts",
]

HEARTBEAT_TIMEOUT = 6.0
"""A runner on another machine that shows no heartbeat for this many seconds is taken for dead."""
MAX_HEARTS = 1_000
"""Claims whose last heartbeat is remembered; the one seen longest ago is forgotten first."""

Status = Literal["new", "queued", "running", "paused", "failed", "interrupted", "completed", "terminated"]

_hearts: dict[ClaimId, tuple[int, float]] = {}  # the last beat seen of a claim, and when, by this process's own clock


def status_of(record: Record | None) -> Status:
    """What a run's record says of it. `interrupted` is derived: it says running, and its runner is dead.

    Of a runner on another machine only its heart tells, and a look takes no time: it is taken to live until this
    process has seen the same beat for `HEARTBEAT_TIMEOUT` seconds. `queued`: nobody runs it, and a worker is asked to.
    """
    if record is None:
        return "new"
    last = record.checkpoint
    if record.owner is not None:
        lives = alive(record.owner, record.claim.token)
        if lives or (lives is None and _beats(record)):
            return "running"
    if record.asked == "resume" and record.owner is None:
        return "queued"
    if last.is_finished and last.outcome:
        return last.outcome
    if record.owner is not None:
        return "interrupted"
    if last.stopped_as:
        return last.stopped_as
    return "new" if last.stage == "new" else "interrupted"


def whereabouts(record: Record | None) -> str:
    """Of a runner that this machine can't see: who it is, and when its heart beat last, by its own clock."""
    if record is None or record.owner is None or alive(record.owner, record.claim.token) is not None:
        return ""
    beat = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.heartbeat_at))
    return f"run by {record.owner}, whose last heartbeat was at {beat} by its own clock"


def pending_request(record: Record | None) -> Literal["", "pause", "resume", "terminate"]:
    """What is asked of the run and not yet done. A pause is asked of its runner: without one it is done."""
    if record is None or (record.asked == "pause" and record.owner is None):
        return ""
    return record.asked


def was_called_off(record: Record | None) -> bool:
    """Whether the last that was heard of it is that it was terminated, or a run was that followed a completed one."""
    status = status_of(record)
    if status == "completed":
        return record is not None and record.checkpoint.stopped_as == "terminated"
    return status == "terminated"


def may_live(record: Record | None) -> bool:
    """Whether there may be a runner to ask: only the kernel of its own machine can say no."""
    return record is not None and record.owner is not None and alive(record.owner, record.claim.token) is not False


def fenced(name: str, record: Record) -> Superseded:
    """What to raise in a runner whose claim the record doesn't have any more."""
    if record.owner is not None:
        by = f"{record.owner} has it"
    elif record.checkpoint.is_finished:
        by = f"by another runner; it has ended it ({record.checkpoint.outcome})"
    else:
        by = "by another runner; it has stopped by now"
    return Superseded(
        f"Run {name!r} was taken over: {by}.",
        safe="What was committed is safe; this runner wrote nothing after that.",
        do="Look at it with `resumable status`.",
    )


def removed(store: CheckpointStore, name: str) -> Superseded:
    """What to raise in a runner whose record is gone."""
    return Superseded(
        f"The record of run {name!r} was removed from the store {location(store)}.",
        safe="What was committed is safe; this runner wrote nothing after that.",
        do="Run the same again: into a database it goes on from its last commit, into a file it begins anew.",
    )


def _beats(record: Record) -> bool:
    now = time.monotonic()
    beat, since = _hearts.pop(record.claim, (None, now))
    since = since if beat == record.heartbeat else now
    _hearts[record.claim] = (record.heartbeat, since)  # at the end again
    while len(_hearts) > MAX_HEARTS:
        del _hearts[next(iter(_hearts))]
    return now - since < HEARTBEAT_TIMEOUT

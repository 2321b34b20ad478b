"""How a session ends: the rows are published, the run is undone, or it stops here for a while.

Law kept here: the outcome is decided in the sink, in its own transaction, over the same input that the run began with.
"""

from __future__ import annotations

import time

from resumable.checkpoint import Checkpoint
from resumable.control.claims import Asked, Claim
from resumable.errors import BadRow, Paused, Terminated
from resumable.optional_parts import sift
from resumable.protocols import Writer
from resumable.session.plan import Plan

__all__ = ["decide", "paused", "terminated"]

MAX_SIFTS = 5
"""How often rows are put aside before publishing: each time, other writers have brought new ones into conflict."""


def decide(plan: Plan, claim: Claim, writer: Writer, last: Checkpoint, asked: Asked) -> Checkpoint:
    """Publish, or undo, in the sink's own transaction; or stop here for a while."""
    if asked == "pause":
        raise paused(plan, last)
    if asked == "terminate":
        return writer.commit(last.next(outcome="terminated", ended=time.time()))
    plan.check_source(last)
    error = None
    for _ in range(MAX_SIFTS):
        before, last = last, _sift(claim, writer, last)
        if error is not None and last is before:
            break
        try:
            return writer.publish(last.next(outcome="completed", ended=time.time(), previous=None))
        except BadRow as refused:
            error = refused  # rows that have come into conflict since
    assert error is not None
    raise error


def _sift(claim: Claim, writer: Writer, last: Checkpoint) -> Checkpoint:
    """Put aside what publishing would refuse, where the sink can and was told to; committed and saved like any step."""
    refused = sum(len(part) for part in sift(writer))
    if refused:
        last = writer.commit(last.next(rows=last.rows - refused, rejected=last.rejected + refused))
        claim.save(last)
    return last


def terminated(plan: Plan, last: Checkpoint, *, asked: bool) -> Terminated:
    """What to raise where the run was called off; `asked`: by somebody else than the caller."""
    if last.previous is not None or last.is_published:
        do = "The completed run before it stays remembered; a restart runs it anew."
    else:
        do = "The same call begins anew."
    return Terminated(
        f"Run {plan.name!r} was terminated{', as was asked of it' if asked else ''}.",
        safe="The target is as it was before the run.",
        do=do,
    )


def paused(plan: Plan, last: Checkpoint, dropped: int = 0) -> Paused:
    """What to raise at a pause; `dropped` rows were read and have no position to go on from."""
    if dropped:
        return Paused(
            f"Run {plan.name!r} is paused at {last.rows:,} rows; {dropped:,} more were read and are dropped, since "
            "its source has no key by which reading could go on.",
            safe="The target doesn't show anything of the run.",
            do="The same call reads them again, from the start, in a new snapshot. Better: name columns that together "
            "are unique and never NULL by key=[...] and pipeline.restart() (--key, --restart).",
        )
    return Paused(
        f"Run {plan.name!r} is paused at {last.rows:,} rows.",
        safe="Everything up to there is safe; the target doesn't show it yet.",
        do="The same call goes on from there.",
    )

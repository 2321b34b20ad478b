"""What `explain()` says: what a call would do from here, and what the guarantee of this very pair rests on."""

from __future__ import annotations

from resumable.checkpoint import Checkpoint, location
from resumable.control.status import status_of
from resumable.errors import OptionsChanged
from resumable.optional_parts import notes
from resumable.session.plan import Plan

__all__ = ["explain"]


def _same_call(plan: Plan, last: Checkpoint) -> str:
    if plan.stale(last):
        return "begins a new run: the source has changed, or may have"
    try:
        plan.check_same_rows(last)
    except OptionsChanged as error:
        return f"is refused. {error.what} {error.do}".rstrip(".")
    return "does nothing, if what it published is still there"


def explain(plan: Plan) -> str:
    """A few lines in words, one subject each. Reads the store and the source's sample; changes nothing."""
    record = plan.store.load(plan.name)
    status = status_of(record)
    last = record.checkpoint if record is not None else Checkpoint()
    lines = [f"Run {plan.name!r} is {status}."]
    if status == "completed":
        lines.append(f"{last.rows:,} rows are published. The same call {_same_call(plan, last)}.")
        lines.append("Terminate is refused: a completed run stays.")
    else:
        if last.is_begun and status != "terminated":
            lines.append(f"Skipped: the {last.rows:,} rows that are committed (checkpoint {last.number}).")
            lines.append("Redone: whatever was read or written after that commit; it was never counted.")
        else:
            lines.append("Nothing is committed: a call begins at the first row.")
        if last.rejected:
            lines.append(f"Put aside: {last.rejected:,} rows in quarantine.")
        if plan.definition.get("options", {}).get("staging", True):
            lines.append("Published: all rows in one atomic step at the end; until then the target is as it was.")
        else:
            lines.append("Published: nothing is held back; rows are in sight from the first commit on.")
        lines.append("Undone by terminate: everything of the run; the target is then as it was before.")
    lines.append(f"Source: {plan.source.describe()}")
    lines.append(f"Sink: {plan.sink.describe()}")
    lines.append(f"Commits about every {plan.every:g} s; checkpoints in {location(plan.store)}.")
    return "\n".join([*lines, *notes(plan.source, last.schema)])

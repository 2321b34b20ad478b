"""Many processes at once, over one store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from resumable.checkpoint import CheckpointStore, Json, Record
from resumable.control.swaps import update
from resumable.testing.crashing import Line, Process

__all__ = ["EACH", "PROCESSES", "increment", "run_together"]

PROCESSES, EACH = 4, 25


def run_together(act: Callable[[Line], Json], answers: int = 0) -> list[str]:
    """Run `act` in processes that begin at the same moment; what the first `answers` of them say first."""

    def wait_and_act(line: Line) -> Json:
        line.hear()
        return act(line)

    with ExitStack() as stack:
        processes = [stack.enter_context(Process(wait_and_act)) for _ in range(PROCESSES)]
        for process in processes:
            process.line.say("go")
        answered = [str(process.line.hear()[0]) for process in processes[:answers]]
        for process in processes[:answers]:
            process.line.say("end")
        for process in processes:
            process.result()
        return answered


def increment(store: CheckpointStore) -> None:
    """Add one to a record, and again each time that it worked."""
    for _ in range(EACH):
        update(store, "sum", _incremented)


def _incremented(record: Record | None) -> Record:
    record = record or Record()
    return Record(record.version + 1, heartbeat=record.heartbeat + 1)

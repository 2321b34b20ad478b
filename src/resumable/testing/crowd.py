"""Many processes at once, over one store."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from resumable.checkpoint import CheckpointStore, Json, Record
from resumable.control.swaps import update
from resumable.testing.crashing import Line, Process

__all__ = ["EACH", "PROCESSES", "add", "together"]

PROCESSES, EACH = 4, 25


def together(act: Callable[[Line], Json], answers: int = 0) -> list[str]:
    """Processes that begin at the same moment; what each says first, then they end."""

    def waiting(line: Line) -> Json:
        line.hear()
        return act(line)

    with ExitStack() as stack:
        processes = [stack.enter_context(Process(waiting)) for _ in range(PROCESSES)]
        for process in processes:
            process.line.say("go")
        said = [str(process.line.hear()[0]) for process in processes[:answers]]
        for process in processes[:answers]:
            process.line.say("end")
        for process in processes:
            process.result()
        return said


def add(store: CheckpointStore) -> None:
    """Add one to a record, and again each time that it worked."""
    for _ in range(EACH):
        update(store, "sum", _more)


def _more(record: Record | None) -> Record:
    record = record or Record()
    return Record(record.version + 1, heartbeat=record.heartbeat + 1)

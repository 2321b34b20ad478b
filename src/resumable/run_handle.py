"""What can be learned of a run, and asked of it, by its name alone: what `Pipeline` and `Run` have in common.

Law kept here: terminate is asked only of a runner that may be there to hear it. If the run then couldn't be rolled back
here, the request would stand, and the next to run the run would find itself rolling it back.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from resumable.checkpoint import CheckpointStore, Record
from resumable.control.requests import ask
from resumable.control.status import Status, may_live, pending_request, status_of, was_called_off
from resumable.control.waiting import wait_until_idle
from resumable.errors import AlreadyCompleted, Conflict, Refused, ResumableError, UnknownRun
from resumable.notebook.cards import card_or_error
from resumable.progress import Asked, Progress

__all__ = ["RunHandle", "completed", "unknown"]


class RunHandle:
    """The run `name` of a store. It holds no state: what it says is what the store knows at that moment."""

    def __init__(self, name: str, store: CheckpointStore) -> None:
        self.name, self.store = name, store

    @property
    def status(self) -> Status:
        """new, queued, running, paused, failed, interrupted, completed or terminated."""
        return status_of(self._record())

    @property
    def progress(self) -> Progress:
        """Where it stands."""
        return Progress.from_record(self.name, self._record())

    @property
    def asked(self) -> Asked:
        """What is asked of it and not yet done."""
        return pending_request(self._record())

    def pause(self, wait: float = 30.0) -> None:
        """Stop it at its next commit; return once it has. One that isn't running is left as it is, queued ones excepted.

        Raises `UnknownRun`, `AlreadyCompleted`, and `NotHonoured` after `wait` seconds.
        """
        record = self.store.load(self.name)
        if record is None:
            raise unknown(self.name)
        if may_live(record) or record.asked == "resume":
            ask(self.store, self.name, "pause")
            record = wait_until_idle(self.store, self.name, wait)
        if status_of(record) == "completed":
            raise completed(self.name)

    def call_off(self, wait: float, roll_back: Callable[[], None]) -> None:
        """Terminate it: by its live runner, else by `roll_back`.

        Raises `UnknownRun`, `AlreadyCompleted`, and `NotHonoured` after `wait` seconds.
        """
        record = self.store.load(self.name)
        was_known = record is not None
        if record is not None and (may_live(record) or (record.owner is None and not record.checkpoint.is_begun)):
            ask(self.store, self.name, "terminate")
            record = wait_until_idle(self.store, self.name, wait)
            if status_of(record) == "terminated":
                return
        try:
            roll_back()
        except UnknownRun:
            if not was_known:
                raise
            # Its runner died before its first checkpoint: nothing is left of it.
        except ResumableError as error:
            self._raise_reason(error, record)

    def _raise_reason(self, error: ResumableError, before: Record | None) -> None:
        """Raise what it means that a run couldn't be rolled back; nothing, if it had been terminated `before`.

        The target is asked even if the store says that the run is over: it may know of one that has begun since.
        """
        if isinstance(error, AlreadyCompleted) or (status_of(before) == "completed" and isinstance(error, Refused)):
            if was_called_off(before):
                return
            raise completed(self.name) from None
        now = before
        with contextlib.suppress(ResumableError):
            now = self.store.load(self.name)
        if pending_request(now) == "terminate" and not isinstance(error, Conflict):
            error.add("The request to terminate stands: the next to run it rolls it back.")
        raise error

    def _repr_html_(self) -> str:
        return card_or_error(lambda: self.progress)

    def _record(self) -> Record | None:
        return self.store.load(self.name)


def completed(name: str) -> AlreadyCompleted:
    """What to raise where a run can't be stopped any more."""
    return AlreadyCompleted(
        f"Run {name!r} is completed.",
        safe="Nothing was changed: what it published stays.",
        do="Undo it in the target itself if you must; a restart would run it anew.",
    )


def unknown(name: str) -> UnknownRun:
    """What to raise where the store has no record of a run."""
    return UnknownRun(
        f"No run {name!r} is known here.",
        safe="Nothing was changed.",
        do="`resumable list` shows the runs that the store knows; --store names another store.",
    )

"""A run by its name: looked at, asked something, or gone on with, from any process that reaches its store."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Literal

from resumable.checkpoint import Checkpoint, CheckpointStore, Record
from resumable.control.requests import ask, enqueue
from resumable.control.status import Status, pending_request, status_of
from resumable.errors import OptionsChanged, Refused
from resumable.pipeline import Pipeline, completed, pause, terminate, unknown
from resumable.progress import Progress
from resumable.rebuild import rebuild, rebuildable
from resumable.stores import open_store

__all__ = ["Run", "submit"]


class Run:
    """The run `name` of a store. It holds no state: what it says is what the store knows at that moment.

    Every method raises `UnknownRun` if the store doesn't know the run, and `StoreError` if it can't be reached.
    """

    def __init__(self, name: str, store: CheckpointStore | str | os.PathLike[str] | None = None) -> None:
        self.name, self.store = name, open_store(store)

    @property
    def status(self) -> Status:
        """new, queued, running, paused, failed, interrupted, completed or terminated."""
        return status_of(self._record())

    @property
    def progress(self) -> Progress:
        """Where it stands."""
        return Progress.known(self.name, self._record())

    @property
    def asked(self) -> Literal["", "pause", "resume", "terminate"]:
        """What is asked of it and not yet done."""
        return pending_request(self._record())

    def ask(self, what: Literal["pause", "resume", "terminate"]) -> None:
        """Leave a request and return at once; whoever runs it, or a worker that serves the store, acts on it.

        Raises `AlreadyCompleted`; and of a terminated run nothing but "terminate" can be asked.
        """
        record = self._known(ask(self.store, self.name, what))
        status = status_of(record)
        if status == "completed":
            raise completed(self.name)
        if status == "terminated" and what != "terminate":
            raise Refused(
                f"Run {self.name!r} is terminated.",
                safe="Nothing was changed: the target is as it was before the run.",
                do="Begin it anew by the line or program that began it.",
            )

    def pause(self, wait: float = 30.0) -> None:
        """Stop it at its next commit; return once it has. One that isn't running is left as it is, queued ones excepted.

        Raises `AlreadyCompleted`, and `NotHonoured` after `wait` seconds.
        """
        pause(self.store, self.name, wait)

    def resume(self, *, source: str | None = None, target: str | None = None) -> Progress:
        """Go on with it here, to its end, and return the last `Progress`; see `Pipeline.run`.

        One that is completed stays so: only the line or program that began it can tell whether to run it anew.
        """
        if self.status == "completed":
            return self.progress
        return self.pipeline(source=source, target=target).run()

    def terminate(self, wait: float = 30.0, *, source: str | None = None, target: str | None = None) -> None:
        """Call it off. A live runner is asked to, else it is rolled back here; see `Pipeline.terminate`."""
        self._record()
        terminate(self.store, self.name, wait, lambda: self.pipeline(source=source, target=target).roll_back())

    def pipeline(self, *, source: str | None = None, target: str | None = None) -> Pipeline:
        """Its pipeline, rebuilt from what the store knows; `source` or `target` gives its URL again, with the password.

        Raises `Refused` if only its program can build it.
        """
        return rebuild(self.store, self.name, source=source, target=target)

    def __repr__(self) -> str:
        return f"<Run {self.name!r} in {getattr(self.store, 'location', self.store)}>"

    def _repr_html_(self) -> str:
        from resumable.notebook.cards import standing

        return standing(lambda: self.progress)

    def _record(self) -> Record:
        return self._known(self.store.load(self.name))

    def _known(self, record: Record | None) -> Record:
        if record is None:
            raise unknown(self.name)
        return record


def submit(pipeline: Pipeline) -> Run:
    """Leave a pipeline's run to a worker that serves the store: it is begun, or gone on with, there.

    Raises `OptionsChanged`, and `Refused` if only this program can build the pipeline.
    """
    plan = pipeline._plan
    if not rebuildable(plan.definition):
        raise Refused(
            f"Run {plan.name!r} can't be left to a worker: its source, sink or transform lives in this program.",
            safe="Nothing was changed.",
            do="Give a path and a database's URL, and no transform; or run it here.",
        )

    def first(last: Checkpoint) -> Checkpoint:
        if last.stage in ("new", "terminated"):
            return Checkpoint(definition=plan.definition)
        if last.stage != "completed":
            return plan.agreed(last)
        try:
            plan.same_rows(last)
        except OptionsChanged:
            if not plan.stale(last):
                raise
            return replace(last, definition=plan.definition)  # a new run is to begin, with these
        return last

    enqueue(plan.store, plan.name, first)
    return Run(plan.name, plan.store)

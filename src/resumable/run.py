"""A run by its name: looked at, asked something, or gone on with, from any process that reaches its store."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Literal

from resumable.checkpoint import Checkpoint, CheckpointStore, Record, location
from resumable.control.requests import ask, enqueue
from resumable.control.status import status_of
from resumable.errors import OptionsChanged, Refused
from resumable.pipeline import Pipeline
from resumable.progress import Progress, Runs
from resumable.rebuild import rebuild, rebuildable
from resumable.run_handle import RunHandle, completed, unknown
from resumable.stores import open_store

__all__ = ["Run", "runs", "submit"]


class Run(RunHandle):
    """The run `name` of a store. It holds no state: what it says is what the store knows at that moment.

    Every method raises `UnknownRun` if the store doesn't know the run, and `StoreError` if it can't be reached.
    """

    def __init__(self, name: str, store: CheckpointStore | str | os.PathLike[str] | None = None) -> None:
        super().__init__(name, open_store(store))

    def ask(self, what: Literal["pause", "resume", "terminate"]) -> None:
        """Leave a request and return at once; whoever runs it, or a worker that serves the store, acts on it.

        Raises `AlreadyCompleted`; and of a terminated run nothing but "terminate" can be asked.
        """
        record = ask(self.store, self.name, what)
        if record is None:
            raise unknown(self.name)
        status = status_of(record)
        if status == "completed":
            raise completed(self.name)
        if status == "terminated" and what != "terminate":
            raise Refused(
                f"Run {self.name!r} is terminated.",
                safe="Nothing was changed: the target is as it was before the run.",
                do="Begin it anew by the line or program that began it.",
            )

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
        self.call_off(wait, lambda: self.pipeline(source=source, target=target).roll_back())

    def pipeline(self, *, source: str | None = None, target: str | None = None) -> Pipeline:
        """Its pipeline, rebuilt from what the store knows; `source` or `target` gives its URL again, with the password.

        Raises `Refused` if only its program can build it.
        """
        return rebuild(self.store, self.name, source=source, target=target)

    def __repr__(self) -> str:
        return f"<Run {self.name!r} in {location(self.store)}>"

    def _record(self) -> Record:
        record = super()._record()
        if record is None:
            raise unknown(self.name)
        return record


def runs(store: CheckpointStore | str | os.PathLike[str] | None = None) -> Runs:
    """What the store knows: where each run stands, a list sorted by name.

    Its `unreadable` are the errors (`CorruptCheckpoint`) of records that can't be read.
    """
    return Runs.from_store(open_store(store))


def submit(pipeline: Pipeline) -> Run:
    """Leave a pipeline's run to a worker that serves the store: it is begun, or gone on with, there.

    Raises `OptionsChanged`, and `Refused` if only this program can build the pipeline.
    """
    plan = pipeline.plan
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
            return plan.with_current_options(last)
        try:
            plan.check_same_rows(last)
        except OptionsChanged:
            if not plan.stale(last):
                raise
            return replace(last, definition=plan.definition)  # a new run is to begin, with these
        return last

    enqueue(plan.store, plan.name, first)
    return Run(plan.name, plan.store)

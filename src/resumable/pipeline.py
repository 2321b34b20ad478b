"""Pipeline: a handle on a run. It holds no state of its own: all of that is in the checkpoint.

The steps of a session are in session.py, what a run is made of in plan.py, who may run it in control.py.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any

from resumable import explain as explanation
from resumable.checkpoint import CheckpointStore, Json
from resumable.control.requests import ask
from resumable.control.signals import pausing
from resumable.control.status import Status, may_live, pending_request, status_of, was_called_off
from resumable.control.waiting import wait_until_idle
from resumable.errors import (
    AlreadyCompleted,
    Conflict,
    Paused,
    Refused,
    ResumableError,
    Stopped,
    Terminated,
    UnknownRun,
    UsageError,
)
from resumable.progress import Progress, Runs, in_notebook, show
from resumable.protocols import Sink, Source
from resumable.session.loop import session
from resumable.session.plan import Plan, Transform

__all__ = ["Pipeline", "Steps", "pause", "runs", "terminate"]


class Pipeline:
    """A source, a sink, a name and a store: a handle on one run, wherever and however often it is built.

    Iterating goes on from the last commit and yields a `Progress` after each commit, about every `every` seconds.
    A connection that breaks in mid-run is made anew: for up to `reconnect` seconds without success (0: not at all).
    `transform` maps a RecordBatch to a RecordBatch, row by row and pure: after a resume batches may be cut
    elsewhere. `definition` is what the store remembers for `resumable resume NAME`.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        *,
        name: str,
        store: CheckpointStore | str | os.PathLike[str] | None = None,
        every: float = 1.0,
        reconnect: float = 300.0,
        transform: Transform | None = None,
        definition: dict[str, Json] | None = None,
    ) -> None:
        from resumable.stores import open_store

        if not 0 < len(name) <= 200 or not name.isprintable() or not (every >= 0 and reconnect >= 0):
            raise UsageError(
                "A run's name is 1 to 200 printable characters; `every` and `reconnect` are seconds from 0 up.",
                safe="Nothing was touched.",
                do="Give name='...', every=1.0, reconnect=300.",
            )
        self._plan = Plan(source, sink, name, open_store(store), every, transform, definition or {}, reconnect)
        self.name, self.store = name, self._plan.store

    def __iter__(self) -> Steps:
        return self.steps()

    def steps(self, *, takeover: bool = False, restart: bool = False) -> Steps:
        """One session, step by step. The two acts are those of `run` and `restart`."""
        _close_suspended(self, Paused)
        self._plan.asked = ""  # here, not at the first step: a signal that comes before the run is opened counts
        return Steps(self, session(self._plan, takeover=takeover, restart=restart))

    def run(self, *, takeover: bool = False) -> Progress:
        """Run to the end, with a progress bar, and return the last `Progress`.

        `takeover` fences off a runner that may still live. Raises `Paused` or `Terminated` if that was asked for; in
        a notebook, interrupting the kernel asks for a pause, and a second interrupt doesn't wait for the commit.
        """
        return self._run(self.steps(takeover=takeover))

    def restart(self) -> Progress:
        """Undo what is there of an unfinished run, then run from the start, even over a completed one."""
        return self._run(self.steps(restart=True))

    def _run(self, steps: Steps) -> Progress:
        # A script gets the KeyboardInterrupt that it would get anywhere else; in a notebook the next cell may follow.
        asked = pausing(self.stop, signal.SIGINT) if in_notebook() else contextlib.nullcontext()
        with asked, contextlib.closing(steps):
            return _exhaust(show(steps))

    @property
    def status(self) -> Status:
        """new, running, paused, failed, interrupted, completed or terminated."""
        return status_of(self.store.load(self.name))

    @property
    def progress(self) -> Progress:
        """Where the run stands, from what the store knows."""
        return Progress.known(self.name, self.store.load(self.name))

    def explain(self) -> str:
        """In words: what a call would skip, redo, publish; what terminate would undo; what the guarantee rests on."""
        return explanation.explain(self._plan)

    def stop(self) -> None:
        """Ask the session in this very process to pause at its next commit, at once: safe in a signal handler."""
        self._plan.asked = "pause"

    def pause(self, wait: float = 30.0) -> None:
        """Stop the run at its next commit; return once it has. A run that isn't running is left as it is.

        Raises `AlreadyCompleted`, `UnknownRun`, and `NotHonoured` after `wait` seconds.
        """
        _close_suspended(self, Paused)
        pause(self.store, self.name, wait)

    def terminate(self, wait: float = 30.0) -> None:
        """Call the run off: the target is as it was before. Asks a live runner, else rolls back here.

        Raises `AlreadyCompleted`, `UnknownRun`, and `NotHonoured` after `wait` seconds.
        """
        _close_suspended(self, Terminated)
        terminate(self.store, self.name, wait, self.roll_back)

    def roll_back(self) -> None:
        """Undo the run here, where no live runner has it; see `terminate`."""
        with contextlib.suppress(Terminated):
            _exhaust(session(self._plan, terminate=True))
            raise completed(self.name)

    def __repr__(self) -> str:
        try:
            return f"<Pipeline {self.name!r}: {self.status}>"
        except ResumableError as error:  # the store can't be read: that is for `status` to say
            return f"<Pipeline {self.name!r}: {type(error).__name__}>"

    def _repr_html_(self) -> str:
        from resumable.notebook.cards import standing

        return standing(lambda: self.progress)


class Steps(Iterator[Progress]):
    """One session of a pipeline, as an iterator. Leaving the loop pauses the run, and so does `close()`."""

    def __init__(self, pipeline: Pipeline, steps: Generator[Progress, None, None]) -> None:
        self._steps = steps
        self._stopped: Stopped | None = None
        self._thread = threading.get_ident()
        _suspended[_key(pipeline)] = self

    def __next__(self) -> Progress:
        if self._stopped is not None:
            raise self._stopped
        self._thread = threading.get_ident()
        return next(self._steps)

    def close(self) -> None:
        """Pause: what is committed stays, and the claim is given back."""
        self._steps.close()

    def stop(self, why: Stopped) -> None:
        """Close it from elsewhere in the thread that steps it; its next step raises `why`.

        Another thread's steps hear of it by the store, between two batches.
        """
        at_a_yield = inspect.getgeneratorstate(self._steps) in (inspect.GEN_CREATED, inspect.GEN_SUSPENDED)
        if self._thread == threading.get_ident() and at_a_yield:
            self._steps.close()
            self._stopped = why


_suspended: weakref.WeakValueDictionary[tuple[str, str], Steps] = weakref.WeakValueDictionary()


def _key(pipeline: Pipeline) -> tuple[str, str]:
    return str(getattr(pipeline.store, "location", id(pipeline.store))), pipeline.name


def _close_suspended(pipeline: Pipeline, why: type[Stopped]) -> None:
    steps = _suspended.get(_key(pipeline))
    if steps is not None:
        steps.stop(why(f"Run {pipeline.name!r} was stopped from elsewhere in this process."))


def _exhaust(steps: Iterable[Progress]) -> Progress:
    last = None
    for last in steps:  # noqa: B007 - the last one is wanted
        pass
    assert last is not None
    return last


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


def pause(store: CheckpointStore, name: str, wait: float = 30.0) -> None:
    """Pause the run of that name; see `Pipeline.pause`."""
    record = store.load(name)
    if record is None:
        raise unknown(name)
    if may_live(record) or record.asked == "resume":
        ask(store, name, "pause")
        record = wait_until_idle(store, name, wait)
    if status_of(record) == "completed":
        raise completed(name)


def terminate(store: CheckpointStore, name: str, wait: float, roll_back: Callable[[], None]) -> None:
    """Call off the run of that name: by its live runner, else by `roll_back`. See `Pipeline.terminate`.

    Nothing is asked where nobody may be there to hear it: if it then couldn't be rolled back here, the request would
    stand, and the next to run the run would find itself rolling it back.
    """
    record = store.load(name)
    known = record is not None
    if record is not None and (may_live(record) or (record.owner is None and not record.checkpoint.is_begun)):
        ask(store, name, "terminate")
        record = wait_until_idle(store, name, wait)
        if status_of(record) == "terminated":
            return
    status, called_off = status_of(record), was_called_off(record)
    try:
        roll_back()
    except UnknownRun:
        if not known:
            raise
        # Its runner died before its first checkpoint: nothing is left of it.
    except ResumableError as error:
        # The target is asked even if the store says that the run is over: it may know of one that has begun since.
        if isinstance(error, AlreadyCompleted) or (status == "completed" and isinstance(error, Refused)):
            if called_off:
                return
            raise completed(name) from None
        with contextlib.suppress(ResumableError):
            record = store.load(name)
        if pending_request(record) == "terminate" and not isinstance(error, Conflict):
            error.add("The request to terminate stands: the next to run it rolls it back.")
        raise


def runs(store: CheckpointStore | str | os.PathLike[str] | None = None) -> Runs:
    """What the store knows: where each run stands, a list sorted by name."""
    from resumable.stores import open_store

    opened: Any = open_store(store)
    found = ((name, opened.load(name)) for name in opened.names())
    return Runs(Progress.known(name, record) for name, record in found if record is not None)

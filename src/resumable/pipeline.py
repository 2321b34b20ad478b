"""Pipeline: a handle on a run. It holds no state of its own: all of that is in the checkpoint.

The steps of a session are in session/, what a run is made of in session/plan.py, who may run it in control/.
"""

from __future__ import annotations

import contextlib
import inspect
import os
import signal
import threading
import weakref
from collections.abc import Callable, Generator, Iterable, Iterator

from resumable import explain as explanation
from resumable.checkpoint import CheckpointStore, Json, Record, location
from resumable.control.signals import pausing
from resumable.control.status import Status
from resumable.errors import Paused, ResumableError, Stopped, Terminated, UsageError
from resumable.progress import Progress
from resumable.protocols import Sink, Source
from resumable.run_handle import RunHandle, completed
from resumable.session.loop import StopRequest, session
from resumable.session.plan import Plan, Transform
from resumable.terminal import in_notebook, show

__all__ = ["Pipeline", "Steps"]


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
                do="Give name='...', every=1.0, reconnect=300.",
            )
        self.plan = Plan(
            source=source,
            sink=sink,
            name=name,
            store=open_store(store),
            every=every,
            transform=transform,
            definition=definition or {},
            reconnect=reconnect,
        )
        """What the run is made of."""
        self.name, self.store = name, self.plan.store
        self._handle = RunHandle(name, self.store)
        self._stop = StopRequest()

    def __iter__(self) -> Steps:
        return self.steps()

    def steps(
        self,
        *,
        takeover: bool = False,
        restart: bool = False,
        precondition: Callable[[Record], None] | None = None,
    ) -> Steps:
        """One session, step by step. The two acts are those of `run` and `restart`.

        `precondition` is shown the record that the claim is about to go into, and raises to refuse.
        """
        _close_suspended(self, Paused)
        self._stop.asked = ""  # here, not at the first step: a signal that comes before the run is opened counts
        steps = session(self.plan, takeover=takeover, restart=restart, stop=self._stop, precondition=precondition)
        return Steps(self, steps)

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
        interrupts = pausing(self.stop, signal.SIGINT) if in_notebook() else contextlib.nullcontext()
        with interrupts, contextlib.closing(steps):
            return _exhaust(show(steps))

    @property
    def status(self) -> Status:
        """new, running, paused, failed, interrupted, completed or terminated."""
        return self._handle.status

    @property
    def progress(self) -> Progress:
        """Where the run stands, from what the store knows."""
        return self._handle.progress

    def explain(self) -> str:
        """In words: what a call would skip, redo, publish; what terminate would undo; what the guarantee rests on."""
        return explanation.explain(self.plan)

    def stop(self) -> None:
        """Ask the session in this very process to pause at its next commit, at once: safe in a signal handler."""
        self._stop.asked = "pause"

    def pause(self, wait: float = 30.0) -> None:
        """Stop the run at its next commit; return once it has. A run that isn't running is left as it is.

        Raises `AlreadyCompleted`, `UnknownRun`, and `NotHonoured` after `wait` seconds.
        """
        _close_suspended(self, Paused)
        self._handle.pause(wait)

    def terminate(self, wait: float = 30.0) -> None:
        """Call the run off: the target is as it was before. Asks a live runner, else rolls back here.

        Raises `AlreadyCompleted`, `UnknownRun`, and `NotHonoured` after `wait` seconds.
        """
        _close_suspended(self, Terminated)
        self._handle.call_off(wait, self.roll_back)

    def roll_back(self) -> None:
        """Undo the run here, where no live runner has it; see `terminate`."""
        with contextlib.suppress(Terminated):
            _exhaust(session(self.plan, terminate=True, stop=self._stop))
            raise completed(self.name)

    def __repr__(self) -> str:
        try:
            return f"<Pipeline {self.name!r}: {self.status}>"
        except ResumableError as error:  # the store can't be read: that is for `status` to say
            return f"<Pipeline {self.name!r}: {type(error).__name__}>"

    def _repr_html_(self) -> str:
        return self._handle._repr_html_()


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
    return location(pipeline.store), pipeline.name


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

"""Runs by the workers of a Celery app, a slice at a time, so that workers stay fair and no message is held for long.

Laws kept here:

* The store says what a run is and what is asked of it. A message holds the run's name and the claim after which it is
  its turn: no argument, no URL, no password.
* The message of the next slice is sent before the claim of this one is given back: there is one, wherever a worker is
  killed. One too many does no harm: its turn is over, or the run is still running and it waits.
* Whether it is its turn is looked at in the same compare-and-set that makes the claim.
* A run is paused and called off through the store, never by revoking a task.
"""

from __future__ import annotations

import contextlib
import logging
import mmap
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

from celery import Celery, signals
from celery.exceptions import OperationalError

from resumable.checkpoint import CheckpointStore, Record
from resumable.control.claims import claim_run
from resumable.control.status import HEARTBEAT_TIMEOUT, may_live, status_of, whereabouts
from resumable.control.waiting import wait_until_idle
from resumable.databases.identity import database_identity
from resumable.errors import (
    AlreadyCompleted,
    AlreadyRunning,
    CorruptCheckpoint,
    NotHonoured,
    ResumableError,
    Stopped,
    Superseded,
    UsageError,
)
from resumable.exports import export
from resumable.pipeline import Pipeline
from resumable.rebuild import rebuild, rebuildable
from resumable.redaction import redact
from resumable.run import Run, submit
from resumable.stores import open_store
from resumable.uploads import upload

__all__ = ["Runs"]

RETRY_AFTER = 5.0
"""Seconds until a message that finds its run running, or no store, is looked at again."""
MAX_CRASHES = 3
"""Workers that a run may kill, one after the other, before it has failed."""
MAX_TRIES = 60
"""Times that a run whose database can't be reached, or whose store, is looked at again before it has failed."""
RELEASE_TIMEOUT = 2.0
"""Seconds that the next slice waits for the one before it to give its claim back."""

log = logging.getLogger("resumable")


class Runs:
    """The runs of a store that the workers of `app` carry out: started, paused, resumed and terminated by name.

    Made in a module that both the workers and whoever starts runs import. `store` is as for `upload`; by default what
    RESUMABLE_STORE names. `connections`: names for the databases' URLs; only they have passwords. A slice ends at the
    first commit after `slice_seconds`. `name` begins the names of the Celery tasks: `resumable.slice`,
    `resumable.sweep`.
    """

    def __init__(
        self,
        app: Celery,
        store: CheckpointStore | str | os.PathLike[str] | None = None,
        *,
        connections: Mapping[str, str] | None = None,
        slice_seconds: float = 30.0,
        name: str = "resumable",
    ) -> None:
        self.app, self.store, self.slice_seconds = app, open_store(store), slice_seconds
        self.connections = dict(connections or {})
        self._ending = mmap.mmap(-1, 1)  # shared with the processes that the worker forks

        def go_on(run: str, after: str, tries: int = 0) -> None:
            self._run_slice(run, after, tries)

        def sweep() -> None:
            self.sweep()

        late = {"acks_late": True, "reject_on_worker_lost": True}
        self._slice: Any = app.task(go_on, name=f"{name}.slice", ignore_result=True, **late)
        self._sweep: Any = app.task(sweep, name=f"{name}.sweep", ignore_result=True)
        signals.worker_ready.connect(self._ready, weak=False)
        signals.worker_shutting_down.connect(self._shutting_down, weak=False)

    # ------------------------------------------------------------------------------------ from anywhere

    def start(self, kind: Literal["upload", "export"], arguments: Mapping[str, Any], name: str | None = None) -> Run:
        """Leave a run to the workers: begun, or gone on with. Returns as soon as the store and the broker know.

        `arguments` are those of `upload` or `export`, as plain data; for a database's URL, a name of `connections`.
        Raises what they raise for arguments that make no sense, and `OptionsChanged`.
        """
        make: Any = {"upload": upload, "export": export}.get(kind)
        if make is None or {"name", "store", "transform"} & {*arguments}:
            raise _bad_arguments(kind, "its arguments are those of upload or export, without name, store and transform")
        end = "target" if kind == "upload" else "source"
        url = self.connections.get(arguments.get(end, ""), arguments.get(end))
        try:
            pipeline: Pipeline = make(**{**arguments, end: url}, name=name, store=self.store)
        except TypeError as error:
            raise _bad_arguments(kind, str(error)) from None
        run = submit(pipeline)
        self._send(run.name)
        return run

    def run(self, name: str) -> Run:
        """The run of that name: its status, its progress, what is asked of it."""
        return Run(name, self.store)

    def pause(self, name: str) -> None:
        """Ask for it to stop at its next commit. Raises `UnknownRun` and `AlreadyCompleted`."""
        self.run(name).ask("pause")

    def resume(self, name: str) -> None:
        """Ask for it to be gone on with. Raises `UnknownRun`, `AlreadyCompleted`, and `Refused` if it is terminated."""
        self.run(name).ask("resume")
        self._send(name)

    def terminate(self, name: str) -> None:
        """Ask for it to be called off: a worker rolls it back. Raises `UnknownRun` and `AlreadyCompleted`."""
        self.run(name).ask("terminate")
        self._send(name)

    def sweep(self) -> None:
        """Send a message for every run that waits for a worker; what is one too many does no harm.

        Each worker does so when it is ready, for the messages that a broker has lost or holds for a killed worker. The
        task `resumable.sweep` does it at any other time: let Celery's beat send it where workers die alone.
        """
        for name in self.store.names():
            with contextlib.suppress(CorruptCheckpoint):
                record = self.store.load(name)
                # Of a runner on another machine nobody knows by a look; if it lives, the message waits its turn.
                if status_of(record) != "running" or whereabouts(record):
                    self._send(name)

    # -------------------------------------------------------------------------------------- in a worker

    def _run_slice(self, name: str, after: str, tries: int) -> None:
        try:
            record = self.store.load(name)
            if record is not None and record.asked == "terminate":
                self._pipeline(name, record).terminate(wait=HEARTBEAT_TIMEOUT + RELEASE_TIMEOUT)
            elif record is not None and record.asked == "resume":
                self._go_on(name, after, record)
        except (Stopped, Superseded, AlreadyCompleted, _NotItsTurn) as error:
            log.info("%s", error)
        except (AlreadyRunning, NotHonoured):
            self._later(name, after, 0)
        except ResumableError as error:
            if error.transient and tries < MAX_TRIES:
                log.warning("%s", error)
                self._later(name, after, tries + 1)
                return
            with contextlib.suppress(ResumableError):  # the run says so itself, or the store is what fails
                self._fail(name, error)
            raise

    def _later(self, name: str, after: str, tries: int) -> None:
        """The message once more in a while: its turn is after the claim that is there now, whoever has it."""
        with contextlib.suppress(ResumableError):
            record = self.store.load(name)
            after = after if record is None else record.claim.token
        self._slice.apply_async((name, after, tries), countdown=RETRY_AFTER)

    def _go_on(self, name: str, after: str, record: Record) -> None:
        """One slice; the next one's message is sent before its end."""
        if record.claim.token == after and may_live(record):
            wait_until_idle(self.store, name, RELEASE_TIMEOUT)
        pipeline = self._pipeline(name, record)
        end = time.monotonic() + self.slice_seconds
        with contextlib.closing(pipeline.steps(precondition=_its_turn(name, after))) as steps:
            for progress in steps:
                due = self._ending[0] or time.monotonic() >= end
                if due and progress.status == "running" and (self._send_next(name) or self._ending[0]):
                    break

    def _send_next(self, name: str) -> bool:
        """Whether the broker has the next message; if not, this slice goes on."""
        try:
            self._send(name)
        except OperationalError as error:
            log.warning("Run %r goes on here: the broker can't be told (%s).", name, type(error).__name__)
            return False
        return True

    def _fail(self, name: str, error: ResumableError) -> None:
        """Keep the reason why no session came about, and try no more."""
        with claim_run(self.store, name, precondition=_its_turn(name, None)) as claim:
            claim.save(replace(claim.last, stopped_as="failed", error=redact(str(error))), release=True, withdraw=True)

    def _pipeline(self, name: str, record: Record) -> Pipeline:
        """The run's pipeline, with the connection that means the database of its definition."""
        definition = record.checkpoint.definition
        end = "target" if definition.get("kind") == "upload" else "source"
        database = database_identity(definition[end]) if rebuildable(definition) else ""
        url = next((url for url in self.connections.values() if database_identity(url) == database), None)
        return rebuild(self.store, name, **{end: url})

    def _send(self, name: str) -> None:
        """The message for a run that waits for a worker, or will when its slice ends."""
        record = self.store.load(name)
        if record is None or not rebuildable(record.checkpoint.definition):
            return
        if record.asked in ("resume", "terminate"):
            self._slice.apply_async((name, record.claim.token))

    def _ready(self, sender: Any, **_: Any) -> None:
        if sender.app is not self.app:
            return
        self._sweep.apply_async()
        with contextlib.suppress(ValueError):  # a worker in a thread of a program: the signals are the program's
            for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGINT):
                self._listen(number)

    def _listen(self, number: signal.Signals) -> None:
        """Hear of the worker's end when it begins: in a soft shutdown Celery says so only when it is through."""
        handler_of_celery: Any = signal.getsignal(number)

        def end(number: int, frame: object) -> None:
            self._shutting_down()
            handler_of_celery(number, frame)

        if callable(handler_of_celery):
            signal.signal(number, end)

    def _shutting_down(self, **_: Any) -> None:
        self._ending[0] = 1


def _bad_arguments(kind: str, why: str) -> UsageError:
    return UsageError(
        f"A run of kind {kind!r} can't be made of that: {why}.",
        do="Give the arguments of upload or export by their names.",
    )


def _its_turn(name: str, after: str | None) -> Callable[[Record], None]:
    """Refuses a claim on a run that isn't wanted, or has been claimed since; after a worker's death anybody may go on."""

    def precondition(record: Record) -> None:
        claimed_since = after is not None and record.owner is None and record.claim.token != after
        if claimed_since or record.asked not in ("resume", "terminate"):
            raise _NotItsTurn(f"Run {name!r}: a message that came too late, or twice.")
        crashes = 0 if record.owner is None else record.consecutive_crashes + 1
        if after is not None and crashes >= MAX_CRASHES:
            raise ResumableError(
                f"Run {name!r} has lost {crashes} workers in a row without a commit between: it is given up.",
                safe="What was committed is safe.",
                do="See what killed them (memory?), then resume it.",
            )

    return precondition


class _NotItsTurn(ResumableError):
    """The message isn't the run's next one any more."""

"""What is told of a task: the store's word on its run, in the owner's words, with what can be done about it."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.http import HttpResponseBase, StreamingHttpResponse
from django.urls import reverse

from resumable import CorruptCheckpoint, StoreError, UnknownRun
from webapp.access import problem
from webapp.models import Task
from webapp.worker import runs

log = logging.getLogger("webapp")

Status = dict[str, Any]

LOOK = 0.4
"""Seconds between looks at the store for a page that watches."""
QUIET = 2.0
"""Seconds after which a stream without news says that it is alive; so a watcher who has left is noticed."""
ENOUGH = 300.0
"""Seconds after which a stream ends; a browser then asks again by itself, and must still be signed in."""
WATCHERS = threading.BoundedSemaphore(16)
"""Each keeps a thread of the server: of the 32, half are always left for requests."""

ACTIONS = {
    "queued": ("pause", "terminate"),
    "running": ("pause", "terminate"),
    "paused": ("resume", "terminate"),
    "failed": ("resume", "terminate"),
    "interrupted": ("resume", "terminate"),
}
"""What may be asked for in which state; of a run that is over, nothing."""
OVER = ("completed", "terminated")
UNREADABLE = "The record of this run can't be read; whoever runs this service finds the reason in its log."


def status(task: Task) -> Status:
    """The task as JSON. Raises `StoreError` if the store can't be reached."""
    name = str(task.id)
    run = runs.run(name)
    try:
        progress, asked = run.progress.to_dict(), run.asked
    except UnknownRun:
        progress, asked = {"status": "unknown", "message": "The store knows nothing of this run any more."}, ""
    except CorruptCheckpoint as error:  # of one run: the others are told all the same
        log.warning("%s", error)
        progress, asked = {"status": "unknown", "message": UNREADABLE}, ""
    progress.pop("name", None)  # its name is the task's id
    state, kind = progress["status"], task.kind
    if asked == "terminate":
        actions: tuple[str, ...] = ()
    elif state == "interrupted" and asked == "resume":  # a worker died; the next one goes on
        actions = ACTIONS["running"]
    else:
        actions = ACTIONS.get(state, ())
    done = kind == "export" and state == "completed"
    return {
        **progress,
        "message": str(progress["message"]).replace(str(task.path), task.label),
        "task_id": name,
        "kind": kind,
        "table": task.table,
        "file": task.label,
        "created": task.created.isoformat(),
        "asked": asked,
        "actions": actions,
        "status_url": reverse("task", args=[name]),
        "events_url": reverse("events", args=[name]),
        "action_url": reverse(kind, args=[name]),
        "file_url": reverse("file", args=[name]) if done else None,
    }


def statuses(tasks: Iterable[Task], over: dict[Any, Status]) -> dict[str, list[Status]]:
    """Of many. Those in `finished` aren't asked for again: what is over stays as it is."""
    told = []
    for task in tasks:
        found = over.get(task.id) or status(task)
        if found["status"] in OVER:
            over[task.id] = found
        told.append(found)
    return {"tasks": told}


def events(look: Callable[[], Any], over: Callable[[Any], bool]) -> HttpResponseBase:
    """What `look` finds, as server-sent events: at once, and whenever it has changed, until it is `finished`."""
    if not WATCHERS.acquire(blocking=False):
        response = problem(503, "Too many are watching; ask for the status now and then instead.")
        response["Retry-After"] = "5"
        return response
    return _Events(_stream(look, over), content_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


class _Events(StreamingHttpResponse):
    """Gives its watcher's place back at its end, however that comes about."""

    def close(self) -> None:
        if not self.closed:
            WATCHERS.release()
        super().close()


def _stream(look: Callable[[], Any], over: Callable[[Any], bool]) -> Iterator[str]:
    last, said, end = None, time.monotonic(), time.monotonic() + ENOUGH
    while time.monotonic() < end:
        try:
            found = look()
        except StoreError:  # a browser asks again in a moment
            return
        if found != last:
            last, said = found, time.monotonic()
            yield f"data: {json.dumps(found)}\n\n"
            if over(found):
                return
        elif time.monotonic() > said + QUIET:
            said = time.monotonic()
            yield ": nothing new\n\n"
        time.sleep(LOOK)

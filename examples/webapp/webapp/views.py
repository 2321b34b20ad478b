"""The requests. Each finds its owner's task, says one thing to `runs`, and answers with what the store knows."""

from __future__ import annotations

import json
import os
import re
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import wraps
from typing import Any

from celery.exceptions import OperationalError
from django.conf import settings
from django.core.files.uploadedfile import TemporaryUploadedFile
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_GET, require_http_methods, require_POST, require_safe

from resumable import AlreadyCompleted, CorruptCheckpoint, StoreError, UnknownRun
from resumable.errors import Refused
from webapp.access import problem
from webapp.files import keep, ranged
from webapp.models import Task
from webapp.status import OVER, UNREADABLE, Status, events, log, status, statuses
from webapp.worker import runs

TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
KEPT = re.compile(r"(resumable|sqlite|pg)_", re.IGNORECASE)
"""How the names begin that belong to the library or to a database."""

View = Callable[..., HttpResponseBase]


def answered(view: View) -> View:
    """What the library raises, as an answer."""

    @wraps(view)
    def wrapped(*args: Any, **kwargs: Any) -> HttpResponseBase:
        try:
            return view(*args, **kwargs)
        except (AlreadyCompleted, Refused) as error:
            return problem(409, str(error))
        except UnknownRun as error:
            return problem(404, str(error))
        except CorruptCheckpoint as error:
            log.warning("%s", error)
            return problem(503, UNREADABLE)
        except StoreError as error:
            return problem(503, str(error), **{"Retry-After": "5"})

    return wrapped


@require_GET
def page(request: HttpRequest) -> HttpResponse:
    """The one page."""
    return render(request, "page.html", {"user": request.user})


@require_POST
@answered
def upload(request: HttpRequest) -> HttpResponseBase:
    """A file into a table: 202, and a worker loads it."""
    file = request.FILES.get("file")
    if not isinstance(file, TemporaryUploadedFile) or [len(files) for _, files in request.FILES.lists()] != [1]:
        return problem(400, "One file is expected, as multipart/form-data under the key 'file'.")
    name = file.name or ""
    stem, suffix = os.path.splitext(name)
    table = request.POST.get("table") or re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_")
    task = Task(owner=request.user, kind="upload", table=table, format=suffix[1:].lower(), label=name)
    arguments = {
        "source": str(task.path),
        "target": "tables",
        "if_exists": request.POST.get("if_exists") or "fail",
        "key": request.POST.getlist("key") or None,
    }
    return _begin(task, arguments, lambda: keep(file, task.path))


@require_GET
@answered
def export(request: HttpRequest) -> HttpResponseBase:
    """A table into a file: 202, and a worker writes it."""
    table, suffix = request.GET.get("table", ""), request.GET.get("format", "csv")
    task = Task(owner=request.user, kind="export", table=table, format=suffix, label=f"{table}.{suffix}")
    arguments = {"source": "tables", "target": str(task.path), "key": request.GET.getlist("key") or None}
    return _begin(task, arguments, lambda: None)


def _begin(task: Task, arguments: dict[str, Any], prepare: Callable[[], None]) -> HttpResponseBase:
    if task.format not in settings.FORMATS:
        return problem(400, f"The format is not one of {', '.join(settings.FORMATS)}.")
    if not TABLE.fullmatch(task.table) or KEPT.match(task.table):
        return problem(400, f"{task.table!r} can't be a table's name here: give table=, letters, digits and _.")
    what = "table" if task.kind == "upload" else "what"
    prepare()
    task.save()  # before its run: there is none without an owner
    try:
        runs.start(task.kind, {**arguments, what: task.table, "every": settings.EVERY}, name=str(task.id))
    except OperationalError:
        pass  # the store has the run, and the workers sweep it up
    except (Refused, StoreError) as error:
        task.delete()  # should the store have it after all, its answer lost: the run fails, for want of its file
        task.path.unlink(missing_ok=True)
        if isinstance(error, Refused):
            return problem(400, str(error))
        raise
    told = status(task)
    location = told["status_url"]
    return JsonResponse(
        {"task_id": told["task_id"], "status_url": location}, status=202, headers={"Location": location}
    )


@require_http_methods(["PUT"])
@answered
def act(request: HttpRequest, task_id: uuid.UUID, kind: str) -> HttpResponseBase:
    """Stop it, which is to pause it; or what `{"action": ...}` says: pause, resume, terminate."""
    task = get_object_or_404(Task, id=task_id, owner=request.user, kind=kind)
    try:
        action = json.loads(request.body).get("action") if request.body else "pause"
    except (ValueError, AttributeError, RecursionError):
        action = None
    acts = {"pause": runs.pause, "resume": runs.resume, "terminate": runs.terminate}
    if not isinstance(action, str) or action not in acts:
        return problem(400, 'The body is empty, or JSON: {"action": "pause"}, or "resume", or "terminate".')
    with suppress(OperationalError):  # the store knows what is asked, and the workers sweep it up
        acts[action](str(task_id))
    return JsonResponse(status(task), status=202)


@require_GET
@answered
def tasks(request: HttpRequest) -> HttpResponseBase:
    """Its owner's latest tasks."""
    return JsonResponse(statuses(_latest(request), {}))


@require_GET
@answered
def task(request: HttpRequest, task_id: uuid.UUID) -> HttpResponseBase:
    """One of them."""
    return JsonResponse(status(get_object_or_404(Task, id=task_id, owner=request.user)))


@require_GET
@answered
def task_events(request: HttpRequest, task_id: uuid.UUID) -> HttpResponseBase:
    """One of them as server-sent events, until it is over."""
    task = get_object_or_404(Task, id=task_id, owner=request.user)
    return events(lambda: status(task), lambda told: told["status"] in OVER)


@require_GET
@answered
def tasks_events(request: HttpRequest) -> HttpResponseBase:
    """All of them in one stream: a browser has few connections for a site."""
    over: dict[uuid.UUID, Status] = {}
    return events(lambda: statuses(_latest(request), over), lambda told: False)


@require_safe
@answered
def file(request: HttpRequest, task_id: uuid.UUID) -> HttpResponseBase:
    """What an export has written, once it is complete."""
    task = get_object_or_404(Task, id=task_id, owner=request.user, kind="export")
    told = status(task)
    if told["status"] != "completed":
        return problem(409, f"The export is {told['status']}: there is no file yet.")
    if not os.path.exists(task.path):
        return problem(410, "The file has been removed; export the table again.")
    return ranged(request, task.path, task.label)


def _latest(request: HttpRequest) -> Iterable[Task]:
    return Task.objects.filter(owner=request.user)[:100]


def unfit(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """400 as JSON: a body that is no form, and the like."""
    return problem(400, "The request is malformed.")


def missing(request: HttpRequest, exception: Exception | None = None) -> JsonResponse:
    """404 as JSON; also for what is another user's."""
    return problem(404, "There is no such thing here.")


def broken(request: HttpRequest) -> JsonResponse:
    """500 as JSON."""
    return problem(500, "Something went wrong here; the log says what.")

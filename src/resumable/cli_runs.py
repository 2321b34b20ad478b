"""The commands that begin a run, go on with one, stop it, or ask about it."""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import signal
from typing import Any

from resumable.control.signals import pausing
from resumable.errors import ResumableError, UsageError
from resumable.exports import export as export_rows
from resumable.pipeline import Pipeline
from resumable.progress import Progress
from resumable.rebuild import url_from_environment
from resumable.redaction import redact
from resumable.run import Run
from resumable.terminal import print_lines, say, show
from resumable.uploads import upload as upload_rows

__all__ = ["export", "pause", "resume", "status", "terminate", "upload"]

DONE = 0
"""The exit status of a command that did what it says."""

# --------------------------------------------------------------------------------------------- commands


def upload(a: argparse.Namespace) -> int:
    options = _given(
        a,
        "if_exists",
        "on_bad_row",
        "quarantine",
        "name",
        "store",
        "every",
        "reconnect",
        "schema",
        "staging_schema",
        "format",
        "encoding",
        "identity",
        "max_record",
    )
    options |= _format(a)
    if a.null is not None:
        options["null_values"] = tuple(a.null)
    if a.quote is not None:
        options["quote"] = a.quote or None
    if a.names is not None:
        options["names"] = next(csv.reader([a.names]), [])  # a name may be quoted, and hold a comma
    target = url_from_environment(a.target, "RESUMABLE_TARGET_URL")
    keys, columns, staging = _names(a.key), _columns(a.columns), not a.no_staging
    return _run(upload_rows(a.source, target, a.table, key=keys, columns=columns, staging=staging, **options), a)


def export(a: argparse.Namespace) -> int:
    options = _given(a, "if_exists", "name", "store", "every", "reconnect", "schema", "format", "null") | _format(a)
    if a.spreadsheet_safe:
        options["spreadsheet_safe"] = True
    source = url_from_environment(a.source, "RESUMABLE_SOURCE_URL")
    return _run(export_rows(source, a.query or a.table, a.target, key=_names(a.key), **options), a)


def resume(a: argparse.Namespace) -> int:
    run = Run(a.name, a.store)
    if a.queue:
        run.ask("resume")
        return say(f"{a.name} is {run.status}.", DONE)
    if run.status == "completed" and not a.explain:
        print_lines(*([json.dumps(run.progress.to_dict())] if a.json else []))
        return say(f"{a.name}: completed before, nothing to do.", DONE)
    return _run(run.pipeline(source=a.source, target=a.target), a)


def terminate(a: argparse.Namespace) -> int:
    Run(a.name, a.store).terminate(a.wait, source=a.source, target=a.target)
    return say(f"{a.name} is terminated: the target is as it was before.", DONE)


def pause(a: argparse.Namespace) -> int:
    run = Run(a.name, a.store)
    run.pause(a.wait)
    return say(f"{a.name} is {run.status}.", DONE)


def status(a: argparse.Namespace) -> int:
    run = Run(a.name, a.store).progress
    print_lines(json.dumps(run.to_dict()) if a.json else str(run))
    return DONE


# --------------------------------------------------------------------------------------------- running


def _run(pipeline: Pipeline, a: argparse.Namespace) -> int:
    if a.explain:
        print_lines(pipeline.explain())
        return DONE
    steps = pipeline.steps(takeover=a.takeover, restart=getattr(a, "restart", False))
    last: Progress | None = None
    try:
        with pausing(pipeline.stop, signal.SIGINT, signal.SIGTERM), contextlib.closing(steps):
            for last in steps if a.json else show(steps, lines=True):
                if a.json:
                    print_lines(json.dumps(last.to_dict()))
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        if a.json:
            print_lines(json.dumps(_end(pipeline, str(error) or "interrupted")))
        raise
    assert last is not None
    if last.message:
        say(f"{last.name}: {last.message.removesuffix('.')}.", DONE)
    return DONE


def _end(pipeline: Pipeline, message: str) -> dict[str, Any]:
    """The last JSON line of a run that didn't get through."""
    with contextlib.suppress(ResumableError):  # the store may be what is broken
        return {**pipeline.progress.to_dict(), "message": redact(message)}
    return {**Progress(pipeline.name, "failed").to_dict(), "message": redact(message)}


# ------------------------------------------------------------------------------------------ the options


def _given(a: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(a, name) for name in names if getattr(a, name) is not None}


def _format(a: argparse.Namespace) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if a.delimiter is not None:
        options["delimiter"] = "\t" if a.delimiter == r"\t" else a.delimiter
    if a.no_header:
        options["header"] = False
    return options


def _names(given: list[str] | None) -> list[str] | None:
    """`--key a,b` and `--key a --key b` are the same."""
    return [name for part in given for name in part.split(",")] if given else None


def _columns(given: list[str] | None) -> dict[str, str] | None:
    pairs = [pair.rpartition("=")[::2] for pair in given or ()]
    if any(not name or not kind for name, kind in pairs):
        raise UsageError(
            "--columns takes NAME=TYPE.",
            do="For example --columns zip=string --columns total='decimal(12,2)'.",
        )
    return dict(pairs) or None

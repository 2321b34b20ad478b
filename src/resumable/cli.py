"""The command line: runs of `upload` and `export`, and the runs that a store knows.

Exit status: 0 completed, or the command did what it says; 75 paused, run it again to go on; 1 anything that failed;
2 a wrong command line. Messages go to stderr, results to stdout; no traceback, no password.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from resumable.checkpoint import location
from resumable.cli_arguments import parse
from resumable.control.signals import pausing
from resumable.databases.urls import redact
from resumable.errors import CorruptCheckpoint, Paused, ResumableError, UsageError
from resumable.export import export
from resumable.pipeline import Pipeline
from resumable.progress import Progress, show
from resumable.rebuild import again
from resumable.run import Run
from resumable.run_names import utf8
from resumable.stores import open_store
from resumable.upload import upload

__all__ = ["main"]

DONE, FAILED, WRONG, PAUSED = 0, 1, 2, 75


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    try:
        a = parse(sys.argv[1:] if argv is None else argv)
    except SystemExit as end:
        return int(end.code or 0)
    _decode(a)
    try:
        return COMMANDS[a.command](a)
    except Paused as paused:
        return _say(paused, PAUSED)
    except UsageError as error:
        return _say(error, WRONG)
    except ResumableError as error:
        return _say(error, FAILED)
    except KeyboardInterrupt:
        return _say("Interrupted. What was committed is safe. The same line goes on.", PAUSED)
    except BrokenPipeError:
        _mute()
        if getattr(a, "explain", True):
            return DONE  # `resumable list | head -1` has what it wants
        return _say(
            "Nobody reads the output any more: paused. What was committed is safe. The same line goes on.", PAUSED
        )
    except Exception as error:
        if os.environ.get("RESUMABLE_DEBUG"):
            raise
        if isinstance(error, UnicodeEncodeError) and sys.getfilesystemencoding() != "utf-8":
            return _say(
                f"This Python is set to {sys.getfilesystemencoding()}, in which {error.object!a} can't be a name. What "
                "was committed is safe. Set PYTHONUTF8=1, or a locale of UTF-8 like LC_ALL=C.UTF-8, and run the same again.",
                FAILED,
            )
        return _say(
            f"{redact(f'{type(error).__name__}: {error}')}. What was committed is safe. This is a fault of resumable's "
            "own, or of a driver: RESUMABLE_DEBUG=1 shows where it happened.",
            FAILED,
        )


def _decode(a: argparse.Namespace) -> None:
    """Words that aren't paths are text: the same text where Python is set to ASCII."""
    for option, value in vars(a).items():
        if option in ("source", "target", "quarantine", "store"):
            continue
        if isinstance(value, str):
            setattr(a, option, utf8(value))
        elif isinstance(value, list):
            setattr(a, option, [utf8(word) for word in value])


def _say(message: object, status: int) -> int:
    if sys.stderr is not None:  # else it would go to stdout
        with contextlib.suppress(OSError):  # nobody listens: the exit status still tells
            print(f"resumable: {message}", file=sys.stderr, flush=True)
    return status


def _print(*lines: str) -> None:
    try:
        for line in lines:
            print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        _mute()
        raise ResumableError(
            f"The output can't be written: {error.strerror}.",
            safe="What was committed is safe.",
            do="Make room, or send it elsewhere; then run the same again.",
        ) from None


def _mute() -> None:
    """Nothing more can be printed: what Python flushes at its end must not fail again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


# --------------------------------------------------------------------------------------------- commands


def _upload(a: argparse.Namespace) -> int:
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
    target = again(a.target, "RESUMABLE_TARGET_URL")
    keys, columns, staging = _names(a.key), _columns(a.columns), not a.no_staging
    return _run(upload(a.source, target, a.table, key=keys, columns=columns, staging=staging, **options), a)


def _export(a: argparse.Namespace) -> int:
    options = _given(a, "if_exists", "name", "store", "every", "reconnect", "schema", "format", "null") | _format(a)
    if a.spreadsheet_safe:
        options["spreadsheet_safe"] = True
    source = again(a.source, "RESUMABLE_SOURCE_URL")
    return _run(export(source, a.query or a.table, a.target, key=_names(a.key), **options), a)


def _resume(a: argparse.Namespace) -> int:
    run = Run(a.name, a.store)
    if a.queue:
        run.ask("resume")
        return _say(f"{a.name} is {run.status}.", DONE)
    if run.status == "completed" and not a.explain:
        _print(*([json.dumps(run.progress.to_dict())] if a.json else []))
        return _say(f"{a.name}: completed before, nothing to do.", DONE)
    return _run(run.pipeline(source=a.source, target=a.target), a)


def _terminate(a: argparse.Namespace) -> int:
    Run(a.name, a.store).terminate(a.wait, source=a.source, target=a.target)
    return _say(f"{a.name} is terminated: the target is as it was before.", DONE)


def _pause(a: argparse.Namespace) -> int:
    run = Run(a.name, a.store)
    run.pause(a.wait)
    return _say(f"{a.name} is {run.status}.", DONE)


def _list(a: argparse.Namespace) -> int:
    store, found, unreadable = open_store(a.store), [], []
    names = store.names()
    for name in names:
        try:
            if (record := store.load(name)) is not None:
                found.append(Progress.from_record(name, record))
        except CorruptCheckpoint as error:  # one that can't be read mustn't hide the others
            unreadable.append(error)
    _print(*(json.dumps(run.to_dict()) if a.json else str(run) for run in found))
    if not names and not a.json:
        _say(f"No runs are known in {location(store)}. --store names another store.", DONE)
    return max((_say(error, FAILED) for error in unreadable), default=DONE)


def _status(a: argparse.Namespace) -> int:
    run = Run(a.name, a.store).progress
    _print(json.dumps(run.to_dict()) if a.json else str(run))
    return DONE


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "upload": _upload,
    "export": _export,
    "resume": _resume,
    "terminate": _terminate,
    "pause": _pause,
    "status": _status,
    "list": _list,
}

# --------------------------------------------------------------------------------------------- running


def _run(pipeline: Pipeline, a: argparse.Namespace) -> int:
    if a.explain:
        _print(pipeline.explain())
        return DONE
    steps = pipeline.steps(takeover=a.takeover, restart=getattr(a, "restart", False))
    last: Progress | None = None
    try:
        with pausing(pipeline.stop, signal.SIGINT, signal.SIGTERM), contextlib.closing(steps):
            for last in steps if a.json else show(steps, lines=True):
                if a.json:
                    _print(json.dumps(last.to_dict()))
    except BrokenPipeError:
        raise
    except (Exception, KeyboardInterrupt) as error:
        if a.json:
            _print(json.dumps(_end(pipeline, str(error) or "interrupted")))
        raise
    assert last is not None
    if last.message:
        _say(f"{last.name}: {last.message}.", DONE)
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
            safe="Nothing was touched.",
            do="For example --columns zip=string --columns total='decimal(12,2)'.",
        )
    return dict(pairs) or None

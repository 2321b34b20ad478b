"""The command line: the keyword arguments of `upload` and `export` with dashes, and the runs that a store knows.

Exit status: 0 completed, or the command did what it says; 75 paused, run it again to go on; 1 anything that failed;
2 a wrong command line. Messages go to stderr, results to stdout; no traceback, no password.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from resumable import control
from resumable.checkpoint import CheckpointStore
from resumable.database import redact
from resumable.errors import Paused, ResumableError, UnknownRun, UsageError
from resumable.export import export
from resumable.pipeline import Pipeline, pause, runs
from resumable.progress import Progress, show
from resumable.rebuild import rebuild
from resumable.stores import open_store
from resumable.upload import upload

__all__ = ["main"]

DONE, FAILED, WRONG, PAUSED = 0, 1, 2, 75

EPILOG = """\
A run can be stopped at any moment: Ctrl-C, kill -9, a power cut. The same line again goes on from the last commit.
Until everything is in, the target is as it was; `resumable terminate NAME` leaves it so.

  resumable upload orders.csv sqlite:///shop.db orders
  resumable upload orders.csv postgresql://me@db/shop orders --if-exists upsert --key id
  resumable export sqlite:///shop.db orders orders.csv
  resumable export postgresql://me@db/shop --query 'select id, total from orders' --key id totals.csv
  resumable list

Passwords: PGPASSWORD, ~/.pgpass, RESUMABLE_TARGET_URL, RESUMABLE_SOURCE_URL, or in the URL; none is ever stored.
Exit status: 0 completed, 75 paused (run it again to go on), 1 failed, 2 wrong command line.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:  # argparse has said what is wrong
        return int(end.code or 0)
    try:
        command: Callable[[argparse.Namespace], int] = arguments.command
        return command(arguments)
    except Paused as paused:
        return _say(paused, PAUSED)
    except UsageError as error:
        return _say(error, WRONG)
    except ResumableError as error:
        return _say(error, FAILED)
    except KeyboardInterrupt:
        return _say("Interrupted. What was committed is safe; the same line goes on.", PAUSED)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _say("Nobody reads the output any more: paused. The same line goes on.", PAUSED)
    except Exception as error:
        if os.environ.get("RESUMABLE_DEBUG"):
            raise
        what = redact(f"{type(error).__name__}: {error}")
        return _say(
            f"{what}. What was committed is safe. This is a fault of resumable's own: "
            "RESUMABLE_DEBUG=1 shows where it happened.",
            FAILED,
        )


def _say(message: object, status: int) -> int:
    print(f"resumable: {message}", file=sys.stderr, flush=True)
    return status


# --------------------------------------------------------------------------------------------- commands


def _upload(a: argparse.Namespace) -> int:
    options = _given(a, "if_exists", "on_bad_row", "quarantine", "name", "store", "every", "schema")
    options |= _given(a, "delimiter", "quote", "encoding", "identity")
    if a.null is not None:
        options["null_values"] = tuple(a.null)
    if a.no_header:
        options["header"] = False
    pipeline = upload(
        a.source, a.target, a.table, key=_names(a.key), columns=_columns(a.columns), staging=not a.no_staging, **options
    )
    return _run(pipeline, a)


def _export(a: argparse.Namespace) -> int:
    options = _given(a, "if_exists", "name", "store", "every", "schema", "format", "delimiter")
    if len(a.what) != (1 if a.query else 2):
        raise UsageError(
            "Give SOURCE TABLE TARGET, or SOURCE --query SQL --key COLUMN TARGET.",
            do="`resumable export --help` shows examples.",
        )
    if a.no_header:
        options["header"] = False
    if a.spreadsheet_safe:
        options["spreadsheet_safe"] = True
    what = a.query or a.what[0]
    return _run(export(a.source, what, a.what[-1], key=_names(a.key), **options), a)


def _resume(a: argparse.Namespace) -> int:
    return _run(rebuild(open_store(a.store), a.name, source=a.source, target=a.target), a)


def _terminate(a: argparse.Namespace) -> int:
    store = open_store(a.store)
    record = store.load(a.name)
    if control.may_live(record):
        control.ask(store, a.name, "terminate")
        record = control.wait_until_idle(store, a.name, a.wait)
    if control.status(record) != "terminated":
        rebuild(store, a.name, source=a.source, target=a.target).terminate(a.wait)
    return _say(f"{a.name} is terminated: the target is as it was before.", DONE)


def _pause(a: argparse.Namespace) -> int:
    store = open_store(a.store)
    pause(store, a.name, a.wait)
    return _say(f"{a.name} is {control.status(store.load(a.name))}.", DONE)


def _list(a: argparse.Namespace) -> int:
    found = runs(a.store)
    if a.json:
        _print(*(json.dumps(run.to_dict()) for run in found))
    elif not found:
        _say("No runs here.", DONE)
    else:
        _print(*(_line(run) for run in found))
    return DONE


def _status(a: argparse.Namespace) -> int:
    store: CheckpointStore = open_store(a.store)
    record = store.load(a.name)
    if record is None:
        raise UnknownRun(f"No run {a.name!r} is known here.", do="`resumable list` shows the runs that are.")
    run = Progress.of(a.name, control.status(record), record.checkpoint)
    _print(json.dumps(run.to_dict()) if a.json else _line(run))
    return DONE


def _line(run: Progress) -> str:
    return f"{run}{' - ' + run.message if run.message else ''}"


def _print(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


# --------------------------------------------------------------------------------------------- running


def _run(pipeline: Pipeline, a: argparse.Namespace) -> int:
    if a.explain:
        _print(pipeline.explain())
        return DONE
    steps = pipeline.steps(takeover=a.takeover, restart=getattr(a, "restart", False))
    last: Progress | None = None
    try:
        with _signals(pipeline), contextlib.closing(steps):
            for last in steps if a.json else show(steps, lines=True):
                if a.json:
                    _print(json.dumps(last.to_dict()))
    except ResumableError as error:
        if a.json:
            _print(json.dumps({**pipeline.progress.to_dict(), "message": str(error)}))
        raise
    assert last is not None
    if last.message:
        _say(f"{last.name}: {last.message}.", DONE)
    return DONE


@contextlib.contextmanager
def _signals(pipeline: Pipeline) -> Iterator[None]:
    """Ctrl-C and SIGTERM pause at the next commit; a second one doesn't wait for it."""

    def stop(number: int, frame: object) -> None:
        for which in before:
            signal.signal(which, signal.default_int_handler)
        pipeline.stop()

    before: dict[signal.Signals, Any] = {}
    try:
        for which in (signal.SIGINT, signal.SIGTERM):
            before[which] = signal.signal(which, stop)
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)


def _given(a: argparse.Namespace, *names: str) -> dict[str, Any]:
    return {name: getattr(a, name) for name in names if getattr(a, name) is not None}


def _names(given: list[str] | None) -> list[str] | None:
    """`--key a,b` and `--key a --key b` are the same."""
    return [name for part in given for name in part.split(",")] if given else None


def _columns(given: list[str] | None) -> dict[str, str] | None:
    pairs = [pair.rpartition("=")[::2] for pair in given or ()]
    if any(not name or not kind for name, kind in pairs):
        raise UsageError("--columns takes NAME=TYPE.", do="For example --columns zip=string --columns total='decimal(12,2)'.")
    return dict(pairs) or None


# ---------------------------------------------------------------------------------------- the arguments


def _parser() -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="resumable",
        description="Move many rows, stop at any moment, go on or call it off: exactly once.",
        epilog=EPILOG,
        formatter_class=form,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Callable[[argparse.Namespace], int], about: str, epilog: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=about, description=about, epilog=epilog, formatter_class=form)
        made.set_defaults(command=run)
        made.add_argument("--store", metavar="WHERE", help="folder or URL of the checkpoints (RESUMABLE_STORE, .resumable)")
        return made

    def runnable(made: argparse.ArgumentParser) -> None:
        made.add_argument("--takeover", action="store_true", help="fence off a runner that may still live")
        made.add_argument("--json", action="store_true", help="one JSON object a line at each commit and at the end")
        made.add_argument("--explain", action="store_true", help="say what would be done, and do nothing")

    def definition(made: argparse.ArgumentParser) -> None:
        made.add_argument("--name", help="the run's name; made from source, target and table if left out")
        made.add_argument("--every", type=float, metavar="SECONDS", help="between commits (1.0)")
        made.add_argument("--schema", help="the database schema of the table")
        made.add_argument("--delimiter", metavar="C", help="between fields (,)")
        made.add_argument("--no-header", action="store_true", help="the file has, or gets, no header")
        made.add_argument("--restart", action="store_true", help="undo what is there of the run and begin anew")

    up = command(
        "upload",
        _upload,
        "Load a CSV file into a table of SQLite or PostgreSQL.",
        "example: resumable upload orders.csv sqlite:///shop.db orders\n\n"
        "An unquoted empty field is NULL, a quoted one the empty string; --null adds other spellings:\n"
        "  resumable upload flights.csv sqlite:///f.db flights --null '' --null NA",
    )
    up.add_argument("source", metavar="SOURCE", help="path of the CSV file")
    up.add_argument("target", metavar="TARGET", help="URL of the database, like sqlite:///shop.db")
    up.add_argument("table", metavar="TABLE", help="table to load into")
    up.add_argument("--if-exists", choices=["fail", "replace", "append", "upsert"], help="when the table is there (fail)")
    up.add_argument("--key", action="append", metavar="COL", help="upsert's key, or a new table's primary key")
    up.add_argument("--columns", action="append", metavar="NAME=TYPE", help="a column's type, instead of the inferred one")
    up.add_argument("--null", action="append", metavar="TEXT", help="an unquoted field that means NULL (the empty one)")
    up.add_argument("--on-bad-row", choices=["raise", "quarantine"], help="stop at a row that doesn't fit, or put it aside")
    up.add_argument("--quarantine", metavar="FILE", help="where to (SOURCE.rejected.jsonl)")
    up.add_argument("--no-staging", action="store_true", help="load in plain view, into a table the run makes itself")
    up.add_argument("--quote", metavar="C", help='around fields (")')
    up.add_argument("--encoding", help="of the file (utf-8)")
    up.add_argument("--identity", choices=["sampled", "full"], help="full: check all that was read before going on")
    definition(up)
    runnable(up)

    out = command(
        "export",
        _export,
        "Write a table or a query to a CSV file.",
        "examples: resumable export sqlite:///shop.db orders orders.csv\n"
        "          resumable export sqlite:///shop.db --query 'select * from orders' --key id orders.csv",
    )
    out.add_argument("source", metavar="SOURCE", help="URL of the database")
    out.add_argument("what", nargs="+", metavar="TABLE TARGET", help="table (left out with --query) and path of the file")
    out.add_argument("--query", metavar="SQL", help="a select instead of a table; needs --key")
    out.add_argument("--key", action="append", metavar="COL", help="unique columns without NULL to read in the order of")
    out.add_argument("--if-exists", choices=["fail", "replace"], help="when the file is there (fail)")
    out.add_argument("--format", choices=["csv"], help="of the file, if its name doesn't say")
    out.add_argument("--spreadsheet-safe", action="store_true", help="disarm formulas; doesn't read back the same")
    definition(out)
    runnable(out)

    again = command("resume", _resume, "Go on with a run, from what the store remembers of it.")
    stop = command("terminate", _terminate, "Call a run off: the target is as it was before.")
    hold = command("pause", _pause, "Stop a run at its next commit.")
    show_one = command("status", _status, "Show where a run stands.")
    show_all = command("list", _list, "Show all runs that the store knows.")
    for made in (again, stop, hold, show_one):
        made.add_argument("name", metavar="NAME", help="of the run, as `resumable list` shows it")
    for made in (again, stop):
        made.add_argument("--source", metavar="URL", help="again, with its password, or in RESUMABLE_SOURCE_URL")
        made.add_argument("--target", metavar="URL", help="again, with its password, or in RESUMABLE_TARGET_URL")
    for made in (stop, hold):
        made.add_argument("--wait", type=float, default=30.0, metavar="SECONDS", help="for a live runner to stop (30)")
    for made in (show_one, show_all):
        made.add_argument("--json", action="store_true", help="one JSON object a line")
    runnable(again)
    return parser

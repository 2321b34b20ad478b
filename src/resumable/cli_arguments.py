"""The arguments of the command line, and the help that teaches them. What each command does is in cli.py.

Options are the keyword arguments of `upload` and `export` with dashes; one that isn't given is None, so that the
functions' own defaults hold, and the help tells them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import NoReturn

from resumable.formats.registry import names

__all__ = ["parse"]

ABOUT = "Move many rows between files and databases; stop at any moment, go on, or call it off. Every row exactly once."

EPILOG = """\
Load a file, stop it (Ctrl-C, kill -9, a power cut), and go on by the same line:

  resumable upload orders.csv sqlite:///shop.db orders
  resumable upload orders.csv sqlite:///shop.db orders

Until everything is in, the target is as it was. See where it stands, go on from anywhere, or leave it as it was:

  resumable list
  resumable resume NAME
  resumable terminate NAME

`resumable COMMAND --help` shows all options, with examples.

passwords: in PGPASSWORD, ~/.pgpass, RESUMABLE_TARGET_URL or RESUMABLE_SOURCE_URL, or in the URL; none is ever stored.
checkpoints: in the folder .resumable, or where --store or RESUMABLE_STORE says.
exit status: 0 completed, 75 paused (run it again to go on), 1 failed, 2 wrong command line.
"""

UPLOAD = """\
examples:
  resumable upload orders.csv sqlite:///shop.db orders
      a new table; its column types are found out from the file
  resumable upload orders.csv postgresql://me@db/shop orders --if-exists upsert --key id
      into a table that is there: new rows are added, known ones updated
  resumable upload orders.csv sqlite:///shop.db orders --explain
      what would be done, and which words keep a column from being a number
  resumable upload flights.csv sqlite:///f.db flights --null '' --null NA --columns tailnum=string
      fields that are empty or NA are NULL; only the empty one is by itself
  resumable upload orders.csv sqlite:///shop.db orders --on-bad-row quarantine
      also when it has stopped at a row that doesn't fit: goes on, and puts such rows into orders.csv.rejected.jsonl
"""

EXPORT = """\
examples:
  resumable export sqlite:///shop.db orders orders.csv
      in the order of the table's primary key
  resumable export postgresql://me@db/shop --query 'select id, total from orders' --key id totals.csv
      columns that are together unique and never NULL, by whose order it can go on; without --key, a query or a
      table that has no key is read in one snapshot, and going on begins again from the start
  resumable export sqlite:///shop.db orders orders.csv --if-exists replace
      the old file stays whole until the new one is
"""

RESUME = """\
The same line as before does it too. What the store doesn't keep is the password:
  RESUMABLE_TARGET_URL=postgresql://me:...@db/shop resumable resume NAME
"""

TERMINATE = """\
A live runner is asked to roll back and end; where none lives, this command rolls back itself.
A completed run can't be terminated any more.
"""

PAUSE = "Then `resumable resume NAME`, or the line that began it, goes on. A run that isn't running is left as it is.\n"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong without repeating a password."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        told = message.partition(":")[0] if "@" in message else message  # it quotes what was typed
        print(f"resumable: {told}. `{self.prog} --help` shows examples.", file=sys.stderr)
        raise SystemExit(2)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """What the words mean; `command` in it is the command's name. `SystemExit` when that's all: help, or what is wrong."""
    # argparse takes no positional argument that may be missing in the middle, with options on either side.
    query = any(word.partition("=")[0] == "--query" for word in words)
    top = _parser(query=query)
    if not words:
        top.print_help(sys.stderr)
        raise SystemExit(2)
    return top.parse_args(words)


def _parser(*, query: bool) -> argparse.ArgumentParser:
    form = argparse.RawDescriptionHelpFormatter
    top = _Parser(prog="resumable", description=ABOUT, epilog=EPILOG, formatter_class=form, allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"resumable {_version()}")
    commands = top.add_subparsers(required=True, metavar="COMMAND", dest="command", title="commands")

    def command(name: str, about: str, epilog: str = "") -> argparse.ArgumentParser:
        made = commands.add_parser(
            name, help=about, description=about, epilog=epilog, formatter_class=form, allow_abbrev=False
        )
        assert isinstance(made, argparse.ArgumentParser)
        return made

    _upload(command("upload", "Load a CSV file into a table of SQLite or PostgreSQL.", UPLOAD))
    _export(command("export", "Write a table or the rows of a query into a CSV file.", EXPORT), query=query)
    resume = command("resume", "Go on with a run, from what the store remembers of it.", RESUME)
    terminate = command("terminate", "Call a run off: the target is as it was before.", TERMINATE)
    pause = command("pause", "Stop a run at its next commit.", PAUSE)
    status = command("status", "Show where a run stands.")
    everything = command("list", "Show all runs that the store knows.")
    for made in (resume, terminate, pause, status):
        made.add_argument("name", metavar="NAME", help="the run's name, as `resumable list` shows it")
    for made in (resume, terminate):
        made.add_argument(
            "--source", metavar="URL", help="the source again, with its password; or RESUMABLE_SOURCE_URL"
        )
        made.add_argument(
            "--target", metavar="URL", help="the target again, with its password; or RESUMABLE_TARGET_URL"
        )
    resume.add_argument(
        "--queue", action="store_true", help="leave it to a worker that serves the store (resumable.celery)"
    )
    for made in (terminate, pause):
        made.add_argument(
            "--wait", type=float, default=30.0, metavar="SECONDS", help="how long a live runner may take (30)"
        )
    for made in (status, everything):
        made.add_argument(
            "--json", action="store_true", help="one JSON object a line: name, status, rows, fraction, ..."
        )
    for made in (resume, terminate, pause, status, everything):
        _store(made)
    _acts(resume)
    return top


def _upload(up: argparse.ArgumentParser) -> None:
    up.add_argument("source", metavar="SOURCE", help="path of the CSV file")
    up.add_argument("target", metavar="TARGET", help="URL of the database: sqlite:///shop.db, postgresql://me@db/shop")
    up.add_argument(
        "table", metavar="TABLE", help="name of the table to load into; schema.table where there is such a schema"
    )

    how = up.add_argument_group("the table")
    how.add_argument(
        "--if-exists",
        choices=["fail", "replace", "append", "upsert"],
        help="when the table is there: refuse (fail, the default), replace its rows, add to them, or add and update by --key",
    )
    how.add_argument(
        "--key",
        action="append",
        metavar="COL",
        help="key of an upsert, or primary key of a new table (none): --key a,b",
    )
    how.add_argument(
        "--columns",
        action="append",
        metavar="NAME=TYPE",
        help="a column's type, instead of the inferred one: --columns zip=string --columns total='decimal(12,2)'; "
        "types are int64, float64, string, bool, date, time, timestamp, timestamptz, binary, decimal(p,s)",
    )
    how.add_argument("--schema", metavar="NAME", help="database schema of the table (the connection's own)")
    how.add_argument(
        "--staging-schema",
        metavar="NAME",
        help="another schema, for staging and ledger: where you may make tables, if not beside the table (PostgreSQL)",
    )
    how.add_argument(
        "--no-staging", action="store_true", help="load in plain view, into a table the run makes (unseen till the end)"
    )

    rows = up.add_argument_group("rows that don't fit")
    rows.add_argument(
        "--on-bad-row",
        choices=["raise", "quarantine"],
        help="stop there (raise, the default), or put it aside and go on",
    )
    rows.add_argument("--quarantine", metavar="FILE", help="where to put it (SOURCE.rejected.jsonl)")

    file = up.add_argument_group("the file's format")
    file.add_argument("--format", choices=names(write=False), help="of the file (from its name)")
    file.add_argument("--delimiter", metavar="C", help="between fields (a comma; a tab in *.tsv): ';' or '\\t'")
    file.add_argument("--quote", metavar="C", help="around fields (\"); '' if quotes are ordinary characters")
    file.add_argument(
        "--null",
        action="append",
        metavar="TEXT",
        help="an unquoted field that means NULL ('', the empty one); may repeat",
    )
    file.add_argument("--encoding", metavar="NAME", help="of the file (utf-8): latin-1, cp1252, ...")
    file.add_argument(
        "--no-header", action="store_true", help="its first line is a row; columns are c1, c2, ... or --names"
    )
    file.add_argument("--names", metavar="A,B,C", help="names of the columns, instead of the header's")
    file.add_argument(
        "--max-record",
        type=int,
        metavar="BYTES",
        help="how long a row may be (8388608); a quote that isn't closed within it spoils its line only",
    )
    file.add_argument(
        "--identity",
        choices=["sampled", "full"],
        help="how to see that it hasn't changed before going on: by size, head and tail (sampled, the default), "
        "or by all that was read (full)",
    )
    _run(up)


def _export(out: argparse.ArgumentParser, *, query: bool) -> None:
    out.usage = "resumable export SOURCE TABLE TARGET [options]\n       resumable export SOURCE --query SQL [--key COL] TARGET [options]"
    out.add_argument("source", metavar="SOURCE", help="URL of the database: sqlite:///shop.db, postgresql://me@db/shop")
    if not query:
        out.add_argument(
            "table", metavar="TABLE", help="name of the table or view, or schema.table; left out with --query"
        )
    out.add_argument("target", metavar="TARGET", help="path of the CSV file")

    rows = out.add_argument_group("the rows")
    rows.add_argument("--query", metavar="SQL", help="a select instead of a table; better with --key")
    rows.add_argument(
        "--key",
        action="append",
        metavar="COL",
        help="unique columns without NULL, to read in the order of (the primary key): --key a,b",
    )
    rows.add_argument("--schema", metavar="NAME", help="database schema of the table (the connection's own)")

    file = out.add_argument_group("the file")
    file.add_argument(
        "--if-exists",
        choices=["fail", "replace"],
        help="when the file is there: refuse (fail, the default), or replace it when all is written",
    )
    file.add_argument("--format", choices=names(write=True), help="of the file (from its name)")
    file.add_argument("--delimiter", metavar="C", help="between fields (a comma; a tab in *.tsv): ';' or '\\t'")
    file.add_argument("--null", metavar="TEXT", help='how NULL is written (as nothing; the empty string is "")')
    file.add_argument("--no-header", action="store_true", help="write no line of column names")
    file.add_argument(
        "--spreadsheet-safe",
        action="store_true",
        help="put ' before text that a spreadsheet would run as a formula; it doesn't read back the same",
    )
    _run(out)


def _run(made: argparse.ArgumentParser) -> None:
    run = made.add_argument_group("the run")
    run.add_argument("--name", help="its name (made from source, target and table)")
    _store(run)
    run.add_argument("--every", type=float, metavar="SECONDS", help="time between commits (1.0)")
    run.add_argument(
        "--reconnect",
        type=float,
        metavar="SECONDS",
        help="how long to try to get a lost connection back before the run fails (300); 0: not at all",
    )
    run.add_argument("--restart", action="store_true", help="undo what is there of the run, and begin anew")
    _acts(run)


def _store(made: argparse._ActionsContainer) -> None:
    made.add_argument(
        "--store",
        metavar="WHERE",
        help="folder or database URL of the checkpoints (RESUMABLE_STORE, else the folder .resumable)",
    )


def _acts(made: argparse._ActionsContainer) -> None:
    made.add_argument("--takeover", action="store_true", help="fence off a runner that may still live, and go on")
    made.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object a line, at each commit and at the end, instead of a bar",
    )
    made.add_argument("--explain", action="store_true", help="say what would be done, and do nothing")


def _version() -> str:
    try:
        return version("resumable-pipelines")
    except PackageNotFoundError:  # used from its source folder
        return "(not installed)"

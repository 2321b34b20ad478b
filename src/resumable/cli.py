"""The command line: runs of `upload` and `export`, and the runs that a store knows.

Exit status: 0 completed, or the command did what it says; 75 paused, run it again to go on; 1 anything that failed;
2 a wrong command line. Messages go to stderr, results to stdout; no traceback, no password.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from resumable.cli_arguments import parse
from resumable.errors import Paused, ResumableError, UsageError
from resumable.redaction import redact
from resumable.terminal import mute, say, utf8

__all__ = ["main"]

COMMANDS = {
    name: ("resumable.cli_runs", name) for name in ("upload", "export", "resume", "terminate", "pause", "status")
}
COMMANDS["list"] = ("resumable.cli_list", "list_runs")
"""Where each command is at home. The modules take a while to load, and help needs neither."""

DONE, FAILED, WRONG, PAUSED = 0, 1, 2, 75


def main(argv: Sequence[str] | None = None, *, begun: Callable[[], None] = lambda: None) -> int:
    """Run one command; the exit status. `begun` is called when all is loaded, and the command begins."""
    try:
        a = parse(sys.argv[1:] if argv is None else argv)
    except SystemExit as end:
        return int(end.code or 0)
    _decode(a)
    try:
        module, function = COMMANDS[a.command]
        command = getattr(import_module(module), function)
        begun()
        status: int = command(a)
        return status
    except Paused as paused:
        return say(paused, PAUSED)
    except UsageError as error:
        return say(error, WRONG)
    except ResumableError as error:
        return say(error, FAILED)
    except KeyboardInterrupt:
        return say("Interrupted. What was committed is safe. The same line goes on.", PAUSED)
    except BrokenPipeError:
        mute()
        if getattr(a, "explain", True):
            return DONE  # `resumable list | head -1` has what it wants
        return say(
            "Nobody reads the output any more: paused. What was committed is safe. The same line goes on.", PAUSED
        )
    except Exception as error:
        if os.environ.get("RESUMABLE_DEBUG"):
            raise
        if isinstance(error, UnicodeEncodeError) and sys.getfilesystemencoding() != "utf-8":
            return say(
                f"This Python is set to {sys.getfilesystemencoding()}, in which {error.object!a} can't be a name. What "
                "was committed is safe. Set PYTHONUTF8=1, or a locale of UTF-8 like LC_ALL=C.UTF-8, and run the same again.",
                FAILED,
            )
        return say(
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

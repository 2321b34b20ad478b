"""The command line from its first moment: imported before all that takes time, and in any other program without effect.

Laws kept here:

* An interrupt (Ctrl-C, SIGTERM) at any moment is one line and status 75, never a traceback: before anything is begun
  at once, in the middle as cli.py says, and when all is done with the status that it has.
* 0, 1 and 2 are open: else the first file to be opened would be taken for them, and what somebody prints would go in.
* What can't be written in the terminal's encoding is written with backslashes.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from itertools import pairwise
from types import FrameType

__all__ = ["main"]

PAUSED = 75
EARLY = "resumable: Interrupted before anything was done. The same line again begins it.\n"

_now: dict[str, int] = {}
"""`running`: whether the command has begun; `ended`: its status, once it has."""


def main() -> int:
    """The command line; the exit status."""
    try:
        from resumable.cli import main as command

        _now["ended"] = status = command(begun=lambda: _now.update(running=1))
    except KeyboardInterrupt:  # a second one, while the first was told
        _now["ended"] = status = PAUSED
    with contextlib.suppress(OSError, ValueError, KeyboardInterrupt):
        sys.stdout.flush()
    return status


def _interrupt(number: int, frame: FrameType | None) -> None:
    if "ended" in _now:
        os._exit(_now["ended"])
    if "running" in _now:
        raise KeyboardInterrupt
    with contextlib.suppress(OSError):
        os.write(2, EARLY.encode())
    os._exit(PAUSED)


def _is_command() -> bool:
    """Whether this process is `resumable ...` or `python -m resumable ...`, of which "-m" is all there is to see yet."""
    name, words = sys.argv[0] if getattr(sys, "argv", None) else "", sys.orig_argv
    if name == "-m":
        return "-mresumable" in words or ("-m", "resumable") in pairwise(words)
    return os.path.splitext(os.path.basename(name))[0] == "resumable"


def _prepare() -> None:
    with contextlib.suppress(ValueError):  # not the main thread
        for which in (signal.SIGINT, signal.SIGTERM):
            signal.signal(which, _interrupt)
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            found = os.open(os.devnull, os.O_RDWR)
            if found != number:
                os.dup2(found, number)
                os.close(found)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "w" if number else "r", encoding="utf-8", closefd=False))  # noqa: SIM115 - it stays
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError, OSError):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


if _is_command():
    _prepare()

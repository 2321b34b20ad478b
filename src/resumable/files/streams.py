"""Paths that are no files: standard input and output, pipes, `<(command)`.

Rows can be read again after a stop only from a file, and taken back after a crash only out of a file. Standard input
that comes from a file (`< rows.csv`) is that file.
"""

from __future__ import annotations

import os
import re
import stat

from resumable.errors import UsageError

__all__ = ["file_to_read", "refuse_stream"]

_STREAMS = re.compile(r"-|/dev/(?:std(?:in|out|err)|fd/[0-9]+)|/proc/(?:self|[0-9]+)/fd/[0-9]+")


def file_to_read(path: str | os.PathLike[str]) -> str:
    """The real path of the file; `-` is standard input. A stream keeps its name, for the message that refuses it."""
    name = os.fspath(path)
    if not _STREAMS.fullmatch(name):
        return os.path.realpath(name)
    name = "/dev/stdin" if name == "-" else name
    real = os.path.realpath(name)
    return real if os.path.isfile(real) else name


def refuse_stream(path: str | os.PathLike[str], what: str) -> None:
    """Raise `UsageError` if `what`, which is to be written, is no file; one that is called `-` is `./-`."""
    name = os.fspath(path)
    try:
        mode = os.stat(name).st_mode
    except (OSError, ValueError):
        mode = stat.S_IFREG
    if _STREAMS.fullmatch(name) or not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise UsageError(
            f"{what} is a file, and {name} is a pipe or a device: what has gone into it can't be taken back.",
            do="Name a file, and send it on when it is there: `resumable ... rows.csv && cat rows.csv`.",
        )

"""What is printed: progress as a bar on a terminal or in a notebook, as plain lines elsewhere, and single messages."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from resumable.errors import ResumableError

if TYPE_CHECKING:
    from resumable.progress import Progress

__all__ = ["in_notebook", "mute", "print_lines", "say", "show", "utf8"]

log = logging.getLogger("resumable")


def say(message: object, status: int) -> int:
    if sys.stderr is not None:  # else it would go to stdout
        with contextlib.suppress(OSError):  # nobody listens: the exit status still tells
            print(f"resumable: {message}", file=sys.stderr, flush=True)
    return status


def print_lines(*lines: str) -> None:
    try:
        for line in lines:
            print(line, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        mute()
        raise ResumableError(
            f"The output can't be written: {error.strerror}.",
            safe="What was committed is safe.",
            do="Make room, or send it elsewhere; then run the same again.",
        ) from None


def mute() -> None:
    """Nothing more can be printed: what Python flushes at its end must not fail again."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            with contextlib.suppress(OSError, ValueError):
                nowhere = os.open(os.devnull, os.O_WRONLY)
                os.dup2(nowhere, stream.fileno())
                os.close(nowhere)


def utf8(word: str) -> str:
    """A word of the command line, or a path, as a Python reads it that is set to UTF-8, whatever this one is set to."""
    try:
        return os.fsencode(word).decode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # it is no such word: it came from elsewhere
        return word


def in_notebook() -> bool:
    """Whether this program is run by a notebook's kernel: Jupyter's, VS Code's, Colab's ..."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None


def show(steps: Iterable[Progress], *, lines: bool = False) -> Iterator[Progress]:
    """Pass the steps on and show them: a tqdm bar where someone watches and tqdm is there, else a line now and then.

    `lines` prints the lines to stderr even where nobody watches; otherwise they go to the logger `resumable`. In a
    notebook bar and lines are plain output: what comes from stderr looks like an error there.
    """
    watched = (sys.stderr is not None and sys.stderr.isatty()) or in_notebook()
    if watched and importlib.util.find_spec("tqdm") is not None:
        yield from _bar(steps)
    else:
        yield from _lines(steps, lines or watched)


def _bar(steps: Iterable[Progress]) -> Iterator[Progress]:
    with warnings.catch_warnings(action="ignore"):  # that ipywidgets isn't there: then the bar is made of letters
        from tqdm.auto import tqdm

    form = "{desc}: {percentage:3.0f}%|{bar}| {unit}"  # not {postfix}, before which tqdm puts a comma
    bar: Any = None
    try:
        for step in steps:
            percent, summary = round(100 * (step.fraction or 0), 1), step.summary()
            if bar is None:
                bar = tqdm(total=100, initial=percent, unit=summary, desc=step.name, bar_format=form, **_place())
            bar.n, bar.unit = percent, summary
            bar.refresh()
            yield step
    finally:
        if bar is not None:
            bar.close()


def _place() -> dict[str, Any]:
    """Where the bar is drawn, and how wide: as the terminal, which may not know how wide it is (a container's)."""
    if in_notebook():
        return {"dynamic_ncols": True, "file": sys.stdout}
    with contextlib.suppress(OSError, ValueError):
        if os.get_terminal_size(sys.stderr.fileno()).columns == 0:
            return {"ncols": 80, "nrows": 24}  # else tqdm would show nothing
    return {"dynamic_ncols": True}


def _lines(steps: Iterable[Progress], printed: bool) -> Iterator[Progress]:
    due = 0.0
    for step in steps:
        if time.monotonic() >= due or step.status != "running" or step.message:
            due = time.monotonic() + 5.0
            if printed:
                _print_step(step)
            else:
                log.info("%s", step)
        yield step


def _print_step(step: Progress) -> None:
    """Where it can't be printed, the run goes on; only a reader that has gone is heard of."""
    out = sys.stdout if in_notebook() else sys.stderr
    if out is not None:  # else it would go to stdout
        try:
            print(step, file=out, flush=True)
        except BrokenPipeError:
            raise
        except OSError:
            pass

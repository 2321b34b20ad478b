"""What the contracts say when something isn't as it should be. Plain `AssertionError`s: any test runner shows them."""

from __future__ import annotations

import difflib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["Inconclusive", "check", "conclusive", "context", "equal", "refused", "world"]

MEMORY = "/dev/shm"  # noqa: S108 - the folder made in it has a name of its own
LONGEST = 300
"""Characters of a value that a message shows."""
MOST = 20
"""Lines of a difference that a message shows."""


class Inconclusive(AssertionError):
    """Nothing was shown, for or against: no kill landed, say. It fails, so that nobody takes it for a proof."""

    def __init__(self, why: str) -> None:
        super().__init__(f"Inconclusive: {why}")


def conclusive(holds: object, why_not: str) -> None:
    """Raise `Inconclusive` unless it holds."""
    if not holds:
        raise Inconclusive(why_not)


def check(holds: object, what: str) -> None:
    """Raise with `what` as the message unless it holds."""
    if not holds:
        raise AssertionError(what)


def equal(expected: object, actual: object, what: str) -> None:
    """Raise unless both are equal; the message begins with `what` was looked at, and shows the difference line by line."""
    if expected != actual:
        raise AssertionError(f"{what} (- should be, + is):{_difference(expected, actual)}")


def refused(kind: type[BaseException] | tuple[type[BaseException], ...], act: Callable[[], object], what: str) -> None:
    """`act` must raise `kind`."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    names = " or ".join(k.__name__ for k in kinds)
    try:
        answer = act()
    except kinds:
        return
    except Exception as error:
        raise AssertionError(f"{what}: should raise {names}, and raised {type(error).__name__}: {error}") from error
    raise AssertionError(f"{what}: should raise {names}, and answered {_shown(answer)}")


@contextmanager
def context(when: str) -> Iterator[None]:
    """Whatever goes wrong within: its message begins with `when`."""
    try:
        yield
    except Inconclusive:
        raise
    except Exception as error:
        message = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        raise AssertionError(f"{when}: {message}") from error


@contextmanager
def world() -> Iterator[Path]:
    """A new empty folder, gone at the end; in memory where that can be had, since a killed process loses nothing by it."""
    memory = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else None
    with tempfile.TemporaryDirectory(prefix="resumable-", dir=memory, ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"


def _difference(expected: object, actual: object) -> str:
    sides = list(_lines(expected)), list(_lines(actual))
    changed = [
        line for line in difflib.unified_diff(*sides, n=0, lineterm="") if not line.startswith(("--- ", "+++ ", "@@ "))
    ]
    more = [f"… and {len(changed) - MOST:,} lines more"] if len(changed) > MOST else []
    return "".join(f"\n  {line[:LONGEST]}" for line in [*changed[:MOST], *more])


def _lines(value: object, where: str = " ") -> Iterator[str]:
    """A line for every row of what is in it, with the key that it lies under."""
    if isinstance(value, str) and "\n" in value:
        yield from (where + line for line in value.split("\n"))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines(inner, f"{where}{key}: ")
    elif isinstance(value, list) or (isinstance(value, tuple) and any(isinstance(i, (list, dict)) for i in value)):
        for inner in value:
            yield from _lines(inner, where)
    else:
        yield f"{where}{value!r}"

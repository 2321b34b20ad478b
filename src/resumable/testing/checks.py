"""What the contracts say when something isn't as it should be. Plain `AssertionError`s: any test runner shows them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["check", "equal", "refused", "told", "world"]

MEMORY = "/dev/shm"  # noqa: S108 - the folder made in it has a name of its own
LONGEST = 2_000
"""Characters of a value that a message shows."""


def check(holds: object, what: str) -> None:
    """`what` is said if it doesn't hold."""
    if not holds:
        raise AssertionError(what)


def equal(expected: object, actual: object, what: str) -> None:
    """`what` was looked at; both values are shown if they differ."""
    if expected != actual:
        raise AssertionError(f"{what}\n  should be: {_shown(expected)}\n  but is:    {_shown(actual)}")


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
def told(when: str) -> Iterator[None]:
    """Whatever goes wrong within is said to have done so `when`."""
    try:
        yield
    except Exception as error:
        said = str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
        raise AssertionError(f"{when}: {said}") from error


@contextmanager
def world() -> Iterator[Path]:
    """A new empty folder, gone at the end; in memory where that can be had, since a killed process loses nothing by it."""
    memory = MEMORY if os.access(MEMORY, os.W_OK | os.X_OK) else None
    with tempfile.TemporaryDirectory(prefix="resumable-", dir=memory, ignore_cleanup_errors=True) as folder:
        yield Path(folder).resolve()


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text):,} characters)"

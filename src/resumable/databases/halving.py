"""The search for the rows that fail: by halving, so that few failing rows among many cost little."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypeVar

__all__ = ["failing_rows"]

Failure = TypeVar("Failure")


def failing_rows(start: int, stop: int, attempt: Callable[[int, int], Failure | None]) -> Iterator[tuple[int, Failure]]:
    """Each row that fails by itself, in order, and why. `attempt(start, stop)` takes rows: None if all of them fit.

    Rows are taken only as far as the results are asked for: `next` stops at the first that fails.
    """
    if start == stop:
        return
    failure = attempt(start, stop)
    if failure is None:
        return
    if stop - start == 1:
        yield start, failure
        return
    middle = (start + stop) // 2
    yield from failing_rows(start, middle, attempt)
    yield from failing_rows(middle, stop, attempt)

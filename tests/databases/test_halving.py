"""The rows that fail are found by halving: all of them, in order, or only the first."""

from __future__ import annotations

from itertools import islice

import pytest

from resumable.databases.halving import failing_rows


@pytest.mark.parametrize("bad", [set(), {0}, {9}, {3, 4}, {0, 5, 9}, set(range(10))])
def test_each_row_that_fails_is_found_and_every_other_one_taken_once(bad: set[int]) -> None:
    """Rows that fit are in exactly one part that was taken."""
    taken: list[int] = []

    def attempt(start: int, stop: int) -> str | None:
        part = range(start, stop)
        if failing := bad.intersection(part):
            return f"row {min(failing)}"
        taken.extend(part)
        return None

    assert [(row, f"row {row}") for row in sorted(bad)] == list(failing_rows(0, 10, attempt))
    assert [row for row in range(10) if row not in bad] == taken


def test_the_first_is_found_without_trying_the_rest() -> None:
    """A million rows cost about forty attempts."""
    attempts: list[tuple[int, int]] = []

    def attempt(start: int, stop: int) -> bool | None:
        attempts.append((start, stop))
        return True if start <= 1_000 < stop or start <= 900_000 < stop else None

    assert [(1_000, True)] == list(islice(failing_rows(0, 1_000_000, attempt), 1))
    assert len(attempts) < 45
    assert all(start <= 1_000 for start, _ in attempts)

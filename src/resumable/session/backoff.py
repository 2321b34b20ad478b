"""How often, and for how long, a lost connection is tried again.

After 0.1 s, then twice as long each time, up to 2 s: a server that is back is found within 2 s. The limit counts from
the first failure after the last commit: a run that makes progress is never given up, and one that makes its server
crash each time is.
"""

from __future__ import annotations

import time

__all__ = ["Backoff"]

FIRST_DELAY, MAX_DELAY = 0.1, 2.0
"""Seconds before the first try, and the most there are between two."""


class Backoff:
    """`limit`: seconds for which to go on trying; 0: not at all."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._number, self._tries, self._since = -1, 0, 0.0

    def delay(self, number: int) -> float | None:
        """Seconds to wait before the next try, at the checkpoint of that number; None if the limit is reached."""
        now = time.monotonic()
        if number != self._number:
            self._number, self._tries, self._since = number, 0, now
        delay = min(FIRST_DELAY * 2.0**self._tries, MAX_DELAY)
        self._tries = min(self._tries + 1, 10)
        return delay if now + delay - self._since < self.limit else None

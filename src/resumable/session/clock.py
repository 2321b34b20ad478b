"""How long a session was active, and the list of all sessions that a checkpoint keeps."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from resumable.checkpoint import Checkpoint, Session

__all__ = ["SessionClock"]

SESSIONS = 100
"""Sessions that a checkpoint lists; older ones are added up into the first."""


class SessionClock:
    """This session's active seconds: without those that the caller's loop took, or a server that was away."""

    def __init__(self) -> None:
        self._started, self._begun, self._away = time.time(), time.monotonic(), 0.0
        self._past: Checkpoint | None = None

    def begin(self, last: Checkpoint) -> None:
        """Count rows and seconds from here on; at a later attempt nothing changes."""
        if self._past is None:
            self._past, self._begun, self._away = last, time.monotonic(), 0.0

    def sessions(self, now: Checkpoint) -> tuple[Session, ...]:
        """All sessions up to now, this one the last."""
        assert self._past is not None
        seconds = round(time.monotonic() - self._begun - self._away, 3)
        past = self._past.sessions
        if len(past) >= SESSIONS:
            first, second = past[:2]
            past = (Session(first.started, first.seconds + second.seconds, first.rows + second.rows), *past[2:])
        return (*past, Session(round(self._started, 3), seconds, now.rows - self._past.rows))

    @contextlib.contextmanager
    def stopped(self) -> Iterator[None]:
        """Leave out the time within."""
        left = time.monotonic()
        yield
        self._away += time.monotonic() - left

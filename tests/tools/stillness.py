"""No time, no threads, no chance: what a run's own code is given in tests where each step is chosen.

A clock that stands still, a heart that doesn't beat, reading ahead in the same thread; and claims with tokens that
tell which session made them, so that a schedule replays to the letter.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from time import localtime, strftime
from types import SimpleNamespace
from typing import Any, Protocol

import greenlet
import pytest

import resumable.session.backoff
import resumable.session.clock
import resumable.session.loop
from resumable.control import claims
from resumable.control.liveness import this_process

__all__ = ["CLOCK", "Still", "at_once", "still"]


class Moment(Protocol):
    """Milliseconds since 1970, and seconds that were slept."""

    now: int
    slept: float


class Clock:
    """Stands still, but for what claims need: the time is always that of the newest claim. Who sleeps wakes at once."""

    at: Moment

    def time(self) -> float:
        return (self.at.now + 0.5) / 1000

    def monotonic(self) -> float:
        return self.at.slept

    def sleep(self, seconds: float) -> None:
        self.at.slept += seconds

    localtime, strftime = staticmethod(localtime), staticmethod(strftime)


class Still:
    """A heart that doesn't beat."""

    def __init__(self, **options: Any) -> None: ...

    def start(self) -> None: ...

    def join(self, timeout: float) -> None: ...

    @staticmethod
    def module() -> Any:
        """In place of `threading` in control.py."""
        return SimpleNamespace(Thread=Still, Lock=threading.Lock, Event=threading.Event, current_thread=lambda: None)


class at_once:
    """Reading in the same thread: the reader thread touches neither store nor sink."""

    def __init__(self, items: Iterator[Any]) -> None:
        self.items = items

    def __enter__(self) -> Iterator[Any]:
        return self.items

    def __exit__(self, *error: object) -> None: ...


CLOCK, OWNER = Clock(), this_process()


def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No clock, no heartbeat, no chance: a schedule replays to the letter."""

    def token(length: int) -> str:
        me = greenlet.getcurrent().__dict__
        me["claims"] += 1
        return f"{me['name']}x{me['claims']}"

    monkeypatch.setattr(claims, "this_process", lambda: OWNER)
    monkeypatch.setattr(claims, "threading", Still.module())
    monkeypatch.setattr(claims, "secrets", SimpleNamespace(token_hex=token))
    for module in (claims, resumable.session.backoff, resumable.session.clock, resumable.session.loop):
        monkeypatch.setattr(module, "time", CLOCK)
    monkeypatch.setattr(resumable.session.loop, "prefetch", at_once)

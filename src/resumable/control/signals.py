"""An interrupt that pauses at the next commit, where it would otherwise strike anywhere."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

__all__ = ["pausing"]


@contextlib.contextmanager
def pausing(stop: Callable[[], None], *numbers: signal.Signals) -> Iterator[None]:
    """Within it the first of these signals calls `stop`; a second one doesn't wait: it is a `KeyboardInterrupt`.

    In another thread than the main one it does nothing: there signals are the program's own business.
    """

    def first(number: int, frame: object) -> None:
        for which in before:
            signal.signal(which, signal.default_int_handler)
        stop()

    before: dict[signal.Signals, Any] = {}
    try:
        with contextlib.suppress(ValueError):  # not the main thread
            for which in numbers:
                before[which] = signal.signal(which, first)
        yield
    finally:
        for which, handler in before.items():
            signal.signal(which, handler)

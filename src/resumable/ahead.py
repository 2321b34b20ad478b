"""Reading runs ahead of writing, in one thread, by a bounded number of batches.

The position rides on the batch, so whatever was read ahead and not committed is simply read again.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Generator, Iterator
from typing import TypeVar

__all__ = ["ahead"]

T = TypeVar("T")

DEPTH = 2
"""Batches that may wait; with the one being read and the one being written, memory holds about four."""
TICK = 0.1
"""Seconds after which a waiting reader gets None, so that it can look at clock and requests."""


@contextlib.contextmanager
def ahead(items: Generator[T, None, None]) -> Iterator[Iterator[T | None]]:
    """The items, read in a thread; None whenever none has come for `TICK` seconds. Its errors are raised here."""
    ready: queue.Queue[tuple[T | None, BaseException | None]] = queue.Queue(DEPTH)
    stop = threading.Event()

    def put(item: T | None, error: BaseException | None = None) -> None:
        while not stop.is_set():
            with contextlib.suppress(queue.Full):
                return ready.put((item, error), timeout=TICK)

    def read() -> None:
        try:
            with contextlib.closing(items):
                for item in items:
                    put(item)
                    if stop.is_set():
                        return
            put(None, StopIteration())
        except BaseException as error:
            put(None, error)

    def take() -> Iterator[T | None]:
        while True:
            try:
                item, error = ready.get(timeout=TICK)
            except queue.Empty:
                item, error = None, None
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            yield item

    thread = threading.Thread(target=read, name="resumable reader", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stop.set()
        # A reader that waits for a slow server ends by itself later; a pause doesn't wait for it.
        thread.join(timeout=0.5)

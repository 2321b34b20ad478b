"""Reading runs ahead of writing, in one thread, by a bounded number of batches.

The position rides on the batch, so whatever was read ahead and not committed is simply read again.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import weakref
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

__all__ = ["prefetch"]

T = TypeVar("T")

DEPTH = 2
"""Batches that may wait; with the one being read and the one being written, memory holds about four."""
TICK = 0.1
"""Seconds after which a waiting reader gets None, so that it can look at clock and requests."""


class prefetch(Generic[T]):
    """The items, read in a thread; None whenever none has come for `TICK` seconds. Its errors are raised here.

    A context manager, and a class: between the thread's start and the caller's block there is no line at which an
    interrupt could leave the reader behind. Where one strikes in the leaving itself, the reader ends with its taker.
    """

    def __init__(self, items: Generator[T, None, None]) -> None:
        self._ready = ready = queue.Queue[tuple[T | None, BaseException | None]](DEPTH)
        self._stop = threading.Event()
        self._taker = _take(ready)
        self._thread = threading.Thread(
            target=_read,
            args=(items, ready, self._stop, weakref.ref(self._taker)),
            name="resumable reader",
            daemon=True,
        )

    def __enter__(self) -> Iterator[T | None]:
        try:
            self._thread.start()
            return self._taker
        except BaseException:
            self.__exit__()
            raise

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        with contextlib.suppress(queue.Empty):  # a reader that waits for room goes on at once, and sees that it ends
            while True:
                self._ready.get_nowait()
        # A reader that waits for a slow server ends by itself later; a pause doesn't wait for it.
        with contextlib.suppress(RuntimeError):  # an interrupt came before its start
            self._thread.join(timeout=0.5)


def _take(ready: queue.Queue[tuple[T | None, BaseException | None]]) -> Generator[T | None, None, None]:
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


def _read(
    items: Generator[T, None, None],
    ready: queue.Queue[tuple[T | None, BaseException | None]],
    stop: threading.Event,
    taker: weakref.ref[Generator[T | None, None, None]],
) -> None:
    def put(item: T | None, error: BaseException | None = None) -> bool:
        while not stop.is_set() and taker() is not None:
            with contextlib.suppress(queue.Full):
                ready.put((item, error), timeout=TICK)
                return True
        return False

    try:
        with contextlib.closing(items):
            for item in items:
                if not put(item) or stop.is_set():
                    return
        put(None, StopIteration())
    except BaseException as error:
        put(None, error)

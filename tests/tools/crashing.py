"""A crash at any change that is asked of the file system."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator


class Crash(BaseException):
    """The process is gone; nothing catches this."""


CALLS = ("open", "pwrite", "fsync", "rename", "link", "unlink", "ftruncate", "fchmod")


@contextlib.contextmanager
def crashing(at: int, *, after: bool) -> Iterator[None]:
    """The `at`-th change asked of the system is the last: it is done (`after`) or not, and so is every later one."""
    count = itertools.count()
    real = {name: getattr(os, name) for name in CALLS}

    def dying(name):
        def call(*args, **options):
            number = next(count)
            if number > at or (number == at and not after):
                raise Crash
            result = real[name](*args, **options)
            if number == at:
                if name == "open":
                    os.close(result)
                raise Crash
            return result

        return call

    for name in CALLS:
        setattr(os, name, dying(name))
    try:
        yield
    finally:
        for name in CALLS:
            setattr(os, name, real[name])

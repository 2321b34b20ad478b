"""Imported by a fork server under libfaketime: what its processes need besides a false clock.

libfaketime 0.9.10 with DONT_FAKE_MONOTONIC breaks clock_nanosleep: `time.sleep` is select(2) here. With ELSEWHERE in
the environment a process gives itself out as one of another machine, so that only its heartbeat tells that it lives.
With GATE its work stands still in mid-run until that file is there, and its heart beats on.
"""

from __future__ import annotations

import os
import select
import time
from dataclasses import replace

from resumable.checkpoint import Checkpoint, Owner
from resumable.control import claims
from resumable.control.claims import Asked, Claim
from resumable.control.liveness import this_process

MIDDLE = 5
"""The checkpoint after which a process stands before its gate."""

_me, _save = this_process, Claim.save


def me() -> Owner:
    """This process, or one of the machine that ELSEWHERE names."""
    there = os.environ.get("ELSEWHERE")
    return replace(_me(), host=there, boot=there) if there else _me()


def save(self: Claim, checkpoint: Checkpoint, *, release: bool = False) -> Asked:
    """Wait for the gate, then save."""
    gate = os.environ.get("GATE")
    while gate and checkpoint.number > MIDDLE and not os.path.exists(gate):
        time.sleep(0.01)
    return _save(self, checkpoint, release=release)


claims.this_process, Claim.save = me, save
time.sleep = lambda seconds: select.select((), (), (), seconds) and None

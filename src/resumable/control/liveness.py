"""Who lives: whether the process that made a claim is still there, as far as the kernel of this machine can tell.

Process ids are reused, and pid 1 of a container always looks alive: so the machine's boot, the process-id namespace and
the process's start time are compared as well.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time

from resumable.checkpoint import Owner

__all__ = ["alive", "own_tokens", "this_process"]

own_tokens: set[str] = set()
"""The tokens of the claims that live in this process."""


def _read(path: str) -> str:
    with contextlib.suppress(OSError), open(path) as file:
        return file.read().strip()
    return ""


def _start_time(pid: int) -> str | None:
    """When a process of this machine began, as the kernel says it; None if there is none, or only a zombie."""
    if sys.platform == "linux":
        fields = _read(f"/proc/{pid}/stat").rpartition(")")[2].split()
        return None if not fields or fields[0] in "ZX" else fields[19]
    out = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return out.stdout.strip() or None


def this_process() -> Owner:
    """This process."""
    pid, pid_namespace = os.getpid(), ""
    with contextlib.suppress(OSError):
        pid_namespace = os.readlink("/proc/self/ns/pid")
    return Owner(
        host=socket.gethostname(),
        boot=_read("/proc/sys/kernel/random/boot_id"),
        pid_namespace=pid_namespace,
        pid=pid,
        start_time=_start_time(pid) or "",
        since=time.time(),
    )


def alive(owner: Owner, token: str) -> bool | None:
    """Whether the owner of a claim lives; None if this machine can't tell."""
    here = this_process()
    if (owner.host, owner.boot, owner.pid_namespace) != (here.host, here.boot, here.pid_namespace):
        return None
    if owner.pid == here.pid and owner.start_time == here.start_time:
        return token in own_tokens
    return _start_time(owner.pid) == owner.start_time if owner.start_time else None  # without /proc nobody can tell

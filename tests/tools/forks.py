"""Processes for the price of a fork: a server that has imported everything already, and makes one whenever asked.

A Python that imports pyarrow and SQLAlchemy takes half a second to begin; a fork of one takes some milliseconds.
What is made is a process like any other: its own id, environment, folder and files, and a child of whoever asked
for it, who may stop, kill and await it. The server is single-threaded and has never run a pipeline, so that nothing
but modules is inherited. It ends with whoever started it. Linux only, as are PR_SET_CHILD_SUBREAPER and pidfd.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

__all__ = ["Forks", "Process"]

SERVER = Path(__file__).with_name("server.py")
PR_SET_CHILD_SUBREAPER = 36


class Process:
    """A child of this process, with as much of `subprocess.Popen` as is needed."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit status, or minus the signal that ended it; None while it runs."""
        return self._reap(os.WNOHANG)

    def wait(self, timeout: float) -> int:
        """The same, once it has ended; `subprocess.TimeoutExpired` if it hasn't after so many seconds."""
        if self.returncode is None:
            fd = os.pidfd_open(self.pid)
            try:
                if not select.select([fd], [], [], timeout)[0]:
                    raise subprocess.TimeoutExpired(str(self.pid), timeout)
            finally:
                os.close(fd)
        status = self._reap(0)
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        """As kill(2): nothing is sent to one that was seen to have ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _reap(self, options: int) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, options)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class Forks:
    """A fork server, in which a batch has at most `rows` rows.

    `modules` of tests/crash are imported beforehand. `preload`: a library for LD_PRELOAD.
    """

    def __init__(self, *modules: str, rows: int = 1_000, preload: Path | None = None) -> None:
        ours = os.environ.get("PYTHONPATH")
        self.environment = os.environ | {
            "JOB_ROWS": str(rows),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(SERVER.parent), str(SERVER.parent.parent), ours))),
        }
        """The server's: another Python started in it is like it, without the forking."""
        if preload is not None:
            self.environment["LD_PRELOAD"] = str(preload)
        self._lock = threading.Lock()
        self._asking, asked = socket.socketpair()
        with asked:
            self._server = subprocess.Popen(
                [sys.executable, str(SERVER), str(asked.fileno()), *modules],
                pass_fds=[asked.fileno()], stdin=subprocess.DEVNULL, env=self.environment,
            )  # fmt: skip
        self._answers = self._asking.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._answers.close()
        self._asking.close()
        self._server.wait(60)

    def start(self, call: str, *args: Any, out: Path, err: Path, cwd: Path | None = None) -> Process:
        """A process that calls `module:function` with arguments that JSON can hold, and exits with what it returns.

        `out` and `err` take what it prints. Its environment is ours, without what speaks to `resumable`.
        """
        for path in (out, err):
            path.write_bytes(b"")
        request = {
            "call": call, "args": args, "out": str(out.resolve()), "err": str(err.resolve()),
            "cwd": str(cwd or Path.cwd()),
            "env": {k: v for k, v in os.environ.items() if not k.startswith("RESUMABLE")},
        }  # fmt: skip
        with self._lock, _adopting():
            self._asking.sendall(json.dumps(request).encode() + b"\n")
            answer = self._answers.readline()
        assert answer, "the fork server has ended"
        return Process(int(answer))


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Whoever is orphaned below us becomes our child; not for longer, or other tests' orphans would be ours to bury."""
    libc = ctypes.CDLL(None)
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)

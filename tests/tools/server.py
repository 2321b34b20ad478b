"""`python server.py FD MODULE ...`: for each line of JSON from the socket FD it forks a process; see `forks.py` for what is asked.

All that a run may import is imported before, and the modules that are named. The process is the child of a child that ends at once: orphaned, it
becomes the child of whoever asked.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
import sys
from typing import Any

MODULES = (
    "pandas",
    "psycopg",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.pandas_compat",
    "pyarrow.vendored.version",
    "redis",
    "sqlalchemy.dialects.postgresql.psycopg",
    "sqlalchemy.dialects.sqlite.pysqlite",
)
"""What the package, or pyarrow, imports only where it is used."""

ALONE = {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
"""What keeps libraries from starting threads as they are loaded."""


def prepare(modules: list[str]) -> None:
    """Import everything; a driver that isn't installed is missing in the jobs as well."""
    os.environ.update(ALONE)
    importlib.import_module("job")  # sets the limits, before anything else of the package is loaded
    package = importlib.import_module("resumable")
    ours = [m.name for m in pkgutil.walk_packages(package.__path__, "resumable.") if not m.name.endswith("__main__")]
    for name in (*ours, *MODULES):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name in modules:
        importlib.import_module(name)
    assert 1 == len(os.listdir("/proc/self/task")), "a thread would be missing in every fork"
    gc.freeze()  # what is there stays shared between the forks


def serve(fd: int) -> int:
    """Answer each request with a process id; in the process itself, do what was asked."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the jobs and for whoever started us
    with socket.socket(fileno=fd) as asked, asked.makefile("rb") as lines:
        while line := lines.readline():
            heard, telling = os.pipe()
            between = os.fork()
            if not between:
                pid = os.fork()
                if not pid:
                    os.close(heard)
                    os.close(telling)
                    break
                os.write(telling, b"%d\n" % pid)
                os._exit(0)
            os.close(telling)
            os.waitpid(between, 0)
            asked.sendall(os.read(heard, 20))
            os.close(heard)
        else:
            return 0
    return work(**json.loads(line))


def work(call: str, args: list[Any], out: str, err: str, cwd: str, env: dict[str, str]) -> int:
    """What a process of its own would have been started with; then the call."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    for path, fd in ((os.devnull, 0), (out, 1), (err, 2)):
        opened = os.open(path, os.O_RDWR)
        os.dup2(opened, fd)
        os.close(opened)
    module, _, function = call.partition(":")
    status: int = getattr(importlib.import_module(module), function)(*args)
    return status


if __name__ == "__main__":
    prepare(sys.argv[2:])
    sys.exit(serve(int(sys.argv[1])))

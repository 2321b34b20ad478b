"""`make webapp`: a private Redis, a worker and the server, until Ctrl-C.

Laws kept here:

* Nobody hears Ctrl-C but this program: it ends the server first, then the worker, which pauses its runs at a commit and
  needs Redis for that, and Redis last.
* Nothing outlives it, even where it is killed: the kernel ends the others (Linux).
* Whatever ends by itself is started again, as any supervisor would: of a lost Redis Celery's worker may end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Self

HERE = Path(__file__).parent
PORT = os.environ.get("PORT", "8000")


def main() -> int:
    """Start them, say where the page is, wait. 0 after Ctrl-C or SIGTERM, 1 if they can't be started."""
    signal.signal(signal.SIGTERM, _interrupt)
    data = Path(os.environ.get("WEBAPP_DATA") or "webapp-data").resolve()
    os.environ["WEBAPP_DATA"] = str(data)  # server and worker work in another folder than we do
    with contextlib.ExitStack() as started:
        try:
            parts = [started.enter_context(part) for part in _redis(data / "redis")]
            subprocess.run([sys.executable, HERE / "manage.py", "prepare"], check=True)
            for command, patience in ((_worker(data), 30.0), (_server(), 10.0)):
                parts.append(started.enter_context(Part(sys.executable, "-m", *command, patience=patience)))
            print(f"http://127.0.0.1:{PORT}/ - Ctrl-C ends it; unfinished runs go on at the next start", flush=True)
            while True:
                time.sleep(1)
                for part in parts:
                    part.watch()
        except KeyboardInterrupt:
            print("\nEnding ...", flush=True)
            return 0
        except subprocess.CalledProcessError:
            return 1
        except FileNotFoundError as error:
            print(
                f"{error.filename} is missing (Debian: apt-get install redis-server); or set REDIS_URL.",
                file=sys.stderr,
            )
            return 1


class Part:
    """A process: started again if it ends by itself, asked to end with the block, made to after `patience` seconds."""

    def __init__(self, *command: str, patience: float) -> None:
        if shutil.which(command[0]) is None:
            raise FileNotFoundError(2, "No such program", command[0])
        leash = ["setpriv", "--pdeathsig", "TERM", "--"] if shutil.which("setpriv") else []
        self.command, self.patience = [*leash, *command], patience

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, start_new_session=True)
        return self

    def __exit__(self, *error: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(self.patience)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def watch(self) -> None:
        """See whether it is still there."""
        if self.process.poll() is not None:
            print(
                f"It ended by itself ({self.process.returncode}), and is started again: {self.command}", file=sys.stderr
            )
            self.__enter__()


def _redis(folder: Path) -> list[Part]:
    """A Redis of our own, on a free port, unless REDIS_URL names one."""
    if os.environ.get("REDIS_URL"):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    os.environ["REDIS_URL"] = f"redis://127.0.0.1:{port}/0"
    place = ["--port", port, "--bind", "127.0.0.1", "--dir", str(folder), "--loglevel", "warning"]
    return [Part("redis-server", *place, "--appendonly", "yes", "--appendfsync", "always", "--save", "", patience=10)]


def _worker(data: Path) -> list[str]:
    options = ["--beat", "--schedule", str(data / "beat"), "--concurrency", "2", "--loglevel", "WARNING"]
    return ["celery", "--app", "webapp.worker", "--workdir", str(HERE), "worker", *options]


def _server() -> list[str]:
    return ["gunicorn", "--config", str(HERE / "gunicorn.conf.py"), "--chdir", str(HERE), "--bind", f"127.0.0.1:{PORT}"]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())

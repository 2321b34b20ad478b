"""The service of examples/webapp for the tests: real server, worker and Redis, in a folder of their own; and a client."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any, Self

import declared
from jobs import PATIENCE, until
from redisserver import Redis
from services import free_port

__all__ = ["WEBAPP", "Answer", "Client", "Site", "python", "wide"]

WEBAPP = Path(__file__).parents[2] / "examples" / "webapp"
MAX_UPLOAD = 200_000_000
ROWS = 300_000


def python() -> str:
    """The service's own Python: what it declares (see its Dockerfile), not what the tests have."""
    return declared.python("celery", "postgres", "redis", group="webapp")


class Site:
    """The whole service. Each part can be killed and started again; `demo` and `other` are clients with tokens."""

    def __init__(self, folder: Path, database: str | None = None) -> None:
        self.folder, self.redis = folder, Redis()
        self.database = database or f"sqlite:///{folder / 'tables.db'}"
        self.port, self.password = free_port(), secrets.token_hex(8)
        self.server: subprocess.Popen[bytes] | None = None
        self.worker: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What server and worker are told; commits after every batch."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("RESUMABLE", "WEBAPP", "PG", "DJANGO"))}
        return ours | {
            "DATABASE_URL": self.database, "REDIS_URL": self.redis.url, "WEBAPP_DATA": str(self.folder),
            "WEBAPP_MAX_UPLOAD": str(MAX_UPLOAD), "WEBAPP_EVERY": "0", "WEBAPP_PASSWORD": self.password,
        }  # fmt: skip

    def __enter__(self) -> Self:
        self.redis.start()
        try:
            self.manage("prepare")
            self.start_worker()
            self.start_server()
            self.demo = Client(self.url, self.manage("token", "demo"))
            self.other = Client(self.url, self.manage("token", "other", "--make"))
            until(
                lambda: self.demo.ask("GET", "/tasks/", patient=True).status == 200, f"no server: {self.log('server')}"
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        for process in (self.server, self.worker):
            if process is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        self.redis.stop()

    def manage(self, *command: str) -> str:
        """What a command of Django's prints."""
        done = subprocess.run(
            [python(), WEBAPP / "manage.py", *command], env=self.environment, capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert 0 == done.returncode, done.stderr
        return done.stdout.strip()

    def start_server(self) -> None:
        """Start gunicorn as the example does."""
        bind = f"127.0.0.1:{self.port}"
        options = ["--config", str(WEBAPP / "gunicorn.conf.py"), "--chdir", str(WEBAPP), "--bind", bind]
        self.server = self._start("server", "gunicorn", *options)

    def start_worker(self) -> None:
        """Start a worker with two processes, as the example does."""
        options = ["--beat", "--schedule", str(self.folder / "beat"), "--concurrency", "2", "--loglevel", "INFO"]
        self.worker = self._start(
            "worker", "celery", "--app", "webapp.worker", "--workdir", str(WEBAPP), "worker", *options
        )

    def _start(self, name: str, *module: str) -> subprocess.Popen[bytes]:
        leash = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                [*leash, python(), "-m", *module], env=self.environment, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True, cwd=self.folder,
            )  # fmt: skip

    def log(self, name: str) -> str:
        """The end of what `server` or `worker` has written."""
        return (self.folder / f"{name}.log").read_text(errors="replace")[-3000:]

    def freeze(self) -> None:
        """SIGSTOP for the worker and its processes."""
        assert self.worker is not None
        os.killpg(self.worker.pid, signal.SIGSTOP)

    def wake(self) -> None:
        """Let them go on."""
        assert self.worker is not None
        os.killpg(self.worker.pid, signal.SIGCONT)

    def supervise(self) -> None:
        """Start the worker again if it has ended by itself, as a supervisor does: of a lost Redis Celery's may."""
        if self.worker is not None and self.worker.poll() is not None:
            self.start_worker()

    def mend(self) -> None:
        """Whatever a test did to it, or didn't come to undo."""
        if self.redis.process is None:
            self.redis.start()
        if self.worker is None:
            self.start_worker()
        with contextlib.suppress(ProcessLookupError):
            self.wake()

    def kill_worker(self) -> None:
        """`kill -9`, all of its processes at once; it must have been there to die of it."""
        assert self.worker is not None
        assert self.worker.poll() is None, self.log("worker")
        os.killpg(self.worker.pid, signal.SIGKILL)
        assert -signal.SIGKILL == self.worker.wait(PATIENCE)
        self.worker = None

    def met(self, file: Path, table: str, **fields: str) -> str:
        """Upload the file, and freeze the worker once a part of it is committed and a part is not. The task's id."""
        for attempt in range(5):
            name = self.demo.upload(file, table=table, **fields).json["task_id"]
            self.begun(name)
            self.freeze()
            now = self.demo.task(name)
            if now["status"] == "running" and 0 < now["fraction"] < 1:
                return name
            self.wake()
            assert now["status"] == "completed", (attempt, now)
            fields["if_exists"] = "replace"
        raise AssertionError("inconclusive: it was never met in the middle")

    def begun(self, name: str, past: float = 0.0) -> None:
        """Wait until more than that part of it is committed, or it is over."""
        until(
            lambda: self.supervise() or (self.demo.task(name)["fraction"] or 0) > past or self.over(name),
            f"no commit: {self.log('worker')}",
        )

    def over(self, name: str) -> bool:
        """Whether the run has ended, well or not."""
        return self.demo.task(name)["status"] in ("completed", "terminated", "failed")

    def until(self, name: str, status: str) -> dict[str, Any]:
        """Wait for that status; the task."""
        end = time.monotonic() + PATIENCE
        while (told := self.demo.task(name))["status"] != status:
            self.supervise()
            assert time.monotonic() < end, (status, told, self.log("worker"))
            assert told["status"] not in ("completed", "terminated", "failed"), (status, told)
            time.sleep(0.02)
        return told


@dataclass(frozen=True)
class Answer:
    """What a server has answered."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """The body, which must be JSON."""
        return json.loads(self.body)


class Client:
    """A program that uses the service, with a token or without."""

    def __init__(self, url: str, token: str | None = None) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def ask(
        self, method: str, path: str, body: bytes | None = None, *, patient: bool = False, **headers: str
    ) -> Answer:
        """One request. `patient`: a server that isn't there yet is status 0."""
        named = {k.replace("_", "-"): v for k, v in headers.items()}
        request = urllib.request.Request(self.url + path, body, self.headers | named, method=method)
        try:
            with _opener.open(request, timeout=PATIENCE) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())
        except urllib.error.URLError:
            if not patient:
                raise
            return Answer(0, Message(), b"")

    def upload(self, file: Path, *, name: str | None = None, **fields: str) -> Answer:
        """Send a file as a form does."""
        kind, body = form({"file": (name or file.name, file.read_bytes())}, fields)
        return self.ask("POST", "/upload/", body, Content_Type=kind)

    def task(self, name: str) -> dict[str, Any]:
        """A task's status."""
        answer = self.ask("GET", f"/tasks/{name}/")
        assert 200 == answer.status, answer.body
        told: dict[str, Any] = answer.json
        return told

    def put(self, name: str, action: str | None = None, kind: str = "upload") -> Answer:
        """Ask something of a task."""
        body = None if action is None else json.dumps({"action": action}).encode()
        return self.ask("PUT", f"/{kind}/{name}/", body, Content_Type="application/json")

    def events(self, path: str) -> Generator[Any, None, None]:
        """The server-sent events, until the stream ends or is left."""
        request = urllib.request.Request(self.url + path, headers=self.headers)
        with _opener.open(request, timeout=PATIENCE) as answer:
            assert "text/event-stream" == answer.headers["Content-Type"]
            for line in answer:
                if line.startswith(b"data: "):
                    yield json.loads(line[6:])


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any) -> None:
        """None: where it leads is an answer too."""


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay)


def form(files: dict[str, tuple[str, bytes]], fields: dict[str, str]) -> tuple[str, bytes]:
    """The content type and the body of a multipart form."""
    mark = secrets.token_hex(16)
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'.encode() for k, v in fields.items()
    ]
    for key, (name, content) in files.items():
        head = f'--{mark}\r\nContent-Disposition: form-data; name="{key}"; filename="{name}"\r\n\r\n'
        parts += [head.encode(), content, b"\r\n"]
    return f"multipart/form-data; boundary={mark}", b"".join(parts) + f"--{mark}--\r\n".encode()


def wide(path: Path, rows: int = ROWS) -> Path:
    """A CSV file whose every value follows from its row's id; about 200 bytes a row, so that loading takes a moment."""
    filler = "".join(f",filler {n} of this row ............." for n in range(5))
    lines = (f"{n},customer {n % 997},{n % 10_000}.25{filler}\n" for n in range(1, rows + 1))
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write("id,customer,total" + "".join(f",f{n}" for n in range(5)) + "\n")
        file.writelines(lines)
    return path


RIGHT = (
    "select count(*), count(distinct id), min(id), max(id), sum(case when customer = 'customer ' || (id % 997) and "
    "total = id % 10000 + 0.25 and f4 = 'filler 4 of this row .............' then 1 else 0 end) from {table}"
)
"""Answers (rows, rows, 1, rows, rows) if the table of such a file is exactly right."""

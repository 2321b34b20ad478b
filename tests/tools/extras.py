"""Every extra stands alone: the wheel is built, installed afresh with each extra, with none and with the service, and
does a real job there. `make extras`; pip asks its registry, or its cache.
"""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable
from pathlib import Path

from redisserver import redis_server
from services import Database, postgres_server

ROOT = Path(__file__).parents[2]
GROUP = f"{ROOT / 'pyproject.toml'}:webapp"
ROWS = "id,name\n1,one\n2,two\n"
DETECTS = """\
import charset_normalizer, resumable

try:
    resumable.upload("k.csv", "sqlite:///shop.db", "t").run()
except resumable.SourceError as error:
    assert "koi8" in str(error).lower().replace("_", ""), error
else:
    raise SystemExit("it was taken for UTF-8")
"""
TASKS = """\
import pathlib, subprocess, sys, time
from celery import Celery
from resumable.celery import Runs

pathlib.Path("broker").mkdir(exist_ok=True)
app = Celery("tasks", broker="filesystem://")
app.conf.broker_transport_options = {"data_folder_in": "broker", "data_folder_out": "broker", "control_folder": "broker"}
runs = Runs(app, "store", connections={"shop": "sqlite:///shop.db"})

if __name__ == "__main__":
    run = runs.start("upload", {"source": "rows.csv", "target": "shop", "table": "t"})
    command = [sys.executable, "-m", "celery", "-A", "tasks", "worker", "--pool", "solo", "--loglevel", "info"]
    worker = subprocess.Popen(command)
    while run.status != "completed" and worker.poll() is None:
        time.sleep(0.1)
    worker.terminate()
    worker.wait()
    assert run.status == "completed", run.status
"""


class Fresh:
    """An environment with the wheel and some extras, and a folder with a file to load."""

    def __init__(self, folder: Path, wheel: Path, extras: str, *more: str) -> None:
        self.folder, self.bin = folder / "work", folder / "python" / "bin"
        venv.create(folder / "python", symlinks=True)
        wanted = f"{wheel}[{extras}]" if extras else str(wheel)
        only = ["--no-index", f"--find-links={wheel.parent}"]
        pip("--python", str(self.bin / "python"), "install", *only, wanted, *more)
        self.folder.mkdir()
        (self.folder / "rows.csv").write_text(ROWS)

    def run(self, *command: str, terminal: bool = False) -> str:
        """What a command of this environment says on stderr, or on a terminal instead."""
        ours = {k: v for k, v in os.environ.items() if not k.startswith(("RESUMABLE", "PYTHON"))}
        seen, shown = pty.openpty() if terminal else (-1, subprocess.PIPE)
        done = subprocess.run(
            [self.bin / command[0], *command[1:]], cwd=self.folder, env=ours, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=shown, text=True, check=False,
        )  # fmt: skip
        said = os.read(seen, 65536).decode() if terminal else done.stderr
        assert done.returncode == 0, said
        return said

    def there_and_back(self, url: str = "sqlite:///shop.db", *options: str, terminal: bool = False) -> str:
        """An upload and an export by the command line; the same rows come back."""
        said = self.run("resumable", "upload", "rows.csv", url, "t", *options, terminal=terminal)
        self.run("resumable", "export", url, "t", "out.csv", "--key", "id", *options)
        assert (self.folder / "out.csv").read_text() == ROWS
        return said


def nothing(fresh: Fresh) -> None:
    """SQLite and files need no extra; a bar on the terminal isn't missed."""
    assert "%|" not in fresh.there_and_back(terminal=True)


def progress(fresh: Fresh) -> None:
    """A bar."""
    assert "100%|" in fresh.there_and_back(terminal=True)


def postgres(fresh: Fresh) -> None:
    """Into a server and back."""
    with postgres_server() as server:
        database = Database(server)
        fresh.there_and_back(database.url)
        database.drop()


def redis(fresh: Fresh) -> None:
    """Checkpoints in Redis."""
    with redis_server() as url:
        fresh.there_and_back("sqlite:///shop.db", "--store", f"{url}?prefix={fresh.folder}:")


def celery(fresh: Fresh) -> None:
    """A worker of its own over a folder, and a run that it carries out; the transport over Redis has what it imports."""
    (fresh.folder / "tasks.py").write_text(TASKS)
    fresh.run("python", "tasks.py")
    fresh.run("python", "-c", "import packaging")


def detect(fresh: Fresh) -> None:
    """A file in an encoding that only statistics tell: the message names it."""
    (fresh.folder / "k.csv").write_bytes(("id,name\n" + "1,Это довольно длинный русский текст\n" * 50).encode("koi8-r"))
    fresh.run("python", "-c", DETECTS)


def service(fresh: Fresh) -> None:
    """`make webapp`: sign in, upload, end."""
    named = os.environ | {"RESUMABLE_TEST_PYTHON": str(fresh.bin / "python")}
    test = "tests/webapp/test_running.py::test_one_command_starts_everything_and_ctrl_c_ends_it"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--require-services", test]
    subprocess.run(command, cwd=ROOT, env=named, check=True)


JOBS: list[tuple[str, list[str], Callable[[Fresh], None]]] = [
    ("", [], nothing),
    ("progress", [], progress),
    ("postgres", [], postgres),
    ("redis", [], redis),
    ("celery", [], celery),
    ("detect", [], detect),
    ("celery,postgres,redis", ["--group", GROUP], service),
]


def pip(*command: str) -> None:
    """This Python's pip, for whichever environment."""
    quiet = ["--disable-pip-version-check", "--quiet"]
    subprocess.run([sys.executable, "-m", "pip", *quiet, *command], check=True)


def main() -> None:
    """Each in turn."""
    with tempfile.TemporaryDirectory(prefix="resumable-extras-") as made, contextlib.chdir(ROOT):
        folder = Path(made)
        pip("wheel", "--wheel-dir", made, f"{ROOT}[all]", "--group", GROUP)  # ours, and what it needs, fetched once
        (wheel,) = folder.glob("resumable_pipelines-*.whl")
        for n, (extras, more, job) in enumerate(JOBS):
            print(f"extras: {extras or 'none'}{', the service' if more else ''}", flush=True)
            job(Fresh(folder / str(n), wheel, extras, *more))


if __name__ == "__main__":
    main()

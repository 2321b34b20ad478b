"""How the service is started: by one command, and by Docker, whose files name what is there."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from browser import Browser
from jobs import PATIENCE, until
from redisserver import find_program
from services import free_port
from webservice import WEBAPP, Client, Site, form, python

ROOT = WEBAPP.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((WEBAPP / "compose.yaml").read_text())


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The project's folder as whoever fetches it has it."""
    made, junk = tmp_path / "clone", shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "examples", made / "examples", ignore=junk)
    shutil.copy(ROOT / "Makefile", made)
    return made


def test_one_command_starts_everything_and_ctrl_c_ends_it(clone: Path, tmp_path: Path) -> None:
    """What `make webapp` does, with what is declared: signing in, an upload, and nothing left in the source tree.

    SIGINT ends page, worker and private Redis in good order, and nothing is left running.
    """
    redis, port, mark = Path(find_program()), free_port(), f"MARK={tmp_path}"
    ours = {
        k: v for k, v in os.environ.items() if not k.startswith(("RESUMABLE", "WEBAPP", "REDIS", "DATABASE", "DJANGO"))
    }
    path = f"{os.environ['PATH']}:{redis.parent}" if redis.name == "redis-server" else os.environ["PATH"]
    environment = ours | {"PORT": str(port), "PYTHONUNBUFFERED": "1", "MARK": str(tmp_path), "PATH": path}
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    before = {path for path in clone.rglob("*") if path.is_file()}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            _recipe(clone), env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=clone,
            start_new_session=True,
        )  # fmt: skip
    said = (tmp_path / "log").read_text
    try:
        page = Client(f"http://127.0.0.1:{port}")
        until(lambda: process.poll() is not None or page.ask("GET", "/login/", patient=True).status == 200, said())
        until(lambda: process.poll() is not None or "celery@" in said(), "no worker")
        user = re.search(r"User demo, password (\w{12})\n", said())
        assert user, said()
        assert f"http://127.0.0.1:{port}/" in said()
        demo = Browser(page.url, user[1])
        kind, body = form({"file": ("small.csv", b"id,name\n1,one\n")}, {"table": "small"})
        task = json.loads(demo.get("/upload/", body, Content_Type=kind, X_CSRFToken=demo.token))["task_id"]
        until(lambda: json.loads(demo.get(f"/tasks/{task}/"))["status"] == "completed", "it isn't loaded")
        assert len(_running(mark)) >= 4, "server, worker and run.py were to be found by what they are told"
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(PATIENCE), said()
    finally:
        process.kill()
        process.wait()
    until(lambda: _running(mark) == [], f"still running: {_running(mark)}")
    after = {path for path in clone.rglob("*") if path.is_file()}
    assert {"webapp-data"} == {path.relative_to(clone).parts[0] for path in after - before}
    assert "Traceback" not in said()


def _recipe(clone: Path) -> list[str]:
    """The command of `make webapp`, in the service's own environment."""
    wanted = [
        "make",
        "--dry-run",
        "--no-print-directory",
        f"BIN={Path(python()).parent}",
        "--old-file=.venv/webapp",
        "webapp",
    ]
    done = subprocess.run(wanted, cwd=clone, capture_output=True, text=True, check=True)
    return shlex.split(done.stdout)


def test_what_fails_unforeseen_is_told_in_the_server_s_log(site: Site) -> None:
    """A 500 leaves its traceback: here the site's own database has lost its tables."""
    path, aside = site.folder / "site.db", site.folder / "site.db.aside"
    path.rename(aside)
    try:
        assert 500 == site.demo.ask("GET", "/tasks/").status
    finally:
        aside.replace(path)
    said = (site.folder / "server.log").read_text()
    assert "ERROR django.request: Internal Server Error: /tasks/" in said
    assert "no such table" in said
    assert 200 == site.demo.ask("GET", "/tasks/").status


def _running(mark: str) -> list[str]:
    """The processes that have this in their environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (path / "environ").read_bytes().split(b"\0"):
                found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended meanwhile, or is another user's
            continue
    return found


def test_compose_starts_web_worker_redis_and_postgresql() -> None:
    """The file is YAML with these services; each has what it needs to start: an image or a build, its volumes."""
    assert {"web", "worker", "redis", "postgres"} == set(COMPOSE["services"])
    volumes = set(COMPOSE["volumes"])
    for name, service in COMPOSE["services"].items():
        assert ("image" in service) != ("build" in service), name
        assert {volume.partition(":")[0] for volume in service.get("volumes", ())} <= volumes
        for other, how in service.get("depends_on", {}).items():
            assert "healthcheck" in COMPOSE["services"][other]
            assert "service_healthy" == how["condition"]
        if "build" in service:
            context = (WEBAPP / service["build"]["context"]).resolve()
            assert (context, True) == (ROOT, (context / service["build"]["dockerfile"]).exists())
    assert "appendonly yes" in COMPOSE["services"]["redis"]["command"]


def test_no_password_is_written_into_the_compose_file() -> None:
    """They come from the environment of whoever starts it, and without them nothing starts."""
    text = (WEBAPP / "compose.yaml").read_text()
    for name in ("POSTGRES_PASSWORD", "WEBAPP_PASSWORD"):
        assert set(re.findall(rf"\$\{{{name}[^}}]*\}}", text)) == {f"${{{name}:?}}"}


def test_the_dockerfile_copies_and_installs_what_is_there() -> None:
    """Every file that it copies, every extra and group that it installs is the project's."""
    text = (WEBAPP / "Dockerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for line in re.findall(r"^COPY (.+) \S+$", text, re.MULTILINE):
        for source in line.split():
            assert (ROOT / source).exists(), source
    extras = re.search(r'"\.\[([\w,]+)\]"', text)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(project["project"]["optional-dependencies"])
    assert re.findall(r"--group (\w+)", text) == ["webapp"]
    assert "webapp" in project["dependency-groups"]


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "WEBAPP_PASSWORD", "WEBAPP_HOSTS", "WEBAPP_ORIGINS"])
def test_what_compose_sets_is_read(name: str) -> None:
    """A variable that nothing reads would be a lie."""
    assert any(f'"{name}"' in path.read_text() for path in WEBAPP.rglob("*.py"))


def test_djangos_tables_are_those_of_the_models(tmp_path: Path) -> None:
    """No migration is missing."""
    environment = os.environ | {"WEBAPP_DATA": str(tmp_path)}
    command = [python(), WEBAPP / "manage.py", "makemigrations", "--check", "--dry-run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr

"""How the service is started: by one command, and by Docker, whose files name what is there."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from jobs import PATIENCE, until
from redisserver import find_program
from services import Unavailable, free_port
from webservice import WEBAPP, Client

ROOT = WEBAPP.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((WEBAPP / "compose.yaml").read_text())


def test_one_command_starts_everything_and_ctrl_c_ends_it(tmp_path: Path, missing: Any) -> None:
    """`make webapp`: page, worker and a private Redis; SIGINT ends them in good order, and nothing is left running."""
    try:
        find_program()
    except Unavailable as why:
        missing(str(why))
    port = free_port()
    ours = {
        k: v for k, v in os.environ.items() if not k.startswith(("RESUMABLE", "WEBAPP", "REDIS", "DATABASE", "DJANGO"))
    }
    mark = f"WEBAPP_DATA={tmp_path / 'data'}"
    environment = ours | {"PORT": str(port), "WEBAPP_DATA": str(tmp_path / "data"), "PYTHONUNBUFFERED": "1"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, WEBAPP / "run.py"], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
    said = (tmp_path / "log").read_text
    try:
        page = Client(f"http://127.0.0.1:{port}")
        until(lambda: process.poll() is not None or page.ask("GET", "/login/", patient=True).status == 200, said())
        until(lambda: process.poll() is not None or "celery@" in said(), "no worker")
        assert re.search(r"User demo, password \w{12}\n", said()), said()
        assert f"http://127.0.0.1:{port}/" in said()
        assert len(_running(mark)) >= 4, "server, worker and run.py were to be found by what they are told"
        process.send_signal(signal.SIGINT)
        assert 0 == process.wait(PATIENCE), said()
    finally:
        process.kill()
        process.wait()
    until(lambda: _running(mark) == [], f"still running: {_running(mark)}")


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
    command = [sys.executable, WEBAPP / "manage.py", "makemigrations", "--check", "--dry-run"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert 0 == done.returncode, done.stdout + done.stderr

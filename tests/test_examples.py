"""Every example runs, in a folder of its own, as a person would run it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"
SCRIPTS = sorted(p.name for p in EXAMPLES.glob("*.py") if not p.name.startswith(("_", "test_")) and p.name != "demo.py")


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_example_runs(script: str, tmp_path: Path) -> None:
    """It ends well, and its own asserts hold."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RESUMABLE")}
    command = [sys.executable, "-W", "error", EXAMPLES / script]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr


def test_there_is_an_example_for_each_thing_that_people_ask_first() -> None:
    """Upload, export, pause and resume, terminate, a second process in control, a data frame."""
    assert {
        "upload.py",
        "export.py",
        "pause_and_resume.py",
        "terminate.py",
        "second_process.py",
        "data_frame.py",
    } <= set(SCRIPTS)


def test_the_demo_kills_itself_twice_and_ends_with_every_row(tmp_path: Path) -> None:
    """What `make demo` shows: it fails by itself if any sentence that it prints isn't so."""
    shutil.copytree(EXAMPLES, tmp_path / "examples")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RESUMABLE")} | {"PATH": path}
    command = [sys.executable, tmp_path / "examples" / "demo.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert 0 == done.returncode, done.stdout + done.stderr
    assert 2 == done.stdout.count("kill -9")
    assert "rows are there, each once" in done.stdout

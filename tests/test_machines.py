"""What the tests need of a machine: what a wheel can bring is brought, and what can't be had is skipped and counted."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import wheels

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest
from services import Unavailable

@pytest.fixture(scope="session")
def sun():
    raise Unavailable("No sun (Debian: apt-get install sun).")

def test_in_a_fixture(sun): ...
def test_in_the_same_fixture(sun): ...
def test_in_the_test(): raise Unavailable("No moon: it is new.")
def test_of_something_else(): ...
"""


def _pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_sky.py").write_text(TESTS)
    tools = os.pathsep.join(str(ROOT / place) for place in ("tests", "tests/tools"))
    ours = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-c", os.devnull, "--rootdir", folder, "-p", "conftest", "-p", "no:cacheprovider",
         *options, folder / "test_sky.py"],
        cwd=folder, env=ours | {"PYTHONPATH": tools}, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("options", [(), ("-n", "2")], ids=["alone", "in two processes"])
def test_what_can_not_be_had_is_skipped_and_counted_in_one_line(tmp_path: Path, options: tuple[str, ...]) -> None:
    """Wherever it is asked for: there is no door to go past."""
    done = _pytest(tmp_path, *options)
    assert 0 == done.returncode, done.stdout
    assert "1 passed, 3 skipped" in done.stdout
    assert "\nNot tried on this machine: 3 (2 No sun, 1 No moon)\n" in done.stdout


def test_where_nothing_may_be_missing_it_is_a_failure(tmp_path: Path) -> None:
    """`--require-services`, in CI."""
    done = _pytest(tmp_path, "--require-services")
    assert 1 == done.returncode, done.stdout
    assert "Nothing may be missing here. No moon: it is new." in done.stdout
    assert "Nothing may be missing here. No sun (Debian" in done.stdout
    assert "skipped" not in done.stdout


def test_every_wheel_has_its_group_and_its_finder() -> None:
    """`make test` asks wheels.py which groups to install."""
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    assert {name for name in groups if name.endswith("-wheel")} == set(wheels.WHEELS)
    assert "tests/tools/wheels.py" in (ROOT / "Makefile").read_text()


def test_ci_says_how_a_failure_is_repeated_and_has_no_seed_of_its_own() -> None:
    """Another order each time: a fixed seed would hide what depends on it."""
    script = (ROOT / ".ci" / "run").read_text()
    assert "--randomly-seed=$seed" in script
    assert "SEED=$seed .ci/run" in script
    assert "seed=${SEED:-$(od" in script

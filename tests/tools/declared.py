"""A Python of its own that has what is declared and nothing else: the tests' own brings more, and hides what is missing.

It is made of links to what is installed here, so that it costs nothing and asks no registry. `extras.py` installs the
same anew, from the built wheel.
"""

from __future__ import annotations

import atexit
import functools
import os
import shutil
import sysconfig
import tempfile
import tomllib
import venv
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["python"]

ROOT = Path(__file__).parents[2]


@functools.cache
def python(*extras: str, group: str = "") -> str:
    """The interpreter of an environment with the library, these extras, and a dependency group; gone with this process.

    Or the one that RESUMABLE_TEST_PYTHON names.
    """
    if given := os.environ.get("RESUMABLE_TEST_PYTHON"):
        return given
    folder = Path(tempfile.mkdtemp(prefix="resumable-python-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *(project["dependency-groups"][group] if group else ())]
    for extra in extras:
        wanted += project["project"]["optional-dependencies"][extra]
    venv.create(folder, symlinks=True)
    place = Path(sysconfig.get_path("purelib", "venv", {"base": str(folder), "platbase": str(folder)}))
    for name in {top for found in _closure(wanted) for top in _tops(found)}:
        (place / name.name).symlink_to(name)
    (place / "resumable").symlink_to(ROOT / "src" / "resumable")
    return str(folder / "bin" / "python")


def _closure(wanted: Iterable[str]) -> Iterator[Distribution]:
    """What is installed of these, and of what they need in turn."""
    left, done = [Requirement(text) for text in wanted], set[tuple[str, str]]()
    while left:
        one = left.pop()
        for extra in ("", *one.extras):
            key = (one.name.lower(), extra)
            if key in done or not (one.marker is None or one.marker.evaluate({"extra": ""})):
                continue
            done.add(key)
            found = distribution(one.name)
            yield found
            for text in found.requires or ():
                inner = Requirement(text)
                if inner.marker is None or inner.marker.evaluate({"extra": extra}):
                    inner.marker = None
                    left.append(inner)


def _tops(found: Distribution) -> set[Path]:
    """Its packages, modules and their metadata; not its commands."""
    names = {file.parts[0] for file in found.files or ()} - {"..", "__pycache__"}
    return {Path(str(found.locate_file(name))) for name in names}

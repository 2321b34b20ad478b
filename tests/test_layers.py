"""The house's layers, kept by reading the source: what may import what.

core  <-  stores, sources, sinks  <-  upload, export  <-  rebuild  <-  run  <-  cli, celery  <-  __main__
testing imports all and is imported by none; the package itself only re-exports.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "src" / "resumable"
CONNECTORS = {"stores", "sources", "sinks"}
HEIGHT = dict.fromkeys(CONNECTORS, 1) | {
    "upload": 2,
    "export": 2,
    "rebuild": 3,
    "arguments": 3,
    "run": 4,
    "cli": 5,
    "celery": 5,
    "starting": 6,
    "__main__": 6,
}
HEIGHT |= {"__init__": 7, "testing": 8}
"""Of every module above the core, which is 0: a new module belongs to the core unless it is named here."""
DRIVERS = {"celery", "charset_normalizer", "kombu", "numpy", "pandas", "polars", "psycopg", "redis", "tqdm"}
CORE_NEEDS = {"pyarrow", "sqlalchemy"}


@dataclass(frozen=True)
class Import:
    """One import of `name` in `module`, `deep` if it is inside a function; both without the `resumable.` in front."""

    module: str
    name: str
    line: int
    deep: bool

    def __str__(self) -> str:
        return f"{self.module} imports {self.name} (line {self.line})"


def part(name: str) -> str:
    """The module, or the folder, that a dotted name belongs to."""
    return name.split(".", maxsplit=1)[0]


def imports() -> list[Import]:
    """Every import in the package; ours begin with a dot."""
    found: list[Import] = []
    for path in sorted(PACKAGE.rglob("*.py")):
        names = path.relative_to(PACKAGE).with_suffix("").parts
        module = ".".join(names[:-1]) if names[-1] == "__init__" and len(names) > 1 else ".".join(names)
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        deep = {
            id(inner)
            for function in ast.walk(tree)
            if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
            for inner in ast.walk(function)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute here"
                whole = node.module == "resumable"
                targets = [f"resumable.{alias.name}" for alias in node.names] if whole else [str(node.module)]
            else:
                continue
            for target in targets:
                name = "." + target.removeprefix("resumable").lstrip(".") if part(target) == "resumable" else target
                found.append(Import(module, name, node.lineno, id(node) in deep))
    return found


def ours() -> list[tuple[Import, str]]:
    """Imports of our own modules, each with the part it names; `__init__` is the package itself."""
    return [(i, part(i.name[1:]) or "__init__") for i in imports() if i.name.startswith(".")]


def test_a_module_imports_nothing_above_it() -> None:
    """Core below connectors below upload and export below the command line."""
    wrong = [
        str(i)
        for i, name in ours()
        if HEIGHT.get(name, 0) > HEIGHT.get(part(i.module), 0)
        and not (i.deep and (i.module, name) == ("pipeline", "stores"))  # the default store is opened by its URL
    ]
    assert wrong == []


def test_stores_sources_and_sinks_never_import_each_other() -> None:
    """Any source goes with any sink and any store, because none of them knows another."""
    wrong = [str(i) for i, name in ours() if {part(i.module), name} <= CONNECTORS and part(i.module) != name]
    assert wrong == []


def test_nothing_imports_the_testing_kit() -> None:
    """What authors of connectors use for their tests weighs on nobody else."""
    wrong = [str(i) for i, name in ours() if name == "testing" and part(i.module) != "testing"]
    assert wrong == []


def test_the_pipeline_names_no_source_sink_or_store() -> None:
    """The core knows no technology."""
    core = {p.stem for p in PACKAGE.glob("*.py")} - HEIGHT.keys()
    wrong = [str(i) for i, name in ours() if i.module in core and name in CONNECTORS and not i.deep]
    assert "pipeline" in core
    assert wrong == []


def test_drivers_are_imported_only_where_they_are_used() -> None:
    """Optional packages are imported inside functions, or at the top of a module that bears their name."""
    names = {"psycopg": "postgres", "kombu": "celery"}
    wrong = [
        str(i)
        for i in imports()
        if part(i.name) in DRIVERS and not i.deep and names.get(part(i.name), part(i.name)) not in i.module
    ]
    assert wrong == []


def test_every_package_that_is_imported_is_declared() -> None:
    """Besides the standard library: pyarrow, sqlalchemy, and the optional drivers."""
    known = set(sys.stdlib_module_names) | CORE_NEEDS | DRIVERS
    wrong = [str(i) for i in imports() if not i.name.startswith(".") and part(i.name) not in known]
    assert wrong == []


BLOCKED = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {drivers!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name.split(".")[0])
sys.meta_path.insert(0, Absent())
{code}
"""


@pytest.mark.parametrize(
    "code",
    [
        "import resumable; [getattr(resumable, name) for name in resumable.__all__]",
        "import resumable.cli",
        "import resumable.cli; sys.exit(resumable.cli.main(['list', '--store', 'sqlite:///' + sys.argv[1]]))",
    ],
    ids=["the package", "the command line", "a command"],
)
def test_pyarrow_and_sqlalchemy_are_enough(code: str, tmp_path: Path) -> None:
    """Without psycopg, tqdm, numpy, pandas, polars and redis everything that needs none of them works."""
    script = BLOCKED.format(drivers=DRIVERS, code=code)
    command = [sys.executable, "-c", script, str(tmp_path / "runs.db")]
    done = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

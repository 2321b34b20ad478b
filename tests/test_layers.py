"""The house's layers, kept by reading the source: what may import what.

LAYERS has them, from the ground up. Beside each other, and without knowing each other: the core (who runs a run, one
session, the pipeline) and the kits (formats, files, databases) with the sources, sinks and stores that stand on them.
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
LAYERS = [
    {"errors", "redaction", "arrow_types", "lazy"},
    {"sealing", "stages"},
    {"checkpoint"},
    {"protocols"},
    {"optional_parts"},
    {"control", "formats", "files", "databases"},
    {"progress", "stores", "sources", "sinks"},
    {"terminal", "notebook"},
    {"session"},
    {"explain", "run_handle"},
    {"pipeline"},
    {"run_names"},
    {"endpoints"},
    {"uploads", "exports"},
    {"rebuild"},
    {"run"},
    {"celery", "cli_runs", "cli_list"},
    {"cli_arguments"},
    {"cli"},
    {"starting"},
    {"__main__", "__init__"},
    {"testing"},
]
"""From the ground up: a room or a module imports what lies below it. Two in one layer don't know each other."""
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
KITS, CONNECTORS = {"formats", "files", "databases"}, {"stores", "sources", "sinks"}
CORE = {"control", "progress", "terminal", "notebook", "session", "explain", "run_handle", "pipeline"}
LATE = {
    ("pipeline", "stores"),
    ("progress", "notebook"),
    ("starting", "cli"),
}
"""What is imported in a function, because it lies above or is seldom used: the default store, a notebook's pictures, the command."""
DRIVERS = {"celery", "charset_normalizer", "kombu", "numpy", "pandas", "polars", "psycopg", "redis", "tqdm"}
CORE_NEEDS = {"pyarrow", "sqlalchemy"}


@dataclass(frozen=True)
class Import:
    """One import of `name` in `module`, `deep` if it is inside a function, `typing` if it is for types only; names are without the `resumable.` in front."""

    module: str
    name: str
    line: int
    deep: bool
    typing: bool

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
        typing = {
            id(inner)
            for branch in ast.walk(tree)
            if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
            for inner in ast.walk(branch)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                targets = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path}: imports are absolute here"
                targets = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            for target in targets:
                name = "." + target.removeprefix("resumable").lstrip(".") if part(target) == "resumable" else target
                found.append(Import(module, name, node.lineno, id(node) in deep, id(node) in typing))
    return found


def ours() -> list[tuple[Import, str]]:
    """Imports of our own modules, each with the part it names; `__init__` is the package itself."""
    return [(i, part(i.name[1:]) or "__init__") for i in imports() if i.name.startswith(".")]


def test_every_module_has_its_layer() -> None:
    """A new room is given its place here first."""
    assert {part(i.module) for i in imports()} | {
        p.name for p in PACKAGE.iterdir() if p.is_dir() and any(p.glob("*.py"))
    } <= {*HEIGHT}


def test_a_module_imports_only_what_lies_below_it() -> None:
    """Or in its own room."""
    wrong = [
        str(i)
        for i, name in ours()
        if name != part(i.module)
        and HEIGHT[name] >= HEIGHT[part(i.module)]
        and not (i.deep and (part(i.module), name) in LATE)
        and not i.typing
        and name != "__init__"
    ]
    assert wrong == []


def test_the_core_and_the_connectors_do_not_know_each_other() -> None:
    """Any source goes with any sink and any store, because the pipeline names none; a sink may ask who lives."""
    side = KITS | CONNECTORS
    wrong = [
        str(i)
        for i, name in ours()
        if (part(i.module) in side and name in CORE and not (part(i.module) == "sinks" and name == "control"))
        or (part(i.module) in CORE and name in side and not (i.deep and (part(i.module), name) in LATE))
    ]
    assert wrong == []


def test_there_is_no_circle() -> None:
    """Between single modules, imports for types included; but for what is imported late."""
    known = {i.module for i in imports()}
    left: dict[str, set[str]] = {module: set() for module in known - {"__init__"}}
    for i, name in ours():
        if i.module in left and not (i.deep and (part(i.module), name) in LATE):
            left[i.module] |= {_module(i.name[1:], known)} - {i.module}
    while free := [module for module, below in left.items() if not below & left.keys()]:
        for module in free:
            del left[module]
    assert set(left) == set(), {module: below & left.keys() for module, below in left.items()}


def _module(name: str, modules: set[str]) -> str:
    """The module that an imported name is, or is in."""
    return name if name in modules else name.rpartition(".")[0]


def test_nothing_imports_the_testing_kit() -> None:
    """What authors of connectors use for their tests weighs on nobody else."""
    wrong = [str(i) for i, name in ours() if name == "testing" and part(i.module) != "testing"]
    assert wrong == []


def test_imports_inside_functions_are_slow_or_optional_ones() -> None:
    """Ours are listed; all others are drivers."""
    wrong = [str(i) for i, name in ours() if i.deep and (part(i.module), name) not in LATE and name != part(i.module)]
    assert wrong == []


@pytest.mark.parametrize(
    ("words", "absent"),
    [
        (["-c", "import resumable"], {"pyarrow", "sqlalchemy", "numpy"}),
        (["-m", "resumable", "--help"], {"pyarrow", "sqlalchemy", "numpy"}),
        (["-m", "resumable", "list"], {"sqlalchemy", "psycopg", "redis"}),
        (["-c", "import resumable.pipeline"], {"sqlalchemy", "psycopg", "redis", "pandas"}),
    ],
    ids=["import", "help", "list", "the core"],
)
def test_what_is_not_needed_is_not_loaded(words: list[str], absent: set[str], tmp_path: Path) -> None:
    """Start-up is measured in benchmarks/startup.py; this is why it is short."""
    command = [sys.executable, "-X", "importtime", *words]
    done = subprocess.run(command, cwd=tmp_path, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "resumable" in loaded
    assert absent & loaded == set()


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

"""Regular expressions: no text, however odd, keeps one busy for ever.

Tried in a process of its own: an expression that goes astray can't be interrupted. The time limit there is no measure,
only a way out: an exponential one would not end in a lifetime.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

ATTACK = """
import ast, itertools, pathlib, re, sys
import resumable
from resumable.formats.csv.dialect import Dialect
PIECES = ["/**/", "/*", "*/", "--\\n", " ", "(", ")", "[]", "a", "1", "0.", "-", '"', '""', "'", "\\\\x", ":", "://", "@",
          ",", "=", "e+1", "select", "resumable_0123456789_", "COPY ", ", line 1", ", column ", " in ", "NOT NULL ", "%", "\\r"]
found = set()
for path in sorted(pathlib.Path(resumable.__file__).parent.rglob("*.py")):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(getattr(node.func, "value", None), "id", "") == "re" and node.args:
            first = node.args[0]
            flags = sum(getattr(re, n.attr) for a in node.args[1:] + [k.value for k in node.keywords]
                        for n in ast.walk(a) if isinstance(n, ast.Attribute) and n.attr.isupper())
            if isinstance(first, ast.Constant):
                found.add((first.value, int(flags)))
csv = [Dialect(b",", q) for q in (b'"', None)]
patterns = [re.compile(text, flags) for text, flags in sorted(found, key=str)]
patterns += [p for d in csv for p in (d._field, d._record)]
for pattern in patterns:
    print(pattern.pattern, file=sys.stderr, flush=True)
    for one, two in itertools.product(PIECES, repeat=2):
        for text in ((one + two) * 40 + "!", one * 40 + two * 40 + "!"):
            text = text.encode() if isinstance(pattern.pattern, bytes) else text
            pattern.fullmatch(text), pattern.search(text)
print(len(patterns))
"""

LONG = """
import sys
from resumable.redaction import redact
from resumable.databases.postgresql.session import error_message as postgresql_message
from resumable.databases.sqlite.session import error_message as sqlite_message
from resumable.databases.keyset import is_query
from resumable.databases.sqlite.types import SQLITE_TYPES
from resumable.databases.types import declared_type
n = 1_000_000
for what, read in {
    "a query's comments": lambda: is_query("/**/" * n + "x"),
    "a query's comment without an end": lambda: is_query("/*" * n),
    "a query's spaces": lambda: is_query(" " * n + "x"),
    "a declaration": lambda: declared_type("a" * n + "(", SQLITE_TYPES),
    "a declaration's brackets": lambda: declared_type("a(1)" + "[" * n, SQLITE_TYPES),
    "a message of one word": lambda: redact("a" * n),
    "a message of URLs": lambda: redact("a://:" * n),
    "a message of addresses": lambda: redact("a://b:c@" * n),
    "SQLite's words": lambda: sqlite_message(Exception("resumable_0123456789_" * n)),
    "PostgreSQL's words": lambda: postgresql_message(Exception('"a' * n)),
}.items():
    print(what, file=sys.stderr, flush=True)
    read()
"""


def ends(code: str) -> str:
    """What a process prints that runs `code`; it is given up after five minutes."""
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=300)
    except subprocess.TimeoutExpired as late:
        said = (late.stderr or b"").decode().splitlines()
        pytest.fail(f"it doesn't end: {said[-1] if said else code}")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_expression_takes_exponential_time() -> None:
    """Every expression in the source meets the repeated pieces of which its texts are made, and ends."""
    assert int(ends(ATTACK)) > 30


def test_a_long_text_takes_time_in_proportion() -> None:
    """A text of a megabyte is read once, not once for each of its letters: that would be 10^12 steps."""
    ends(LONG)

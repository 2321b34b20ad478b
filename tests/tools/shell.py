"""The command line as a user has it, and what is on disk before and after."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from resumable.cli import main
from services import Unavailable

__all__ = ["environment", "here", "image", "numbers", "obey", "obeying", "resumable", "rows_of", "tables"]

_DAC = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH


def resumable(
    *words: object,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    before: Callable[[], object] | None = None,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """`python -m resumable WORDS` in the folder `cwd`; `before` is called in the new process."""
    return subprocess.run(
        [sys.executable, "-m", "resumable", *map(str, words)],
        cwd=cwd, env=environment(env), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        preexec_fn=before, timeout=timeout,
    )  # fmt: skip


def here(*words: object) -> subprocess.CompletedProcess[str]:
    """The same in this process and folder: without the second that a new one takes to begin."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours, without what would turn the command elsewhere."""
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("RESUMABLE", "PG"))}
    return plain | dict(more or {})


def obey() -> None:
    """For `before`: root, too, is bound by the modes of files."""
    if os.geteuid() == 0 and sys.platform == "linux":
        for capability in _DAC:
            ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: it takes effect with the exec


@contextlib.contextmanager
def obeying() -> Iterator[None]:
    """For this thread and block: root, too, is bound by the modes of files. Elsewhere than on Linux root isn't."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        raise Unavailable("No test of permissions: root may do all.")
    libc, head = ctypes.CDLL(None, use_errno=True), (ctypes.c_uint32 * 2)(0x20080522, 0)
    before, less = (ctypes.c_uint32 * 6)(), (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; twice
    for sets in (before, less):
        assert 0 == libc.capget(head, sets)
    less[0] &= ~sum(1 << capability for capability in _DAC)
    bits = libc.prctl(27, 0, 0, 0, 0)  # PR_GET_SECUREBITS; with NO_SETUID_FIXUP access(2) is answered by these, too
    assert 0 == libc.prctl(28, bits | 4, 0, 0, 0), os.strerror(ctypes.get_errno())
    assert 0 == libc.capset(head, less), os.strerror(ctypes.get_errno())
    try:
        yield
    finally:
        assert 0 == libc.capset(head, before)
        assert 0 == libc.prctl(28, bits, 0, 0, 0)


def numbers(path: Path, rows: int, bad: int = 0) -> Path:
    """A CSV file of `id,n`, n = 3 * id; in row `bad` n is no number."""
    lines = [f"{i},{'oops' if i == bad else i * 3}\n" for i in range(1, rows + 1)]
    path.write_text("id,n\n" + "".join(lines), encoding="utf-8")
    return path


def rows_of(database: Path, sql: str) -> list[tuple[object, ...]]:
    """What a query of a SQLite database finds."""
    with contextlib.closing(sqlite3.connect(database)) as c:
        return c.execute(sql).fetchall()


def tables(database: Path) -> list[str]:
    """The tables of a SQLite database, sorted; [] if there is no such file."""
    if not database.exists():
        return []
    return [
        str(name) for (name,) in rows_of(database, "select name from sqlite_master where type = 'table' order by 1")
    ]


def image(folder: Path, *, store: str = ".resumable") -> dict[str, object]:
    """Every file below, by name: a SQLite database's dump, another file's bytes and mode. The store is left out."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] == store or path.is_dir():
            continue
        data = path.read_bytes()
        if data.startswith(b"SQLite format 3\0"):
            with contextlib.closing(sqlite3.connect(path)) as c:
                found[str(name)] = list(c.iterdump())
        else:
            found[str(name)] = (data, path.stat().st_mode)
    return found

"""Odd surroundings of the command line: streams that are closed or full, a Python that knows ASCII only, odd paths."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

import resumable
from shell import environment, here, numbers

ASCII = {
    "a stream that is set to ASCII": {"PYTHONIOENCODING": "ascii"},
    "a Python that is set to ASCII": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a file of a hundred rows."""
    numbers(tmp_path / "good.csv", 100)
    return tmp_path


def shell(folder: Path, line: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """The line in bash; $R is the command."""
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; R='{sys.executable} -m resumable'; {line}"],
        cwd=folder, env=environment(env), capture_output=True, check=False, timeout=120,
    )  # fmt: skip


REFUSED = {
    "explain": "upload good.csv sqlite:///new.db t --explain",
    "explain of an append": "upload good.csv sqlite:///new.db t --if-exists append --explain",
    "an append of a bad file": "upload bad.csv sqlite:///new.db t --if-exists append",
    "a replace of a bad file": "upload bad.csv sqlite:///new.db t --if-exists replace",
    "an upsert without a key": "upload good.csv sqlite:///new.db t --if-exists upsert",
    "an upsert by a key that isn't there": "upload good.csv sqlite:///new.db t --if-exists upsert --key nn",
    "a new table by a key that isn't there": "upload good.csv sqlite:///new.db t --key nn",
    "a name that SQLite keeps for itself": "upload good.csv sqlite:///new.db sqlite_t",
    "a file that isn't there": "upload missing.csv sqlite:///new.db t",
    "an export": "export sqlite:///new.db t out.csv",
    "an export's explain": "export sqlite:///new.db t out.csv --explain",
    "a store that is asked": "list --store sqlite:///new.db",
    "a run that isn't known": "terminate nobody --store sqlite:///new.db",
}


@pytest.mark.parametrize("line", REFUSED.values(), ids=[*REFUSED])
def test_what_is_refused_or_only_looked_at_makes_no_database(
    folder: Path, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SQLite makes a file for whoever connects: so nothing does, before it is known that a run can begin."""
    monkeypatch.chdir(folder)
    (folder / "bad.csv").write_text("id,id\n1,2\n", encoding="utf-8")
    done = here(*line.split())
    assert (done.returncode == 0) == (line.startswith("list") or "t --explain" in line or "append --explain" in line)
    assert not (folder / "new.db").exists(), done.stderr


def test_a_database_that_was_removed_is_not_made_again_by_what_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a run that can't go on without it, nor its terminate; the same line then begins anew."""
    monkeypatch.chdir(folder)
    numbers(folder / "good.csv", 100)
    with contextlib.closing(resumable.upload("good.csv", "sqlite:///new.db", "t", name="r", every=0).steps()) as steps:
        next(steps)
    (folder / "new.db").unlink()
    line = ("upload", "good.csv", "sqlite:///new.db", "t", "--name", "r", "--every", "0")
    assert 1 == here(*line).returncode
    assert not (folder / "new.db").exists()
    assert 0 == here("terminate", "r").returncode
    assert not (folder / "new.db").exists()
    assert 0 == here(*line).returncode
    assert 100 == rows(folder / "new.db")


def rows(database: Path | bytes) -> int:
    with contextlib.closing(sqlite3.connect(os.fsdecode(database))) as c:
        assert [("ok",)] == c.execute("PRAGMA integrity_check").fetchall()
        count: int = c.execute("SELECT count(*) FROM t").fetchone()[0]
        return count


@pytest.mark.parametrize(
    "streams", ["2>&-", ">&-", "<&-", "<&- >&- 2>&-", "2>/dev/full", ">/dev/full", "2>&1 | head -1"]
)
def test_a_run_needs_no_open_streams(folder: Path, streams: str) -> None:
    """Closed, full or read by nobody who stays: the run completes, and nothing that is said lands in the database."""
    done = shell(folder, f"$R upload good.csv sqlite:///shop.db t {streams}")
    assert (0, False) == (done.returncode, b"Traceback" in done.stderr), done.stderr
    assert 100 == rows(folder / "shop.db")


def test_what_nobody_can_read_is_an_exit_status_all_the_same(folder: Path) -> None:
    """Without a stderr a failure is 1 and nothing goes to stdout instead; a full stdout is said."""
    failed = shell(folder, "$R upload missing.csv sqlite:///shop.db t 2>&-")
    assert (1, b"") == (failed.returncode, failed.stdout)
    assert 0 == shell(folder, "$R upload good.csv sqlite:///shop.db t").returncode
    full = shell(folder, "$R list >/dev/full")
    assert 1 == full.returncode
    assert b"The output can't be written: No space left on device." in full.stderr
    assert 0 == shell(folder, "$R list | head -1").returncode


@pytest.mark.parametrize("env", ASCII.values(), ids=[*ASCII])
def test_names_that_ascii_does_not_have_are_printed_all_the_same(folder: Path, env: dict[str, str]) -> None:
    """In names, paths and tables: a run from beginning to end, listed, exported; none ends in a UnicodeEncodeError."""
    numbers(folder / "prix-été.csv", 100)
    line = "$R upload prix-été.csv sqlite:///été.db t --name été"
    for words in (
        line,
        line,
        "$R list",
        "$R status été",
        f"{line} --explain",
        "$R export sqlite:///été.db t é.csv --key id",
    ):
        done = shell(folder, words, **env)
        assert (0, False) == (done.returncode, b"Traceback" in done.stderr), (words, done.stderr)
    assert 100 == rows(folder / "été.db")
    assert (folder / "prix-été.csv").read_bytes() == (folder / "é.csv").read_bytes()
    assert 1 == shell(folder, "$R upload été-là.csv sqlite:///été.db t2", **env).returncode


@pytest.mark.parametrize("name", [b"caf\xe9.db", b"\xff\xfe.db"])
def test_a_path_that_is_not_utf_8_is_a_path(folder: Path, name: bytes) -> None:
    """A database's, a file's and a store's: loaded, listed, exported, and gone on with by the run's name."""
    os.rename(folder / "good.csv", os.fsencode(folder) + b"/in-" + name)
    quoted = "$'" + "".join(f"\\x{byte:02x}" for byte in name) + "'"
    for words in (
        f"$R upload in-{quoted} sqlite:///{quoted} t --store s-{quoted}",
        f"$R upload in-{quoted} sqlite:///{quoted} t --store sqlite:///s-{quoted}.db",
        f"$R list --store s-{quoted}",
        f"$R export sqlite:///{quoted} t out-{quoted}.csv --key id",
        f"$R upload in-{quoted} sqlite:///{quoted} t --explain",
        f"$R upload in-{quoted} sqlite:///{quoted} t2 --name n --on-bad-row quarantine",
        "$R status n",
        "$R status n --json",
        "$R resume n",
    ):
        done = shell(folder, words)
        assert (0, False) == (done.returncode, b"Traceback" in done.stderr), (words, done.stderr)
    assert 100 == rows(os.fsencode(folder) + b"/" + name)

"""Crash injection itself: what counts as a moment, what a death leaves, and what the kit imports."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa

from resumable.testing import Crashed, Ended, Process, crash, crash_points, deaths


def test_a_process_dies_before_each_call_that_changes_a_file(tmp_path: Path) -> None:
    """The calls come in their order, each with the one before it; a write has a moment in its middle."""

    def act() -> None:
        fd = os.open(tmp_path / "new", os.O_CREAT | os.O_WRONLY)
        os.write(fd, b"1234")
        os.fsync(fd)
        os.rename(tmp_path / "new", tmp_path / "done")

    seen = []
    for death in deaths(lambda n: crash(act, at=n)):
        seen.append((death.after, death.before, (tmp_path / "new").read_bytes() if death.at > 1 else None))
        (tmp_path / "new").unlink(missing_ok=True)
    assert [
        ("the start", "open of new for writing", None),
        ("open of new for writing", "write of new", b""),
        ("write of new", "the second half of write of new", b"12"),
        ("the second half of write of new", "fsync of new", b"1234"),
        ("fsync of new", "rename of new", b"1234"),
    ] == seen
    assert b"1234" == (tmp_path / "done").read_bytes()


def test_python_s_files_die_in_the_middle_too(tmp_path: Path) -> None:
    """`open` for writing writes by os.write: what was flushed is there, what was buffered is not."""

    def act() -> None:
        with (tmp_path / "text").open("w", encoding="utf-8") as file:
            file.write("12")
            file.flush()
            file.write("3")

    left = []
    for _ in deaths(lambda n: crash(act, at=n)):
        left.append((tmp_path / "text").read_text() if (tmp_path / "text").exists() else None)
    assert [None, "", "1", "12"] == left


def test_statements_and_commits_are_moments_and_queries_are_none(tmp_path: Path) -> None:
    """A database sees nothing of a transaction whose COMMIT was never asked for."""
    url = f"sqlite:///{tmp_path / 'a.db'}"
    with sa.create_engine(url).begin() as c:
        c.execute(sa.text("create table t (n)"))

    def act() -> None:
        with sa.create_engine(url).begin() as c:
            c.execute(sa.text("select 1"))
            c.execute(sa.text("insert into t values (1)"))
            c.execute(sa.text("insert into t values (2)"))

    before = [death.before for death in deaths(lambda n: crash(act, at=n))]
    assert ["insert into t values (1)", "insert into t values (2)", "COMMIT"] == before
    with sa.create_engine(url).connect() as c:
        assert [(1,), (2,)] == c.execute(sa.text("select * from t")).fetchall()


class Remote:
    """Something that no list of calls can know."""

    def send(self) -> str:
        return "sent"


def test_further_calls_are_named(tmp_path: Path) -> None:
    """`effects` count like the others, and their answers come through."""
    outcome = crash(lambda: Remote().send(), at=1, effects=[(Remote, "send")])
    assert "died at moment 1: after the start, before Remote.send" == str(outcome)
    assert Ended("sent", ("Remote.send",)) == crash(lambda: Remote().send(), at=0, effects=[(Remote, "send")])


def test_other_threads_do_not_count(tmp_path: Path) -> None:
    """A heart that beats when it likes doesn't move the n-th moment."""

    def act() -> None:
        thread = threading.Thread(target=lambda: (tmp_path / "theirs").write_text("x"))
        thread.start()
        thread.join()
        crash_points("mine")

    assert ["mine"] == [death.before for death in deaths(lambda n: crash(act, at=n))]


def test_what_happens_as_one_has_one_moment() -> None:
    """Where a part is known to be atomic, only what comes before it and after it is tried."""

    def act() -> None:
        with crash_points.as_one("all of it"):
            crash_points("a part")
        crash_points("the end")

    assert ["all of it", "the end"] == [death.before for death in deaths(lambda n: crash(act, at=n))]


def test_a_sweep_that_kills_nothing_is_inconclusive() -> None:
    """No kill landed: nothing was shown, and so it fails."""
    with pytest.raises(AssertionError, match="Inconclusive"):
        list(deaths(lambda n: crash(lambda: None, at=n)))


def test_an_error_in_the_child_is_told_here() -> None:
    """Where it was raised included; and so is an end that nobody foresaw."""
    with pytest.raises(AssertionError, match=r"(?s)Traceback.*ZeroDivisionError"):
        crash(lambda: 1 // 0, at=0)
    with pytest.raises(AssertionError, match="is gone"):
        crash(lambda: os._exit(3), at=0)


def test_a_kill_counts_only_if_it_landed() -> None:
    """A process that has ended can't be killed; one that hasn't is gone afterwards."""
    with Process(lambda line: None) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        with pytest.raises(AssertionError, match="Inconclusive"):
            process.kill()
    with Process(lambda line: line.hear()) as process:
        process.kill()
        with pytest.raises(AssertionError, match="gone"):
            process.line.hear()


def test_a_child_that_lives_leaves_the_parent_as_it_was(tmp_path: Path) -> None:
    """The calls are replaced in the child alone."""
    real = os.fsync, open
    assert isinstance(crash(lambda: (tmp_path / "a").write_text("a"), at=2), Crashed)
    assert real == (os.fsync, open)


def test_the_kit_imports_no_test_runner() -> None:
    """Neither pytest nor unittest: it is for any of them."""
    code = "import sys, resumable.testing; print(sorted({'pytest', '_pytest', 'unittest'} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ("[]\n", "") == (done.stdout, done.stderr)

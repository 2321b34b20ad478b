"""What somebody may do by mistake, or on purpose, that would lose more than the run's own work."""

from __future__ import annotations

import contextlib
import sqlite3
import sys
from pathlib import Path

import pytest

import resumable
from shell import here, numbers, rows_of
from targets import Target


def shop(folder: Path) -> Path:
    """A SQLite database with one table of two rows."""
    path = folder / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as c:
        c.executescript("create table orders(id integer primary key); insert into orders values (1), (2)")
    return path


@pytest.mark.parametrize("beside", ["", "-wal", "-journal", "-shm"])
def test_an_export_does_not_replace_the_database_that_it_reads(tmp_path: Path, beside: str) -> None:
    """Neither the database nor what SQLite keeps beside it may be the target, even with if_exists="replace"."""
    path = shop(tmp_path)

    with pytest.raises(resumable.UsageError, match="is the database itself"):
        resumable.export(
            f"sqlite:///{path}", "orders", f"{path}{beside}", format="csv", if_exists="replace", store=tmp_path / "runs"
        )
    assert [(1,), (2,)] == rows_of(path, "select * from orders")


def test_an_export_does_not_replace_the_database_under_another_name(tmp_path: Path) -> None:
    """A hard link to the database is the database."""
    path = shop(tmp_path)
    (tmp_path / "copy.csv").hardlink_to(path)

    with pytest.raises(resumable.UsageError, match="is the database itself"):
        resumable.export(f"sqlite:///{path}", "orders", tmp_path / "copy.csv", if_exists="replace")


@pytest.mark.parametrize("table", ["resumable_ledger", "Resumable_Ledger"])
def test_the_ledger_is_no_table_to_load_into(tmp_path: Path, table: str) -> None:
    """It is refused from the start, also where there is no ledger yet, and nothing is left in the database."""
    pipeline = resumable.upload(
        numbers(tmp_path / "n.csv", 3), f"sqlite:///{tmp_path / 'n.db'}", table, store=tmp_path / "runs"
    )

    with pytest.raises(resumable.TargetError, match="resumable's own"):
        pipeline.run()
    assert [] == rows_of(tmp_path / "n.db", "select name from sqlite_master")


def test_a_key_that_names_a_column_twice_is_refused(tmp_path: Path) -> None:
    """PostgreSQL would refuse it at the very end, and SQLite not at all."""
    with pytest.raises(resumable.UsageError, match="twice"):
        resumable.upload(numbers(tmp_path / "n.csv", 3), f"sqlite:///{tmp_path / 'n.db'}", "n", key=["id", "id"])


def test_a_replace_does_not_reach_the_rows_of_tables_that_inherit(tmp_path: Path, postgres: str) -> None:
    """DELETE FROM a parent deletes its children's rows, which the source knows nothing of: refused at the start."""
    target = Target(postgres)
    target.do(
        "create table n (id int primary key, n int)",
        "create table heir () inherits (n)",
        "insert into n values (1, 1)",
        "insert into heir values (2, 2)",
    )
    before = target.dump()
    pipeline = resumable.upload(
        numbers(tmp_path / "n.csv", 3), postgres, "n", if_exists="replace", store=tmp_path / "runs"
    )

    with pytest.raises(resumable.TargetError, match="heir inherits"):
        pipeline.run()
    assert before == target.dump()


def test_a_replace_of_a_partitioned_table_goes_on_as_ever(tmp_path: Path, postgres: str) -> None:
    """Its parts are the table itself: their rows are meant."""
    target = Target(postgres)
    target.do(
        "create table n (id int, n int) partition by range (id)",
        "create table n1 partition of n for values from (0) to (100)",
        "insert into n values (50, 1)",
    )
    resumable.upload(numbers(tmp_path / "n.csv", 3), postgres, "n", if_exists="replace", store=tmp_path / "runs").run()

    assert [(1, 3), (2, 6), (3, 9)] == target.all("select * from n1 order by id")


def test_a_quarantine_is_not_written_over_a_file_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even over the source itself, and the message doesn't claim to know what is in it."""
    monkeypatch.chdir(tmp_path)
    source = numbers(tmp_path / "n.csv", 3)
    before = source.read_bytes()

    done = here("upload", source, "sqlite:///n.db", "n", "--on-bad-row", "quarantine", "--quarantine", source)

    assert 1 == done.returncode
    assert "is there already" in done.stderr
    assert before == source.read_bytes()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_an_output_that_cannot_be_written_is_no_fault_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`resumable list > file` on a full disk says what is wrong, with exit status 1."""
    from resumable.cli import main

    monkeypatch.chdir(tmp_path)
    resumable.upload(numbers(tmp_path / "n.csv", 3), "sqlite:///n.db", "n").run()
    with open("/dev/full", "w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        status = main(["list"])
        monkeypatch.undo()

    said = capsys.readouterr().err
    assert 1 == status
    assert "The output can't be written: No space left on device." in said
    assert "fault" not in said

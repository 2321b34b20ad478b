"""What has no key is exported all the same: whole, in one snapshot; a resume begins again from the start.

Each test's table has a version that all rows share, and changes it, for all rows at once, where the run is left: a file
that was made of two snapshots would tell.
"""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

import resumable
from resumable.errors import Paused, SourceChanged, Terminated
from resumable.sources import SqlSource
from shell import environment

ROWS = 1_000
STEP = 100
"""Rows of a batch here, so that a small table has many."""


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A working folder of its own, and small batches."""
    monkeypatch.chdir(tmp_path)
    for module in ("sqlite", "postgresql"):
        monkeypatch.setattr(f"resumable.databases.{module}.read.MAX_ROWS", STEP)
    return tmp_path


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, folder: pathlib.Path) -> str:
    """A database of each kind, whose view `v` has no key: in PostgreSQL its table has none either."""
    url = f"sqlite:///{folder / 'shop.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres")
    execute(
        url,
        "create table t (id integer, version integer)",
        f"insert into t with recursive n(i) as (select 1 union all select i + 1 from n where i < {ROWS})"
        " select i, 1 from n",
        "create view v as select id, version from t",
    )
    return url


def execute(url: str, *statements: str) -> list[Any]:
    engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    rows: list[Any] = []
    try:
        with engine.begin() as c:
            for statement in statements:
                result = c.exec_driver_sql(statement)
                rows = list(result) if result.returns_rows else []
    finally:
        engine.dispose()
    return rows


def exported(url: str, what: str = "v", **options: Any) -> resumable.Pipeline:
    return resumable.export(url, what, "out.csv", every=0, **options)


def assert_one_snapshot(version: int, path: str = "out.csv") -> None:
    """The file has that version of every row, and each row once."""
    head, *lines = pathlib.Path(path).read_text().splitlines()
    assert head == "id,version"
    assert {line.partition(",")[2] for line in lines} == {str(version)}
    assert sorted(int(line.partition(",")[0]) for line in lines) == list(range(1, ROWS + 1))


def left_at(pipeline: resumable.Pipeline, steps: int) -> resumable.Progress:
    """The step at which the loop over it is left."""
    with closing(iter(pipeline)) as run:
        return [next(run) for _ in range(steps)][-1]


@pytest.mark.parametrize("what", ["v", "select * from v", "with x as (select * from t) select id, version from x"])
def test_a_view_or_query_without_a_key_is_written_whole(url: str, what: str) -> None:
    """In one go: every row once; nothing else is left, and the same call does nothing."""
    before = set(os.listdir()) | {".resumable", "out.csv"}
    last = exported(url, what).run()
    assert (last.status, last.rows, last.fraction, last.pending) == ("completed", ROWS, 1.0, 0)
    assert_one_snapshot(1)
    assert set(os.listdir()) == before
    assert "completed before" in exported(url, what).run().message


def test_what_was_uploaded_into_postgresql_comes_back(postgres: str, folder: pathlib.Path) -> None:
    """A new table has no key of its own: the file that is written back is, byte for byte, the one that was loaded."""
    text = "id,word\n" + "".join(f"{n * 7 % 1009},word {n}\n" for n in range(ROWS))
    (folder / "in.csv").write_text(text)
    resumable.upload("in.csv", postgres, "words").run()
    resumable.export(postgres, "words", "out.csv").run()
    assert (folder / "out.csv").read_text() == text


def test_each_step_says_that_nothing_is_committed_yet(url: str) -> None:
    """Rows are pending, not committed; the fraction goes on, and people are told what a resume would do."""
    steps = list(exported(url))
    assert [step.rows for step in steps] == [0] * (len(steps) - 1) + [ROWS]
    assert [step.pending for step in steps] == [*range(STEP, ROWS + 1, STEP), 0]
    assert "0 rows, 100 more are kept only once all are in (a resume reads them again)" in str(steps[0])
    assert steps[0].to_dict()["pending"] == STEP


def test_explain_says_that_a_resume_begins_again_and_names_the_better_way(url: str) -> None:
    """Before the run and in its middle."""
    for steps in (0, 3):
        left_at(exported(url), steps) if steps else None
        said = exported(url).explain()
        assert "whole, in one snapshot" in said
        assert "A resume begins again from the start, in a new snapshot" in said
        assert "key=[...] (--key)" in said


@pytest.mark.parametrize("steps", [1, 5, ROWS // STEP])
def test_left_and_gone_on_with_it_has_one_snapshot(url: str, steps: int) -> None:
    """Left at a step, twice, with the table changed in between: the file has the last version alone."""
    for version in (2, 3):
        assert left_at(exported(url), steps).pending == steps * STEP
        assert not pathlib.Path("out.csv").exists()
        assert exported(url).status == "paused"
        execute(url, f"update t set version = {version}", "update t set id = id")
    last = exported(url).run()
    assert (last.rows, last.status) == (ROWS, "completed")
    assert_one_snapshot(3)


def test_a_table_that_changes_under_a_run_is_read_as_it_was(postgres: str) -> None:
    """Changed at every step: one session is one snapshot."""
    execute(postgres, "create table v as select i as id, 0 as version from generate_series(1, 1000) i")
    for n, _ in enumerate(exported(postgres), 1):
        execute(postgres, f"update v set version = {n}", f"insert into v values ({ROWS + n}, {n})")
    assert_one_snapshot(0)


def test_a_pause_is_honoured_at_once_and_says_what_is_dropped(url: str) -> None:
    """It isn't put off to a commit that may be hours away."""
    pipeline = exported(url)
    with pytest.raises(Paused, match=r"paused at 0 rows; \d+ more were read and are dropped.*--key") as paused:
        for _ in pipeline:
            pipeline.stop()
    assert "from the start, in a new snapshot" in str(paused.value)
    assert exported(url).status == "paused"
    exported(url).run()
    assert_one_snapshot(1)


def test_the_better_way_that_is_named_can_be_taken(url: str) -> None:
    """A run without a key that was paused is begun anew by a key, and then goes on from where it was."""
    left_at(exported(url), 3)
    pipeline = exported(url, key=["id"])
    with closing(pipeline.steps(restart=True)) as steps:
        assert [next(steps).rows for _ in range(3)] == [STEP, 2 * STEP, 3 * STEP]
    assert next(iter(exported(url, key=["id"]))).rows == 4 * STEP
    exported(url, key=["id"]).run()
    assert_one_snapshot(1)


@pytest.mark.parametrize("alive", [True, False])
def test_terminated_in_its_middle_it_leaves_nothing(url: str, alive: bool) -> None:
    """By itself when asked while it runs, or from elsewhere once it is left."""
    before = set(os.listdir()) | {".resumable"}
    if alive:
        pipeline = exported(url)
        with pytest.raises(Terminated):
            for _ in pipeline:
                resumable.Run(pipeline.name).ask("terminate")
    else:
        left_at(exported(url), 3)
        exported(url).terminate()
    assert exported(url).status == "terminated"
    assert set(os.listdir()) == before


def test_columns_that_changed_meanwhile_are_refused(url: str) -> None:
    """What the file's first line says is frozen: a new snapshot must have the same columns."""
    left_at(exported(url), 3)
    execute(url, "drop view v", "create view v as select id, version, 1 as more from t")
    with pytest.raises(SourceChanged, match="'more' was added"):
        exported(url).run()


def test_a_lost_connection_begins_again_in_a_new_snapshot(postgres: str) -> None:
    """Once the server has ended it in mid-run, the same session reads on its own from the start."""
    wide = "repeat('x', 30000) as filler"  # more than what waits between the server and a reader
    execute(postgres, "create table t as select i as id, 1 as version from generate_series(1, 1000) i")
    execute(postgres, f"create view v as select id, version, {wide} from t")
    others = "from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    steps = []
    for step in exported(postgres, reconnect=60, transform=lambda rows: rows.select(["id", "version"])):
        steps.append(step)
        if len(steps) == 1:
            execute(postgres, "update t set version = 2", f"select pg_terminate_backend(pid) {others}")
    assert [step.pending for step in steps if "Trying again" in step.message] == [0]
    assert steps[-1].rows == ROWS
    assert_one_snapshot(2)


def test_into_a_table_it_goes_in_one_transaction(url: str, folder: pathlib.Path) -> None:
    """A source without a key into a database: nothing is committed of it before all is in, and each row comes once."""
    target = f"sqlite:///{folder / 'other.db'}"

    def copied() -> resumable.Pipeline:
        return resumable.upload(SqlSource(url, "v"), target, "copy", name="copy", every=0)

    for version in (2, 3):
        assert left_at(copied(), 4).rows == 0
        execute(url, f"update t set version = {version}")
    assert copied().run().rows == ROWS
    assert execute(target, "select count(*), count(distinct id), min(version), max(version) from copy") == [
        (ROWS, ROWS, 3, 3)
    ]


def test_the_command_line_takes_a_query_without_a_key(url: str, folder: pathlib.Path) -> None:
    """Stopped by Ctrl-C it ends with 75 and says so; the same line goes on, and `--key --restart`, as named, too."""
    execute(
        url,
        f"insert into t with recursive n(i) as (select 1 union all select i + 1 from n where i < 300000) select i + {ROWS}, 1 from n",
    )
    line = [
        sys.executable,
        "-m",
        "resumable",
        "export",
        url,
        "--query",
        "select id, version from t",
        "out.csv",
        "--every",
        "0",
    ]
    with subprocess.Popen(
        [*line, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        assert process.stdout is not None
        assert '"pending": ' in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 75, said
    assert "from the start" in said
    assert "--key, --restart" in said
    again = subprocess.run(
        [*line, "--key", "id", "--restart"], capture_output=True, text=True, check=False, env=environment()
    )
    assert again.returncode == 0, again.stderr
    assert len((folder / "out.csv").read_text().splitlines()) == ROWS + 300_000 + 1

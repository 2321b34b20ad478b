"""`kill -9` of an export without a key, at random moments, while somebody changes the table: one snapshot all the same.

Every row has a version that all of them share, and that one transaction changes for all at once; rows come and go with
it. A file that holds rows of two sessions would hold two versions, or a row twice.
"""

from __future__ import annotations

import contextlib
import random
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from jobs import NAME, Jobs, execute

ROWS = 20_000
"""That many batches of 1,000 are 20 steps."""


@contextlib.contextmanager
def changing(url: str) -> Iterator[Callable[[], int]]:
    """A table without a key, which a connection of its own keeps changing; how often it has, so far."""
    execute(
        url,
        f"create table t as select i as id, 0 as version, 'word ' || i as word from generate_series(1, {ROWS}) i",
        f"insert into t values ({ROWS + 1}, 0, 'the first to go')",
    )
    done, count = threading.Event(), [0]

    def change() -> None:
        with psycopg.connect(url) as c:
            while not done.is_set():
                count[0] += 1
                with c.transaction():
                    c.execute("update t set version = version + 1")
                    c.execute("delete from t where id > %s", [ROWS])
                    c.execute("insert into t select %s, min(version), 'new' from t", [ROWS + 1 + count[0]])

    thread = threading.Thread(target=change)
    thread.start()
    try:
        yield lambda: count[0]
    finally:
        done.set()
        thread.join()


def assert_one_snapshot(text: str) -> int:
    """One version; every row once, and with them the one row that came with that version."""
    head, *lines = text.splitlines()
    assert head == "id,version,word"
    rows = [line.split(",") for line in lines]
    (version,) = {int(row[1]) for row in rows}
    assert sorted(int(row[0]) for row in rows) == [*range(1, ROWS + 1), ROWS + 1 + version]
    return version


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_while_the_table_changes_it_is_one_snapshot(
    postgres: str, jobs: Jobs, tmp_path: Path, long: bool, tried: Callable[[str], None], seed: int
) -> None:
    """Killed until enough kills have landed, then left to end; what it was paused or killed at never shows."""
    folder = tmp_path / "files"
    folder.mkdir()
    target, chance, kills, pauses = folder / "t.csv", random.Random(seed), 0, 0
    line = ("export", postgres, "t", str(target), "--name", NAME)
    with changing(postgres) as changes:
        while kills + pauses < (40 if long else 6):
            job = jobs(*line)
            job.commits_or_ends(chance.randrange(1, ROWS // 1000))
            if chance.random() < 0.2:
                job.process.send_signal(signal.SIGINT)
            else:
                job.process.kill()
            status = job.process.wait(120)
            if status == 0:  # it was through before: begun anew
                assert_one_snapshot(target.read_text())
                target.unlink()
                continue
            assert status in (-signal.SIGKILL, 75), job.said
            kills, pauses = kills + (status == -signal.SIGKILL), pauses + (status == 75)
            assert not target.exists()
        job = jobs(*line)
        assert job.end() == 0, job.said
        assert_one_snapshot(target.read_text())
        assert [file.name for file in folder.iterdir()] == ["t.csv"]
        tried(f"keyless export: {kills} kills, {pauses} pauses, {changes()} changes of the table meanwhile")


def test_killed_and_then_called_off_it_leaves_nothing(postgres: str, jobs: Jobs, tmp_path: Path) -> None:
    """The rows on disk that were never committed go with the rest."""
    folder = tmp_path / "files"
    folder.mkdir()
    with changing(postgres):
        jobs("export", postgres, "t", str(folder / "t.csv"), "--name", NAME).committed(5).kill()
        assert list(folder.iterdir())
        assert jobs("terminate", NAME).end() == 0
    assert not list(folder.iterdir())
    assert jobs.known() == "terminated"

"""`kill -9` at random moments, in mid-run, again and again, until the run is through: every row once, in order.

Each round is the same command line. A kill counts only if the process was there to die of it. Rounds go on until
`KILLS` have landed; a run that gets through earlier is checked and begun anew.
"""

from __future__ import annotations

import random
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from jobs import NAME, Jobs

KILLS = 30
ROWS = 20_000


@pytest.fixture(scope="module")
def rows() -> list[tuple[Any, ...]]:
    """Integers, text that needs quotes, NULL beside the empty string, floats, dates."""
    chance = random.Random(7)
    words = ["", None, "plain", 'a "quoted" word', "comma, comma", "two\nlines", "Ünï¢ode", " spaces "]
    return [
        (n, chance.choice(words), chance.choice([None, n / 8]), f"20{n % 90 + 10}-01-{n % 28 + 1:02}")
        for n in range(1, ROWS + 1)
    ]


@pytest.fixture(scope="module")
def expected(rows: list[tuple[Any, ...]]) -> str:
    """The one right CSV file of these rows."""

    def field(value: Any) -> str:
        if value is None:
            return ""
        text = str(value)
        plain = text and not set(text) & set(',"\n\r')
        return text if plain else '"' + text.replace('"', '""') + '"'

    return "id,word,ratio,day\n" + "".join(",".join(map(field, row)) + "\n" for row in rows)


class Killed:
    """Runs one command line until it is through, killing it at random moments; counts the kills that landed."""

    def __init__(self, jobs: Jobs, *arguments: str) -> None:
        self.jobs, self.arguments = jobs, (*arguments, "--name", NAME)
        self.kills = self.went_on = self.rounds = 0

    def committed(self) -> int:
        record = self.jobs.store.load(NAME)
        return 0 if record is None or record.checkpoint.finished else record.checkpoint.rows

    def until_through(self) -> None:
        while True:
            before, job = self.committed(), self.jobs(*self.arguments)
            if self.kills < KILLS:
                # From the very start on, or some commits later; the rest is chance.
                job.commits_or_ends(random.randrange(5))
                time.sleep(random.uniform(0, 0.05))
                job.process.kill()
            code, steps = job.end(), job.steps
            self.rounds += 1
            if steps and before:
                assert steps[0]["rows"] >= before, "it began before the last commit"
                self.went_on += 1
            if code == -signal.SIGKILL:
                self.kills += 1
                continue
            assert (0, "completed") == (code, steps[-1]["status"]), job.said
            return

    def report(self, tried: Callable[[str], None], what: str) -> None:
        assert self.went_on > KILLS / 4, "inconclusive: hardly a kill came after a commit"
        tried(f"random kills, {what}: {self.kills} landed in {self.rounds} sessions, {self.went_on} went on")


def left_over(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()} - {"store", "jobs"}


def fill(url: str, rows: list[tuple[Any, ...]]) -> None:
    made = "create table t (id {} primary key, word text, ratio double precision, day date)"
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute(made.format("integer"))
            connection.executemany("insert into t values (?, ?, ?, ?)", rows)
        connection.close()
    else:
        with psycopg.connect(url) as database, database.cursor() as cursor:
            cursor.execute(made.format("bigint"))
            with cursor.copy("copy t from stdin") as copy:
                for row in rows:
                    copy.write_row(row)


def table(url: str) -> tuple[list[tuple[Any, ...]], set[str]]:
    """The rows, in SQLite in the order of a plain scan (PostgreSQL promises none), and all tables there are."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        got = connection.execute("select id, word, ratio, day from t").fetchall()
        names = {name for (name,) in connection.execute("select name from sqlite_master")}
        connection.close()
    else:
        with psycopg.connect(url) as database:
            got = database.execute("select id, word, ratio, day::text from t order by id").fetchall()
            names = {
                n
                for (n,) in database.execute(
                    "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S')"
                )
            }
    return got, names


def test_an_upload_survives_kills(
    jobs: Jobs, database: str, rows: list[tuple[Any, ...]], expected: str, tmp_path: Path, tried: Callable[[str], None]
) -> None:
    """Into an empty database: the rows once, equal, in order; no other table but the ledger, no other file."""
    source = tmp_path / "rows.csv"
    source.write_text(expected, encoding="utf-8")
    killed = Killed(jobs, "upload", str(source), database, "t")
    while killed.kills < KILLS:
        killed.until_through()
        got, names = table(database)
        assert rows == got
        assert {"t", "resumable_ledger"} == {n for n in names if not n.startswith("sqlite_autoindex")}
        assert {"rows.csv"} == left_over(tmp_path) - {"db"}
        if database.startswith("sqlite"):
            assert {"target.db"} == {p.name for p in (tmp_path / "db").iterdir()}
            (tmp_path / "db" / "target.db").unlink()
        else:
            with psycopg.connect(database) as connection:
                connection.execute("drop table t")
    killed.report(tried, f"upload to {database.partition(':')[0]}")


def test_an_export_survives_kills(
    jobs: Jobs, database: str, rows: list[tuple[Any, ...]], expected: str, tmp_path: Path, tried: Callable[[str], None]
) -> None:
    """To a CSV file: the same bytes as an uninterrupted one; nothing at its path before the end, nothing beside it."""
    fill(database, rows)
    (tmp_path / "out-files").mkdir()
    target = tmp_path / "out-files" / "rows.csv"
    killed = Killed(jobs, "export", database, "t", str(target))
    while killed.kills < KILLS:
        killed.until_through()
        assert expected == target.read_text(encoding="utf-8")
        assert ["rows.csv"] == [p.name for p in target.parent.iterdir()]
        target.unlink()
    killed.report(tried, f"export from {database.partition(':')[0]}")

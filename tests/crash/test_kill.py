"""`kill -9` at random moments, in mid-run, again and again, until the run is through: every row once, in order.

Each round is the same command line. A kill counts only if the process was there to die of it. Rounds go on until
`KILLS` have landed; a run that gets through earlier is checked and begun anew.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from resumable.stores import FileStore

KILLS = 30
ROWS = 40_000
JOB = str(Path(__file__).with_name("job.py"))


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

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self.arguments, self.folder = arguments, folder
        self.store = FileStore(folder / "store")
        self.kills, self.span, self.chance = 0, 0.7, random.Random()
        self.went_on = 0

    def spawn(self) -> subprocess.Popen[bytes]:
        command = [
            sys.executable,
            JOB,
            *self.arguments,
            "--json",
            "--every",
            "0",
            "--store",
            str(self.folder / "store"),
        ]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("RESUMABLE")}
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as err:
            return subprocess.Popen(command, stdout=out, stderr=err, env=environment)

    def committed(self) -> int:
        records = [self.store.load(name) for name in self.store.names()]
        return max((r.checkpoint.rows for r in records if r is not None and not r.checkpoint.over), default=0)

    def until_through(self) -> None:
        while True:
            before = self.committed()
            process = self.spawn()
            if self.kills < KILLS:
                # Most kills fall between the first commit and the end, the others anywhere from the start of Python on.
                out, began = self.folder / "out", time.monotonic()
                if self.chance.random() < 0.75:
                    while process.poll() is None and not out.stat().st_size and time.monotonic() - began < 60:
                        time.sleep(0.002)
                    time.sleep(self.chance.uniform(0, self.span))
                else:
                    time.sleep(self.chance.uniform(0.2, 1.5))
                if process.poll() is None:
                    process.kill()
            code = process.wait(timeout=120)
            lines = (self.folder / "out").read_text().splitlines()
            steps = [json.loads(line) for line in lines if line.endswith("}")]
            if steps and before:
                assert steps[0]["rows"] >= before, "it began before the last commit"
                self.went_on += 1
            if code == -signal.SIGKILL:
                self.kills += 1
                continue
            assert (0, "completed") == (code, steps[-1]["status"]), (self.folder / "err").read_text()
            # The kills should fall into the whole of what a run takes, and some runs must get through.
            self.span *= 0.7
            return


def left_over(folder: Path) -> set[str]:
    return {p.name for p in folder.iterdir()} - {"store", "out", "err"}


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
    """The rows in the order of a plain scan, and all tables there are."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        got = connection.execute("select id, word, ratio, day from t").fetchall()
        names = {name for (name,) in connection.execute("select name from sqlite_master")}
        connection.close()
    else:
        with psycopg.connect(url) as database:
            got = database.execute("select id, word, ratio, day::text from t").fetchall()
            names = {
                n
                for (n,) in database.execute(
                    "select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v', 'S')"
                )
            }
    return got, names


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres")
        return url
    (tmp_path / "db").mkdir()
    return f"sqlite:///{tmp_path / 'db' / 'target.db'}"


def test_an_upload_survives_kills(database: str, rows: list[tuple[Any, ...]], expected: str, tmp_path: Path) -> None:
    """Into an empty database: the rows once, equal, in order; no other table but the ledger, no other file."""
    source = tmp_path / "rows.csv"
    source.write_text(expected, encoding="utf-8")
    killed = Killed(["upload", str(source), database, "t"], tmp_path)
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
    assert killed.went_on > KILLS / 4


def test_an_export_survives_kills(database: str, rows: list[tuple[Any, ...]], expected: str, tmp_path: Path) -> None:
    """To a CSV file: the same bytes as an uninterrupted one; nothing at its path before the end, nothing beside it."""
    fill(database, rows)
    (tmp_path / "out-files").mkdir()
    target = tmp_path / "out-files" / "rows.csv"
    killed = Killed(["export", database, "t", str(target)], tmp_path)
    while killed.kills < KILLS:
        killed.until_through()
        assert expected == target.read_text(encoding="utf-8")
        assert ["rows.csv"] == [p.name for p in target.parent.iterdir()]
        target.unlink()
    assert killed.went_on > KILLS / 4

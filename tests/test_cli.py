"""The command line: commands, options, output, exit statuses, and runs that are rebuilt from the store."""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

import resumable
from resumable import cli, cli_runs
from resumable import cli_arguments as arguments
from resumable.stores import FileStore, open_store
from shell import environment, here, image, numbers, rows_of, tables
from shell import resumable as command

SHOP = "sqlite:///shop.db"
JOB = str(Path(__file__).parent / "tools" / "job.py")
TIMEOUT = 60


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a file of a hundred rows, and one of three batches."""
    monkeypatch.chdir(tmp_path)
    for variable in environment().keys() ^ os.environ.keys():
        monkeypatch.delenv(variable)
    numbers(tmp_path / "good.csv", 100)
    numbers(tmp_path / "many.csv", 140_000)
    return tmp_path


def stopped(pipeline: resumable.Pipeline) -> None:
    """Run it to its first commit, and no further."""
    with closing(iter(pipeline)) as steps:
        assert next(steps).status == "running"
    assert pipeline.status == "paused"


def told(done: subprocess.CompletedProcess[str], status: int, *words: str) -> None:
    """It ended with `status` and says each of `words` on stderr, without a traceback."""
    assert (done.returncode, "Traceback" in done.stderr) == (status, False), done.stderr
    for word in words:
        assert word in done.stderr


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


# ------------------------------------------------------------------------------------------------ the runs


def test_upload_and_export_from_a_shell(folder: Path) -> None:
    """`python -m resumable`: plain lines on stderr where no terminal is, nothing on stdout, exit status 0."""
    done = command("upload", "good.csv", SHOP, "orders", cwd=folder)
    told(done, 0)
    assert re.fullmatch(r"upload-good\.csv-orders-[0-9a-f]{8}: completed, 100 rows, 100%, [\d,]+ rows/s\n", done.stderr)
    assert done.stdout == ""
    done = command("export", SHOP, "orders", "out.csv", cwd=folder)
    told(done, 0, ": completed, 100 rows, 100%")
    assert done.stdout == ""
    assert (folder / "out.csv").read_bytes() == (folder / "good.csv").read_bytes()


def test_the_same_line_again_says_that_it_is_done_and_does_nothing(folder: Path) -> None:
    """Exit status 0: the command did what it says."""
    for said in ("completed, 100 rows", "completed before, nothing to do"):
        told(here("upload", "good.csv", SHOP, "orders", "--if-exists", "append"), 0, said)
    assert rows_of(folder / "shop.db", "select count(*) from orders") == [(100,)]


def test_json_is_one_object_a_line_at_each_commit_and_at_the_end(folder: Path) -> None:
    """Each with name, status, rows over all sessions, and fraction; nothing else on stdout, nothing on stderr."""
    done = here("upload", "many.csv", SHOP, "many", "--every", "0", "--json", "--name", "m")
    told(done, 0)
    steps = lines(done.stdout)
    assert done.stderr == ""
    assert [{"name", "status", "rows", "fraction"} <= step.keys() for step in steps] == [True] * len(steps)
    assert [step["status"] for step in steps] == ["running"] * (len(steps) - 1) + ["completed"]
    assert len(steps) > 2
    assert [step["rows"] for step in steps] == sorted(step["rows"] for step in steps)
    assert ("m", 140_000, 1.0) == (steps[-1]["name"], steps[-1]["rows"], steps[-1]["fraction"])
    assert lines(here("upload", "many.csv", SHOP, "many", "--json", "--name", "m").stdout) == [
        steps[-1] | {"message": "completed before, nothing to do"}
    ]


def test_json_ends_with_the_failure(folder: Path) -> None:
    """The last line has the status and the message; stderr has the message too."""
    numbers(folder / "bad.csv", 500_000, bad=500_000)
    done = here("upload", "bad.csv", SHOP, "bad", "--every", "0", "--json")
    told(done, 1, "row 500,000")
    last = lines(done.stdout)[-1]
    assert ("failed", 0 < last["rows"] < 500_000) == (last["status"], True)
    assert last["message"] in done.stderr
    refused = here("upload", "missing.csv", SHOP, "t", "--json", "--name", "t")
    told(refused, 1, "isn't there")
    (line,) = lines(refused.stdout)
    assert ("t", "new", 0) == (line["name"], line["status"], line["rows"])
    assert "isn't there" in line["message"]


def spawn(*words: object, folder: Path, **streams: Any) -> subprocess.Popen[str]:
    """The command line with batches of 1,000 rows and a commit after each."""
    full = [sys.executable, JOB, *map(str, words), "--every", "0"]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen(full, cwd=folder, env=environment(), stdin=subprocess.DEVNULL, text=True, **streams)


@pytest.mark.parametrize("which", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_pause_with_status_75_and_a_last_json_line(which: signal.Signals, folder: Path) -> None:
    """The first line comes while it runs: each is flushed. The same line again goes on from there."""
    line = ("upload", "many.csv", SHOP, "many", "--name", "m")
    process = spawn(*line, "--json", folder=folder)
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.send_signal(which)
    out, err = process.communicate(timeout=TIMEOUT)
    last = lines(out)[-1]
    assert (process.returncode, "Traceback" in err) == (75, False), err
    assert "is paused at" in err
    assert "same call goes on" in err
    assert ("running", "paused", True) == (first["status"], last["status"], first["rows"] <= last["rows"] < 140_000)
    assert here("status", "m").stdout.startswith(f"m: paused, {last['rows']:,} rows, ")
    done = here(*line, "--json")
    told(done, 0)
    assert lines(done.stdout)[-1]["rows"] == 140_000
    assert rows_of(folder / "shop.db", "select count(*), count(distinct id) from many") == [(140_000, 140_000)]


def test_a_run_that_is_paused_or_terminated_from_elsewhere_ends_with_75_or_1(folder: Path) -> None:
    """`pause` and `terminate` return when it is done, and say so."""
    line = ("upload", "many.csv", SHOP, "many", "--name", "m", "--json")
    process = spawn(*line, folder=folder)
    process.stdout.readline()
    told(here("pause", "m"), 0, "m is paused.")
    assert process.wait(TIMEOUT) == 75
    process.communicate()
    process = spawn(*line, folder=folder)
    process.stdout.readline()
    told(here("terminate", "m"), 0, "m is terminated: the target is as it was before.")
    out, err = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 1, err
    assert lines(out)[-1]["status"] == "terminated"
    assert "was terminated" in err
    assert tables(folder / "shop.db") == []


def test_a_signal_that_comes_while_the_run_is_opened_counts(folder: Path) -> None:
    """It pauses before the first batch, or after it, if that is there by then."""

    def transform(rows):
        if not rows.num_rows:  # the run begins
            pipeline.stop()
        return rows

    pipeline = resumable.upload("many.csv", SHOP, "many", transform=transform)
    with pytest.raises(resumable.Paused):
        pipeline.run()
    assert pipeline.progress.rows < 140_000
    assert pipeline.run().rows == 140_000, "it was meant for that session only"


def test_nobody_reading_the_output_pauses_the_run(folder: Path) -> None:
    """As in `resumable upload ... --json | head -1`: no traceback, status 75, and nothing is lost."""
    process = spawn("upload", "many.csv", SHOP, "many", "--name", "m", "--json", folder=folder)
    process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(TIMEOUT), "Traceback" in err) == (75, False), err
    assert "Nobody reads the output" in err
    assert FileStore(folder / ".resumable").load("m").checkpoint.stopped_as == "paused"
    told(here("upload", "many.csv", SHOP, "many", "--name", "m"), 0)
    assert rows_of(folder / "shop.db", "select count(*), count(distinct id) from many") == [(140_000, 140_000)]


@pytest.mark.parametrize("words", [("list",), ("upload", "good.csv", SHOP, "t", "--explain")])
def test_nobody_reading_a_list_is_no_failure(words: tuple[str, ...], folder: Path) -> None:
    """As in `resumable list | head -1`."""
    here("upload", "good.csv", SHOP, "orders")
    reader, writer = os.pipe()
    os.close(reader)
    process = subprocess.Popen(
        [sys.executable, "-m", "resumable", *words],
        cwd=folder, env=environment(), stdout=writer, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(writer)
    _, err = process.communicate(timeout=TIMEOUT)
    assert (process.returncode, err) == (0, "")


@pytest.mark.parametrize("hidden", [False, True], ids=["tqdm", "no tqdm"])
def test_a_terminal_gets_a_bar_or_lines_where_tqdm_is_missing(hidden: bool, folder: Path) -> None:
    """The bar tells name, percent and rows; without tqdm there are plain lines."""
    code = "import sys, importlib.util as u; sys.modules.update(tqdm=None)\nreal = u.find_spec\n"
    code += "u.find_spec = lambda name, *more: None if name == 'tqdm' else real(name, *more)\n"
    code = (code if hidden else "import sys\n") + "from resumable.cli import main; sys.exit(main(sys.argv[1:]))"
    full = [sys.executable, "-c", code, "upload", "many.csv", SHOP, "many", "--name", "m", "--every", "0"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(full, cwd=folder, env=environment({"COLUMNS": "120"}), stderr=theirs, stdout=theirs)
    os.close(theirs)
    seen = b""
    while True:
        try:
            data = os.read(ours, 65536)
        except OSError:  # Linux: its other end is closed
            data = b""
        if not data:
            break
        seen += data
    os.close(ours)
    text = seen.decode()
    assert process.wait(TIMEOUT) == 0, text
    if hidden:
        assert "m: completed, 140,000 rows, 100%" in text
        assert "%|" not in text
    else:
        assert re.search(r"m: 100%\|.+\| 140,000 rows, 100%", text)


def test_explain_says_what_would_be_done_and_changes_nothing(folder: Path) -> None:
    """Before, in the middle, and after; no store, no database comes about."""
    line = ("upload", "many.csv", SHOP, "many", "--every", "0")
    done = here(*line, "--explain")
    told(done, 0)
    assert "begins at the first row" in done.stdout
    assert "one atomic step at the end" in done.stdout
    assert image(folder, store="") == {n: found for n, found in image(folder, store="").items() if n.endswith(".csv")}
    assert "in sight from the first commit" in here(*line, "--no-staging", "--explain").stdout

    stopped(resumable.upload("many.csv", SHOP, "many", every=0))
    before = image(folder, store="")
    for words in (line, ("resume", open_store().names()[0])):
        done = here(*words, "--explain")
        told(done, 0)
        assert re.search(r"Skipped: the [\d,]+ rows that are committed", done.stdout)
        assert "Undone by terminate" in done.stdout
    assert image(folder, store="") == before

    told(here(*line), 0)
    before = image(folder, store="")
    assert "140,000 rows are published. The same call does nothing," in here(*line, "--explain").stdout
    numbers(folder / "many.csv", 10)
    assert "begins a new run: the source has changed" in here(*line, "--explain").stdout
    assert {k: v for k, v in image(folder, store="").items() if k != "many.csv"} == {
        k: v for k, v in before.items() if k != "many.csv"
    }


def test_explain_names_the_word_that_keeps_a_column_from_being_a_number(folder: Path) -> None:
    """`NA` is Namibia unless --null says so."""
    (folder / "na.csv").write_text("id,n\n1,2\n2,NA\n3,4\n")
    done = here("upload", "na.csv", SHOP, "na", "--explain")
    assert "'n' is text because of 'NA' (first in row 2)" in done.stdout
    told(here("upload", "na.csv", SHOP, "na", "--null", "", "--null", "NA"), 0)
    assert rows_of(folder / "shop.db", "select n, typeof(n) from na") == [
        (2, "integer"),
        (None, "null"),
        (4, "integer"),
    ]


# ------------------------------------------------------------------------------------------------- options


def test_the_options_of_an_upload_reach_it(folder: Path) -> None:
    """--key a,b, --columns, --null, --delimiter, --quote, --encoding, --no-header, --names, --no-staging, --every."""
    (folder / "odd.txt").write_bytes("1\tx\t007\t-\t'a\tb'\n2\ty\t008\t5\tcaf\xe9\n".encode("latin-1"))
    words = ("--key", "a,b", "--columns", "z=string", "--null", "-", "--delimiter", r"\t", "--quote", "'")
    more = ("--encoding", "latin-1", "--no-header", "--names", "a,b,z,n,t", "--no-staging", "--every", "0")
    told(here("upload", "odd.txt", SHOP, "odd", *words, *more), 0)
    assert rows_of(folder / "shop.db", "select * from odd order by a") == [
        (1, "x", "007", None, "a\tb"),
        (2, "y", "008", 5, "café"),
    ]
    keys = rows_of(folder / "shop.db", "select name from pragma_table_info('odd') where pk order by pk")
    assert keys == [("a",), ("b",)]


def test_a_tab_separates_the_fields_of_a_tsv_file_both_ways(folder: Path) -> None:
    """The name of the file says it; --delimiter would."""
    (folder / "in.tsv").write_text("id\ta\n1\tx,y\n")
    told(here("upload", "in.tsv", SHOP, "t", "--key", "id"), 0)
    told(here("export", SHOP, "t", "out.tsv"), 0)
    assert (folder / "out.tsv").read_text() == "id\ta\n1\tx,y\n"


def test_quotes_may_be_ordinary_characters(folder: Path) -> None:
    """--quote ''."""
    (folder / "raw.csv").write_text('id,size\n1,5" disk\n')
    told(here("upload", "raw.csv", SHOP, "raw", "--quote", ""), 0)
    assert rows_of(folder / "shop.db", "select size from raw") == [('5" disk',)]


def test_the_options_of_an_export_reach_it(folder: Path) -> None:
    """--query, --key, --delimiter, --null, --no-header, --spreadsheet-safe, --format, --if-exists, in any order."""
    (folder / "t.csv").write_text("id,a\n1,=1+1\n2,\n3,x\n")
    told(here("upload", "t.csv", SHOP, "t"), 0)
    (folder / "out.dat").write_text("old")
    query = ("--query", "select a, id from t where id < 3", "--key", "id")
    shape = ("--delimiter", ";", "--null", "NULL", "--no-header", "--spreadsheet-safe", "--format", "csv")
    told(here("export", "--if-exists", "replace", SHOP, *query, "out.dat", *shape), 0)
    assert (folder / "out.dat").read_text() == "'=1+1;1\nNULL;2\n"
    told(here("export", SHOP, "t", "--key", "a,id", "none.csv"), 1, "NULL")
    told(here("export", SHOP, "t", "--if-exists", "fail", "all.csv"), 0)
    assert (folder / "all.csv").read_text() == "id,a\n1,=1+1\n2,\n3,x\n"


def test_restart_undoes_an_unfinished_run_and_begins_anew(folder: Path) -> None:
    """Other options are refused in the middle; with --restart they are the new run's. Over a completed one, too."""
    stopped(resumable.upload("many.csv", SHOP, "many", every=0))
    told(here("upload", "many.csv", SHOP, "many", "--columns", "n=string"), 1, "columns was", "--restart")
    told(here("upload", "many.csv", SHOP, "many", "--columns", "n=string", "--restart"), 0)
    assert rows_of(folder / "shop.db", "select count(*), max(typeof(n)) from many") == [(140_000, "text")]
    assert tables(folder / "shop.db") == ["many", "resumable_ledger"]
    line = ("upload", "good.csv", SHOP, "more", "--if-exists", "append")
    told(here(*line), 0)
    told(here(*line, "--restart"), 0)
    assert rows_of(folder / "shop.db", "select count(*) from more") == [(100,)], "a table of its own is replaced"
    with closing(sqlite3.connect(folder / "shop.db")) as c:
        c.executescript("create table log (id, name, n); insert into log values (0, '', 0)")
    line = ("upload", "good.csv", SHOP, "log", "--if-exists", "append")
    told(here(*line), 0)
    told(here(*line, "--restart"), 0)
    assert rows_of(folder / "shop.db", "select count(*) from log") == [(201,)], "in any other they come once more"


def test_a_message_ends_once(folder: Path) -> None:
    """Whether it is a sentence with its full stop, or a few words without."""
    for line in (("upload", "good.csv", SHOP, "t"), ("export", SHOP, "t", "o.csv", "--key", "id")):
        here(*line)
        said = here(*line).stderr
        assert said.rstrip().endswith(".")
        assert ".." not in said.replace("...", "")


def test_a_live_runner_is_refused_and_takeover_fences_it_off(folder: Path) -> None:
    """The second line is told who runs; with --takeover it goes on, and the first ends with status 1."""
    code = (
        "import sys\nfrom resumable import cli, cli_runs\nreal = cli_runs.print_lines\n"
        "def wait(*lines):\n    real(*lines)\n    sys.stdin.readline()\n"
        "cli_runs.print_lines = wait\nsys.exit(cli.main(sys.argv[1:]))\n"
    )
    line = ("upload", "many.csv", SHOP, "many", "--name", "m")
    first = subprocess.Popen(
        [sys.executable, "-c", code, *line, "--json", "--every", "0"], cwd=folder, env=environment(),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert json.loads(first.stdout.readline())["status"] == "running"
    told(here(*line), 1, f"process {first.pid}", "takeover")
    told(here(*line, "--takeover"), 0)
    _, err = first.communicate("\n" * 1000, timeout=TIMEOUT)
    assert first.returncode == 1, err
    assert "taken over" in err
    assert rows_of(folder / "shop.db", "select count(*), count(distinct id) from many") == [(140_000, 140_000)]


# ---------------------------------------------------------------------------------------- over the store


def test_list_and_status_are_a_line_a_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sorted by name; as JSON with --json. A run that failed says why."""
    told(here("list"), 0, "No runs are known in", "--store")
    told(here("upload", "good.csv", SHOP, "orders", "--name", "a"), 0)
    stopped(resumable.upload("many.csv", SHOP, "many", every=0, name="b"))
    numbers(folder / "bad.csv", 500_000, bad=500_000)
    told(here("upload", "bad.csv", SHOP, "bad", "--name", "c"), 1)
    done = here("list")
    told(done, 0)
    number, rate = r"[\d,]+", r"[\d,]+ rows/s"
    a, b, c = done.stdout.splitlines()
    assert re.fullmatch(rf"a: completed, 100 rows, 100%, {rate}", a)
    assert re.fullmatch(rf"b: paused, {number} rows, \d+%, {rate}, \d:\d\d:\d\d left", b)
    assert re.match(rf"c: failed, {number} rows.* - .*bad\.csv, row 500,000 ", c)
    found = lines(here("list", "--json").stdout)
    assert [(run["name"], run["status"]) for run in found] == [("a", "completed"), ("b", "paused"), ("c", "failed")]
    for name, line, run in zip("abc", (a, b, c), found, strict=True):
        assert here("status", name).stdout == line + "\n"
        assert lines(here("status", name, "--json").stdout) == [run]
    assert lines(here("list", "--json", "--store", str(folder / "none")).stdout) == []
    monkeypatch.chdir("/")
    monkeypatch.setenv("RESUMABLE_STORE", str(folder / ".resumable"))
    assert lines(here("list", "--json").stdout) == found


def test_a_killed_run_is_listed_as_interrupted(folder: Path) -> None:
    """Its record says running, and its runner is dead."""
    process = spawn("upload", "many.csv", SHOP, "many", "--name", "m", "--json", folder=folder)
    process.stdout.readline()
    process.kill()
    process.communicate()
    assert here("status", "m").stdout.startswith("m: interrupted, ")
    told(here("pause", "m"), 0, "m is interrupted.")
    told(here("resume", "m"), 0, "m: completed, 140,000 rows")


def test_pause_and_terminate_of_what_does_not_run(folder: Path) -> None:
    """A pause changes nothing and succeeds; of a completed or unknown run both are errors, and nothing changes."""
    told(here("upload", "good.csv", SHOP, "orders", "--name", "done"), 0)
    before = image(folder, store="")
    told(here("pause", "done"), 1, "is completed")
    for act in ("pause", "terminate", "resume", "status"):
        told(here(act, "nobody"), 1, "No run 'nobody' is known here.", "resumable list")
    assert image(folder, store="") == before
    # The target is asked as well, since it may know of a run that has begun since: only the store tells of that.
    told(here("terminate", "done"), 1, "is completed", "stays")
    assert image(folder) == {k: v for k, v in before.items() if not k.startswith(".resumable")}
    stopped(resumable.upload("many.csv", SHOP, "many", every=0, name="m"))
    told(here("pause", "m"), 0, "m is paused.")
    told(here("terminate", "m"), 0, "m is terminated")
    told(here("terminate", "m"), 0, "m is terminated")
    told(here("pause", "m"), 0, "m is terminated")
    assert tables(folder / "shop.db") == ["orders", "resumable_ledger"]
    told(here("resume", "m"), 0, "m: completed, 140,000 rows")  # terminated: a new run


def test_resume_rebuilds_an_upload_with_all_its_options(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From another folder; the table is to the letter what the program itself would have made."""
    text = "".join(f"{i};{'-' if i % 5 == 0 else i};'a;{i}'\n" for i in range(1, 140_001)) + "oops;1;x\n"
    (folder / "odd.txt").write_text(text)
    options: dict[str, Any] = {
        "key": ["id", "t"], "columns": {"id": "int64", "n": "decimal(12,2)"}, "null_values": ("", "-"), "on_bad_row": "quarantine",
        "quarantine": "aside.jsonl", "delimiter": ";", "quote": "'", "header": False, "names": ["id", "n", "t"],
        "identity": "full", "if_exists": "append", "every": 0,
    }  # fmt: skip
    resumable.upload(
        "odd.txt", SHOP, "whole", name="whole", store="other", **{**options, "quarantine": "b.jsonl"}
    ).run()
    stopped(resumable.upload("odd.txt", SHOP, "t", name="r", store="store", **options))
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    done = here("resume", "r", "--store", "../store", "--json")
    told(done, 0)
    assert ("r", "completed", 140_000, 1) == tuple(
        lines(done.stdout)[-1][k] for k in ("name", "status", "rows", "rejected")
    )
    shape = "select name, type, pk from pragma_table_info('{}')"
    assert rows_of(folder / "shop.db", shape.format("t")) == rows_of(folder / "shop.db", shape.format("whole"))
    everything = "select * from {} order by id, t"
    assert rows_of(folder / "shop.db", everything.format("t")) == rows_of(
        folder / "shop.db", everything.format("whole")
    )
    (reject,) = lines((folder / "aside.jsonl").read_text())
    assert (reject["row"], reject["column"], reject["text"]) == (140_001, "id", "oops;1;x")
    told(here("resume", "r", "--store", "../store"), 0, "completed before, nothing to do")


def test_resume_rebuilds_an_export_with_all_its_options(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A query with its key, the format, and what happens to the old file."""
    told(here("upload", "many.csv", SHOP, "many"), 0)
    query = "select n, case when id % 3 then id end as id3, id from many where id % 2 = 0 or id < 100000"
    options = {"key": "id", "delimiter": ";", "null": "NULL", "header": False, "if_exists": "replace", "every": 0}
    resumable.export(SHOP, query, "whole.csv", name="whole", **options).run()
    (folder / "out.csv").write_text("old\n")
    stopped(resumable.export(SHOP, query, "out.csv", name="r", **options))
    assert (folder / "out.csv").read_text() == "old\n"
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    told(here("resume", "r", "--store", "../.resumable"), 0, "r: completed, 120,000 rows")
    assert (folder / "out.csv").read_bytes() == (folder / "whole.csv").read_bytes()
    assert sorted(p.name for p in folder.iterdir() if "partial" in p.name) == []


def test_terminate_rebuilds_a_run_too(folder: Path) -> None:
    """Of an upload and of an export, whose runner is gone."""
    told(here("upload", "many.csv", SHOP, "many"), 0)
    before = image(folder)
    stopped(resumable.upload("many.csv", SHOP, "many", every=0, name="u", if_exists="append"))
    stopped(resumable.export(SHOP, "many", "out.csv", every=0, name="e"))
    assert image(folder) != before
    told(here("terminate", "u"), 0)
    told(here("terminate", "e"), 0)
    assert image(folder) == before


def test_a_run_that_lives_in_a_program_is_sent_back_to_it(folder: Path) -> None:
    """A transform, data in memory, a sink or source of one's own can't be rebuilt from the store."""
    import pyarrow as pa

    from resumable.sinks import CsvSink, SqlSink

    table = pa.table({"id": range(140_000)})
    told(here("upload", "many.csv", SHOP, "many"), 0)
    for made in (
        resumable.upload("many.csv", SHOP, "a", name="transform", every=0, transform=lambda rows: rows),
        resumable.upload(table, SHOP, "b", name="memory", every=0),
        resumable.upload("many.csv", SqlSink(SHOP, "c"), "c", name="sink", every=0),
        resumable.export(SHOP, "many", CsvSink("d.csv"), name="file", every=0),
    ):
        stopped(made)
        before = image(folder, store="")
        for act in ("resume", "terminate"):
            told(here(act, made.name), 1, "lives in a Python program", "Run that program again")
        assert image(folder, store="") == before
        made.terminate()
    assert tables(folder / "shop.db") == ["many", "resumable_ledger"]


def test_a_run_without_a_first_checkpoint_says_so(folder: Path) -> None:
    """Killed while it was opened: the store doesn't know yet what it is."""
    code = (
        "import os, resumable\n"
        f"resumable.upload('good.csv', {SHOP!r}, 't', name='t', transform=lambda rows: rows).run"
        "\nfrom resumable import stores\n"
        "from resumable.control.claims import claim_run\n"
        "with claim_run(stores.open_store(), 't'): os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment(), check=False)
    assert here("status", "t").stdout == "t: interrupted, 0 rows\n"
    for act in ("resume", "terminate"):
        told(here(act, "t"), 1, "before its first checkpoint", "began it again")
    told(here("upload", "good.csv", SHOP, "t", "--name", "t"), 0)


def test_a_place_given_again_must_be_the_same(folder: Path) -> None:
    """Another one is a wrong command line, and nothing changes."""
    stopped(resumable.upload("many.csv", SHOP, "many", every=0, name="m"))
    before = image(folder, store="")
    told(here("resume", "m", "--target", "sqlite:///other.db"), 2, "--target names another target", "shop.db")
    told(here("resume", "m", "--source", "good.csv"), 2, "--source names another source", "many.csv")
    assert image(folder, store="") == before
    told(here("resume", "m", "--target", SHOP, "--source", "./many.csv"), 0)


def test_a_store_may_be_a_database(folder: Path) -> None:
    """--store sqlite:///runs.db serves every command."""
    told(here("upload", "good.csv", SHOP, "orders", "--name", "a", "--store", "sqlite:///runs.db"), 0)
    stopped(resumable.upload("many.csv", SHOP, "many", every=0, name="b", store="sqlite:///runs.db"))
    assert [run["name"] for run in lines(here("list", "--json", "--store", "sqlite:///runs.db").stdout)] == ["a", "b"]
    told(here("resume", "b", "--store", "sqlite:///runs.db"), 0)
    assert not (folder / ".resumable").exists()


def test_awkward_paths_survive_the_store(folder: Path) -> None:
    """Spaces, percent and question signs, umlauts in the names of files and tables."""
    odd = folder / "a b%41 ü"
    odd.mkdir()
    numbers(odd / "i n%20.csv", 140_000)
    url = URL.create("sqlite", database=str(odd / "sh op.db")).render_as_string()
    stopped(resumable.upload(odd / "i n%20.csv", url, "ta ble", every=0, name="u"))
    told(here("resume", "u"), 0)
    assert rows_of(odd / "sh op.db", 'select count(*) from "ta ble"') == [(140_000,)]
    stopped(resumable.export(url, "ta ble", odd / "o %ut.csv", every=0, name="e"))
    told(here("resume", "e"), 0)
    assert (odd / "o %ut.csv").read_bytes() == (odd / "i n%20.csv").read_bytes()


# ---------------------------------------------------------------------------------------------- the help


def parsers() -> dict[str, argparse.ArgumentParser]:
    top = arguments._parser(query=False)
    commands = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
    return dict(commands.choices)


def test_help_tells_every_option_and_its_default() -> None:
    """Each option has a line; each that takes a value says what holds without it."""
    for name, made in parsers().items():
        for action in made._actions:
            assert action.help, f"{name} {action.dest}"
            if action.option_strings and action.nargs != 0 and action.dest not in ("source", "target", "query"):
                assert re.search(r"\(.+\)|default|instead of", action.help), f"{name} {action.dest}: {action.help}"
    assert set(parsers()) == set(cli.COMMANDS)


def test_the_examples_in_the_help_are_right() -> None:
    """Each is parsed as it stands."""
    found = 0
    for text in (arguments.EPILOG, arguments.UPLOAD, arguments.EXPORT, arguments.RESUME):
        for line in re.findall(r"^  (?:\w+=\S+ )?resumable (.*)$", text, re.MULTILINE):
            arguments.parse(shlex.split(line))
            found += 1
    assert found > 10


@pytest.mark.parametrize("words", [("--help",), ("upload", "--help"), ("export", "--help"), ("--version",)])
def test_help_and_version_are_results(words: tuple[str, ...]) -> None:
    """On stdout, with status 0."""
    done = here(*words)
    told(done, 0)
    assert "resumable" in done.stdout
    assert done.stderr == ""


def test_options_are_not_guessed_from_their_beginnings(folder: Path) -> None:
    """A script that says --if would break on the day another option begins so."""
    told(here("upload", "good.csv", SHOP, "t", "--if", "append"), 2, "unrecognized arguments")


def test_a_fault_of_our_own_is_one_line_and_debug_shows_where(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RESUMABLE_DEBUG=1 raises it; else there is a message and status 1."""

    def broken(*args: object, **options: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(cli_runs, "upload_rows", broken)
    told(here("upload", "good.csv", SHOP, "t"), 1, "ZeroDivisionError: a bug.", "RESUMABLE_DEBUG=1")
    monkeypatch.setenv("RESUMABLE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        here("upload", "good.csv", SHOP, "t")


def test_a_second_ctrl_c_does_not_wait_for_the_commit(folder: Path) -> None:
    """A run that hangs can be left all the same: what is committed is safe."""
    code = (
        "import sys, time\n"
        "from resumable import cli\n"
        "from resumable.sinks.sql.writer import SqlWriter\n"
        "def hang(*args):\n    print('hanging', flush=True)\n    time.sleep(600)\n"
        "SqlWriter.write = hang\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "upload", "good.csv", SHOP, "t"],
        cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    time.sleep(1)
    assert process.poll() is None
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=20)
    finally:
        process.kill()
    assert (process.returncode, "Traceback" in err) == (75, False), err

"""No password anywhere: a canary in the URL, on every path that succeeds, stops or fails.

Searched for it: every file below the folder used (store, SQLite files, partial and quarantine files), every table of
the database, standard output and error, all log records down to DEBUG, every exception with what it was raised from.
That the search finds what is there is shown by a test of its own.
"""

from __future__ import annotations

import logging
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from sqlalchemy import create_engine

import resumable
import services
from resumable.errors import ResumableError
from resumable.pipeline import Pipeline
from resumable.stores import FileStore, SqlStore
from search import Search, everything
from shell import environment, here, numbers

JOB = str(Path(__file__).parent / "tools" / "job.py")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a file of two batches."""
    monkeypatch.chdir(tmp_path)
    for variable in environment().keys() ^ os.environ.keys():
        monkeypatch.delenv(variable)
    numbers(tmp_path / "good.csv", 70_000)
    return tmp_path


@pytest.fixture
def search(folder: Path, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Iterator[Search]:
    """The search; at the end of the test nothing may have been found in files, texts, output and logs."""
    caplog.set_level(logging.DEBUG)
    made = Search(folder, services.CANARY)
    yield made
    made.heard(*capfd.readouterr(), caplog.text, *(vars(record) for record in caplog.records))
    assert made.found() == []


def told(search: Search, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the command in this process; what it says is searched."""
    done = here(*words)
    search.heard(done.stdout, done.stderr)
    return done


def paused(url: str, **options: object) -> Pipeline:
    """A run of `good.csv`, stopped after its first commit."""
    pipeline = resumable.upload("good.csv", url, "t", every=0, name="t", **options)
    with closing(iter(pipeline)) as steps:
        next(steps)
    return pipeline


def test_the_search_finds_what_is_there(tmp_path: Path, postgres: str) -> None:
    """In a file, a SQLite file, a table, a text, an exception's cause, and percent-encoded."""
    secret = "s3cret/with@signs"
    search = Search(tmp_path, secret)
    (tmp_path / "a").write_text(f"x{secret}x")
    (tmp_path / "b").write_text(quote(secret, safe=""))
    with closing(sqlite3.connect(tmp_path / "c")) as c:
        c.execute("create table t(a text)")
        c.execute("insert into t values (?)", (secret,))
        c.commit()
    with psycopg.connect(postgres) as c:
        c.execute("create table t(a text)")
        c.execute("insert into t values (%s)", (secret,))
    try:
        try:
            raise ValueError(secret)
        finally:
            raise KeyError("nothing to see")
    except KeyError as error:
        search.raised(error)
    kinds = sorted({hit.partition(":")[0] for hit in search.found(postgres)})
    assert kinds == ["file", "heard", "table"]
    assert sum(hit.startswith("file") for hit in search.found()) == 3


# ------------------------------------------------------------------------------------- the command line


def test_a_run_that_succeeds_keeps_no_password(canary: str, search: Search) -> None:
    """Upload and export, with --json, --explain, list and status."""
    assert told(search, "upload", "good.csv", canary, "t", "--key", "id", "--every", "0", "--name", "t").returncode == 0
    assert told(search, "upload", "good.csv", canary, "t", "--key", "id", "--name", "t", "--json").returncode == 0
    assert told(search, "export", canary, "t", "out.csv", "--json", "--every", "0").returncode == 0
    assert told(search, "export", canary, "--query", "select * from t", "--key", "id", "o2.csv").returncode == 0
    assert told(search, "upload", "good.csv", canary, "t2", "--explain").returncode == 0
    assert told(search, "export", canary, "t", "out.csv", "--explain").returncode == 0
    assert told(search, "list", "--json").returncode == 0
    assert told(search, "status", "t").returncode == 0
    assert told(search, "terminate", "t").returncode == 1
    assert (search.folder / "out.csv").read_bytes() == (search.folder / "good.csv").read_bytes()
    assert search.found(canary) == []


FAILURES: dict[str, tuple[Callable[[str], str], tuple[str, ...]]] = {
    "unknown database": (lambda url: url.rpartition("/")[0] + "/nosuch", ()),
    "server down": (lambda url: "postgresql://canary:" + services.CANARY + "@127.0.0.1:1/x", ()),
    "unknown host": (lambda url: "postgresql://canary:" + services.CANARY + "@nowhere.invalid/x", ()),
    "bad port": (lambda url: "postgresql://canary:" + services.CANARY + "@127.0.0.1:12x/x", ()),
    "unknown driver": (lambda url: url.replace("postgresql:", "foo:"), ()),
    "other driver": (lambda url: url.replace("postgresql:", "mysql:"), ()),
    "no scheme": (lambda url: url.partition("://")[2], ()),
    "one slash": (lambda url: url.replace("://", ":/"), ()),
    "a space in it": (lambda url: url.replace("canary:", "canary:a b").replace("127.0.0.1:", "127.0.0.1:x"), ()),
    "unknown option": (lambda url: url + "?nosuch=1", ()),
    "wrong role": (lambda url: url.replace("canary:", "nobody_here:"), ()),
    "unescaped @ before": (lambda url: url.replace("canary:", "canary:a@"), ()),
    "unescaped @ behind": (lambda url: url.replace("@", "@@"), ()),
    "unescaped @ and /": (lambda url: url.replace("canary:", "canary:a@b/"), ()),
    "unescaped @ and ?": (lambda url: url.replace("canary:", "canary:a@b?"), ()),
    "unescaped #": (lambda url: url.replace("canary:", "canary:#"), ()),
    "in the query": (lambda url: url.replace(f":{services.CANARY}@", "@") + f"x?password={services.CANARY}", ()),
    "twice": (lambda url: url + f"?password=wrong{services.CANARY}", ()),
    "unknown schema": (lambda url: url, ("--schema", "nosuch")),
    "unknown column": (lambda url: url, ("--columns", "nope=string")),
    "wrong option": (lambda url: url, ("--every", "-1")),
    "table with too long a name": (lambda url: url, ("x" * 70,)),
    "what is no option": (lambda url: url, ("--nosuch",)),
}


AMBIGUOUS = ("unescaped @ and /", "unescaped @ and ?")
"""What `create_engine` takes for a database's name or an option is that for us, too."""


@pytest.mark.parametrize("why", FAILURES)
def test_a_failing_url_or_call_shows_no_password(why: str, canary: str, search: Search) -> None:
    """As the target of an upload, as the source of an export, as the store, and in the wrong place."""
    change, more = FAILURES[why]
    url = change(canary)
    assert told(search, "upload", "good.csv", url, "t", *more).returncode in (1, 2)
    if not more:
        assert told(search, "export", url, "t", "out.csv").returncode in (1, 2)
        assert told(search, "upload", url, "sqlite:///x.db", "t").returncode in (1, 2)
        assert told(search, "upload", "good.csv", "sqlite:///x.db", "t", "too", "many", url).returncode == 2
        for call in (
            lambda: resumable.upload("good.csv", url, "t", name="t").run(),
            lambda: resumable.export(url, "t", "out.csv").run(),
            lambda: resumable.upload("good.csv", create_engine(url), "t").run(),
        )[: 2 if why in AMBIGUOUS else 3]:
            with pytest.raises(Exception) as caught:
                call()
            if isinstance(caught.value, ResumableError):  # not SQLAlchemy's own, of `create_engine`
                search.raised(caught.value)
    if "://" in url and why not in ("unknown driver", "other driver"):
        assert told(search, "list", "--store", url).returncode in (0, 1, 2)
    assert search.found(canary) == []


def test_a_refused_table_and_a_bad_row_show_no_password(canary: str, search: Search) -> None:
    """A table that exists, a row that doesn't fit, and the same with quarantine and after terminate."""
    with psycopg.connect(canary) as c:
        c.execute("create table t(id int)")
    assert told(search, "upload", "good.csv", canary, "t").returncode == 1
    assert told(search, "upload", "good.csv", canary, "t", "--if-exists", "append").returncode == 1
    numbers(search.folder / "bad.csv", 600_000, bad=600_000)
    line = ("upload", "bad.csv", canary, "b", "--every", "0", "--name", "b")
    assert told(search, *line, "--json").returncode == 1
    assert told(search, "status", "b").returncode == 0
    assert search.found(canary) == []
    assert told(search, "resume", "b").returncode == 1, "no password: the server refuses"
    assert told(search, *line, "--on-bad-row", "quarantine").returncode == 0
    assert (search.folder / "bad.csv.rejected.jsonl").exists()
    assert search.found(canary) == []


def test_a_killed_a_paused_and_a_stopped_run_keep_no_password(canary: str, search: Search) -> None:
    """kill -9 in mid-run, a pause and SIGTERM from outside, then terminate: nothing is left of it at any moment."""
    store = FileStore(search.folder / "store")

    def spawn() -> subprocess.Popen[str]:
        before = rows(store)
        command = [sys.executable, JOB, "upload", "good.csv", canary, "t", "--name", "t", "--store", "store", "--json"]
        process = subprocess.Popen(
            [*command, "--every", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        )
        end = time.monotonic() + 60
        while rows(store) <= before and process.poll() is None and time.monotonic() < end:
            time.sleep(0.01)
        return process

    def ended(process: subprocess.Popen[str]) -> int:
        search.heard(*process.communicate(timeout=60))
        assert search.found(canary) == []
        return process.returncode

    process = spawn()
    process.kill()
    assert ended(process) == -signal.SIGKILL
    process = spawn()
    assert told(search, "pause", "t", "--store", "store").returncode == 0
    assert ended(process) == 75
    process = spawn()
    process.terminate()
    assert ended(process) == 75
    assert told(search, "terminate", "t", "--store", "store", "--target", canary).returncode == 0
    assert search.found(canary) == []
    assert list(everything(canary)) == []


def rows(store: FileStore) -> int:
    record = store.load("t")
    return 0 if record is None else record.checkpoint.rows


def test_resume_and_terminate_take_the_password_again_and_keep_it_no_more(
    canary: str, search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From RESUMABLE_TARGET_URL, from --target, from PGPASSWORD; another database there is not taken for the run's."""
    paused(canary)
    assert told(search, "resume", "t").returncode == 1, "without a password the server refuses"
    assert told(search, "resume", "t", "--target", canary + "x").returncode == 2, "another database"
    monkeypatch.setenv("RESUMABLE_TARGET_URL", canary + "x")
    assert told(search, "resume", "t").returncode == 1, "another run's"
    monkeypatch.setenv("RESUMABLE_TARGET_URL", canary)
    assert told(search, "resume", "t", "--every", "0").returncode == 2, "options are the run's own"
    assert told(search, "resume", "t", "--json").returncode == 0
    assert search.found(canary) == []

    bare = canary.replace(f":{services.CANARY}@", "@")
    assert told(search, "upload", "good.csv", bare, "t2").returncode == 0, "the variable serves an upload, too"
    monkeypatch.setenv("RESUMABLE_SOURCE_URL", canary)
    assert told(search, "export", bare, "t2", "out.csv", "--key", "id").returncode == 0
    monkeypatch.delenv("RESUMABLE_TARGET_URL")
    monkeypatch.delenv("RESUMABLE_SOURCE_URL")

    with psycopg.connect(canary) as c:
        c.execute("drop table t")
    paused(canary)
    assert told(search, "terminate", "t", "--target", canary).returncode == 0
    paused(canary)
    monkeypatch.setenv("PGPASSWORD", services.CANARY)
    assert told(search, "resume", "t", "--target", bare).returncode == 0
    assert search.found(canary) == []


def test_a_store_in_a_database_keeps_no_password(canary: str, search: Search) -> None:
    """Neither its own nor the target's, whether in the URL or in RESUMABLE_STORE; the ledger names the store without."""
    line = ("upload", "good.csv", canary, "t", "--store", canary, "--name", "t", "--every", "0")
    paused(canary, store=canary)
    assert told(search, "list", "--store", canary).returncode == 0
    assert told(search, "status", "t", "--store", canary, "--json").returncode == 0
    assert told(search, *line, "--explain").returncode == 0
    assert told(search, *line).returncode == 0
    assert told(search, "status", "t", "--store", canary.replace("canary:", "canary:x")).returncode == 1
    assert told(search, "list", "--store", canary + "x").returncode == 1
    assert sum("upload" in row or "canary@" in row for row in everything(canary)) >= 2, "there is something to search"
    assert search.found(canary) == []


def test_a_password_in_the_query_or_percent_encoded_works_and_is_kept_nowhere(canary: str, search: Search) -> None:
    """`?password=` reaches the driver; %-signs are the same password."""
    asked = canary.replace(f":{services.CANARY}@", "@") + f"?password={services.CANARY}"
    encoded = canary.replace(services.CANARY, "".join(f"%{ord(c):02X}" for c in services.CANARY))
    search.spellings.append("".join(f"%{ord(c):02X}" for c in services.CANARY))
    for number, url in enumerate((asked, encoded)):
        assert told(search, "upload", "good.csv", url, f"t{number}", "--key", "id", "--store", url).returncode == 0
        assert told(search, "export", url, f"t{number}", f"{number}.csv").returncode == 0
        assert told(search, "upload", "good.csv", url, f"t{number}", "--name", "other").returncode == 1, "it exists"
    assert search.found(canary) == []


# ----------------------------------------------------------------------------------------------- the library


def test_the_library_shows_no_password(canary: str, search: Search) -> None:
    """Representations, explanations, progress, and every exception on the way."""
    engine = create_engine(canary.replace("postgresql:", "postgresql+psycopg:"))
    for target in (canary, engine):
        pipeline = paused(target)
        search.heard(repr(pipeline), pipeline.explain(), repr(pipeline.progress), pipeline.progress.to_dict())
        search.heard(pipeline._repr_html_(), pipeline.progress._repr_html_(), resumable.runs()._repr_html_())
        search.heard(repr(pipeline.plan.sink), repr(pipeline.plan.source), repr(pipeline.store), repr(engine))
        search.heard(pipeline.store.load("t"), pipeline.plan.definition)
        assert search.found(canary) == []
        with pytest.raises(resumable.OptionsChanged) as changed:
            resumable.upload("good.csv", target, "t", name="t", if_exists="append").run()
        search.raised(changed.value)
        other = resumable.upload("good.csv", target, "t", name="t2", if_exists="upsert", key="nope")
        with pytest.raises(ResumableError) as wrong:
            other.run()
        search.raised(wrong.value)
        pipeline.terminate()
    engine.dispose()
    numbers(search.folder / "bad.csv", 500_000, bad=500_000)
    with pytest.raises(resumable.BadRow) as bad:
        resumable.upload("bad.csv", canary, "b", name="b", every=0).run()
    search.raised(bad.value)
    search.heard(resumable.runs()._repr_html_(), resumable.runs()[0]._repr_html_())
    export = resumable.export(canary, "nosuch", "out.csv")
    search.heard(repr(export), repr(export.plan.source), repr(SqlStore(canary)), SqlStore(canary).describe())
    with pytest.raises(resumable.SourceError) as gone:
        export.run()
    search.raised(gone.value)
    assert search.found(canary) == []


def test_an_exception_in_the_callers_loop_or_transform_keeps_no_password(canary: str, search: Search) -> None:
    """The store remembers why a run failed: without what the message had of a URL."""

    def transform(rows):
        if rows.num_rows:
            raise RuntimeError(f"can't reach {canary} password={services.CANARY}")
        return rows

    with pytest.raises(RuntimeError):
        resumable.upload("good.csv", canary, "t", name="t", transform=transform).run()
    store = FileStore(search.folder / ".resumable")
    assert "can't reach postgresql://canary:***@" in store.load("t").checkpoint.error
    search.heard(resumable.runs()[0]._repr_html_(), resumable.runs()._repr_html_())
    assert search.found(canary) == []

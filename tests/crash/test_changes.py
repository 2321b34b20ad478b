"""The same input or none: a source that changed between two sessions, or under a session, is refused, saying what.

Files are edited as users do, by other programs; time stamps are set, so that nothing rests on the clock.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import resumable
from images import dump, files
from jobs import NAME, Jobs, execute, export_task
from resumable.errors import SourceChanged
from resumable.sources import CsvSource

ROWS = 12_000
READ = 3_000
"""Rows that the first session has read: some 200 KB of 800; 64 KiB at each end are hashed."""


def line(n: int) -> bytes:
    return f"{n:08},{'word ' * 11}{n:08}\n".encode()


WIDTH = len(line(1))
HEAD = b"id,words\n"


def content(rows: int = ROWS) -> bytes:
    return HEAD + b"".join(line(n) for n in range(1, rows + 1))


class Upload:
    """An append to a table with a row: paused after `READ` rows, unless `rows` says otherwise."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.path = folder, url, folder / "rows.csv"
        self.path.write_bytes(content())
        self.stamp(0)
        execute(url, "create table t (id text, words text)", "insert into t values ('0', 'before')")

    def stamp(self, seconds: int) -> None:
        """Say when the file was last written."""
        at = 1_700_000_000 + seconds
        os.utime(self.path, (at, at))

    def pipeline(self, identity: Any = "sampled") -> resumable.Pipeline:
        source = CsvSource(self.path, block_rows=1_000, identity=identity, columns={"id": "string"})
        store = self.folder / "store"
        return resumable.upload(source, self.url, "t", if_exists="append", name=NAME, store=store, every=0)

    def begin(self, identity: Any = "sampled") -> None:
        """The first session."""
        for progress in self.pipeline(identity):
            if progress.rows >= READ:
                break
        assert READ <= progress.rows < ROWS / 2

    def rows(self) -> list[int]:
        return [int(n) for (n,) in execute(self.url, "select id from t")]


@pytest.fixture
def upload(database: str, tmp_path: Path) -> Upload:
    """An append to each kind of database."""
    return Upload(tmp_path, database)


def edit(path: Path, row: int, word: bytes = b"WORD") -> None:
    """Change a row, in place, to one of the same length."""
    with path.open("r+b") as file:
        file.seek(len(HEAD) + (row - 1) * WIDTH + 9)
        file.write(word)


def replace(path: Path) -> None:
    """Put another file of the same size in its place, as an editor does."""
    other = path.with_name("other")
    other.write_bytes(content().replace(b"word", b"text"))
    other.rename(path)


CHANGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "appended to": (
        lambda path: path.write_bytes(content() + line(ROWS + 1)),
        "it has grown: its size was 876,009 bytes",
    ),
    "shrunk": (lambda path: os.truncate(path, len(HEAD) + WIDTH * (ROWS - 10)), "it has shrunk"),
    "shrunk to what was read": (lambda path: os.truncate(path, len(HEAD) + WIDTH * READ), "it has shrunk"),
    "emptied": (lambda path: path.write_bytes(b""), "it has shrunk"),
    "edited at its head": (lambda path: edit(path, 1), "its beginning differs"),
    "edited at its tail": (lambda path: edit(path, ROWS), "its end was edited"),
    "edited in the middle of what was read": (
        lambda path: edit(path, 1_500),
        "a part that was read already was edited",
    ),
    "edited in the last row read": (lambda path: edit(path, READ - 10), "a part that was read already was edited"),
    "replaced": (replace, "its beginning differs"),
    "given another header": (lambda path: path.write_bytes(content().replace(b"id,", b"ID,")), "its beginning differs"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_file_is_refused_and_the_old_one_goes_on(tmp_path: Path, sqlite_url: str, change: str) -> None:
    """The message says what; the target and what was committed stay; with the old content back it goes on."""
    upload = Upload(tmp_path, sqlite_url)
    upload.begin()
    before, (act, what) = dump(sqlite_url, ours=False), CHANGES[change]
    act(upload.path)
    upload.stamp(60)
    for _ in range(2):
        with pytest.raises(SourceChanged) as caught:
            upload.pipeline().run()
        assert what in str(caught.value)
        assert "Nothing was published" in caught.value.safe
        assert "failed" == upload.pipeline().status
        assert before == dump(sqlite_url, ours=False)
    upload.path.write_bytes(content())
    first = next(iter(upload.pipeline()))
    assert READ < first.rows
    upload.pipeline().run()
    assert list(range(ROWS + 1)) == upload.rows()


def test_a_missing_file_is_said_and_the_run_goes_on_once_it_is_back(upload: Upload) -> None:
    """It is no changed one."""
    upload.begin()
    upload.path.rename(upload.folder / "away")
    with pytest.raises(resumable.SourceError, match=r"isn't there"):
        upload.pipeline().run()
    (upload.folder / "away").rename(upload.path)
    upload.pipeline().run()
    assert list(range(ROWS + 1)) == upload.rows()


def test_a_touched_or_copied_file_with_the_same_content_goes_on(upload: Upload) -> None:
    """Another time stamp, then another inode; and after the end both are known to be loaded."""
    upload.begin()
    upload.stamp(60)
    for progress in upload.pipeline():
        if progress.rows > 2 * READ:
            break
    copy = upload.folder / "copy"
    shutil.copy(upload.path, copy)
    copy.rename(upload.path)
    upload.stamp(120)
    assert ROWS == upload.pipeline().run().rows
    shutil.copy(upload.path, copy)
    copy.rename(upload.path)
    upload.stamp(180)
    assert ["completed before, nothing to do"] == [progress.message for progress in upload.pipeline()]
    assert list(range(ROWS + 1)) == upload.rows()


@pytest.mark.parametrize("identity", ["sampled", "full"])
def test_an_edit_that_keeps_size_inode_and_time_is_found_by_full_identity_only(
    tmp_path: Path, sqlite_url: str, identity: str
) -> None:
    """In a part that was read, but for the last block, which is always looked at: see docs/guarantees.md."""
    upload = Upload(tmp_path, sqlite_url)
    upload.begin(identity)
    edit(upload.path, 1_500)
    upload.stamp(0)
    if identity == "full":
        with pytest.raises(SourceChanged, match="a part that was read already was edited"):
            upload.pipeline(identity).run()
    else:
        upload.pipeline(identity).run()
    edit(upload.path, 1_500, b"word")
    upload.pipeline(identity).run()
    assert list(range(ROWS + 1)) == upload.rows()


def test_an_edit_of_the_last_block_read_is_always_found(tmp_path: Path, sqlite_url: str) -> None:
    """Even with the size, inode and time of before."""
    upload = Upload(tmp_path, sqlite_url)
    upload.begin()
    edit(upload.path, READ - 10)
    upload.stamp(0)
    with pytest.raises(SourceChanged, match="aren't those that were read"):
        upload.pipeline().run()
    assert [0] == upload.rows()


@pytest.mark.parametrize("change", ["appended to", "shrunk", "edited in the middle of what was read", "replaced"])
def test_a_file_that_changes_under_a_session_is_not_published(tmp_path: Path, sqlite_url: str, change: str) -> None:
    """The session itself finds out, at its end at the latest; nothing is published."""
    upload = Upload(tmp_path, sqlite_url)
    before, (act, _) = dump(sqlite_url, ours=False), CHANGES[change]
    with pytest.raises(SourceChanged):
        for progress in upload.pipeline():
            if READ <= progress.rows < READ + 1_000:
                act(upload.path)
                upload.stamp(60)
    assert before == dump(sqlite_url, ours=False)
    assert "failed" == upload.pipeline().status
    upload.pipeline().terminate()
    assert [0] == upload.rows()


def test_after_a_completed_run_a_changed_file_is_a_new_run(upload: Upload) -> None:
    """An append adds the new file's rows, once."""
    upload.pipeline().run()
    upload.path.write_bytes(content(500))
    upload.stamp(60)
    for _ in range(2):
        assert 500 == upload.pipeline().run().rows
        assert [*range(ROWS + 1), *range(1, 501)] == upload.rows()
    with upload.path.open("ab") as file:
        file.write(line(501))
    upload.stamp(120)
    assert 501 == upload.pipeline().run().rows
    assert [*range(ROWS + 1), *range(1, 501), *range(1, 502)] == upload.rows()


def test_a_changed_file_can_be_begun_anew_or_called_off(upload: Upload) -> None:
    """As the message says: restart loads the new content only; terminate needs no source."""
    before = dump(upload.url)
    upload.begin()
    upload.path.write_bytes(content(700))
    with pytest.raises(SourceChanged):
        upload.pipeline().run()
    upload.path.unlink()
    upload.pipeline().terminate()
    assert before == dump(upload.url)
    upload.path.write_bytes(content())
    upload.begin()
    upload.path.write_bytes(content(700))
    assert 700 == upload.pipeline().restart().rows
    assert list(range(701)) == upload.rows()


def test_the_command_line_says_what_has_changed(jobs: Jobs, tmp_path: Path, sqlite_url: str) -> None:
    """Exit status 1, what changed and what to do, no traceback; after the end, a changed file is a new run."""
    upload = Upload(tmp_path, sqlite_url)
    command = ["upload", str(upload.path), sqlite_url, "t", "--if-exists", "append", "--columns", "id=string"]
    jobs(*command).committed(2).kill()
    upload.path.write_bytes(content() + line(ROWS + 1))
    refused = jobs(*command)
    assert 1 == refused.end()
    assert "has changed: it has grown: its size was 876,009 bytes and is 876,082." in refused.said
    assert "--restart" in refused.said
    assert "Traceback" not in refused.said
    assert [0] == upload.rows()
    upload.path.write_bytes(content())
    for rows, expected in ((ROWS, [*range(ROWS + 1)]), (10, [*range(ROWS + 1), *range(1, 11)])):
        upload.path.write_bytes(content(rows))
        job = jobs(*command)
        assert 0 == job.end(), job.said
        assert expected == upload.rows()


# -------------------------------------------------------------------------------------------- tables


TABLES: dict[str, tuple[list[str], list[str], str]] = {
    "added": (
        ["alter table t add column note text"],
        ["alter table t drop column note"],
        "column 'note' was added",
    ),
    "dropped": (
        ["alter table t drop column extra"],
        ["alter table t add column extra integer"],
        "column 'extra' was dropped",
    ),
    "retyped": (
        ["alter table t drop column extra", "alter table t add column extra text"],
        ["alter table t drop column extra", "alter table t add column extra integer"],
        "column 'extra' was integer and is now text",
    ),
    "renamed": (
        ["alter table t rename column extra to more"],
        ["alter table t rename column more to extra"],
        "column 'extra' was dropped, column 'more' was added",
    ),
}


def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of 1,000 rows from tables as well."""
    for database in ("postgresql", "sqlite"):
        monkeypatch.setattr(f"resumable.databases.{database}.read.MAX_ROWS", 1_000)


@pytest.mark.parametrize("change", TABLES)
def test_a_table_whose_columns_change_between_two_sessions_is_refused(
    monkeypatch: pytest.MonkeyPatch, database: str, tmp_path: Path, change: str
) -> None:
    """Saying which column; no file is made; with the old columns back the export goes on."""
    small(monkeypatch)
    alter, back, what = TABLES[change]
    numbers = "with recursive c(n) as (select 1 union all select n + 1 from c where n < 5000)"
    execute(
        database,
        "create table t (id integer primary key, word text, extra integer)",
        f"insert into t {numbers} select n, 'word ' || n, null from c",
    )
    (tmp_path / "files").mkdir()
    target = tmp_path / "files" / "t.csv"

    def pipeline() -> resumable.Pipeline:
        return resumable.export(database, "t", target, store=tmp_path / "store", every=0)

    for progress in pipeline():
        if progress.rows >= 2_000:
            break
    execute(database, *alter)
    with pytest.raises(SourceChanged) as caught:
        pipeline().run()
    assert what in str(caught.value).lower()
    assert not target.exists()
    assert "failed" == pipeline().status
    execute(database, *back)
    assert 5_000 == pipeline().run().rows
    assert "id,word,extra\n" + "".join(f"{n},word {n},\n" for n in range(1, 5_001)) == target.read_text()


def test_a_table_whose_columns_changed_can_still_be_called_off(jobs: Jobs, tmp_path: Path) -> None:
    """Even if it is gone: terminate leaves the files as they were."""
    task = export_task(tmp_path)
    jobs(*task.command()).committed(2).kill()
    execute(task.arguments[1], "drop table t")
    refused, ending = jobs(*task.command()), None
    assert 1 == refused.end()
    assert "Traceback" not in refused.said
    ending = jobs("terminate", NAME)
    assert 0 == ending.end(), ending.said
    assert task.before == task.image() == files(tmp_path / "files")


def test_an_export_is_made_again_once_its_table_has_more_rows(jobs: Jobs, tmp_path: Path) -> None:
    """Nothing to do, as the exit status says, also with more rows: the file is there. With `replace` it is made anew."""
    task = export_task(tmp_path, 2_000)
    for said in ("", "completed before"):
        job = jobs(*task.command())
        assert 0 == job.end(), job.said
        assert said in job.said
    execute(task.arguments[1], "insert into t values (2001, 'new')")
    again = jobs(*task.command())
    assert 0 == again.end(), again.said
    assert "may have changed since" in again.said
    assert task.expected == task.result()
    again = jobs(*task.command("--if-exists", "replace"))
    assert 0 == again.end(), again.said
    assert task.expected + "2001,new\n" == task.result()

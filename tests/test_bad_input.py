"""Bad input, through the command line: one clear message, exit status 1 or 2, and the target as it was."""

from __future__ import annotations

import gzip
import json
import os
import re
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

import services
from resumable.stores import FileStore
from shell import environment, here, image, numbers, obey, resumable, rows_of, tables

SHOP = "sqlite:///shop.db"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a good file, and a database with a table and a view in it."""
    monkeypatch.chdir(tmp_path)
    for variable in environment().keys() ^ os.environ.keys():
        monkeypatch.delenv(variable)
    numbers(tmp_path / "good.csv", 100)
    c = sqlite3.connect(tmp_path / "shop.db")
    c.executescript(
        "create table orders(id integer primary key, n integer); insert into orders values (7, 8), (9, 10);"
        "create view recent as select * from orders; create table plain(a text); create index byn on orders(n);"
    )
    c.close()
    return tmp_path


def explained(done: subprocess.CompletedProcess[str], *words: str, status: tuple[int, ...] = (1, 2)) -> str:
    """The one message on stderr: what happened, what is safe, what to do next."""
    assert done.returncode in status, done.stderr
    assert "Traceback" not in done.stderr
    assert "fault of resumable's own" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("resumable: ")]
    assert len(lines) == 1, done.stderr
    message = lines[0]
    for word in words:
        assert word in message
    assert message.endswith((".", "?")) or "iconv" in message, "whole sentences, or a command at the end"
    assert len(message) < 700, "short enough to be read"
    return message


def refused(folder: Path, *words: object, says: tuple[str, ...], **options: object) -> str:
    """Run it; it is refused before anything is made: no file, no table, no run."""
    before = image(folder)
    done = resumable(*words, cwd=folder, **options) if options else here(*words)
    message = explained(done, *says)
    assert "Nothing was" in message or "safe" in message, "what is safe"
    assert done.stdout == ""
    assert image(folder) == before
    assert FileStore(folder / ".resumable").names() == []
    return message


BAD_FILES: dict[str, tuple[Callable[[Path], object], tuple[str, ...]]] = {
    "it is missing": (lambda p: None, ("isn't there", "Check the path")),
    "it is a folder": (lambda p: p.mkdir(), ("is a folder",)),
    "it is empty": (lambda p: p.write_bytes(b""), ("is empty", "header")),
    "it has only line ends": (lambda p: p.write_bytes(b"\n\n"), ("is empty",)),
    "a column comes twice": (lambda p: p.write_text("id,a,a\n1,2,3\n"), ("more than one column 'a'", "--names")),
    "a column has no name": (lambda p: p.write_text("id,,b\n1,2,3\n"), ("no name for column 2 of 3",)),
    "a row is too long": (lambda p: p.write_text("id,a\n1,2\n1,2,3\n"), ("row 2", "at byte 9", "3 fields")),
    "a row is too short": (lambda p: p.write_text("id,a\n1,2\n1\n"), ("row 2", "at byte 9", "2 columns")),
    "bytes are no UTF-8": (lambda p: p.write_bytes(b"id,a\n1,ok\n2,\xff\n"), ("row 2", "'a'", "0xff", "--encoding")),
    "its header is no UTF-8": (lambda p: p.write_bytes(b"id,\xff\n1,2\n"), ("header", "--encoding")),
    "a quote is never closed": (lambda p: p.write_text('id,a\n1,"open\n2,b\n'), ("row 1", "never closed")),
    "it is gzip": (lambda p: p.write_bytes(gzip.compress(b"id,a\n1,2\n")), ("is gzip", "Unpack")),
    "it is UTF-16": (lambda p: p.write_bytes("id,a\n1,2\n".encode("utf-16")), ("UTF-16", "iconv")),
    "it is a pipe": (os.mkfifo, ("pipe",)),
}


@pytest.mark.parametrize("why", BAD_FILES)
def test_a_file_that_cannot_be_loaded_is_refused_before_anything_is_made(why: str, folder: Path) -> None:
    """Whatever is wrong with it, if its first part shows it."""
    make, says = BAD_FILES[why]
    make(folder / "bad.csv")
    refused_file(folder, says)


def refused_file(folder: Path, says: tuple[str, ...]) -> None:
    words = ("upload", "bad.csv", SHOP, "new")
    if (folder / "bad.csv").is_fifo():  # not to be read
        done = here(*words)
        explained(done, *says)
        assert "new" not in tables(folder / "shop.db")
    else:
        refused(folder, *words, says=("bad.csv", *says))
        assert here("upload", "good.csv", SHOP, "new").returncode == 0, "and it isn't in the way"


BAD_UPLOADS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "no URL": (("shop.db", "new"), ("'shop.db' is no database URL", "sqlite:///shop.db")),
    "unknown database": (("foo://x/y", "new"), ("'foo'", "sqlite:///")),
    "database not supported": (("mysql://x/y", "new"), ("mysql", "can't be used")),
    "bad port": (("postgresql://me@h:12x/y", "new"), ("no database URL",)),
    "bad option": (("sqlite:///shop.db?timeout=abc", "new"), ("timeout", "abc")),
    "server down": (("postgresql://me@127.0.0.1:1/x", "new"), ("127.0.0.1", "refused", "server runs")),
    "unknown host": (("postgresql://me@nowhere.invalid/x", "new"), ("nowhere.invalid",)),
    "in memory": (("sqlite://", "new"), ("in memory",)),
    "no such folder": (("sqlite:///no/such/shop.db", "new"), ("no/such/shop.db", "folder")),
    "a folder": (("sqlite:///.", "new"), ("can't be opened",)),
    "another kind of file": (("sqlite:///good.csv", "new"), ("not a database",)),
    "table exists": ((SHOP, "orders"), ("'orders' already", "append")),
    "it is a view": ((SHOP, "recent", "--if-exists", "append"), ("'recent'", "view")),
    "table without a name": ((SHOP, ""), ("empty",)),
    "upsert without a key": ((SHOP, "new", "--if-exists", "upsert"), ("key",)),
    "upsert by no column": ((SHOP, "new", "--if-exists", "upsert", "--key", "nope"), ("'nope'", "'id', 'n'")),
    "columns that aren't there": ((SHOP, "plain", "--if-exists", "append"), ("'id'",)),
    "replace with other columns": ((SHOP, "plain", "--if-exists", "replace"), ("'id'",)),
    "type of no column": ((SHOP, "new", "--columns", "nope=string"), ("'nope'", "'id', 'n'")),
    "unknown type": ((SHOP, "new", "--columns", "n=blob"), ("'blob'", "int64")),
    "no type": ((SHOP, "new", "--columns", "n"), ("NAME=TYPE",)),
    "two characters between fields": ((SHOP, "new", "--delimiter", "ab"), ("'ab'", "one ASCII character")),
    "unknown encoding": ((SHOP, "new", "--encoding", "klingon"), ("'klingon'",)),
    "negative time": ((SHOP, "new", "--every", "-1"), ("seconds",)),
    "quarantine without it": ((SHOP, "new", "--quarantine", "quarantine_state"), ("quarantine",)),
    "quarantine into a missing folder": (
        (SHOP, "new", "--on-bad-row", "quarantine", "--quarantine", "no/such/aside"),
        ("no/such",),
    ),
    "no name": ((SHOP, "new", "--name", ""), ("name",)),
    "store unknown": ((SHOP, "new", "--store", "foo://x"), ("'foo'",)),
    "store not there": ((SHOP, "new", "--store", "redis://x"), ("Redis",)),
}


@pytest.mark.parametrize("why", BAD_UPLOADS)
def test_an_upload_that_makes_no_sense_is_refused_before_anything_is_made(why: str, folder: Path) -> None:
    """Target, table, key, types, options: one message, and no trace."""
    words, says = BAD_UPLOADS[why]
    refused(folder, "upload", "good.csv", *words, says=says)


BAD_EXPORTS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "unknown table": ((SHOP, "order", "out.csv"), ("'order'", "Did you mean 'orders'")),
    "no database": (("sqlite:///none.db", "orders", "out.csv"), ("no file", "none.db")),
    "query that is none": ((SHOP, "--query", "select from where", "--key", "id", "out.csv"), ("syntax error",)),
    "query that writes": ((SHOP, "--query", "delete from orders", "--key", "id", "out.csv"), ()),
    "key of no column": ((SHOP, "orders", "out.csv", "--key", "nope"), ("'nope'",)),
    "key with NULLs": ((SHOP, "--query", "select null as id", "--key", "id", "out.csv"), ("NULL",)),
    "missing folder": ((SHOP, "orders", "no/such/out.csv"), ("no folder", "no/such")),
    "target is a folder": ((SHOP, "orders", "."), ("folder",)),
    "file exists": ((SHOP, "orders", "good.csv"), ("exists already", "--if-exists replace")),
    "unknown format": ((SHOP, "orders", "out.xlsx"), ("'xlsx'",)),
    "a URL as a target": ((SHOP, "orders", "sqlite:///other.db"), ("file",)),
    "server down": (("postgresql://me@127.0.0.1:1/x", "orders", "out.csv"), ("refused",)),
}


@pytest.mark.parametrize("why", BAD_EXPORTS)
def test_an_export_that_makes_no_sense_is_refused_before_anything_is_made(why: str, folder: Path) -> None:
    """Source, table, key, file: one message, and no trace."""
    words, says = BAD_EXPORTS[why]
    refused(folder, "export", *words, says=says)


@pytest.mark.parametrize("words", [(), ("frob",), ("upload",), ("upload", "a", "b", "c", "d"), ("status", "--frob")])
def test_a_wrong_command_line_is_told_so_with_where_help_is(words: tuple[str, ...], folder: Path) -> None:
    """Exit status 2, the usage, and no traceback."""
    done = here(*words)
    assert done.returncode == 2
    assert "usage: resumable" in done.stderr
    assert "--help" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_a_file_with_only_a_header_makes_an_empty_table(folder: Path) -> None:
    """No rows are no error; columns without values are text."""
    (folder / "header.csv").write_text("id,name\n")
    done = here("upload", "header.csv", SHOP, "new")
    assert done.returncode == 0, done.stderr
    assert rows_of(folder / "shop.db", "select name, type from pragma_table_info('new')") == [
        ("id", "TEXT"),
        ("name", "TEXT"),
    ]
    assert rows_of(folder / "shop.db", "select * from new") == []


def test_a_value_that_does_not_fit_late_in_the_file_stops_the_run_and_says_where(folder: Path) -> None:
    """Past the sample: row, byte, column and reason are named, nothing shows, and quarantine goes on from there."""
    before = image(folder)
    numbers(folder / "late.csv", 600_000, bad=600_000)
    assert (folder / "late.csv").stat().st_size > 2 * 4 * 2**20, "well past the sample"
    line = ("upload", "late.csv", SHOP, "late", "--every", "0", "--name", "late")
    done = here(*line)
    message = explained(done, "row 600,000", "at byte", "'n'", "'oops' isn't a number", "--columns n=", status=(1,))
    assert "committed before it is safe" in message
    assert "late" not in tables(folder / "shop.db")
    status = json.loads(here("status", "late", "--json").stdout)
    assert ("failed", True) == (status["status"], 0 < status["rows"] < 600_000)
    assert status["message"] in message

    assert explained(here(*line), "row 600,000")  # the same again: no better
    done = here(*line, "--on-bad-row", "quarantine")
    assert done.returncode == 0, done.stderr
    assert rows_of(folder / "shop.db", "select count(*), sum(n) from late") == [(599_999, 3 * 599_999 * 600_000 // 2)]
    (reject,) = [json.loads(line) for line in (folder / "late.csv.rejected.jsonl").read_text().splitlines()]
    assert (600_000, "n", "600000,oops") == (reject["row"], reject["column"], reject["text"])

    other = ("upload", "late.csv", SHOP, "other", "--name", "other")
    explained(here(*other), "row 600,000")
    assert here("terminate", "other").returncode == 0
    after = {name: found for name, found in image(folder).items() if name == "shop.db"}
    assert [s for s in after["shop.db"] if "late" not in s and "resumable" not in s] == before["shop.db"]


def test_a_nul_byte_is_kept_where_the_database_can_and_refused_where_not(folder: Path, postgres: str) -> None:
    """Never cut off there, and never left out."""
    (folder / "nul.csv").write_bytes(b"id,a\n1,ok\n2,b\0c\n")
    assert here("upload", "nul.csv", SHOP, "nul").returncode == 0
    assert rows_of(folder / "shop.db", "select a from nul order by id") == [("ok",), ("b\0c",)]
    done = here("upload", "nul.csv", postgres, "nul", "--name", "nul")
    explained(done, "Row 2", "'a'", "NUL", status=(1,))
    assert here("terminate", "nul").returncode == 0
    assert public(postgres) == []


def test_names_that_the_database_would_cut_are_refused(folder: Path, postgres: str) -> None:
    """PostgreSQL would make two names of 64 bytes one."""
    (folder / "long.csv").write_text(f"id,{'x' * 64}\n1,2\n")
    for words in (("long.csv", postgres, "new"), ("good.csv", postgres, "y" * 64)):
        refused(folder, "upload", *words, says=("63 bytes",))
    assert public(postgres) == []


def test_a_server_that_lets_nobody_in_says_why(folder: Path, canary: str) -> None:
    """Unknown database, unknown role, wrong password, unknown schema, table that exists."""
    wrong = canary.replace(services.CANARY, "wrong")
    for url, says in (
        (wrong, ("password authentication failed",)),
        (canary.rpartition("/")[0] + "/nosuch", ("nosuch",)),
        (canary.replace("canary:", "nobody_here:"), ("nobody_here",)),
    ):
        refused(folder, "upload", "good.csv", url, "new", says=(*says, "check database, user and password"))
        refused(folder, "export", url, "orders", "out.csv", says=says)
    refused(folder, "upload", "good.csv", canary, "new", "--schema", "nosuch", says=("no schema 'nosuch'",))
    with psycopg.connect(canary) as c:
        c.execute("create table orders(id int primary key); insert into orders values (1)")
    refused(folder, "upload", "good.csv", canary, "orders", says=("'orders' already",))
    refused(folder, "upload", "good.csv", canary, "orders", "--if-exists", "append", says=("'n'",))
    refused(folder, "export", canary, "order", "out.csv", says=("Did you mean 'orders'",))
    assert public(canary) == ["orders"]


def test_a_table_that_may_not_be_written_is_refused_before_anything_is_made(
    folder: Path, canary: str, postgres_server
) -> None:
    """A role that may read but not write hears so at once."""
    owner = postgres_server.set(database=canary.rpartition("/")[2]).render_as_string()
    with psycopg.connect(owner) as c:
        c.execute("create table orders(id bigint, n bigint); grant select on orders to canary")
    refused(
        folder, "upload", "good.csv", canary, "orders", "--if-exists", "append", says=("orders", "INSERT privilege")
    )
    assert public(canary) == ["orders"]


def public(url: str) -> list[str]:
    with psycopg.connect(url) as c:
        found = c.execute("select tablename from pg_tables where schemaname !~ '^(pg_|information_)' order by 1")
        return [name for (name,) in found.fetchall()]


# ------------------------------------------------------------------------------------- what may not be written


@pytest.fixture
def bound(folder: Path) -> Path:
    """The folder, where this process can make files read-only for the next, even as root."""
    (folder / "read_only").write_text("")
    (folder / "read_only").chmod(0o400)
    code = "import sys; open(sys.argv[1], 'a')"
    command = [sys.executable, "-c", code, str(folder / "read_only")]
    if subprocess.run(command, preexec_fn=obey, capture_output=True, check=False).returncode == 0:
        pytest.skip("modes of files don't bind this user")
    return folder


def test_a_read_only_database_is_refused(bound: Path) -> None:
    """By the file's mode, and by its folder's, where a journal would have to be."""
    (bound / "shop.db").chmod(0o400)
    refused(bound, "upload", "good.csv", SHOP, "new", says=("readonly",), before=obey)
    (bound / "shop.db").chmod(0o600)
    (bound / "locked").mkdir()
    os.rename(bound / "shop.db", bound / "locked" / "shop.db")
    (bound / "locked").chmod(0o500)
    refused(bound, "upload", "good.csv", "sqlite:///locked/shop.db", "new", says=(), before=obey)
    refused(bound, "upload", "good.csv", "sqlite:///locked/new.db", "new", says=("new.db",), before=obey)
    (bound / "locked").chmod(0o700)


def test_a_read_only_folder_or_file_is_refused_for_an_export(bound: Path) -> None:
    """In a folder that may not be written no file can be made or replaced."""
    (bound / "locked").mkdir()
    (bound / "locked" / "old.csv").write_text("old\n")
    (bound / "locked").chmod(0o500)
    for words in (("locked/out.csv",), ("locked/old.csv", "--if-exists", "replace")):
        refused(bound, "export", SHOP, "orders", *words, says=("locked", "may not be written"), before=obey)
    (bound / "locked").chmod(0o700)


def test_a_source_that_may_not_be_read_is_refused(bound: Path) -> None:
    """A file, and a database."""
    (bound / "good.csv").chmod(0)
    done = resumable("upload", "good.csv", SHOP, "new", cwd=bound, before=obey)
    explained(done, "good.csv", "ermission")
    (bound / "shop.db").chmod(0)
    done = resumable("export", SHOP, "orders", "out.csv", cwd=bound, before=obey)
    explained(done, "shop.db")
    assert not (bound / "out.csv").exists()


def test_a_store_that_may_not_be_written_is_told_before_anything_is_made(bound: Path) -> None:
    """Without a place for checkpoints nothing begins."""
    (bound / "locked").mkdir(mode=0o500)
    before = image(bound)
    done = resumable("upload", "good.csv", SHOP, "new", "--store", "locked/store", cwd=bound, before=obey)
    explained(done, "locked", "RESUMABLE_STORE")
    assert image(bound) == before


# ---------------------------------------------------------------------------------------------- the full disk


class Disk:
    """A folder that holds little. `limit` goes before a command; after `free` there is room."""

    def __init__(self, folder: Path, size: int, *, mounted: bool) -> None:
        self.folder, self.size, self.mounted, self.full = folder, size, mounted, True
        folder.mkdir()
        if mounted:
            command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
            if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
                raise services.Unavailable("No tmpfs can be mounted: that takes root.")

    def limit(self) -> None:
        if self.full and not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))

    def free(self) -> None:
        self.full = False
        if self.mounted:
            subprocess.run(["mount", "-o", "remount,size=64m", str(self.folder)], check=True)

    def release(self) -> None:
        if self.mounted:
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


@pytest.fixture(params=["a small file system", "a limit on files"])
def disk(request: pytest.FixtureRequest, folder: Path) -> Iterator[Callable[[int], Disk]]:
    """Makes a small disk, `folder / "disk"`: mounted where that is allowed, and as a limit on every file's size."""
    made: list[Disk] = []

    def make(size: int) -> Disk:
        made.append(Disk(folder / "disk", size, mounted=request.param == "a small file system"))
        return made[0]

    yield make
    for one in made:
        one.release()


def test_a_full_disk_under_a_database_stops_the_run_and_with_room_the_same_line_ends_it(disk, folder: Path) -> None:
    """What was committed is kept; no row is lost or loaded twice."""
    small = disk(2**20)
    numbers(folder / "many.csv", 200_000)
    line = ("upload", "many.csv", "sqlite:///disk/shop.db", "many", "--every", "0", "--name", "many")
    done = resumable(*line, cwd=folder, before=small.limit)
    explained(done, "committed is safe", "run the same again", status=(1,))
    assert "many" not in tables(folder / "disk" / "shop.db")
    small.free()
    done = here(*line)
    assert done.returncode == 0, done.stderr
    found = rows_of(folder / "disk" / "shop.db", "select count(*), count(distinct id), sum(n) from many")
    assert found == [(200_000, 200_000, 3 * 200_000 * 200_001 // 2)]
    assert tables(folder / "disk" / "shop.db") == ["many", "resumable_ledger"]


def test_a_full_disk_under_an_export_stops_the_run_and_with_room_the_same_line_ends_it(disk, folder: Path) -> None:
    """Nothing is at the target's path before, and the bytes are the right ones after."""
    numbers(folder / "many.csv", 200_000)
    assert here("upload", "many.csv", SHOP, "many", "--key", "id").returncode == 0
    small = disk(2**20)
    line = ("export", SHOP, "many", "disk/out.csv", "--every", "0", "--name", "out")
    done = resumable(*line, cwd=folder, before=small.limit)
    explained(done, "out.csv", "committed is safe", "Make room", status=(1,))
    assert not (folder / "disk" / "out.csv").exists()
    small.free()
    assert here(*line).returncode == 0
    assert (folder / "disk" / "out.csv").read_bytes() == (folder / "many.csv").read_bytes()
    assert [path.name for path in (folder / "disk").iterdir()] == ["out.csv"]


def test_a_full_disk_under_the_store_stops_the_run_before_it_begins(disk, folder: Path) -> None:
    """Where no checkpoint can be kept nothing is loaded; with room the same line does it."""
    small = disk(4096 if sys.platform == "linux" else 512)
    if small.mounted:
        (folder / "disk" / "filler").write_bytes(bytes(4096))
    else:
        small.size = 512
    before = {name: found for name, found in image(folder).items() if name == "shop.db"}
    line = ("upload", "good.csv", SHOP, "new", "--store", "disk/store")
    done = resumable(*line, cwd=folder, before=small.limit)
    explained(done, "disk", "safe", status=(1,))
    assert {name: found for name, found in image(folder).items() if name == "shop.db"} == before
    small.free()
    assert here(*line).returncode == 0
    assert rows_of(folder / "shop.db", "select count(*) from new") == [(100,)]


def test_a_store_whose_disk_fills_in_mid_run_loses_nothing(folder: Path) -> None:
    """The rows are in and the checkpoint isn't: the target's word counts, and no row comes twice."""
    small = Disk(folder / "disk", 2**16, mounted=True)
    try:
        numbers(folder / "many.csv", 200_000)
        line = ("upload", "many.csv", SHOP, "many", "--store", "disk/store", "--every", "0", "--name", "many")
        filling = (
            "import contextlib, resumable\n"
            f"for step in resumable.upload('many.csv', {SHOP!r}, 'many', store='disk/store', every=0, name='many'):\n"
            "    with contextlib.suppress(OSError), open('disk/filler', 'ab', buffering=0) as file:\n"
            "        while True: file.write(bytes(512))\n"
        )
        command = [sys.executable, "-c", filling]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        assert "StoreError" in done.stderr, done.stderr
        explained(here(*line), "No space left", "committed is safe", "Make room", status=(1,))
        (folder / "disk" / "filler").unlink()
        done = here(*line)
        assert done.returncode == 0, done.stderr
        found = rows_of(folder / "shop.db", "select count(*), count(distinct id), sum(n) from many")
        assert found == [(200_000, 200_000, 3 * 200_000 * 200_001 // 2)]
    finally:
        small.release()


# -------------------------------------------------------------------------------------------------- the store


def test_a_store_that_is_a_file_is_told(folder: Path) -> None:
    """It is neither overwritten nor taken for an empty store."""
    before = image(folder)
    for words in (("upload", "good.csv", SHOP, "new"), ("list",), ("status", "x"), ("resume", "x"), ("terminate", "x")):
        done = here(*words, "--store", "good.csv")
        explained(done, "good.csv", "no folder", "sqlite:///runs.db", status=(1,))
    assert image(folder) == before


@pytest.fixture
def paused(folder: Path) -> Path:
    """The folder with a run `many` that is paused in the middle; its checkpoint's path."""
    numbers(folder / "many.csv", 200_000)
    code = f"import resumable\nfor step in resumable.upload('many.csv', {SHOP!r}, 'many', every=0, name='many'): break"
    subprocess.run([sys.executable, "-c", code], cwd=folder, check=True)
    return FileStore(folder / ".resumable").path("many")


@pytest.mark.parametrize("how", ["emptied", "cut", "flipped", "not JSON", "not even text"])
def test_a_corrupt_checkpoint_is_an_error_never_a_start_from_zero(how: str, paused: Path, folder: Path) -> None:
    """Every command says which file it is, and leaves it and the target as they are."""
    whole = paused.read_bytes()
    middle = len(whole) // 2
    flipped = re.sub(rb'"rows":(\d)', lambda m: b'"rows":%d' % ((int(m[1]) + 1) % 9 + 1), whole, count=1)
    broken = {
        "emptied": b"",
        "cut": whole[:middle],
        "flipped": flipped,
        "not JSON": b'"many"\nhello\n',
        "not even text": b'"many"\n\xff\xfe\0',
    }
    paused.write_bytes(broken[how])
    before = image(folder)
    line = ("upload", "many.csv", SHOP, "many", "--name", "many")
    for words in (line, ("resume", "many"), ("status", "many"), ("terminate", "many"), ("pause", "many"), ("list",)):
        explained(here(*words), str(paused), "can't be read", "Restore it", status=(1,))
    assert image(folder) == before
    assert paused.read_bytes() == broken[how]
    paused.write_bytes(whole)
    assert here(*line).returncode == 0
    assert rows_of(folder / "shop.db", "select count(*), count(distinct id) from many") == [(200_000, 200_000)]


def test_a_checkpoint_of_a_newer_version_is_refused(paused: Path, folder: Path) -> None:
    """It may mean something that this version doesn't know."""
    whole = paused.read_bytes()
    paused.write_bytes(whole.replace(b'{"format":1', b'{"format":2', 1))
    before = image(folder)
    for words in (("upload", "many.csv", SHOP, "many", "--name", "many"), ("resume", "many"), ("terminate", "many")):
        explained(here(*words), "newer version", "pip install -U", status=(1,))
    assert image(folder) == before


def test_one_corrupt_checkpoint_does_not_hide_the_other_runs(paused: Path, folder: Path) -> None:
    """`resumable list` shows what can be read, says what can't, and ends with status 1."""
    assert here("upload", "good.csv", SHOP, "good", "--name", "good").returncode == 0
    paused.write_bytes(paused.read_bytes()[:100])
    done = here("list")
    explained(done, str(paused), status=(1,))
    assert done.stdout.startswith("good: completed, 100 rows")

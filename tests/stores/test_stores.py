"""What is particular to each store, and how one is named; what all must do is their contract (test_contract.py)."""

from __future__ import annotations

import errno
import fcntl
import os
import pickle
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

import services
from resumable.checkpoint import Record
from resumable.errors import CorruptCheckpoint, StoreError, UsageError
from resumable.stores import FileStore, MemoryStore, RedisStore, SqlStore, files, open_store
from resumable.testing.records import NAMES, full_record
from wire import Wire


def test_a_store_says_what_it_is(tmp_path: Path) -> None:
    """`describe` and `location` name the place, for explain() and for messages."""
    urls = ("postgresql://anna@host/shop", "redis://host/0", f"sqlite:///{tmp_path}/runs.db", str(tmp_path))
    for store in (MemoryStore(), *map(open_store, urls)):
        described: Any = store
        assert described.location in repr(store)
        assert len(described.describe()) > 20


# ------------------------------------------------------------------------------------------ in a folder


def test_plain_names_are_readable_files(tmp_path: Path) -> None:
    """A default name is its file's name; capitals and separators are spelled out."""
    store = FileStore(tmp_path)
    assert store.path("upload-orders.csv-orders-3fa9c1d2").name == "upload-orders.csv-orders-3fa9c1d2.json"
    assert store.path("a/B").name == "a%2f%42.json"
    assert len(os.fsencode(store.path("注" * 1000).name)) < 200


def test_no_two_names_share_a_file_where_case_is_ignored(tmp_path: Path) -> None:
    """File names differ in more than case and Unicode form, and none leaves the folder."""
    paths = [FileStore(tmp_path).path(name) for name in NAMES]
    assert len({path.name.lower() for path in paths}) == len(NAMES)
    assert all(path.parent == tmp_path and path.name.isascii() for path in paths)


def test_the_folder_is_private_and_kept_out_of_git(tmp_path: Path) -> None:
    """A folder that the store makes is its owner's alone and ignores itself; one that was there stays as it is."""
    FileStore(tmp_path / "deep" / "runs").swap("a", 0, Record(1))
    assert stat.S_IMODE((tmp_path / "deep" / "runs").stat().st_mode) == 0o700
    assert (tmp_path / "deep" / "runs" / ".gitignore").read_text() == "*\n"
    (tmp_path / "mine").mkdir(mode=0o755)
    FileStore(tmp_path / "mine").swap("a", 0, Record(1))
    assert sorted(p.name for p in (tmp_path / "mine").iterdir()) == [".lock", "a.json"]
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o755


def test_a_program_that_changes_its_folder_keeps_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative folder is meant from where the store was opened."""
    monkeypatch.chdir(tmp_path)
    store = FileStore("runs")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    store.swap("a", 0, Record(1))
    assert (tmp_path / "runs" / "a.json").exists()


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "newer", "another's", "not json", "unnamed", "binary"])
def test_a_damaged_file_is_an_error_that_names_it(tmp_path: Path, damage: str) -> None:
    """Empty, cut, altered, newer, or another run's: `CorruptCheckpoint`, never an empty record, and nothing is changed."""
    store = FileStore(tmp_path)
    store.swap("orders", 0, full_record())
    path = store.path("orders")
    data = path.read_bytes()
    bad = {
        "empty": b"",
        "cut": data[: len(data) // 2],
        "flipped": data.replace(b'"rows":1099511627776', b'"rows":1099511627777'),
        "newer": data.replace(b'"format":1', b'"format":2'),
        "another's": data.replace(b'"orders"\n', b'"other"\n'),
        "not json": b"<html>",
        "unnamed": data.partition(b"\n")[2],
        "binary": pickle.dumps(data),
    }[damage]
    assert bad != data
    path.write_bytes(bad)
    for call in (lambda: store.load("orders"), lambda: store.swap("orders", 1, Record(2))):
        with pytest.raises(CorruptCheckpoint, match=r"orders\.json") as caught:
            call()
        assert caught.value.safe
        assert caught.value.do
    assert path.read_bytes() == bad
    assert store.names() == ["orders"]


def test_every_cut_of_a_file_is_noticed(tmp_path: Path) -> None:
    """No prefix of a record passes for one."""
    store = FileStore(tmp_path)
    store.swap("orders", 0, full_record())
    data = store.path("orders").read_bytes()
    for length in range(len(data) - 1):  # all but the last line's end
        store.path("orders").write_bytes(data[:length])
        with pytest.raises(CorruptCheckpoint):
            store.load("orders")


@pytest.mark.parametrize("planted", ["orders.json", ".lock", "orders.json.new"])
def test_symbolic_links_are_refused(tmp_path: Path, planted: str) -> None:
    """A link at the place of a record, its successor or the lock is not followed: what it points at stays."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    store = FileStore(tmp_path / "runs")
    store.swap("other", 0, Record(1))
    (tmp_path / "runs" / planted).unlink(missing_ok=True)
    (tmp_path / "runs" / planted).symlink_to(victim)
    with pytest.raises(StoreError, match="symbolic link"):
        store.swap("orders", 0, Record(1))
    assert victim.read_text() == "precious"


def test_a_pipe_in_place_of_a_record_does_not_hang(tmp_path: Path) -> None:
    """What isn't a regular file is an error at once."""
    os.mkfifo(tmp_path / "orders.json")
    with pytest.raises(StoreError, match="regular file"):
        FileStore(tmp_path).load("orders")


def test_a_file_in_place_of_the_folder_is_an_error(tmp_path: Path) -> None:
    """The message says that it is no folder, and how a SQLite database is written."""
    (tmp_path / "runs.db").write_bytes(b"x")
    store = FileStore(tmp_path / "runs.db")
    for call in (lambda: store.load("a"), store.names, lambda: store.swap("a", 0, Record(1))):
        with pytest.raises(StoreError, match=r"no folder.*sqlite:///"):
            call()


def test_a_folder_without_permission_is_an_error(tmp_path: Path) -> None:
    """Neither reading nor writing a closed folder is taken for an empty one."""
    FileStore(tmp_path / "runs").swap("a", 0, Record(1))
    (tmp_path / "runs").chmod(0)
    tmp_path.chmod(0o755)
    code = f"""
import os
from resumable.checkpoint import Record
from resumable.errors import StoreError
from resumable.stores import FileStore
if os.geteuid() == 0:
    import pyarrow
    os.setuid(65534)
store = FileStore({str(tmp_path / "runs")!r})
for call in (lambda: store.load("a"), store.names, lambda: store.swap("a", 0, Record(1))):
    try:
        print(call())
    except StoreError as error:
        print("refused:", error)
"""
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    finally:
        (tmp_path / "runs").chmod(0o700)
    assert done.stdout.count("refused: ") == 3, done.stdout + done.stderr
    assert "ermission denied" in done.stdout


def test_a_full_disk_is_an_error_and_the_old_record_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No space: a clear `StoreError`, and what was saved before is still there."""
    store = FileStore(tmp_path)
    store.swap("a", 0, Record(1))

    def full(fd: int, data: Any) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("resumable.files.durable.os.write", full)
        with pytest.raises(StoreError, match="Make room"):
            store.swap("a", 1, Record(2))
    assert store.load("a") == Record(1)
    assert store.swap("a", 1, Record(2))


def test_a_file_system_without_locks_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `flock` isn't supported the store says so, rather than going without."""

    def unsupported(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("resumable.stores.files.fcntl.flock", unsupported)
    with pytest.raises(StoreError, match="can't lock files"):
        FileStore(tmp_path).swap("a", 0, Record(1))
    assert not (tmp_path / "a.json").exists()


def test_a_lock_that_is_never_released_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Waiting for a stopped process ends, and the error says which it is; reading needs no lock."""
    store = FileStore(tmp_path)
    store.swap("a", 0, Record(1))
    monkeypatch.setattr(files, "LOCK_TIMEOUT", 0.1)
    with open(tmp_path / ".lock") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(StoreError, match=rf"by process {os.getpid()} on "):
            store.swap("a", 1, Record(2))
        assert store.load("a") == Record(1)
    assert store.swap("a", 1, Record(2))


def test_a_lock_removed_with_its_folder_is_not_trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waited for a lock whose file is gone takes the new file's lock instead."""
    store = FileStore(tmp_path)
    store.swap("a", 0, Record(1))
    once = iter([True])
    wait = FileStore._wait

    def slow(self: FileStore, fd: int, path: Path, end: float) -> None:
        wait(self, fd, path, end)
        if next(once, False):
            path.unlink()
            path.touch()

    monkeypatch.setattr(FileStore, "_wait", slow)
    assert store.swap("a", 1, Record(2))
    assert next(once, None) is None
    assert (tmp_path / ".lock").read_text().startswith("process")


# --------------------------------------------------------------------------------------- in a database


def test_a_swap_in_sqlite_is_synced_with_its_folder(tmp_path: Path) -> None:
    """Else a power cut brings the journal of the last one back."""
    store = SqlStore(f"sqlite:///{tmp_path / 'runs.db'}")
    with store._connected() as connection:
        assert 3 == connection.exec_driver_sql("PRAGMA synchronous").scalar_one()


def test_a_database_that_cannot_be_reached_is_a_store_error(tmp_path: Path) -> None:
    """A closed port, or a folder that isn't there: `StoreError`, without the password."""
    for url in (
        f"postgresql://canary:{services.CANARY}@127.0.0.1:9/shop",
        f"postgresql://canary@127.0.0.1:9/shop?password={services.CANARY}",
        f"sqlite:///{tmp_path}/none/runs.db",
    ):
        store = SqlStore(url)
        with pytest.raises(StoreError) as caught:
            store.swap("a", 0, Record(1))
        shown = f"{caught.value!r} {caught.value.__cause__} {store!r} {store.location} {store.describe()}"
        assert services.CANARY not in shown
        assert caught.value.do


def test_a_wrong_password_is_not_repeated(canary: str) -> None:
    """The server's refusal is passed on without what was refused; the right one is in no description."""
    store = SqlStore(sa.make_url(canary).set(password="wr0ng-" + services.CANARY))
    with pytest.raises(StoreError, match="password authentication failed") as caught:
        store.load("a")
    assert services.CANARY not in str(caught.value)
    assert services.CANARY not in SqlStore(canary).describe() + SqlStore(canary).location


def test_any_engine_will_do(tmp_path: Path, postgres: str) -> None:
    """An engine that is given is used as it is, whatever its isolation."""
    for url, isolation in (
        (f"sqlite:///{tmp_path}/a.db", "AUTOCOMMIT"),
        (postgres, "AUTOCOMMIT"),
        (postgres, "SERIALIZABLE"),
    ):
        engine = sa.create_engine(url.replace("postgresql:", "postgresql+psycopg:"), isolation_level=isolation)
        store = SqlStore(engine, table=f"runs {isolation}")
        assert store.swap("a", 0, Record(1))
        assert not store.swap("a", 0, Record(1))
        assert store.swap("a", 1, Record(2))
        assert store.load("a") == Record(2)
        engine.dispose()


def test_a_damaged_row_is_an_error(tmp_path: Path) -> None:
    """A cut record, or one that isn't the version its row says, is `CorruptCheckpoint` and names run and database."""
    store = SqlStore(f"sqlite:///{tmp_path}/runs.db")
    store.swap("orders", 0, Record(1))
    for damage in ("version = 2", "version = 1, record = substr(record, 1, 50)", "record = ''"):
        with sqlite3.connect(tmp_path / "runs.db") as db:
            db.execute(f"update resumable_checkpoints set {damage}")
        db.close()
        with pytest.raises(CorruptCheckpoint, match=r"'orders'.*runs\.db"):
            store.load("orders")
    store._engine.dispose()


def test_a_broken_connection_is_replaced(postgres: str) -> None:
    """The server ends every connection: the next load and the next swap work all the same."""
    store, admin = SqlStore(postgres), SqlStore(postgres)._engine
    store.swap("a", 0, Record(1))
    for call in (
        lambda: store.load("a") == Record(1),
        lambda: store.swap("a", 1, Record(2)),
        lambda: store.names() == ["a"],
    ):
        with admin.connect() as connection:
            kill = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()"
            connection.exec_driver_sql(kill)
        assert call()
    store._engine.dispose()
    admin.dispose()


@pytest.fixture
def wire(postgres: str) -> Iterator[Wire]:
    """Before PostgreSQL, to lose the answers to COMMITs."""
    url = sa.make_url(postgres)
    with Wire((str(url.host), int(url.port or 0)), b"COMMIT\0") as made:
        yield made


def by(wire: Wire, postgres: str) -> SqlStore:
    """A store that is reached by way of the wire."""
    return SqlStore(sa.make_url(postgres).set(host="127.0.0.1", port=wire.port))


@pytest.mark.parametrize("change", [(0, Record(1)), (1, Record(2)), (1, None)])
def test_a_commit_whose_answer_was_lost_is_found_out(
    postgres: str, wire: Wire, change: tuple[int, Record | None]
) -> None:
    """The change has landed and the connection broke before the answer: the swap says True, and it is there once."""
    store = by(wire, postgres)
    store.swap("a" if change[0] else "b", 0, Record(1))
    wire.cuts = 1
    assert store.swap("a", *change)
    assert wire.cuts == 0
    assert store.load("a") == change[1]
    store._engine.dispose()


def test_a_swap_lost_to_a_rival_is_not_taken_for_ours(postgres: str, wire: Wire) -> None:
    """The connection breaks at a COMMIT that changed nothing, for a rival was first: False, and the rival's stands."""
    store, rival = by(wire, postgres), SqlStore(postgres)
    store.swap("a", 0, Record(1))
    rival.swap("a", 1, Record(2, heartbeat=7))
    wire.cuts = 1
    assert not store.swap("a", 1, Record(2))
    assert wire.cuts == 0
    assert store.load("a") == Record(2, heartbeat=7)
    store._engine.dispose()
    rival._engine.dispose()


def test_an_answer_lost_twice_is_a_store_error(postgres: str, wire: Wire) -> None:
    """The store doesn't go on asking for ever, and doesn't guess."""
    store = by(wire, postgres)
    store.swap("a", 0, Record(1))
    wire.cuts = 2
    with pytest.raises(StoreError):
        store.swap("a", 1, Record(2))
    assert wire.cuts == 0
    assert store.load("a") == Record(2)
    store._engine.dispose()


def test_a_stopped_rival_is_waited_for_only_so_long(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that another session keeps locked is a `StoreError` after a while, not a hang."""
    store, rival = SqlStore(postgres), SqlStore(postgres)._engine
    store.swap("a", 0, Record(1))
    monkeypatch.setattr("resumable.stores.sql.LOCK_TIMEOUT", 0.2)
    with rival.begin() as connection:
        connection.exec_driver_sql("select * from resumable_checkpoints for update")
        with pytest.raises(StoreError, match="lock timeout"):
            store.swap("a", 1, Record(2))
    assert store.swap("a", 1, Record(2))
    store._engine.dispose()
    rival.dispose()


def test_a_rival_that_stopped_while_making_the_table_is_waited_for_only_so_long(
    postgres: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So is the first transaction of all, in which the table is made."""
    store, rival = SqlStore(postgres), SqlStore(postgres)
    monkeypatch.setattr("resumable.stores.sql.LOCK_TIMEOUT", 0.2)
    with rival._engine.begin() as connection:
        rival._table.create(connection)
        with pytest.raises(StoreError, match="lock timeout"):
            store.swap("a", 0, Record(1))
    assert store.swap("a", 0, Record(1))
    store._engine.dispose()
    rival._engine.dispose()


@pytest.mark.parametrize(("kind", "rounds"), [("sqlite", 20), ("postgresql", 20), ("redis", 100)])
def test_a_forked_child_uses_connections_of_its_own(
    kind: str, rounds: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Parent and child swap through the same object after a fork; neither disturbs the other."""
    fixture = {"postgresql": "postgres", "redis": "redis"}
    url = f"sqlite:///{tmp_path / 'runs.db'}" if kind == "sqlite" else request.getfixturevalue(fixture[kind])
    code = f"""
import os, sys
from resumable.checkpoint import Record
from resumable.stores import open_store
store = open_store({url!r})
store.swap("a", 0, Record(1))
child = os.fork()
for _ in range({rounds}):
    while True:
        record = store.load("a")
        if store.swap("a", record.version, Record(record.version + 1)):
            break
if child == 0:
    sys.exit(0)
print(os.waitpid(child, 0)[1], store.load("a").version)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["0", str(2 * rounds + 1)], done.stderr


def test_a_database_that_lives_in_memory_is_refused() -> None:
    """It would be another one in each thread."""
    for url in ("sqlite://", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"):
        with pytest.raises(UsageError, match="memory"):
            SqlStore(url)
    for table in ("", "a\0b", "x" * 64):
        with pytest.raises(UsageError, match="table"):
            SqlStore("sqlite:///x.db", table)


# --------------------------------------------------------------------------------------------- by name


def test_stores_are_opened_by_what_names_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths, URLs, stores as they are, the environment, and the folder `.resumable` when nothing is said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RESUMABLE_STORE", raising=False)
    here: Any = tmp_path.resolve()
    cases = {
        None: here / ".resumable",
        "runs": here / "runs",
        "runs:old": here / "runs:old",
        "file:runs": here / "runs",
        "file:///var/a%20b": Path("/var/a b"),
        "FILE://localhost/var/runs": Path("/var/runs"),
        Path("sqlite:x"): here / "sqlite:x",
    }
    for where, folder in cases.items():
        store = open_store(where)
        assert isinstance(store, FileStore), where
        assert store.folder == folder
    sqlite: Any = open_store("sqlite:///runs.db")
    assert sqlite.location == f"sqlite:///{here}/runs.db"
    memory = MemoryStore()
    assert open_store(memory) is memory
    monkeypatch.setenv("RESUMABLE_STORE", "sqlite:///env.db")
    assert isinstance(open_store(), SqlStore)
    monkeypatch.setenv("RESUMABLE_STORE", "")
    assert isinstance(open_store(), FileStore)
    for url in ("redis://me@h/2", "rediss://h", "REDIS://h?prefix=shop:"):
        assert isinstance(open_store(url), RedisStore), url


def test_what_names_no_store_is_refused() -> None:
    """URLs of other machines, unknown databases, half a URL, and objects that are no store."""
    where: Any
    for where in (
        "redis:h", "file://host/x", "file:", "nosuch://h/db", "sqlite:runs.db", "postgres:h", "", "a\0b", 7,
    ):  # fmt: skip
        with pytest.raises(UsageError) as caught:
            open_store(where)
        assert caught.value.do

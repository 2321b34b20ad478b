"""Uploads of 300,000 rows, stopped over HTTP and by force: the table is exactly right, or not there."""

from __future__ import annotations

import contextlib
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

import webservice
from webservice import ROWS, Site

Tried = Callable[[str], None]


@pytest.fixture
def table() -> str:
    """A table's name that no other test uses."""
    return f"t_{uuid.uuid4().hex[:12]}"


def right(site: Site, table: str) -> bool:
    """Whether every row is in the table, once, with its values."""
    with contextlib.closing(sqlite3.connect(site.folder / "tables.db")) as database:
        return (ROWS, ROWS, 1, ROWS, ROWS) == database.execute(webservice.RIGHT.format(table=table)).fetchone()


def left(site: Site, name: str, table: str) -> list[str]:
    """What the database has of a run: tables with the table's name in theirs, and the run's row in the ledger."""
    with contextlib.closing(sqlite3.connect(site.folder / "tables.db")) as database:
        found = database.execute("select name from sqlite_master where name like ?", (f"%{table}%",)).fetchall()
        if database.execute("select 1 from sqlite_master where name = 'resumable_ledger'").fetchone():
            found += database.execute("select name from resumable_ledger where name = ?", (name,)).fetchall()
    return [row[0] for row in found]


@pytest.mark.parametrize("action", [None, "pause"], ids=["stop", "pause"])
def test_a_paused_upload_goes_on_where_it_was(
    site: Site, orders: Path, table: str, action: str | None, tried: Tried
) -> None:
    """PUT pauses it at a commit, with or without a body; resume goes on from there, and no row is there twice."""
    name = site.met(orders, table)
    table = site.demo.task(name)["table"]
    answer = site.demo.put(name, action)
    assert (202, "pause") == (answer.status, answer.json["asked"])
    site.wake()
    paused = site.until(name, "paused")
    assert 0 < paused["rows"] < ROWS
    assert table not in left(site, name, table), "a half-done table is in sight"
    assert ["resume", "terminate"] == paused["actions"]
    assert 202 == site.demo.put(name, "resume").status
    assert ROWS == site.until(name, "completed")["rows"]
    assert right(site, table)
    tried(f"webapp: paused over HTTP at {paused['rows']:,} of {ROWS:,} rows")


def test_a_terminated_upload_leaves_nothing(site: Site, orders: Path, table: str, tried: Tried) -> None:
    """Called off in the middle: no table, no staging, no ledger row; then it can't be resumed, 409."""
    name = site.met(orders, table)
    rows = site.demo.task(name)["rows"]
    assert [] != left(site, name, table)
    assert (202, "terminate") == ((answer := site.demo.put(name, "terminate")).status, answer.json["asked"])
    site.wake()
    site.until(name, "terminated")
    assert [] == left(site, name, table)
    assert 409 == site.demo.put(name, "resume").status
    assert 409 == site.demo.put(name, "pause").status
    tried(f"webapp: terminated over HTTP at {rows:,} of {ROWS:,} rows")


def test_a_paused_upload_can_be_terminated_too(site: Site, orders: Path, table: str) -> None:
    """Nobody runs it then: a worker is asked to roll it back."""
    name = site.met(orders, table)
    site.demo.put(name, "pause")
    site.wake()
    site.until(name, "paused")
    assert 202 == site.demo.put(name, "terminate").status
    site.until(name, "terminated")
    assert [] == left(site, name, table)


def test_a_killed_worker_loses_nothing(site: Site, orders: Path, table: str, tried: Tried) -> None:
    """`kill -9` of the worker with all its processes in mid-run: it says so, and the next worker goes on by itself."""
    name = site.met(orders, table)
    site.kill_worker()
    told = site.until(name, "interrupted")
    assert 0 < told["rows"] < ROWS
    site.start_worker()
    done = site.until(name, "completed")
    assert (ROWS, 2) == (done["rows"], done["sessions"])
    assert right(site, site.demo.task(name)["table"])
    tried(f"webapp: worker killed at {told['rows']:,} of {ROWS:,} rows")


def test_redis_may_be_killed_and_come_back(site: Site, orders: Path, table: str, tried: Tried) -> None:
    """`kill -9` of Redis in mid-run: 503 meanwhile, and once it is back the run is completed, every row once."""
    name = site.met(orders, table)
    rows = site.demo.task(name)["rows"]
    site.redis.kill()
    site.wake()
    answer = site.demo.ask("GET", f"/tasks/{name}/")
    assert (503, "5") == (answer.status, answer.headers["Retry-After"])
    assert 503 == site.demo.put(name, "pause").status
    assert 503 == site.demo.upload(orders, table=f"{table}_2").status
    site.redis.start()
    done = site.until(name, "completed")
    assert ROWS == done["rows"]
    assert right(site, done["table"])
    assert f"{table}_2" not in {task["table"] for task in site.demo.ask("GET", "/tasks/").json["tasks"]}
    tried(f"webapp: Redis killed at {rows:,} of {ROWS:,} rows")


def test_an_export_can_be_paused_and_its_file_is_whole(site: Site, orders: Path, table: str, tried: Tried) -> None:
    """The way back: what is downloaded is the file that was uploaded, byte for byte, with a pause in the middle."""
    site.until(site.demo.upload(orders, table=table).json["task_id"], "completed")
    for _ in range(5):
        name = site.demo.ask("GET", f"/export/?table={table}").json["task_id"]
        site.begun(name)
        site.freeze()
        if site.demo.task(name)["status"] == "running":
            break
        site.wake()
    else:
        pytest.fail("inconclusive: it was never met in the middle")
    assert 202 == site.demo.put(name, "pause", "export").status
    site.wake()
    rows = site.until(name, "paused")["rows"]
    assert 409 == site.demo.ask("GET", f"/export/{name}/file").status
    site.demo.put(name, "resume", "export")
    url = site.until(name, "completed")["file_url"]
    assert orders.read_bytes() == site.demo.ask("GET", url).body
    tried(f"webapp: an export paused at {rows:,} of {ROWS:,} rows")


def test_on_postgresql_django_keeps_to_a_schema_of_its_own(postgres: str, tmp_path: Path) -> None:
    """DATABASE_URL: uploads go there, and neither upload nor export reaches Django's tables by their names."""
    small = tmp_path / "small.csv"
    small.write_text("id,name\n1,one\n")
    with webservice.Site(tmp_path, postgres) as site:
        site.until(site.demo.upload(small, table="auth_user", if_exists="replace").json["task_id"], "completed")
        export = site.until(site.demo.ask("GET", "/export/?table=auth_user&key=id").json["task_id"], "completed")
        assert small.read_bytes() == site.demo.ask("GET", export["file_url"]).body
        refused = site.demo.ask("GET", "/export/?table=django_session&key=session_key").json["task_id"]
        assert "django_session" in site.until(refused, "failed")["message"]
        with psycopg.connect(postgres) as database:
            tables = database.execute("select schemaname, tablename from pg_tables where tablename like 'auth_user'")
            assert {("public", "auth_user"), ("webapp", "auth_user")} == set(tables)
            assert ("demo",) in database.execute("select username from webapp.auth_user").fetchall()

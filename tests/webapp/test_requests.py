"""What the service answers, over HTTP, from a real server with a real worker."""

from __future__ import annotations

import http.client
import http.cookiejar
import os
import re
import sqlite3
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

import webservice
from browser import Browser
from jobs import until
from webservice import Client, Site, form

SMALL = "id,name\n1,one\n2,two\n3,three\n"


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Three rows."""
    path = tmp_path / "small.csv"
    path.write_text(SMALL)
    return path


@pytest.fixture
def table() -> str:
    """A table's name that no other test uses."""
    return f"t_{uuid.uuid4().hex[:12]}"


@pytest.fixture
def exported(site: Site, small: Path, table: str) -> str:
    """A complete export of the three rows: its task's id."""
    site.until(site.demo.upload(small, table=table, key="id").json["task_id"], "completed")
    answer = site.demo.ask("GET", f"/export/?table={table}&format=csv")
    assert 202 == answer.status, answer.body
    site.until(answer.json["task_id"], "completed")
    found: str = answer.json["task_id"]
    return found


def test_an_upload_is_answered_at_once_and_becomes_a_table(site: Site, small: Path, table: str) -> None:
    """202 with the task's id and where its status is; then the table is there, row for row."""
    answer = site.demo.upload(small, table=table)
    assert 202 == answer.status
    assert {"task_id", "status_url"} == set(answer.json)
    assert answer.json["status_url"] == answer.headers["Location"] == f"/tasks/{answer.json['task_id']}/"
    told = site.until(answer.json["task_id"], "completed")
    assert (3, 1.0, "small.csv", table, []) == tuple(told[k] for k in ("rows", "fraction", "file", "table", "actions"))
    with sqlite3.connect(site.folder / "tables.db") as database:
        assert [(1, "one"), (2, "two"), (3, "three")] == database.execute(f"select * from {table}").fetchall()
    database.close()


def test_a_table_that_is_there_is_appended_to_or_fails_as_asked(site: Site, small: Path, table: str) -> None:
    """`if_exists` is the library's; without it a second upload fails, and says why."""
    site.until(site.demo.upload(small, table=table).json["task_id"], "completed")
    told = site.until(site.demo.upload(small, table=table).json["task_id"], "failed")
    assert table in told["message"]
    assert str(site.folder) not in told["message"]
    site.until(site.demo.upload(small, table=table, if_exists="append").json["task_id"], "completed")
    with sqlite3.connect(site.folder / "tables.db") as database:
        assert (6,) == database.execute(f"select count(*) from {table}").fetchone()
    database.close()


@pytest.mark.parametrize(
    "name", ["../../../../etc/passwd.csv", "..\\..\\evil.csv", "/etc/cron.d/evil.csv", "a/../../b.csv", ".csv"]
)
def test_an_upload_stays_in_its_folder(site: Site, small: Path, table: str, name: str) -> None:
    """Whatever a file is called, it lies in the folder of uploads, under the task's id."""
    answer = site.demo.upload(small, name=name, table=table)
    kept = sorted(p.name for p in (site.folder / "uploads").iterdir())
    if answer.status == 202:
        assert f"{answer.json['task_id']}.csv" in kept
        assert "/" not in site.until(answer.json["task_id"], "completed")["file"]
    else:
        assert 400 == answer.status
    assert all(re.fullmatch(r"[0-9a-f-]{36}\.csv|tmp\w+\.upload\S*", n) for n in kept), kept


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "a b",
        "x;drop table y",
        "schema.t",
        'q"q',
        "1st",
        "t" * 64,
        "resumable_ledger",
        "sqlite_master",
        "pg_x",
        "tä",
    ],
)
def test_a_table_must_have_a_plain_name(site: Site, small: Path, bad: str) -> None:
    """What could mean something else, another schema or a system's table is refused, and nothing is kept of it."""
    before = set(os.listdir(site.folder / "uploads"))
    name = "!.csv" if not bad else "small.csv"  # from which no name can be made
    assert 400 == site.demo.upload(small, table=bad, name=name).status
    assert 400 == site.demo.ask("GET", f"/export/?{urllib.parse.urlencode({'table': bad})}").status
    until(lambda: set(os.listdir(site.folder / "uploads")) <= before, "a refused file stays")


def test_what_is_malformed_is_refused(site: Site, small: Path, table: str) -> None:
    """400, with the reason as JSON: no file, two, another key, another format, no form, no JSON, an unknown action."""
    ask = site.demo.ask
    one = ("a.csv", SMALL.encode())
    refused = []
    for files in ({}, {"other": one}, {"file": one, "more": one}, {"file": ("a.exe", b"x")}, {"file": ("csv", b"x")}):
        kind, body = form(files, {"table": table})
        refused.append(ask("POST", "/upload/", body, Content_Type=kind))
    mark = "two-of-one-name"
    part = f'--{mark}\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n{SMALL}\r\n'
    body = f"{part}{part}--{mark}--\r\n".encode()
    refused.append(ask("POST", "/upload/", body, Content_Type=f"multipart/form-data; boundary={mark}"))
    refused.append(ask("POST", "/upload/", b"--", Content_Type="multipart/form-data; boundary="))
    refused.append(ask("POST", "/upload/", b"{}", Content_Type="application/json"))
    refused.append(site.demo.upload(small, table=table, if_exists="perhaps"))
    refused.append(ask("GET", f"/export/?table={table}&format=exe"))
    name = site.demo.upload(small, table=table).json["task_id"]
    for text in (b"{", b"[]", b'"pause"', b"{}", b'{"action": "explode"}', b'{"action": []}', b"\xff"):
        refused.append(ask("PUT", f"/upload/{name}/", text, Content_Type="application/json"))
    assert [400] * len(refused) == [answer.status for answer in refused], [answer.body for answer in refused]
    assert all(answer.json["error"] for answer in refused)


def test_what_is_too_large_is_refused_before_it_is_read(site: Site) -> None:
    """413 comes on the header alone; nothing of the body has been sent."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
    connection.putrequest("POST", "/upload/")
    headers = site.demo.headers | {"Content-Type": "multipart/form-data; boundary=x"}
    for name, value in (headers | {"Content-Length": str(webservice.MAX_UPLOAD + 1)}).items():
        connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert 413 == answer.status
    connection.close()


def test_a_browser_needs_its_csrf_token(site: Site, small: Path, table: str) -> None:
    """403 without it, and nothing is kept; with it all goes well. So it is for PUT."""
    browser = Browser(site.url, site.password)
    kind, body = form({"file": ("small.csv", small.read_bytes())}, {"table": table})
    before = set(os.listdir(site.folder / "uploads"))
    assert 403 == browser.status("/upload/", body, Content_Type=kind)
    assert 403 == browser.status("/upload/", body, Content_Type=kind, X_CSRFToken="w" * 32)
    elsewhere = {"Origin": "http://elsewhere.example"}
    assert 403 == browser.status("/upload/", body, Content_Type=kind, X_CSRFToken=browser.token, **elsewhere)
    until(lambda: set(os.listdir(site.folder / "uploads")) <= before, "a refused file stays")
    name = site.demo.upload(small, table=table).json["task_id"]
    assert 403 == browser.status(f"/upload/{name}/", b'{"action": "pause"}', "PUT")
    assert 200 == browser.status("/upload/", body, Content_Type=kind, X_CSRFToken=browser.token)
    assert 403 == browser.status(f"/export/?table={table}", Sec_Fetch_Site="cross-site")


@pytest.mark.parametrize("token", [None, "wrong", ""])
def test_nobody_gets_in_without_a_token_or_a_session(site: Site, small: Path, token: str | None) -> None:
    """403 everywhere; the page leads to the form to sign in."""
    stranger = Client(site.url, token)
    name = uuid.uuid4()
    assert 403 == stranger.upload(small).status
    for method, path in [
        ("GET", "/tasks/"), ("GET", f"/tasks/{name}/"), ("GET", f"/tasks/{name}/events"), ("GET", "/tasks/events"),
        ("GET", "/export/?table=t"), ("GET", f"/export/{name}/file"), ("PUT", f"/upload/{name}/"),
    ]:  # fmt: skip
        assert 403 == stranger.ask(method, path).status, path
    if token is None:
        page = stranger.ask("GET", "/")
        assert (302, "/login/?next=/") == (page.status, page.headers["Location"])


def test_the_tasks_of_others_are_not_there(site: Site, small: Path, exported: str, table: str) -> None:
    """404, as for one that never was: to look at, to download, to stop; and they aren't in the list."""
    name = site.demo.upload(small, table=f"{table}_2").json["task_id"]
    for unknown, kind in ((name, "upload"), (exported, "export"), (str(uuid.uuid4()), "upload")):
        for path in (f"/tasks/{unknown}/", f"/tasks/{unknown}/events", f"/export/{unknown}/file"):
            assert 404 == site.other.ask("GET", path).status
        for action in (None, "pause", "resume", "terminate"):
            assert 404 == site.other.put(unknown, action, kind).status
    assert not {name, exported} & {task["task_id"] for task in site.other.ask("GET", "/tasks/").json["tasks"]}
    assert {name, exported} <= {task["task_id"] for task in site.demo.ask("GET", "/tasks/").json["tasks"]}
    site.until(name, "completed")


def test_a_run_that_is_over_is_not_acted_on(site: Site, exported: str) -> None:
    """409, with the reason: nothing can be asked of a completed run."""
    for action in (None, "pause", "resume", "terminate"):
        answer = site.demo.put(exported, action, "export")
        assert (409, True) == (answer.status, "completed" in answer.json["error"])


def test_a_download_is_the_table_whole_or_in_ranges(site: Site, exported: str) -> None:
    """Ranges as curl and browsers ask for them: from, to, the end, none that is there; others are ignored."""
    url = site.demo.task(exported)["file_url"]
    whole = site.demo.ask("GET", url)
    assert (200, SMALL.encode()) == (whole.status, whole.body)
    assert "bytes" == whole.headers["Accept-Ranges"]
    assert "attachment" in whole.headers["Content-Disposition"]
    for asked, part in (
        ("0-1", slice(0, 2)),
        ("3-", slice(3, None)),
        ("-4", slice(-4, None)),
        ("5-9999", slice(5, None)),
    ):
        answer = site.demo.ask("GET", url, Range=f"bytes={asked}")
        assert (206, SMALL.encode()[part]) == (answer.status, answer.body), asked
        assert answer.headers["Content-Range"].endswith(f"/{len(SMALL)}")
    for asked in ("9999-", "-0"):
        answer = site.demo.ask("GET", url, Range=f"bytes={asked}")
        assert (416, f"bytes */{len(SMALL)}") == (answer.status, answer.headers["Content-Range"])
    for ignored in ({"Range": "bytes=0-1,3-4"}, {"Range": "lines=1-2"}, {"Range": "bytes=0-1", "If-Range": '"old"'}):
        assert (200, SMALL.encode()) == ((a := site.demo.ask("GET", url, **ignored)).status, a.body)
    head = site.demo.ask("HEAD", url)
    assert (200, b"", str(len(SMALL))) == (head.status, head.body, head.headers["Content-Length"])


def test_there_is_no_file_before_an_export_is_complete(site: Site, table: str) -> None:
    """409 until then: here the table isn't there, so it fails and says so."""
    name = site.demo.ask("GET", f"/export/?table={table}").json["task_id"]
    assert table in site.until(name, "failed")["message"]
    assert 409 == site.demo.ask("GET", f"/export/{name}/file").status


def test_events_tell_the_same_as_the_status_until_the_end(site: Site, small: Path, table: str) -> None:
    """The stream of a task ends when it is over, and its last word is the status."""
    name = site.demo.upload(small, table=table).json["task_id"]
    told = list(site.demo.events(f"/tasks/{name}/events"))
    assert "completed" == told[-1]["status"]
    assert told[-1] == site.demo.task(name)
    first = next(site.demo.events("/tasks/events"))
    assert name in {task["task_id"] for task in first["tasks"]}


def test_too_many_watchers_are_sent_away_and_requests_still_answered(site: Site) -> None:
    """503 for the stream that is one too many, while the server goes on answering; places are free again once they left."""
    watching = []
    for _ in range(17):
        if (one := watch(site)) is None:
            break
        watching.append(one)
    else:
        pytest.fail("seventeen may watch")
    assert [] != watching
    assert 503 == site.demo.ask("GET", "/tasks/events").status
    assert 200 == site.demo.ask("GET", "/tasks/").status
    for one in watching:
        one.close()
    until(lambda: watch(site) is not None, "no place becomes free")


def watch(site: Site) -> Generator[Any, None, None] | None:
    """A stream that has begun, or None if there is no place for it."""
    stream = site.demo.events("/tasks/events")
    try:
        next(stream)
    except urllib.error.HTTPError as refused:
        with refused:
            if refused.code != 503:
                raise
        return None
    return stream


def test_every_answer_has_a_strict_policy(site: Site) -> None:
    """No inline script or style, nothing from elsewhere, in no frame; and the pages have none."""
    for path in ("/login/", "/tasks/", "/nowhere"):
        policy = site.demo.ask("GET", path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
    for page in (Browser(site.url, site.password).text, site.demo.ask("GET", "/login/").body.decode()):
        assert not re.search(r"<style|<script(?![^>]*src=)|\son\w+=|\sstyle=|https?://", page)


def test_no_password_or_path_is_told(site: Site, exported: str, tmp_path: Path, table: str) -> None:
    """A status holds nothing of the server's: no folder, no URL of database or Redis; a bad row's file is the owner's."""
    bad = tmp_path / "bad.csv"
    bad.write_text("id,name\n1,one\n2\n")
    told = site.until(site.demo.upload(bad, table=f"{table}_bad").json["task_id"], "failed")
    assert told["message"].startswith("bad.csv, row 2")
    for answer in (site.demo.ask("GET", "/tasks/"), site.demo.ask("GET", f"/tasks/{exported}/")):
        text = answer.body.decode()
        assert str(site.folder) not in text
        assert "sqlite" not in text
        assert "redis" not in text


def test_tidying_removes_what_is_over_and_nothing_else(site: Site, small: Path, exported: str, table: str) -> None:
    """Files and tasks of runs that are over go, when they are old enough; a failed run, which may go on, stays."""
    failed = site.until(site.demo.upload(small, table=table).json["task_id"], "failed")["task_id"]
    (site.folder / "uploads" / "left-by-a-crash.csv").touch()
    partial = site.folder / "exports" / f".{failed}.csv.run.claim.partial"  # as a run has that may go on
    partial.touch()
    assert site.manage("tidy").startswith("0 tasks")
    assert 200 == site.demo.ask("GET", f"/export/{exported}/file").status
    site.manage("tidy", "--days", "0")
    assert 404 == site.demo.ask("GET", f"/tasks/{exported}/").status
    assert f"{exported}.csv" not in os.listdir(site.folder / "exports")
    assert {f"{failed}.csv"} <= set(os.listdir(site.folder / "uploads"))
    assert "left-by-a-crash.csv" not in os.listdir(site.folder / "uploads")
    assert partial.exists()
    with sqlite3.connect(site.folder / "tables.db") as database:
        assert (3,) == database.execute(f"select count(*) from {table}").fetchone()
    database.close()

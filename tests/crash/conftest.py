"""Processes to start, and runs to try them on: an upload into each database, and an export."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

import redisserver
import services
import syscalls
from forks import Forks
from jobs import Task, execute, export_task, upload_task
from parts import SINKS, SOURCES, STORES, Cell, Place
from resumable.control import claims
from sweeps import Bench


@pytest.fixture(scope="session")
def struck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Forks]:
    """Makes processes that can be struck at a system call, in which a batch has at most two rows."""
    library = syscalls.build(tmp_path_factory.mktemp("syscalls"))
    with Forks("parts", rows=2, preload=library) as server:
        yield server


@pytest.fixture(scope="module")
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, struck: Forks) -> Iterator[Bench]:
    """The source, sink and store that the test names (indirectly), in a place of their own.

    With "canary" as a fourth, servers ask for a password.
    """
    source, sink, store, *canary = request.param
    folder, servers = tmp_path_factory.mktemp("bench"), {}
    with contextlib.ExitStack() as made:
        for role, part in (("source", SOURCES[source]), ("target", SINKS[sink]), ("store", STORES[store])):
            if part.server == "postgresql":
                database = services.Database(request.getfixturevalue("postgres_server"))
                made.callback(database.drop)
                # The server doesn't die here, so nothing is proved by waiting for its disk.
                execute(database.url, f"alter database {database.name} set synchronous_commit = off")
                servers.setdefault(part.server, {})[role] = database.canary if canary else database.url
            elif part.server == "redis":
                url = made.enter_context(redisserver.fresh(request.getfixturevalue("redis_server")))
                servers.setdefault(part.server, {})[role] = url
        yield Bench(Cell(source, sink, store, Place(str(folder / "place"), servers)), folder, struck)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database of each kind."""
    if request.param == "postgresql":
        url: str = request.getfixturevalue("postgres")
        return url
    (tmp_path / "db").mkdir()
    return f"sqlite:///{tmp_path / 'db' / 'target.db'}"


@pytest.fixture
def upload(database: str, tmp_path: Path) -> Task:
    """An append to a table of each kind of database."""
    return upload_task(tmp_path, database)


@pytest.fixture(params=["sqlite", "postgresql", "file"])
def task(request: pytest.FixtureRequest, tmp_path: Path) -> Task:
    """An append to a table of each kind of database, and an export to a file."""
    if request.param == "file":
        return export_task(tmp_path)
    url = (
        request.getfixturevalue("postgres") if request.param == "postgresql" else f"sqlite:///{tmp_path / 'target.db'}"
    )
    return upload_task(tmp_path, url)


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """For simulated power cuts: no heartbeat among what is recorded, and a resume that is only looked at isn't synced."""
    monkeypatch.setattr(claims, "HEARTBEAT_INTERVAL", 1e9)
    monkeypatch.setattr(os, "fsync", lambda fd: None)

"""Processes to start, and runs to try them on: an upload into each database, and an export."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from forks import Forks
from jobs import Jobs, Task, export_task, upload_task


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Makes processes in which a batch has at most 1,000 rows, so that a small file is many commits."""
    with Forks() as server:
        yield server


@pytest.fixture
def jobs(tmp_path: Path, forks: Forks) -> Iterator[Jobs]:
    """Starts `resumable` in processes of its own, which end with the test."""
    with Jobs(tmp_path, forks) as made:
        yield made


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

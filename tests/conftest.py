"""What all tests share: the servers (services.py), fresh databases, and `--require-services`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

import services


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--require-services`: for CI, where a test that was skipped for want of a server proves nothing."""
    parser.addoption("--require-services", action="store_true", help="fail, not skip, where a server can't be had")


@pytest.fixture(scope="session")
def _postgres_or_reason() -> Iterator[URL | services.Unavailable]:
    # The reason is kept, not raised: looking for a server again for every test would be slow.
    try:
        server = services.postgres_server()
        url = server.__enter__()
    except services.Unavailable as why:
        yield why
        return
    try:
        yield url
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def postgres_server(_postgres_or_reason: URL | services.Unavailable, request: pytest.FixtureRequest) -> URL:
    """The superuser's URL of a PostgreSQL server; the test is skipped, with the reason, if there is none."""
    if isinstance(_postgres_or_reason, URL):
        return _postgres_or_reason
    if request.config.getoption("--require-services"):
        pytest.fail(f"PostgreSQL is required here. {_postgres_or_reason}", pytrace=False)
    pytest.skip(str(_postgres_or_reason))


@pytest.fixture
def postgres(postgres_server: URL) -> Iterator[str]:
    """The superuser's URL of a fresh, empty PostgreSQL database: `postgresql://postgres@127.0.0.1:PORT/t_…`."""
    database = services.Database(postgres_server)
    try:
        yield database.url
    finally:
        database.drop()


@pytest.fixture
def canary(postgres_server: URL) -> Iterator[str]:
    """The URL of a fresh PostgreSQL database for a role with a password, `services.CANARY`."""
    database = services.Database(postgres_server)
    try:
        yield database.canary
    finally:
        database.drop()


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite database that doesn't exist yet: `tmp_path / "target.db"`."""
    return f"sqlite:///{tmp_path / 'target.db'}"

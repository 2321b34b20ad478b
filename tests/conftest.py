"""What all tests share: the servers (services.py), fresh databases, `--require-services`, `--long`, what was tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy.engine import URL

import redisserver
import services
from forks import Forks
from jobs import Jobs


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--require-services`: for CI, where a test that was skipped for want of a server proves nothing."""
    parser.addoption("--require-services", action="store_true", help="fail, not skip, where a server can't be had")
    parser.addoption("--long", action="store_true", help="the long form of the crash tests: every point (make crash)")


def pytest_configure(config: pytest.Config) -> None:
    """What is missing without a fixture at hand must be missed as well."""
    services.required = bool(config.getoption("--require-services"))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the crash tests tried: a sweep that met nothing would prove nothing."""
    told = sorted(
        value
        for reports in terminalreporter.stats.values()
        for report in reports
        if getattr(report, "when", "") == "call"
        for name, value in report.user_properties
        if name == "tried"
    )
    if told:
        terminalreporter.section("what was tried")
        for line in told:
            terminalreporter.line(line)


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say what a test has tried, in figures; printed at the end of the test run."""
    return lambda text: record_property("tried", text)


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the long form of a crash test is asked for."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def missing() -> Callable[[str], NoReturn]:
    """Called with a reason where something real can't be had: the test is skipped, or fails with --require-services."""
    return services.missing


def _or_reason(server: AbstractContextManager[Any]) -> Iterator[Any]:
    """What the server yields; or why there is none, kept: looking for it again for every test would be slow."""
    try:
        found = server.__enter__()
    except services.Unavailable as why:
        yield why
        return
    try:
        yield found
    finally:
        server.__exit__(None, None, None)


@pytest.fixture(scope="session")
def _postgres_or_reason() -> Iterator[URL | services.Unavailable]:
    yield from _or_reason(services.postgres_server())


@pytest.fixture(scope="session")
def _redis_or_reason() -> Iterator[str | services.Unavailable]:
    yield from _or_reason(redisserver.redis_server())


@pytest.fixture(scope="session")
def redis_server(_redis_or_reason: str | services.Unavailable, missing: Callable[[str], NoReturn]) -> str:
    """The URL of a Redis; the test is skipped, with the reason, if there is none."""
    if isinstance(_redis_or_reason, services.Unavailable):
        missing(str(_redis_or_reason))
    return _redis_or_reason


@pytest.fixture
def redis(redis_server: str) -> Iterator[str]:
    """The URL of a fresh, empty store in Redis: `redis://127.0.0.1:PORT/0?prefix=t_…:`."""
    with redisserver.fresh(redis_server) as url:
        yield url


@pytest.fixture
def own_redis(redis_server: str, missing: Callable[[str], NoReturn]) -> Iterator[redisserver.Redis]:
    """A private Redis for this test alone: to be killed, stopped, filled."""
    try:
        server = redisserver.Redis()
    except services.Unavailable as why:
        missing(str(why))
    with server:
        yield server


@pytest.fixture(scope="session")
def postgres_server(_postgres_or_reason: URL | services.Unavailable, missing: Callable[[str], NoReturn]) -> URL:
    """The superuser's URL of a PostgreSQL server; the test is skipped, with the reason, if there is none."""
    if isinstance(_postgres_or_reason, services.Unavailable):
        missing(str(_postgres_or_reason))
    return _postgres_or_reason


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


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """The URL of a SQLite database that doesn't exist yet: `tmp_path / "target.db"`."""
    return f"sqlite:///{tmp_path / 'target.db'}"

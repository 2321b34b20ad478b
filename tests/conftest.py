"""What all tests share: the servers (services.py), fresh databases, `--require-services`, `--long`, what was tried."""

from __future__ import annotations

import contextlib
import os
import re
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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


def pytest_configure() -> None:
    """Folders of tests lie in memory, where fsync costs nothing: what it is worth is tried by the tests of power cuts."""
    if (memory := services.memory()) and not os.environ.get("TMPDIR"):
        os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", memory)
    # A shell without job control starts what stands before "&" deaf to SIGINT, and every process after it is so too.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """What a fixture can't have here is skipped ..."""
    with _skipping(item.config):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """... and what the test itself can't."""
    with _skipping(item.config):
        return (yield)


@contextlib.contextmanager
def _skipping(config: pytest.Config) -> Iterator[None]:
    try:
        yield
    except services.Unavailable as why:
        if config.getoption("--require-services"):
            pytest.fail(f"Nothing may be missing here. {why}", pytrace=False)
        pytest.skip(str(why))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """What the crash tests tried: a sweep that met nothing would prove nothing. And what couldn't be tried, in a line."""
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
    skipped = terminalreporter.stats.get("skipped", ())
    reasons = Counter(
        re.split("[:;(]", str(report.longrepr[2]).removeprefix("Skipped: "))[0].strip() for report in skipped
    )
    if skipped:
        told = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        terminalreporter.line(f"Not tried on this machine: {len(skipped)} ({told})")


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Say what a test has tried, in figures; printed at the end of the test run."""
    return lambda text: record_property("tried", text)


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether the long form of a crash test is asked for."""
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[str]:
    """The URL of a Redis."""
    with redisserver.redis_server() as url:
        yield url


@pytest.fixture
def redis(redis_server: str) -> Iterator[str]:
    """The URL of a fresh, empty store in Redis: `redis://127.0.0.1:PORT/0?prefix=t_…:`."""
    with redisserver.fresh(redis_server) as url:
        yield url


@pytest.fixture
def own_redis() -> Iterator[redisserver.Redis]:
    """A private Redis for this test alone: to be killed, stopped, filled."""
    with redisserver.Redis() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[URL]:
    """The superuser's URL of a PostgreSQL server."""
    with services.postgres_server() as url:
        yield url


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

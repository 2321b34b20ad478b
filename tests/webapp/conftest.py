"""One service for all tests of a process: whoever kills a part of it starts it again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import webservice


@pytest.fixture(scope="session")
def _site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webservice.Site]:
    """The service on SQLite."""
    with webservice.Site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def site(_site: webservice.Site) -> Iterator[webservice.Site]:
    """The same, whole again after each test."""
    yield _site
    _site.mend()


@pytest.fixture(scope="session")
def orders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file of 300,000 rows."""
    return webservice.wide(tmp_path_factory.mktemp("orders") / "orders.csv")

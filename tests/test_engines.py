"""Engines as programs have them: with SQLAlchemy's own recipe for SQLite's transactions; and databases of SQL_ASCII."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.pool import StaticPool

import resumable
from resumable.stores import SqlStore
from shell import numbers


def recipe(url: str, **more: Any) -> sa.Engine:
    """Of "Enabling Non-Legacy SQLite Transactional Modes with the sqlite3 or aiosqlite driver"."""
    engine = sa.create_engine(url, **more)

    @sa.event.listens_for(engine, "connect")
    def connect(connection: Any, record: object) -> None:
        connection.isolation_level = None

    @sa.event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("BEGIN")

    return engine


def newer(url: str, **more: Any) -> sa.Engine:
    """The same for Python 3.12 and later."""
    return sa.create_engine(url, connect_args={"autocommit": False}, **more)


ENGINES = [
    pytest.param(recipe, id="events"),
    pytest.param(
        newer,
        id="autocommit",
        marks=pytest.mark.skipif(not hasattr(sqlite3.Connection, "autocommit"), reason="needs Python 3.12"),
    ),
]


@pytest.mark.parametrize("make", ENGINES)
@pytest.mark.parametrize("pool", [None, StaticPool])
def test_an_engine_that_begins_its_own_transactions_is_source_target_and_store(
    make: Any, pool: Any, tmp_path: Path
) -> None:
    """Loaded, stopped, gone on with, upserted, called off and exported; afterwards the engine works as it did."""
    engine = make(f"sqlite:///{tmp_path}/t.db", **({"poolclass": pool} if pool else {}))
    store = SqlStore(make(f"sqlite:///{tmp_path}/s.db"))
    many = numbers(tmp_path / "many.csv", 140_000)
    more: dict[str, Any] = {"store": store, "every": 0}
    for _ in resumable.upload(many, engine, "t", key="id", **more):
        break
    assert 140_000 == resumable.upload(many, engine, "t", key="id", **more).run().rows
    few = numbers(tmp_path / "few.csv", 100)
    off = resumable.upload(few, engine, "t", if_exists="upsert", key="id", **more)
    next(iter(off))
    off.terminate()
    off.restart()
    resumable.export(engine, "t", tmp_path / "out.csv", **more).run()
    assert many.read_text() == (tmp_path / "out.csv").read_text()
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM t WHERE id > 1")
    with pytest.raises(ZeroDivisionError), engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM t")
        raise ZeroDivisionError
    with engine.connect() as connection:
        assert [(1, 3)] == [tuple(row) for row in connection.exec_driver_sql("SELECT * FROM t")]
        assert 2 == connection.exec_driver_sql("PRAGMA synchronous").scalar()

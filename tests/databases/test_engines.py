"""Engines as programs have them: with SQLAlchemy's own recipe for SQLite's transactions; and databases of SQL_ASCII."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.engine import URL
from sqlalchemy.pool import StaticPool

import resumable
from resumable.errors import SourceError, UsageError
from resumable.stores import SqlStore
from services import Database, _execute
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


@pytest.fixture
def sql_ascii(postgres_server: URL) -> Iterator[str]:
    """The URL of a database of SQL_ASCII, which keeps bytes and knows no letters."""
    database = Database(postgres_server)
    _execute(postgres_server, f"drop database {database.name}")
    _execute(
        postgres_server,
        f"create database {database.name} template template0 encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C'",
    )
    try:
        yield database.url
    finally:
        database.drop()


def test_a_database_of_sql_ascii_is_source_target_and_store(sql_ascii: str, tmp_path: Path) -> None:
    """Its texts are UTF-8 for us: loaded, repeated, upserted and exported, they come back as they were."""
    file = tmp_path / "in.csv"
    file.write_text("id,nom\n1,été\n2,straße\n3,\U0001f40d\n", encoding="utf-8")
    assert 3 == resumable.upload(file, sql_ascii, "prénoms", key="id", store=sql_ascii).run().rows
    assert "completed before" in resumable.upload(file, sql_ascii, "prénoms", key="id", store=sql_ascii).run().message
    resumable.upload(file, sql_ascii, "prénoms", key="id", if_exists="upsert", name="u", store=sql_ascii).run()
    resumable.export(sql_ascii, "prénoms", tmp_path / "out.csv", store=sql_ascii).run()
    assert file.read_text(encoding="utf-8") == (tmp_path / "out.csv").read_text(encoding="utf-8")
    assert 3 == len(resumable.runs(sql_ascii))


def test_bytes_of_sql_ascii_that_are_no_utf_8_are_refused(sql_ascii: str, tmp_path: Path) -> None:
    """What they mean can't be guessed at; the advice, a query that says it, is taken."""
    engine = sa.create_engine(
        sql_ascii.replace("postgresql:", "postgresql+psycopg:"), connect_args={"client_encoding": "utf8"}
    )
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE t (id int primary key, nom text)")
        connection.exec_driver_sql(r"INSERT INTO t VALUES (1, 'a'), (2, E'\351t\351')")
    with pytest.raises(SourceError, match=r"0xe9 0x74 0xe9.*Its encoding is SQL_ASCII.*convert_from") as refused:
        resumable.export(engine, "t", tmp_path / "out.csv", store=tmp_path / "s").run()
    advice = str(refused.value).partition("select ..., ")[2].rstrip(".").replace("column", "nom")
    resumable.export(engine, f"select id, {advice} from t", tmp_path / "out.csv", key="id", store=tmp_path / "s").run()
    assert "id,nom\n1,a\n2,été\n" == (tmp_path / "out.csv").read_text(encoding="utf-8")
    engine.dispose()


def test_an_engine_that_gives_bytes_for_texts_is_refused_in_words(sql_ascii: str, tmp_path: Path) -> None:
    """As source, target and store; the advice is taken."""
    file = numbers(tmp_path / "in.csv", 10)
    url = sql_ascii.replace("postgresql:", "postgresql+psycopg:")
    engine, store = sa.create_engine(url), tmp_path / "s"
    for refused in (
        lambda: resumable.upload(file, engine, "t", store=store).run(),
        lambda: resumable.export(engine, "t", tmp_path / "out.csv", store=store).run(),
        lambda: resumable.runs(SqlStore(engine)),
    ):
        with pytest.raises(UsageError, match=r"gives bytes for texts.*client_encoding"):
            refused()
    good = sa.create_engine(url, connect_args={"client_encoding": "utf8"})
    assert 10 == resumable.upload(file, good, "t", store=store).run().rows
    good.dispose()
    engine.dispose()

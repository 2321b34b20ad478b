"""Every store of ours keeps the contract."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa

from jobs import execute
from resumable.databases.urls import connect
from resumable.stores import FileStore, MemoryStore, RedisStore, SqlStore
from resumable.testing import StoreContract


class Told(StoreContract):
    """What its sweeps have tried is printed."""

    @pytest.fixture(autouse=True)
    def print_report(self, tried: Callable[[str], None]) -> None:
        self.report = tried


class TestMemoryStore(StoreContract):
    """For threads only."""

    shared = False

    @pytest.fixture(autouse=True)
    def stores(self) -> None:
        self.kept: dict[Path, MemoryStore] = defaultdict(MemoryStore)

    def store(self, folder: Path) -> MemoryStore:
        return self.kept[folder]

    def damage(self, folder: Path) -> None:
        self.kept[folder]._texts["run"] = "{"


class TestFileStore(Told):
    def store(self, folder: Path) -> FileStore:
        return FileStore(folder / "runs")


class TestSqlStoreOnSqlite(Told):
    def store(self, folder: Path) -> SqlStore:
        return SqlStore(f"sqlite:///{folder / 'runs.db'}")


class TestSqlStoreOnPostgresql(Told):
    @pytest.fixture(autouse=True)
    def database(self, postgres: str) -> None:
        self.url = postgres

    def store(self, folder: Path) -> SqlStore:
        return SqlStore(self.url, table=folder.name)

    def damage(self, folder: Path) -> None:
        execute(self.url, f"""update "{folder.name}" set record = '{{'""")

    def unreachable(self, folder: Path) -> SqlStore:
        return SqlStore("postgresql://me@127.0.0.1:1/shop")

    def image(self, folder: Path) -> object:
        engine = connect(self.url)
        try:
            return sorted(sa.inspect(engine).get_table_names())
        finally:
            engine.dispose()


class TestRedisStore(Told):
    """A prefix for each folder: all the keys that begin with it."""

    @pytest.fixture(autouse=True)
    def server(self, redis: str) -> None:
        from redis.connection import AbstractConnection

        self.url = redis
        self.effects = ((AbstractConnection, "send_packed_command"), (AbstractConnection, "read_response"))

    def store(self, folder: Path) -> RedisStore:
        return RedisStore(f"{self.url}{folder.name}:")

    def damage(self, folder: Path) -> None:
        store = self.store(folder)
        store._client.hset(store._key, "run", "1 {")

    def unreachable(self, folder: Path) -> RedisStore:
        return RedisStore("redis://127.0.0.1:1/0")

    def image(self, folder: Path) -> object:
        from redis import Redis

        with Redis.from_url(self.url.partition("?")[0]) as client:
            return sorted(client.keys(f"*{folder.name}:*"))

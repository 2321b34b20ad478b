"""Successions: the same few calls, and what people do between them, in every order, against a plain model.

The model walks interleavings inside a run (test_model.py); this one walks what comes after what: complete, leave,
restart, terminate, a changed source, another store, a table emptied, dropped or made anew by hand.
"""

from __future__ import annotations

import contextlib
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from resumable.errors import AlreadyCompleted, ResumableError, Terminated, UnknownRun
from resumable.pipeline import Pipeline
from resumable.protocols import Batch, Sink
from resumable.sinks import CsvSink, SqlSink
from resumable.stores import MemoryStore
from successions import ACTS, HAND, ROWS, Kind, Plain, expect

SCHEMA = pa.schema([("n", pa.int64()), ("mark", pa.string())])
TABLES: list[Kind] = ["new", "append", "upsert", "replace"]
FILES: list[Kind] = ["file", "replaced file"]


@dataclass
class Rows:
    """The source, a row a batch, in either state."""

    mark: str

    def identity(self) -> dict[str, Any]:
        return {"mark": self.mark}

    def changed(self, identity: dict[str, Any], position: Any) -> str | None:
        return None if identity == self.identity() else "it was edited"

    def schema(self) -> pa.Schema:
        return SCHEMA

    def read(self, schema: pa.Schema, position: Any, identity: dict[str, Any]) -> Iterator[Batch]:
        rows, at = ROWS[self.mark], position or 0
        while at < len(rows):
            row = dict(zip(SCHEMA.names, rows[at], strict=True))
            yield Batch(pa.RecordBatch.from_pylist([row], SCHEMA), at + 1, at + 1)
            at += 1

    def describe(self) -> str:
        return "A few rows."


_COMPILED: dict[Any, Any] = {}  # SQLAlchemy's statements, for all engines


class Life:
    """One name's life, in a folder or a database, beside the model's."""

    def __init__(self, kind: Kind, folder: Path, url: str = "") -> None:
        self.kind, self.folder, self.url = kind, folder, url or f"sqlite:///{folder / 'there.db'}"
        self.path = folder / "there.csv"
        engine = sa.create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"))
        if self.url.startswith("sqlite"):
            sa.event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA synchronous = OFF"))
        self.engine = engine.execution_options(compiled_cache=_COMPILED)
        self.stores = {"A": MemoryStore(), "B": MemoryStore()}
        self.plain = Plain()
        self.past: tuple[str, ...] = ()
        self.tell = ""

    @property
    def identities(self) -> bool:
        return self.url.startswith("postgresql")

    def sink(self) -> Sink:
        if self.kind in FILES:
            return CsvSink(self.path, if_exists="replace" if self.kind == "replaced file" else "fail")
        if_exists: Any = "fail" if self.kind == "new" else self.kind
        return SqlSink(self.engine, "there", if_exists=if_exists, key="n" if self.kind == "upsert" else None)

    def do(self, act: str) -> None:
        """Do it, and see that it ends and leaves what the model says."""
        self.past = (*self.past, act)
        expected, after = expect(self.kind, self.plain, act, identities=self.identities)
        ended = self._act(act)
        where = f"{self.kind}: {' > '.join(self.past)}{self.tell}"
        assert ended in expected.split(" or "), f"{where}: ended {ended!r}, not {expected!r} (before: {self.plain})"
        self.plain = after
        assert self.rows() == after.rows, f"{where}: what is there (the model: {after})"
        staged, ledger = self.ours()
        assert staged <= bool(after.unfinished), f"{where}: {staged} staging tables or partial files are left"
        assert ledger == bool(after.unfinished or after.done), f"{where}: whether there is a ledger row"

    def _act(self, act: str) -> str:
        by_hand = {"empty": self._empty, "drop": self._drop, "remake": self._remake}
        if act in by_hand:
            by_hand[act]()
        if act in by_hand or act in ("change", "store"):
            return ""
        pipeline = Pipeline(
            Rows(self.plain.source), self.sink(), name="life", store=self.stores[self.plain.store], every=0
        )
        try:
            if act == "terminate":
                pipeline.terminate()
                return "terminated"
            with contextlib.closing(pipeline.steps(restart=act.startswith("restart"))) as steps:
                for last in steps:
                    if act.endswith("leave") and last.status == "running":
                        return "paused"
            assert pipeline.status == "completed"
            return "nothing to do" if "nothing to do" in last.message else "completed"
        except Terminated:
            return "terminated"
        except AlreadyCompleted:
            assert pipeline.status == "completed"
            return "completed"
        except UnknownRun:
            return "unknown"
        except ResumableError as error:
            return type(error).__name__

    # --------------------------------------------------------------------------------------------- by hand

    def _empty(self) -> None:
        if self.plain.rows is None:
            return
        if self.kind in FILES:
            self.path.write_text("")
        else:
            self.sql("DELETE FROM there")

    def _drop(self) -> None:
        if self.kind in FILES:
            self.path.unlink(missing_ok=True)
        else:
            self.sql("DROP TABLE IF EXISTS there")

    def _remake(self) -> None:
        self._drop()
        if self.kind in FILES:
            self.path.write_text(text(HAND))
            return
        key = " primary key" if self.kind == "upsert" else ""
        values = ", ".join(str(row) for row in HAND)
        self.sql(f"CREATE TABLE there (n BIGINT{key}, mark TEXT)", f"INSERT INTO there VALUES {values}")

    # -------------------------------------------------------------------------------------- what is there

    def rows(self) -> Any:
        """What is at the target, as the model has it."""
        if self.kind in FILES:
            found = self.path.read_text() if self.path.exists() else None
            return next((rows for rows in (*ROWS.values(), HAND) if found == text(rows)), () if found == "" else found)
        if "there" not in self.tables():
            return None
        return tuple(self.sql("SELECT n, mark FROM there ORDER BY n, mark"))

    def ours(self) -> tuple[int, bool]:
        """Staging tables or partial files, and whether the ledger or a store remembers the name."""
        if self.kind in FILES:
            hidden = [path for path in self.folder.iterdir() if path.name.endswith(".partial")]
            return len(hidden), bool(self.plain.unfinished or self.plain.done)
        tables = self.tables()
        ledger = "resumable_ledger" in tables and bool(self.sql("SELECT name FROM resumable_ledger"))
        return len(tables - {"there", "resumable_ledger"}), ledger

    def tables(self) -> set[str]:
        query = (
            "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
            if self.identities
            else "SELECT name FROM sqlite_master WHERE type = 'table'"
        )
        return {name for (name,) in self.sql(query)}

    def sql(self, *statements: str) -> list[Any]:
        """Run them, in one transaction; the last one's rows."""
        with self.engine.begin() as c:
            for statement in statements:
                result = c.exec_driver_sql(statement)
            return [tuple(row) for row in result] if result.returns_rows else []

    def copy(self, folder: Path) -> Life:
        """Another life with the same past. A copied partial file isn't the file that was written: that is lived again."""
        if self.kind in FILES:
            folder.mkdir()
            twin = Life(self.kind, folder)
            for act in self.past:
                twin.do(act)
            return twin
        self.engine.dispose()
        shutil.copytree(self.folder, folder)
        twin = Life(self.kind, folder)
        for name, store in self.stores.items():
            twin.stores[name]._texts = dict(store._texts)
        twin.plain, twin.past = self.plain, self.past
        return twin


def text(rows: Any) -> str:
    return "n,mark\n" + "".join(f"{n},{mark}\n" for n, mark in rows)


def acts(kind: Kind) -> tuple[str, ...]:
    """A file's runs are remembered by their store alone, so another store is another name."""
    return tuple(act for act in ACTS if act != "store" or kind not in FILES)


@pytest.mark.parametrize("kind", [*TABLES, *FILES])
def test_every_succession_ends_as_a_person_may_expect(
    kind: Kind, tmp_path: Path, long: bool, tried: Callable[[str], None]
) -> None:
    """Every order of up to six acts (four, for tables, in the short form); lives that stand alike go on as one."""
    first = Life(kind, tmp_path / "0")
    first.folder.mkdir()
    level, seen, count, depth = [first], {first.plain}, 0, 6 if long or kind in FILES else 4
    for length in range(1, depth + 1):
        following: list[Life] = []
        for life in level:
            for act in acts(kind):
                count += 1
                twin = life.copy(tmp_path / str(count))
                twin.do(act)
                twin.engine.dispose()
                if twin.plain in seen or length == depth:
                    shutil.rmtree(twin.folder)
                else:
                    seen.add(twin.plain)
                    following.append(twin)
        for life in level:
            shutil.rmtree(life.folder)
        level = following
    tried(f"successions: {count:,} acts from {len(seen):,} states, {depth} long, of {kind}")


@pytest.mark.parametrize(
    ("kind", "where"),
    [*((kind, db) for kind in TABLES for db in ("sqlite", "postgresql")), *((kind, "") for kind in FILES)],
)
def test_successions_at_random_end_so_too(
    kind: Kind, where: str, tmp_path: Path, request: pytest.FixtureRequest, long: bool, tried: Callable[[str], None]
) -> None:
    """Lives of ten acts, each walked to its end whatever it looks like; also where tables have an identity."""
    url, seed, lives = "", random.randrange(2**32), (200 if long else 12)
    chance = random.Random(seed)
    for count in range(lives):
        folder = tmp_path / str(count)
        folder.mkdir()
        if where == "postgresql":
            url = request.getfixturevalue("postgres")
        life = Life(kind, folder, url)
        life.tell = f" (seed {seed})"
        for _ in range(10):
            life.do(chance.choice(acts(kind)))
        if url:
            life.sql("DROP TABLE IF EXISTS there", "DROP TABLE IF EXISTS resumable_ledger")
            for table in life.tables():
                life.sql(f'DROP TABLE "{table}"')
        life.engine.dispose()
    tried(f"successions: {lives} lives of ten acts, of {kind} {where} (seed {seed})")

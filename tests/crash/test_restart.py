"""A restart over a completed run that dies at any moment: what was completed stays remembered, whatever comes next."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from images import dump
from jobs import execute
from resumable.errors import AlreadyCompleted
from resumable.pipeline import Pipeline
from resumable.sinks import SqlSink
from resumable.sources import ArrowSource
from resumable.stores import FileStore, MemoryStore
from resumable.testing import crash
from resumable.testing.crashing import deaths

DATA = pa.table({"id": [1, 2], "word": ["a", "b"]})


@pytest.mark.parametrize("if_exists", ["append", "fail"], ids=["append", "a table of its own"])
@pytest.mark.parametrize("where", ["sqlite", "postgresql"])
def test_a_restart_that_dies_at_any_moment_loses_no_completed_run(
    if_exists: Any, where: str, tmp_path: Path, request: pytest.FixtureRequest, long: bool, tried: Callable[[str], None]
) -> None:
    """Killed, then called off: the rows of the completed run are there, and no store at all loads them twice."""
    landed = 0
    server = request.getfixturevalue("postgres") if where == "postgresql" else ""

    def pipeline(folder: Path, store: Any = None) -> Pipeline:
        sink = SqlSink(server or f"sqlite:///{folder / 't.db'}", "t", if_exists=if_exists)
        return Pipeline(ArrowSource(DATA), sink, name="r", store=store or FileStore(folder / "store"), every=0)

    def attempt(at: int) -> Any:
        nonlocal folder
        folder = tmp_path / str(at)
        folder.mkdir()
        if server:
            execute(server, "drop schema public cascade", "create schema public")
        if if_exists == "append":
            execute(server or f"sqlite:///{folder / 't.db'}", "create table t (id bigint, word text)")
        pipeline(folder).run()
        return crash(lambda: pipeline(folder).restart().status, at=at)

    folder = tmp_path
    for death in deaths(attempt, first=1, step=1 if long else 3 if where == "sqlite" else 2):
        landed += 1
        url = server or f"sqlite:///{folder / 't.db'}"
        twice = False
        try:
            pipeline(folder).terminate()
        except AlreadyCompleted:  # it died before it had begun anything, or when all was published
            twice = if_exists == "append" and len(rows(url)) == 4
        expected = [(1, "a"), (2, "b")] * (2 if twice else 1)
        assert sorted(expected) == sorted(rows(url)), death
        for store in (None, MemoryStore()):
            assert "nothing to do" in pipeline(folder, store).run().message, death
        assert sorted(expected) == sorted(rows(url)), death
        assert "resumable_" not in dump(url, ledger=False).replace("resumable_ledger", ""), death
    tried(f"a restart over a completed run ({if_exists}, {where}) killed at {landed} moments, and called off")


def rows(url: str) -> list[Any]:
    return [tuple(row) for row in execute(url, "select id, word from t")]

"""The examples of connectors of one's own, as modules, and what their contracts ask for."""

from __future__ import annotations

import contextlib
import importlib.util
import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any

from resumable.testing import SinkContract

__all__ = ["ROOT", "EventSinkContract", "own_sink"]

ROOT = Path(__file__).parent.parent


def example(name: str) -> ModuleType:
    """An example, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


own_sink: Any = example("own_sink")


class EventSinkContract(SinkContract):
    """What the author of examples/own_sink.py tests it with."""

    def sink(self, folder: Path) -> Any:
        return own_sink.EventSink(f"sqlite:///{folder / 'events.db'}")

    def prepare(self, folder: Path) -> None:
        with contextlib.closing(sqlite3.connect(folder / "events.db")) as database, database:
            for table in own_sink.TABLES:
                database.execute(table)
            database.execute("insert into events values (0, 'before')")

    def image(self, folder: Path) -> object:
        with contextlib.closing(sqlite3.connect(folder / "events.db")) as database:
            tables = ("sqlite_master", "events", "events_staging")
            rows = [database.execute(f"select * from {table}").fetchall() for table in tables]
            return rows, database.execute("select run from events_ledger").fetchall()

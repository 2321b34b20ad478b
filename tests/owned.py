"""The examples of connectors of one's own, as modules, and what their contracts ask for."""

from __future__ import annotations

import contextlib
import importlib.util
import sqlite3
from pathlib import Path
from types import ModuleType
from typing import Any

from resumable.testing import SinkContract, SourceContract

__all__ = ["ROOT", "EventSinkContract", "LogSourceContract", "own_sink", "own_source"]

ROOT = Path(__file__).parent.parent


def example(name: str) -> ModuleType:
    """An example, as a module."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


own_source: Any = example("own_source")
own_sink: Any = example("own_sink")


class LogSourceContract(SourceContract):
    """What the author of examples/own_source.py tests it with."""

    def prepare(self, folder: Path) -> None:
        (folder / "app.log").write_text("".join(f"2026-01-01 request {n}\n" for n in range(7)))

    def source(self, folder: Path) -> Any:
        return own_source.LogSource(folder / "app.log", lines=2)

    def change(self, folder: Path) -> None:
        (folder / "app.log").write_text("".join(f"2026-01-02 request {n}\n" for n in range(7)))


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

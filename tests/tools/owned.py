"""The examples of a source, a sink, a store, a format and a place of one's own, with their tests: modules as they lie in examples/."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

__all__ = [
    "EXAMPLES",
    "aside_test",
    "file_sink",
    "file_sink_test",
    "fixed",
    "fixed_test",
    "place",
    "place_test",
    "sink",
    "sink_test",
    "source",
    "source_test",
    "store",
    "store_test",
]

EXAMPLES = Path(__file__).parents[2] / "examples"

sys.path.insert(0, str(EXAMPLES))
try:
    source: Any = import_module("own_source")
    sink: Any = import_module("own_sink")
    file_sink: Any = import_module("own_file_sink")
    store: Any = import_module("own_store")
    fixed: Any = import_module("own_format")
    place: Any = import_module("own_place")
    source_test: Any = import_module("test_own_source").TestLogSource
    aside_test: Any = import_module("test_own_source").TestLogSourceThatPutsLinesAside
    sink_test: Any = import_module("test_own_sink").TestEventSink
    file_sink_test: Any = import_module("test_own_file_sink").TestLinesSink
    store_test: Any = import_module("test_own_store").TestLiteStore
    fixed_test: Any = import_module("test_own_format").TestFixed
    place_test: Any = import_module("test_own_place").TestMemoryPlace
finally:
    sys.path.remove(str(EXAMPLES))

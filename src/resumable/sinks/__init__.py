"""Sinks: what batches are written to. The protocol is `resumable.Sink`."""

from typing import TYPE_CHECKING

from resumable.lazy import lazy

if TYPE_CHECKING:
    from resumable.sinks.csv import CsvSink
    from resumable.sinks.quarantine import QuarantineSink
    from resumable.sinks.sql.sink import SqlSink

__all__ = ["CsvSink", "QuarantineSink", "SqlSink"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "resumable.sinks.csv": ["CsvSink"],
            "resumable.sinks.quarantine": ["QuarantineSink"],
            "resumable.sinks.sql.sink": ["SqlSink"],
        },
    )

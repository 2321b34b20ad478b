"""Sinks: what batches are written to. The protocol is `resumable.Sink`."""

from resumable.sinks.csv import CsvSink
from resumable.sinks.quarantine import QuarantineSink
from resumable.sinks.sql.sink import SqlSink

__all__ = ["CsvSink", "QuarantineSink", "SqlSink"]

"""Sources: what batches are read from. The protocol is `resumable.Source`."""

from resumable.sources.arrow import ArrowSource
from resumable.sources.csv import CsvSource
from resumable.sources.sql import SqlSource

__all__ = ["ArrowSource", "CsvSource", "SqlSource"]

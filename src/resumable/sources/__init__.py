"""Sources: what batches are read from. The protocol is `resumable.Source`."""

from typing import TYPE_CHECKING

from resumable.lazy import lazy

if TYPE_CHECKING:
    from resumable.sources.arrow import ArrowSource
    from resumable.sources.csv import CsvSource
    from resumable.sources.sql import SqlSource

__all__ = ["ArrowSource", "CsvSource", "SqlSource"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "resumable.sources.arrow": ["ArrowSource"],
            "resumable.sources.csv": ["CsvSource"],
            "resumable.sources.sql": ["SqlSource"],
        },
    )

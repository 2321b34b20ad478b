"""Contracts for authors of sources, sinks and stores, and crash injection. See docs/write-a-store.md and its like."""

from resumable.testing.checks import Inconclusive
from resumable.testing.crashing import Crashed, Ended, Line, Process, crash, deaths, moments
from resumable.testing.databases import DatabaseContract
from resumable.testing.sinks import SinkContract
from resumable.testing.sources import SourceContract
from resumable.testing.stores import StoreContract

__all__ = [
    "Crashed",
    "DatabaseContract",
    "Ended",
    "Inconclusive",
    "Line",
    "Process",
    "SinkContract",
    "SourceContract",
    "StoreContract",
    "crash",
    "deaths",
    "moments",
]

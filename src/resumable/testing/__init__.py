"""Contracts for authors of sources, sinks, stores, formats and places, and crash injection. See docs/write-a-store.md and its like."""

from resumable.testing.checks import Inconclusive
from resumable.testing.crashing import Crashed, Ended, Line, Process, crash, crash_points, deaths
from resumable.testing.databases import DatabaseContract
from resumable.testing.formats import FormatContract
from resumable.testing.places import PlaceContract
from resumable.testing.sinks import SinkContract
from resumable.testing.sources import SourceContract
from resumable.testing.stores import StoreContract

__all__ = [
    "Crashed",
    "DatabaseContract",
    "Ended",
    "FormatContract",
    "Inconclusive",
    "Line",
    "PlaceContract",
    "Process",
    "SinkContract",
    "SourceContract",
    "StoreContract",
    "crash",
    "crash_points",
    "deaths",
]

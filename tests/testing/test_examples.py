"""The examples of a source, a sink and a store of one's own keep their contracts; the pages show them as they are."""

from __future__ import annotations

from owned import EventSinkContract, LogSourceContract


class TestOwnSink(EventSinkContract):
    """Killed at every moment, it keeps every promise."""


class TestOwnSource(LogSourceContract):
    """From every position, in every thread and process, the same rows."""

"""The examples of a source, a sink, a store, a format and a place of one's own keep their contracts; the pages show them as they are."""

from __future__ import annotations

import pytest

import owned

DOCS = owned.EXAMPLES.parent / "docs"


class TestLogSource(owned.source_test):
    """From every position, in every thread and process, the same rows."""


class TestLogSourceThatPutsLinesAside(owned.aside_test):
    """The same of the lines that are left."""


class TestEventSink(owned.sink_test):
    """Killed at every moment, it keeps every promise."""


class TestLinesSink(owned.file_sink_test):
    """The same of a file, that has no transactions."""


class TestFixed(owned.fixed_test):
    """Whatever encoder goes on, whatever position is read on from."""


class TestMemoryPlace(owned.place_test):
    """A file is there whole or not at all."""


class TestLiteStore(owned.store_test):
    """Killed before any of its statements, it is whole."""


@pytest.mark.parametrize(
    ("kind", "own"),
    [
        ("source", "source"),
        ("sink", "sink"),
        ("sink", "file_sink"),
        ("store", "store"),
        ("format", "format"),
        ("place", "place"),
    ],
)
def test_the_page_shows_the_example_and_its_test_as_they_are(kind: str, own: str) -> None:
    """To the letter: whoever copies them from the page has what the tests run."""
    page = (DOCS / f"write-a-{kind}.md").read_text(encoding="utf-8")
    for name in (f"own_{own}.py", f"test_own_{own}.py"):
        shown = f"```python\n{(owned.EXAMPLES / name).read_text(encoding='utf-8')}```\n"
        assert shown in page, f"docs/write-a-{kind}.md doesn't show examples/{name}"

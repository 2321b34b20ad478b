"""The test of own_file_sink.py."""

from pathlib import Path

import own_file_sink

from resumable.testing import SinkContract


class TestLinesSink(SinkContract):
    """A file in a folder where another one is."""

    def prepare(self, folder: Path) -> None:
        (folder / "another.txt").write_text("before")

    def sink(self, folder: Path) -> own_file_sink.LinesSink:
        return own_file_sink.LinesSink(folder / "lines.jsonl")

    def image(self, folder: Path) -> object:
        return {path.name: path.read_text() for path in folder.iterdir()}

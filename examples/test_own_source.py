"""The test of own_source.py."""

from pathlib import Path

import own_source

from resumable.testing import SourceContract


class TestLogSource(SourceContract):
    """Seven lines, two a batch."""

    def prepare(self, folder: Path) -> None:
        (folder / "app.log").write_text("".join(f"2026-01-01 request {n}\n" for n in range(7)))

    def source(self, folder: Path) -> own_source.LogSource:
        return own_source.LogSource(str(folder / "app.log"), lines=2)

    def change(self, folder: Path) -> None:
        (folder / "app.log").write_text("".join(f"2026-01-02 request {n}\n" for n in range(7)))

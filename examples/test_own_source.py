"""The test of own_source.py."""

from collections.abc import Iterator
from pathlib import Path

import own_source

from resumable.testing import SourceContract


class TestLogSource(SourceContract):
    """Seven lines, two a batch."""

    def prepare(self, folder: Path) -> None:
        (folder / "app.log").write_text("".join(f"2026-01-01 request {n}\n" for n in range(7)))

    def source(self, folder: Path) -> own_source.LogSource:
        return own_source.LogSource(str(folder / "app.log"), lines=2)

    def rows(self, folder: Path) -> Iterator[dict[str, str]]:
        return ({"line": f"2026-01-01 request {n}"} for n in range(7))

    def change(self, folder: Path) -> None:
        (folder / "app.log").write_text("".join(f"2026-01-02 request {n}\n" for n in range(7)))

    def spoil(self, folder: Path) -> None:
        with (folder / "app.log").open("ab") as log:
            log.write(b"caf\xe9\n2026-01-01 request 8\n")

    def large(self, folder: Path) -> own_source.LogSource:
        (folder / "large.log").write_bytes(b"2026-01-01 request\n" * 200_000)
        return own_source.LogSource(str(folder / "large.log"))


class TestLogSourceThatPutsLinesAside(TestLogSource):
    """A line that is no UTF-8 is one of its batch's rejects, and the lines after it count on."""

    def source(self, folder: Path) -> own_source.LogSource:
        return own_source.LogSource(str(folder / "app.log"), lines=2, on_bad_row="quarantine")

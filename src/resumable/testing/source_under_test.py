"""A source under test: how it and its input are made, what is in it, how it changes, and what spoils it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from resumable.protocols import Source
from resumable.testing.checks import Inconclusive

__all__ = ["SourceUnderTest"]


class SourceUnderTest:
    """What an author says of a source. `folder` is a world of its own in every test."""

    def source(self, folder: Path) -> Source:
        """The source, made anew as another process would make it."""
        raise NotImplementedError

    def prepare(self, folder: Path) -> None:
        """Make the input; what lies elsewhere than in the folder, make anew."""

    def rows(self, folder: Path) -> Iterable[dict[str, Any]]:
        """What is in the input, written down by hand and not read by the source: a dict of Python's values a row.

        Without those that are put aside.
        """
        raise Inconclusive("only its author knows what is in the input. Say it in `rows`.")

    def change(self, folder: Path) -> None:
        """Alter the input, so that a run in its middle mustn't go on over it."""
        raise NotImplementedError

    def spoil(self, folder: Path) -> None:
        """Put something into the input that doesn't fit the schema. Where that can't be, leave it: nothing is shown."""

    def large(self, folder: Path) -> Source | None:
        """A source over an input of some megabytes in a file, of three batches or more; it is asked twice.

        None: that reading on seeks isn't shown.
        """
        return None

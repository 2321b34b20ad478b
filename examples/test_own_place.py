"""The test of own_place.py."""

from pathlib import Path

import own_place

from resumable.testing import PlaceContract


class TestMemoryPlace(PlaceContract):
    """A new memory for each test."""

    def place(self, folder: Path) -> own_place.MemoryPlace:
        return own_place.MemoryPlace()

    def path(self, folder: Path) -> str:
        return "file"

    def image(self, place: own_place.MemoryPlace, folder: Path) -> object:
        return {path: data for path, (_, data) in place.files.items()}, list(place.uploads)

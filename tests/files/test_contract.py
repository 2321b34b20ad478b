"""Every place of ours keeps the contract, and the contract sees a place that doesn't."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

import owned
from resumable.files.local import LOCAL
from resumable.files.partial import PartialFile
from resumable.files.place import Place
from resumable.testing import PlaceContract


class TestLocal(PlaceContract):
    """A folder in which there is another file."""

    def place(self, folder: Path) -> Place:
        (folder / "another.txt").write_text("before")
        return LOCAL

    def path(self, folder: Path) -> str:
        return str(folder / "file.txt")

    def image(self, place: Place, folder: Path) -> object:
        return {path.name: path.read_bytes() if path.exists() else None for path in folder.iterdir()}


class TestLocalByALink(TestLocal):
    """Through a symbolic link, which stays."""

    def path(self, folder: Path) -> str:
        (folder / "link.txt").symlink_to(folder / "file.txt")
        return str(folder / "link.txt")


class TestMemory(owned.place_test):
    """The example: whoever takes a file over goes on in a copy."""


# ------------------------------------------------------------------------------------ places that are broken


def cuts_nothing(self: PartialFile, length: int) -> bool:
    """What was written later stays, and the rest is written behind it."""
    self.length = os.fstat(self._descriptor()).st_size
    return False


def shares(self: PartialFile, length: int) -> bool:
    """The file is cut in place, though its old writer lives."""
    os.ftruncate(self._descriptor(), length)
    self.length = length
    return False


def anyone(self: PartialFile) -> None:
    """No claim is too old."""


FAULTS: list[tuple[str, Any, str]] = [
    ("truncate", cuts_nothing, "test_what_was_not_committed_is_cut_off"),
    ("truncate", shares, "test_an_older_claim_changes_nothing"),
    ("fence", anyone, "test_an_older_claim_changes_nothing"),
    ("_check", anyone, "test_an_older_claim_changes_nothing"),
    ("discard", PartialFile.close, "test_an_opening_that_is_undone_leaves_what_was_there"),
    ("confirm", lambda self, inode, length=None: False, "test_what_was_published_is_found_again"),
    ("state", property(lambda self: {"inode": self.inode, "length": 0}), "test_what_was_not_committed_is_cut_off"),
]


@pytest.mark.parametrize(("name", "fault", "test"), FAULTS, ids=[f"{name}-{test[5:30]}" for name, _, test in FAULTS])
def test_a_broken_place_is_seen(name: str, fault: Any, test: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the test of what it breaks."""
    monkeypatch.setattr(PartialFile, name, fault)
    with pytest.raises(Exception, match=r"should be|should raise|isn't|gone|doesn't find|no longer"):
        getattr(TestLocal(), test)()


class KeepsAll(owned.place.MemoryPartial):
    """Recovery that copies all there is."""

    def recover(self, state: dict[str, Any], *, takeover: bool, complete: bool) -> bool:
        done: bool = super().recover(state, takeover=takeover, complete=complete)
        old = next(upload for upload in self._uploads() if upload.number == state["upload"])
        self._open().data[:] = old.data
        return done


def test_a_memory_that_cuts_nothing_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same rule, broken in another place."""
    monkeypatch.setattr(owned.place, "MemoryPartial", KeepsAll)
    with pytest.raises(AssertionError, match="What was published"):
        owned.place_test().test_what_was_not_committed_is_cut_off()

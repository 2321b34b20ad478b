"""The store contract sees what is broken: stores with one fault each, and the check that names it."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from resumable.checkpoint import Record
from resumable.errors import CorruptCheckpoint, StoreError
from resumable.stores import FileStore, MemoryStore
from resumable.testing import Inconclusive, StoreContract


class Unlocked(FileStore):
    """Load, compare, replace: without a lock around it."""

    pause = 0.002

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        found = self.load(name)
        if record is None or (found.version if found else 0) != version:
            return super().swap(name, version, record)
        time.sleep(self.pause)
        self._make()
        temporary = self.folder / secrets.token_hex(8)
        temporary.write_text(f'"{name}"\n{record.to_json()}\n')
        temporary.rename(self.path(name))
        return True


class Dawdling(Unlocked):
    """So slowly that everybody is on the way at once."""

    pause = 0.5


class Uncompared(FileStore):
    """Swaps whatever version is there."""

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        found = self.load(name)
        return super().swap(name, found.version if found else 0, record)


class InPlace(FileStore):
    """Writes over the old record."""

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        found = self.load(name)
        if record is None or (found.version if found else 0) != version:
            return super().swap(name, version, record)
        self._make()
        with self._locked():
            self.path(name).write_text(f'"{name}"\n{record.to_json()}\n')
        return True


class OneTemporary(FileStore):
    """A successor that a crash has left can't be written again."""

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        if record is not None:
            self._make()
            os.close(os.open(self.folder / ".marker", os.O_CREAT | os.O_EXCL))
        done = super().swap(name, version, record)
        (self.folder / ".marker").unlink(missing_ok=True)
        return done


class Caseless(FileStore):
    """Takes names for the same that differ in case only."""

    def path(self, name: str) -> Path:
        return super().path(name.lower())

    def load(self, name: str) -> Record | None:
        return super().load(name.lower())

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        return super().swap(name.lower(), version, record)


class Forgetful(FileStore):
    """Leaves a request out of what it keeps."""

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        return super().swap(name, version, record and replace(record, asked=""))


class Eager(FileStore):
    """Makes its folder when it is opened."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._make()


class Undying(FileStore):
    """Answers that it has removed a record, and keeps it."""

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        return record is None or super().swap(name, version, record)


class Late(FileStore):
    """Answers from what it saw first."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.seen: dict[str, Any] = {}

    def load(self, name: str) -> Record | None:
        return self.seen.setdefault(name, super().load(name))


class Nowhere(FileStore):
    """Every store is in the same place, if you ask it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.location = "somewhere"


class Hopeful(FileStore):
    """What can't be read isn't there."""

    def load(self, name: str) -> Record | None:
        try:
            return super().load(name)
        except CorruptCheckpoint:
            return None


class Overwriting(FileStore):
    """Writes over what it can't read."""

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        try:
            return super().swap(name, version, record)
        except CorruptCheckpoint:
            self.path(name).unlink()
            return super().swap(name, version, record)


class Hiding(FileStore):
    """Lists only what it can read."""

    def names(self) -> list[str]:
        return [name for name in super().names() if name in self.readable()]

    def readable(self) -> Iterator[str]:
        for name in super().names():
            with suppress(CorruptCheckpoint):
                self.load(name)
                yield name


class Blunt(FileStore):
    """The system's own errors."""

    @contextmanager
    def _translating(self, what: str) -> Iterator[None]:
        yield


class Absent(FileStore):
    """What can't be reached isn't there."""

    def load(self, name: str) -> Record | None:
        with suppress(StoreError):
            return super().load(name)
        return None


class Narrow(FileStore):
    """Compares 31 bits of a version, and answers with all of it."""

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        found = self.load(name)
        return (found.version % 2**31 if found else 0) == version and super().swap(
            name, found.version if found else 0, record
        )


FAULTS: list[tuple[type[FileStore], str, str]] = [
    (Unlocked, "processes_lose_no_update", "4 times 25 additions"),
    (Dawdling, "one_of_many_gets_the_run", "claims at once"),
    (Uncompared, "a_swap_replaces_only_the_version_it_names", "isn't there was replaced"),
    (InPlace, "a_save_that_is_killed_leaves_the_old_record_or_the_new", r"In the first swap it died at moment \d+: after open of run.json for writing.*can't be read"),
    (OneTemporary, "a_save_that_is_killed_leaves_the_old_record_or_the_new", r"after open of .marker for writing, before.*FileExistsError"),
    (Caseless, "no_two_names_share_a_record", "'Orders' was taken for another name"),
    (Forgetful, "what_is_asked_reaches_the_claim", "What the claim in another process has heard"),
    (Forgetful, "a_record_comes_back_as_it_was", "The record"),
    (Eager, "looking_makes_nothing", "after looking"),
    (Undying, "a_record_is_removed_by_its_version", "was removed as version"),
    (Late, "a_swap_replaces_only_the_version_it_names", "went for version 0"),
    (Hopeful, "a_record_that_cannot_be_read_is_no_missing_one", "damaged: should raise CorruptCheckpoint or StoreError, and answered None"),
    (Overwriting, "a_record_that_cannot_be_read_is_no_missing_one", "in place of one that is damaged: it was taken"),
    (Hiding, "a_record_that_cannot_be_read_is_no_missing_one", "The names, when a record is damaged"),
    (Blunt, "a_store_that_cannot_be_reached_says_so", "Loading, with the store out of reach: should raise StoreError, and raised NotADirectoryError"),
    (Absent, "a_store_that_cannot_be_reached_says_so", "Loading, with the store out of reach: should raise StoreError, and answered None"),
    (Narrow, "versions_may_begin_at_the_clock", "was not found"),
    (Narrow, "what_is_asked_reaches_the_claim", "breaks its contract"),
    (Narrow, "a_killed_runner_is_succeeded_at_once", "breaks its contract"),
    (Narrow, "an_older_claim_saves_nothing", "breaks its contract"),
    (Nowhere, "a_store_says_where_it_is", "another are at"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("store", "check", "words"), FAULTS, ids=[f"{store.__name__}: {check}" for store, check, _ in FAULTS]
)
def test_a_broken_store_is_caught(
    store: Callable[[Path], Any], check: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check fails that is called after the fault, in words that say what was seen."""
    monkeypatch.setattr("resumable.testing.stores.REQUEST_TIMEOUT", 1)

    class Contract(StoreContract):
        def store(self, folder: Path) -> Any:
            return store(folder / "runs")

    with pytest.raises((AssertionError, StoreError), match=rf"(?s){words}"):
        getattr(Contract(), f"test_{check}")()


class Unseen(MemoryStore):
    """A store that keeps nothing in the folder."""

    def __init__(self, folder: Path) -> None:
        super().__init__()


@pytest.mark.parametrize(
    "check", ["a_record_that_cannot_be_read_is_no_missing_one", "a_store_that_cannot_be_reached_says_so"]
)
def test_a_store_whose_failures_cannot_be_made_is_inconclusive(check: str) -> None:
    """Nothing is in the folder: the author has to say how a record is damaged, and a server is out of reach."""

    class Contract(StoreContract):
        def store(self, folder: Path) -> Any:
            return Unseen(folder)

    with pytest.raises(Inconclusive, match=r"Say in `(damage|unreachable)`"):
        getattr(Contract(), f"test_{check}")()

"""A store under test: how it is opened, how it fails; and what it must say when it does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from resumable.checkpoint import Checkpoint, CheckpointStore, Record
from resumable.errors import CorruptCheckpoint, StoreError
from resumable.testing.checks import check, conclusive, context, refused, world
from resumable.testing.effects import Effects

__all__ = ["DamagedStore", "StoreUnderTest"]


class StoreUnderTest:
    """What an author says of a store."""

    shared: ClassVar[bool] = True
    """Whether processes share it. Without that it is only good for runs which needn't outlive their process."""
    effects: Effects = ()
    """Further calls, as (object, name), before which a process may die."""

    def store(self, folder: Path) -> CheckpointStore:
        """The store of that folder, opened anew as another process would open it. At first there is none."""
        raise NotImplementedError

    def image(self, folder: Path) -> object:
        """All there is, comparable with ==. By default the names in the folder."""
        return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))

    def report(self, what: str) -> None:
        """Told at the end of a sweep what it has tried; a report may want it."""

    def damage(self, folder: Path) -> None:
        """Make the record of the run "run" unreadable, as a failing disk would.

        By default every byte of every file in the folder becomes another.
        """
        files = [path for path in folder.rglob("*") if path.is_file()]
        conclusive(files, "there is no file in the folder to damage. Say in `damage` how a record becomes unreadable.")
        for path in files:
            path.write_bytes(bytes(byte ^ 0xFF for byte in path.read_bytes()))

    def unreachable(self, folder: Path) -> CheckpointStore:
        """A store that can't be reached: a server's at a port where nobody listens, say.

        By default a folder stands where the store has a file, and a file where it has a folder.
        """
        paths = list(folder.iterdir())
        conclusive(paths, "there is nothing in the folder to put out of reach. Say in `unreachable` how it is.")
        for path in paths:
            moved = path.rename(path.with_name(f"{path.name}.moved"))
            if moved.is_dir():
                path.touch()
            else:
                path.mkdir()
        return self.store(folder)


class DamagedStore(StoreUnderTest):
    """Whatever can't be read or reached is an error of its own kind: never an empty store, never a driver's own error."""

    def test_a_record_that_cannot_be_read_is_no_missing_one(self) -> None:
        """It is CorruptCheckpoint or StoreError, never None; and no first record takes its place."""
        with world() as folder:
            record = Record(1, Checkpoint(number=3, rows=7))
            check(self.store(folder).swap("run", 0, record), "The first record was refused")
            self.damage(folder)
            refused((CorruptCheckpoint, StoreError), lambda: self.store(folder).load("run"), "A record that is damaged")
            with context("A first record in place of one that is damaged"), suppress(CorruptCheckpoint, StoreError):
                check(not self.store(folder).swap("run", 0, Record(1)), "it was taken, as if there were none")
            with context("The names, when a record is damaged"), suppress(CorruptCheckpoint, StoreError):
                check("run" in self.store(folder).names(), "they leave it out, as if there were none")

    def test_a_store_that_cannot_be_reached_says_so(self) -> None:
        """Reading, listing and swapping raise StoreError, whatever its driver or the system raises."""
        if not self.shared:
            return
        with world() as folder:
            check(self.store(folder).swap("run", 0, Record(1)), "The first record was refused")
            store = self.unreachable(folder)
            acts: dict[str, Callable[[], object]] = {
                "Loading": lambda: store.load("run"),
                "Listing": store.names,
                "A first swap": lambda: store.swap("other", 0, Record(1)),
                "A later swap": lambda: store.swap("run", 1, Record(2)),
                "A removal": lambda: store.swap("run", 1, None),
            }
            for what, act in acts.items():
                refused(StoreError, act, f"{what}, with the store out of reach")

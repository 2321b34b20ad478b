"""The rules of the protocol, each with a way to break it: for tests that show that the model would see it missing."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

import resumable.files.partial
import resumable.session.loop
from interleaving import SteppedStore
from memory import MemoryWriter
from resumable.checkpoint import Checkpoint, Record
from resumable.control.claims import Claim
from resumable.files.partial import PartialFile
from resumable.session.recovery import Opening
from resumable.sinks.file import FileWriter
from worlds import Files, Rows

__all__ = ["RULES", "Rule"]

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Rule:
    """A rule, what sees that it is missing (a world, sessions and events), and how it is broken there."""

    name: str
    make: Callable[[], Any]
    kinds: str
    skip: Callable[[Patch], None] = lambda patch: None
    preemptions: int = 1


def sink(*skip: str) -> Callable[[], Rows]:
    return lambda: Rows(frozenset(skip))


def replacing_files() -> Files:
    return Files("replace")


def unsaved(which: Callable[[Checkpoint], bool]) -> Callable[[Patch], None]:
    """Checkpoints that don't reach the store."""
    real = Claim.save

    def save(self: Claim, checkpoint: Checkpoint, *, release: bool = False) -> Any:
        if which(checkpoint) and not release:
            self.last = checkpoint
            return self.asked
        return real(self, checkpoint, release=release)

    return lambda patch: patch.setattr(Claim, "save", save)


def blind_swap(patch: Patch) -> None:
    def swap(self: SteppedStore, version: int, record: Record | None) -> bool:
        self.put(record)
        return True

    patch.setattr(SteppedStore, "compare_and_set", swap)


def any_claim_saves(patch: Patch) -> None:
    def swap(self: Claim, change: Any) -> Record:
        while True:
            record = self.store.load(self.name) or Record()
            new: Record = change(replace(record, version=record.version + 1))
            if self.store.swap(self.name, record.version, new):
                return new

    patch.setattr(Claim, "_swap", swap)


def unsaved_opening(patch: Patch) -> None:
    def save(self: Opening, claim: Claim, writer: Any) -> Checkpoint:
        writer.accepted()
        last: Checkpoint = writer.last
        return last

    patch.setattr(Opening, "save", save)


def forgotten(patch: Patch) -> None:
    real = MemoryWriter.clean_up

    def clean_up(self: MemoryWriter) -> None:
        real(self)
        self.world.ledger = None

    patch.setattr(MemoryWriter, "clean_up", clean_up)


def uncut(patch: Patch) -> None:
    def truncate(self: PartialFile, length: int) -> bool:
        self.length = os.fstat(self._descriptor()).st_size
        return False

    patch.setattr(PartialFile, "truncate", truncate)


def uncopied(patch: Patch) -> None:
    real = PartialFile.truncate

    def truncate(self: PartialFile, length: int) -> bool:
        self._locked = True
        return real(self, length)

    patch.setattr(PartialFile, "truncate", truncate)


def sweeping_all(patch: Patch) -> None:
    def sweep(self: PartialFile, *, keep: bool = False) -> None:
        for found in self._names.all():
            if not (keep and found.inode == self.inode):
                found.path.unlink(missing_ok=True)

    patch.setattr(PartialFile, "sweep", sweep)


def never(target: type, name: str, answer: Any = None) -> Callable[[Patch], None]:
    return lambda patch: patch.setattr(target, name, lambda *arguments, **options: answer)


def replacing(patch: Patch) -> None:
    patch.setattr(resumable.files.partial, "link_new", os.rename)


def once(patch: Patch) -> None:
    def accepted(self: FileWriter) -> None:
        if not self.last.outcome:
            self._file.sweep(keep=True)

    patch.setattr(FileWriter, "accepted", accepted)


RULES = [
    Rule("a commit checks the claim", sink("claim", "number"), "RR"),
    Rule("opening raises the fence", sink("fence", "number"), "RR"),
    Rule("a refused opening is undone", sink("discard"), "RT"),
    Rule("the store compares when it sets", Files, "RR", blind_swap),
    Rule("a save checks the claim", Files, "RR", any_claim_saves),
    Rule("what was opened is saved before the first write", Files, "RR", unsaved_opening),
    Rule("complete is saved before publishing", replacing_files, "R", unsaved(lambda c: c.complete and not c.outcome)),
    Rule("the outcome is saved before the sweep", Files, "RT", unsaved(lambda c: bool(c.outcome) and not c.finished)),
    Rule("the ledger's row outlives completion", Rows, "Rl", forgotten),
    Rule("what was not committed is cut off", Files, "R", uncut),
    Rule("a writer that may live keeps its inode", Files, "RR", uncopied),
    Rule("only older partials are swept", Files, "RR", sweeping_all, preemptions=2),
    Rule("a target that is our inode means published", Files, "R", never(PartialFile, "is_target", answer=False)),
    Rule("a file that is there is not replaced", Files, "Ru", replacing),
    Rule("a newer partial is a fence", Files, "Rlb", never(PartialFile, "fence")),
    Rule("a run that is over is swept again", Files, "RR", once),
]

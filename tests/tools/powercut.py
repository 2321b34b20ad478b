"""What a power cut may leave of what was asked of a file system: every state that is legal.

Laws kept here, the strictest reading of POSIX (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014, whose
tool ALICE did this first):

* Bytes are on the disk once their file was fsynced. Until then each write may be missing, there by half, or there as
  zeros (the length came, the bytes didn't), and each truncation may be missing, whatever became of the others.
* A name (open-create, link, unlink, rename, mkdir) is on the disk once its folder was fsynced; fsyncing the file says
  nothing of its name. Until then each change of a folder may be missing by itself, whatever became of the others; or,
  `ordered`, only with all later ones of that folder: so do file systems with a journal, ext4 and XFS.
* A rename is one change, and may come before the bytes of what it names.
* Permissions and times are not modelled.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeAlias, TypeVar

__all__ = ["FOLDER", "Cut", "Event", "Names", "Note", "State", "Sync", "Write", "applied", "states"]

FOLDER = 0
"""Stands for an inode where a name is a folder's."""
MOST = 512
"""States looked at for one moment, and for one file at it; of more, that many are drawn."""

T = TypeVar("T")
Entries: TypeAlias = dict[str, int]


@dataclass(frozen=True, slots=True)
class Write:
    """Bytes for a file."""

    inode: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """A file's new length."""

    inode: int
    length: int


@dataclass(frozen=True, slots=True)
class Names:
    """One change of a folder: names and their inodes, None for a name that goes."""

    folder: str
    changes: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class Sync:
    """An fsync of a file, by its inode, or of a folder."""

    what: int | str


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was said at this moment: what the disk must keep from here on."""

    fact: Any


Change: TypeAlias = Write | Cut | Names
Event: TypeAlias = Change | Sync | Note


@dataclass(slots=True)
class State:
    """What is on the disk: each folder's names, each file's bytes; and the facts that were noted before."""

    folders: dict[str, Entries]
    files: dict[int, bytes]
    facts: tuple[Any, ...] = ()

    def key(self) -> Any:
        """What can be seen of it."""
        seen, inside = set(), [""]
        for folder in inside:
            for name, inode in self.folders.get(folder, {}).items():
                seen.add((folder, name, inode, self.files.get(inode, b"")))
                if inode == FOLDER:
                    inside.append(os.path.join(folder, name))
        return frozenset(seen)


def applied(start: State, events: Iterable[Event]) -> State:
    """What is there while the power is on: all of it."""
    folders, files = dict(start.folders), dict(start.files)
    for event in events:
        if isinstance(event, Names):
            folders[event.folder] = _renamed(folders.get(event.folder, {}), [event])
        elif isinstance(event, (Write, Cut)):
            files[event.inode] = _written(files.get(event.inode, b""), [event])
    return State(folders, files)


def states(start: State, events: Sequence[Event], *, ordered: bool = False, after: int = 0) -> list[State]:
    """What a power cut may leave at any moment `after` that many events, each once, with all that was said by then."""
    found: dict[Any, State] = {}
    pending: list[Change] = []
    folders, files, facts = start.folders, start.files, start.facts
    for at, event in enumerate([*events, None]):
        if at >= after:
            for state in _left(folders, files, pending, ordered):
                state.facts = facts
                found[state.key()] = state  # of two that look alike the later one has more to keep
        if isinstance(event, Note):
            facts = (*facts, event.fact)
        elif isinstance(event, Sync):
            synced = [change for change in pending if _place(change) == event.what]
            pending = [change for change in pending if _place(change) != event.what]
            if isinstance(event.what, str):
                folders = {**folders, event.what: _renamed(folders.get(event.what, {}), synced)}
            else:
                files = {**files, event.what: _written(files.get(event.what, b""), synced)}
        elif event is not None:
            pending.append(event)
    return list(found.values())


def _place(change: Change) -> int | str:
    """The file or folder that is changed."""
    return change.folder if isinstance(change, Names) else change.inode


def _renamed(entries: Entries, changes: Iterable[Any]) -> Entries:
    entries = dict(entries)
    for change in changes:
        for name, inode in change.changes:
            if inode is None:
                entries.pop(name, None)
            else:
                entries[name] = inode
    return entries


def _written(data: bytes, changes: Iterable[Any]) -> bytes:
    held = bytearray(data)
    for change in changes:
        if isinstance(change, Cut):
            held = held[: change.length].ljust(change.length, b"\0")
        elif change.data:
            held = held.ljust(change.offset, b"\0")
            held[change.offset : change.offset + len(change.data)] = change.data
    return bytes(held)


def _parts(event: Write | Cut) -> list[list[Write | Cut]]:
    """What may be left of a change to a file."""
    if isinstance(event, Cut):
        return [[], [event]]
    half = Write(event.inode, event.offset, event.data[: len(event.data) // 2])
    return [[], [half], [Write(event.inode, event.offset, bytes(len(event.data)))], [event]]


def _left(
    folders: dict[str, Entries], files: dict[int, bytes], pending: list[Change], ordered: bool
) -> Iterator[State]:
    """Every state that one moment may leave."""
    ways: list[list[tuple[Any, Any]]] = []
    for place in dict.fromkeys(map(_place, pending)):
        here: list[Any] = [change for change in pending if _place(change) == place]
        if isinstance(place, int):
            kept = map(chain.from_iterable, _choices([_parts(change) for change in here]))
            results: Iterable[Any] = dict.fromkeys(_written(files.get(place, b""), some) for some in kept)
        else:
            prefixes = (here[:n] for n in range(len(here) + 1))
            kept = prefixes if ordered else map(chain.from_iterable, _choices([[[], [change]] for change in here]))
            results = [_renamed(folders.get(place, {}), some) for some in kept]
        ways.append([(place, result) for result in results])
    for chosen in _choices(ways):
        names = {place: entries for place, entries in chosen if isinstance(place, str)}
        data = {place: held for place, held in chosen if isinstance(place, int)}
        yield State(folders | names, files | data)


def _choices(ways: Sequence[Sequence[T]]) -> Iterator[list[T]]:
    """One of each, in every combination; of more than `MOST` as many, drawn by a fixed chance, with the two extremes."""
    total = math.prod(map(len, ways))
    numbers: Iterable[int] = range(total)
    if total > MOST:
        chance = random.Random(total)
        numbers = {0, total - 1, *(chance.randrange(total) for _ in range(MOST))}
    for number in numbers:
        chosen = []
        for way in ways:
            number, at = divmod(number, len(way))
            chosen.append(way[at])
        yield chosen

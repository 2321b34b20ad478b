"""The names of partial files: `.{target}.{8 hex of the run}.{epoch}-{token}.partial`, beside the target."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from resumable.checkpoint import ClaimId

__all__ = ["NamedPartial", "Names"]

LONGEST = 190
"""Bytes of the target's name that go into the partial's, which adds some 60; most file systems allow 255."""


@dataclass(frozen=True, slots=True)
class NamedPartial:
    """A partial file that is there. A `copy` was made in a takeover and hasn't got its final name yet."""

    path: Path
    claim: ClaimId
    inode: int
    size: int
    copy: bool


class Names:
    """What the partial files of one target and run are called. `own` and `copy` are those of one claim."""

    def __init__(self, target: Path, run: str, claim: ClaimId) -> None:
        name = os.fsencode(target.name)
        if len(name) > LONGEST:
            name = name[: LONGEST - 9] + b"~" + hashlib.sha256(name).hexdigest()[:8].encode()
        stem = f".{os.fsdecode(name)}.{hashlib.sha256(run.encode()).hexdigest()[:8]}."
        self._pattern = re.compile(re.escape(stem) + r"(\d+)-([^/.]*)(\.copy)?\.partial", re.DOTALL)
        self.folder = target.parent
        self.own = self.folder / f"{stem}{claim.epoch}-{claim.token}.partial"
        self.copy = self.folder / f"{stem}{claim.epoch}-{claim.token}.copy.partial"

    def all(self) -> list[NamedPartial]:
        """The run's partial files as they are now, whoever made them; never a symbolic link."""
        while True:
            try:
                names = [name for name in os.listdir(self.folder) if self._pattern.fullmatch(name)]
            except FileNotFoundError:
                return []
            # A file that is renamed between list and look is there all the same: look again.
            with contextlib.suppress(FileNotFoundError):
                return [found for name in names if (found := self._look(name)) is not None]

    def _look(self, name: str) -> NamedPartial | None:
        match, there = self._pattern.fullmatch(name), os.lstat(self.folder / name)
        if match is None or not stat.S_ISREG(there.st_mode):
            return None
        claim = ClaimId(int(match[1]), match[2])
        return NamedPartial(self.folder / name, claim, there.st_ino, there.st_size, bool(match[3]))

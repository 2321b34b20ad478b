"""What must be there in a life of a run: a plain model, which knows nothing of how the library keeps its word.

A run is over a source of so many rows, which tell it from the next one. It is `begun` until it is published or called
off; published, it is `settled`: the same call does nothing. Where a store was put back to what it knew long ago there
is fog: some ends are right then that otherwise are not, until a session has seen where it is. No fog is a leave to
publish what wasn't begun, or twice.
"""

from __future__ import annotations

from dataclasses import dataclass

from resumable.checkpoint import Record

__all__ = ["Life"]


@dataclass
class Life:
    """`remembers`: the target knows its last run, whatever has become of the store."""

    remembers: bool
    rows: int = 6
    """Of the source, as it is now."""
    runs: tuple[int, ...] = ()
    """Those that were published."""
    begun: int = 0
    settled: int = 0
    unswept: bool = False
    """Published by a session that hasn't said so: the next may only sweep."""
    asked: str = ""
    pausing: bool = False
    """The session was asked to pause before it was asked to terminate: it may be at that already."""
    patience: int = 0
    """Commits after which a request must be honoured."""
    doomed: bool = False
    """Terminate may have been decided by a session that hasn't said so."""
    fog: bool = False
    hazy: bool = False
    """A run was called off in the fog: the completed one before it may be another than `settled`."""

    def enter(self, *, restart: bool = False) -> None:
        """A session begins: with a run, if none is unfinished and the last one isn't what is to be done."""
        if restart or (not self.begun and self.settled != self.rows):
            self.begun = self.rows
        if restart:
            self.asked, self.hazy = "", self.hazy or self.fog

    def published(self) -> None:
        """A session has published."""
        self.begun = self.begun or (self.rows if self.hazy else 0)
        assert self.begun, "published, and nothing was begun"
        self.runs, self.settled, self.begun, self.unswept = (*self.runs, self.begun), self.begun, 0, True

    def completed(self, rows: int) -> None:
        """A session has ended by itself; it says that the run was over a source of so many rows."""
        assert not self.begun or self.unswept or self.fog or self.hazy, "completed, and not published"
        assert self.runs, "completed, and nothing was ever published"
        assert rows == self.settled or self.fog or self.hazy, "it speaks of another run than was published last"
        self.settled, self.begun, self.unswept, self.asked, self.hazy = rows, 0, False, "", False
        self._clear()

    def undone(self) -> None:
        """The run was called off: the same call begins anew, unless a completed one was there before."""
        self.begun, self.hazy = 0, self.hazy or self.fog
        self.unswept, self.asked = False, ""
        self._clear()

    def going(self) -> None:
        """A session that has just begun has come to its first commit."""
        self.begun = self.begun or (self.rows if self.hazy else 0)
        assert self.begun == self.rows, "it went on over another source, or with nothing to do"
        assert self.asked != "terminate" or self.fog, "it went on with a run that was to be called off"
        self._clear()

    def left(self) -> None:
        """A session has ended in any other way: a pause that was asked of it is nobody's."""
        self.doomed = self.doomed or self.asked == "terminate"
        self.asked, self.pausing = self.asked if self.asked == "terminate" else "", False

    @property
    def changed(self) -> bool:
        """Whether the source is no longer that of the run."""
        return self.begun not in (0, self.rows)

    def lost(self) -> None:
        """The store forgets everything."""
        self.asked = ""
        if not self.remembers:
            self.begun = self.settled = 0
            self.unswept = self.doomed = self.hazy = False

    def restored(self, record: Record) -> None:
        """An older record is back in the store."""
        self.asked, self.fog = record.asked if record.asked == "terminate" else "", True
        if not self.remembers:
            last = record.checkpoint
            rows = last.source["rows"] if last.number else 0
            self.begun = 0 if last.outcome else rows
            before = last.previous.source["rows"] if last.previous else 0
            self.settled, self.doomed = rows if last.outcome == "completed" else before, False
            self.unswept = last.outcome == "completed" and not last.finished

    def _clear(self) -> None:
        self.fog = self.doomed = self.pausing = False

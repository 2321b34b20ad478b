"""A checkpoint store in this process's memory: for tests, and for runs that needn't outlive the process.

What it keeps is the JSON text, so that nothing passes here which a lasting store would refuse.
"""

from __future__ import annotations

import threading

from resumable.checkpoint import Record

__all__ = ["MemoryStore"]


class MemoryStore:
    """Records in a dictionary, guarded by a lock; shared by threads, never by processes."""

    def __init__(self) -> None:
        self.location = f"memory:{id(self):x}"
        self._texts: dict[str, str] = {}
        self._lock = threading.Lock()

    def load(self, name: str) -> Record | None:
        """What is known of a run; None if nothing is."""
        text = self._texts.get(name)
        return None if text is None else Record.from_json(text, f"The record of run {name!r} in {self.location}")

    def names(self) -> list[str]:
        """The names of all runs, sorted."""
        with self._lock:
            return sorted(self._texts)

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        """Replace the record whose version is `version` (0: there is none); None removes it."""
        text = None if record is None else record.to_json()
        with self._lock:
            stored = self.load(name)
            if (stored.version if stored else 0) != version:
                return False
            if text is None:
                self._texts.pop(name, None)
            else:
                self._texts[name] = text
            return True

    def describe(self) -> str:
        """What it is and what rests on it."""
        return "Checkpoints are kept in this process's memory and end with it."

    def __repr__(self) -> str:
        return f"<MemoryStore {self.location}>"

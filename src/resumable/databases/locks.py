"""Locks of a database that has none to speak of: whoever writes has the whole of it, and it doesn't tell who that is."""

from __future__ import annotations

from dataclasses import dataclass

from resumable.databases.executor import Executor

__all__ = ["NoLocks"]


@dataclass(frozen=True, slots=True)
class NoLocks:
    """See `Locks`."""

    label: str

    def backend_id(self, c: Executor) -> str:
        return ""

    def terminate_backend(self, c: Executor, backend: str) -> None: ...

    def terminate_lock_holders(self, c: Executor, staging: str) -> None: ...

    def lock_exclusive(self, c: Executor, name: str) -> None: ...

    def describe_lock_holders(self, c: Executor, name: str, staging: str = "") -> str:
        return f"{self.label} can't say which process it is"

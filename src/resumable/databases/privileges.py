"""Privileges of a database without users: who may write to it may do everything, and it has one ledger."""

from __future__ import annotations

from resumable.databases.executor import Executor
from resumable.databases.relations import Layout, Refusal

__all__ = ["AllPrivileges"]


class AllPrivileges:
    """See `Privileges`."""

    def missing_for_run(self, c: Executor, layout: Layout) -> Refusal | None:
        return None

    def missing_for_ledger(self, c: Executor, ledger: str, name: str, mode: str) -> Refusal | None:
        return None

    def missing_for_staging(self, c: Executor, staging: str) -> Refusal | None:
        return None

    def is_shared(self, c: Executor, ledger: str) -> bool:
        return False

    def schemas_with(self, c: Executor, ledger: str) -> list[str]:
        return []

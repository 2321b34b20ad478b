"""The driver's errors in our words: the one place where they become ours."""

from __future__ import annotations

from resumable.databases.urls import lost, remedy, unreachable
from resumable.errors import ResumableError

__all__ = ["translate"]


def translate(
    error: BaseException, kind: type[ResumableError], what: str, message: str, *, broken: bool, safe: str, do: str
) -> ResumableError:
    """`ConnectionLost` if the connection is `broken`; else an error of that `kind`, with the database's `message`."""
    if broken or getattr(error, "connection_invalidated", False):
        return lost(message)
    translated = kind(f"{what}: {message}.", safe=safe, do=remedy(error) or do)
    translated.transient = unreachable(error)
    return translated

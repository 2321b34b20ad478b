"""How SQLite compares names: ASCII letters without their case, every other letter as it is.

Python's `str.lower` folds by Unicode, and would make one column of `É` and `é`. SQL's `lower()` may be anybody's: the
ICU extension folds by Unicode too; `COLLATE NOCASE` is SQLite's own way. PostgreSQL compares names exactly.
"""

from __future__ import annotations

import string

__all__ = ["SAME", "fold"]

SAME = "name = ? COLLATE NOCASE"
"""SQL: the condition that a name in SQLite's catalog is the one given."""

_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


def fold(name: str) -> str:
    """What two names have in common if SQLite takes them for one."""
    return name.translate(_LOWER)

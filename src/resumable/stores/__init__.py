"""Where checkpoints are kept: a folder, a database, Redis, or this process's memory."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from resumable.checkpoint import CheckpointStore
from resumable.errors import UsageError
from resumable.lazy import lazy
from resumable.redaction import redact
from resumable.stores.files import FileStore

if TYPE_CHECKING:
    from resumable.stores.memory import MemoryStore
    from resumable.stores.redis import RedisStore
    from resumable.stores.sql import SqlStore

__all__ = ["FileStore", "MemoryStore", "RedisStore", "SqlStore", "open_store"]

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(
        __name__,
        {
            "resumable.stores.memory": ["MemoryStore"],
            "resumable.stores.redis": ["RedisStore"],
            "resumable.stores.sql": ["SqlStore"],
        },
    )

_URL = re.compile(r"(?i)[a-z][a-z0-9+.-]*://|(file|sqlite|postgresql|postgres|redis|rediss):")


def open_store(where: str | os.PathLike[str] | CheckpointStore | None = None) -> CheckpointStore:
    """The store that `where` names: a folder, a URL (`file:`, `sqlite:`, `postgresql:`, `redis:`), or a store as it is.

    None is what the environment variable RESUMABLE_STORE names, else the folder `.resumable`. Nothing is made or
    connected yet. Raises `UsageError`.
    """
    if where is None:
        where = os.environ.get("RESUMABLE_STORE") or ".resumable"
    if isinstance(where, os.PathLike):
        return FileStore(where)
    if not isinstance(where, str):
        if all(callable(getattr(where, method, None)) for method in ("load", "names", "swap")):
            return where
        raise UsageError(
            f"A {type(where).__name__} is no checkpoint store.",
            do="Give a folder, a URL, or an object with load, names and swap.",
        )
    if not _URL.match(where):
        return FileStore(where)
    scheme = where.partition(":")[0].lower()
    if scheme == "file":
        return FileStore(_folder(where))
    if scheme in ("redis", "rediss"):
        from resumable.stores.redis import RedisStore

        return RedisStore(where)
    from resumable.stores.sql import SqlStore  # it loads SQLAlchemy

    return SqlStore(where)


def _folder(url: str) -> str:
    """The path in a `file:` URL: file:relative, file:/absolute or file:///absolute."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path or parts.query or parts.fragment:
        raise UsageError(
            f"{redact(url)!r} names no folder of this machine.",
            do="Write it like file:///var/lib/runs or file:runs (%3F for ?, %23 for #).",
        )
    return unquote(parts.path)

"""Which code reads and writes a database: the one place that maps SQLAlchemy's names of databases to it.

Each database's modules are imported when it is first used, since they import its driver.
"""

from __future__ import annotations

from collections.abc import Callable

from resumable.databases.protocols import Database

__all__ = ["can_read", "find", "register"]


def _sqlite() -> Database:
    from resumable.databases.sqlite.database import create

    return create()


def _postgresql() -> Database:
    from resumable.databases.postgresql.database import create

    return create()


_DATABASES: dict[str, Callable[[], Database]] = {"sqlite": _sqlite, "postgresql": _postgresql}
_ONLY_DRIVER = {"postgresql": "psycopg"}
"""Where the others give values in another form."""


def register(name: str, create: Callable[[], Database]) -> None:
    """Let `create` make what reads and writes the databases that SQLAlchemy calls `name`."""
    _DATABASES[name] = create


def find(name: str) -> Database | None:
    """A new `Database`, for one connection; None for a kind that is unknown here."""
    create = _DATABASES.get(name)
    return None if create is None else create()


def can_read(name: str, driver: str) -> bool:
    """Whether databases of that kind can be read through that driver."""
    return name in _DATABASES and _ONLY_DRIVER.get(name, driver) == driver

"""What every part that talks to a database shares: URLs, engines, and what a driver's errors say."""

from __future__ import annotations

import os
import sqlite3
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import sqlalchemy as sa
from sqlalchemy.engine import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, NoSuchModuleError, OperationalError

from resumable.errors import ConnectionLost, Refused, UsageError
from resumable.redaction import SECRETS, has_two_logins, redact, shown

__all__ = [
    "connect",
    "is_url",
    "lost",
    "missing_file",
    "opened",
    "plain_url",
    "reason",
    "remedy",
    "resolved_url",
    "sqlite_file",
    "unreachable",
]

LIBPQ_TIMEOUTS = {
    "connect_timeout": "10",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "60000",
}
"""libpq's settings under which a server that is gone without a word is noticed, within about a minute."""

_ROOM = "Make room on the database's disk, then run the same again."
_DISK = "See what is wrong with the database's disk, then run the same again."
_REMEDIES: dict[int | str, str] = {
    sqlite3.SQLITE_FULL: _ROOM,
    "53100": _ROOM,
    sqlite3.SQLITE_IOERR: _DISK,
    "58030": _DISK,
    sqlite3.SQLITE_READONLY: "See that the database's file and its folder may be written, then run the same again.",
    sqlite3.SQLITE_CORRUPT: "Restore the database from a copy, then run the same again.",
    sqlite3.SQLITE_NOTADB: "Name a database, or a file that isn't there yet.",
}
"""By SQLite's primary result code, or by SQLSTATE."""

_STAND_INS = {code: chr(0xF0000 + code) for code in range(0xDC80, 0xDD00)}
"""For the bytes of a path that isn't UTF-8 while SQLAlchemy renders its URL, which it can't with them."""


def _parse(url: str | URL) -> URL:
    try:
        # With two @ the password's end would be taken for a host, and hosts are printed and stored.
        parsed = None if isinstance(url, str) and has_two_logins(url) else make_url(url)
    except (ArgumentError, ValueError):
        parsed = None
    if parsed is None or "@" in (parsed.host or ""):
        raise UsageError(
            f"{shown(url if isinstance(url, str) else url.render_as_string())!r} is no database URL.",
            do="Write it like sqlite:///shop.db or postgresql://user@host/shop; escape @ and / in a user or password as %40 and %2F.",
        )
    backend, plus, driver = parsed.drivername.partition("+")
    return parsed.set(drivername=f"postgresql{plus}{driver}") if backend == "postgres" else parsed


def is_url(text: str) -> bool:
    """Whether a text that should be a path is meant as a URL, however badly written: it may hold a password."""
    return "://" in text or ("@" in text.partition(":")[2] and not os.path.exists(text))


def resolved_url(url: str | URL) -> URL:
    """The URL with a SQLite file's path made absolute, so that it means the same from any folder.

    `postgres://`, which others take too, is `postgresql://`.
    """
    parsed = _parse(url)
    file = sqlite_file(parsed)
    return parsed if file is None else parsed.set(database=f"file:{quote(file)}" if _is_uri(parsed) else file)


def sqlite_file(url: str | URL) -> str | None:
    """The file that a SQLite URL means, without symbolic links; None for one in memory, or another database."""
    parsed = _parse(url)
    name = parsed.database or ":memory:"
    if parsed.get_backend_name() != "sqlite" or name == ":memory:":
        return None
    if not _is_uri(parsed):
        return os.path.realpath(name)
    parts = urlsplit(name)
    path = unquote(parts.path)
    return None if path in ("", ":memory:") or parsed.query.get("mode") == "memory" else os.path.realpath(path)


def _is_uri(url: URL) -> bool:
    """Whether what stands for the path is a `file:` URI, which SQLAlchemy takes only where it is told to."""
    told = str(url.query.get("uri", "")).lower() in ("true", "yes", "on", "y", "t", "1")
    return told and (url.database or "").startswith("file:")


def plain_url(url: str | URL) -> str:
    """The resolved URL without password or other secrets: what may be stored, printed and compared."""
    parsed = resolved_url(url)
    query = {k: v for k, v in parsed.query.items() if k.lower() not in SECRETS}
    name = parsed.database and parsed.database.translate(_STAND_INS)
    bare = URL.create(parsed.drivername, parsed.username, None, parsed.host, parsed.port, name, query)
    text = bare.render_as_string(hide_password=False)
    for code, stand_in in _STAND_INS.items() if name != parsed.database else ():
        text = text.replace(stand_in, chr(code)).replace(quote(stand_in), chr(code))
    return text


def connect(url: str | URL | Engine) -> Engine:
    """An engine for the URL; an `Engine` is taken as it is. Nothing is connected yet.

    In SQLAlchemy 2.0 `postgresql://` means psycopg2; here it always means psycopg 3.
    """
    if isinstance(url, Engine):
        return url
    parsed = resolved_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    waits: dict[str, str] = {}
    if parsed.drivername in ("postgresql+psycopg", "postgresql+psycopg2"):
        waits = {name: value for name, value in LIBPQ_TIMEOUTS.items() if name not in parsed.query}
        # Whatever the database or PGCLIENTENCODING says: from one of SQL_ASCII psycopg would give bytes for texts.
        waits["client_encoding"] = "utf8"
    try:
        return sa.create_engine(parsed, hide_parameters=True, connect_args=waits)
    except NoSuchModuleError:
        raise UsageError(
            f"No database is known as {parsed.drivername!r}.",
            do="Use sqlite:/// or postgresql://.",
        ) from None
    except ModuleNotFoundError as error:
        if parsed.get_backend_name() != "postgresql":
            raise UsageError(
                f"Databases of {parsed.get_backend_name()} can't be used yet.",
                do="Use sqlite:/// or postgresql://.",
            ) from None
        what = f"{parsed.get_backend_name()} needs the package {error.name!r}, which isn't installed."
        if error.name == "psycopg":  # the line is right
            raise Refused(
                what, safe="Nothing was touched.", do="pip install 'resumable-pipelines[postgres]'."
            ) from None
        raise UsageError(what, do="Write it as postgresql://, which means psycopg 3.") from None
    except (ArgumentError, TypeError, ValueError) as error:  # what follows the ? in it
        raise UsageError(
            f"{plain_url(parsed)!r} can't be used: {reason(error, url)}.",
            do="Correct the URL.",
        ) from None


def missing_file(url: str | URL) -> str:
    """The path of a SQLite database that isn't there, which connecting would make; "" if it is there, or no file."""
    file = sqlite_file(url)
    return file if file is not None and not os.path.exists(file) else ""


def opened(engine: Engine) -> sa.Connection:
    """A connection of the engine's. Raises `UsageError` where its driver gives bytes for texts, as well as its own errors."""
    try:
        return engine.connect()
    except TypeError as error:
        if engine.dialect.name != "postgresql":
            raise
        raise UsageError(
            f"The engine for {plain_url(engine.url)} gives bytes for texts: its database is of SQL_ASCII ({error}).",
            do="Make the engine with connect_args={'client_encoding': 'utf8'}, or give the URL.",
        ) from None


def reason(error: BaseException, url: str | URL | None = None) -> str:
    """The driver's own words, without SQL, parameters or passwords: one line, for a sentence that puts its full stop.

    What the driver says in several lines becomes as many sentences.
    """
    origin = getattr(error, "orig", None) or error
    diag: Any = getattr(origin, "diag", None)
    text = getattr(diag, "message_primary", None) or str(origin) or type(origin).__name__
    lines = [" ".join(line.split()) for line in str(text).splitlines()]
    said = " ".join(line if line[-1] in ".?!:;," else f"{line}." for line in lines if line)
    return redact(said, url).rstrip(" .?!")


def remedy(error: BaseException) -> str:
    """What to do about it, where the database's own code for it tells; "" where it doesn't."""
    origin = getattr(error, "orig", None) or error
    code = (getattr(origin, "sqlite_errorcode", None) or 0) & 0xFF
    return _REMEDIES.get(code or getattr(origin, "sqlstate", None) or 0, "")


def lost(said: str) -> ConnectionLost:
    """The error for a connection that broke, in the driver's words."""
    return ConnectionLost(
        f"The connection to the database was lost ({said}).",
        safe="All that was committed is safe.",
        do="Run the same again once the database is back.",
    )


def unreachable(error: BaseException) -> bool:
    """Whether it says, of a connection to a server that was to be made, that there is none to be had just now."""
    if not isinstance(error, (OperationalError, InterfaceError)) or isinstance(error.orig, sqlite3.Error):
        return False
    return error.statement is None and getattr(error.orig, "sqlstate", None) is None

"""The names of runs: readable, and the same for the same source, target and table, however each is spelled.

All is told without connecting. So of two names that may mean one server, or of a dot in a table's name, the guess is
that they are one: a run of the same name that turns out to be about another table is refused.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import re
from typing import Any

from sqlalchemy.engine import URL, Engine

from resumable import optional_parts
from resumable.databases.identifiers import fold
from resumable.databases.tables import DEFAULT
from resumable.databases.urls import resolved_url, sqlite_file
from resumable.errors import UsageError
from resumable.terminal import utf8

__all__ = ["address", "file_path", "place", "run_name", "table_name"]

HERE = "localhost"
"""This machine, whether by a name, an address, a socket, or none of them."""
PORT = "5432"


def place(url: str | URL | Engine) -> str:
    """Which database a URL means, whoever connects to it, by whatever driver and way."""
    parsed = resolved_url(url.url if isinstance(url, Engine) else url)
    backend = parsed.get_backend_name()
    if backend != "postgresql":
        file = sqlite_file(parsed)
        return f"{backend}://{parsed.host or ''}:{parsed.port or 0}/{file or parsed.database or ''}"

    def said(given: Any, option: str, variable: str, otherwise: str) -> str:
        """In the order in which libpq looks."""
        value = parsed.query.get(option) or given or os.environ.get(variable) or otherwise
        return (
            value if isinstance(value, str) else ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        )

    hosts = said(parsed.host, "host", "PGHOST", str(parsed.query.get("hostaddr") or HERE))
    port = said(parsed.port, "port", "PGPORT", PORT)
    database = said(parsed.database, "dbname", "PGDATABASE", said(parsed.username, "user", "PGUSER", ""))
    return f"postgresql://{','.join(map(_host, hosts.split(',')))}:{port}/{database}"


def _host(name: str) -> str:
    """One name for a host: for this machine, whatever way leads to it."""
    name = name.strip().strip("[]").lower().rstrip(".")
    if not name or name[0] in "/@":  # a socket's folder
        return HERE
    try:
        number = ipaddress.ip_address(name)
    except ValueError:
        return name
    plain = getattr(number, "ipv4_mapped", None) or number
    return HERE if plain.is_loopback or plain.is_unspecified else plain.compressed


def table_name(url: str | URL | Engine, schema: str | None, table: str) -> str:
    """What runs call a table: one name for all its spellings, as far as can be told without connecting."""
    backend = resolved_url(url.url if isinstance(url, Engine) else url).get_backend_name()
    whole = table if schema is None else f"{schema}.{table}"
    if backend == "sqlite":
        whole = fold(whole)
    return whole.removeprefix(f"{DEFAULT.get(backend, '')}.") or whole


def file_path(path: str | os.PathLike[str]) -> str:
    """The one path of a file to be written: it may be a link itself, but there is none on the way to it."""
    folder, base = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), base)


def address(part: object, what: str) -> str:
    """What a source or sink of one's own says that it is: its `address`. Raises `UsageError` if it has none."""
    found = optional_parts.address(part)
    if found:
        return found
    raise UsageError(
        f"Nothing tells this {what} ({type(part).__name__}) from another one, so the run needs a name.",
        safe="Nothing was touched.",
        do=f"Give name='...': the same for the same {what}, another for another.",
    )


def run_name(kind: str, *readable: str, of: tuple[str, ...]) -> str:
    """`upload-orders.csv-orders-3fa9c1d2`: the kind, what is readable, and a hash of what it stands for."""
    digest = hashlib.sha256(json.dumps([utf8(word) for word in of]).encode()).hexdigest()[:8]
    words = (re.sub(r"[^\w.]+", "_", utf8(word))[:40].strip("_") for word in readable)
    return "-".join([kind, *(word for word in words if word), digest])

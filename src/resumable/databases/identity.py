"""Which database and which table a URL and a name mean, however each is spelled, as far as can be told without connecting.

So of two names that may mean one server, or of a dot in a table's name, the guess is that they are one: a run of the
same name that turns out to be about another table is refused.
"""

from __future__ import annotations

import ipaddress
import os
from typing import Any

from sqlalchemy.engine import URL, Engine

from resumable.databases.identifiers import fold
from resumable.databases.tables import DEFAULT
from resumable.databases.urls import resolved_url, sqlite_file

__all__ = ["database_identity", "table_identity"]

HERE = "localhost"
"""This machine, whether by a name, an address, a socket, or none of them."""
PORT = "5432"


def database_identity(url: str | URL | Engine) -> str:
    """Which database a URL means, whoever connects to it, by whatever driver and way."""
    parsed = resolved_url(url.url if isinstance(url, Engine) else url)
    backend = parsed.get_backend_name()
    if backend != "postgresql":
        file = sqlite_file(parsed)
        return f"{backend}://{parsed.host or ''}:{parsed.port or 0}/{file or parsed.database or ''}"

    def setting(given: Any, option: str, variable: str, otherwise: str) -> str:
        """In the order in which libpq looks."""
        value = parsed.query.get(option) or given or os.environ.get(variable) or otherwise
        return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)

    hosts = setting(parsed.host, "host", "PGHOST", str(parsed.query.get("hostaddr") or HERE))
    port = setting(parsed.port, "port", "PGPORT", PORT)
    database = setting(parsed.database, "dbname", "PGDATABASE", setting(parsed.username, "user", "PGUSER", ""))
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


def table_identity(url: str | URL | Engine, schema: str | None, table: str) -> str:
    """What runs call a table: one name for all its spellings, as far as can be told without connecting."""
    backend = resolved_url(url.url if isinstance(url, Engine) else url).get_backend_name()
    whole = table if schema is None else f"{schema}.{table}"
    if backend == "sqlite":
        whole = fold(whole)
    return whole.removeprefix(f"{DEFAULT.get(backend, '')}.") or whole

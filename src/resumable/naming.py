"""The names of runs: readable, and the same for the same source, target and table from any folder."""

from __future__ import annotations

import hashlib
import json
import re

from sqlalchemy.engine import URL, Engine

from resumable.database import resolved_url

__all__ = ["place", "run_name"]


def place(url: str | URL | Engine) -> str:
    """Which database a URL means, whoever connects to it and by whatever driver."""
    parsed = resolved_url(url.url if isinstance(url, Engine) else url)
    default = {"postgresql": (parsed.host or "localhost", parsed.port or 5432)}
    host, port = default.get(parsed.get_backend_name(), (parsed.host or "", parsed.port or 0))
    return f"{parsed.get_backend_name()}://{host}:{port}/{parsed.database or ''}"


def run_name(kind: str, *readable: str, of: tuple[str, ...]) -> str:
    """`upload-orders.csv-orders-3fa9c1d2`: the kind, what is readable, and a hash of what it stands for."""
    digest = hashlib.sha256(json.dumps(of).encode()).hexdigest()[:8]
    words = (re.sub(r"[^\w.]+", "_", word)[:40].strip("_") for word in readable)
    return "-".join([kind, *(word for word in words if word), digest])

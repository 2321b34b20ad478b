"""The names of runs: readable, and the same for the same source, target and table, however each is spelled.

What a source or a sink is called in them is its own word: its `address`.
"""

from __future__ import annotations

import hashlib
import json
import re

from resumable import optional_parts
from resumable.errors import UsageError
from resumable.terminal import utf8

__all__ = ["required_address", "run_name"]


def required_address(part: object, what: str) -> str:
    """What a source or sink of one's own says that it is: its `address`. Raises `UsageError` if it has none."""
    address = optional_parts.address(part)
    if address:
        return address
    raise UsageError(
        f"Nothing tells this {what} ({type(part).__name__}) from another one, so the run needs a name.",
        do=f"Give name='...': the same for the same {what}, another for another.",
    )


def run_name(kind: str, *readable: str, of: tuple[str, ...]) -> str:
    """`upload-orders.csv-orders-3fa9c1d2`: the kind, what is readable, and a hash of what it stands for."""
    digest = hashlib.sha256(json.dumps([utf8(word) for word in of]).encode()).hexdigest()[:8]
    words = (re.sub(r"[^\w.]+", "_", utf8(word))[:40].strip("_") for word in readable)
    return "-".join([kind, *(word for word in words if word), digest])

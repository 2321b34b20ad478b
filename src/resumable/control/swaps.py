"""Compare-and-set until it takes: load the record, change it, swap it, and again if somebody was faster.

Somebody who was faster has left a greater version. A store that refuses a version, and then shows that version or an
older one, breaks its contract: this ends in a `StoreError`, and never runs for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from resumable.checkpoint import CheckpointStore, Record, location
from resumable.errors import StoreError

__all__ = ["update"]

STUCK = 8
"""Refusals in a row after which the store still shows no greater version. A busy store never comes to two."""
TRIES = 10_000
"""Refusals in all. So many runners as that would take no run has."""


def update(
    store: CheckpointStore, name: str, change: Callable[[Record | None], Record | None]
) -> tuple[Record | None, Record | None]:
    """The record that was there, and the one that took its place; None if `change` wants it left as it is."""
    seen, stuck = -1, 0
    for _ in range(TRIES):
        record = store.load(name)
        version = 0 if record is None else record.version
        stuck = stuck + 1 if version <= seen else 0
        if stuck >= STUCK:
            break
        if stuck:
            time.sleep(0.01 * stuck)
        seen, new = version, change(record)
        if new is None or store.swap(name, version, new):
            return record, new
    raise StoreError(
        f"The store {location(store)} breaks its contract: it has refused to replace version {seen} of "
        f"run {name!r}, and shows no newer one.",
        safe="What was committed is safe.",
        do="Use another store (store=..., RESUMABLE_STORE). Whoever wrote this one: resumable.testing.StoreContract "
        "shows what is wrong.",
    )

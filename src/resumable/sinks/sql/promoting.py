"""Publishing a new table where CREATE and RENAME commit at once, and can't be one transaction with the ledger.

1. The rows go into a table of ours that is as the target will be, in one transaction with a note in the ledger row.
2. That table is renamed, which is one atomic step: the target is there with all its rows, or not at all.
3. The caller writes the outcome into the ledger.

Each step may be repeated after a crash: the note, and which of the two tables is there, tell how far it came. Until the
outcome is written, terminate drops the renamed table.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from resumable.checkpoint import Checkpoint
from resumable.databases.connection import Connection
from resumable.databases.relations import Layout
from resumable.errors import TargetChanged
from resumable.protocols import Claimant
from resumable.sinks.sql.fencing import lock_own_row, superseded
from resumable.sinks.sql.ledger import Ledger
from resumable.sinks.sql.publishing import fill_new_table, refuse_existing

__all__ = ["drop_promoted", "promote"]


def promote(c: Connection, ledger: Ledger, claim: Claimant, last: Checkpoint, layout: Layout, rows: int) -> Checkpoint:
    """The target is there, filled; the outcome isn't decided yet. Returns `last` with the note."""
    state: dict[str, Any] = last.sink
    name, staging = state["table"], state["staging"]
    catalog = c.database.catalog
    if not state.get("promotes"):
        ready = _ready_name(staging)
        with c.transaction():
            lock_own_row(ledger, claim)
            refuse_existing(c, name)
            if catalog.kind(c, ready):
                c.sql(f"DROP TABLE {c.qualified(ready)}")
            c.database.publisher.create_table(c, ready, layout)
        with c.transaction():
            lock_own_row(ledger, claim)
            fill_new_table(c, ready, staging, layout, rows)
            state = {**state, "promotes": ready}
            last = replace(last, sink=state)
            if not ledger.write(claim.id, last.number, last):
                raise superseded(claim.run, ledger.read())
    if catalog.kind(c, state["promotes"]):
        with c.transaction():
            lock_own_row(ledger, claim)
            refuse_existing(c, name)
            c.database.publisher.promote_staging(c, state["promotes"], name)
    elif catalog.kind(c, name) != "table":
        raise TargetChanged(
            f"Table {name!r} was published and is gone, before the run could be completed.",
            safe="Nothing was changed.",
            do="Begin anew (--restart, pipeline.restart()), or terminate the run.",
        )
    return last


def drop_promoted(c: Connection, state: dict[str, Any]) -> None:
    """Drop a target that the run has put in its place, where the outcome wasn't decided."""
    kind = c.database.catalog.kind
    if state.get("promotes") and not kind(c, state["promotes"]) and kind(c, state["table"]) == "table":
        c.sql(f"DROP TABLE {c.qualified(state['table'])}")


def _ready_name(staging: str) -> str:
    """Beside staging, under the same run and claim, so that it is swept like it."""
    rest, _, token = staging.rpartition("_")
    return f"{rest}_{hashlib.sha256(token.encode()).hexdigest()[:8]}"

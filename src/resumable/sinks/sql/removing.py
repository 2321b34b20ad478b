"""Leaving no trace: what a run takes out of the database at its end, or when it is called off.

Each of these is one transaction of the caller's, behind the locked ledger row. Laws kept here:

* A run that another runner has by now loses nothing.
* What was completed before the run is part of "as it was": its ledger row is put back.
"""

from __future__ import annotations

from resumable.databases.connection import Connection
from resumable.protocols import Claimant
from resumable.sinks.sql.fencing import superseded
from resumable.sinks.sql.ledger import Ledger, Row
from resumable.sinks.sql.promoting import drop_promoted
from resumable.sinks.sql.staging import sweep

__all__ = ["mark_finished", "remove", "sweep_older"]


def sweep_older(c: Connection, ledger: Ledger, claim: Claimant) -> None:
    """Drop the staging tables of older claims, but not the one in use."""
    row = ledger.read(lock=True)
    if row is not None and (row.claim == claim.id or row.checkpoint.is_finished):
        state = {} if row.checkpoint.is_finished else row.checkpoint.sink
        sweep(c, claim.run, claim.id, {state.get("staging"), state.get("promotes")})


def remove(c: Connection, ledger: Ledger, claim: Claimant, *, only_just_begun: bool) -> None:
    """Take all of the run out. `only_just_begun`: unless it is another's by now, or has gone on."""
    row = ledger.read(lock=True)
    if only_just_begun and (row is None or row.claim != claim.id or row.number != 1):
        return
    _refuse_others(row, claim)
    if row is not None and not row.checkpoint.is_finished:
        state = row.checkpoint.sink or {}
        if state.get("mode") == "direct" and c.database.catalog.kind(c, state["table"]) == "table":
            c.sql(f"DROP TABLE {c.qualified(state['table'])}")
        drop_promoted(c, state)
        previous = row.checkpoint.put_back(claim.id)
        if previous is None:
            ledger.remove()
        else:
            ledger.put_back(claim.id, previous)
    sweep(c, claim.run, claim.id)


def mark_finished(c: Connection, ledger: Ledger, claim: Claimant) -> None:
    """Of a completed run only its ledger row stays, and says so."""
    row = ledger.read(lock=True)
    over = row is not None and row.checkpoint.is_finished
    if row is not None and not over:
        _refuse_others(row, claim)
        ledger.write(row.claim, row.number, row.checkpoint.finish())
        ledger.release(row.claim)  # with it: a run that is over writes nothing more
    if row is None or over or row.claim == claim.id:
        sweep(c, claim.run, claim.id)


def _refuse_others(row: Row | None, claim: Claimant) -> None:
    if row is not None and row.claim != claim.id:
        raise superseded(claim.run, row)

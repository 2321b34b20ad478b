"""Names of staging tables, and their sweeping.

A name tells the run and the claim that made it, so that what a crash left between making a staging table and
writing its ledger row can be found: `resumable_<hash of the run>_<epoch>_<token>`, 39 bytes or so.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection

from sqlalchemy.exc import SQLAlchemyError

from resumable.checkpoint import ClaimId
from resumable.databases.connection import Connection
from resumable.databases.relations import Layout

__all__ = ["make_staging", "staging_name", "staging_prefix", "sweep"]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


def staging_prefix(run: str) -> str:
    """What all staging tables of a run begin with."""
    return f"resumable_{hashlib.sha256(run.encode()).hexdigest()[:10]}_"


def staging_name(run: str, claim: ClaimId) -> str:
    """The staging table that this claim would make."""
    epoch, digits = claim.epoch, ""
    while epoch or not digits:
        epoch, digit = divmod(epoch, 36)
        digits = _DIGITS[digit] + digits
    token = hashlib.sha256(claim.token.encode()).hexdigest()[:8]
    return f"{staging_prefix(run)}{digits}_{token}"


def make_staging(c: Connection, staging: str, layout: Layout, check: Callable[[], object] = lambda: None) -> None:
    """Make the staging table, unless it is there: its name carries the claim, so nobody else's can be.

    `check` comes first, in the same transaction, and may refuse.
    """
    try:
        with c.transaction():
            check()
            if not c.database.catalog.kind(c, staging):
                c.database.loader.create_staging(c, staging, layout)
    except SQLAlchemyError:
        with c.reading():  # a COMMIT of this very claim, whose answer was lost, may have landed meanwhile
            if c.is_lost() or not c.database.catalog.kind(c, staging):
                raise


def sweep(c: Connection, run: str, claim: ClaimId, keep: Collection[str | None] = ()) -> None:
    """Drop the run's staging tables that are no newer than the claim, but those to `keep`. In the caller's transaction."""
    for name in c.database.catalog.tables(c, staging_prefix(run)):
        epoch = name.removeprefix(staging_prefix(run)).partition("_")[0]
        if name not in keep and epoch.isalnum() and int(epoch, 36) <= claim.epoch:
            c.sql(f"DROP TABLE {c.qualified(name)}")

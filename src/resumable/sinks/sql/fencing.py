"""Fencing: my claim goes into the locked ledger row, so that a runner under an older one can't commit any more."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from resumable.checkpoint import Checkpoint
from resumable.control.liveness import alive
from resumable.databases.connection import Connection
from resumable.errors import AlreadyRunning, ResumableError, Superseded, TargetError
from resumable.protocols import Claimant
from resumable.sinks.sql.ledger import NAME, Ledger, Row

__all__ = ["STALE_AFTER", "WAIT", "fence", "lock_own_row", "locked_out", "superseded", "was_dropped"]

STALE_AFTER = 10.0
"""Seconds without a commit after which a runner that can't be asked is taken for dead."""
WAIT = 24.0
"""Seconds that are given to others who hold the row, or make or drop the ledger."""


def fence(c: Connection, ledger: Ledger, claim: Claimant, last: Checkpoint) -> Row | None:
    """The row, under my claim unless it is finished; None if there is none."""
    end = time.monotonic() + WAIT
    while True:
        try:
            with c.transaction():
                row = ledger.read(lock=True)
                if row is None:
                    return None
                _precondition(row, claim, last)
                if row.checkpoint.is_finished:
                    return row
                if refusal := c.database.privileges.missing_for_staging(
                    c, (row.checkpoint.sink or {}).get("staging", "")
                ):
                    raise TargetError(
                        f"Run {claim.run!r} can't be gone on with: {refusal.what}.",
                        safe="Nothing was changed.",
                        do=refusal.do,
                    )
                mine = replace(row.checkpoint, claim=claim.id)
                ledger.transfer(row, claim, mine)
                return replace(row, checkpoint=mine)
        except SQLAlchemyError as error:
            if not c.traits.is_locked(error):
                if was_dropped(c, ledger) and time.monotonic() < end:
                    continue
                raise
            _force(c, ledger, claim, last, error, final=time.monotonic() > end)


def was_dropped(c: Connection, ledger: Ledger) -> bool:
    """Whether another run dropped the ledger with its last row, just when it was to be used."""
    with contextlib.suppress(SQLAlchemyError), c.reading():
        return not ledger.exists()
    return False


def _force(
    c: Connection, ledger: Ledger, claim: Claimant, last: Checkpoint, error: SQLAlchemyError, *, final: bool
) -> None:
    """A runner was stopped inside a transaction and holds the row: end its connection, where that may be done."""
    row = None
    with contextlib.suppress(SQLAlchemyError), c.reading():  # the whole table may be locked
        row = ledger.read()
    if row is not None:
        _precondition(row, claim, last)
    if row is None or not row.backend or final:
        last_had = f"{row.owner}, which had the run last, or " if row and row.owner else ""
        raise locked_out(c, error, f"{last_had}another program") from None
    with contextlib.suppress(SQLAlchemyError), c.transaction():  # it may not be ours to end: then we wait
        c.database.locks.terminate_backend(c, row.backend)
    time.sleep(0.1)


def locked_out(c: Connection, error: BaseException, who: str) -> ResumableError:
    """The error for a ledger that others don't let go of."""
    return c.failure(
        error,
        f"The target is locked by {who} ({c.database.locks.describe_lock_holders(c, NAME)})",
        safe="Nothing was changed.",
    )


def _precondition(row: Row, claim: Claimant, last: Checkpoint) -> None:
    """Refuse where a newer claim has the row, or a stranger's that may live: one that my store doesn't know."""
    if row.claim > claim.id:
        raise superseded(claim.run, row)
    is_known = row.claim in {claim.id, last.claim, *claim.earlier} or claim.takeover
    if is_known or row.checkpoint.is_decided or row.owner is None:
        return
    lives = alive(row.owner, row.claim.token)
    if lives or (lives is None and row.idle < STALE_AFTER):
        raise AlreadyRunning(
            f"Run {claim.run!r} is running: {row.owner}, with its checkpoints in {row.store or 'another store'}.",
            safe="Nothing was changed.",
            do="Use that store, wait for it, or fence it off with takeover (--takeover).",
        )


def lock_own_row(ledger: Ledger, claim: Claimant) -> Row:
    """The run's row, locked until the transaction ends. Raises `Superseded` unless it is under my claim."""
    row = ledger.read(lock=True)
    if row is None or row.claim != claim.id:
        raise superseded(claim.run, row)
    return row


def superseded(run: str, row: Row | None) -> Superseded:
    """What a runner is told whose claim isn't in the ledger any more."""
    if row is None:
        return Superseded(
            f"The ledger's row of run {run!r} (table {NAME}) is gone: it was removed by hand, or the run was ended from "
            "another store.",
            safe="This runner wrote nothing after that.",
            do="Begin anew (--restart, pipeline.restart()).",
        )
    error = Superseded(
        f"Run {run!r} was taken over: {row.owner or 'another runner'} has it.",
        safe="What was committed is safe; this runner wrote nothing after that.",
        do="Look at it with `resumable status`.",
    )
    error.epoch = row.claim.epoch
    return error

"""Opening: fence older claims off and recover, in one transaction over the locked ledger row.

The rules were found by model checking (docs/design.md); what the row says counts more than what the store says:

| the ledger row | then |
|---|---|
| under a newer claim | `Superseded` |
| none, and the store knows an outcome | only sweeping is left |
| none, and the store knows commits | `TargetChanged`, never a start from zero |
| none, and nothing is known | a new run: staging is made, then the row |
| over | it stays as it is; or a new run, where one is begun knowingly |
| unfinished | my claim goes into it, unless it is a stranger's that may live: `AlreadyRunning` |
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace

from sqlalchemy.exc import SQLAlchemyError

from resumable.checkpoint import Checkpoint
from resumable.control.liveness import alive
from resumable.databases.connection import Connection
from resumable.errors import AlreadyRunning, ResumableError, Superseded, TargetChanged, TargetError
from resumable.protocols import Claimant
from resumable.sinks.sql.ledger import NAME, Ledger, Row
from resumable.sinks.sql.new_run import Birth

__all__ = ["recover", "superseded"]

QUIET = 10.0
"""Seconds without a commit after which a runner that can't be asked is taken for dead."""
WAIT = 24.0
"""Seconds that are given to others who hold the row, or make or drop the ledger."""


def recover(c: Connection, ledger: Ledger, claim: Claimant, last: Checkpoint, birth: Birth) -> Checkpoint:
    """The checkpoint to go on from, with my claim in the ledger row unless the run is over."""
    end = time.monotonic() + WAIT
    while True:
        row = _fence(c, ledger, claim, last)
        if row is not None and not _anew(row, last):
            if row.backend and row.claim != claim.id and (row.checkpoint.sink or {}).get("mode") == "direct":
                # In plain view the locks of whom I have fenced off can't be told from other users' later on.
                with contextlib.suppress(SQLAlchemyError), c.transaction():
                    c.dialect.dismiss(c, row.backend)
            return row.checkpoint
        if row is None and last.is_decided:
            return last
        if row is None and last.is_begun:
            raise TargetChanged(
                f"The target knows nothing of run {claim.run!r}, of which {last.rows:,} rows were committed there.",
                safe="Nothing was changed.",
                do="Restore the target, or begin anew (--restart, pipeline.restart()).",
            )
        if row is None:
            birth.alone()
        first = birth.begin(None if row is None else row.checkpoint)
        try:
            ledger.make()
            with c.transaction():
                if not (ledger.add(claim, first) if row is None else ledger.take(row, claim, first)):
                    raise _Faster
                birth.enter()
            return first
        except BaseException as error:
            birth.unmake()
            held = isinstance(error, SQLAlchemyError) and c.dialect.locked(error)
            if held and time.monotonic() > end:  # by whoever stands still in the transaction that makes it
                raise _held(c, error, "another program") from None
            passing = held or isinstance(error, _Faster) or (isinstance(error, SQLAlchemyError) and _dropped(c, ledger))
            if not passing:
                raise
            if time.monotonic() > end:
                raise TargetError(
                    f"The ledger row of run {claim.run!r} comes and goes: others are at work on the same run.",
                    safe="Nothing was changed.",
                    do="Run the same again.",
                ) from None


def _dropped(c: Connection, ledger: Ledger) -> bool:
    """Whether another run took the ledger away with its last row, just when it was to be used."""
    with contextlib.suppress(SQLAlchemyError), c.reading():
        return not ledger.exists()
    return False


class _Faster(Exception):
    """Somebody else was: the row isn't what was read. Look again."""


def _anew(row: Row, last: Checkpoint) -> bool:
    """Whether a run that is over is to be followed by a new one: begun by somebody who knew that it was over."""
    known = last.stage != "new" or last.claim < row.checkpoint.claim
    return row.checkpoint.is_finished and not known


def _fence(c: Connection, ledger: Ledger, claim: Claimant, last: Checkpoint) -> Row | None:
    """The row, under my claim unless it is over; None if there is none."""
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
                if refusal := c.dialect.withheld(c, (row.checkpoint.sink or {}).get("staging", "")):
                    raise TargetError(
                        f"Run {claim.run!r} can't be gone on with: {refusal.what}.",
                        safe="Nothing was changed.",
                        do=refusal.do,
                    )
                mine = replace(row.checkpoint, claim=claim.id)
                ledger.take(row, claim, mine)
                return replace(row, checkpoint=mine)
        except SQLAlchemyError as error:
            if not c.dialect.locked(error):
                if _dropped(c, ledger) and time.monotonic() < end:
                    continue
                raise
            _force(c, ledger, claim, last, error, final=time.monotonic() > end)


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
        raise _held(c, error, f"{last_had}another program") from None
    with contextlib.suppress(SQLAlchemyError), c.transaction():  # it may not be ours to end: then we wait
        c.dialect.dismiss(c, row.backend)
    time.sleep(0.1)


def _held(c: Connection, error: BaseException, who: str) -> ResumableError:
    return c.failure(
        error, f"The target is locked by {who} ({c.dialect.holders(c, NAME)})", safe="Nothing was changed."
    )


def _precondition(row: Row, claim: Claimant, last: Checkpoint) -> None:
    """Refuse where a newer claim has the row, or a stranger's that may live: one that my store doesn't know."""
    if row.claim > claim.id:
        raise superseded(claim.run, row)
    known = row.claim in {claim.id, last.claim, *claim.earlier} or claim.takeover
    if known or row.checkpoint.is_decided or row.owner is None:
        return
    lives = alive(row.owner, row.claim.token)
    if lives or (lives is None and row.idle < QUIET):
        raise AlreadyRunning(
            f"Run {claim.run!r} is running: {row.owner}, with its checkpoints in {row.store or 'another store'}.",
            safe="Nothing was changed.",
            do="Use that store, wait for it, or fence it off with takeover (--takeover).",
        )


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

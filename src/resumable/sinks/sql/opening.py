"""Opening a run: fence older claims off, recover, or begin a new run.

The rules were found by model checking (docs/design.md); what the ledger row says counts more than what the store says:

| the ledger row | then |
|---|---|
| under a newer claim | `Superseded` |
| none, and the store knows an outcome | only sweeping is left |
| none, and the store knows commits | `TargetChanged`, never a start from zero |
| none, and nothing is known | a new run: staging is made, then the row |
| finished | it stays as it is; or a new run, where one is begun knowingly |
| unfinished | my claim goes into it, unless it is a stranger's that may live: `AlreadyRunning` |
"""

from __future__ import annotations

import contextlib
import time

from sqlalchemy.exc import SQLAlchemyError

from resumable.checkpoint import Checkpoint
from resumable.databases.connection import Connection
from resumable.databases.relations import Layout
from resumable.errors import TargetChanged, TargetError
from resumable.protocols import Claimant
from resumable.sinks.sql.fencing import WAIT, fence, locked_out, was_dropped
from resumable.sinks.sql.ledger import NAME, Ledger, Row
from resumable.sinks.sql.new_run import NewRun, refuse_other_ledger
from resumable.sinks.sql.options import TableOptions

__all__ = ["open_run"]


class LostRace(Exception):
    """Another runner wrote the ledger row first: it isn't what was read. Look again."""


def open_run(
    c: Connection, options: TableOptions, claim: Claimant, last: Checkpoint
) -> tuple[Checkpoint, Layout | None]:
    """The checkpoint to go on from, with my claim in the ledger row unless the run is finished; a new run's layout."""
    ledger = Ledger(c, claim.run)
    with c.translating(f"The target of run {claim.run!r} can't be opened", safe="Nothing was changed."), c.reading():
        _refuse_without_privileges(c, options, claim, last)
        end = time.monotonic() + WAIT
        while True:
            row = fence(c, ledger, claim, last)
            if row is not None and not _begins_anew(row, last):
                _end_fenced_connection(c, claim, row)
                return row.checkpoint, None
            if row is None and last.is_decided:
                return last, None
            if row is None and last.is_begun:
                raise TargetChanged(
                    f"The target knows nothing of run {claim.run!r}, of which {last.rows:,} rows were committed there.",
                    safe="Nothing was changed.",
                    do="Restore the target, or begin anew (--restart, pipeline.restart()).",
                )
            if row is None:
                refuse_other_ledger(c, ledger, options, claim)
            new = NewRun.begin(c, options, claim, ledger, last, None if row is None else row.checkpoint)
            try:
                with new:
                    _enter(c, ledger, claim, row, new)
                return new.first, new.layout
            except (SQLAlchemyError, LostRace) as error:
                _raise_unless_passing(c, ledger, claim, error, final=time.monotonic() > end)


def _refuse_without_privileges(c: Connection, options: TableOptions, claim: Claimant, last: Checkpoint) -> None:
    is_new = last.stage == "new"
    if refusal := c.database.privileges.missing_for_ledger(c, NAME, options.table, options.if_exists if is_new else ""):
        raise TargetError(
            f"The target of run {claim.run!r} can't be opened: {refusal.what}.",
            safe="Nothing was changed.",
            do=refusal.do,
        )


def _begins_anew(row: Row, last: Checkpoint) -> bool:
    """Whether a finished run is to be followed by a new one: begun by somebody who knew that it was finished."""
    knows = last.stage != "new" or last.claim < row.checkpoint.claim
    return row.checkpoint.is_finished and not knows


def _end_fenced_connection(c: Connection, claim: Claimant, row: Row) -> None:
    """In plain view the locks of the runner that was fenced off can't be told from other users' later on."""
    if row.backend and row.claim != claim.id and (row.checkpoint.sink or {}).get("mode") == "direct":
        with contextlib.suppress(SQLAlchemyError), c.transaction():
            c.database.locks.terminate_backend(c, row.backend)


def _enter(c: Connection, ledger: Ledger, claim: Claimant, row: Row | None, new: NewRun) -> None:
    """The run's ledger row, and what must appear in the same transaction as it."""
    ledger.make()
    with c.transaction():
        entered = ledger.add(claim, new.first) if row is None else ledger.transfer(row, claim, new.first)
        if not entered:
            raise LostRace
        new.create_direct_table()


def _raise_unless_passing(
    c: Connection, ledger: Ledger, claim: Claimant, error: SQLAlchemyError | LostRace, *, final: bool
) -> None:
    """Raise the error of a new run that couldn't enter, unless it is others at work that may be done soon."""
    locked = isinstance(error, SQLAlchemyError) and c.traits.is_locked(error)
    if locked and final:  # by whoever stands still in the transaction that makes the ledger
        raise locked_out(c, error, "another program") from None
    if not (locked or isinstance(error, LostRace) or was_dropped(c, ledger)):
        raise error
    if final:
        raise TargetError(
            f"The ledger row of run {claim.run!r} comes and goes: others are at work on the same run.",
            safe="Nothing was changed.",
            do="Run the same again.",
        ) from None

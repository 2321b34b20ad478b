"""What a new run makes in its target: staging first, then its row in the ledger, and with that a table in plain view."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from sqlalchemy.exc import SQLAlchemyError

from resumable.checkpoint import Checkpoint
from resumable.databases.connection import Connection
from resumable.databases.relations import Layout
from resumable.errors import OptionsChanged
from resumable.protocols import Claimant
from resumable.sinks.sql.ledger import Ledger
from resumable.sinks.sql.options import TableOptions
from resumable.sinks.sql.preflight import plan_load, written_schema
from resumable.sinks.sql.staging import make_staging, staging_name

__all__ = ["NewRun", "refuse_other_ledger"]


@dataclass(frozen=True, slots=True)
class NewRun:
    """A new run whose staging table is there. A context manager: left by an error, it removes what it made.

    `first` is its first checkpoint; `layout` is how its rows will lie.
    """

    c: Connection
    ledger: Ledger
    table: str
    staging: str
    first: Checkpoint
    layout: Layout

    @classmethod
    def begin(
        cls,
        c: Connection,
        options: TableOptions,
        claim: Claimant,
        ledger: Ledger,
        last: Checkpoint,
        previous: Checkpoint | None,
    ) -> NewRun:
        """Make staging for the run that follows the `previous` one. Refuses before anything is made."""
        with c.reading():
            layout = plan_load(c, options, written_schema(last), previous if claim.restart else None)
        staging = staging_name(claim.run, claim.id)
        if layout.mode != "direct":
            make_staging(c, staging, layout)
        state = {
            "table": options.table,
            "schema": c.schema,
            "beside": c.own_schema,
            "staging": options.table if layout.mode == "direct" else staging,
            "mode": layout.mode,
            "key": list(layout.key),
            "fresh": layout.table is None,
            "replaces": layout.replaces is not None,
            "rows": 0,
            "row": 0,
        }
        first = last.follow(previous or Checkpoint()).next(claim=claim.id, sink=state)
        return cls(c, ledger, options.table, staging, first, layout)

    def create_direct_table(self) -> None:
        """A table that is loaded in plain view comes about with its ledger row, or anybody could have made it."""
        if self.layout.mode == "direct":
            self.c.database.publisher.create_table(self.c, self.table, self.layout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        with contextlib.suppress(SQLAlchemyError), self.c.transaction():
            if self.c.database.catalog.kind(self.c, self.staging):
                self.c.sql(f"DROP TABLE {self.c.qualified(self.staging)}")
        self.ledger.drop()


def refuse_other_ledger(c: Connection, ledger: Ledger, options: TableOptions, claim: Claimant) -> None:
    """Refuse a run that the ledger of another schema has: it would be loaded twice."""
    there = ledger.elsewhere(options.table)
    if there is None:
        return
    same = there == c.schema
    raise OptionsChanged(
        f"Run {claim.run!r} was begun with its staging and ledger in schema {there!r}.",
        safe="Nothing was changed.",
        do=("Leave staging_schema out" if same else f"Give staging_schema={there!r} (--staging-schema {there})")
        + ", as then; or give another run another name= (--name).",
    )

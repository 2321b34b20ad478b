"""What a new run makes in its target: staging first, then its row in the ledger, and with that a table in plain view."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pyarrow as pa
from sqlalchemy.exc import SQLAlchemyError

from resumable.checkpoint import Checkpoint
from resumable.databases.connection import Connection
from resumable.databases.relations import Layout
from resumable.errors import OptionsChanged, UsageError
from resumable.protocols import Claimant
from resumable.sinks.sql.ledger import Ledger
from resumable.sinks.sql.preflight import lay_out
from resumable.sinks.sql.staging import make, staging_name

if TYPE_CHECKING:
    from resumable.sinks.sql.sink import SqlSink

__all__ = ["Birth", "written"]


class Birth:
    """Of a run whose beginning is `last`, number 0. `layout` is how its rows will lie, once it has begun."""

    def __init__(self, sink: SqlSink, c: Connection, claim: Claimant, ledger: Ledger, last: Checkpoint) -> None:
        self._sink, self._c, self._ledger, self._last = sink, c, ledger, last
        self._claim, self._staging = claim, staging_name(claim.run, claim.id)
        self.layout: Layout | None = None

    def alone(self) -> None:
        """Refuse a run that another ledger has: it would be loaded twice."""
        there = self._ledger.elsewhere(self._sink.table)
        if there is None:
            return
        same = there == self._c.schema
        raise OptionsChanged(
            f"Run {self._claim.run!r} was begun with its staging and ledger in schema {there!r}.",
            safe="Nothing was changed.",
            do=("Leave staging_schema out" if same else f"Give staging_schema={there!r} (--staging-schema {there})")
            + ", as then; or give another run another name= (--name).",
        )

    def begin(self, previous: Checkpoint | None) -> Checkpoint:
        """Make staging; the first checkpoint, which follows the `previous` run's. Refuses before anything is made."""
        sink, c, last = self._sink, self._c, self._last
        with c.reading():
            restarts = previous if self._claim.restart else None
            layout = lay_out(c, sink.table, written(last), sink.if_exists, sink.key, sink.staging, restarts)
        self.layout = layout
        if layout.mode != "direct":
            make(c, self._staging, layout)
        state = {
            "table": sink.table,
            "schema": c.schema,
            "beside": c.beside,
            "staging": sink.table if layout.mode == "direct" else self._staging,
            "mode": layout.mode,
            "key": list(layout.key),
            "fresh": layout.table is None,
            "replaces": layout.replaces is not None,
            "rows": 0,
            "row": 0,
        }
        return last.follow(previous or Checkpoint()).next(claim=self._claim.id, sink=state)

    def enter(self) -> None:
        """A table that is loaded in plain view comes about with its ledger row, or anybody could have made it."""
        if self.layout is not None and self.layout.mode == "direct":
            self._c.dialect.create(self._c, self._sink.table, self.layout)

    def unmake(self) -> None:
        """Take back what `begin` made, as far as it can be."""
        with contextlib.suppress(SQLAlchemyError), self._c.transaction():
            if self._c.dialect.kind(self._c, self._staging):
                self._c.sql(f"DROP TABLE {self._c.qualified(self._staging)}")
        self._ledger.drop()


def written(last: Checkpoint) -> pa.Schema:
    """The schema of the rows that the sink is given."""
    schema = last.output_schema if last.output_schema is not None else last.schema
    if schema is None:
        raise UsageError("A new run needs a schema.", safe="Nothing was changed.", do="Begin it with a source.")
    return schema

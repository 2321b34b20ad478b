"""SqlWriter: a run's hold on its table: it writes rows to staging, commits, publishes, and clears up.

Laws kept here:

* Rows and checkpoint are committed in one transaction, which fails unless the ledger row still has this writer's
  claim and the number before. ledger.py has the row, fencing.py the fence.
* Until it is published the target is as it was; publishing and the decision are one transaction (publishing.py).
* No transaction is open when `commit` returns.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any, NoReturn, Self

from sqlalchemy.exc import SQLAlchemyError

from resumable.checkpoint import Checkpoint
from resumable.databases.connection import Connection
from resumable.databases.relations import Layout
from resumable.errors import ConnectionLost, ResumableError, TargetError
from resumable.protocols import Batch, Claimant, Reject
from resumable.sinks.sql.fencing import lock_own_row, superseded
from resumable.sinks.sql.ledger import Ledger, Row
from resumable.sinks.sql.loading import bad_row, cast, increasing_numbers, source_numbers, store, without_misfits
from resumable.sinks.sql.options import TableOptions
from resumable.sinks.sql.preflight import revalidate
from resumable.sinks.sql.promoting import promote
from resumable.sinks.sql.published import is_still_there, published_table
from resumable.sinks.sql.publishing import publish
from resumable.sinks.sql.removing import mark_finished, remove, sweep_older
from resumable.sinks.sql.sifting import Sifting
from resumable.sinks.sql.target import TargetTable

__all__ = ["SqlWriter"]


class SqlWriter:
    """See `Writer`."""

    def __init__(
        self,
        c: Connection,
        options: TableOptions,
        claim: Claimant,
        seen: Checkpoint,
        last: Checkpoint,
        layout: Layout | None,
    ) -> None:
        """A run that is open at `last`; `seen` is the checkpoint that the store knew, `layout` a new run's."""
        self._c, self._options, self._claim = c, options, claim
        self._seen, self.last = seen, last
        self._ledger = Ledger(c, claim.run)
        self._target = TargetTable(c, options, claim.run, layout)
        self._rows = self._row = 0
        self._reload()

    # ------------------------------------------------------------------------------------------- writing

    def write(self, batch: Batch) -> tuple[Reject, ...]:
        """See `Writer.write`."""
        if not batch.rows.num_rows:
            return ()
        layout, c, strict = self._ready(), self._c, self._options.on_bad_row == "raise"
        row_numbers: Sequence[int] = source_numbers(batch)
        rejects: list[Reject] = []
        rows, misfits = cast(batch.rows, layout, c)
        if misfits and strict:
            raise bad_row(min(misfits, key=lambda m: m.index), row_numbers)
        rows, row_numbers = without_misfits(rows, misfits, row_numbers, rejects)
        numbers = increasing_numbers(row_numbers, self._row)
        try:
            with c.translating("The rows can't be stored"):
                c.begin()
                with c.database.loader.savepoint(c, "resumable_batch", self._state["staging"], numbers):
                    misfits = store(c, self._state["staging"], layout, rows, numbers, all_misfits=not strict)
                    if misfits and strict:
                        raise bad_row(misfits[0], row_numbers)
        except (TargetError, ConnectionLost):
            self._raise_if_superseded()
            raise
        rows, _ = without_misfits(rows, misfits, row_numbers, rejects)
        self._rows += rows.num_rows
        self._row = numbers[-1] if numbers else self._row
        return tuple(sorted(rejects, key=lambda r: r.row))

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        """See `Writer.commit`."""
        c = self._c
        if checkpoint.is_decided:
            self._roll_back()
        mine = replace(checkpoint, claim=self._claim.id, sink=self._next_state())
        try:
            with c.translating("The rows can't be committed"):
                c.begin()
                if not checkpoint.is_decided:
                    self._target.revalidate_if_changed(self.last)
                written = self._ledger.write(self._claim.id, checkpoint.number - 1, mine)
                if written:
                    c.commit()
        except ResumableError:
            self._raise_if_superseded()
            raise
        if not written:
            self._raise_superseded()
        self.last = mine
        return mine

    def sift(self) -> Iterator[tuple[Reject, ...]]:
        """See `Writer`: the rows that `publish` would refuse, in parts; the next commit is without them."""
        if self._options.on_bad_row == "raise":
            return
        self._roll_back()
        self._ready()
        with self._c.translating("The rows can't be looked through"):
            sifting = Sifting(self._c, self._options.table, self._state["staging"])

            def mark() -> None:
                self._lock_row()
                sifting.mark(revalidate(self._c, self.last, sifting.staging))

            self._retry_on_lock(mark)
            for part in sifting.taken():
                self._rows -= len(part)
                yield part

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        """See `Writer.publish`."""
        if self.last.is_published:
            return self.last
        self._roll_back()
        layout = self._ready()
        mine = replace(checkpoint, claim=self._claim.id)
        by_rename = layout.table is None and not self._c.traits.transactional_ddl

        def publish_once() -> None:
            nonlocal mine
            row, now = self._lock_row(), layout
            if row.number != checkpoint.number - 1:
                raise superseded(self._claim.run, row)
            if layout.table is not None:
                revalidate(self._c, self.last, self._state["staging"])  # what isn't there can't be locked
                self._c.database.publisher.lock_target(self._c, self._options.table, layout)
                now = revalidate(self._c, self.last, self._state["staging"])
            if not by_rename:
                publish(self._c, self._options.table, self._state["staging"], now, self._rows)
            remembered = published_table(self._c, self._options.table, made=self._state["fresh"])
            mine = replace(mine, sink={**self._state, "left": remembered})
            if not self._ledger.write(self._claim.id, checkpoint.number - 1, mine):
                raise superseded(self._claim.run, row)

        with self._c.translating(f"Table {self._options.table!r} can't be published", safe="The staged rows are kept."):
            if by_rename:
                self.last = promote(self._c, self._ledger, self._claim, self.last, layout, self._rows)
            self._retry_on_lock(publish_once)
        self.last = mine
        return mine

    # ---------------------------------------------------------------------------------- leaving no trace

    def accepted(self) -> None:
        """See `Writer.accepted`."""
        with self._c.translating("Older leftovers can't be swept"):
            self._retry_on_lock(lambda: sweep_older(self._c, self._ledger, self._claim))

    def discard(self) -> None:
        """See `Writer.discard`."""
        if not self._seen.is_begun and self.last.number == 1:
            self._remove(only_just_begun=True)

    def clean_up(self) -> None:
        """See `Writer.clean_up`."""
        self._roll_back()
        if not self.last.is_published:
            self._remove(only_just_begun=False)
            return
        with self._c.translating("What the run leaves can't be swept"):
            self._retry_on_lock(lambda: mark_finished(self._c, self._ledger, self._claim))
        self.last = self.last.finish()

    def _remove(self, *, only_just_begun: bool) -> None:
        with self._c.translating("What the run made can't be removed"):
            self._retry_on_lock(lambda: remove(self._c, self._ledger, self._claim, only_just_begun=only_just_begun))
            self._ledger.drop()

    def is_published(self) -> bool:
        """See `Writer.is_published`."""
        with self._c.translating(f"Table {self._options.table!r} can't be looked at"), self._c.reading():
            return self._target.is_where_begun(self.last) and is_still_there(
                self._c, self._options.table, self._options.if_exists, self.last
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(SQLAlchemyError, self._c.traits.driver_error):
            self._c.rollback()
            if not self.last.is_finished and not self._c.is_lost() and self._ledger.exists():
                with self._c.transaction():
                    self._ledger.release(self._claim.id)
        self._c.close()

    # --------------------------------------------------------------------------------------------- state

    @property
    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self.last.sink or {}
        return state

    def _reload(self) -> None:
        self._rows = int(self._state.get("rows", 0))
        self._row = int(self._state.get("row", self._rows))

    def _next_state(self) -> dict[str, Any]:
        return {**self._state, "rows": self._rows, "row": self._row}

    def _roll_back(self) -> None:
        """Drop what wasn't committed."""
        with contextlib.suppress(SQLAlchemyError, self._c.traits.driver_error):
            self._c.rollback()
        self._reload()

    def _ready(self) -> Layout:
        return self._target.ready(self.last, self._rows, self._lock_row)

    def _lock_row(self) -> Row:
        """The row is locked and mine: one that slept through the run must not make anything after it."""
        return lock_own_row(self._ledger, self._claim)

    def _retry_on_lock(self, act: Callable[[], None]) -> None:
        # A table that is loaded in plain view may be in others' use: their connections aren't ours to end.
        staging = "" if self._state.get("mode") == "direct" else self._state.get("staging", "")
        self._c.retry_on_lock(act, staging, self._options.table)

    def _raise_if_superseded(self) -> None:
        """After an error: `Superseded` if it came of another runner's having the run. Drops what wasn't committed."""
        self._roll_back()
        with contextlib.suppress(SQLAlchemyError, self._c.traits.driver_error), self._c.reading():
            row = self._ledger.read()
            if row is None or row.claim != self._claim.id:
                raise superseded(self._claim.run, row) from None

    def _raise_superseded(self) -> NoReturn:
        self._roll_back()
        with self._c.translating("The ledger can't be read"), self._c.reading():
            row = self._ledger.read()
        raise superseded(self._claim.run, row)

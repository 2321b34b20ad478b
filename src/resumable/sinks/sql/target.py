"""The table that a run goes into, and its staging, as they are now: looked at again whenever they may have changed."""

from __future__ import annotations

from collections.abc import Callable

from resumable.checkpoint import Checkpoint
from resumable.databases.connection import Connection
from resumable.databases.relations import Layout
from resumable.errors import TargetChanged
from resumable.sinks.sql.options import TableOptions
from resumable.sinks.sql.preflight import revalidate
from resumable.sinks.sql.staging import make_staging

__all__ = ["TargetTable"]

_UNSEEN = object()
"""No shape at all; None is that of a table that is gone."""


class TargetTable:
    """The table of `options` for the run of that name; `layout` is known of a new run."""

    def __init__(self, c: Connection, options: TableOptions, run: str, layout: Layout | None) -> None:
        self._c, self._name, self._run, self._layout = c, options.table, run, layout
        self._staging_ready = False
        self._shape: object = _UNSEEN

    def is_where_begun(self, last: Checkpoint) -> bool:
        """Whether the run was begun into this very table."""
        state, c = last.sink or {}, self._c
        return not state or (state["table"], state["schema"] or c.schema) == (self._name, c.schema)

    def ready(self, last: Checkpoint, rows: int, check: Callable[[], object]) -> Layout:
        """The layout, and staging in its place: it may have been swept while nothing was in it.

        `rows` should be staged. `check` comes first in the transaction that makes staging, and may refuse.
        """
        if self._staging_ready and self._layout is not None:
            return self._layout
        c, state = self._c, last.sink
        if not self.is_where_begun(last):
            raise TargetChanged(
                f"Run {self._run!r} was begun into {state['table']!r}, not {self._name!r}.",
                safe="Nothing was changed.",
                do="Give the run the same target, or another name.",
            )
        with c.translating("The target can't be looked at"), c.reading():
            is_there = c.database.catalog.kind(c, state["staging"]) == "table"
            if self._layout is None:
                self._layout = revalidate(c, last, state["staging"] if is_there else None)
        if not is_there:
            if rows or state["mode"] == "direct":
                raise TargetChanged(
                    f"Table {state['staging']!r}, with {rows:,} rows of run {self._run!r}, is gone.",
                    safe="Nothing was published.",
                    do="Restore it, or begin anew (--restart, pipeline.restart()).",
                )
            with c.translating("Staging can't be made"):
                make_staging(c, state["staging"], self._layout, check)
        self._staging_ready = True
        return self._layout

    def revalidate_if_changed(self, last: Checkpoint) -> None:
        """Look at a table that was there again, once anything about it is another: it may be gone."""
        if self._layout is not None and self._layout.table is not None:
            shape = self._c.database.catalog.shape(self._c, self._name)
            if shape != self._shape:
                self._layout, self._shape = revalidate(self._c, last, last.sink["staging"]), shape

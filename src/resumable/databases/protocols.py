"""What a database must be able to do for `SqlSink`.

One module per database keeps `Dialect`'s promises (sqlite.py, postgresql.py); nothing else in the package asks
which database it talks to. All SQL text is built from quoted names only: values travel as parameters or as bulk data.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import pyarrow as pa

from resumable.databases.relations import Column, Features, Layout, Refusal, Table
from resumable.databases.tables import Where

if TYPE_CHECKING:
    from resumable.databases.connection import Connection

__all__ = ["Dialect"]


class Dialect(Protocol):
    """One kind of database. Methods take the connection; those that write expect a transaction to be open."""

    name: str
    now: str
    """SQL for the database's clock, in seconds since 1970."""
    error: type[Exception]
    """What the driver raises."""
    tries: int
    """How often to wait for a lock in short turns, so that nobody queues behind us for long."""

    def attach(self, c: Connection) -> None:
        """Make a fresh connection ours: its settings, its transactions begun and ended by us alone."""
        ...

    def detach(self, c: Connection) -> None:
        """Leave the connection as it was found."""
        ...

    def home(self, c: Connection, where: Where, schema: str | None) -> str:
        """The schema of a table; `schema` was asked for. Refuses one that isn't there, or that goes with the connection."""
        ...

    def begin(self, c: Connection) -> None:
        """Begin a transaction that will write."""
        ...

    def look(self, c: Connection) -> None:
        """Begin to read: nobody's lock is waited for without end."""
        ...

    def lost(self, c: Connection) -> bool:
        """Whether the connection is broken."""
        ...

    def locked(self, error: BaseException) -> bool:
        """Whether it says that somebody else holds a lock."""
        ...

    def words(self, error: BaseException) -> str:
        """What the database says, without row values."""
        ...

    def fault(self, error: BaseException) -> tuple[str, str | None] | None:
        """Reason and column, if it says that a row doesn't fit; None if it is about anything else."""
        ...

    def backend(self, c: Connection) -> str:
        """What this connection is called by the database, for `dismiss`; "" if it has no such names."""
        ...

    def dismiss(self, c: Connection, backend: str) -> None:
        """End that connection where the database allows it."""
        ...

    def evict(self, c: Connection, staging: str) -> None:
        """End the connections of fenced-off runners that still hold our staging table."""
        ...

    def holders(self, c: Connection, name: str, staging: str = "") -> str:
        """In words, who holds locks on a table or, even if only reading, on staging, as far as can be told."""
        ...

    def seize(self, c: Connection, name: str) -> None:
        """Lock a table against everybody until the transaction ends."""
        ...

    def kind(self, c: Connection, name: str) -> str:
        """What bears a name: "table", "view", something else in words, or "" for nothing."""
        ...

    def tables(self, c: Connection, prefix: str) -> list[str]:
        """The names of the tables that begin so, and that this user may drop; where staging lies."""
        ...

    def misname(self, name: str) -> str:
        """Why this can't be a column's or table's name; "" if it can."""
        ...

    def fold(self, name: str) -> str:
        """What two names of columns have in common if they are one."""
        ...

    def judge(self, kind: pa.DataType, column: Column) -> str | None:
        """Why a column would alter such values; "" if it keeps them all; None to go by its type."""
        ...

    def refused(self, c: Connection, layout: Layout) -> Refusal | None:
        """Why the user may not do what the layout of a new run needs."""
        ...

    def barred(self, c: Connection, ledger: str, name: str, mode: str) -> Refusal | None:
        """Why the user may not use a ledger that is there. `mode` of a new run into `name`: with all else it lacks."""
        ...

    def withheld(self, c: Connection, staging: str) -> Refusal | None:
        """Why the user may not go on with a staging table that is there."""
        ...

    def lent(self, c: Connection, ledger: str) -> bool:
        """Whether an empty ledger is to stay: it is somebody else's, or was granted to others."""
        ...

    def ledgers(self, c: Connection, ledger: str) -> list[str]:
        """The schemas with other ledgers that the user may read."""
        ...

    def describe(self, c: Connection, name: str) -> Table:
        """An existing table."""
        ...

    def features(self, c: Connection, name: str) -> Features:
        """What tells an existing table from another of its name."""
        ...

    def shape(self, c: Connection, name: str) -> object:
        """What is another once a table or its columns have changed: cheap enough for every commit."""
        ...

    def odd(self, column: pa.Array, declared: Column | None) -> tuple[pa.Array, str] | None:
        """A mask of the values that the database couldn't keep as they are, and why; None if there are none."""
        ...

    def stage(self, c: Connection, staging: str, layout: Layout) -> None:
        """Make the staging table."""
        ...

    def create(self, c: Connection, name: str, layout: Layout) -> None:
        """Make a new table as it will stay."""
        ...

    def bulk(self, c: Connection, name: str, layout: Layout, rows: pa.RecordBatch, numbers: Sequence[int]) -> None:
        """Store rows, all or an error, with their numbers where the layout has them numbered."""
        ...

    def text(self, column: str) -> str:
        """SQL for the value of a quoted column as text, or as it is where Python's own text will do."""
        ...

    def reserve(self, c: Connection, name: str, layout: Layout) -> None:
        """Before publishing: lock the target against other writers as far as needed, put checks off to the end."""
        ...

    def adopt(self, c: Connection, staging: str, name: str, layout: Layout) -> None:
        """Staging becomes the table."""
        ...

    def overriding(self, layout: Layout) -> str:
        """What an INSERT must say to set identity columns."""
        ...

    def settle(self, c: Connection, name: str, staging: str, layout: Layout) -> None:
        """Last in publishing: a new table's key, if rows go in faster without; sequences past the supplied values."""
        ...

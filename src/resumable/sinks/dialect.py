"""What a database must be able to do for `SqlSink`, and how a table is described.

One module per database keeps `Dialect`'s promises (sqlite.py, postgresql.py); nothing else in the package asks
which database it talks to. All SQL text is built from quoted names only: values travel as parameters or as bulk data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple, Protocol, TypeAlias

import pyarrow as pa

from resumable.checkpoint import Checkpoint, Json
from resumable.tables import Where

if TYPE_CHECKING:
    from resumable.sinks.connection import Connection

__all__ = [
    "AGE",
    "ROW",
    "WHY",
    "Column",
    "Dialect",
    "Features",
    "Foreign",
    "Layout",
    "Mode",
    "Referrer",
    "Refusal",
    "Table",
    "Unique",
]

ROW = "resumable_row"
"""The source's number of a staged row: it grows in the order of arrival."""
AGE = "resumable_age"
"""In an upsert, how many rows of its key come after a staged row, and one."""
WHY = "resumable_why"
"""Why a staged row can't be published; the column comes when staging is looked through for such rows."""

Mode: TypeAlias = Literal["new", "direct", "append", "upsert", "replace"]
"""`new`: a table that isn't there. `direct`: rows go straight into a table of the run's own."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an existing table. `type` is None where any value is taken as it is."""

    name: str
    type: pa.DataType | None
    declared: str
    nullable: bool = True
    default: str = ""
    """In SQL, where it has one."""
    filled: bool = False
    """The database fills it in where it is left out: a default, an identity."""
    always: bool = False
    """GENERATED ALWAYS AS IDENTITY: takes explicit values only when told to."""
    generated: bool = False
    """Computed: takes no values."""
    words: tuple[str, ...] = ()
    """Texts that it takes and `type` has no value for: NaN, infinity."""


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique index or constraint over plain columns, without a condition; `collations` by column, if it has its own.

    `nulls`: to it NULL equals NULL (NULLS NOT DISTINCT).
    """

    columns: tuple[str, ...]
    collations: Mapping[str, str] = field(default_factory=dict)
    immediate: bool = True
    nulls: bool = False


@dataclass(frozen=True, slots=True)
class Foreign:
    """A foreign key of the table. `parent` is quoted; `own`: it refers to the table itself."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    own: bool = False


@dataclass(frozen=True, slots=True)
class Referrer:
    """Another table's foreign key that refers to the table. `child` is quoted; `action` on delete, in SQL's words."""

    child: str
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    action: str
    deferrable: bool


@dataclass(frozen=True, slots=True)
class Table:
    """An existing table."""

    name: str
    columns: tuple[Column, ...]
    primary: tuple[str, ...] = ()
    uniques: tuple[Unique, ...] = ()
    foreign: tuple[Foreign, ...] = ()
    referrers: tuple[Referrer, ...] = ()


@dataclass(frozen=True, slots=True)
class Features:
    """What tells a table from another of its name: an identity of the database's own (None: it has none), its structure,
    and, in words, what would go or fail if it were dropped.
    """

    identity: Json
    structure: Json
    dependents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """How rows come to lie in the target. `rows`: the target's column names and types, in the source's order.

    `replaces`: the completed run whose table gives way to a new one.
    """

    mode: Mode
    rows: pa.Schema
    key: tuple[str, ...] = ()
    table: Table | None = None
    replaces: Checkpoint | None = None

    @property
    def columns(self) -> list[str]:
        """The target's columns that are supplied."""
        return list(self.rows.names)

    @property
    def renamed(self) -> bool:
        """Whether staging becomes the table: a new one without a key, since a key may be broken and needs numbers."""
        return self.mode == "new" and not self.key

    @property
    def numbered(self) -> bool:
        """Whether staged rows have their `ROW`."""
        return self.mode != "direct" and not self.renamed

    @property
    def unique(self) -> Unique:
        """The key as the table has it; one to which NULLs are equal comes first, since it refuses more."""
        found = [u for u in (self.table.uniques if self.table else ()) if {*u.columns} == {*self.key} and u.immediate]
        return next((u for u in found if u.nulls), found[0] if found else Unique(self.key))


class Refusal(NamedTuple):
    """Why something may not be done, and what to do about it."""

    what: str
    do: str


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

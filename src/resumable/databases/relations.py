"""How a table is described, the same for every database, and how a run's rows come to lie in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, TypeAlias

import pyarrow as pa

from resumable.checkpoint import Checkpoint, Json

__all__ = [
    "AGE",
    "ROW",
    "WHY",
    "Column",
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
    has_default: bool = False
    """The database fills it in where it is left out: a default, an identity."""
    always_identity: bool = False
    """GENERATED ALWAYS AS IDENTITY: takes explicit values only when told to."""
    generated: bool = False
    """Computed: takes no values."""
    words: tuple[str, ...] = ()
    """Texts that it takes and `type` has no value for: NaN, infinity."""


@dataclass(frozen=True, slots=True)
class Unique:
    """A unique index or constraint over plain columns, without a condition; `collations` by column, if it has its own.

    `nulls_equal`: to it NULL equals NULL (NULLS NOT DISTINCT).
    """

    columns: tuple[str, ...]
    collations: Mapping[str, str] = field(default_factory=dict)
    immediate: bool = True
    nulls_equal: bool = False


@dataclass(frozen=True, slots=True)
class Foreign:
    """A foreign key of the table. `parent` is quoted; `refers_to_itself`: the parent is the table itself."""

    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]
    refers_to_itself: bool = False


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
    may_rename: bool = True
    """Whether staging may become the table; not where staged rows need numbers in any case."""

    @property
    def columns(self) -> list[str]:
        """The target's columns that are supplied."""
        return list(self.rows.names)

    @property
    def renamed(self) -> bool:
        """Whether staging becomes the table: a new one without a key, since a key may be broken and needs numbers."""
        return self.may_rename and self.mode == "new" and not self.key

    @property
    def numbered(self) -> bool:
        """Whether staged rows have their `ROW`."""
        return self.mode != "direct" and not self.renamed

    @property
    def unique(self) -> Unique:
        """The key as the table has it; one to which NULLs are equal comes first, since it refuses more."""
        found = [u for u in (self.table.uniques if self.table else ()) if {*u.columns} == {*self.key} and u.immediate]
        return next((u for u in found if u.nulls_equal), found[0] if found else Unique(self.key))


class Refusal(NamedTuple):
    """Why something may not be done, and what to do about it."""

    what: str
    do: str

"""The range of keys that a run reads: conditions, and what would leave rows out of it in silence.

A comparison with NULL is never true, and `> last` leaves out a second row of the same key: both are looked for where
the database doesn't rule them out, in the same snapshot that is then read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from resumable.checkpoint import Json
from resumable.databases.keyset import Key, Relation
from resumable.databases.protocols import Reader
from resumable.databases.traits import Traits
from resumable.errors import SourceError

__all__ = ["Opened", "key_range", "not_unique", "refuse_duplicate_keys", "refuse_nulls", "rowids_changed", "shown"]


@dataclass(frozen=True, slots=True)
class Opened:
    """A database that is being read: what it is like, its reader, its connection in a transaction, what is read and by which key."""

    traits: Traits
    reader: Reader
    driver: Any
    relation: Relation
    key: Key


def shown(values: Sequence[Json]) -> str:
    """A key for people."""
    return ", ".join(str(value) for value in values)


def key_range(at: Opened, after: list[Json] | None, high: list[Json]) -> tuple[str, list[Any]]:
    """The condition, and its parameters, of keys after one and up to another."""
    conditions, parameters = [], []
    for than, values in ((">", after), ("<=", high)):
        if values is not None:
            sql, bound = at.reader.bind(at.driver, at.relation, at.key, values)
            conditions.append(at.key.compare(than, sql))
            parameters += bound
    return " AND ".join(conditions), parameters


def refuse_nulls(at: Opened) -> None:
    """A row with NULL in its key is beyond every comparison: it would be left out in silence."""
    for name, term in zip(at.key.names, at.key.terms, strict=True):
        if not at.key.proven and at.reader.fetch_one(
            at.driver, f"SELECT 1 FROM {at.relation.sql} WHERE {term} IS NULL LIMIT 1", []
        ):
            raise SourceError(
                f"{at.relation.name} has rows where the key column {name!r} is NULL; they would be left out.",
                safe="What was committed is safe.",
                do="Choose a key that is never NULL, or read a query that leaves these rows out.",
            )


def refuse_duplicate_keys(at: Opened, after: list[Json] | None) -> None:
    """More rows than one at the position: those after the first would be left out in silence."""
    if at.key.proven or after is None:
        return
    sql, bound = at.reader.bind(at.driver, at.relation, at.key, after)
    query = f"SELECT count(*) FROM (SELECT 1 FROM {at.relation.sql} WHERE {at.key.compare('=', sql)} LIMIT 2) AS twins"
    row = at.reader.fetch_one(at.driver, query, bound)
    if row is not None and row[0] > 1:
        raise not_unique(at.key, after)


def not_unique(key: Key, values: list[Json] | None) -> SourceError:
    """The error for a key that comes twice."""
    example = f": {shown(values)} comes twice" if values else ""
    return SourceError(
        f"The key ({', '.join(key.names)}) isn't unique{example}.",
        safe="What was committed is safe; nothing was published.",
        do="Name more columns in key=, so that together they are unique, and begin anew.",
    )


def rowids_changed(at: Opened, identity: dict[str, Json], position: Json) -> str | None:
    """VACUUM may give new rowids where nothing names them: then the rows behind the position aren't those read."""
    if not at.key.hidden or position is None or at.key.schema_version == identity["schema_version"]:
        return None
    row = at.reader.fetch_one(
        at.driver, f"SELECT count(*) FROM {at.relation.sql} WHERE {at.key.compare('<=', ['?'])}", position["after"]
    )
    if row is not None and row[0] != position["row"]:
        return (
            f"{position['row']} rows had been read up to rowid {position['after'][0]}, where there are now {row[0]} "
            "(rows were added or deleted there, or VACUUM has numbered them anew)"
        )
    return None

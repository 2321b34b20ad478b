"""What a run is to do with its table, as a plain value; and which table that is, once it has been looked up."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from resumable.checkpoint import Checkpoint
from resumable.databases.connection import Connection
from resumable.databases.tables import DEFAULT, Where, full_name
from resumable.errors import TargetChanged

__all__ = ["IfExists", "OnBadRow", "TableOptions", "as_begun", "resolve_table"]

IfExists: TypeAlias = Literal["fail", "replace", "append", "upsert"]
OnBadRow: TypeAlias = Literal["raise", "quarantine"]


@dataclass(frozen=True, slots=True)
class TableOptions:
    """The table, and the options of `SqlSink` that say how rows come into it."""

    table: str
    if_exists: IfExists = "fail"
    key: tuple[str, ...] = ()
    staging: bool = True
    on_bad_row: OnBadRow = "raise"


def resolve_table(c: Connection, options: TableOptions, run: str, last: Checkpoint) -> TableOptions:
    """The options with the table that the run began with; or, where none has begun, the one that the name means now.

    Raises `TargetChanged` where the name means another table than it did.
    """
    now, then = c.where, _begun(last)
    if then is None or _same(c, then, now):
        return _at(c, options, now)
    assert then.schema is not None
    old = c.locate(then.table, then.schema)
    loaded = last.stage == "completed"
    if old.exists if loaded else not last.is_decided:
        was, is_ = (full_name(c.traits, str(x.schema), x.table) for x in (then, now))
        back = f"For {was} say {then.table!r}, schema={then.schema!r} and name={run!r}. " if old.schema else ""
        raise TargetChanged(
            f"Run {run!r} was begun into {was}, and {options.table!r} now means {is_}.",
            safe="Nothing was changed.",
            do=f"{back}For {is_} give the run a name of its own (name=, --name), or begin anew (--restart,"
            " pipeline.restart()).",
        )
    return _at(c, options, now if loaded or old.schema is None else then)


def as_begun(c: Connection, options: TableOptions, last: Checkpoint) -> TableOptions:
    """The options with the table spelled as the run began with it, if that is the same table."""
    then = _begun(last)
    if then is None or not _same(c, then, Where(c.schema, options.table, exists=False)):
        return options
    return _at(c, options, then)


def _at(c: Connection, options: TableOptions, where: Where) -> TableOptions:
    assert where.schema is not None
    c.move(where.schema)
    return replace(options, table=where.table)


def _begun(last: Checkpoint) -> Where | None:
    """The table that a run was begun into."""
    state = last.sink if last.is_begun else None
    # Before there were attached databases, the only one of SQLite had no name.
    return Where(state["schema"] or DEFAULT["sqlite"], state["table"], exists=False) if state else None


def _same(c: Connection, one: Where, other: Where) -> bool:
    fold = c.traits.normalize_identifier
    return (one.schema, fold(one.table)) == (other.schema, fold(other.table))

"""What a completed run has left in its target: kept when it is published, and compared with what is there later.

* A table of that name which is another one, or is empty though rows went in, is `TargetChanged`: nothing is called done
  that isn't. A table that was dropped is none of that: the run is made anew.
* A table that a run has made may be replaced as a whole by a restart of that run, while it is still as the run left it
  and nothing depends on it. Rows and definitions that somebody else has added are never dropped.
"""

from __future__ import annotations

from typing import Any

from resumable.checkpoint import Checkpoint, Json
from resumable.databases.connection import Connection
from resumable.errors import TargetChanged
from resumable.sinks.sql.ledger import NAME as LEDGER

__all__ = ["holds_rows", "is_still_there", "published_table", "was_made_by", "why_irreplaceable"]


def published_table(c: Connection, name: str, *, made: bool) -> dict[str, Json]:
    """What to keep of the table that was just published, in the transaction that has published it.

    `made`: by the run itself, so that all rows in it are the run's.
    """
    features = c.database.catalog.features(c, name)
    return {
        "table": features.identity,
        "ledger": c.database.catalog.features(c, LEDGER).identity,
        "structure": features.structure,
        "count": _count(c, name) if made else None,
        "filled": _has_rows(c, name),
    }


def is_still_there(c: Connection, name: str, if_exists: str, completed: Checkpoint) -> bool:
    """Whether what the completed run `held` has published is there. Raises `TargetChanged` if something else is."""
    if c.database.catalog.kind(c, name) != "table":
        return False
    remembered = (completed.sink or {}).get("left")
    if remembered is None:
        return True
    # In a database that was dumped and restored everything has another identity, the ledger too.
    features, ledger = c.database.catalog.features(c, name), c.database.catalog.features(c, LEDGER).identity
    if features.identity != remembered["table"] and ledger == remembered["ledger"]:
        what = f"another table has the name {name!r} by now, with {_count(c, name):,} rows"
    elif features.identity is None and (missing := _missing(c, name, completed)):
        raise TargetChanged(
            f"The run was completed with {completed.rows:,} rows, but table {name!r} has no column {missing!r} by now.",
            safe="Nothing was changed.",
            do="Bring the table back that was loaded, or drop this one: then the same call loads it anew.",
        )
    elif remembered["filled"] and not _has_rows(c, name):
        what = f"table {name!r} is empty by now"
    else:
        return True
    if if_exists != "fail":
        do = "A restart (--restart, pipeline.restart()) loads it again, into the table that is there."
    elif not was_made_by(c, name, completed) or why_irreplaceable(c, name, completed):
        do = "A restart with if_exists='append' (--restart --if-exists append) loads it again, into the table that is there."
    else:
        do = "A restart (--restart, pipeline.restart()) loads it again."
    raise TargetChanged(
        f"The run was completed with {completed.rows:,} rows, but {what}.", safe="Nothing was changed.", do=do
    )


def was_made_by(c: Connection, name: str, completed: Checkpoint) -> bool:
    """Whether the completed run `held` made its table, and it was this one."""
    state = completed.sink or {}
    return bool(state.get("left") and state["fresh"] and (state["table"], state["schema"]) == (name, c.schema))


def why_irreplaceable(c: Connection, name: str, completed: Checkpoint) -> str:
    """Why the table that `held` made may not be replaced as a whole by a restart of that run; "" if it may."""
    remembered: dict[str, Any] = completed.sink["left"]
    features = c.database.catalog.features(c, name)
    if features.identity != remembered["table"]:
        return "it isn't the table that the completed run made"
    if features.structure != remembered["structure"]:
        return "it was altered since the completed run made it"
    if features.dependents:
        return f"there are {', '.join(features.dependents)}"
    count = _count(c, name)
    if count not in (0, remembered["count"]):
        return f"it has {count:,} rows, and the completed run left {remembered['count']:,}"
    return ""


def holds_rows(c: Connection, name: str, completed: Checkpoint) -> bool:
    """Whether the table, as far as can be told, still has rows that the completed run `completed` has put there."""
    return c.database.catalog.features(c, name).identity == completed.sink["left"]["table"] and _has_rows(c, name)


def _missing(c: Connection, name: str, completed: Checkpoint) -> str:
    """A column that the completed run has filled and the table doesn't have; "" if there is none."""
    schema = completed.output_schema or completed.schema
    fold = c.traits.normalize_identifier
    there = {fold(column.name) for column in c.database.catalog.describe(c, name).columns}
    return next((column for column in (schema.names if schema else ()) if fold(column) not in there), "")


def _count(c: Connection, name: str) -> int:
    return int(c.sql(f"SELECT count(*) FROM {c.qualified(name)}").scalar_one())


def _has_rows(c: Connection, name: str) -> bool:
    return c.sql(f"SELECT 1 FROM {c.qualified(name)} LIMIT 1").first() is not None

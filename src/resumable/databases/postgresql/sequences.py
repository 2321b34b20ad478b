"""The sequences behind a table's columns in PostgreSQL, and how they move past values that were supplied.

setval isn't part of a transaction: what it has done stays when publishing is rolled back. So the sequence's owner, and
only the owner may, first gets the transaction a copy of the sequence, which goes again with it. Others have setval
alone: after a crash between that and the COMMIT, and a terminate, numbers are skipped, as after any rolled back INSERT.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.exc import DBAPIError

from resumable.databases.executor import Executor
from resumable.databases.inserting import savepoint
from resumable.databases.postgresql.catalog import TABLE, quoted

__all__ = ["Counter", "move", "sequences"]

BRIEF = "500ms"
"""How long to wait for a sequence, which is asked for in the middle of publishing: less than it takes to see a deadlock."""

_SEQUENCES = f"""
SELECT DISTINCT a.attname, n.nspname, q.relname, s.seqincrement, s.seqmin, s.seqmax,
       pg_has_role(q.relowner, 'USAGE') AS owned
FROM (SELECT d.refobjid AS tab, d.refobjsubid AS col, d.objid AS seq FROM pg_depend d
      WHERE d.classid = CAST('pg_class' AS regclass) AND d.refclassid = CAST('pg_class' AS regclass)
        AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
      UNION SELECT f.adrelid, f.adnum, d.refobjid FROM pg_attrdef f JOIN pg_depend d
        ON d.classid = CAST('pg_attrdef' AS regclass) AND d.objid = f.oid
        AND d.refclassid = CAST('pg_class' AS regclass)) x
JOIN pg_sequence s ON s.seqrelid = x.seq JOIN pg_class q ON q.oid = x.seq JOIN pg_namespace n ON n.oid = q.relnamespace
JOIN pg_attribute a ON a.attrelid = x.tab AND a.attnum = x.col
WHERE x.tab = {TABLE}
"""


@dataclass(frozen=True, slots=True)
class Counter:
    """A sequence that a column is filled from. `name` is quoted; `owned`: by this user."""

    column: str
    name: str
    step: int
    least: int
    greatest: int
    owned: bool


def sequences(c: Executor, name: str) -> list[Counter]:
    """The sequences behind the table's columns: identities, serials, and other defaults of nextval."""
    rows = c.sql(_SEQUENCES, t=name, s=c.schema_of(name))
    return [Counter(column, quoted(c, schema, q), *rest) for column, schema, q, *rest in rows]


def move(c: Executor, sequence: Counter, staged: str) -> None:
    """Move the sequence past the staged values, if it isn't already."""
    extreme, past = ("max", ">") if sequence.step > 0 else ("min", "<")
    behind = (
        f"FROM (SELECT CAST({extreme}({c.quote(sequence.column)}) AS bigint) AS value FROM {staged}) v, {sequence.name} s"
        f" WHERE v.value BETWEEN {sequence.least} AND {sequence.greatest}"
        f" AND (v.value {past} s.last_value OR (v.value = s.last_value AND NOT s.is_called))"
    )
    if not c.sql(f"SELECT 1 {behind}").all():
        return
    # Whatever ALTER SEQUENCE says, it gives the transaction a copy of its own. Only the owner may; and whoever has
    # drawn from the sequence keeps it until their transaction ends: nobody shall queue behind us for long.
    if sequence.owned:
        with contextlib.suppress(_Busy), _short_wait(c):
            c.sql(f"ALTER SEQUENCE {sequence.name} INCREMENT BY {sequence.step}")
    c.sql(f"SELECT setval({_literal(sequence.name)}, v.value) {behind}").all()


class _Busy(Exception):
    """Somebody else holds the lock."""


@contextlib.contextmanager
def _short_wait(c: Executor) -> Iterator[None]:
    """Raises `_Busy` soon where a lock can't be had; nothing is left of what was done."""
    wait = "SELECT set_config('lock_timeout', :wait, true)"
    try:
        with savepoint(c, "resumable_brief"):
            before = c.sql("SELECT current_setting('lock_timeout')").scalar_one()
            c.sql(wait, wait=BRIEF)
            yield
            c.sql(wait, wait=before)
    except DBAPIError as error:
        if not c.traits.is_locked(error):
            raise
        raise _Busy from None


def _literal(name: str) -> str:
    return "CAST('" + name.replace("'", "''") + "' AS regclass)"

"""What PostgreSQL's catalogs tell of a table, and of the sequences behind its columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from resumable.sinks.connection import Connection
from resumable.sinks.dialect import Column, Foreign, Referrer, Table, Unique
from resumable.sqltypes import arrow_type, declared_type

__all__ = ["Sequence", "describe", "sequences"]

_TABLE = "(SELECT t.oid FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace WHERE t.relname = :t AND n.nspname = :s)"

_COLUMNS = f"""
SELECT a.attname, format_type(coalesce(nullif(y.typbasetype, 0), a.atttypid), CASE WHEN y.typbasetype <> 0
           THEN y.typtypmod ELSE a.atttypmod END) AS declared,
       a.attnotnull OR y.typnotnull AS required, a.atthasdef, a.attidentity, a.attgenerated
FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
WHERE a.attrelid = {_TABLE} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

_UNIQUES = f"""
SELECT i.indisprimary, i.indimmediate,
       ARRAY(SELECT CAST(a.attname AS text) FROM unnest(CAST(i.indkey AS int2[])) WITH ORDINALITY k (number, at)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
             WHERE k.at <= i.indnkeyatts ORDER BY k.at) AS names
FROM pg_index i
WHERE i.indrelid = {_TABLE} AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
"""

_FOREIGN = f"""
SELECT c.conrelid = {_TABLE} AS outgoing, c.confrelid = {_TABLE} AS incoming, c.confdeltype, c.condeferrable,
       cn.nspname AS child_schema, ct.relname AS child, pn.nspname AS parent_schema, pt.relname AS parent,
       has_table_privilege(c.confrelid, 'SELECT') AS readable,
       ARRAY(SELECT CAST(a.attname AS text) FROM unnest(c.conkey) WITH ORDINALITY k (number, at)
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.at) AS names,
       ARRAY(SELECT CAST(a.attname AS text) FROM unnest(c.confkey) WITH ORDINALITY k (number, at)
             JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number ORDER BY k.at) AS parents
FROM pg_constraint c
JOIN pg_class ct ON ct.oid = c.conrelid JOIN pg_namespace cn ON cn.oid = ct.relnamespace
JOIN pg_class pt ON pt.oid = c.confrelid JOIN pg_namespace pn ON pn.oid = pt.relnamespace
WHERE c.contype = 'f' AND {_TABLE} IN (c.conrelid, c.confrelid)
"""

_SEQUENCES = f"""
SELECT DISTINCT a.attname, n.nspname, q.relname, s.seqincrement, s.seqmin, s.seqmax,
       has_sequence_privilege(q.oid, 'UPDATE') AND has_sequence_privilege(q.oid, 'SELECT') AS movable
FROM (SELECT d.refobjid AS tab, d.refobjsubid AS col, d.objid AS seq FROM pg_depend d
      WHERE d.classid = CAST('pg_class' AS regclass) AND d.refclassid = CAST('pg_class' AS regclass)
        AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0
      UNION SELECT f.adrelid, f.adnum, d.refobjid FROM pg_attrdef f JOIN pg_depend d
        ON d.classid = CAST('pg_attrdef' AS regclass) AND d.objid = f.oid
        AND d.refclassid = CAST('pg_class' AS regclass)) x
JOIN pg_sequence s ON s.seqrelid = x.seq JOIN pg_class q ON q.oid = x.seq JOIN pg_namespace n ON n.oid = q.relnamespace
JOIN pg_attribute a ON a.attrelid = x.tab AND a.attnum = x.col
WHERE x.tab = {_TABLE}
"""

_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


@dataclass(frozen=True, slots=True)
class Sequence:
    """A sequence that a column is filled from. `name` is quoted; `movable`: this user may set it."""

    column: str
    name: str
    step: int
    least: int
    greatest: int
    movable: bool


def describe(c: Connection, name: str) -> Table:
    """The table, as the catalogs tell it."""
    here: dict[str, Any] = {"t": name, "s": c.schema}
    columns = tuple(
        Column(
            name=x.attname,
            type=arrow_type(declared_type(x.declared, "postgresql"), "postgresql"),
            declared=x.declared,
            nullable=not x.required,
            filled=x.atthasdef or bool(x.attidentity),
            always=x.attidentity == "a",
            generated=bool(x.attgenerated),
        )
        for x in c.sql(_COLUMNS, **here)
    )
    primary: tuple[str, ...] = ()
    uniques = []
    for x in c.sql(_UNIQUES, **here):
        primary = tuple(x.names) if x.indisprimary else primary
        uniques.append(Unique(tuple(x.names), immediate=x.indimmediate))
    foreign, referrers = [], []
    for x in c.sql(_FOREIGN, **here):
        if x.outgoing and x.readable:
            foreign.append(Foreign(tuple(x.names), _quoted(c, x.parent_schema, x.parent), tuple(x.parents), x.incoming))
        if x.incoming and not x.outgoing:
            action = _ACTIONS[x.confdeltype]
            child = _quoted(c, x.child_schema, x.child)
            referrers.append(Referrer(child, tuple(x.names), tuple(x.parents), action, x.condeferrable))
    return Table(name, columns, primary, tuple(uniques), tuple(foreign), tuple(referrers))


def sequences(c: Connection, name: str) -> list[Sequence]:
    """The sequences behind the table's columns: identities, serials, and other defaults of nextval."""
    found = c.sql(_SEQUENCES, t=name, s=c.schema)
    return [Sequence(column, _quoted(c, schema, q), *rest) for column, schema, q, *rest in found]


def _quoted(c: Connection, schema: str, name: str) -> str:
    return f"{c.quote(schema)}.{c.quote(name)}"

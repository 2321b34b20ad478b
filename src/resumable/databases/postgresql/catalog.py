"""What PostgreSQL's catalogs tell of a table."""

from __future__ import annotations

from typing import Any

from resumable.databases.executor import Executor
from resumable.databases.postgresql.types import POSTGRESQL_TYPES
from resumable.databases.relations import Column, Features, Foreign, Referrer, Table, Unique
from resumable.databases.types import arrow_type, declared_type

__all__ = ["TABLE", "PostgresqlCatalog", "quoted"]

TABLE = "(SELECT t.oid FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace WHERE t.relname = :t AND n.nspname = :s)"

_COLUMNS = f"""
SELECT a.attname, format_type(coalesce(nullif(y.typbasetype, 0), a.atttypid), CASE WHEN y.typbasetype <> 0
           THEN y.typtypmod ELSE a.atttypmod END) AS declared,
       a.attnotnull OR y.typnotnull AS required, a.atthasdef, a.attidentity, a.attgenerated
FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
WHERE a.attrelid = {TABLE} AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""

_SHAPE = f"""
SELECT string_agg(concat_ws(' ', a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull), ',' ORDER BY a.attnum)
FROM pg_attribute a WHERE a.attrelid = {TABLE} AND a.attnum > 0 AND NOT a.attisdropped
"""

_UNIQUES = f"""
SELECT i.indisprimary, i.indimmediate,
       CAST(coalesce(to_jsonb(i) ->> 'indnullsnotdistinct', 'false') AS boolean) AS nulls, -- before 15 there is none
       ARRAY(SELECT CAST(a.attname AS text) FROM unnest(CAST(i.indkey AS int2[])) WITH ORDINALITY k (number, at)
             JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
             WHERE k.at <= i.indnkeyatts ORDER BY k.at) AS names
FROM pg_index i
WHERE i.indrelid = {TABLE} AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
"""

_FOREIGN = f"""
SELECT c.conrelid = {TABLE} AS outgoing, c.confrelid = {TABLE} AS incoming, c.confdeltype, c.condeferrable,
       cn.nspname AS child_schema, ct.relname AS child, pn.nspname AS parent_schema, pt.relname AS parent,
       has_table_privilege(c.confrelid, 'SELECT') AS readable,
       ARRAY(SELECT CAST(a.attname AS text) FROM unnest(c.conkey) WITH ORDINALITY k (number, at)
             JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.number ORDER BY k.at) AS names,
       ARRAY(SELECT CAST(a.attname AS text) FROM unnest(c.confkey) WITH ORDINALITY k (number, at)
             JOIN pg_attribute a ON a.attrelid = c.confrelid AND a.attnum = k.number ORDER BY k.at) AS parents
FROM pg_constraint c
JOIN pg_class ct ON ct.oid = c.conrelid JOIN pg_namespace cn ON cn.oid = ct.relnamespace
JOIN pg_class pt ON pt.oid = c.confrelid JOIN pg_namespace pn ON pn.oid = pt.relnamespace
WHERE c.contype = 'f' AND {TABLE} IN (c.conrelid, c.confrelid)
"""

# The table's own primary key is part of its structure; a default, an index, a trigger, a policy isn't. Nor is what is
# set on the table itself, and would be lost with it.
_DEPENDENTS = f"""
SELECT pg_describe_object(d.classid, d.objid, d.objsubid)
FROM pg_depend d LEFT JOIN pg_constraint k ON d.classid = CAST('pg_constraint' AS regclass) AND k.oid = d.objid
WHERE d.refclassid = CAST('pg_class' AS regclass) AND d.refobjid = {TABLE} AND d.deptype IN ('n', 'a')
  AND NOT (k.oid IS NOT NULL AND k.conrelid = d.refobjid AND k.contype IN ('p', 'n'))
UNION SELECT pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend d JOIN pg_class t ON t.oid = {TABLE}
  WHERE d.refclassid = CAST('pg_type' AS regclass) AND d.refobjid = t.reltype AND d.deptype = 'n'
UNION SELECT x.what FROM pg_class t, LATERAL (VALUES
    ('row level security', t.relrowsecurity OR t.relforcerowsecurity),
    ('storage parameters', t.reloptions IS NOT NULL),
    ('a replica identity', t.relreplident <> 'd'),
    ('a table that is unlogged', t.relpersistence <> 'p'),
    ('comments', EXISTS (SELECT FROM pg_description o
                         WHERE o.objoid = t.oid AND o.classoid = CAST('pg_class' AS regclass))),
    ('settings of columns', EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0
                                    AND (a.attoptions IS NOT NULL OR coalesce(a.attstattarget, -1) >= 0)))
  ) AS x (what, there) WHERE t.oid = {TABLE} AND x.there
ORDER BY 1
"""

_STRUCTURE = f"""
SELECT t.oid, CAST(t.relacl AS text) AS acl, pg_has_role(t.relowner, 'MEMBER') AS own,
       ARRAY(SELECT concat_ws(' ', quote_ident(a.attname), format_type(a.atttypid, a.atttypmod),
                              CASE WHEN a.attnotnull THEN 'not null' END, CAST(a.attacl AS text))
             FROM pg_attribute a WHERE a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
             ORDER BY a.attnum) AS columns
FROM pg_class t WHERE t.oid = {TABLE}
"""

_ACTIONS = {"a": "NO ACTION", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


class PostgresqlCatalog:
    """See `Catalog`."""

    def kind(self, c: Executor, name: str) -> str:
        kind = c.sql(
            "SELECT t.relkind FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace"
            " WHERE t.relname = :name AND n.nspname = :schema",
            name=name,
            schema=c.schema_of(name),
        ).scalar()
        words = {"r": "table", "p": "table", "v": "view", "m": "materialized view", "f": "foreign table", "i": "index"}
        if kind:
            return words.get(kind, "sequence" if kind == "S" else "relation")
        other = c.sql(
            "SELECT 1 FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
            " WHERE t.typname = :name AND n.nspname = :schema AND t.typcategory <> 'A'",
            name=name,
            schema=c.schema_of(name),
        ).scalar()
        return "type" if other else ""

    def tables(self, c: Executor, prefix: str) -> list[str]:
        query = (
            "SELECT tablename FROM pg_tables WHERE schemaname = :schema AND starts_with(tablename, :prefix)"
            " AND pg_has_role(tableowner, 'USAGE')"
        )
        return [name for (name,) in c.sql(query, schema=c.own_schema, prefix=prefix)]

    def describe(self, c: Executor, name: str) -> Table:
        return _describe(c, name)

    def features(self, c: Executor, name: str) -> Features:
        table: dict[str, Any] = {"t": name, "s": c.schema_of(name)}
        x = c.sql(_STRUCTURE, **table).one()
        dependents = [str(what) for (what,) in c.sql(_DEPENDENTS, **table)]
        if not x.own:
            dependents.append("another role that owns it")
        return Features(x.oid, {"columns": list(x.columns), "grants": x.acl}, tuple(dependents))

    def shape(self, c: Executor, name: str) -> object:
        return c.sql(_SHAPE, t=name, s=c.schema_of(name)).scalar()


def _describe(c: Executor, name: str) -> Table:
    """The table, as the catalogs tell it."""
    table: dict[str, Any] = {"t": name, "s": c.schema_of(name)}
    columns = tuple(
        Column(
            name=x.attname,
            type=arrow_type(declared_type(x.declared, POSTGRESQL_TYPES), POSTGRESQL_TYPES),
            declared=x.declared,
            nullable=not x.required,
            has_default=x.atthasdef or bool(x.attidentity),
            always_identity=x.attidentity == "a",
            generated=bool(x.attgenerated),
            words=_words(x.declared),
        )
        for x in c.sql(_COLUMNS, **table)
    )
    primary: tuple[str, ...] = ()
    uniques = []
    for x in c.sql(_UNIQUES, **table):
        primary = tuple(x.names) if x.indisprimary else primary
        uniques.append(Unique(tuple(x.names), immediate=x.indimmediate, nulls_equal=x.nulls))
    foreign, referrers = [], []
    for x in c.sql(_FOREIGN, **table):
        if x.outgoing and x.readable:
            foreign.append(Foreign(tuple(x.names), quoted(c, x.parent_schema, x.parent), tuple(x.parents), x.incoming))
        if x.incoming and not x.outgoing:
            action = _ACTIONS[x.confdeltype]
            child = quoted(c, x.child_schema, x.child)
            referrers.append(Referrer(child, tuple(x.names), tuple(x.parents), action, x.condeferrable))
    return Table(name, columns, primary, tuple(uniques), tuple(foreign), tuple(referrers))


def _words(declared: str) -> tuple[str, ...]:
    """numeric(p,s) has NaN but no infinity; numeric is text in Arrow anyway, and floats have them all."""
    if declared.startswith("numeric("):
        return ("NaN",)
    return ("infinity", "-infinity") if declared.startswith(("date", "timestamp")) else ()


def quoted(c: Executor, schema: str, name: str) -> str:
    """A name with its schema, for SQL."""
    return f"{c.quote(schema)}.{c.quote(name)}"

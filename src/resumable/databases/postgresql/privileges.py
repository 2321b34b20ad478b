"""What the user of a PostgreSQL connection may not do that a run needs, each with the GRANT that would allow it.

Rights are asked for by oid, so that nothing has to be readable for it, and a membership that inherits counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from resumable.databases.executor import Executor
from resumable.databases.relations import Layout, Refusal

__all__ = ["PostgresqlPrivileges", "no_usable_schema"]

LEDGER = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""SELECT ... FOR UPDATE needs UPDATE; terminate and undo need DELETE."""
TABLE = {
    "append": ("SELECT", "INSERT"),
    "upsert": ("SELECT", "INSERT", "UPDATE"),
    "replace": ("SELECT", "INSERT", "DELETE"),
}
_FIND = """
SELECT t.oid, n.nspname, t.relname, pg_get_userbyid(t.relowner) AS owner FROM pg_class t
JOIN pg_namespace n ON n.oid = t.relnamespace WHERE """
_NAMED = "t.relname = :name AND n.nspname = :s"
_HEIRS = "t.oid IN (SELECT i.inhrelid FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'r' WHERE p.oid = :oid)"
_REFERRERS = (
    "t.oid IN (SELECT conrelid FROM pg_constraint WHERE contype = 'f' AND confrelid = :oid AND conrelid <> :oid)"
)
# An identity asks for nothing; a default of nextval does, where the column isn't supplied.
_DEFAULTS = """t.relkind = 'S' AND t.oid IN (
    SELECT d.refobjid FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
    JOIN pg_depend d ON d.classid = CAST('pg_attrdef' AS regclass) AND d.objid = f.oid
     AND d.refclassid = CAST('pg_class' AS regclass)
    WHERE f.adrelid = :oid AND NOT a.attname = ANY(:columns))"""
_SUPPLIED = """t.relkind = 'S' AND t.oid IN (
    SELECT d.objid FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.classid = CAST('pg_class' AS regclass) AND d.refclassid = CAST('pg_class' AS regclass)
      AND d.deptype IN ('a', 'i') AND d.refobjid = :oid AND a.attname = ANY(:columns)
    UNION SELECT d.refobjid FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
    JOIN pg_depend d ON d.classid = CAST('pg_attrdef' AS regclass) AND d.objid = f.oid
     AND d.refclassid = CAST('pg_class' AS regclass) WHERE f.adrelid = :oid AND a.attname = ANY(:columns))"""


@dataclass(frozen=True, slots=True)
class Lack:
    """A right that is missing: in words, the GRANT, and whose it is to give."""

    what: str
    grant: str
    owner: str


class PostgresqlPrivileges:
    """See `Privileges`."""

    def missing_for_run(self, c: Executor, layout: Layout) -> Refusal | None:
        """Why this user may not do what a new run needs."""
        table, name = layout.table, layout.table.name if layout.table else ""
        lacks = [*_run_lacks(c, name, layout.mode)]
        if table is not None:
            (at,) = _relations(c, _NAMED, name=name, s=c.schema)
            oid, columns = at.oid, layout.columns
            if layout.mode == "replace":
                if heirs := [f"{x.nspname}.{x.relname}" for x in _relations(c, _HEIRS, oid=oid)]:
                    why = f"{', '.join(heirs)} inherits from {name!r}, and a replace would delete its rows too"
                    return Refusal(why, "Use if_exists='append' or 'upsert', or another table.")
                lacks += [
                    lack
                    for child in _relations(c, _REFERRERS, oid=oid)
                    for lack in _relation_lacks(c, child, ("SELECT",))
                ]
            for sequence in _relations(c, _SUPPLIED, oid=oid, columns=columns):
                lacks += _relation_lacks(c, sequence, ("SELECT", "UPDATE"), "SEQUENCE")  # to move it on
            for sequence in _relations(c, _DEFAULTS, oid=oid, columns=columns):
                lacks += _relation_lacks(c, sequence, ("USAGE",), "SEQUENCE", or_else="UPDATE")
        return _refusal(c, lacks, name) if lacks else None

    def missing_for_ledger(self, c: Executor, ledger: str, name: str, mode: str) -> Refusal | None:
        """Why this user may not use the ledger that is there; for a new run (`mode`) with all else that it would lack."""
        relations = _relations(c, _NAMED, name=ledger, s=c.own_schema)
        lacks = [
            lack
            for at in relations
            for lack in (*_schema_lacks(c, c.own_schema, "USAGE"), *_relation_lacks(c, at, LEDGER))
        ]
        if not lacks:
            return None
        if mode:
            lacks = [*_run_lacks(c, name, mode), *(lack for lack in lacks if "SCHEMA" not in lack.grant)]
        return _refusal(c, lacks, name)

    def missing_for_staging(self, c: Executor, staging: str) -> Refusal | None:
        """Why this user may not go on with a staging table that is there: only its owner can publish or drop it."""
        for at in _relations(c, "t.relname = :name AND n.nspname = :s AND NOT pg_has_role(t.relowner, 'USAGE')",
                             name=staging, s=c.schema_of(staging)):  # fmt: skip
            return Refusal(
                f"its rows lie in a table of the role {at.owner!r}, which alone may publish or drop it",
                f"Go on as {at.owner}; or have that role lent, by a superuser: GRANT {c.quote(at.owner)} TO {_me(c)}; Then run the same again.",
            )
        return None

    def is_shared(self, c: Executor, ledger: str) -> bool:
        """Whether a table is another role's, or was granted to others by hand: not by default privileges."""
        query = (
            "SELECT NOT pg_has_role(t.relowner, 'USAGE') OR EXISTS ("
            "SELECT g.grantee, g.privilege_type FROM aclexplode(t.relacl) g WHERE g.grantee <> t.relowner EXCEPT"
            " SELECT g.grantee, g.privilege_type FROM pg_default_acl d, aclexplode(d.defaclacl) g WHERE d.defaclobjtype = 'r'"
            " AND d.defaclrole = t.relowner AND d.defaclnamespace IN (0, t.relnamespace))"
            " FROM pg_class t JOIN pg_namespace n ON n.oid = t.relnamespace WHERE t.relname = :name AND n.nspname = :s"
        )
        return bool(c.sql(query, name=ledger, s=c.schema_of(ledger)).scalar())

    def schemas_with(self, c: Executor, ledger: str) -> list[str]:
        """The other schemas in which there is a table of that name that this user may read."""
        relations = _relations(c, "t.relname = :name AND n.nspname <> :s AND t.relkind = 'r' AND"
            " has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(t.oid, 'SELECT')", name=ledger, s=c.own_schema)  # fmt: skip
        return [at.nspname for at in relations]


def no_usable_schema(c: Executor) -> Refusal | None:
    """Why no schema of the search_path can be used, where one of them is there."""
    query = (
        "SELECT nspname FROM pg_namespace WHERE :one = 1 AND nspname = ANY(string_to_array(replace(replace("
        "current_setting('search_path'), '$user', current_user), '\"', ''), ', ')) ORDER BY 1"
    )
    lacks = [lack for (schema,) in c.sql(query, one=1) for lack in _schema_lacks(c, schema, "USAGE")]
    return _refusal(c, lacks, "") if lacks else None


def _run_lacks(c: Executor, name: str, mode: str) -> Iterator[Lack]:
    """What a new run into `name` lacks."""
    yield from _schema_lacks(c, c.own_schema, "USAGE", "CREATE")
    relations = _relations(c, _NAMED, name=name, s=c.schema)
    if c.schema != c.own_schema:
        yield from _schema_lacks(c, c.schema, "USAGE", *([] if relations else ["CREATE"]))
    for at in relations:
        yield from _relation_lacks(c, at, TABLE.get(mode, ()))


def _relations(c: Executor, condition: str, **values: Any) -> list[Any]:
    return list(c.sql(f"{_FIND}{condition} ORDER BY 2, 3", **values))


def _schema_lacks(c: Executor, schema: str | None, *rights: str) -> list[Lack]:
    query = (
        "SELECT has_schema_privilege(n.oid, :right), pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE nspname = :s"
    )
    answers = [(right, *c.sql(query, right=right, s=schema).one()) for right in rights]
    lack, owners = [right for right, has_it, _ in answers if not has_it], [owner for _, _, owner in answers]
    if not lack:
        return []
    doing = "create tables in" if "CREATE" in lack else "use"
    grant = f"GRANT {', '.join(lack)} ON SCHEMA {c.quote(schema or '')} TO {_me(c)};"
    return [Lack(f"may not {doing} schema {schema!r}", grant, owners[0])]


def _relation_lacks(
    c: Executor, at: Any, rights: Sequence[str], kind: str = "TABLE", *, or_else: str = ""
) -> list[Lack]:
    query = f"SELECT has_{kind.lower()}_privilege(CAST(:oid AS oid), :right)"
    end = f", {or_else}" if or_else else ""  # one that does as well
    lack = [right for right in rights if not c.sql(query, oid=at.oid, right=right + end).scalar()]
    if not lack:
        return []
    what = f"has {' and '.join(f'no {right} privilege' for right in lack)} on {at.relname!r}"
    named = f"{c.quote(at.nspname)}.{c.quote(at.relname)}"
    return [Lack(what, f"GRANT {', '.join(lack)} ON {kind} {named} TO {_me(c)};", at.owner)]


def _me(c: Executor) -> str:
    return c.quote(str(c.sql("SELECT current_user").scalar_one()))


def _refusal(c: Executor, lacks: Sequence[Lack], name: str) -> Refusal:
    owners = dict.fromkeys("the database's owner" if x.owner == "pg_database_owner" else x.owner for x in lacks)
    do = f"Have it granted, by {' and '.join(owners)} or a superuser: {' '.join(x.grant for x in lacks)} Then run the same again"
    closed = c.own_schema == c.schema and any("create tables" in x.what for x in lacks)
    if closed and _relations(c, _NAMED, name=name, s=c.schema):  # a new table is made in that schema all the same
        do += "; or have staging and ledger in another schema: staging_schema=... (--staging-schema)"
    return Refusal(f"the user {_me(c)} {' and '.join(x.what for x in lacks)}", f"{do}.")

"""What SQLite knows of a table, and what only its CREATE TABLE statement tells: the CHECK constraints."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from resumable.databases.executor import Executor
from resumable.databases.identifiers import SAME, fold
from resumable.databases.relations import Column, Features, Foreign, Referrer, Table, Unique
from resumable.databases.sqlite.traits import schema_table
from resumable.databases.sqlite.types import SQLITE_TYPES, affinity
from resumable.databases.types import arrow_type, declared_type

__all__ = ["SqliteCatalog", "checks", "declaration"]

_TOKEN = re.compile(
    r"""(?P<skip>\s+|--[^\n]*|/\*.*?(?:\*/|\Z))
      | (?P<text>'(?:[^']|'')*')
      | (?P<name>"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|[^\W\d]\w*)
      | (?P<other>[\d.]+\w*|.)""",
    re.VERBOSE | re.DOTALL,
)


def _kind(c: Executor, name: str) -> str:
    rows = c.sa.exec_driver_sql(f"SELECT type FROM {schema_table(c.schema)} WHERE {SAME}", (name,)).all()
    kinds = [kind for (kind,) in rows if kind != "trigger"]
    return str(kinds[0]) if kinds else ""


def _tables(c: Executor, prefix: str) -> list[str]:
    query = f"SELECT name FROM {schema_table(c.schema)} WHERE type = 'table' AND substr(name, 1, ?) = ?"
    return [name for (name,) in c.sa.exec_driver_sql(query, (len(prefix), prefix))]


def _describe(c: Executor, name: str) -> Table:
    """The table, as PRAGMAs tell it."""
    infos = c.sql(f"PRAGMA {_at(c)}table_xinfo({c.quote(name)})").all()
    primary = tuple(info[1] for info in sorted((i for i in infos if i[5]), key=lambda i: i[5]))
    columns = []
    for _, column, declared, required, default, key, hidden in infos:
        if hidden == 1:
            continue
        loose = affinity(declared or "") == "BLOB" and "blob" not in fold(declared or "")
        rowid = bool(key) and len(primary) == 1 and fold(declared or "") == "integer"
        columns.append(
            Column(
                name=column,
                type=None if loose else arrow_type(declared_type(declared, SQLITE_TYPES), SQLITE_TYPES),
                declared=declared or "",
                nullable=not required,
                default=default or "",
                has_default=default is not None or rowid,
                generated=hidden in (2, 3),
            )
        )
    uniques = [Unique(primary)] if primary else []
    for _, index, unique, _, partial in c.sql(f"PRAGMA {_at(c)}index_list({c.quote(name)})").all():
        parts = c.sql(f"PRAGMA {_at(c)}index_xinfo({c.quote(index)})").all() if unique and not partial else []
        keys = [p for p in parts if p[5]]
        if keys and all(p[2] is not None for p in keys):
            uniques.append(
                Unique(tuple(p[2] for p in keys), {p[2]: p[4] for p in keys if p[4] and fold(p[4]) != "binary"})
            )
    collated = [u for u in uniques if u.columns == primary and u.collations]
    if collated:
        uniques = [u for u in uniques if u.columns != primary or u.collations]
    return Table(name, tuple(columns), primary, tuple(uniques), tuple(_foreign(c, name)), tuple(_referrers(c, name)))


def _at(c: Executor) -> str:
    return f"{c.quote(c.schema)}."


def _keys(c: Executor, name: str) -> Iterator[tuple[str, tuple[str, ...], tuple[str, ...], str]]:
    """The table's foreign keys: parent, columns, the parent's columns, what happens on delete."""
    keys: dict[int, list[Any]] = {}
    for row in c.sql(f"PRAGMA {_at(c)}foreign_key_list({c.quote(name)})").all():
        keys.setdefault(row[0], []).append(row)
    for parts in keys.values():
        parts.sort(key=lambda part: part[1])
        parent, action, parents = parts[0][2], parts[0][6], tuple(part[4] for part in parts)
        infos = c.sql(f"PRAGMA {_at(c)}table_info({c.quote(parent)})").all()
        if None in parents:  # "REFERENCES parent" means its primary key
            parents = tuple(i[1] for i in sorted((i for i in infos if i[5]), key=lambda i: i[5]))
        spelled = {fold(i[1]): i[1] for i in infos}  # the statement may spell them otherwise
        parents = tuple(spelled.get(fold(name), name) for name in parents)
        if len(parents) == len(parts):
            yield parent, tuple(part[3] for part in parts), parents, action


def _foreign(c: Executor, name: str) -> Iterator[Foreign]:
    if not c.sql("PRAGMA foreign_keys").scalar_one():
        return  # not enforced, and so not ours to enforce
    for parent, columns, parents, _ in _keys(c, name):
        if _kind(c, parent) == "table":
            yield Foreign(columns, c.qualified(parent), parents, fold(parent) == fold(name))


def _referrers(c: Executor, name: str) -> Iterator[Referrer]:
    for child in _tables(c, ""):
        for parent, columns, parents, action in _keys(c, child):
            if fold(parent) == fold(name) != fold(child):
                # With defer_foreign_keys every constraint is checked at COMMIT.
                yield Referrer(c.qualified(child), columns, parents, action, deferrable=True)


def _features(c: Executor, name: str) -> Features:
    """The statement that would make the table, and what speaks of it. SQLite has no identity of tables."""
    statement, dependents = None, []
    query = f"SELECT type, name, tbl_name, sql FROM {schema_table(c.schema)} WHERE sql IS NOT NULL ORDER BY type, name"
    for kind, what, table, sql in c.sa.exec_driver_sql(query).all():
        if kind == "table" and fold(what) == fold(name):
            statement = sql
        elif (kind == "index" and fold(table) == fold(name)) or (kind != "index" and _mentions(sql, name)):
            dependents.append(f"{kind} {what}")
    return Features(None, statement, tuple(dependents))


def _mentions(statement: str, name: str) -> bool:
    names = (m[0] for m in _TOKEN.finditer(statement) if m.lastgroup == "name")
    return any(fold(n[1:-1] if n[0] in '"`[' else n) == fold(name) for n in names)


def declaration(c: Executor, column: Column, *, supplied: bool, key: bool) -> str:
    """A staging column like an existing table's: without its key, and NOT NULL only where it is supplied."""
    required = " NOT NULL" if supplied and (key or not column.nullable) else ""
    default = f" DEFAULT ({column.default})" if column.default and not supplied else ""
    return f"{c.quote(column.name)} {_declared(c, column)}{required}{default}"


def _declared(c: Executor, column: Column) -> str:
    plain = re.fullmatch(r"[A-Za-z_][\w ]*(?:\([\d, +-]+\))?|", column.declared)
    return column.declared if plain else c.quote(column.declared)


def checks(c: Executor, table: Table) -> list[str]:
    """The table's CHECK constraints, but for those over computed columns."""
    query = f"SELECT sql FROM {schema_table(c.schema)} WHERE type = 'table' AND {SAME}"
    text = c.sa.exec_driver_sql(query, (table.name,)).scalar() or ""
    computed = {fold(column.name) for column in table.columns if column.generated}
    return [check for check, names in _checks(text) if not names & computed]


def _checks(statement: str) -> Iterator[tuple[str, set[str]]]:
    """Each `[CONSTRAINT name] CHECK (...)` of a CREATE TABLE, and the names in it, folded."""
    tokens = [m for m in _TOKEN.finditer(statement) if m.lastgroup != "skip"]
    depth, begun, label, names = 0, -1, "", set[str]()
    for at, m in enumerate(tokens):
        word = m[0]
        if word == "(":
            if depth == 1 and begun < 0 and tokens[at - 1][0].upper() == "CHECK":
                begun, names = m.start(), set()
                named = at >= 3 and tokens[at - 3][0].upper() == "CONSTRAINT"
                label = f"CONSTRAINT {tokens[at - 2][0]} " if named else ""
            depth += 1
        elif word == ")":
            depth -= 1
            if depth == 1 and begun >= 0:
                yield f"{label}CHECK {statement[begun : m.end()]}", names
                begun = -1
        elif m.lastgroup == "name" and begun >= 0:
            names.add(fold(word[1:-1] if word[0] in '"`[' else word))


def _shape(c: Executor, name: str) -> object:
    return c.sql(f"PRAGMA {_at(c)}schema_version").scalar_one()


class SqliteCatalog:
    """See `Catalog`."""

    kind = staticmethod(_kind)
    tables = staticmethod(_tables)
    describe = staticmethod(_describe)
    features = staticmethod(_features)
    shape = staticmethod(_shape)

"""Reading SQLite: one cursor over one snapshot, through the standard library's `sqlite3` alone.

SQLite's types belong to values, not columns. A column's Arrow type is what its declaration means, if the first
`SAMPLE` rows agree; else what these rows are: integers, numbers, blobs, or text (numbers among text are printed so that
they read back as they were). A later value that doesn't fit is a `UnreadableValue`, never altered.
A key's value is kept as SQLite has it: integers and text as they are, `{"float": hex}`, `{"bytes": base64}`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Generator
from itertools import pairwise
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from resumable.checkpoint import Json
from resumable.databases.identifiers import fold
from resumable.databases.keyset import (
    Chunk,
    Key,
    Relation,
    SourceColumn,
    UnreadableValue,
    is_query,
    no_such_table,
    quote_name,
    searched_schema,
)
from resumable.databases.sqlite.namespace import SqliteNamespace
from resumable.databases.sqlite.to_arrow import array, fits, natural
from resumable.databases.sqlite.traits import SQLITE, schema_table
from resumable.databases.sqlite.types import SQLITE_TYPES
from resumable.databases.tables import full_name, locate
from resumable.databases.traits import Traits
from resumable.databases.types import arrow_type, declared_type
from resumable.protocols import MAX_BYTES, MAX_ROWS

__all__ = ["SqliteReader"]

SAMPLE = 1_000
"""Rows that are looked at before a run to see whether values are what their columns declare."""
FETCH_ROWS = 256
"""Rows fetched at once: enough for speed."""


class SqliteReader:
    """See `Reader`."""

    def __init__(self, traits: Traits) -> None:
        self._traits = traits

    def begin(self, connection: Any) -> Any:
        """Begin a transaction; its first SELECT takes the snapshot."""
        driver = connection.connection.driver_connection
        if not driver.in_transaction:
            driver.execute("BEGIN")
        return driver

    def relation(self, driver: Any, what: str, schema: str | None) -> Relation:
        """Look up a table or view; or prepare a query."""
        if is_query(what):
            sql = f"({what.strip().rstrip(';')}\n) AS q"
            return Relation("the query", sql, _query_columns(driver, sql), is_query=True)
        names = SqliteNamespace(lambda sql, *values: driver.execute(sql, values).fetchall())
        where = locate(self._traits, names, what, schema)
        if where.schema is None or not where.exists:
            schema_name = searched_schema(where, what, schema)
            tables = _tables(driver, schema_name)
            raise no_such_table(
                where.table, tables, "the database" if schema_name is None else f"database {schema_name!r}"
            )
        schema_name, table = where.schema, where.table
        sql = f"{_quote(schema_name)}.{_quote(table)}"
        info = driver.execute(f"PRAGMA {_quote(schema_name)}.table_xinfo({_quote(table)})").fetchall()
        columns = tuple(SourceColumn(name, declared) for _, name, declared, _, _, _, hidden in info if hidden != 1)
        plain = driver.execute(
            f"SELECT 1 FROM {schema_table(schema_name)} WHERE type = 'table' AND name = ?", (table,)
        ).fetchone()
        keys = _keys(driver, schema_name, table, info) if plain else ()
        return Relation(
            table, sql, columns, keys, full=full_name(self._traits, schema_name, fold(table)), note=where.note
        )

    def resolve_key(self, driver: Any, relation: Relation, names: tuple[str, ...]) -> Key:
        """The key that the caller names."""
        for key in relation.keys:
            if sorted(key.names) == sorted(names) and key.proven:
                terms = dict(zip(key.names, key.terms, strict=True))
                return Key(
                    names,
                    tuple(terms[name] for name in names),
                    "given key",
                    key.proven,
                    key.hidden,
                    key.schema_version,
                )
        return Key(names, tuple(map(_quote, names)), "given key")

    def schema(self, driver: Any, relation: Relation) -> pa.Schema:
        """What the declarations mean, as far as the first rows agree."""
        names = ", ".join(_quote(column.name) for column in relation.columns)
        rows = driver.execute(f"SELECT {names} FROM {relation.sql} LIMIT {SAMPLE}").fetchall()
        values = list(zip(*rows, strict=True)) or [()] * len(relation.columns)
        return pa.schema(
            (column.name, _kind(column.declared, sample))
            for column, sample in zip(relation.columns, values, strict=True)
        )

    def bind(self, driver: Any, relation: Relation, key: Key, values: list[Json]) -> tuple[list[str], list[Any]]:
        """Question marks, and the values as SQLite had them."""
        return ["?"] * len(values), [_from_json(value) for value in values]

    def fetch_one(self, driver: Any, sql: str, parameters: list[Any]) -> tuple[Any, ...] | None:
        """The first row of a small query."""
        row: tuple[Any, ...] | None = driver.execute(sql, parameters).fetchone()
        return row

    def key_at(self, driver: Any, relation: Relation, key: Key, direction: str) -> list[Json] | None:
        """The first key in that direction."""
        sql = f"SELECT {', '.join(key.terms)} FROM {relation.sql} ORDER BY {key.order(direction)} LIMIT 1"
        row = self.fetch_one(driver, sql, [])
        return None if row is None else [_to_json(value) for value in row]

    def rows(
        self, driver: Any, relation: Relation, key: Key, schema: pa.Schema, where: str, parameters: list[Any]
    ) -> Generator[Chunk, None, None]:
        """The rows in the key's order."""
        names = [*map(_quote, schema.names), *(key.terms if key.hidden else ())]
        sql = f"SELECT {', '.join(names)} FROM {relation.sql}{key.ordered(where)}"
        places = [len(schema)] if key.hidden else [schema.names.index(name) for name in key.names]
        long = [i for i, field in enumerate(schema) if pa.types.is_string(field.type) or pa.types.is_binary(field.type)]
        cursor = driver.cursor()
        cursor.row_factory = None
        try:
            cursor.execute(sql, parameters)
            columns: list[list[Any]] = [[] for _ in names]
            count, size, step = 0, 0, 16
            while fetched := cursor.fetchmany(min(step, MAX_ROWS - count)):
                for column, part in zip(columns, zip(*fetched, strict=True), strict=True):
                    column += part
                count += len(fetched)
                size += 8 * len(schema) * len(fetched)
                size += sum(len(v) for i in long for v in columns[i][-len(fetched) :] if isinstance(v, (str, bytes)))
                # Small steps: after rows of a few bytes there may come rows of megabytes.
                step = max(1, min(FETCH_ROWS, MAX_BYTES * count // (8 * size)))
                if count == MAX_ROWS or size >= MAX_BYTES:
                    yield _chunk(columns, schema, places, key.proven)
                    columns, count, size = [[] for _ in names], 0, 0
            if count:
                yield _chunk(columns, schema, places, key.proven)
        finally:
            cursor.close()


def _quote(name: str) -> str:
    return quote_name(SQLITE, name)


# ------------------------------------------------------------------------------------ tables and keys


def _schemas(driver: Any, schema: str | None) -> list[str]:
    # Not the PRAGMA itself: it tells the paths as well, which needn't be UTF-8.
    spaces = [name for (name,) in driver.execute("SELECT name FROM pragma_database_list")]
    return [name for name in spaces if schema is None or fold(name) == fold(schema)]


def _tables(driver: Any, schema: str | None) -> list[str]:
    sql = "SELECT name FROM {} WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name"
    return [
        name
        for schema_name in _schemas(driver, schema)
        for (name,) in driver.execute(sql.format(schema_table(schema_name)))
    ]


def _keys(driver: Any, schema_name: str, table: str, info: list[tuple[Any, ...]]) -> tuple[Key, ...]:
    """Primary key, not-null unique keys, rowid: in this order."""
    place = f"{_quote(schema_name)}."
    names = {row[0]: row[1] for row in info}
    not_null = {row[1] for row in info if row[3]}
    primary = [row[1] for row in sorted(info, key=lambda row: row[5]) if row[5]]
    rowid = _rowid(driver, schema_name, table, {fold(row[1]) for row in info})
    primary_keys: list[Key] = []
    uniques: list[Key] = []
    for _, index, unique, origin, partial in driver.execute(f"PRAGMA {place}index_list({_quote(table)})").fetchall():
        parts = driver.execute(f"PRAGMA {place}index_xinfo({_quote(index)})").fetchall()
        columns = [(names.get(cid), collation) for _, cid, _, _, collation, is_key in parts if is_key]
        if not unique or partial or any(name is None for name, _ in columns):
            continue
        if origin == "pk":
            # A WITHOUT ROWID table keeps NULL out of its key; another, by an old mistake of SQLite's, doesn't.
            proven = rowid is None or not_null.issuperset(primary)
            primary_keys.append(_key(columns[: len(primary)], "primary key", proven))
        elif not_null.issuperset(name for name, _ in columns):
            uniques.append(_key(columns, "unique key", True))
    if primary and not primary_keys:  # INTEGER PRIMARY KEY is the rowid itself, and has no index
        primary_keys.append(Key((primary[0],), (_quote(primary[0]),), "primary key", proven=True))
    if rowid is not None:
        (version,) = driver.execute(f"PRAGMA {place}schema_version").fetchone()  # VACUUM adds one
        uniques.append(Key((rowid,), (rowid,), "rowid", proven=True, hidden=True, schema_version=version))
    return (*primary_keys, *uniques)


def _key(columns: list[tuple[str | None, str]], why: str, proven: bool) -> Key:
    """A key under its index's own collations, in which alone it is unique."""
    names = tuple(str(name) for name, _ in columns)
    terms = tuple(f"{_quote(str(name))} COLLATE {_quote(collation)}" for name, collation in columns)
    return Key(names, terms, why, proven)


def _rowid(driver: Any, schema_name: str, table: str, column_names: set[str]) -> str | None:
    """The name by which the rowid can be had; None in a WITHOUT ROWID table."""
    for name in ("rowid", "_rowid_", "oid"):
        if name not in column_names:
            try:
                driver.execute(f"SELECT {name} FROM {_quote(schema_name)}.{_quote(table)} LIMIT 0")
            except driver.OperationalError:
                return None
            return name
    return None


def _query_columns(driver: Any, sql: str) -> tuple[SourceColumn, ...]:
    """A query's columns; a view that nobody else sees tells which of them come from a declared column."""
    names = [part[0] for part in driver.execute(f"SELECT * FROM {sql} LIMIT 0").description]
    # SQLite tells columns of one name apart by itself; whether it meant them so, only their author knows.
    own_names = set(map(fold, names))
    names = [re.sub(r":\d+$", "", name) if fold(name.rpartition(":")[0]) in own_names else name for name in names]
    declared = [""] * len(names)
    try:
        driver.execute(f"CREATE TEMP VIEW resumable_query AS SELECT * FROM {sql}")
        declared = [row[2] for row in driver.execute("PRAGMA temp.table_info(resumable_query)")]
    except driver.Error:  # where nothing may be made, the values tell
        pass
    finally:
        driver.execute("DROP VIEW IF EXISTS temp.resumable_query")
    return tuple(map(SourceColumn, names, declared))


# --------------------------------------------------------------------------------------------- values


def _kind(declared: str, sample: tuple[Any, ...]) -> pa.DataType:
    meant = declared_type(declared or "", SQLITE_TYPES)
    if isinstance(meant, sa.types.NullType) or (isinstance(meant, sa.Numeric) and _loose(meant)):
        return natural(sample)
    kind = arrow_type(meant, SQLITE_TYPES)
    for candidate in (kind, pa.timestamp("us", "UTC")) if pa.types.is_timestamp(kind) else (kind,):
        if fits(sample, candidate):
            return candidate
    return natural(sample)


def _loose(meant: sa.types.TypeEngine[Any]) -> bool:
    return not isinstance(meant, sa.Float) and getattr(meant, "precision", None) is None


def _chunk(columns: list[list[Any]], schema: pa.Schema, places: list[int], proven: bool) -> Chunk:
    keys = [columns[i] for i in places]
    unreadable_values: list[UnreadableValue] = []
    arrays: list[pa.Array] = []
    for values, field in zip(columns, schema, strict=False):  # a hidden key comes last
        try:
            arrays.append(array(values, field))
        except UnreadableValue as unreadable:
            unreadable_values.append(unreadable)
    if unreadable_values:
        bad = min(unreadable_values, key=lambda unreadable: unreadable.index)
        raise UnreadableValue(bad.index, bad.column, bad.value, bad.kind, tuple(values[bad.index] for values in keys))
    repeated = None
    if not proven:
        ordered = zip(*keys, strict=True)
        repeated = next((i for i, (one, two) in enumerate(pairwise(ordered), 1) if one == two), None)
    first, last = ([_to_json(values[i]) for values in keys] for i in (0, -1))
    return Chunk(pa.RecordBatch.from_arrays(arrays, schema=schema), first, last, repeated)


def _to_json(value: Any) -> Json:
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, bytes):
        return {"bytes": base64.b64encode(value).decode()}
    return value


def _from_json(value: Json) -> Any:
    if isinstance(value, dict):
        return float.fromhex(value["float"]) if "float" in value else base64.b64decode(value["bytes"])
    return value

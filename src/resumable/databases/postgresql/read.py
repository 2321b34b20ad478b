"""Reading PostgreSQL: `COPY (SELECT ...) TO STDOUT (FORMAT csv)` into Arrow, in one snapshot, with flat memory.

COPY's text is exact: under the settings below each value prints so that it casts back to itself, NULL is an unquoted
nothing and `""` the empty string. The protocol sends one message a row, so nothing has to look for record ends.
A key's value is the text that PostgreSQL prints, bound back as `CAST('text' AS its type)`.
What Arrow can't hold is a `UnreadableValue`: NaN in a numeric column, an infinite date, years before 1 or after 9999.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from resumable.checkpoint import Json
from resumable.databases.halving import failing_rows
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
from resumable.databases.postgresql.namespace import PostgresqlNamespace
from resumable.databases.postgresql.traits import POSTGRESQL
from resumable.databases.postgresql.types import POSTGRESQL_TYPES
from resumable.databases.tables import full_name, locate
from resumable.databases.types import arrow_type, declared_type
from resumable.errors import SourceError
from resumable.protocols import MAX_BYTES, MAX_ROWS

__all__ = ["PostgresqlReader"]

_SETTINGS = {
    "client_encoding": "UTF8",
    "datestyle": "ISO, YMD",
    "intervalstyle": "postgres",
    "timezone": "UTC",
    "extra_float_digits": "3",
    "bytea_output": "hex",
    "standard_conforming_strings": "on",
    "synchronize_seqscans": "off",  # without a key, rows come as they lie, not from wherever another reader is
}

_TABLE = """
SELECT c.oid, c.relkind IN ('r', 'm') AND NOT c.relhassubclass OR c.relkind = 'p', c.reltuples
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s)"""

_KEYS = """
SELECT i.indisprimary, array_agg(a.attname::text ORDER BY k.place), bool_and(a.attnotnull)
FROM pg_catalog.pg_index i, unnest(i.indkey[0:i.indnkeyatts - 1]) WITH ORDINALITY k(number, place),
     pg_catalog.pg_attribute a
WHERE i.indrelid = %s AND a.attrelid = i.indrelid AND a.attnum = k.number
  AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid, i.indisprimary
ORDER BY i.indisprimary DESC, count(*), i.indexrelid"""

_NAMES = """
SELECT c.relname::text FROM pg_catalog.pg_class c
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND CASE WHEN %s::text IS NULL THEN pg_catalog.pg_table_is_visible(c.oid)
  AND c.relnamespace <> 'pg_catalog'::regnamespace ELSE c.relnamespace::regnamespace::text = %s END
ORDER BY 1 LIMIT 1000"""


class PostgresqlReader:
    """See `Reader`. Through psycopg 3."""

    def begin(self, connection: Any) -> Any:
        """Begin a read-only transaction with one snapshot and the settings under which text is exact."""
        connection.execution_options(isolation_level="REPEATABLE READ")
        driver = connection.connection.driver_connection
        driver.execute("SET TRANSACTION READ ONLY")
        for name, value in _SETTINGS.items():
            driver.execute(f"SET LOCAL {name} = '{value}'")
        return driver

    def relation(self, driver: Any, what: str, schema: str | None) -> Relation:
        """Look up a table or view; or prepare a query."""
        if is_query(what):
            sql = f"({what.strip().rstrip(';')}\n) AS q"
            return Relation("the query", sql, self._columns(driver, sql), is_query=True)
        names = PostgresqlNamespace(lambda sql, *values: driver.execute(sql, values or None).fetchall())
        where = locate(POSTGRESQL, names, what, schema)
        if where.schema is None or not where.exists:
            schema_name = searched_schema(where, what, schema)
            tables = [name for (name,) in driver.execute(_NAMES, (schema_name, schema_name))]
            raise no_such_table(
                where.table, tables, "the database's search path" if schema_name is None else f"schema {schema_name!r}"
            )
        sql = f"{_quote(where.schema)}.{_quote(where.table)}"
        oid, whole, about = driver.execute(_TABLE, (sql,)).fetchone()
        keys = [
            Key(tuple(names), tuple(map(_quote, names)), "primary key" if primary else "unique key", proven=True)
            for primary, names, full in (driver.execute(_KEYS, (oid,)) if whole else ())
            if full
        ]
        guess = int(about) if about > 0 else None
        full = full_name(POSTGRESQL, where.schema, where.table)
        return Relation(where.table, sql, self._columns(driver, sql), tuple(keys), guess, full=full, note=where.note)

    def _columns(self, driver: Any, sql: str) -> tuple[SourceColumn, ...]:
        result = driver.execute(f"SELECT * FROM {sql} LIMIT 0").pgresult
        kinds = [(result.ftype(i), result.fmod(i)) for i in range(result.nfields)]
        names = [(result.fname(i) or b"").decode() for i in range(result.nfields)]
        if not names:
            return ()
        declarations = ", ".join(f"pg_catalog.format_type({oid}, {mod})" for oid, mod in kinds)
        return tuple(map(SourceColumn, names, driver.execute(f"SELECT {declarations}").fetchone()))

    def resolve_key(self, driver: Any, relation: Relation, names: tuple[str, ...]) -> Key:
        """The key that the caller names."""
        proven = any(set(key.names) == set(names) for key in relation.keys)
        return Key(names, tuple(map(_quote, names)), "given key", proven=proven)

    def schema(self, driver: Any, relation: Relation) -> pa.Schema:
        """Each column's type as the database has it, so that nothing has to be inferred."""
        return pa.schema(
            (c.name, arrow_type(declared_type(c.declared, POSTGRESQL_TYPES), POSTGRESQL_TYPES))
            for c in relation.columns
        )

    def bind(self, driver: Any, relation: Relation, key: Key, values: list[Json]) -> tuple[list[str], list[Any]]:
        """Literals: COPY takes no parameters."""
        from psycopg.pq import Escaping

        quote = Escaping(driver.pgconn).escape_literal
        kinds = {c.name: c.declared for c in relation.columns}
        texts = [bytes(quote(value.encode())).decode() for value in values]
        return [f"CAST({text} AS {kinds[name]})" for name, text in zip(key.names, texts, strict=True)], []

    def fetch_one(self, driver: Any, sql: str, parameters: list[Any]) -> tuple[Any, ...] | None:
        """The first row of a small query."""
        row: tuple[Any, ...] | None = driver.execute(sql).fetchone()
        return row

    def key_at(self, driver: Any, relation: Relation, key: Key, direction: str) -> list[Json] | None:
        """The first key in that direction, as text."""
        # Without names of their own these texts would take the columns' names, and ORDER BY would sort the texts.
        texts = ", ".join(f"CAST({term} AS text) AS resumable_{i}" for i, term in enumerate(key.terms))
        row = self.fetch_one(driver, f"SELECT {texts} FROM {relation.sql} ORDER BY {key.order(direction)} LIMIT 1", [])
        return None if row is None else list(row)

    def rows(
        self, driver: Any, relation: Relation, key: Key, schema: pa.Schema, where: str, parameters: list[Any]
    ) -> Generator[Chunk, None, None]:
        """The rows in the key's order."""
        columns = ", ".join(map(_quote, schema.names))
        query = f"SELECT {columns} FROM {relation.sql}{key.ordered(where)}"
        places = [schema.names.index(name) for name in key.names]
        with driver.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)") as copy:
            text, first, count, row = bytearray(), b"", 0, b""
            for row in copy:
                if not count:
                    first = row
                text += row
                count += 1
                if (
                    count == MAX_ROWS or len(text) >= MAX_BYTES // 4
                ):  # text, its columns, and their typed copies: four times that
                    yield _chunk(bytes(text), first, row, count, schema, places, key.proven)
                    text, count = bytearray(), 0
            if count:
                yield _chunk(bytes(text), first, row, count, schema, places, key.proven)


def _quote(name: str) -> str:
    return quote_name(POSTGRESQL, name)


# ------------------------------------------------------------------------------------------ COPY to Arrow


def _chunk(
    text: bytes, first: bytes, last: bytes, count: int, schema: pa.Schema, places: list[int], proven: bool
) -> Chunk:
    try:
        rows = _parse(text, schema)
    except (pa.ArrowInvalid, ValueError) as error:
        raise _misfit(text, schema, places) or error from error
    if rows.num_rows != count:
        raise SourceError(
            f"PostgreSQL sent {count} rows, which were read as {rows.num_rows}.",
            safe="What was committed is safe.",
            do="Please report this with the table's definition.",
        )
    repeated = None if proven else _repeated([rows.column(i) for i in places])
    ends = _read(bytes(first) + bytes(last), [pa.string()] * len(schema))
    keys = [ends.column(i).to_pylist() for i in places]
    return Chunk(rows, [values[0] for values in keys], [values[1] for values in keys], repeated)


def _parse(text: bytes, schema: pa.Schema) -> pa.RecordBatch:
    """The CSV as a batch of the schema. Raises `ArrowInvalid` or `ValueError` for what doesn't fit."""
    table = _read(text, [pa.string() if _by_hand(field.type) else field.type for field in schema])
    columns = [_plain(table.column(i), field.type) for i, field in enumerate(schema)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _read(text: bytes, kinds: list[pa.DataType]) -> pa.Table:
    names = [str(i) for i in range(len(kinds))]
    return pyarrow.csv.read_csv(
        pa.BufferReader(text),
        read_options=pyarrow.csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=names),
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pyarrow.csv.ConvertOptions(
            column_types=dict(zip(names, kinds, strict=True)),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _by_hand(kind: pa.DataType) -> bool:
    """What Arrow doesn't read from CSV itself."""
    return bool(pa.types.is_binary(kind) or pa.types.is_decimal256(kind))


def _plain(column: pa.ChunkedArray, kind: pa.DataType) -> pa.Array:
    array = column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)
    if pa.types.is_binary(kind):
        return pa.array([None if v is None else bytes.fromhex(v[2:]) for v in array.to_pylist()], pa.binary())
    return array.cast(kind)


def _repeated(columns: list[pa.Array]) -> int | None:
    """The first row whose key is that of the row before it."""
    same = None
    for column in columns:
        equal = pc.equal(column.slice(1), column.slice(0, len(column) - 1))
        same = equal if same is None else pc.and_(same, equal)
    index: int = pc.index(same, True).as_py()
    return None if index < 0 else index + 1


def _misfit(text: bytes, schema: pa.Schema, places: list[int]) -> UnreadableValue | None:
    """The first value that can't be read as its column's type, by halving each column that can't be read whole."""
    raw = _read(text, [pa.binary()] * len(schema))
    worst: tuple[int, int] | None = None
    for place, field in enumerate(schema):
        values = raw.column(place).to_pylist()
        first = next(failing_rows(0, len(values), partial(_failure, values, field)), None)
        if first is not None:
            worst = min(worst or (first[0], place), (first[0], place))
    if worst is None:
        return None
    index, place = worst
    key = tuple(raw.column(i)[index].as_py().decode(errors="replace") for i in places)
    value = raw.column(place)[index].as_py().decode(errors="replace")
    return UnreadableValue(index, schema.field(place).name, value, schema.field(place).type, key)


def _failure(values: list[bytes | None], field: pa.Field, start: int, stop: int) -> Exception | None:
    """Why some of these values can't be read as the field's type; None if all can."""
    quoted = (b"" if value is None else b'"' + value.replace(b'"', b'""') + b'"' for value in values[start:stop])
    try:
        _parse(b"\n".join(quoted) + b"\n", pa.schema([field]))
    except (pa.ArrowInvalid, ValueError) as error:
        return error
    return None

"""Column types: what is declared comes back as the type it was made for."""

from __future__ import annotations

import sqlite3

import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.schema import CreateTable

from resumable.arrow_types import plain
from resumable.databases.postgresql.types import POSTGRESQL_TYPES
from resumable.databases.sqlite.types import SQLITE_TYPES
from resumable.databases.types import arrow_type, declared_type, sql_type
from resumable.errors import TargetError

DIALECTS = ["sqlite", "postgresql"]
RULES = {"sqlite": SQLITE_TYPES, "postgresql": POSTGRESQL_TYPES}
SAME = [
    pa.bool_(),
    pa.int64(),
    pa.float64(),
    pa.string(),
    pa.binary(),
    pa.date32(),
    pa.time64("us"),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
    pa.decimal128(12, 2),
    pa.decimal128(15, 15),
    pa.decimal128(38, 9),
    pa.decimal256(60, 20),
]


def declared(kind: pa.DataType, dialect: str) -> str:
    table = sa.Table("t", sa.MetaData(), sa.Column("c", sql_type(kind, RULES[dialect])))
    named = sa.make_url(f"{dialect}://").get_dialect()()
    text = str(CreateTable(table).compile(dialect=named))
    return text[text.index("c ") + 2 : text.rindex(")")].strip()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("kind", SAME, ids=str)
def test_a_new_column_reads_back_as_the_type_it_was_made_for(kind, dialect):
    """sql_type, the dialect's own DDL, declared_type and arrow_type make a circle."""
    assert kind == arrow_type(declared_type(declared(kind, dialect), RULES[dialect]), RULES[dialect])
    assert kind == arrow_type(sql_type(kind, RULES[dialect]), RULES[dialect])


@pytest.mark.parametrize(
    ("kind", "sqlite", "postgresql"),
    [
        (pa.int8(), pa.int64(), pa.int16()),
        (pa.uint8(), pa.int64(), pa.int16()),
        (pa.uint16(), pa.int64(), pa.int32()),
        (pa.int32(), pa.int64(), pa.int32()),
        (pa.uint32(), pa.int64(), pa.int64()),
        (pa.uint64(), pa.int64(), pa.decimal128(20, 0)),
        (pa.float16(), pa.float64(), pa.float32()),
        (pa.float32(), pa.float64(), pa.float32()),
        (pa.decimal128(5, -2), pa.decimal128(7, 0), pa.decimal128(7, 0)),
        (pa.null(), pa.string(), pa.string()),
        (pa.timestamp("ns", "Europe/Berlin"), pa.timestamp("us", "UTC"), pa.timestamp("us", "UTC")),
    ],
    ids=str,
)
def test_a_type_that_the_database_lacks_gets_one_with_room_for_it(kind, sqlite, postgresql):
    """Unsigned integers, half floats and negative scales."""
    assert [sqlite, postgresql] == [arrow_type(sql_type(kind, RULES[dialect]), RULES[dialect]) for dialect in DIALECTS]


@pytest.mark.parametrize("digits", ["12345678901234567.125", "0.000", "-99999999999999999.999"])
def test_sqlite_keeps_every_digit_of_a_long_decimal(digits):
    """NUMERIC affinity would make a REAL of it; DECIMAL_TEXT has TEXT affinity."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t (c {declared(pa.decimal128(20, 3), 'sqlite')})")
    connection.execute("INSERT INTO t VALUES (?)", [digits])
    assert [(digits, "text")] == connection.execute("SELECT c, typeof(c) FROM t").fetchall()
    connection.close()


def test_sqlite_leaves_dates_and_times_as_they_are_written():
    """Their columns have NUMERIC affinity, which only touches what looks like a number."""
    values = ["2024-02-29", "23:59:59.5", "2024-02-29 12:00:00", "2024-02-29 12:00:00+00:00"]
    kinds = [pa.date32(), pa.time64("us"), pa.timestamp("us"), pa.timestamp("us", "UTC")]
    columns = ", ".join(f"c{i} {declared(kind, 'sqlite')}" for i, kind in enumerate(kinds))
    connection = sqlite3.connect(":memory:")
    connection.execute(f"CREATE TABLE t ({columns})")
    connection.execute("INSERT INTO t VALUES (?, ?, ?, ?)", values)
    assert tuple(values) == connection.execute("SELECT * FROM t").fetchone()
    connection.close()


def test_what_sqlalchemy_reflects_of_a_long_decimal_is_understood():
    """It takes DECIMAL_TEXT(p, s) for a TEXT of length p and collation s."""
    engine = sa.create_engine("sqlite://")
    table = sa.Table("t", sa.MetaData(), sa.Column("c", sql_type(pa.decimal128(20, 3), SQLITE_TYPES)))
    table.create(engine)
    (column,) = sa.inspect(engine).get_columns("t")
    assert pa.decimal128(20, 3) == arrow_type(column["type"], SQLITE_TYPES)
    engine.dispose()


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("VARCHAR(20)", pa.string()),
        ("INT", pa.int64()),
        ("UNSIGNED BIG INT", pa.int64()),
        ("FLOAT", pa.float64()),
        ("DOUBLE PRECISION", pa.float64()),
        ("NUMERIC", pa.float64()),
        ("decimal(10,5)", pa.decimal128(10, 5)),
        ("BLOB", pa.binary()),
        ("BOOLEAN", pa.bool_()),
        ("DATETIME", pa.timestamp("us")),
        ("", pa.string()),
        ("ANY", pa.string()),
    ],
)
def test_sqlite_declarations_mean_what_its_affinity_rules_say(text, kind):
    """Any declaration means something."""
    assert kind == arrow_type(declared_type(text, SQLITE_TYPES), SQLITE_TYPES)


@pytest.mark.parametrize(
    "text", ["integer[]", "interval", "uuid", "jsonb", "numeric", "money", "inet", "bit(3)", "numeric(100,2)", '"char"']
)
def test_what_arrow_has_no_exact_type_for_is_the_database_s_text(text):
    """Loss-free, whatever it is."""
    assert pa.string() == arrow_type(declared_type(text, POSTGRESQL_TYPES), POSTGRESQL_TYPES)


@pytest.mark.parametrize(
    "kind", [pa.list_(pa.int64()), pa.struct([("a", pa.int64())]), pa.map_(pa.string(), pa.int8())]
)
def test_nested_types_are_refused_with_the_column_s_name(kind):
    """A table has no column for them."""
    with pytest.raises(TargetError, match="Column 'tags' is of type"):
        sql_type(kind, POSTGRESQL_TYPES, "tags")


@pytest.mark.parametrize(
    ("stored", "kind"),
    [
        (pa.large_string(), pa.string()),
        (pa.string_view(), pa.string()),
        (pa.dictionary(pa.int8(), pa.large_string()), pa.string()),
        (pa.run_end_encoded(pa.int32(), pa.int64()), pa.int64()),
        (pa.binary(16), pa.binary()),
        (pa.large_binary(), pa.binary()),
        (pa.uuid(), pa.string()),
        (pa.decimal64(10, 2), pa.decimal128(10, 2)),
        (pa.large_list(pa.large_string()), pa.list_(pa.string())),
        (pa.timestamp("ns"), pa.timestamp("ns")),
    ],
    ids=str,
)
def test_plain_types_are_what_a_column_holds_however_it_is_stored(stored, kind):
    """large_, _view, dictionary and run-end encoding are manners of storage."""
    assert kind == plain(stored)

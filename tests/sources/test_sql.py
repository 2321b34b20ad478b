"""SqlSource: every position resumes, every value comes exactly, and what could lose a row is refused."""

from __future__ import annotations

import datetime as dt
import json
import time
from decimal import Decimal

import pyarrow as pa
import pytest
import sqlalchemy as sa

from resumable.databases.urls import connect
from resumable.errors import BadRow, ConnectionLost, ResumableError, SourceChanged, SourceError, UsageError
from resumable.sources.sql import SqlSource


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, sqlite_url):
    return sqlite_url if request.param == "sqlite" else request.getfixturevalue("postgres")


@pytest.fixture
def few(monkeypatch):
    """Batches of at most 3 rows, so that small tables have many positions."""
    for module in ("sqlite", "postgresql"):
        monkeypatch.setattr(f"resumable.databases.{module}.read.MAX_ROWS", 3)


def execute(url, *statements):
    engine = connect(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execution_options(no_parameters=True).exec_driver_sql(statement)
    engine.dispose()


def through_json(value):
    return json.loads(json.dumps(value, allow_nan=False))


def begin(source):
    return through_json(source.identity()), source.schema()


def rows(source, schema, identity, position=None):
    return [row for batch in source.read(schema, position, identity) for row in batch.rows.to_pylist()]


def read(source):
    identity, schema = begin(source)
    return rows(source, schema, identity)


def assert_every_position_resumes(url, *arguments, **options):
    """Read it all; then from each position, with a new source, as another process would."""
    source = SqlSource(url, *arguments, **options)
    identity, schema = begin(source)
    batches = list(source.read(schema, None, identity))
    whole = [row for batch in batches for row in batch.rows.to_pylist()]
    assert len(batches) > 2
    assert [False] * (len(batches) - 1) + [True] == [batch.position["end"] for batch in batches]
    assert 1.0 == batches[-1].fraction
    done = 0
    for batch in batches:
        assert done + 1 == batch.row
        done += batch.rows.num_rows
        rest = list(SqlSource(url, *arguments, **options).read(schema, through_json(batch.position), identity))
        assert whole[done:] == [row for later in rest for row in later.rows.to_pylist()]
        assert [later.row for later in rest] == [later.row for later in batches if later.row > done]
    return whole


# ------------------------------------------------------------------------------- resuming, both databases


def test_an_integer_key_resumes_from_every_position(url, few):
    """Negative keys and gaps too; the fraction grows to 1."""
    execute(
        url,
        "CREATE TABLE t (name TEXT, id BIGINT NOT NULL PRIMARY KEY)",
        *(f"INSERT INTO t VALUES ('r{i}', {i * i * i})" for i in range(-5, 6)),
    )
    whole = assert_every_position_resumes(url, "t")
    assert sorted(i**3 for i in range(-5, 6)) == [row["id"] for row in whole]
    source = SqlSource(url, "t")
    identity, schema = begin(source)
    fractions = [batch.fraction for batch in source.read(schema, None, identity)]
    assert sorted(fractions) == fractions


def test_a_composite_key_of_text_time_and_decimal_resumes_from_every_position(url, few):
    """Each part is bound back exactly; ties in the first parts are split between batches."""
    values = [
        f"('{text}', '2024-03-0{day} 01:02:03.000{day}5', {price})"
        for text in ("", "O''Brien", "ä\u200d%s\\", 'q"uote, :x ?', "line\nbreak")
        for day in (1, 2)
        for price in ("0.10", "0.30", "99.99")
    ]
    execute(
        url,
        "CREATE TABLE t (price NUMERIC(6,2) NOT NULL, at TIMESTAMP NOT NULL, name TEXT NOT NULL,"
        " PRIMARY KEY (name, at, price))",
        f"INSERT INTO t (name, at, price) VALUES {', '.join(values)}",
    )
    whole = assert_every_position_resumes(url, "t")
    assert 30 == len({(row["name"], row["at"], row["price"]) for row in whole})
    assert isinstance(whole[0]["price"], Decimal)
    assert isinstance(whole[0]["at"], dt.datetime)


def test_floats_in_a_key_come_back_to_the_last_bit(url, few):
    """0.1 + 0.2 isn't 0.3, and the smallest float isn't 0."""
    kind = "REAL" if url.startswith("sqlite") else "double precision"
    values = ["0.1", "0.30000000000000004", "0.3", "5e-324", "-1.7976931348623157e308", "1e22", "123456789.12345679"]
    execute(url, f"CREATE TABLE t (x {kind} NOT NULL PRIMARY KEY)", *(f"INSERT INTO t VALUES ({v})" for v in values))
    assert sorted(map(float, values)) == [row["x"] for row in assert_every_position_resumes(url, "t")]


def test_a_query_and_a_view_resume_by_the_key_given(url, few):
    """Text with percent signs, colons, question marks and comments goes through untouched."""
    execute(
        url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        f"INSERT INTO t VALUES {', '.join(f'({i}, {i % 3})' for i in range(20))}",
        "CREATE VIEW w AS SELECT id, v FROM t WHERE id <> 7",
    )
    query = "SELECT id AS n, v || ' 100% :x ?' AS v FROM t WHERE id <> 7 -- to the end;"
    whole = assert_every_position_resumes(url, query, key="n")
    assert {"n": 0, "v": "0 100% :x ?"} == whole[0]
    assert 19 == len(assert_every_position_resumes(url, "w", key=["id"]))
    assert 19 == len(
        assert_every_position_resumes(url, "WITH x AS (SELECT * FROM w) SELECT * FROM x;", key=["v", "id"])
    )


def test_a_unique_key_without_nulls_stands_in_for_a_primary_key(url, few):
    """One with NULLs doesn't."""
    execute(
        url,
        "CREATE TABLE t (maybe TEXT UNIQUE, code TEXT NOT NULL UNIQUE)",
        f"INSERT INTO t VALUES {', '.join(f'(NULL, {i})'.replace(str(i), repr(str(i))) for i in range(11))}",
    )
    assert ["code"] == SqlSource(url, "t").identity()["key"]
    assert 11 == len(assert_every_position_resumes(url, "t"))


def test_an_empty_table_is_read_and_its_first_row_is_noticed(url):
    """There is no last key; then there is one."""
    execute(url, "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)")
    source = SqlSource(url, "t")
    identity, schema = begin(source)
    assert [] == rows(source, schema, identity)
    assert source.more(identity) is None
    execute(url, "INSERT INTO t VALUES (1)")
    assert [] == rows(source, schema, identity)
    assert source.changed(identity, None) is None
    assert "the last key was none and is now 1" == source.more(identity)


def test_rows_past_the_recorded_key_are_not_part_of_the_run(url, few):
    """However long it takes; that they came is told afterwards."""
    execute(url, "CREATE TABLE t (id INTEGER NOT NULL PRIMARY KEY)", "INSERT INTO t VALUES (1), (2), (3), (4)")
    source = SqlSource(url, "t")
    identity, schema = begin(source)
    first = next(source.read(schema, None, identity))
    execute(url, "INSERT INTO t VALUES (5), (6)")
    assert source.changed(identity, first.position) is None
    assert [{"id": 4}] == rows(source, schema, identity, first.position)
    assert "the last key was 4 and is now 6" == source.more(identity)


def test_a_session_sees_one_snapshot(postgres, few):
    """Rows that are deleted while it reads are still read."""
    execute(postgres, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 30)")
    source = SqlSource(postgres, "t")
    identity, schema = begin(source)
    batches = source.read(schema, None, identity)
    next(batches)
    execute(postgres, "DELETE FROM t WHERE id > 10")
    assert 27 == sum(batch.rows.num_rows for batch in batches)


def test_leaving_early_gives_the_connection_back(url, few):
    """And nothing keeps the table locked."""
    execute(url, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    execute(url, *(f"INSERT INTO t VALUES ({i})" for i in range(50)))
    engine = connect(url)
    source = SqlSource(engine, "t")
    identity, schema = begin(source)
    batches = source.read(schema, None, identity)
    next(batches)
    assert 1 == engine.pool.checkedout()
    batches.close()
    assert 0 == engine.pool.checkedout()
    execute(url, "DROP TABLE t")
    engine.dispose()


# --------------------------------------------------------------------------------------- what has changed


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        ("ALTER TABLE t ADD COLUMN extra TEXT", "column 'extra' was added"),
        ("ALTER TABLE t DROP COLUMN b", "column 'b' was dropped"),
        ("ALTER TABLE t RENAME COLUMN b TO c", "column 'b' was dropped, column 'c' was added"),
    ],
)
def test_changed_columns_are_told_in_words(url, few, statement, words):
    """By changed(), and by reading on, in case they change in between."""
    execute(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, b TEXT)", "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    source = SqlSource(url, "t")
    identity, schema = begin(source)
    assert source.changed(identity, None) is None
    execute(url, statement)
    assert words == source.changed(identity, None)
    with pytest.raises(SourceChanged, match=words):
        rows(source, schema, identity)


def test_a_changed_type_and_a_changed_key_are_told_in_words(postgres):
    """The types as PostgreSQL calls them."""
    execute(postgres, "CREATE TABLE t (id integer PRIMARY KEY, code text NOT NULL UNIQUE)")
    source = SqlSource(postgres, "t")
    identity = source.identity()
    execute(postgres, "ALTER TABLE t ALTER id TYPE bigint")
    assert "column 'id' was integer and is now bigint" == source.changed(identity, None)
    execute(postgres, "ALTER TABLE t ALTER id TYPE integer", "ALTER TABLE t DROP CONSTRAINT t_pkey")
    assert "the key was (id) and is now (code)" == source.changed(identity, None)


# ------------------------------------------------------------------------------------- what would lose rows


def test_without_a_key_no_position_is_given_out(url, few):
    """A view and a query have none: all rows come, none can be read on from, and the better way is named."""
    execute(
        url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)",
        "INSERT INTO t VALUES (1, NULL), (2, 'b'), (3, 'c'), (4, ''), (5, 'e'), (6, 'f'), (7, 'g')",
        "CREATE VIEW w AS SELECT * FROM t",
    )
    for what in ("w", "SELECT * FROM t"):
        source = SqlSource(url, what)
        identity, schema = begin(source)
        batches = list(source.read(schema, None, identity))
        assert [None, None, None] == [batch.position for batch in batches]
        assert [1, 4, 7] == [batch.row for batch in batches]
        assert 1.0 == batches[-1].fraction
        assert list(range(1, 8)) == [row["id"] for batch in batches for row in batch.rows.to_pylist()]
        assert source.changed(identity, None) is None
        assert source.more(identity) is None
        assert "key=[...] (--key)" in source.describe()


def test_a_key_that_comes_or_goes_is_a_change(url):
    """Rows that were read by a key can't be gone on with without it, nor the other way round."""
    execute(url, "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)", "CREATE VIEW w AS SELECT * FROM t")
    by, whole = (SqlSource(url, "w", key=key) for key in ("id", None))
    assert "the key was (id) and is now none" == whole.changed(begin(by)[0], None)
    assert "the key was none and is now (id)" == by.changed(begin(whole)[0], None)


def test_a_null_in_the_key_is_refused(url):
    """Its row would never be beyond any key."""
    execute(url, "CREATE TABLE t (id INTEGER, v TEXT)", "INSERT INTO t VALUES (1, 'a'), (NULL, 'b')")
    with pytest.raises(SourceError, match="'id' is NULL"):
        SqlSource(url, "t", key="id").identity()


def test_a_null_that_came_into_the_key_later_is_refused(url, few):
    """Before reading on, in the same snapshot."""
    execute(url, "CREATE TABLE t (id INTEGER)", "INSERT INTO t VALUES (1), (2), (3), (4)")
    source = SqlSource(url, "t", key="id")
    identity, schema = begin(source)
    first = next(source.read(schema, None, identity))
    execute(url, "INSERT INTO t VALUES (NULL)")
    with pytest.raises(SourceError, match="is NULL"):
        rows(source, schema, identity, first.position)


def test_a_repeated_key_is_noticed_wherever_it_is(url, few):
    """Within a batch, and between two of them."""
    for twin in range(1, 10):
        values = ", ".join(f"({i})" for i in [*range(1, 10), twin])
        execute(url, f"CREATE TABLE t{twin} (id INTEGER NOT NULL)", f"INSERT INTO t{twin} VALUES {values}")
        source = SqlSource(url, f"t{twin}", key=["id"])
        identity, schema = begin(source)
        with pytest.raises(SourceError, match="isn't unique"):
            rows(source, schema, identity)


def test_a_twin_of_the_row_read_last_is_noticed_on_resuming(url, few):
    """It came between two sessions; `> last` would leave it out."""
    execute(url, "CREATE TABLE t (id INTEGER NOT NULL)", "INSERT INTO t VALUES (1), (2), (3), (4)")
    source = SqlSource(url, "t", key="id")
    identity, schema = begin(source)
    first = next(source.read(schema, None, identity))
    execute(url, "INSERT INTO t VALUES (3)")
    with pytest.raises(SourceError, match="3 comes twice"):
        rows(source, schema, identity, first.position)


@pytest.mark.parametrize(
    ("what", "key", "words"),
    [
        ("orders", None, "Did you mean 'Order Items'|Did you mean 'ordres'"),
        ("zzz", None, "There are: "),
        ("ordres", "nix", "no column 'nix'"),
        ("SELECT 1 AS a, 2 AS a", "a", "same name"),
        ("SELECT * FROM missing", "a", "can't be read"),
    ],
)
def test_what_is_not_there_is_said_with_what_is(url, what, key, words):
    """Names like it, the columns that there are, the database's own words."""
    execute(url, "CREATE TABLE ordres (id INTEGER PRIMARY KEY)", 'CREATE TABLE "Order Items" (id INTEGER PRIMARY KEY)')
    with pytest.raises(SourceError, match=words):
        SqlSource(url, what, key=key).identity()


def test_odd_names_are_quoted(url, few):
    """Blanks, quotes, dots, keywords; and a table that is called like an attack."""
    name = 'Robert"; DROP TABLE t; --'
    quoted = name.replace('"', '""')
    execute(
        url,
        f'CREATE TABLE "{quoted}" ("select" INTEGER PRIMARY KEY, "a ""b"" %s" TEXT)',
        *(f"INSERT INTO \"{quoted}\" VALUES ({i}, 'v')" for i in range(9)),
    )
    assert {"select": 0, 'a "b" %s': "v"} == assert_every_position_resumes(url, name)[0]


def test_no_password_is_in_an_error():
    """Neither of a server that isn't there, nor of one that is asked in vain; nor is there one in describe()."""
    url = "postgresql://someone:c4nary-s3cret@127.0.0.1:9/shop?sslpassword=c4nary-s3cret"
    source = SqlSource(url, "t")
    with pytest.raises(ResumableError) as caught:
        source.identity()
    error = caught.value
    assert isinstance(error, SourceError)
    assert "c4nary" not in f"{error} {error!r} {source.url}"
    assert "127.0.0.1" in str(error)


# ----------------------------------------------------------------------------------------------- SQLite


def test_a_sqlite_file_that_is_not_there_is_not_made(tmp_path):
    """SQLite itself would make it."""
    with pytest.raises(SourceError, match="There is no file"):
        SqlSource(f"sqlite:///{tmp_path}/nothing.db", "t").identity()
    assert [] == list(tmp_path.iterdir())


def test_a_sqlite_database_in_memory_is_refused():
    """It would be another one in the reading thread."""
    with pytest.raises(UsageError, match="in memory"):
        SqlSource("sqlite://", "t")


def test_a_table_without_key_is_read_by_its_rowid(sqlite_url, few):
    """Also where a column is called rowid."""
    execute(
        sqlite_url,
        "CREATE TABLE t (rowid TEXT, v)",
        *(f"INSERT INTO t VALUES ('same', {i % 2})" for i in range(10)),
        "DELETE FROM t WHERE _rowid_ = 5",
    )
    assert ["_rowid_"] == SqlSource(sqlite_url, "t").identity()["key"]
    assert 9 == len(assert_every_position_resumes(sqlite_url, "t"))


def test_rowids_that_vacuum_has_changed_are_noticed(sqlite_url, few):
    """Only what VACUUM really renumbered: other changes of the schema don't matter."""
    execute(
        sqlite_url,
        "CREATE TABLE t (v TEXT)",
        *(f"INSERT INTO t VALUES ('{i}')" for i in range(10)),
        "DELETE FROM t WHERE v = '1'",
    )
    source = SqlSource(sqlite_url, "t")
    identity, schema = begin(source)
    first = next(source.read(schema, None, identity))
    execute(sqlite_url, "CREATE TABLE another (x)")
    assert source.changed(identity, first.position) is None
    engine = connect(sqlite_url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM")
    engine.dispose()
    assert "VACUUM" in source.changed(identity, first.position)
    with pytest.raises(SourceChanged, match="VACUUM"):
        rows(source, schema, identity, first.position)


def test_a_primary_key_that_lets_null_in_is_checked(sqlite_url, few):
    """An old mistake of SQLite's, kept for compatibility."""
    execute(sqlite_url, "CREATE TABLE t (id TEXT PRIMARY KEY)", *(f"INSERT INTO t VALUES ('{i}')" for i in range(9)))
    assert 9 == len(assert_every_position_resumes(sqlite_url, "t"))
    execute(sqlite_url, "INSERT INTO t VALUES (NULL)")
    with pytest.raises(SourceError, match="is NULL"):
        SqlSource(sqlite_url, "t").identity()


def test_a_table_without_rowid_is_read_by_its_key(sqlite_url, few):
    """And its index's collation."""
    execute(
        sqlite_url,
        "CREATE TABLE t (name TEXT COLLATE NOCASE, n INTEGER, PRIMARY KEY (name, n)) WITHOUT ROWID",
        *(f"INSERT INTO t VALUES ('{name}', {n})" for name, n in zip("aBcAbCaB", range(8), strict=True)),
    )
    whole = assert_every_position_resumes(sqlite_url, "t")
    assert "aAaBbBcC" == "".join(row["name"] for row in whole)


def test_a_key_is_ordered_as_its_index_is_not_as_its_column(sqlite_url, few):
    """Unique as bytes, in a column where a and A are the same: by the column's collation a row would be lost."""
    execute(
        sqlite_url,
        "CREATE TABLE t (name TEXT NOT NULL COLLATE NOCASE)",
        "CREATE UNIQUE INDEX i ON t (name COLLATE BINARY)",
        *(f"INSERT INTO t VALUES ('{name}')" for name in "aAbBcCdD"),
    )
    assert "ABCDabcd" == "".join(row["name"] for row in assert_every_position_resumes(sqlite_url, "t"))


def test_blobs_and_mixed_values_in_a_key_resume_from_every_position(sqlite_url, few):
    """Numbers, then text, then blobs: SQLite's own order."""
    execute(
        sqlite_url,
        "CREATE TABLE t (k PRIMARY KEY NOT NULL, n INTEGER)",
        *(f"INSERT INTO t VALUES ({k}, {i})" for i, k in enumerate(["1", "1.5", "'1'", "''", "9e999", "-9e999", "7"])),
    )
    assert [5, 0, 1, 6, 4, 3, 2] == [row["n"] for row in assert_every_position_resumes(sqlite_url, "t")]
    execute(sqlite_url, "CREATE TABLE b (k BLOB PRIMARY KEY NOT NULL)")
    execute(sqlite_url, *(f"INSERT INTO b VALUES (x'{i:02x}00ff')" for i in range(9)))
    assert [bytes([i, 0, 255]) for i in range(9)] == [r["k"] for r in assert_every_position_resumes(sqlite_url, "b")]


def test_sqlite_columns_are_what_their_declarations_mean(sqlite_url):
    """And come as Python would have them."""
    execute(
        sqlite_url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, f REAL, b BOOLEAN, s VARCHAR(9), x BLOB, d DATE, at DATETIME,"
        " z TIMESTAMP, o TIME, m NUMERIC(10,2), l DECIMAL_TEXT(20, 3), u, big BIGINT)",
        "INSERT INTO t VALUES (1, 1.5, 1, 'ä', x'00ff', '2024-02-29', '2024-02-29 12:00:00.5',"
        " '2024-02-29 12:00:00+00:00', '23:59:59', 10.1, '12345678901234567.125', 7, -9223372036854775808)",
        "INSERT INTO t (id) VALUES (2)",
    )
    utc = dt.UTC
    (row, nulls) = read(SqlSource(sqlite_url, "t"))
    assert {
        "id": 1,
        "f": 1.5,
        "b": True,
        "s": "ä",
        "x": b"\0\xff",
        "d": dt.date(2024, 2, 29),
        "at": dt.datetime(2024, 2, 29, 12, 0, 0, 500000),
        "z": dt.datetime(2024, 2, 29, 12, tzinfo=utc),
        "o": dt.time(23, 59, 59),
        "m": Decimal("10.10"),
        "l": Decimal("12345678901234567.125"),
        "u": 7,
        "big": -(2**63),
    } == row
    assert {None} == set(nulls.values()) - {2}


def test_a_query_s_columns_keep_their_declarations_in_sqlite(sqlite_url):
    """Through a temporary view; expressions are judged by their values."""
    execute(sqlite_url, "CREATE TABLE t (id INTEGER PRIMARY KEY, d DATE)", "INSERT INTO t VALUES (1, '2024-02-29')")
    schema = SqlSource(sqlite_url, "SELECT id, d, id * 1.5 AS f, id + 1 AS n, upper(d) AS s FROM t", key="id").schema()
    assert [pa.int64(), pa.date32(), pa.float64(), pa.int64(), pa.string()] == schema.types


@pytest.mark.parametrize(
    ("declared", "value", "kind", "expected"),
    [
        ("INTEGER", "'abc'", pa.string(), "abc"),
        ("INTEGER", "1.5", pa.float64(), 1.5),
        ("DATE", "1709164800", pa.int64(), 1709164800),
        ("DATE", "'29.2.2024'", pa.string(), "29.2.2024"),
        ("DATETIME", "'2024-02-29 12:00:00+02:00'", pa.string(), "2024-02-29 12:00:00+02:00"),
        ("BOOLEAN", "2", pa.int64(), 2),
        ("BOOLEAN", "'true'", pa.string(), "true"),
        ("NUMERIC(5,2)", "0.125", pa.float64(), 0.125),
        ("NUMERIC", "9007199254740993", pa.int64(), 9007199254740993),
        ("TEXT", "x'00ff'", pa.binary(), b"\0\xff"),
        ("TIME", "'24:61'", pa.string(), "24:61"),
    ],
)
def test_values_that_are_not_what_was_declared_decide_the_type(sqlite_url, declared, value, kind, expected):
    """When they are among the first rows; nothing is altered."""
    execute(sqlite_url, f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})", f"INSERT INTO t VALUES (1, {value})")
    source = SqlSource(sqlite_url, "t")
    assert kind == source.schema().field("v").type
    assert [{"id": 1, "v": expected}] == read(source)


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        ("INTEGER", "1", "'abc'"),
        ("REAL", "1.5", "9007199254740993.0e0 || 'x'"),
        ("DATE", "'2024-02-29'", "'2024-02-30'"),
        ("DATETIME", "'2024-02-29 00:00:00'", "'2024-02-29 00:00:00.1234567'"),
        ("BOOLEAN", "1", "2"),
        ("NUMERIC(5,2)", "1.25", "1.255"),
        ("TEXT", "'a'", "x'00'"),
        ("BLOB", "x'00'", "'a'"),
    ],
)
def test_a_later_value_that_does_not_fit_is_a_bad_row(sqlite_url, few, monkeypatch, declared, good, bad):
    """With its row, column and key; rows before its batch are read."""
    monkeypatch.setattr("resumable.databases.sqlite.read.SAMPLE", 5)
    execute(
        sqlite_url,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, v {declared})",
        *(f"INSERT INTO t VALUES ({i * 10}, {bad if i == 8 else good})" for i in range(1, 11)),
    )
    source = SqlSource(sqlite_url, "t")
    identity, schema = begin(source)
    with pytest.raises(BadRow, match=r"'v' of t at key 80") as caught:
        rows(source, schema, identity)
    assert (8, "v") == (caught.value.row, caught.value.column)


# ------------------------------------------------------------------------------------------- PostgreSQL

EXACT = {
    "smallint": ["-32768", "32767"],
    "bigint": ["-9223372036854775808", "9223372036854775807"],
    "double precision": ["NaN", "Infinity", "-Infinity", "0.1", "-0", "5e-324", "1.7976931348623157e308"],
    "real": ["NaN", "Infinity", "0.1", "1e-45", "3.4028235e38"],
    "boolean": ["true", "false"],
    "text": ["", "NULL", "\\N", "\\.", "NaN", ' a,"b" ', "line\nbreak\r\n", "ä🎈", "\t", "'", "\\x41", "null"],
    "varchar(20)": ["", "x "],
    "char(4)": ["ab"],
    "bytea": ["", "\\x00", "\\x00ff0a0d225c", "\\x" + "41" * 1000],
    "date": ["0001-01-01", "2024-02-29", "9999-12-31"],
    "timestamp": ["2024-02-29 23:59:59.999999", "0001-01-01 00:00:00", "9999-12-31 23:59:59.999999"],
    "timestamptz": ["2024-02-29 23:59:59.999999+05:45", "1900-01-01 00:00:00+00"],
    "time": ["00:00:00", "23:59:59.999999"],
    "numeric(20,0)": ["18446744073709551615"],
    "numeric(38,9)": ["12345678901234567890123456789.123456789", "-0.000000001"],
    "numeric(76,30)": ["1234567890123456789012345678901234567890123456.000000000000000000000000000001"],
}
AS_TEXT = {
    "numeric": ["NaN", "Infinity", "0.10", "1e100"],
    "uuid": ["00000000-0000-0000-0000-00000000000a"],
    "jsonb": ['{"a": [1, null, "x"]}', "null"],
    "interval": ["1 mon -2 days 03:04:05.6"],
    "integer[]": ["{1,NULL,3}", "{}"],
    "text[]": ['{"",NULL,"NULL","a b"}'],
    "inet": ["10.0.0.0/8"],
    "timetz": ["12:00:00+05:45"],
    "int4range": ["[1,5)"],
    "bit(3)": ["101"],
}


@pytest.mark.parametrize("kind", EXACT)
def test_postgresql_s_values_come_exactly(postgres, kind):
    """Compared with what psycopg makes of a plain SELECT; NULL and the empty string are told apart."""
    engine = connect(postgres)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE t (id integer PRIMARY KEY, v {kind})")
        for i, value in enumerate([*EXACT[kind], None]):
            connection.exec_driver_sql(f"INSERT INTO t VALUES ({i}, CAST(%s AS {kind}))", (value,))
        expected = connection.exec_driver_sql("SELECT v FROM t ORDER BY id").scalars().all()
    engine.dispose()
    source = SqlSource(postgres, "t")
    found = [row["v"] for row in read(source)]
    assert repr(expected[-1]) == repr(found[-1]) == "None"
    if kind == "timestamptz":
        assert expected == found
    elif kind == "real":  # psycopg reads it as a double
        assert [repr(pa.scalar(v, pa.float32()).as_py()) for v in expected[:-1]] == list(map(repr, found[:-1]))
    else:
        assert list(map(repr, expected)) == list(map(repr, found))


@pytest.mark.parametrize("kind", AS_TEXT)
def test_types_that_arrow_lacks_come_as_postgresql_s_text(postgres, kind):
    """The text casts back to the value."""
    values = ", ".join(f"({i}, CAST('{value}' AS {kind}))" for i, value in enumerate(AS_TEXT[kind]))
    execute(postgres, f"CREATE TABLE t (id integer PRIMARY KEY, v {kind})", f"INSERT INTO t VALUES {values}")
    source = SqlSource(postgres, "t")
    assert pa.string() == source.schema().field("v").type
    for row in read(source):
        text = row["v"].replace("'", "''")
        same = f"SELECT v::text = CAST('{text}' AS {kind})::text AS same, id FROM t WHERE id = {row['id']}"
        assert [True] == [found["same"] for found in read(SqlSource(postgres, same, key="id"))]


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("numeric(10,2)", "NaN"),
        ("date", "infinity"),
        ("date", "0044-03-15 BC"),
        ("timestamp", "-infinity"),
        ("timestamptz", "0044-03-15 00:00:00+00 BC"),
        ("date", "12024-01-01"),
        ("time", "24:00:00"),
    ],
)
def test_what_arrow_can_not_hold_is_a_bad_row_that_says_which(postgres, few, kind, value):
    """With row, column, key and value; and casting it to text is a way out."""
    execute(
        postgres,
        f"CREATE TABLE t (id integer PRIMARY KEY, ok {kind}, v {kind})",
        "INSERT INTO t SELECT i, NULL, NULL FROM generate_series(10, 90, 10) i",
        f"UPDATE t SET v = '{value}' WHERE id = 50",
    )
    source = SqlSource(postgres, "t")
    identity, schema = begin(source)
    with pytest.raises(BadRow, match=rf"'v' of t at key 50 holds '.*{value[:5]}") as caught:
        rows(source, schema, identity)
    assert (5, "v") == (caught.value.row, caught.value.column)
    texts = read(SqlSource(postgres, "SELECT id, v::text AS v FROM t", key="id"))
    assert value[:5] in texts[4]["v"]


@pytest.mark.parametrize("kind", ["uuid", "timestamptz", "bytea", "numeric", "date", "boolean", "inet", "char(5)"])
def test_keys_of_any_ordered_type_resume_from_every_position(postgres, few, kind):
    """Kept as PostgreSQL's text, and bound back under their type; NaN and infinity too."""
    make = {
        "uuid": "md5(i::text)::uuid",
        "timestamptz": "CASE WHEN i = 9 THEN 'infinity' ELSE '2024-01-01'::timestamptz + i * interval '1.000001 s' END",
        "bytea": "decode(md5(i::text), 'hex')",
        "numeric": "CASE WHEN i = 9 THEN 'NaN' ELSE 1.1 ^ i END",
        "date": "'2024-01-01'::date + i",
        "boolean": "i % 2 = 0",
        "inet": "('10.0.0.' || i)::inet",
        "char(5)": "chr(64 + i)",
    }[kind]
    execute(
        postgres,
        f"CREATE TABLE t (k {kind}, n integer, PRIMARY KEY (k, n))",
        f"INSERT INTO t SELECT {make}, i FROM generate_series(1, 10) i",
    )
    if kind == "timestamptz":
        execute(postgres, "DELETE FROM t WHERE n = 9")
    assert_every_position_resumes(postgres, "t")


def test_keys_are_ordered_and_compared_by_the_column_s_own_collation(postgres, few):
    """Whatever the database's is: here a stands before B."""
    execute(
        postgres,
        'CREATE TABLE t (name text COLLATE "und-x-icu" PRIMARY KEY)',
        "INSERT INTO t SELECT chr(c) FROM generate_series(65, 122) c",
    )
    names = "".join(row["name"] for row in assert_every_position_resumes(postgres, "t"))
    assert names.endswith("aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ")


def test_enums_domains_and_partitions_are_read(postgres, few):
    """A domain is its base type, an enum is text in the enum's order, a partitioned table is one table."""
    execute(
        postgres,
        "CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy')",
        "CREATE DOMAIN price AS numeric(8,2)",
        "CREATE TABLE t (m mood, p price, PRIMARY KEY (m, p)) PARTITION BY LIST (m)",
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN ('sad', 'ok')",
        "CREATE TABLE t2 PARTITION OF t FOR VALUES IN ('happy')",
        "INSERT INTO t SELECT m, p FROM unnest(enum_range(NULL::mood)) m, generate_series(1, 4) p",
    )
    whole = assert_every_position_resumes(postgres, "t")
    assert ["sad"] * 4 + ["ok"] * 4 + ["happy"] * 4 == [row["m"] for row in whole]
    assert Decimal("1.00") == whole[0]["p"]


def test_a_parent_s_primary_key_is_not_trusted_for_its_children(postgres):
    """Inheritance: a child may repeat the parent's keys."""
    execute(
        postgres,
        "CREATE TABLE t (id integer PRIMARY KEY)",
        "CREATE TABLE child () INHERITS (t)",
        "INSERT INTO t VALUES (1)",
        "INSERT INTO child VALUES (1)",
    )
    assert [] == SqlSource(postgres, "t").identity()["key"]
    assert [{"id": 1}, {"id": 1}] == read(SqlSource(postgres, "t"))
    with pytest.raises(SourceError, match="isn't unique"):
        read(SqlSource(postgres, "t", key="id"))


def test_a_schema_can_be_named_either_way(postgres):
    """By schema= or before a dot."""
    execute(postgres, 'CREATE SCHEMA "S 1"', 'CREATE TABLE "S 1".t AS SELECT 1 AS id')
    assert [{"id": 1}] == read(SqlSource(postgres, "t", key="id", schema="S 1"))
    assert [{"id": 1}] == read(SqlSource(postgres, "S 1.t", key="id"))


def test_a_query_can_not_write(postgres):
    """It runs in a read-only transaction."""
    execute(
        postgres,
        "CREATE TABLE t (id integer PRIMARY KEY)",
        "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'INSERT INTO t VALUES (1) RETURNING id'",
    )
    with pytest.raises(SourceError, match="read-only"):
        SqlSource(postgres, "SELECT f() AS id", key="id").identity()


def test_a_single_column_of_nulls_and_empty_strings_keeps_every_row(postgres):
    """NULL alone in a row is an empty line."""
    execute(postgres, "CREATE TABLE t (id integer PRIMARY KEY, v text)", "INSERT INTO t VALUES (1, NULL), (2, '')")
    source = SqlSource(postgres, "SELECT * FROM t", key="id")
    identity, schema = begin(source)
    assert [{"v": None}, {"v": ""}] == [{"v": row["v"]} for row in rows(source, schema, identity)]


def test_long_values_make_small_batches(postgres):
    """About 2 MiB, however few rows that is."""
    execute(
        postgres,
        "CREATE TABLE t (id integer PRIMARY KEY, v text)",
        "INSERT INTO t SELECT i, repeat(chr(64 + i), 700000) FROM generate_series(1, 7) i",
    )
    source = SqlSource(postgres, "t")
    identity, schema = begin(source)
    assert [3, 3, 1] == [batch.rows.num_rows for batch in source.read(schema, None, identity)]


def test_long_values_make_small_batches_in_sqlite(sqlite_url):
    """The same, where they come after short ones."""
    sizes = "CASE WHEN i < 1000 THEN 10 ELSE 20000 END"
    execute(
        sqlite_url,
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v BLOB)",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000)"
        f" INSERT INTO t SELECT i, zeroblob({sizes}) FROM n",
    )
    source = SqlSource(sqlite_url, "t")
    identity, schema = begin(source)
    lengths = [batch.rows.nbytes for batch in source.read(schema, None, identity)]
    assert len(lengths) > 3
    assert max(lengths) < 16 * 2**20


def test_a_refused_table_is_told_in_postgresql_s_words(canary, postgres_server):
    """No permission; and no password."""
    admin = postgres_server.set(database=sa.make_url(canary).database)
    execute(admin.render_as_string(hide_password=False), "CREATE TABLE secret (id integer PRIMARY KEY)")
    with pytest.raises(SourceError, match="permission denied") as caught:
        SqlSource(canary, "secret").identity()
    assert "s3cret" not in str(caught.value)


def test_a_lost_connection_is_told_as_such(postgres, few):
    """The server ended it while reading."""
    execute(
        postgres,
        "CREATE TABLE t (id integer PRIMARY KEY, v text)",
        "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i",
    )
    source = SqlSource(postgres, "t")
    identity, schema = begin(source)
    batches = source.read(schema, None, identity)
    next(batches)
    execute(
        postgres,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'COPY%'",
    )
    time.sleep(0.1)
    with pytest.raises(ConnectionLost):
        for _ in batches:
            pass

"""How staged rows get into a table that is there: append, upsert, replace; and that terminate leaves no trace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from resumable.checkpoint import Checkpoint
from resumable.errors import BadRow, ResumableError, TargetError, TargetExists
from resumable.sinks.sql.sink import SqlSink
from targets import Target, batch, claimant, load, start, terminate

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])
SHOP = (
    "CREATE TABLE customers (id bigint PRIMARY KEY)",
    "INSERT INTO customers VALUES (1), (2)",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest) -> Target:
    """An empty database of either kind."""
    return Target(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres"))


def part(*rows: tuple[Any, ...], schema: pa.Schema = SCHEMA) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([dict(zip(schema.names, row, strict=True)) for row in rows], schema=schema)


def staged(sink: SqlSink, *rows: tuple[Any, ...], schema: pa.Schema = SCHEMA, row: int = 1, epoch: int = 1) -> Any:
    """A writer with all rows committed; publish() is what the test is about."""
    writer = start(sink, schema, epoch)
    writer.write(batch(part(*rows, schema=schema), row))
    writer.commit(writer.last.next(rows=len(rows), complete=True))
    return writer


def publish(writer: Any) -> None:
    writer.publish(writer.last.next(outcome="completed"))


def refused(sink: SqlSink, *rows: tuple[Any, ...], schema: pa.Schema = SCHEMA, row: int = 1) -> ResumableError:
    """What publishing says; and then the run is terminated."""
    with staged(sink, *rows, schema=schema, row=row) as writer:
        with pytest.raises(ResumableError) as caught:
            publish(writer)
        terminate(writer)
    return caught.value


def furnish(target: Target) -> None:
    """A table with all that hangs on one: key, indexes, checks, views, triggers, foreign keys, sequences, grants."""
    identity = "INTEGER PRIMARY KEY AUTOINCREMENT" if target.lite else "bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY"
    target.do(
        *SHOP,
        f"CREATE TABLE orders (id {identity}, name varchar(20) NOT NULL CHECK (name <> ''), code text UNIQUE)",
        "CREATE INDEX by_name ON orders (name)",
        "CREATE UNIQUE INDEX some_codes ON orders (name) WHERE code = 'x'",
        "CREATE VIEW seen AS SELECT name FROM orders",
        "CREATE TABLE log (what text)",
        "INSERT INTO orders (name) VALUES ('a'), ('b')",
    )
    deferred = "REFERENCES orders (id) DEFERRABLE INITIALLY IMMEDIATE"
    target.do(f"CREATE TABLE lines (id int, of_order bigint {deferred})", "INSERT INTO lines VALUES (1, 1), (2, NULL)")
    if target.lite:
        target.do("CREATE TRIGGER logged AFTER INSERT ON orders BEGIN INSERT INTO log VALUES (new.name); END")
    else:
        target.do(
            "CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO log VALUES (new.name); RETURN new; END $$",
            "CREATE TRIGGER logged AFTER INSERT ON orders FOR EACH ROW EXECUTE FUNCTION logged()",
            "GRANT SELECT ON orders TO PUBLIC",
        )


def schema_of(dump: str) -> list[str]:
    """The dump without rows, sequence values and our ledger."""
    kept = ("CREATE", "ALTER", "GRANT")
    return [line for line in dump.splitlines() if line.startswith(kept) and "resumable_ledger" not in line]


@pytest.mark.parametrize("how", ["append", "upsert", "replace"])
def test_terminate_leaves_schema_rows_grants_and_sequences_as_they_were(target: Target, how: Any) -> None:
    """With everything staged, after a publish that failed, and a second time."""
    furnish(target)
    before = target.dump()
    schema = pa.schema([("id", pa.int64()), ("name", pa.string()), ("code", pa.string())])
    rows = [(1, "a", None), (7, "g", "same"), (8, "h", "same")]
    with staged(SqlSink(target.url, "orders", if_exists=how), *rows, schema=schema) as writer:
        with pytest.raises(ResumableError):
            publish(writer)
        terminate(writer)
        writer.clean_up()
    assert target.dump() == before
    assert target.staging() == []


# ---------------------------------------------------------------------------------------------- append


def test_appended_rows_come_in_order_after_those_that_are_there(target: Target) -> None:
    """The table keeps what hangs on it, triggers fire once, missing columns take their defaults."""
    furnish(target)
    target.do("DELETE FROM log", "ALTER TABLE orders ADD COLUMN note text DEFAULT 'none'")
    shape = schema_of(target.dump())
    schema = pa.schema([("name", pa.string())])
    names = [f"n{i % 7}" for i in range(500)]
    load(SqlSink(target.url, "orders", if_exists="append"), part(*((n,) for n in names), schema=schema))
    assert target.all("SELECT id, name, note FROM orders ORDER BY id")[2:] == [
        (i, n, "none") for i, n in enumerate(names, 3)
    ]
    assert target.all("SELECT count(*) FROM log") == [(500,)]
    assert schema_of(target.dump()) == shape


def test_the_application_s_next_row_does_not_collide_with_ids_that_were_supplied(target: Target) -> None:
    """GENERATED ALWAYS takes explicit values; its sequence moves on, and so do serials and shared sequences."""
    furnish(target)
    load(SqlSink(target.url, "orders", if_exists="append"), part((50, "x"), (40, "y")))
    target.do("INSERT INTO orders (name) VALUES ('next')")
    assert target.all("SELECT max(id) FROM orders") == [(51,)]
    if not target.lite:
        target.do(
            "CREATE SEQUENCE shared", "CREATE SEQUENCE down INCREMENT -5 MAXVALUE 1000 START 1000",
            "CREATE TABLE more (id serial, a int DEFAULT nextval('shared'), b int DEFAULT nextval('down'), name text)",
        )  # fmt: skip
        schema = pa.schema([("id", pa.int64()), ("a", pa.int32()), ("b", pa.int32())])
        sink = SqlSink(target.url, "more", if_exists="append")
        with sink.open(replace(claimant(1), run="2"), Checkpoint(schema=schema)) as writer:
            writer.write(batch(part((7, 70, 700), (3, 30, 300), schema=schema)))
            writer.commit(writer.last.next(rows=2, complete=True))
            publish(writer)
            writer.clean_up()
        target.do("INSERT INTO more (name) VALUES ('next')")
        assert target.all("SELECT id, a, b FROM more WHERE name = 'next'") == [(8, 71, 295)]


def test_unique_keys_are_checked_with_the_source_s_row_numbers(target: Target) -> None:
    """Against the table, and within the input; no value is in what is said. NULLs are never equal."""
    target.do(
        "CREATE TABLE orders (id bigint PRIMARY KEY, name text UNIQUE)", "INSERT INTO orders VALUES (7, 'secret')"
    )
    sink = SqlSink(target.url, "orders", if_exists="append")
    there = refused(sink, (1, None), (7, "b"), (2, None), row=100)
    assert isinstance(there, BadRow)
    assert (there.row, there.column) == (101, "id")
    other = refused(sink, (1, "a"), (2, "secret"))
    assert isinstance(other, BadRow)
    assert (other.row, other.column) == (2, "name")
    assert "secret" not in str(other)
    twice = refused(sink, (1, "a"), (2, "b"), (3, "c"), (2, "d"), row=11)
    assert isinstance(twice, BadRow)
    assert twice.row == 14
    assert "row 14 has that of row 12" in str(twice)
    assert target.all("SELECT id FROM orders") == [(7,)]


def test_foreign_keys_are_checked_with_the_source_s_row_numbers(target: Target) -> None:
    """SQLite only enforces them where the connection says so; then they are ours to check as well."""
    target.do(
        *SHOP,
        "CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint REFERENCES customers, part_of bigint REFERENCES orders)",
    )
    where: Any = target.url
    if target.lite:
        import sqlalchemy as sa

        where = sa.create_engine(target.url)
        sa.event.listen(where, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys = ON"))
    schema = pa.schema([("id", pa.int64()), ("customer", pa.int64()), ("part_of", pa.int64())])
    sink = SqlSink(where, "orders", if_exists="append")
    lost = refused(sink, (1, 1, None), (2, 9, None), (3, None, 1), schema=schema)
    assert isinstance(lost, BadRow)
    assert (lost.row, lost.column) == (2, "customer")
    own = refused(sink, (1, 1, 3), (2, 2, 8), (3, None, 1), schema=schema)
    assert isinstance(own, BadRow)
    assert (own.row, own.column) == (2, "part_of")
    load(sink, part((1, 1, 3), (3, None, 1), schema=schema))
    assert target.all("SELECT count(*) FROM orders") == [(2,)]
    if target.lite:
        where.dispose()


def test_computed_columns_and_defaults_are_the_database_s(target: Target) -> None:
    """A CHECK over a column that isn't supplied sees its default; a computed one can't be supplied."""
    target.do(
        "CREATE TABLE orders (id bigint, qty int DEFAULT 3 CHECK (qty > 1), twice bigint GENERATED ALWAYS AS (id * 2) STORED,"
        " CONSTRAINT small CHECK (id + qty < 100 AND id < 50))"
    )
    sink, ids = SqlSink(target.url, "orders", if_exists="append"), pa.schema([("id", pa.int64())])
    load(sink, part((1,), (2,), schema=ids))
    assert target.all("SELECT id, qty, twice FROM orders") == [(1, 3, 2), (2, 3, 4)]
    assert sink.columns().keys() == {"id", "qty"}
    with pytest.raises(TargetError, match="computed"):
        sink.open(replace(claimant(1), run="2"), Checkpoint(schema=pa.schema([("twice", pa.int64())])))


def test_a_strict_table_and_checks_with_odd_words_are_kept_to(sqlite_url: str) -> None:
    """The CHECKs come from the CREATE TABLE statement, past comments, strings and quoted names."""
    target = Target(sqlite_url)
    target.do(
        'CREATE TABLE orders (id INTEGER, -- CHECK (no)\n "check" TEXT CONSTRAINT "it\'s" CHECK ("check" <> \'a) CHECK (1=0\'),'
        " [x y] INT /* CHECK (0) */ CHECK ([x y] IN (1, (2))), CHECK(id>0)) STRICT"
    )
    schema = pa.schema([("id", pa.int64()), ("check", pa.string()), ("x y", pa.int64())])
    with start(SqlSink(sqlite_url, "orders", if_exists="append"), schema) as writer:
        writer.write(batch(part((1, "fine", 2), schema=schema)))
        for bad in ((0, "fine", 2), (1, "a) CHECK (1=0", 2), (1, "fine", 3)):
            with pytest.raises(BadRow):
                writer.write(batch(part(bad, schema=schema)))
        terminate(writer)


def test_domains_enums_json_uuids_and_arrays_take_text(postgres: str) -> None:
    """What Arrow has no type for goes in as the database reads its own text; what it can't read is a bad row."""
    target = Target(postgres)
    target.do(
        "CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE DOMAIN small AS int CHECK (VALUE < 10)",
        "CREATE TABLE orders (u uuid, j jsonb, m mood, s small, a int[], n numeric, t timestamp(0), c varchar(3))",
    )  # fmt: skip
    text = pa.string()
    schema = pa.schema(
        [
            ("u", text),
            ("j", text),
            ("m", text),
            ("s", pa.int32()),
            ("a", text),
            ("n", text),
            ("t", pa.timestamp("us")),
            ("c", text),
        ]
    )
    good = (
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        '{"a": 1}',
        "ok",
        9,
        "{1,2}",
        "12345678901234567890.123456789",
        None,
        "abc",
    )
    sink = SqlSink(postgres, "orders", if_exists="append")
    with start(sink, schema) as writer:
        writer.write(batch(part(good, schema=schema)))
        for at, value in (
            (0, "s3cret"),
            (1, "{s3cret"),
            (2, "s3cret"),
            (3, 10),
            (4, "s3cret"),
            (5, "007"),
            (7, "ab  "),
            (6, 1),
        ):
            bad = (*good[:at], value, *good[at + 1 :])
            with pytest.raises(BadRow) as caught:
                writer.write(batch(part(good, bad, schema=schema)))
            assert caught.value.row == 2
            assert "s3cret" not in str(caught.value)
        writer.commit(writer.last.next(rows=1, complete=True))
        publish(writer)
        writer.clean_up()
    assert target.all("SELECT m, s, CAST(n AS text) FROM orders") == [("ok", 9, "12345678901234567890.123456789")]


# ---------------------------------------------------------------------------------------------- upsert


def test_in_an_upsert_the_last_row_of_a_key_wins(target: Target) -> None:
    """Over what is there, and within the input; the other columns of the table stay."""
    target.do(
        "CREATE TABLE orders (id bigint PRIMARY KEY, name text, note text DEFAULT 'new')",
        "INSERT INTO orders VALUES (1, 'one', 'old'), (2, 'two', 'old')",
    )
    load(
        SqlSink(target.url, "orders", if_exists="upsert"), part((2, "b"), (3, "x"), (3, "y")), part((2, "B"), (4, None))
    )
    assert sorted(target.all("SELECT * FROM orders")) == [
        (1, "one", "old"),
        (2, "B", "old"),
        (3, "y", "new"),
        (4, None, "new"),
    ]


def test_an_upsert_by_an_identity_takes_explicit_ids_and_moves_the_sequence_on(target: Target) -> None:
    """GENERATED ALWAYS AS IDENTITY as the key; a column like that beside the key can't be updated."""
    furnish(target)
    load(SqlSink(target.url, "orders", if_exists="upsert"), part((2, "B"), (9, "i")))
    assert target.all("SELECT id, name FROM orders ORDER BY id") == [(1, "a"), (2, "B"), (9, "i")]
    target.do("INSERT INTO orders (name) VALUES ('next')")
    assert target.all("SELECT max(id) FROM orders") == [(10,)]
    if not target.lite:
        schema = pa.schema([("id", pa.int64()), ("name", pa.string()), ("code", pa.string())])
        with pytest.raises(TargetError, match="GENERATED ALWAYS"):
            SqlSink(target.url, "orders", if_exists="upsert", key="code").open(
                replace(claimant(1), run="2"), Checkpoint(schema=schema)
            )


def test_an_upsert_without_a_table_makes_one_with_that_key(target: Target) -> None:
    """In SQLite its rows lie in the order of arrival of those that won; in PostgreSQL a table has no order."""
    sink = SqlSink(target.url, "orders", if_exists="upsert", key="id")
    load(
        sink,
        part((2, "b"), (9, "x"), (1, "a")),
        part(
            (2, "B"),
        ),
    )
    rows, expected = target.all("SELECT * FROM orders"), [(9, "x"), (1, "a"), (2, "B")]
    assert rows == expected if target.lite else sorted(rows) == sorted(expected)
    with pytest.raises(Exception, match=r"(?i)unique"):
        target.do("INSERT INTO orders VALUES (9, 'again')")


def test_a_null_key_is_refused_when_it_arrives(target: Target) -> None:
    """In an upsert, and in a new table that is given a key."""
    target.do("CREATE TABLE orders (id bigint UNIQUE, name text)")
    for n, sink in enumerate(
        (SqlSink(target.url, "orders", if_exists="upsert", key="id"), SqlSink(target.url, "new", key="id")), 1
    ):
        with start(sink, SCHEMA, n) as writer:
            with pytest.raises(BadRow) as caught:
                writer.write(batch(part((1, "a"), (None, "b")), 7))
            assert (caught.value.row, caught.value.column) == (8, "id")
            terminate(writer)


def test_an_upsert_of_nothing_but_keys_adds_those_that_are_missing(target: Target) -> None:
    """There is nothing to update."""
    target.do("CREATE TABLE orders (a bigint, b text, PRIMARY KEY (a, b))", "INSERT INTO orders VALUES (1, 'x')")
    schema = pa.schema([("b", pa.string()), ("a", pa.int64())])
    load(SqlSink(target.url, "orders", if_exists="upsert"), part(("x", 1), ("y", 1), schema=schema))
    assert target.all("SELECT * FROM orders") == [(1, "x"), (1, "y")]


def test_keys_are_compared_as_the_index_does(sqlite_url: str) -> None:
    """NOCASE: 'A' and 'a' are one, in an upsert and in what an append refuses."""
    target = Target(sqlite_url)
    target.do(
        "CREATE TABLE orders (name TEXT PRIMARY KEY COLLATE NOCASE, id bigint)", "INSERT INTO orders VALUES ('a', 1)"
    )
    load(SqlSink(sqlite_url, "orders", if_exists="upsert"), part((2, "A"), (3, "b"), (4, "B")))
    assert target.all("SELECT * FROM orders") == [("a", 2), ("B", 4)]
    again = SqlSink(sqlite_url, "orders", if_exists="append")
    target.do("DELETE FROM resumable_ledger")
    assert "row 2" in str(refused(again, (1, "x"), (1, "X")))


# --------------------------------------------------------------------------------------------- replace


def test_replace_keeps_the_table_and_all_that_hangs_on_it(target: Target) -> None:
    """Rows change in one transaction; children still find theirs; the sequence moves on."""
    furnish(target)
    shape = schema_of(target.dump())
    schema = pa.schema([("name", pa.string()), ("id", pa.int64()), ("code", pa.string())])
    load(SqlSink(target.url, "orders", if_exists="replace"), part(("z", 30, "c"), ("y", 1, None), schema=schema))
    assert sorted(target.all("SELECT id, name FROM orders")) == [(1, "y"), (30, "z")]
    assert schema_of(target.dump()) == shape
    target.do("INSERT INTO orders (name) VALUES ('next')")
    assert target.all("SELECT max(id) FROM orders") == [(31,)]


def test_replace_of_a_missing_table_makes_it(target: Target) -> None:
    """As append and fail do."""
    load(SqlSink(target.url, "orders", if_exists="replace"), part((1, "a")))
    assert target.all("SELECT * FROM orders") == [(1, "a")]


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "RESTRICT"])
def test_replace_is_refused_where_it_would_reach_other_tables(target: Target, action: str) -> None:
    """With the reason, before anything is made."""
    target.do(
        "CREATE TABLE orders (id bigint PRIMARY KEY, name text)",
        f"CREATE TABLE lines (of_order bigint REFERENCES orders ON DELETE {action})",
    )
    with pytest.raises(TargetError, match=f"lines.*{action}"):
        SqlSink(target.url, "orders", if_exists="replace").open(claimant(1), Checkpoint(schema=SCHEMA))
    assert target.staging() == []


def test_replace_is_refused_where_rows_of_other_tables_would_refer_to_nothing(target: Target) -> None:
    """The children's rows are there; the source lacks their parents."""
    furnish(target)
    schema = pa.schema([("name", pa.string()), ("id", pa.int64()), ("code", pa.string())])
    error = refused(SqlSink(target.url, "orders", if_exists="replace"), ("z", 30, "c"), schema=schema)
    assert "lines" in str(error)
    assert target.all("SELECT count(*) FROM orders") == [(2,)]


def test_replace_with_a_foreign_key_that_cannot_wait_is_refused_only_if_rows_refer(postgres: str) -> None:
    """NOT DEFERRABLE is checked as soon as the old rows go."""
    target = Target(postgres)
    target.do(
        "CREATE TABLE orders (id bigint PRIMARY KEY, name text)", "INSERT INTO orders VALUES (1, 'a')",
        "CREATE TABLE lines (of_order bigint REFERENCES orders)",
    )  # fmt: skip
    load(SqlSink(postgres, "orders", if_exists="replace"), part((1, "b")))
    target.do("INSERT INTO lines VALUES (1)", "DELETE FROM resumable_ledger")
    with pytest.raises(TargetError, match="DEFERRABLE"):
        SqlSink(postgres, "orders", if_exists="replace").open(claimant(2), Checkpoint(schema=SCHEMA))


# ------------------------------------------------------------------------------------------- new tables


def test_a_key_that_comes_twice_in_a_new_table_is_named_by_row(target: Target) -> None:
    """It is seen when all is there, before the table is made."""
    with start(SqlSink(target.url, "orders", key="id"), SCHEMA) as writer:
        with pytest.raises(BadRow) as caught:
            writer.write(batch(part((1, "a"), (2, "b"), (1, "c")), 10))
            writer.commit(writer.last.next(rows=3, complete=True))
            publish(writer)
        assert caught.value.row == 12
        terminate(writer)
    assert target.tables() == set()


def test_rows_of_a_table_with_an_integer_key_lie_in_the_source_s_order(sqlite_url: str) -> None:
    """A rowid alias would sort them. (In PostgreSQL a table has no order: that of a plain scan is nobody's promise.)"""
    schema = pa.schema([("id", pa.int32())])
    load(SqlSink(sqlite_url, "orders", key="id"), part((3,), (1,), (2,), schema=schema))
    assert Target(sqlite_url).all("SELECT * FROM orders ORDER BY rowid") == [(3,), (1,), (2,)]


def test_a_table_that_somebody_makes_meanwhile_is_not_touched(target: Target) -> None:
    """The rows are kept: rename it, and the same run publishes."""
    with staged(SqlSink(target.url, "orders"), (1, "a")) as writer:
        target.do("CREATE TABLE orders (x int)")
        with pytest.raises(TargetExists):
            publish(writer)
        target.do("ALTER TABLE orders RENAME TO theirs")
        publish(writer)
        writer.clean_up()
    assert target.all("SELECT * FROM orders") == [(1, "a")]


def test_a_broken_view_elsewhere_does_not_keep_sqlite_from_publishing(sqlite_url: str) -> None:
    """Its ALTER TABLE ... RENAME checks every view there is, unless it is told not to."""
    target = Target(sqlite_url)
    target.do("CREATE VIEW broken AS SELECT gone FROM nowhere")
    load(SqlSink(sqlite_url, "orders"), part((1, "a")))
    assert target.all("SELECT * FROM orders") == [(1, "a")]


def test_another_schema_is_a_place_of_its_own(postgres: str) -> None:
    """Table, staging and ledger lie in it."""
    target = Target(postgres)
    target.do('CREATE SCHEMA "my %shop"', "CREATE TABLE orders (x int)")
    load(SqlSink(postgres, "orders", schema="my %shop", key="id"), part((1, "a")))
    assert target.all('SELECT * FROM "my %shop".orders') == [(1, "a")]
    assert target.tables() == {"orders"}


def test_a_target_that_changes_under_a_run_is_said_and_can_still_be_terminated(target: Target) -> None:
    """A column was dropped, or the table: the run can't go on, and can be called off."""
    target.do("CREATE TABLE orders (id bigint, name text)")
    sink = SqlSink(target.url, "orders", if_exists="append")
    with staged(sink, (1, "a")) as writer:
        last = writer.last
    target.do("DROP TABLE orders")
    with sink.open(claimant(2, 1), last) as writer:
        with pytest.raises(ResumableError, match="no table 'orders' any more"):
            publish(writer)
        terminate(writer)
    assert target.tables() == set()

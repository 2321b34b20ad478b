"""Rows that publishing would refuse: with quarantine they are set aside, each a reject, and the others are published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from resumable.databases.urls import connect
from resumable.errors import BadRow
from resumable.pipeline import Pipeline
from resumable.protocols import Batch, Reject, Sink, Writer
from resumable.sinks import QuarantineSink, SqlSink
from resumable.stores import MemoryStore
from resumable.testing.rows import Rows
from targets import Target


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest) -> Target:
    """An empty database of either kind."""
    return Target(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres"))


def engine_of(target: Target) -> sa.Engine:
    """With foreign keys enforced, which SQLite does only where it is told to."""
    engine = connect(target.url)
    if target.lite:
        sa.event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA foreign_keys = ON"))
    return engine


def rows(names: str, *values: tuple[Any, ...]) -> pa.Table:
    columns = zip(names.split(), zip(*values, strict=True), strict=True)
    return pa.table({name: pa.array(list(column)) for name, column in columns})


def run(where: Any, table: pa.Table, path: Path, size: int = 2, **options: Any) -> Pipeline:
    """A run that puts rows aside, over."""
    sink = SqlSink(where, "t", on_bad_row="quarantine", **options)
    made = Pipeline(Rows(table, size), QuarantineSink(sink, path), name="m", store=MemoryStore(), every=0)
    made.run()
    return made


def aside(path: Path) -> list[tuple[int, str, str]]:
    """Row, reason and text of each reject."""
    lines = map(json.loads, path.read_text().splitlines()) if path.exists() else ()
    return [(line["row"], line["reason"], line["text"]) for line in lines]


def shared(key: str, other: int) -> str:
    return f"shares the unique key ({key}) with row {other}"


THERE = "the table has its unique key ({}) already"
PARENT = "create table p (id bigint primary key)"
CHAIN = range(8, 20)
"""Rows that each refer to the one before: more of them than there are rounds of sifting."""
CASES: dict[str, tuple[tuple[str, ...], dict[str, Any], pa.Table, list[Any], list[Any]]] = {
    "a new table's key": (
        (),
        {"key": "id"},
        rows("id w", (1, "a"), (2, 'b,"'), (3, "c"), (2, ""), (2, None), (4, "d")),
        [(1, "a"), (3, "c"), (4, "d")],
        [(2, shared("id", 5), '2,"b,"""'), (4, shared("id", 2), '2,""'), (5, shared("id", 2), "2,")],
    ),
    "append: keys that are there, and shared ones, of two constraints": (
        ("create table t (id bigint primary key, w text unique)", "insert into t values (7, 'x')"),
        {"if_exists": "append"},
        rows("id w", (1, "a"), (7, "b"), (2, "x"), (3, "c"), (4, "c"), (3, "d"), (5, None), (6, None)),
        [(1, "a"), (5, None), (6, None), (7, "x")],
        [
            (2, THERE.format("id"), "7,b"),
            (3, THERE.format("w"), "2,x"),
            (4, shared("id", 6), "3,c"),
            (5, shared("w", 4), "4,c"),
            (6, shared("id", 4), "3,d"),
        ],
    ),
    "append: parents that aren't there, and rows that refer to what is set aside": (
        (PARENT, "insert into p values (1)", "create table t (id bigint primary key, up bigint references t, p bigint references p)"),
        {"if_exists": "append"},
        rows("id up p", (1, None, 1), (2, 1, 9), (3, 2, 1), (4, 3, None), (5, 1, None), (6, 6, 1), (7, 4, None), *((n, n - 1, None) for n in CHAIN)),
        [(1, None, 1), (5, 1, None), (6, 6, 1)],
        [(2, "its foreign key (p) refers to no row of {p}", "2,1,9"), (3, "its foreign key (up) refers to no row of {t}", "3,2,1"),
         (4, "its foreign key (up) refers to no row of {t}", "4,3,"),
         (7, "its foreign key (up) refers to no row of {t}", "7,4,"), *((n, "its foreign key (up) refers to no row of {t}", f"{n},{n - 1},") for n in CHAIN)],
    ),
    "replace: what the table had doesn't count": (
        ("create table t (id bigint primary key, w text)", "insert into t values (1, 'old'), (9, 'old')"),
        {"if_exists": "replace"},
        rows("id w", (1, "new"), (2, "b"), (2, "c")),
        [(1, "new")],
        [(2, shared("id", 3), "2,b"), (3, shared("id", 2), "2,c")],
    ),
    "upsert: keys are its own affair, parents aren't": (
        (PARENT, "insert into p values (1)", "create table t (id bigint primary key, p bigint references p)"),
        {"if_exists": "upsert"},
        rows("id p", (1, None), (1, 1), (2, 5)),
        [(1, 1)],
        [(3, "its foreign key (p) refers to no row of {p}", "2,5")],
    ),
    "nothing in conflict": (
        ("create table t (id bigint primary key, w text)",),
        {"if_exists": "append"},
        rows("id w", (1, "a"), (2, "a")),
        [(1, "a"), (2, "a")],
        [],
    ),
    "all of it in conflict": ((), {"key": "id"}, rows("id", (1,), (1,)), [], [(1, shared("id", 2), "1"), (2, shared("id", 1), "1")]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_rows_in_conflict_are_set_aside_and_the_others_published(target: Target, name: str, tmp_path: Path) -> None:
    """Each is a reject with number, reason and values, whichever row came first; rows and rejects add up."""
    before, options, table, kept, rejected = CASES[name]
    target.do(*before)
    engine = engine_of(target)
    made = run(engine, table, tmp_path / "aside", **options)
    engine.dispose()
    quoted = {x: f'"main"."{x}"' if target.lite else f'"public"."{x}"' for x in "pt"}
    assert sorted(target.all("select * from t"), key=str) == sorted(kept, key=str)
    assert aside(tmp_path / "aside") == [(row, reason.format(**quoted), text) for row, reason, text in rejected]
    progress = made.progress
    assert (progress.status, progress.rejected) == ("completed", len(rejected))
    assert progress.rows == table.num_rows - len(rejected)
    assert target.staging() == []


def test_names_with_signs_in_them_are_names(target: Target, tmp_path: Path) -> None:
    """Braces, percent signs, quotes, and the names that the queries use themselves."""
    odd = '{0} %s "first" :x'
    table = pa.table({odd: [1, 2, 1], "first": [1, 2, 3], "k0": [1, 2, 3], "n": [1, 2, 3], "other": [4, 5, 6]})
    run(target.url, table, tmp_path / "aside", key=(odd, "first", "k0"))
    assert aside(tmp_path / "aside") == []
    target.do("drop table t", "delete from resumable_ledger")
    run(target.url, table, tmp_path / "aside", key=odd)
    assert target.all("select n, other from t") == [(2, 5)]
    assert [reason for _, reason, _ in aside(tmp_path / "aside")] == [shared(odd, 3), shared(odd, 1)]


def test_without_quarantine_the_error_s_advice_ends_the_run(target: Target, tmp_path: Path) -> None:
    """`BadRow` says that such rows can be put aside: the same run, told so, goes on to its end."""
    table, store = rows("id w", (1, "a"), (2, "b"), (1, "c")), MemoryStore()
    sink = SqlSink(target.url, "t", key="id")
    with pytest.raises(BadRow, match=r"row 3 has that of row 1.*quarantine") as caught:
        Pipeline(Rows(table), sink, name="m", store=store, every=0).run()
    assert (caught.value.row, caught.value.column) == (3, "id")
    sink = SqlSink(target.url, "t", key="id", on_bad_row="quarantine")
    Pipeline(Rows(table), QuarantineSink(sink, tmp_path / "aside"), name="m", store=store, every=0).run()
    assert target.all("select * from t") == [(2, "b")]
    assert [row for row, *_ in aside(tmp_path / "aside")] == [1, 3]


class Beset:
    """Somebody else writes to the target just before each publish, as often as there are statements."""

    def __init__(self, sink: Sink, target: Target, *statements: str) -> None:
        self.sink, self.target, self.left = sink, target, list(statements)
        self.describe = sink.describe

    def open(self, claim: Any, last: Any) -> Writer:
        writer = self.sink.open(claim, last)
        publish = writer.publish

        def late(checkpoint: Any) -> Any:
            if self.left:
                self.target.do(self.left.pop(0))
            return publish(checkpoint)

        writer.publish = late  # type: ignore[method-assign]
        return writer


def test_rows_that_come_into_conflict_at_the_last_moment_are_set_aside_too(target: Target, tmp_path: Path) -> None:
    """Publishing looks again behind its lock; what has come meanwhile is sifted in another round."""
    target.do("create table t (id bigint primary key)")
    sink = SqlSink(target.url, "t", if_exists="append", on_bad_row="quarantine")
    beset = Beset(sink, target, "insert into t values (2)", "insert into t values (4)")
    table = rows("id", (1,), (2,), (3,), (4,), (3,))
    made = Pipeline(Rows(table), QuarantineSink(beset, tmp_path / "aside"), name="m", store=MemoryStore(), every=0)
    assert made.run().rows == 1
    assert target.all("select id from t order by id") == [(1,), (2,), (4,)]
    assert [row for row, *_ in aside(tmp_path / "aside")] == [3, 5, 2, 4]


def test_conflicts_without_end_are_an_error_and_the_run_goes_on_later(target: Target, tmp_path: Path) -> None:
    """The rounds are bounded. What was set aside stays so, and the same call ends the run."""
    target.do("create table t (id bigint primary key)")
    sink = SqlSink(target.url, "t", if_exists="append", on_bad_row="quarantine")
    beset = Beset(sink, target, *(f"insert into t values ({n})" for n in range(1, 6)))
    table = rows("id", *((n,) for n in range(1, 8)))
    made = Pipeline(Rows(table), QuarantineSink(beset, tmp_path / "aside"), name="m", store=MemoryStore(), every=0)
    with pytest.raises(BadRow, match="of row 5 already"):
        made.run()
    assert made.run().rows == 2
    assert target.all("select count(*) from t") == [(7,)]
    assert [row for row, *_ in aside(tmp_path / "aside")] == [1, 2, 3, 4, 5]


def test_a_target_that_was_put_right_meanwhile_takes_its_rows(target: Target, tmp_path: Path) -> None:
    """What a sifting had marked when it was stopped counts for nothing in the next."""
    target.do("create table t (id bigint primary key)", "insert into t values (1)")
    sink = SqlSink(target.url, "t", if_exists="append", on_bad_row="quarantine")

    class Stopped(Beset):
        def open(self, claim: Any, last: Any) -> Writer:
            writer: Any = self.sink.open(claim, last)
            sift = writer.sift

            def stopping() -> Any:
                for _ in sift():
                    raise KeyboardInterrupt
                return iter(())

            writer.sift = stopping
            return writer

    table, store = rows("id", (1,), (2,)), MemoryStore()
    stopped, whole = (QuarantineSink(x, tmp_path / "aside") for x in (Stopped(sink, target), sink))
    with pytest.raises(KeyboardInterrupt):
        Pipeline(Rows(table), stopped, name="m", store=store, every=0).run()
    target.do("delete from t", "insert into t values (2)")
    assert Pipeline(Rows(table), whole, name="m", store=store, every=0).run().rows == 1
    assert aside(tmp_path / "aside") == [(2, THERE.format("id"), "2")]


class Untold(Rows):
    """Doesn't tell the numbers of its rows."""

    def read(self, *arguments: Any) -> Any:
        for batch in super().read(*arguments):
            yield Batch(batch.rows, batch.position)


def test_rows_without_numbers_are_counted_as_they_come(target: Target, tmp_path: Path) -> None:
    """Over a resume too; and in an upsert the last of a key wins all the same."""
    table = rows("id w", *((n, f"w{n}") for n in range(1, 8)), (4, "last"))
    for name, options in ({"m": {"key": "id"}, "n": {"key": "id", "if_exists": "upsert"}}).items():
        sink = SqlSink(target.url, name, on_bad_row="quarantine", **options)
        store = MemoryStore()
        made = [
            Pipeline(Untold(table), QuarantineSink(sink, tmp_path / name), name=name, store=store, every=0)
            for _ in range(2)
        ]
        for _ in made[0]:
            break
        made[1].run()
    assert [row for row, *_ in aside(tmp_path / "m")] == [4, 8]
    assert sorted(target.all("select id, w from n"))[3] == (4, "last")


class Gappy(Rows):
    """Puts every other row aside itself."""

    def read(self, *arguments: Any) -> Any:
        for batch in super().read(*arguments):
            keep = [i for i in range(batch.rows.num_rows) if (batch.row + i) % 2]
            gone = tuple(Reject(batch.row + i, "even") for i in range(batch.rows.num_rows) if i not in keep)
            yield Batch(batch.rows.take(pa.array(keep, pa.int64())), batch.position, batch.row, rejects=gone)


def test_numbers_are_the_source_s_however_many_rows_were_left_out_before(target: Target, tmp_path: Path) -> None:
    """After 3,000 gaps, after a resume, and in SQLite after a VACUUM, which gives new rowids where it may."""
    table = rows("id", *((n // 7000 if n in (1, 6999) else n,) for n in range(1, 7001)))
    sink = SqlSink(target.url, "t", key="id", on_bad_row="quarantine")
    made = Pipeline(
        Gappy(table, 1000), QuarantineSink(sink, tmp_path / "aside"), name="m", store=MemoryStore(), every=0
    )
    for step in made:
        if step.rows > 1500:
            break
    target.do(*(["VACUUM"] if target.lite else []))
    assert made.run().rows == 3498
    assert [row for row, *_ in aside(tmp_path / "aside")][-2:] == [1, 6999]


def test_more_rejects_than_are_held_at_a_time(target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are read in parts, and all of them are there."""
    monkeypatch.setattr("resumable.sinks.sql.sifting.PART", 10)
    run(target.url, rows("id", *((n % 50,) for n in range(101))), tmp_path / "aside", 101, key="id")
    assert target.all("select * from t") == []
    assert [row for row, *_ in aside(tmp_path / "aside")] == list(range(1, 102))


def test_values_are_kept_as_text(target: Target, tmp_path: Path) -> None:
    """Numbers to their last digit, times, bytes; NULL is nothing and the empty text is quoted."""
    import datetime as dt
    from decimal import Decimal

    row = {
        "id": 1,
        "f": 0.1 + 0.2,
        "d": Decimal("1.50"),
        "b": b"\x00\xff",
        "at": dt.datetime(2024, 5, 6, 7, 8, 9),
        "n": None,
        "e": "",
    }
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("f", pa.float64()),
            ("d", pa.decimal128(9, 2)),
            ("b", pa.binary()),
            ("at", pa.timestamp("us")),
            ("n", pa.string()),
            ("e", pa.string()),
        ]
    )
    run(target.url, pa.Table.from_pylist([row, row], schema=schema), tmp_path / "aside", key="id")
    [(_, _, text), _] = aside(tmp_path / "aside")
    assert (
        text.replace("T", " ")
        == r"1,0.30000000000000004," + ("1.5" if target.lite else "1.50") + r',\x00ff,2024-05-06 07:08:09,,""'
    )

"""Everything that a pandas, polars or Arrow frame can hold arrives in a database as it was, or is refused by name."""

from __future__ import annotations

import contextlib
import datetime as dt
import fractions
import math
import pathlib
import sqlite3
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal as D
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import psycopg
import pyarrow as pa
import pytest
from sqlalchemy.engine import URL

import resumable
import services
from resumable.errors import ResumableError, SourceError
from resumable.sources.arrow import ArrowSource

U = uuid.UUID("5e66009a-ae81-4623-9c49-86db3f168184")
FIVE = dt.timezone(dt.timedelta(hours=5))
DAY, NOON = dt.date(2024, 2, 29), dt.datetime(2024, 2, 29, 12)
IN_UTC = dt.datetime(2024, 2, 29, 7, tzinfo=dt.UTC)
NAN = math.nan
TYPE, MANY, FORM, RANGE = "is of type", "holds values of several types", "brought into Arrow's form", "doesn't fit"


def panda(values: Any, **how: Any) -> Callable[[], Any]:
    return lambda: pd.DataFrame({"x": pd.Series(values, **how)})


def objects(*values: Any) -> Callable[[], Any]:
    return panda(list(values), dtype=object)


def bear(values: Any, kind: Any = None) -> Callable[[], Any]:
    return lambda: pl.DataFrame({"x": pl.Series(values, dtype=kind)})


def arrow(values: Any, kind: Any = None) -> Callable[[], Any]:
    return lambda: pa.table({"x": pa.array(values, kind)})


def viewed(number: int, whole: pa.DataType, kind: pa.DataType) -> Callable[[], Any]:
    return lambda: pa.table({"x": pa.array([number], whole).view(kind)})


def extended(kind: pa.DataType, storage: Any) -> Callable[[], Any]:
    return lambda: pa.table({"x": pa.ExtensionArray.from_storage(kind, storage)})


def encoded(values: Any, places: Any = (0,)) -> Callable[[], Any]:
    return lambda: pa.table({"x": pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), values)})


MONTHS = pd.period_range("2020-01", periods=2, freq="M")
ARRIVES: dict[str, tuple[Callable[[], Any], list[Any]]] = {
    "pandas int64": (panda([1, -(2**63)]), [1, -(2**63)]),
    "pandas float64, NaN missing": (panda([1.5, NAN]), [1.5, None]),
    "pandas infinity": (panda([math.inf, -math.inf]), [math.inf, -math.inf]),
    "pandas float16": (panda(np.array([1.5], "float16")), [1.5]),
    "pandas float32": (panda(np.array([0.5, 16777216], "float32")), [0.5, 16777216.0]),
    "pandas Int64": (panda([1, None], dtype="Int64"), [1, None]),
    "pandas UInt8": (panda([255, None], dtype="UInt8"), [255, None]),
    "pandas Float64": (panda([1.5, pd.NA], dtype="Float64"), [1.5, None]),
    "pandas bool": (panda([True, False]), [True, False]),
    "pandas boolean": (panda([True, None], dtype="boolean"), [True, None]),
    "pandas string": (panda(["a", None, ""], dtype="string"), ["a", None, ""]),
    "pandas str": (panda(["a", None, "NaN"]), ["a", None, "NaN"]),
    "pandas zoned": (panda(pd.Series([NOON]).dt.tz_localize(FIVE)), [IN_UTC]),
    "pandas NaT": (panda([pd.Timestamp(NOON), pd.NaT]), [NOON, None]),
    "pandas datetime64[s]": (panda(np.array(["2024-02-29T12"], "M8[s]")), [NOON]),
    "pandas category of text": (panda(["a", None, "a"], dtype="category"), ["a", None, "a"]),
    "pandas category of numbers": (panda([3, None], dtype="category"), [3, None]),
    "pandas category of decimals": (panda(pd.Categorical([D("1.5"), D("2.25")])), [D("1.50"), D("2.25")]),
    "pandas category of moments": (panda(pd.Categorical([pd.Timestamp(NOON)])), [NOON]),
    "pandas category of UUIDs": (panda(pd.Categorical([U])), [str(U)]),
    "pandas ArrowDtype decimal": (panda([D("1.5")], dtype=pd.ArrowDtype(pa.decimal128(5, 2))), [D("1.50")]),
    "objects: UUID": (objects(U, None), [str(U), None]),
    "objects: decimals and integers": (objects(D("1.5"), 3), [D("1.5"), D("3.0")]),
    "objects: long decimals": (objects(D("1" * 30 + ".5")), [D("1" * 30 + ".5")]),
    "objects: an exponent": (objects(D("1e5")), [D(100000)]),
    "objects: dates": (objects(DAY, None), [DAY, None]),
    "objects: times": (objects(dt.time(5, 0, 0, 1)), [dt.time(5, 0, 0, 1)]),
    "objects: datetimes": (objects(NOON, pd.Timestamp(NOON)), [NOON, NOON]),
    "objects: two zones": (objects(NOON.replace(tzinfo=FIVE), IN_UTC), [IN_UTC, IN_UTC]),
    "objects: bytes": (objects(b"\xff", bytearray(b"a"), memoryview(b"")), [b"\xff", b"a", b""]),
    "objects: integers and floats": (objects(1, 0.5), [1.0, 0.5]),
    "objects: numpy's own": (objects(np.int8(3), np.int64(4)), [3, 4]),
    "objects: nothing at all": (objects(None, pd.NA, NAN, pd.NaT), [None] * 4),
    "polars Enum": (bear(["a", None], pl.Enum(["a"])), ["a", None]),
    "polars Categorical": (bear(["a", None], pl.Categorical), ["a", None]),
    "polars Decimal": (bear([D("1.5")], pl.Decimal(38, 2)), [D("1.50")]),
    "polars Time": (bear([dt.time(5)]), [dt.time(5)]),
    "polars Date": (bear([DAY]), [DAY]),
    "polars Datetime": (bear([NOON]), [NOON]),
    "polars zoned": (bear([IN_UTC]), [IN_UTC]),
    "polars Null": (bear([None], pl.Null), [None]),
    "polars Binary": (bear([b"\xff", None]), [b"\xff", None]),
    "polars Boolean": (bear([True, None]), [True, None]),
    "polars String": (bear(["", "ä", None]), ["", "ä", None]),
    "polars infinity": (bear([math.inf, None]), [math.inf, None]),
    "polars UInt32": (bear([2**32 - 1], pl.UInt32), [2**32 - 1]),
    "arrow int8": (arrow([-128], pa.int8()), [-128]),
    "arrow uint16": (arrow([65535], pa.uint16()), [65535]),
    "arrow null": (arrow([None]), [None]),
    "arrow halffloat": (arrow([0.5], pa.float16()), [0.5]),
    "arrow decimal32": (arrow([D("1.5")], pa.decimal32(5, 2)), [D("1.50")]),
    "arrow decimal64": (arrow([D("1.5")], pa.decimal64(15, 2)), [D("1.50")]),
    "arrow decimal256": (arrow([D("1" * 60)], pa.decimal256(76, 2)), [D("1" * 60)]),
    "arrow negative scale": (arrow([D(12300)], pa.decimal128(5, -2)), [D(12300)]),
    "arrow date64": (arrow([DAY], pa.date64()), [DAY]),
    "arrow time32": (arrow([dt.time(5)], pa.time32("s")), [dt.time(5)]),
    "arrow timestamp[ns]": (arrow([NOON], pa.timestamp("ns")), [NOON]),
    "arrow zoned": (arrow([IN_UTC], pa.timestamp("ms", "Europe/Berlin")), [IN_UTC]),
    "arrow large_string": (arrow(["ä"], pa.large_string()), ["ä"]),
    "arrow string_view": (arrow(["longer than twelve bytes", None], pa.string_view()), ["longer than twelve bytes", None]),
    "arrow binary_view": (arrow([b"\0"], pa.binary_view()), [b"\0"]),
    "arrow fixed_size_binary": (arrow([b"abc"], pa.binary(3)), [b"abc"]),
    "arrow dictionary": (encoded(pa.array(["a", None]), [0, 1, None]), ["a", None, None]),
    "arrow dictionary of a dictionary": (encoded(pa.array(["a"]).dictionary_encode()), ["a"]),
    "arrow dictionary of UUIDs": (encoded(pa.array([U.bytes], pa.uuid())), [str(U)]),
    "arrow run-end encoded": (
        lambda: pa.table({"x": pa.RunEndEncodedArray.from_arrays([2, 3], pa.array([7, None])).slice(1)}),
        [7, None],
    ),
    "arrow run-end encoded dictionary": (
        lambda: pa.table({"x": pa.RunEndEncodedArray.from_arrays([2], pa.array(["a"]).dictionary_encode())}),
        ["a", "a"],
    ),
    "arrow.uuid": (arrow([U.bytes, None], pa.uuid()), [str(U), None]),
    "arrow.json": (arrow(['{"a":1}'], pa.json_()), ['{"a":1}']),
    "arrow.bool8": (extended(pa.bool8(), pa.array([0, 1, -1, None], pa.int8())), [False, True, True, None]),
}  # fmt: skip
ONLY_POSTGRESQL: dict[str, tuple[Callable[[], Any], list[Any], str]] = {
    "polars NaN": (bear([1.5, NAN, None]), [1.5, NAN, None], "is NaN"),
    "arrow uint64": (arrow([2**64 - 1], pa.uint64()), [D(2**64 - 1)], "past 64 bits"),
}
REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "pandas Period": (panda(MONTHS), TYPE),
    "pandas category of Periods": (panda(pd.Categorical(MONTHS)), TYPE),
    "pandas Interval": (panda(pd.interval_range(0, 2)), TYPE),
    "pandas cut": (panda(pd.cut([1, 2, 3], 2)), TYPE),
    "pandas Sparse": (panda(pd.arrays.SparseArray([0, 1.5])), FORM),
    "pandas Timedelta": (panda(pd.to_timedelta([1])), TYPE),
    "pandas nanoseconds": (panda([pd.Timestamp("2024-01-01 00:00:00.000000001")]), RANGE),
    "pandas complex": (panda([1 + 2j]), FORM),
    "pandas long double": (panda([np.longdouble("1.1")]), FORM),
    "pandas category of this and that": (panda(pd.Categorical([1, "a"])), MANY),
    "pandas list of Arrow": (panda([[1]], dtype=pd.ArrowDtype(pa.list_(pa.int64()))), TYPE),
    "objects: numbers and text": (objects(1, "a"), MANY),
    "objects: bytes and text": (objects(b"x", "y"), MANY),
    "objects: UUIDs and text": (objects(U, "a"), MANY),
    "objects: dates and datetimes": (objects(DAY, NOON), MANY),
    "objects: datetimes and dates": (objects(NOON, DAY), MANY),
    "objects: with and without a zone": (objects(NOON, IN_UTC), "holds times with a zone and times without"),
    "objects: a time with a zone": (objects(dt.time(5, tzinfo=FIVE)), "holds times of day with a zone"),
    "objects: nanoseconds": (objects(pd.Timestamp("2024-01-01 00:00:00.000000001")), "holds nanoseconds"),
    "objects: booleans and integers": (objects(True, 2), FORM),
    "objects: decimals and floats": (objects(D("1.5"), 0.1), FORM),
    "objects: past a float": (objects(2**53 + 1, 0.5), FORM),
    "objects: past 64 bits": (objects(2**63, -1), FORM),
    "objects: an infinite decimal": (objects(D("1.5"), D("Infinity")), FORM),
    "objects: 80 digits": (objects(D("1" * 80)), FORM),
    "objects: Period": (objects(pd.Period("2020-01")), FORM),
    "objects: timedelta": (objects(dt.timedelta(1)), TYPE),
    "objects: complex": (objects(1 + 2j), FORM),
    "objects: Fraction": (objects(fractions.Fraction(1, 2)), FORM),
    "objects: Path": (objects(pathlib.Path("a")), FORM),
    "objects: lists": (objects([1]), TYPE),
    "objects: dicts": (objects({"a": 1}), TYPE),
    "objects: half a character": (objects("\udc80"), FORM),
    "polars Duration": (bear([dt.timedelta(1)]), TYPE),
    "polars List": (bear([[1]]), TYPE),
    "polars Array": (bear([[1]], pl.Array(pl.Int8, 1)), TYPE),
    "polars Struct": (bear([{"a": 1}]), TYPE),
    "polars Object": (bear([U], pl.Object), "holds Python objects"),
    "polars Int128": (bear([2**100], pl.Int128), FORM),
    "arrow duration": (arrow([1], pa.duration("s")), TYPE),
    "arrow interval": (arrow([(1, 2, 3)], pa.month_day_nano_interval()), TYPE),
    "arrow map": (arrow([[("a", 1)]], pa.map_(pa.string(), pa.int8())), TYPE),
    "arrow struct": (arrow([{"a": 1}]), TYPE),
    "arrow list_view": (arrow([[1]], pa.list_view(pa.int8())), TYPE),
    "arrow union": (lambda: pa.table({"x": pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])])}), TYPE),
    "arrow.opaque": (extended(pa.opaque(pa.binary(), "geometry", "postgis"), pa.array([b"x"])), TYPE),
    "arrow tensor": (extended(pa.fixed_shape_tensor(pa.int8(), [1]), pa.array([[1]], pa.list_(pa.int8(), 1))), TYPE),
    "another's extension": (
        lambda: pa.table(
            [pa.array([600])], schema=pa.schema([pa.field("x", pa.int64(), metadata={"ARROW:extension:name": "a.b"})])
        ),
        TYPE,
    ),
    "arrow date64 with an hour": (viewed(86_400_001, pa.int64(), pa.date64()), RANGE),
    "arrow time[ns]": (arrow([1001], pa.time64("ns")), RANGE),
    "arrow time past midnight": (viewed(90_000, pa.int32(), pa.time32("s")), "is no time of a day"),
    "arrow year -27": (viewed(-63_000_000_000, pa.int64(), pa.timestamp("s")), "is before the year 1"),
    "arrow day of the year -221": (viewed(-800_000, pa.int32(), pa.date32()), "is before the year 1"),
    "arrow ages from now": (viewed(2**60, pa.int64(), pa.timestamp("s")), RANGE),
}  # fmt: skip


@pytest.fixture(scope="module")
def database(postgres_server: URL) -> Iterator[str]:
    """One PostgreSQL database for all kinds."""
    made = services.Database(postgres_server)
    yield made.url
    made.drop()


def lite(value: Any) -> Any:
    """What SQLite keeps a value as."""
    if isinstance(value, D):
        return int(value) if value == int(value) else float(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(" ")
    return value.isoformat() if isinstance(value, (dt.date, dt.time)) else value


def in_sqlite(path: str) -> list[Any]:
    with contextlib.closing(sqlite3.connect(path)) as c:
        return [value for (value,) in c.execute("SELECT x FROM t ORDER BY rowid")]


def in_postgresql(url: str, table: str) -> list[Any]:
    with psycopg.connect(url) as c:
        c.execute("SET timezone TO 'UTC'")
        return [value for (value,) in c.execute(f'SELECT x FROM "{table}" ORDER BY ctid')]


@pytest.mark.parametrize("kind", ARRIVES)
def test_what_a_frame_holds_arrives_in_sqlite(kind: str, tmp_path: pathlib.Path) -> None:
    """Read back by the standard library alone."""
    make, values = ARRIVES[kind]
    resumable.upload(make(), f"sqlite:///{tmp_path}/t.db", "t", store=tmp_path / "s").run()
    found = in_sqlite(f"{tmp_path}/t.db")
    if isinstance(values[0], D) and isinstance(found[0], str):  # a type past 15 digits: SQLite has the text
        assert [D(value) for value in found] == values
    else:
        assert found == [lite(value) for value in values]


@pytest.mark.parametrize("kind", [*ARRIVES, *ONLY_POSTGRESQL])
def test_what_a_frame_holds_arrives_in_postgresql(kind: str, database: str, tmp_path: pathlib.Path) -> None:
    """Read back by psycopg."""
    make, values = (ARRIVES | ONLY_POSTGRESQL)[kind][:2]
    resumable.upload(make(), database, kind, store=tmp_path / "s").run()
    assert (
        list(map(repr, in_postgresql(database, kind))) == list(map(repr, values))
        or in_postgresql(database, kind) == values
    )


@pytest.mark.parametrize("kind", [*REFUSED, *ONLY_POSTGRESQL])
def test_what_a_frame_holds_is_refused_by_sqlite_with_the_column_s_name(kind: str, tmp_path: pathlib.Path) -> None:
    """Before a row is published, and nothing is left of the table."""
    make, *_, why = (REFUSED | ONLY_POSTGRESQL)[kind]
    with pytest.raises(ResumableError) as refused:
        resumable.upload(make(), f"sqlite:///{tmp_path}/t.db", "t", store=tmp_path / "s").run()
    assert why in str(refused.value)
    assert "olumn 'x'" in str(refused.value)
    with contextlib.closing(sqlite3.connect(tmp_path / "t.db")) as c:
        assert not c.execute("SELECT 1 FROM sqlite_master WHERE name = 't'").fetchall()


@pytest.mark.parametrize("kind", REFUSED)
def test_what_a_frame_holds_is_refused_by_postgresql_alike(kind: str, database: str, tmp_path: pathlib.Path) -> None:
    """The same kinds, with the same reason."""
    make, why = REFUSED[kind]
    with pytest.raises(ResumableError) as refused:
        resumable.upload(make(), database, kind, store=tmp_path / "s").run()
    assert why in str(refused.value)
    assert "olumn 'x'" in str(refused.value)


@pytest.mark.parametrize("declared", ["uuid", "text"])
def test_a_uuid_goes_into_a_column_of_uuid_and_of_text(database: str, declared: str, tmp_path: pathlib.Path) -> None:
    """As its text, which PostgreSQL's uuid takes."""
    with psycopg.connect(database) as c:
        c.execute(f'CREATE TABLE "u {declared}" (x {declared})')
    resumable.upload(objects(U)(), database, f"u {declared}", if_exists="append", store=tmp_path / "s").run()
    assert [U if declared == "uuid" else str(U)] == in_postgresql(database, f"u {declared}")


def test_the_advice_for_a_period_is_right(tmp_path: pathlib.Path) -> None:
    """`.astype(str)` gives what pandas prints, and pandas reads that as the same period."""
    frame = panda(MONTHS)()
    with pytest.raises(SourceError, match=r"\.astype\(str\) in pandas"):
        ArrowSource(frame)
    frame["x"] = frame["x"].astype(str)
    resumable.upload(frame, f"sqlite:///{tmp_path}/t.db", "t", store=tmp_path / "s").run()
    assert list(MONTHS) == [pd.Period(text, "M") for text in in_sqlite(f"{tmp_path}/t.db")]


def test_the_column_is_named_among_many() -> None:
    """Also where Arrow's or polars' own error says none."""
    with pytest.raises(SourceError, match="Column 'b' can't"):
        ArrowSource(pl.DataFrame({"a": [1], "b": pl.Series([2**100], dtype=pl.Int128)}))
    with pytest.raises(SourceError, match="Column 'b' can't"):
        ArrowSource(pd.DataFrame({"a": [1], "b": [2**63 - 1]}).astype({"b": object}).replace({"b": {2**63 - 1: 2**70}}))


@pytest.mark.parametrize("make", [bear([U], pl.Object), panda(MONTHS)], ids=["polars", "pandas"])
def test_a_callable_s_stream_is_looked_at_as_well(make: Callable[[], Any]) -> None:
    """Whatever it gives is data of the same kinds."""
    with pytest.raises(SourceError, match="Column 'x'"):
        ArrowSource(make).schema()

"""Where the target's type is known, other spellings of a value are taken, on both databases; nothing is altered."""

from __future__ import annotations

import csv
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import resumable
from resumable.errors import BadRow
from resumable.formats.spelling import respelled
from resumable.formats.text_values import infer, misfit
from resumable.formats.type_names import type_name
from targets import Target

TAKEN = {
    "date": (["2024-02-29", "2024-02-29 00:00:00", "2024-02-29T00:00"], ["2024-02-29"] * 3),
    "timestamp": (
        ["2024-02-29", "2024-02-29 13:45", "2024-02-29T13:45", "2024-02-29 13:45:00.1234560"],
        ["2024-02-29 00:00:00", "2024-02-29 13:45:00", "2024-02-29 13:45:00", "2024-02-29 13:45:00.123456"],
    ),
    "timestamp with time zone": (
        ["2024-02-29 13:45Z", "2024-02-29T13:45+02:00"],
        ["2024-02-29 13:45:00+00", "2024-02-29 11:45:00+00"],
    ),
    "time": (["13:45", "13:45:01.2500010"], ["13:45:00", "13:45:01.250001"]),
    "boolean": (
        ["yes", "N", "On", "off", "t", "F", "1", "0", "TRUE", "False", "y", "no"],
        [True, False, True, False, True, False, True, False, True, False, True, False],
    ),
    "bigint": (["1.0", "-2.", "9223372036854775807.000"], [1, -2, 2**63 - 1]),
    "double precision": (
        ["10000000000000000000", "0.1", "INF", "-Infinity", "1e300"],
        [1e19, 0.1, math.inf, -math.inf, 1e300],
    ),
    "numeric(6,2)": (["1.500", "-0.25", "1e2", "7"], [1.5, -0.25, 100.0, 7.0]),
}
ALTERED = {
    "date": ["2024-02-29 00:01:00", "2024-02-29 00:00:00Z", "29.02.2024"],
    "timestamp": [
        "2024-02-29 13",
        "2024-02-29 13:45Z",
        "2024-02-30",
        "2024-02-29 13:45:00.1234567",
        "2024-02-29 25:00",
    ],
    "timestamp with time zone": ["2024-02-29", "2024-02-29 13:45"],
    "time": ["24:00", "1:45", "13:45:00.0000001"],
    "boolean": ["2", "yep", "tru", "-1", "01"],
    "bigint": ["1.5", "01.0", "1e3", "9223372036854775808.0", "-0.0"],
    "double precision": ["9007199254740993", "0.12345678901234567891", "1e400", "007"],
    "numeric(6,2)": ["1.234", "12345.00", "007", "-0.0", "12,5"],
}
ONLY_POSTGRESQL = {
    "real": (["0.1", "3.4e38", "NaN"], ["0.1", "3.4e+38", "NaN"]),
    "numeric(6,2)": (["1.5", "NaN", "-0.25"], ["1.50", "NaN", "-0.25"]),
    "numeric": (["1.10", "NaN", "Infinity", "-Infinity", "1e3", ".5"], ["1.10", "NaN", "Infinity", "-Infinity", "1000", "0.5"]),
    "double precision": (["NaN", "-0", "inf"], ["NaN", "-0", "Infinity"]),
    "date": (["2024-02-29", "infinity", "-infinity"], ["2024-02-29", "infinity", "-infinity"]),
    "timestamp": (["2024-02-29 13:45", "infinity"], ["2024-02-29 13:45:00", "infinity"]),
    "timestamp with time zone": (["2024-02-29 13:45+02", "-infinity"], ["2024-02-29 11:45:00+00", "-infinity"]),
    "numeric(100,2)": (["1.5", "NaN"], ["1.50", "NaN"]),
}  # fmt: skip
ALTERED_POSTGRESQL = {
    "real": ["0.123456789", "16777217"],
    "numeric(6,2)": ["NaN,1.234", "NaN,Infinity"],
    "numeric": ["-0", "007", "0x10", "1_000"],
    "numeric(100,2)": ["1.234", "1e-3", "-0.001"],
    "date": ["infinity,29.02.2024", "infinity,2024-02-30"],
    "timestamp": ["infinity,2024-02-29 13:45Z"],
    "smallint": ["32768.0"],
}


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest) -> Target:
    """An empty database of either kind."""
    return Target(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres"))


def written(path: Path, texts: list[str]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "v"], *enumerate(texts)])
    return path


def append(target: Target, texts: list[str], tmp_path: Path, table: str = "t", **options: Any) -> None:
    source = written(tmp_path / f"{table}.csv", texts)
    resumable.upload(source, target.url, table, if_exists="append", store=tmp_path / "s", **options).run()


def texts_of(target: Target, table: str = "t") -> list[str]:
    """As PostgreSQL prints them."""
    with psycopg.connect(target.url, options="-c timezone=UTC") as c:
        return [str(value) for (value,) in c.execute(f'SELECT CAST(v AS text) FROM "{table}" ORDER BY id')]


def test_other_spellings_are_taken_where_the_table_s_type_is_known(target: Target, tmp_path: Path) -> None:
    """A date's midnight, no seconds, yes and no, 1.0: what is stored is the same value."""
    for declared, (texts, values) in TAKEN.items():
        target.do(f'CREATE TABLE "{declared}" (id bigint, v {declared})')
        append(target, texts, tmp_path, declared)
        if target.lite:
            found = [value for (value,) in target.all(f'SELECT v FROM "{declared}" ORDER BY id')]
            assert found == [v.replace("+00", "+00:00") if isinstance(v, str) else v for v in values], declared
        elif isinstance(values[0], str):
            assert texts_of(target, declared) == values, declared
        else:
            found = [value for (value,) in target.all(f'SELECT v FROM "{declared}" ORDER BY id')]
            assert list(map(float, found)) == list(map(float, values)), declared


def test_what_would_be_altered_is_refused_with_the_table_s_type(target: Target, tmp_path: Path) -> None:
    """And nothing of it is in the table."""
    for declared, texts in ALTERED.items():
        target.do(f'CREATE TABLE "{declared}" (id bigint, v {declared})')
        for text in texts:
            with pytest.raises(BadRow) as refused:
                append(target, [text], tmp_path, declared, name=f"{declared} {text}")
            assert "and the table's column is " in str(refused.value), (declared, text)
            assert declared.partition("(")[0] in str(refused.value), (declared, text)
        assert target.all(f'SELECT count(*) FROM "{declared}"') == [(0,)], declared


def test_postgresql_takes_what_only_it_has(postgres: str, tmp_path: Path) -> None:
    """NaN in numeric, infinity in numeric and dates, and what a real prints as it was written."""
    target = Target(postgres)
    for declared, (texts, values) in ONLY_POSTGRESQL.items():
        target.do(f'CREATE TABLE "{declared}" (id bigint, v {declared})')
        append(target, texts, tmp_path, declared)
        assert texts_of(target, declared) == values, declared


def test_postgresql_refuses_what_it_would_round(postgres: str, tmp_path: Path) -> None:
    """Also in a column that goes as text, since there is a NaN or an infinity in its sample."""
    target = Target(postgres)
    for declared, cases in ALTERED_POSTGRESQL.items():
        target.do(f'CREATE TABLE "{declared}" (id bigint, v {declared})')
        for case in cases:
            with pytest.raises(BadRow):
                append(target, case.split(","), tmp_path, declared, name=f"{declared} {case}")
        assert target.all(f'SELECT count(*) FROM "{declared}"') == [(0,)], declared


@pytest.mark.parametrize("text", ["29.02.2024", "2024-02-29 10:00", "tomorrow"])
def test_what_a_transform_makes_of_a_column_that_goes_as_text_is_looked_at(
    postgres: str, tmp_path: Path, text: str
) -> None:
    """PostgreSQL reads many a notation of dates, by its settings; only the plain one gets that far."""
    Target(postgres).do("CREATE TABLE t (id int, v date)")

    def other(rows: pa.RecordBatch) -> pa.RecordBatch:
        return rows.set_column(1, rows.schema.field(1), pa.array([text] * rows.num_rows, pa.string()))

    with pytest.raises(BadRow, match="isn't written as date is here"):
        append(Target(postgres), ["infinity"], tmp_path, transform=other)


def test_what_postgresql_exports_it_takes_back(postgres: str, tmp_path: Path) -> None:
    """NaN and infinities, into the table as it was, and into a new one."""
    target = Target(postgres)
    columns = "id int PRIMARY KEY, n numeric, d double precision, r real, t text"
    target.do(f"CREATE TABLE a ({columns})", f"CREATE TABLE b ({columns})")
    target.do(
        "INSERT INTO a VALUES (1, 1.10, 0.1, 0.1, 'x'), (2, 'NaN', 'NaN', 'NaN', 'NaN'),"
        " (3, 'Infinity', 'Infinity', '-Infinity', ''), (4, '-Infinity', '-Infinity', 'Infinity', NULL)"
    )
    resumable.export(postgres, "a", tmp_path / "a.csv", store=tmp_path / "s").run()
    resumable.upload(tmp_path / "a.csv", postgres, "b", if_exists="append", store=tmp_path / "s").run()
    assert target.all("SELECT a::text FROM a ORDER BY id") == target.all("SELECT b::text FROM b ORDER BY id")
    for table, kinds in (("c", None), ("d", {"d": "double", "r": "float32"})):
        resumable.upload(tmp_path / "a.csv", postgres, table, columns=kinds, store=tmp_path / "s").run()
        same = (
            "a.n = CAST({0}.n AS numeric) AND a.d = CAST({0}.d AS double precision) AND a.t IS NOT DISTINCT FROM {0}.t"
        )
        assert target.all(f"SELECT count(*) FROM a JOIN {table} USING (id) WHERE {same.format(table)}") == [(4,)]


def test_a_nan_in_a_numeric_column_with_digits_makes_the_round_too(postgres: str, tmp_path: Path) -> None:
    """The export says how to read it, the advice is right, and the file loads back."""
    target = Target(postgres)
    for table in "ab":
        target.do(f"CREATE TABLE {table} (id int PRIMARY KEY, n numeric(6,2), d date)")
    target.do("INSERT INTO a VALUES (1, 1.5, '2024-02-29'), (2, 'NaN', 'infinity')")
    with pytest.raises(BadRow) as refused:
        resumable.export(postgres, "a", tmp_path / "a.csv", store=tmp_path / "s").run()
    assert 'cast("n" as text) as "n"' in str(refused.value)
    query = 'select id, cast("n" as text) as "n", cast("d" as text) as "d" from a'
    resumable.export(postgres, query, tmp_path / "a.csv", key="id", store=tmp_path / "s").run()
    resumable.upload(tmp_path / "a.csv", postgres, "b", if_exists="append", store=tmp_path / "s").run()
    assert target.all("SELECT a::text FROM a ORDER BY id") == target.all("SELECT b::text FROM b ORDER BY id")


def test_columns_of_one_s_own_are_known_too_and_inferred_ones_are_not(sqlite_url: str, tmp_path: Path) -> None:
    """In a new table: asked for, other spellings are taken; past an inferred type's sample they are bad rows."""
    target = Target(sqlite_url)
    source = written(tmp_path / "in.csv", ["yes", "0"])
    resumable.upload(source, sqlite_url, "t", columns={"v": "bool"}, store=tmp_path / "s").run()
    assert target.all("SELECT v FROM t ORDER BY id") == [(1,), (0,)]
    source = written(tmp_path / "in.csv", ["true"] * 700_000 + ["yes"])
    with pytest.raises(BadRow, match="'yes' is neither true nor false"):
        resumable.upload(source, sqlite_url, "u", store=tmp_path / "s").run()


def test_frames_are_cast_by_the_same_law(postgres: str, sqlite_url: str, tmp_path: Path) -> None:
    """What is lossless is taken, value by value; one that isn't is the bad row."""
    whole = pa.table(
        {
            "id": [1, 2],
            "d": pa.array(["2024-02-29", None]).cast(pa.date32()).cast(pa.timestamp("us")),
            "s": pa.array(["2024-02-29", None]).cast(pa.date32()),
            "b": pa.array([0, 1], pa.int8()),
            "n": [0.1, -0.0],
            "i": pa.array([Decimal(1), Decimal(2)], pa.decimal128(24, 3)),
            "r": [0.1, None],
        }
    )
    wrong = {
        "d": pa.array([None, 86_400_000_001], pa.int64()).cast(pa.timestamp("us")),
        "b": pa.array([0, 2], pa.int8()),
        "n": pa.array([0.1, 0.125]),
        "i": pa.array([Decimal(1), Decimal("2.5")], pa.decimal128(24, 1)),
    }
    for url in (sqlite_url, postgres):
        target = Target(url)
        target.do(
            "CREATE TABLE t (id bigint, d date, s timestamp, b boolean, n numeric(6,2), i integer, r real)",
        )
        resumable.upload(whole, url, "t", if_exists="append", store=tmp_path / "s").run()
        cast = "CAST(d AS text), CAST(s AS text), CAST(n AS text), i, CAST(r AS text)"
        one, two = target.all(f"SELECT {cast} FROM t ORDER BY id")
        n = ("0.1", "0") if target.lite else ("0.10", "0.00")
        assert one == ("2024-02-29", "2024-02-29 00:00:00", n[0], 1, "0.1")
        assert two == (None, None, n[1], 2, None)
        assert [bool(b) for (b,) in target.all("SELECT b FROM t ORDER BY id")] == [False, True]
        for name, column in wrong.items():
            place = whole.schema.get_field_index(name)
            with pytest.raises(BadRow, match=f"Row 2, column '{name}'"):
                data, run = whole.set_column(place, name, column), f"{name} {target.lite}"
                resumable.upload(data, url, "t", if_exists="append", name=run, store=tmp_path / "s").run()
        assert target.all("SELECT count(*) FROM t") == [(2,)]


KINDS = [
    *(pa.int64(), pa.float64(), pa.float32(), pa.bool_(), pa.date32(), pa.time64("us"), pa.binary()),
    *(pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.decimal128(6, 2)),
]
PARTS = [*"0123456789-+.:TZ ", "2024-02-29", "13:45", ".0", "yes", "nan", "00:00"]


@given(st.lists(st.sampled_from(PARTS), max_size=5).map("".join), st.sampled_from(KINDS))
def test_respelling_touches_nothing_that_fits_already(text: str, kind: pa.DataType) -> None:
    """What values.py takes stays the text that it was, but for the case of float's words; and twice is once."""
    once = respelled(pa.array([text]), kind)
    assert once == respelled(once, kind)
    if misfit(text, kind) is None and not pa.types.is_boolean(kind):
        assert (text.lower() if pa.types.is_floating(kind) else text) in (once[0].as_py(), f"{once[0].as_py()}00:00")


def test_inference_guesses_none_of_these_spellings() -> None:
    """A column of 1.0 is no column of integers, nor one of yes and no one of booleans."""
    texts = (["yes", "no"], ["1.0", "x"], ["2024-02-29 13:45"], ["13:45"], ["NaN", "1"])
    assert {"string"} == {type_name(infer(pa.array(column))) for column in texts}

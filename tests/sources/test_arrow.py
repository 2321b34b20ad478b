"""ArrowSource: tables, frames and streams; the same rows from every position, or a refusal at once."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from itertools import pairwise

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from resumable.errors import SourceError
from resumable.sources.arrow import ArrowSource

TABLE = pa.table(
    {
        "i": pa.array([1, None, 3, 4], pa.int32()),
        "t": pa.array(["a", "", None, "ä"], pa.large_string()),
        "v": pa.array(["a", "", None, "longer than twelve bytes"], pa.string_view()),
        "d": pa.array(["x", "y", None, "x"]).dictionary_encode(),
        "b": [True, None, False, True],
        "x": pa.array([b"\0\xff", b"", None, b"z"], pa.large_binary()),
        "m": [Decimal("1.50"), None, Decimal("-2.25"), Decimal("0.00")],
        "f": [1.5, float("nan"), None, -0.0],
        "l": [[1], [], None, [None, 2]],
        "s": [{"a": "x"}, None, {"a": None}, {"a": ""}],
    }
)


class Stream:
    """Anything with `__arrow_c_stream__`, as a DuckDB relation is."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def small(source, position=None):
    return list(source.read(source.schema(), position, source.identity()))


def rows(batches):
    return [repr(row) for batch in batches for row in batch.rows.to_pylist()]


@pytest.fixture
def few(monkeypatch):
    """Batches of at most 2 rows."""
    monkeypatch.setattr("resumable.sources.arrow.MAX_ROWS", 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: TABLE,
        lambda: Stream(TABLE),
        lambda: TABLE.combine_chunks().to_batches()[0],
        lambda: pa.concat_tables([TABLE.slice(0, 3), TABLE.slice(3)]),
        lambda: lambda: TABLE.to_reader(max_chunksize=3),
        lambda: lambda: Stream(TABLE),
    ],
    ids=["table", "stream object", "record batch", "chunks", "callable", "callable of a stream object"],
)
def test_every_position_resumes(few, make):
    """Through JSON, and with a new source."""
    batches = small(ArrowSource(make()))
    assert list(map(repr, TABLE.to_pylist())) == rows(batches)
    for batch in batches:
        position = json.loads(json.dumps(batch.position))
        assert rows(batches)[position["row"] :] == rows(small(ArrowSource(make()), position))
        assert batch.row + batch.rows.num_rows - 1 == position["row"]
    assert [] == small(ArrowSource(make()), batches[-1].position)


def test_types_are_plain():
    """What a column holds, however it is stored."""
    assert [
        pa.int32(),
        pa.string(),
        pa.string(),
        pa.string(),
        pa.bool_(),
        pa.binary(),
        pa.decimal128(3, 2),
        pa.float64(),
        pa.list_(pa.int64()),
        pa.struct([("a", pa.string())]),
    ] == ArrowSource(TABLE).schema().types
    assert ArrowSource(TABLE).schema() == small(ArrowSource(TABLE))[0].rows.schema


def test_a_table_is_sliced_not_copied():
    """The batches lie in the table's own memory."""
    table = pa.table({"i": pa.array(range(200_000))})
    (buffer,) = (buffer for buffer in table.column(0).chunk(0).buffers() if buffer is not None)
    batches = small(ArrowSource(table))
    assert [65_536, 65_536, 65_536, 3_392] == [batch.rows.num_rows for batch in batches]
    assert {buffer.address} == {batch.rows.column(0).buffers()[1].address for batch in batches}
    assert 1.0 == batches[-1].fraction


def test_long_rows_make_small_batches():
    """About 8 MiB."""
    batches = small(ArrowSource(pa.table({"t": ["x" * 1_000_000] * 20})))
    assert max(batch.rows.nbytes for batch in batches) <= 8 * 2**20
    assert 20 == sum(batch.rows.num_rows for batch in batches)


@given(st.lists(st.integers(0, 4), max_size=4))
def test_the_identity_does_not_depend_on_chunks_or_storage(cuts):
    """Cut anywhere, with dictionaries and views or without."""
    bounds = [0, *sorted(cuts), 4]
    parts = [TABLE.slice(a, b - a) for a, b in pairwise(bounds)]
    plain = ArrowSource(TABLE).schema()
    same = pa.concat_tables(parts)
    copied = pa.Table.from_pylist(TABLE.to_pylist(), schema=plain)
    assert ArrowSource(TABLE).identity() == ArrowSource(same).identity() == ArrowSource(copied).identity()


def test_the_identity_is_the_same_in_another_process():
    """It survives JSON, and no hash seed is in it."""
    program = (
        "import json, pyarrow as pa; from resumable.sources.arrow import ArrowSource;"
        "print(json.dumps(ArrowSource(pa.table({'a': ['x', None], 'l': [[1], None]})).identity()))"
    )
    here = ArrowSource(pa.table({"a": ["x", None], "l": [[1], None]})).identity()
    there = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert here == json.loads(there)


@pytest.mark.parametrize(
    ("column", "index", "value"),
    [("i", 1, 0), ("t", 2, ""), ("b", 2, None), ("f", 3, 0.0), ("l", 1, None), ("x", 3, b"")],
)
def test_a_changed_value_is_noticed(column, index, value):
    """NULL, zero and the empty string are not the same."""
    identity = ArrowSource(TABLE).identity()
    changed = TABLE.to_pylist()
    changed[index][column] = value
    other = ArrowSource(pa.Table.from_pylist(changed, schema=ArrowSource(TABLE).schema()))
    assert "are others" in other.changed(identity, {"row": 1})
    assert ArrowSource(TABLE).changed(identity, {"row": 1}) is None


def test_changed_columns_and_lengths_are_told_in_words():
    """What it was and what it is."""
    identity = ArrowSource(pa.table({"a": [1, 2]})).identity()
    assert "it had 2 rows and now has 3" == ArrowSource(pa.table({"a": [1, 2, 3]})).changed(identity, None)
    words = ArrowSource(pa.table({"a": ["1", "2"]})).changed(identity, None)
    assert "the columns were a int64 and are now a string" == words


def test_a_pandas_frame_leaves_its_range_index_out_and_any_other_in():
    """An index with a name, one without, and one of two levels become columns in front."""
    frame = pd.DataFrame({"x": [1, 2, 3], "s": ["a", None, "ä"]})
    assert ["x", "s"] == ArrowSource(frame).schema().names
    assert [{"x": 1, "s": "a"}, {"x": 2, "s": None}] == small(ArrowSource(frame))[0].rows.to_pylist()[:2]
    assert ["k", "s"] == ArrowSource(frame.rename(columns={"x": "k"}).set_index("k")).schema().names
    odd = frame.set_axis([5, 9, 7])
    assert ["index", "x", "s"] == ArrowSource(odd).schema().names
    assert ["x", "s"] == ArrowSource(odd.reset_index(drop=True)).schema().names
    assert ["a", "b", "x", "s"] == ArrowSource(
        frame.set_axis(pd.MultiIndex.from_product([[1], [1, 2, 3]], names=["a", "b"]))
    ).schema().names


def test_a_polars_frame_is_read():
    """String views, categories and all."""
    frame = pl.DataFrame({"x": [1, None], "s": ["a", "a string that is long enough for a view"]})
    frame = frame.with_columns(c=pl.col("s").cast(pl.Categorical))
    source = ArrowSource(frame)
    assert [pa.int64(), pa.string(), pa.string()] == source.schema().types
    assert frame.rows(named=True) == small(source)[0].rows.to_pylist()


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (TABLE.to_reader(), "only once.*ArrowSource\\(lambda: reader\\)"),
        (iter([1]), "only once"),
        (pl.DataFrame({"a": [1]}).lazy(), "LazyFrame.*collect"),
        ({"a": [1]}, "isn't data in Arrow's form"),
        (pa.table([[1], [2]], names=["a", "a"]), "same name"),
        (pa.table({}), "or none"),
        (pd.DataFrame({"a": [1, "x"]}, dtype=object), "one type each"),
    ],
    ids=["reader", "iterator", "lazy", "dict", "twins", "nothing", "mixed"],
)
def test_what_can_not_be_resumed_is_refused_at_once(data, words):
    """With what to give instead."""
    with pytest.raises(SourceError, match=words):
        ArrowSource(data)


def test_a_stream_that_is_shorter_or_other_than_before_is_refused():
    """It isn't the one that was read."""
    source = ArrowSource(lambda: pa.table({"a": [1, 2]}).to_reader())
    with pytest.raises(SourceError, match="ended 1 rows before"):
        small(source, {"row": 3})
    with pytest.raises(SourceError, match="not an Arrow stream"):
        ArrowSource(lambda: 5).schema()
    with pytest.raises(SourceError, match="are now a"):
        list(source.read(pa.schema([("b", pa.int64())]), None, source.identity()))


def test_an_empty_table_gives_no_batches():
    """It is complete at once."""
    assert [] == small(ArrowSource(pa.table({"a": pa.array([], pa.int64())})))

"""CsvSink: how values are written, that they read back the same, and that the bytes never depend on the cuts."""

from __future__ import annotations

import csv
import datetime as dt
import io
import itertools
import math
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resumable.checkpoint import Checkpoint, ClaimId
from resumable.control.liveness import this_process
from resumable.errors import BadRow, TargetError, UsageError
from resumable.protocols import Batch, Claimant
from resumable.sinks.csv import CsvSink
from resumable.sources.csv import CsvSource


def claim(number: int) -> Claimant:
    return Claimant("run", ClaimId(number, "a"), this_process())


def export(path: Path, batches: list[pa.RecordBatch], *, sessions: tuple[int, ...] = (), **options: Any) -> bytes:
    """The file's bytes; a new session begins before each of the batches in `sessions`, a commit after each batch."""
    sink, last = CsvSink(path, **options), Checkpoint(schema=batches[0].schema)
    writer = sink.open(claim(1), last)
    writer.accepted()
    for number, rows in enumerate(batches):
        if number in sessions:
            writer.write(Batch(rows, None))  # this one is never committed
            writer.__exit__(None, None, None)
            last = Checkpoint.from_json(writer.last.to_json(), "here")
            writer = sink.open(claim(number + 2), last)
            writer.accepted()
        writer.write(Batch(rows, None))
        writer.commit(writer.last.next())
    with writer:
        writer.commit(writer.last.next(complete=True))
        writer.publish(writer.last.next(outcome="completed"))
        writer.clean_up()
    return path.read_bytes()


def written(path: Path, values: list[Any], kind: pa.DataType, **options: Any) -> list[str]:
    """One column's values as they stand in the file."""
    rows = pa.record_batch({"x": pa.array(values, kind)})
    return export(path, [rows], header=False, **options).decode().split("\n")[:-1]


def parsed(data: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline="")))


# ---------------------------------------------------------------------------------- how values are written


def test_only_what_needs_quotes_has_them(tmp_path):
    """NULL is nothing, the empty string is `""`, and a comma in one row changes no other row."""
    rows = pa.record_batch(
        {"a": ["plain", "", None, "c,d", 'q"x', "l\nm", "r\r"], "b": [" sp ", "NA", "'", ";", None, "", "é"]}
    )
    assert export(tmp_path / "o.csv", [rows]).decode() == (
        'a,b\nplain, sp \n"",NA\n,\'\n"c,d",;\n"q""x",\n"l\nm",""\n"r\r",é\n'
    )


def test_a_lone_null_is_an_empty_line(tmp_path):
    """In a file of one column there is no delimiter to show for it."""
    rows = pa.record_batch({"x": pa.array([None, "", "a"])})
    assert export(tmp_path / "o.csv", [rows]) == b'x\n\n""\na\n'


def test_column_names_are_quoted_like_values(tmp_path):
    """A header must be read back, too."""
    rows = pa.RecordBatch.from_arrays([pa.array([1])] * 3, ["a,b", "", '"'])
    assert export(tmp_path / "o.csv", [rows]) == b'"a,b","",""""\n1,1,1\n'


def test_floats_read_back_the_same_and_as_floats(tmp_path):
    """The shortest such text; a whole number keeps its point."""
    values = [1.0, 0.1, -0.0, 1e20, 1e-7, 5e-324, 1.7976931348623157e308, math.inf, -math.inf, math.nan, None]
    texts = written(tmp_path / "o.csv", values, pa.float64())
    assert ["1.0", "0.1", "-0.0", "1e+20"] == texts[:4]
    assert ["inf", "-inf", "nan", ""] == texts[7:]
    assert values[:7] == [float(t) for t in texts[:7]]
    assert ["0.1", "3.0", "16777216.0"] == written(tmp_path / "p.csv", [0.1, 3, 2**24], pa.float32())


def test_decimals_are_written_in_full(tmp_path):
    """All digits of the scale, and never an exponent."""
    tiny = Decimal("1e-20")
    assert ["1.10", "-0.01"] == written(tmp_path / "a", [Decimal("1.1"), Decimal("-.01")], pa.decimal128(10, 2))
    assert ["0." + "0" * 19 + "1", "0." + "0" * 20] == written(
        tmp_path / "b", [tiny, Decimal(0)], pa.decimal128(38, 20)
    )
    assert ["12000", ""] == written(tmp_path / "c", [Decimal(12000), None], pa.decimal128(10, -3))


def test_dates_and_times_are_iso(tmp_path):
    """A fraction only where it isn't zero, decided value by value; a zone is UTC."""
    noon = dt.datetime(2024, 2, 29, 12)
    assert ["2024-02-29"] == written(tmp_path / "a", [noon.date()], pa.date32())
    assert ["2024-02-29 12:00:00", "2024-02-29 12:00:00.000250"] == written(
        tmp_path / "b", [noon, noon.replace(microsecond=250)], pa.timestamp("us")
    )
    assert ["1969-12-31 23:59:59.999"] == written(tmp_path / "c", [-1], pa.timestamp("ms"))
    assert ["2024-02-29 12:00:00+00:00"] == written(
        tmp_path / "d", [noon.replace(tzinfo=dt.UTC)], pa.timestamp("us", "Europe/Berlin")
    )
    assert ["12:00:00", "12:00:00.000001"] == written(
        tmp_path / "e", [dt.time(12), dt.time(12, 0, 0, 1)], pa.time64("us")
    )


def test_other_types_have_their_form(tmp_path):
    """Booleans, wide integers, bytes, NULLs of no type, and encodings of text that don't show."""
    assert ["true", "false", ""] == written(tmp_path / "a", [True, False, None], pa.bool_())
    assert [str(2**64 - 1)] == written(tmp_path / "b", [2**64 - 1], pa.uint64())
    assert ["\\x00ff", "", "\\x"] == written(tmp_path / "c", [b"\x00\xff", None, b""], pa.binary())
    assert ["\\x6162"] == written(tmp_path / "d", [b"ab"], pa.binary(2))
    assert ["", ""] == written(tmp_path / "e", [None, None], pa.null())
    for number, kind in enumerate([pa.large_string(), pa.string_view(), pa.dictionary(pa.int8(), pa.string())]):
        assert ["a", '""', ""] == written(tmp_path / f"f{number}", ["a", "", None], kind)


def test_slices_of_a_bigger_batch_are_written_as_they_are(tmp_path):
    """Arrow slices share buffers with what was cut off."""
    rows = pa.record_batch({"b": [b"zz", b"a", None, b"bc"], "s": ["no,", "a", "", None], "n": [1, 2, None, 3]})
    assert export(tmp_path / "o.csv", [rows.slice(1)], header=False) == b'\\x61,a,2\n,"",\n\\x6263,,3\n'


def test_other_delimiters_and_words_for_null(tmp_path):
    """What they make ambiguous is quoted, in numbers and times too."""
    rows = pa.record_batch({"s": ["a:b", "NA", None], "t": pa.array([0, None, 1], pa.time32("s")), "n": [-1, 2, None]})
    assert export(tmp_path / "o.csv", [rows], delimiter=":", null="NA", header=False) == (
        b'"a:b":"00:00:00":-1\n"NA":NA:2\nNA:"00:00:01":NA\n'
    )
    assert export(tmp_path / "p.csv", [rows], delimiter="-", null="2", header=False) == (
        b'a:b-00:00:00-"-1"\nNA-2-"2"\n2-00:00:01-2\n'
    )


def test_a_byte_order_mark_is_not_made_by_accident(tmp_path):
    """Text that begins like one would lose its first character if it stood at the file's beginning."""
    rows = pa.record_batch({"x": ["\ufeffa", "a\ufeff"]})
    assert export(tmp_path / "o.csv", [rows], header=False).decode() == '"\ufeffa"\na\ufeff\n'


def test_spreadsheets_run_nothing_if_told(tmp_path):
    """Text only, names of columns too; off unless asked for."""
    rows = pa.record_batch({"=x": ["=1+1", "+a", "-b", "@c", "\td", "e", None], "n": [-1.5] * 7})
    data = export(tmp_path / "o.csv", [rows], spreadsheet_safe=True)
    assert ["'=x", "'=1+1", "'+a", "'-b", "'@c", "'\td", "e", ""] == [line[0] for line in parsed(data)]
    assert ["-1.5"] * 7 == [line[1] for line in parsed(data)][1:]
    assert parsed(export(tmp_path / "p.csv", [rows]))[1][0] == "=1+1"


def test_an_empty_export_is_its_header(tmp_path):
    """No rows at all, or only empty batches."""
    rows = pa.record_batch({"a": pa.array([], pa.string()), "b": pa.array([], pa.binary())})
    assert export(tmp_path / "o.csv", [rows, rows]) == b"a,b\n"


# --------------------------------------------------------------------------------------- what is refused


def test_types_that_csv_cannot_hold_are_refused_before_anything_is_made(tmp_path):
    """With the column's name."""
    for kind in (pa.list_(pa.int8()), pa.struct({"a": pa.int8()}), pa.duration("s"), pa.month_day_nano_interval()):
        with pytest.raises(TargetError, match="'nested'"):
            CsvSink(tmp_path / "o.csv").open(claim(1), Checkpoint(schema=pa.schema({"nested": kind})))
    with pytest.raises(TargetError, match="at least one column"):
        CsvSink(tmp_path / "o.csv").open(claim(1), Checkpoint(schema=pa.schema({})))
    assert list(tmp_path.iterdir()) == []


def test_options_that_make_no_sense_are_refused(tmp_path):
    """At once, when the sink is made."""
    for options in ({"delimiter": ""}, {"delimiter": '"'}, {"delimiter": "é"}, {"delimiter": "\n"}, {"null": "a,b"}):
        with pytest.raises(UsageError):
            CsvSink(tmp_path / "o.csv", **options)
    with pytest.raises(UsageError, match="append"):
        CsvSink(tmp_path / "o.csv", if_exists="append")


def test_a_time_that_no_calendar_has_is_a_bad_row(tmp_path):
    """Not a strange word in the file."""
    rows = pa.record_batch({"ok": [1, 2, 3], "t": pa.array([0, None, 2**62], pa.timestamp("s"))})
    with CsvSink(tmp_path / "o.csv").open(claim(1), Checkpoint(schema=rows.schema)) as writer:
        with pytest.raises(BadRow, match="'t'") as told:
            writer.write(Batch(rows, None, row=10))
    assert told.value.row == 12


# --------------------------------------------------------------------------------------------- properties

TEXT = st.text(st.sampled_from("a,\";\r\n \t'\ufeffé=\0\\")) | st.text(max_size=5)
COLUMNS = {
    "s": (pa.string(), TEXT),
    "i": (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    "f": (pa.float64(), st.floats(allow_nan=False)),
    "b": (pa.bool_(), st.booleans()),
    "d": (pa.date32(), st.dates()),
    "t": (pa.timestamp("us"), st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))),
    "m": (pa.time64("us"), st.times()),
    "n": (pa.decimal128(20, 9), st.decimals(-(10**10), 10**10, places=9)),
    "x": (pa.binary(), st.binary(max_size=4)),
}
BACK = {
    "s": str,
    "i": int,
    "f": float,
    "b": {"true": True, "false": False}.__getitem__,
    "d": dt.date.fromisoformat,
    "t": dt.datetime.fromisoformat,
    "m": dt.time.fromisoformat,
    "n": Decimal,
    "x": lambda text: bytes.fromhex(text.removeprefix("\\x")),
}
ROWS = st.lists(st.fixed_dictionaries({name: st.none() | values for name, (_, values) in COLUMNS.items()}), max_size=12)
SCHEMA = pa.schema({name: kind for name, (kind, _) in COLUMNS.items()})


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, delimiter=st.sampled_from(",;\t|"))
def test_what_is_written_reads_back_the_same(rows, delimiter):
    """By Python's csv, value by value; and the text column by pyarrow, which tells NULL from the empty string."""
    with tempfile.TemporaryDirectory() as folder:
        data = export(Path(folder) / "o.csv", [pa.RecordBatch.from_pylist(rows, SCHEMA)], delimiter=delimiter)
    head, *lines = csv.reader(io.StringIO(data.decode(), newline=""), delimiter=delimiter)
    assert list(COLUMNS) == head
    for row, line in zip(rows, lines, strict=True):
        for name, text in zip(head, line, strict=True):
            if row[name] is None or row[name] == "":
                assert text == ""
            else:
                assert row[name] == BACK[name](text)
    if rows:
        table = pa.csv.read_csv(
            io.BytesIO(data),
            parse_options=pa.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(
                column_types=dict.fromkeys(head, pa.string()),
                strings_can_be_null=True,
                quoted_strings_can_be_null=False,
                null_values=[""],
            ),
        )
        assert [row["s"] for row in rows] == table["s"].to_pylist()


@settings(max_examples=25, deadline=None)
@given(rows=ROWS.filter(bool), data=st.data())
def test_the_bytes_never_depend_on_where_batches_and_sessions_were_cut(rows, data):
    """All in one batch and session, or in many, with rows written and lost at each end of a session."""
    whole = pa.RecordBatch.from_pylist(rows, SCHEMA)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows)), max_size=3)) | {0, len(rows)})
    batches = [whole.slice(a, b - a) for a, b in itertools.pairwise(cuts)]
    sessions = tuple(data.draw(st.sets(st.integers(0, len(batches) - 1), max_size=2)))
    with tempfile.TemporaryDirectory() as folder:
        one = export(Path(folder) / "one.csv", [whole])
        many = export(Path(folder) / "many.csv", batches, sessions=sessions)
    assert one == many


@settings(max_examples=40, deadline=None)
@example(values=["a", "\0"], null="")
@example(values=["\x1a"], null="")
@given(values=st.lists(st.none() | TEXT, max_size=8), null=st.sampled_from(["", "NULL", "a"]))
def test_one_column_of_text_reads_back_the_same(values, null):
    """A file of one column is where empty lines, quotes and NULL are closest to each other."""
    rows = pa.record_batch({"x": pa.array(values, pa.string())})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "o.csv"
        export(path, [rows], null=null)
        source = CsvSource(path, columns={"x": "string"}, null_values=(null,))
        schema = source.schema()
        back = [v for b in source.read(schema, None, source.identity()) for v in b.rows.column(0).to_pylist()]
    assert values == back

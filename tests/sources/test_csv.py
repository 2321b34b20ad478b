"""CsvSource: what it reads, how it goes on, and what it refuses."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from resumable.errors import BadRow, ResumableError, SourceChanged, SourceError, UsageError
from resumable.protocols import Batch, Source
from resumable.sources.csv import CsvSource
from shell import obeying


def write(path: Path, data: str | bytes) -> Path:
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def read(source: Source, position: Any = None, schema: pa.Schema | None = None) -> list[Batch]:
    """All batches after a position, as a new process would get them."""
    schema = source.schema() if schema is None else schema
    return list(source.read(schema, json.loads(json.dumps(position)), json.loads(json.dumps(source.identity()))))


def rows(batches: list[Batch]) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for batch in batches for row in batch.rows.to_pylist()]


def raised(source: CsvSource) -> ResumableError:
    with pytest.raises(ResumableError) as caught:
        read(source)
    assert caught.value.what
    assert caught.value.safe
    assert caught.value.do
    return caught.value


# ------------------------------------------------------------------------------------------- going on


@pytest.mark.parametrize("block", [1, 7, 40, 10_000])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_from_every_position_the_same_rows_follow(tmp_path: Path, block: int, end: str) -> None:
    """Positions go through JSON into a new source; rows, numbers and positions go on as if there was no break."""
    lines = ["id,name", "1,a", '2,"b', 'c"', "", '3,"d""e"', "4,", '5,""', "6,x"]
    path = write(tmp_path / "t.csv", end.join(lines))
    whole = read(CsvSource(path, block_size=block, block_rows=2))
    assert [(1, "a"), (2, f"b{end}c"), (3, 'd"e'), (4, None), (5, ""), (6, "x")] == rows(whole)
    for i, batch in enumerate(whole):
        tail = read(CsvSource(path, block_size=block, block_rows=2), batch.position)
        assert rows(whole[i + 1 :]) == rows(tail)
        assert [batch.row + batch.rows.num_rows] * bool(tail) == [b.row for b in tail[:1]]
        assert batch.position["row"] == batch.row + batch.rows.num_rows - 1
    assert path.stat().st_size == whole[-1].position["offset"]
    assert whole[-1].fraction == 1.0
    assert [] == read(CsvSource(path), whole[-1].position)


def test_a_batch_has_no_more_rows_than_it_may(tmp_path: Path) -> None:
    """However short the rows are, and each batch has a position of its own."""
    path = write(tmp_path / "t.csv", "n\n" + "".join(f"{i}\n" for i in range(200_000)))
    batches = read(CsvSource(path))
    assert max(batch.rows.num_rows for batch in batches) <= 65_536
    assert list(range(200_000)) == [n for (n,) in rows(batches)]
    assert [1 + sum(b.rows.num_rows for b in batches[:i]) for i in range(len(batches))] == [b.row for b in batches]
    assert len({b.position["offset"] for b in batches}) == len(batches)


def test_rows_that_get_shorter_or_longer_are_cut_where_they_must(tmp_path: Path) -> None:
    """The block's size follows the rows; the limit on rows holds in between."""
    lines = ["n", *("x" * 500 for _ in range(100)), *(str(i) for i in range(1000)), *("y" * 500 for _ in range(100))]
    path = write(tmp_path / "t.csv", "\n".join(lines))
    batches = read(CsvSource(path, block_rows=64))
    assert lines[1:] == [text for (text,) in rows(batches)]
    assert max(batch.rows.num_rows for batch in batches) <= 64


# ------------------------------------------------------------------------------------ what is in a file


def test_an_unquoted_nothing_is_null_and_a_quoted_one_is_empty(tmp_path: Path) -> None:
    """`NA` is Namibia."""
    path = write(tmp_path / "t.csv", 'code,n\nNA,1\n"",2\n,\nnull,4\n')
    assert [("NA", 1), ("", 2), (None, None), ("null", 4)] == rows(read(CsvSource(path)))


def test_a_nothing_at_the_end_of_the_file_is_null(tmp_path: Path) -> None:
    """Without a line end, and after a quoted field: there Arrow by itself would read an empty string."""
    path = write(tmp_path / "t.csv", 'a,b\nx,y\n"x",')
    assert [("x", "y"), ("x", None)] == rows(read(CsvSource(path)))


FIELD = st.sampled_from([("", None), ("NA", None), ('""', ""), ('"NA"', "NA"), ("x", "x"), ('"a\n"', "a\n")])


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(FIELD, FIELD), min_size=1),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.booleans(),
    st.integers(1, 20),
)
def test_quotes_alone_tell_null_from_text(
    table: list[tuple[tuple[str, str | None], ...]], end: str, ended: bool, block: int
) -> None:
    """Whatever stands beside it, however blocks are cut, and with or without a line end behind the last row."""
    text = end.join(",".join(raw for raw, _ in row) for row in table) + end * ended
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "t.csv", f"a,b{end}{text}")
        source = CsvSource(path, null_values=["", "NA"], block_size=block)
        batches = read(source, schema=pa.schema([("a", pa.string()), ("b", pa.string())]))
    assert [tuple(value for _, value in row) for row in table] == rows(batches)


def test_other_words_mean_null_only_if_said_so_and_unquoted(tmp_path: Path) -> None:
    """`null_values` replaces the default: nothing is NULL then unless it is named."""
    path = write(tmp_path / "t.csv", 'a,b\nNA,1\n"NA",2\n,NA\n')
    assert [(None, 1), ("NA", 2), ("", None)] == rows(read(CsvSource(path, null_values=["NA"])))


def test_types_are_inferred_and_frozen(tmp_path: Path) -> None:
    """From the file's beginning; `columns` and what the target expects count more."""
    path = write(tmp_path / "t.csv", "i,f,b,d,t,s,zip\n1,1.5,true,2024-02-29,2024-02-29 10:00:00,x,007\n")
    kinds = [pa.int64(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us"), pa.string(), pa.string()]
    assert kinds == CsvSource(path).schema().types
    expected = {"i": pa.int16(), "f": pa.decimal128(4, 1), "gone": pa.int64(), "s": pa.list_(pa.int64())}
    source = CsvSource(path, columns={"f": "text", "d": pa.string()}, expected=lambda: expected)
    assert [pa.int16(), pa.string(), pa.bool_(), pa.string()] == source.schema().types[:4]
    assert (1, "1.5", True, "2024-02-29") == rows(read(source))[0][:4]


def test_an_empty_line_is_a_null_in_a_file_of_one_column_and_nothing_elsewhere(tmp_path: Path) -> None:
    """In one column it is what a NULL looks like."""
    one = CsvSource(write(tmp_path / "one.csv", 'a\n1\n\n3\n""\n'), columns={"a": "text"})
    two = CsvSource(write(tmp_path / "two.csv", "a,b\n\n1,2\n\r\n\n3,4\n\n\n"))
    assert [("1",), (None,), ("3",), ("",)] == rows(read(one))
    assert [(1, 2), (3, 4)] == rows(read(two))


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    """At the file's beginning it is dropped; later it is text, also where a block begins with it."""
    path = write(tmp_path / "t.csv", "\ufeffa,b\nx,1\n\ufeffy,2\n")
    batches = read(CsvSource(path, block_size=6))
    assert ["a", "b"] == batches[0].rows.schema.names
    assert [("x", 1), ("\ufeffy", 2)] == rows(batches)
    assert [("\ufeffy", 2)] == rows(read(CsvSource(path), batches[0].position))


@pytest.mark.parametrize(
    ("options", "names", "first"),
    [
        ({}, ["a", "b"], ("1", "2")),
        ({"header": False}, ["c1", "c2"], ("a", "b")),
        ({"header": False, "names": ["x", "y"]}, ["x", "y"], ("a", "b")),
        ({"names": ["x", "y"]}, ["x", "y"], ("1", "2")),
    ],
)
def test_names_come_from_the_header_or_from_the_call(
    tmp_path: Path, options: dict[str, Any], names: list[str], first: tuple[str, ...]
) -> None:
    """A header that is there is never read as a row, unless it is said to be one."""
    source = CsvSource(write(tmp_path / "t.csv", "\na,b\n1,2\nx,y\n"), **options)
    assert names == source.schema().names
    assert first == rows(read(source))[0]


def test_a_header_alone_makes_a_table_without_rows(tmp_path: Path) -> None:
    """With or without a line end behind it; its columns are text."""
    for data in ("a,b", "a,b\n", "a,b\r\n\r\n"):
        source = CsvSource(write(tmp_path / "t.csv", data), columns={"b": "int64"})
        assert pa.schema([("a", pa.string()), ("b", pa.int64())]) == source.schema()
        assert [] == read(source)


def test_delimiters_and_quotes_may_be_others(tmp_path: Path) -> None:
    """Tabs; bars and apostrophes; no quotes at all."""
    path = write(tmp_path / "t.csv", 'a\tb\n1\t"x\n2\ty"z\n')
    assert [(1, '"x'), (2, 'y"z')] == rows(read(CsvSource(path, delimiter="\t", quote=None)))
    path = write(tmp_path / "u.csv", "a|b\n1|'x|''y'\n")
    assert [(1, "x|'y")] == rows(read(CsvSource(path, delimiter="|", quote="'")))


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "iso8859-15", "koi8-r"])
def test_encodings_of_single_bytes_are_read(tmp_path: Path, encoding: str) -> None:
    """In names and values; offsets are those of the file."""
    name, value = b"\xe9".decode(encoding), b"\xc4x".decode(encoding)
    path = write(tmp_path / "t.csv", f"{name},n\n{value},1\n{value},2\n".encode(encoding))
    batches = read(CsvSource(path, encoding=encoding, block_size=1))
    assert [(value, 1), (value, 2)] == rows(batches)
    assert [name, "n"] == batches[0].rows.schema.names
    assert [9, 14] == [batch.position["offset"] for batch in batches]


def test_odd_names_are_kept(tmp_path: Path) -> None:
    """Names are texts like others: quotes, line ends and numbers may be in them."""
    path = write(tmp_path / "t.csv", '"a ""b""","c\nd",1,0\n1,2,3,4\n')
    assert ['a "b"', "c\nd", "1", "0"] == CsvSource(path).schema().names
    assert [(1, 2, 3, 4)] == rows(read(CsvSource(path)))


# ---------------------------------------------------------------------------------------------- bad rows


def test_a_late_value_that_does_not_fit_is_refused_by_name_and_place(tmp_path: Path) -> None:
    """With file, row, byte, column, value and reason; and what to say so that it fits."""
    head = "zip,n\n" + "1,2\n" * 1_200_000
    path = write(tmp_path / "t.csv", head + "007,3\n")
    source = CsvSource(path)
    assert [pa.int64()] * 2 == source.schema().types
    error = raised(source)
    assert isinstance(error, BadRow)
    assert (1_200_001, len(head), "zip") == (error.row, error.offset, error.column)
    assert (
        f"{path}, row 1,200,001 (at byte {len(head):,}): column 'zip': '007' would lose its leading zero." == error.what
    )
    assert "columns={'zip': 'string'} (--columns zip=string)" in error.do


@pytest.mark.parametrize(
    ("record", "what", "do"),
    [
        ("1", "it has 1 field where the file has 2 columns", "Correct the file"),
        ("1,2,3", "it has 3 fields where the file has 2 columns", "quarantine"),
        ("1,1.5", "column 'n': '1.5' isn't an integer", "columns={'n': 'float64'}"),
        ("1," + "9" * 100, f"column 'n': '{'9' * 40}'... doesn't fit into int64", "columns={'n': 'string'}"),
        ('1,""', "column 'n': '' is an empty string in quotes, not NULL", "columns={'n': 'string'}"),
        (b"\xff\xe9,1", r"column 'name': the byte 0xff in b'\xff\xe9' is no utf-8", "encoding='cp1252'"),
    ],
)
def test_each_bad_row_has_its_reason(tmp_path: Path, record: str | bytes, what: str, do: str) -> None:
    """Counted from the first data row; empty lines are not counted, and the offset is the record's."""
    raw = record if isinstance(record, bytes) else record.encode()
    head = b'name,n\n"x\ny",1\n\r\nz,2\n'
    path = write(tmp_path / "t.csv", head + raw + b"\nlast,4\n")
    error = raised(CsvSource(path, columns={"n": "int64"}))
    assert isinstance(error, BadRow)
    assert (3, len(head)) == (error.row, error.offset)
    assert what in error.what
    assert do in error.do
    source = CsvSource(path, columns={"n": "int64"}, on_bad_row="quarantine")
    for block in (1, 1000):
        source.block_size = block
        batches = read(source)
        assert [("x\ny", 1), ("z", 2), ("last", 4)] == rows(batches)
        [reject] = [reject for batch in batches for reject in batch.rejects]
        text = raw.decode("utf-8", "backslashreplace")
        assert (3, len(head), text) == (reject.row, reject.offset, reject.text)
        assert what in reject.reason


def test_a_bad_row_in_the_sample_is_refused_before_anything_runs(tmp_path: Path) -> None:
    """`schema()` has read it already; so has it tried the types that were asked for."""
    path = write(tmp_path / "t.csv", "a,b\n1,2\n1\n")
    with pytest.raises(BadRow, match="1 field where"):
        CsvSource(path).schema()
    path = write(tmp_path / "u.csv", "a,b\n1,2\nx,3\n")
    with pytest.raises(BadRow, match="'x' isn't a number"):
        CsvSource(path, columns={"a": "int64"}).schema()
    assert pa.string() == CsvSource(path).schema().field("a").type


def test_the_first_bad_row_of_a_block_is_the_one_that_is_named(tmp_path: Path) -> None:
    """Whether its fields or its values are wrong."""
    path = write(tmp_path / "t.csv", "a,b\n1,2\nx,3\n1,2,3\n")
    error = raised(CsvSource(path, columns={"a": "int64"}))
    assert isinstance(error, BadRow)
    assert error.row == 2


def test_rejects_ride_on_their_batch_in_order(tmp_path: Path) -> None:
    """A batch may consist of nothing else; row numbers go on."""
    path = write(tmp_path / "t.csv", "a,b\nx,1\n1\n2,2\ny,y\n3,3\n")
    source = CsvSource(path, columns={"a": "int64", "b": "int64"}, on_bad_row="quarantine")
    [batch] = read(source)
    assert [(2, 2), (3, 3)] == rows([batch])
    assert [(1, "a"), (2, None), (4, "a")] == [(r.row, r.column) for r in batch.rejects]
    source = CsvSource(path, columns={"a": "int64", "b": "int64"}, on_bad_row="quarantine", block_size=1)
    batches = read(source)
    assert [(1, 0, 1), (2, 0, 1), (3, 1, 0), (4, 0, 1), (5, 1, 0)] == [
        (b.row, b.rows.num_rows, len(b.rejects)) for b in batches
    ]


def test_a_quote_that_is_never_closed_is_a_bad_row(tmp_path: Path) -> None:
    """`csv.reader` would take the rest of the file for a value; a file that was cut off must not pass for whole."""
    path = write(tmp_path / "t.csv", 'a,b\n1,x\n2,"y\n3,z\n')
    error = raised(CsvSource(path))
    assert isinstance(error, BadRow)
    assert (2, 8) == (error.row, error.offset)
    assert "never closed" in error.what


def test_a_record_longer_than_a_block_is_read(tmp_path: Path) -> None:
    """Up to `max_record`."""
    text = "line\n" * 5000
    path = write(tmp_path / "t.csv", f'a,b\n1,"{text}"\n2,x\n')
    assert [(1, text), (2, "x")] == rows(read(CsvSource(path, block_size=64)))


# ---------------------------------------------------------------------------------- what can't be read


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "is empty"),
        (b"\xef\xbb\xbf\n\n", "is empty"),
        (b"a,b,a\n1,2,3\n", "has more than one column 'a' in its header"),
        (b"a,,c\n1,2,3\n", "has no name for column 2 of 3 in its header"),
        (b"\xff,b\n1,2\n", "has a header that is no utf-8"),
        ("a,b\n1,2\n".encode("utf-16"), "is UTF-16"),
        (b"\x1f\x8b\x08\x00", "is gzip, not CSV"),
        (b"PAR1\x15", "is Parquet, not CSV"),
    ],
)
def test_a_file_that_is_no_table_is_refused(tmp_path: Path, data: bytes, what: str) -> None:
    """`SourceError`, which says what it is and what to do."""
    error = raised(CsvSource(write(tmp_path / "t.csv", data)))
    assert isinstance(error, SourceError)
    assert what in error.what


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    """Missing, a folder, a pipe."""
    os.mkfifo(tmp_path / "pipe")
    for name, what in {"gone.csv": "isn't there", ".": "is a folder", "pipe": "is a pipe"}.items():
        source = CsvSource(tmp_path / name)
        for method in (source.identity, source.schema):
            with pytest.raises(SourceError, match=what):
                method()


def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    """In the system's words."""
    path = write(tmp_path / "t.csv", "a\n1\n")
    path.chmod(0)
    with obeying():
        assert "can't be opened: permission denied" in raised(CsvSource(path)).what


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ""},
        {"delimiter": "::"},
        {"delimiter": "é"},
        {"delimiter": '"'},
        {"quote": "\n"},
        {"encoding": "utf-16"},
        {"encoding": "utf-32"},
        {"encoding": "shift_jis"},
        {"encoding": "gbk"},
        {"encoding": "euc-jp"},
        {"encoding": "big5"},
        {"encoding": "cp037"},
        {"encoding": "base64"},
        {"encoding": "nonsense"},
        {"null_values": "NA"},
        {"names": []},
        {"names": ["a", "a"]},
        {"columns": {"a": "nonsense"}},
        {"columns": {"a": pa.list_(pa.int64())}},
        {"on_bad_row": "skip"},
        {"identity": "none"},
        {"max_record": 0},
    ],
)
def test_arguments_that_make_no_sense_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    """At once, before the file is looked at."""
    with pytest.raises(UsageError):
        CsvSource(tmp_path / "t.csv", **options)


def test_a_type_for_a_column_that_is_not_there_is_refused_with_those_that_are(tmp_path: Path) -> None:
    """A misspelt name would leave the column as it is, silently."""
    path = write(tmp_path / "t.csv", "zip,name\n1,2\n")
    with pytest.raises(UsageError, match=r"'Zip', which .* doesn't have\..* It has 'zip', 'name'\."):
        CsvSource(path, columns={"Zip": "text"}).schema()
    with pytest.raises(UsageError, match=r"names= has 1 names, and the first record of .* has 2 fields"):
        CsvSource(path, names=["a"]).schema()


# --------------------------------------------------------------------------------------- what has changed

DATA = "n,t\n" + "".join(f"{i},{'x' * 90}\n" for i in range(3000))  # longer than head and tail together


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Path, dict[str, Any], Any]:
    """A file that was read past its middle, its identity then, and the position."""
    path = write(tmp_path / "t.csv", DATA)
    source = CsvSource(path, block_size=20_000)
    batches = [b for b in read(source) if b.fraction is not None and b.fraction < 0.7]
    return path, json.loads(json.dumps(source.identity())), json.loads(json.dumps(batches[-1].position))


def untouched(path: Path, identity: dict[str, Any], at: int, data: bytes) -> None:
    """Write into the file and make it look as if nobody had."""
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)
    os.utime(path, ns=(identity["stat"][1], identity["stat"][1]))


def test_a_file_that_was_touched_or_copied_is_the_same(begun: tuple[Path, dict[str, Any], Any], tmp_path: Path) -> None:
    """Content decides, not name, place or time."""
    path, identity, position = begun
    assert CsvSource(path).changed(identity, position) is None
    os.utime(path)
    copy = write(tmp_path / "copy.csv", path.read_bytes())
    for same in (path, copy):
        for how in ("sampled", "full"):
            source = CsvSource(same, identity=how)  # type: ignore[arg-type]
            assert source.changed(identity, position) is None
            assert source.changed(identity, None) is None


def test_what_has_changed_is_said(begun: tuple[Path, dict[str, Any], Any]) -> None:
    """With figures; whether it was appended to, cut, replaced, or edited at an end or where it was read."""
    path, identity, position = begun
    size, source = len(DATA), CsvSource(path)
    for data, what in {
        DATA + "1,x\n": f"it has grown: its size was {size:,} bytes and is {size + 4:,}",
        DATA[:-10]: f"it has shrunk: its size was {size:,} bytes and is {size - 10:,}",
        "m" + DATA[1:]: "its beginning differs, so it was replaced or edited",
        DATA[:-2] + "y\n": "its end was edited",
        DATA[:150_000] + "y" + DATA[150_001:]: f"somewhere in the first {position['offset']:,} bytes",
    }.items():
        write(path, data)
        assert what in (source.changed(identity, position) or "")
    write(path, DATA[: position["offset"] + 5000] + "y" + DATA[position["offset"] + 5001 :])
    assert source.changed(identity, position) is None  # not read yet, nor in the tail


def test_a_small_file_that_has_grown_is_not_called_replaced(tmp_path: Path) -> None:
    """Its head is as long as it was."""
    path = write(tmp_path / "t.csv", "a\n1\n")
    identity = CsvSource(path).identity()
    write(path, "a\n1\n2\n")
    assert CsvSource(path).changed(identity, None) == "it has grown: its size was 4 bytes and is 6"


def test_an_edit_that_left_no_trace_is_seen_where_it_matters(begun: tuple[Path, dict[str, Any], Any]) -> None:
    """`identity="full"` reads all of it again; else the last block that was read is, on resume."""
    path, identity, position = begun
    offset, length = position["offset"], position["block"][0]
    untouched(path, identity, offset - length - 200, b"y")
    assert CsvSource(path).changed(identity, position) is None
    assert "was read already" in (CsvSource(path, identity="full").changed(identity, position) or "")
    untouched(path, identity, offset - 10, b"y")
    source = CsvSource(path)
    assert source.changed(identity, position) is None
    with pytest.raises(SourceChanged, match=f"before byte {offset:,} aren't those that were read"):
        next(source.read(source.schema(), position, identity))


def test_what_is_appended_meanwhile_is_not_read(begun: tuple[Path, dict[str, Any], Any]) -> None:
    """The run reads what was there when it began; the change is told by `changed`."""
    path, identity, _ = begun
    source = CsvSource(path, block_size=20_000)
    schema, seen = source.schema(), 0
    with path.open("a") as file:
        file.write("1,x\n")
    for batch in source.read(schema, None, identity):
        seen += batch.rows.num_rows
        with path.open("a") as file:
            file.write("1,x\n")
    assert seen == 3000
    assert "it has grown" in (source.changed(identity, batch.position) or "")


def test_a_file_that_is_cut_while_it_is_read_has_changed(begun: tuple[Path, dict[str, Any], Any]) -> None:
    """It doesn't pass for the end of the input."""
    path, identity, _ = begun
    source = CsvSource(path, block_size=20_000)
    reading = source.read(source.schema(), None, identity)
    next(reading)
    os.truncate(path, 100_000)
    with pytest.raises(SourceChanged, match=f"it ends at byte 100,000, and was {len(DATA):,} bytes long"):
        list(reading)


def test_other_columns_than_at_the_beginning_are_a_change(tmp_path: Path) -> None:
    """The frozen schema has the names."""
    source = CsvSource(write(tmp_path / "t.csv", "a,b\n1,2\n"))
    schema = pa.schema([("a", pa.int64()), ("c", pa.int64())])
    with pytest.raises(SourceChanged, match="its columns were 'a', 'c' and are 'a', 'b'"):
        read(source, schema=schema)


# ---------------------------------------------------------------------------------------- what it says


def test_words_that_keep_a_column_from_being_a_number_are_noted(tmp_path: Path) -> None:
    """With the row, and what to say; but not where saying so would change nothing."""
    lines = ["a,b,c,d,e,f", "1,x,NA,1,NA,1", '2,y,2,"NA",7,007', "3,,-,3,8,NA"]
    source = CsvSource(write(tmp_path / "t.csv", "\n".join(lines)), columns={"e": "text"})
    assert [
        "Column 'c' is text because of 'NA' and '-' (first in row 1): null_values=('', 'NA', '-') would make it int64."
    ] == source.notes(source.schema())
    assert pa.int64() == CsvSource(source.path, null_values=["", "NA", "-"]).schema().field("c").type


def test_it_says_what_it_reads_and_what_a_resume_rests_on(tmp_path: Path) -> None:
    """Also of a file that is gone."""
    path = write(tmp_path / "t.csv", "a\n1\n")
    assert f"CSV file {path} (4 bytes, utf-8)." in CsvSource(path).describe()
    assert "all that was read" in CsvSource(path, identity="full").describe()
    path.unlink()
    assert "not there" in CsvSource(path).describe()


@pytest.mark.skipif(
    not os.path.exists("/proc/self/mem"), reason="Only Linux has a file that can't be read at its start."
)
def test_a_disk_that_fails_is_said() -> None:
    """The system's input/output error becomes one of ours, with the byte."""
    assert "can't be read at byte 0: input/output error" in raised(CsvSource("/proc/self/mem")).what

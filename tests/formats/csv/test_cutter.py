"""Quotes that aren't closed spoil their line only: what a plain reader says, byte by byte, is the measure."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from resumable.errors import BadRow, SourceError
from resumable.formats.csv.cutter import Cutter
from resumable.formats.csv.dialect import Dialect
from resumable.protocols import Batch, Reject
from resumable.sources.csv import CsvSource

csv.field_size_limit(2**30)
PIECES = ["a", "b,", ",", '"', '""', '","', "\n", "\r", "\r\n", " ", "é", "NA", "12", 'a","\n', '1,"x\n', "\t"]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=30).map("".join)


def judged(data: bytes, at: int, limit: int) -> tuple[int, str]:
    """Where the record at `at` ends, and what spoils it, if so: the plain reader."""
    s, i, quoted, crossed, fresh = data.decode("latin-1"), at, False, False, True
    line = re.compile(r"[^\r\n]*(?:\r\n|\r|\n|\Z)").match(s, at)
    assert line is not None
    if line.end() - at > limit:
        return line.end(), "longer"
    while i < len(s):
        if quoted and s[i] == '"' and s[i + 1 : i + 2] == '"':
            i += 1
        elif quoted and s[i] == '"':
            quoted = False
            behind = s[i + 1 :].lstrip(" \t")
            if crossed and behind and behind[0] not in ",\r\n":
                stray = len(s) - len(behind) - at <= limit
                return line.end(), "middle of a field" if stray else "doesn't end"
        elif quoted:
            crossed = crossed or s[i] in "\r\n"
        elif fresh and s[i] == '"':
            quoted, crossed = True, False
        elif s[i] in "\r\n":
            end = i + (2 if s[i : i + 2] == "\r\n" else 1)
            return (end, "") if end - at <= limit else (line.end(), "doesn't end")
        fresh = not quoted and s[i] == ","
        i += 1
    if len(s) - at > limit:
        return line.end(), "doesn't end"
    return (line.end(), "never closed") if quoted else (len(s), "")


def expected(data: bytes, at: int, limit: int, width: int) -> tuple[list[tuple[str, ...]], list[tuple[int, int, str]]]:
    """The rows from `at` on, and row, offset and reason of each reject."""
    rows, rejects, number = list[tuple[str, ...]](), list[tuple[int, int, str]](), 0
    while at < len(data):
        end, why = judged(data, at, limit)
        record = data[at:end].decode()
        fields = next(csv.reader(io.StringIO(record, newline="")), [])
        if why or fields or width == 1:
            number += 1
            if not why and len(fields or [""]) == width:
                rows.append(tuple(fields or [""]))
            else:
                rejects.append((number, at, why or "where the file has"))
        at = end
    return rows, rejects


def rows(batches: list[Batch]) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for batch in batches for row in batch.rows.to_pylist()]


def rejected(batches: list[Batch]) -> list[Reject]:
    return [reject for batch in batches for reject in batch.rejects]


def read(source: CsvSource, schema: pa.Schema, position: Any = None) -> list[Batch]:
    """As another process would, that has the position from a checkpoint."""
    return list(source.read(schema, json.loads(json.dumps(position)), json.loads(json.dumps(source.identity()))))


@settings(max_examples=250, deadline=None)
@given(TEXTS, st.integers(1, 3), st.integers(1, 30), st.integers(6, 60))
@example('a,""\n,\n', 2, 1, 60)
@example("\n\n", 1, 1, 60)
@example("\rb,\n\n", 1, 5, 60)
@example('2,"x\n3,b\n4,"y"\n5,c\n', 2, 7, 60)
@example('a","\n' * 12, 2, 4, 20)
@example('"a\nbbbbbbbbbbbb",c\nd,e\n', 2, 1, 12)
@example('a,"b\n" \t,c\r\n', 3, 1, 30)
def test_rows_and_rejects_are_those_of_the_plain_reader_from_every_position(
    text: str, width: int, block: int, limit: int
) -> None:
    """However blocks are cut, and whatever the limit; reading on needs the position alone."""
    schema = pa.schema([(f"n{i}", pa.string()) for i in range(width)])
    head = ",".join("n" if width == 1 else name for name in schema.names) + "\n"
    schema = pa.schema([(name, pa.string()) for name in head.strip().split(",")])
    limit = max(limit, len(head))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.csv"
        data = (head + text).encode()
        path.write_bytes(data)
        source = CsvSource(
            path, null_values=(), on_bad_row="quarantine", block_size=block, block_rows=3, max_record=limit
        )
        batches = read(source, schema)
        good, bad = expected(data, len(head), limit, width)
        assert good == rows(batches)
        found = rejected(batches)
        assert [(number, at) for number, at, _ in bad] == [(reject.row, reject.offset) for reject in found]
        for (_, at, why), reject in zip(bad, found, strict=True):
            assert why in reject.reason
            assert data[at : at + (reject.length or 0)].decode("utf-8", "backslashreplace") == reject.text
        for i, batch in enumerate(batches):
            tail = read(source, schema, batch.position)
            assert rows(batches[i + 1 :]) == rows(tail)
            assert rejected(batches[i + 1 :]) == rejected(tail)


@settings(max_examples=300, deadline=None)
@given(TEXTS, st.integers(4, 40))
@example('a"b,"c"\n"d\n', 40)
def test_the_fast_way_cuts_where_the_careful_one_does(text: str, length: int) -> None:
    """Parity is used only where it gives the same cut."""
    data = text.encode()
    cutter = Cutter(Dialect(), 1000)
    end, spoiled = cutter.cut(data, 0, len(data) + 1, final=False)
    assert (end, spoiled) == cutter._one_by_one(data, 0, len(data) + 1, final=False)


def test_one_stray_quote_costs_one_line_of_a_hundred_thousand(tmp_path: Path) -> None:
    """Whether there are other quotes in the file or not; the run is told of it, and nothing else is missing."""
    for other in ('"a, b"', "ab"):
        lines = [f"{i},{other}" for i in range(1, 100_001)]
        lines[1] = '2,"x'
        path = tmp_path / "t.csv"
        path.write_text("id,v\n" + "\n".join(lines) + "\n")
        source = CsvSource(path, on_bad_row="quarantine")
        batches = read(source, source.schema())
        assert [i for i in range(1, 100_001) if i != 2] == [i for i, _ in rows(batches)]
        (reject,) = rejected(batches)
        assert (2, '2,"x', 4) == (reject.row, reject.text, reject.length)
        with pytest.raises(BadRow, match=r"row 2 \(at byte \d+\): it opens a quote") as caught:
            CsvSource(path).schema()
        assert "--on-bad-row quarantine" in caught.value.do


def test_a_file_that_was_cut_off_does_not_pass_for_whole(tmp_path: Path) -> None:
    """Its last line is a bad row; a value over several lines that is whole is none."""
    path = tmp_path / "t.csv"
    path.write_text('a,b\n1,"x\ny"\n2,"y\n')
    with pytest.raises(BadRow, match="never closed") as caught:
        CsvSource(path).schema()
    assert (2, 12) == (caught.value.row, caught.value.offset)
    assert [(1, "x\ny")] == rows(
        read(CsvSource(path, on_bad_row="quarantine"), CsvSource(path, on_bad_row="quarantine").schema())
    )


SPOILT = {
    "each line opens one": '1,"x\n',
    "each line closes one and opens another": 'a","\n',
    "each line opens one and doubles others": '1,"""x\n',
    "none is ever closed but the first opens": "1,x\n",
    "quotes in quotes": '1,"x""\n2,""""\n',
    "lines longer than a record may be": "1," + "y" * 3000 + "\n",
}


@pytest.mark.parametrize("kind", SPOILT)
@pytest.mark.parametrize("block", [500, 5000])
def test_a_file_full_of_open_quotes_is_read_a_few_times_and_not_once_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, block: int
) -> None:
    """By the bytes that are read and looked through; it is the same few times in a file of four times the size."""
    counted = {"read": 0, "followed": 0}
    pread, follow = os.pread, Cutter._follow

    def reading(fd: int, length: int, offset: int) -> bytes:
        counted["read"] += length
        return pread(fd, length, offset)

    def following(self: Cutter, data: bytes, at: int, **final: bool) -> tuple[str, int]:
        what, stop = follow(self, data, at, **final)
        counted["followed"] += stop - at
        return what, stop

    monkeypatch.setattr(os, "pread", reading)
    monkeypatch.setattr(Cutter, "_follow", following)
    for size in (40_000, 160_000):
        path = tmp_path / "t.csv"
        path.write_text('id,v\n0,"' + SPOILT[kind] * (size // len(SPOILT[kind])))
        counted.update(read=0, followed=0)
        source = CsvSource(path, on_bad_row="quarantine", max_record=2000, block_size=block)
        for _ in source.read(pa.schema([("id", pa.string()), ("v", pa.string())]), None, source.identity()):
            pass
        assert counted["read"] < 16 * size + 500_000, "64 KiB to judge by, and the ends, are read too"
        assert counted["followed"] < 8 * size


def test_a_line_too_long_to_be_held_is_put_aside_by_its_place(tmp_path: Path) -> None:
    """Its bytes are named, not kept; the rows around it are read, and it is the same after a resume."""
    path = tmp_path / "t.csv"
    for end in ("\n", "\r\n", "\r"):
        long = "2," + "z" * 3_000_000
        path.write_bytes(end.join(["id,v", "1,a", long, "3,c"]).encode())
        source = CsvSource(path, on_bad_row="quarantine", max_record=1000, block_size=400)
        schema = pa.schema([("id", pa.int64()), ("v", pa.string())])
        batches = read(source, schema)
        assert [(1, "a"), (3, "c")] == rows(batches)
        (reject,) = rejected(batches)
        assert (2, None) == (reject.row, reject.text)
        assert reject.offset is not None
        assert reject.length is not None
        found = path.read_bytes()[reject.offset : reject.offset + reject.length].decode()
        assert found.rstrip("\r\n") == long
        for i, batch in enumerate(batches):
            assert rows(batches[i + 1 :]) == rows(read(source, schema, batch.position))
        with pytest.raises(BadRow, match=r"row 2 \(at byte \d+\): it is longer than 1,000 bytes"):
            read(CsvSource(path, max_record=1000), schema)


def test_a_long_reject_keeps_its_text_up_to_a_megabyte(tmp_path: Path) -> None:
    """Whole, so that it can be replayed; past that the place in the file does it."""
    path = tmp_path / "t.csv"
    for size, kept in ((1_000_000, True), (1_100_000, False)):
        path.write_text("id,v\n1,a\n2,b," + "z" * size + "\n3,c\n")
        source = CsvSource(path, on_bad_row="quarantine")
        (reject,) = rejected(read(source, source.schema()))
        text = "2,b," + "z" * size
        assert (9, len(text)) == (reject.offset, reject.length)
        assert reject.text == (text if kept else None)


def test_a_header_that_a_quote_spoils_is_refused(tmp_path: Path) -> None:
    """No line further down becomes the header in its place."""
    path = tmp_path / "t.csv"
    path.write_text('id,"v\n1,a\n2,b\n')
    with pytest.raises(SourceError, match=r"first line on: it opens a quote .*--quote ''"):
        CsvSource(path).schema()
    assert ["id", '"v'] == CsvSource(path, quote=None).schema().names


def test_megabytes_inside_one_quote_are_one_value(tmp_path: Path) -> None:
    """Up to the limit, however many line ends are in it; and the limit may be raised."""
    path = tmp_path / "t.csv"
    for lines, options in ((1_000_000, {}), (2_000_000, {"max_record": 2**25})):
        text = "line\n" * lines
        path.write_text(f'id,v\n1,"{text}"\n')
        source = CsvSource(path, **options)  # type: ignore[arg-type]
        assert [(1, text)] == rows(read(source, source.schema()))
    with pytest.raises(BadRow, match=r"8,388,608 bytes \(max_record\).* max_record=67108864 \(--max-record 67108864\)"):
        CsvSource(path).schema()

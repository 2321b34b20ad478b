"""Advice is code: what is printed about a value that doesn't fit is taken, for every type, on both databases."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import resumable
from resumable import cli
from resumable.errors import BadRow, ResumableError, TargetError
from targets import Target

POSTGRESQL = {
    "date": ("soon", "2024-02-29"),
    "timestamp without time zone": ("2024-02-30", "2024-02-29 13:45"),
    "timestamp with time zone": ("2024-02-29 13:45", "2024-02-29 13:45Z"),
    "time without time zone": ("25:00", "23:59"),
    "boolean": ("perhaps", "yes"),
    "smallint": ("70000", "7"),
    "integer": ("1.5", "1.0"),
    "bigint": ("9223372036854775808", "9"),
    "numeric(6,2)": ("1.234", "1.23"),
    "numeric": ("abc", "1e3"),
    "real": ("0.123456789", "0.1"),
    "double precision": ("0.12345678901234567891", "0.1"),
    "text": ("a\0b", "ab"),
    "character varying(3)": ("abcd", "abc"),
    "uuid": ("none", "5e66009a-ae81-4623-9c49-86db3f168184"),
    "bytea": ("zz", "\\x00ff"),
    "jsonb": ("{", "{}"),
}
SQLITE = {
    "DATE": ("soon", "2024-02-29"),
    "DATETIME": ("2024-02-30", "2024-02-29 13:45"),
    "TIMESTAMP WITH TIME ZONE": ("2024-02-29 13:45", "2024-02-29 13:45Z"),
    "TIME": ("25:00", "23:59"),
    "BOOLEAN": ("perhaps", "1"),
    "INTEGER": ("1.5", "1.0"),
    "NUMERIC(6,2)": ("1.234", "1.23"),
    "NUMERIC": ("abc", "1e3"),
    "DECIMAL_TEXT(20, 2)": ("1.234", "1.23"),
    "REAL": ("0.12345678901234567891", "0.1"),
    "BLOB": ("zz", "\\x00ff"),
    "INT, STRICT": ("x", "1"),
    "REAL, STRICT": ("NaN", "0.5"),
    "BLOB, STRICT": ("x", "\\x00"),
}
CASES = [("postgresql", kind) for kind in POSTGRESQL] + [("sqlite", kind) for kind in SQLITE]
BY_THE_TABLE = {"text", "character varying(3)", "uuid", "jsonb", "numeric", "REAL, STRICT"}
"""Found by the sink, whose errors name no column type to read the file by."""


class Case:
    """A table of one declared type, and a file of ten rows whose seventh doesn't fit, in its sample or past it."""

    def __init__(self, url: str, declared: str, folder: Path) -> None:
        self.target, self.url, self.folder = Target(url), url, folder
        self.bad, self.good = (SQLITE if self.target.lite else POSTGRESQL)[declared]
        self.declared = declared.removesuffix(", STRICT")
        strict = " STRICT" if declared.endswith(", STRICT") else ""
        self.target.do(f'CREATE TABLE t (id INTEGER, "a value" {self.declared}){strict}')
        self.file = folder / "in.csv"
        self.write(self.bad)

    def write(self, seventh: str) -> None:
        rows = [self.good] * 6 + [seventh] + [self.good] * 3
        text = "\n".join(["id,a value", *(f"{i},{json_free(v)}" for i, v in enumerate(rows, 1))]) + "\n"
        self.file.write_bytes(text.encode())

    def upload(self, table: str = "t", **options: Any) -> resumable.Pipeline:
        return resumable.upload(
            self.file, self.url, table, if_exists="append", store=self.folder / "s", every=0, **options
        )

    def rows(self, table: str = "t") -> list[int]:
        return [n for (n,) in self.target.all(f"SELECT id FROM {table} ORDER BY id")]


def json_free(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'


@pytest.fixture(params=["in the sample", "past the sample"])
def sampled(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whether the misfit is seen before the run begins, or in the middle of it."""
    if request.param == "past the sample":
        monkeypatch.setattr("resumable.formats.csv.decoder.SAMPLE", 8)
    monkeypatch.setattr("resumable.formats.csv.options.MAX_ROWS", 2)


@pytest.fixture(params=CASES, ids=" ".join)
def case(request: pytest.FixtureRequest, sampled: None, tmp_path: Path) -> Case:
    """One of each."""
    kind, declared = request.param
    return Case(request.getfixturevalue("sqlite_url" if kind == "sqlite" else "postgres"), declared, tmp_path)


def refused(act: Callable[[], Any]) -> ResumableError:
    with pytest.raises(BadRow) as caught:
        act()
    return caught.value


def test_each_advice_about_a_value_that_does_not_fit_is_right(case: Case) -> None:
    """Named are the row, the column and the table's type; the row put right, put aside, or loaded elsewhere."""
    error = refused(case.upload().run)
    assert error.row == 7
    assert error.column == "a value"
    told = error.do
    by_the_table = "on_bad_row" in told and "of its own" not in told
    if not by_the_table:
        assert f"the table's column is {case.declared}" in str(error)
    assert "Put the row right" in told
    assert "--restart" in told

    if not by_the_table:  # load it into a table of its own, and convert it there
        (typed,) = re.findall(r"\(--columns (.+?)\) and convert it there", told)
        words = shlex.split(f"upload {case.file} {case.url} elsewhere --columns {typed} --store {case.folder}/s2")
        assert cli.main(words) == 0
        assert case.rows("elsewhere") == [*range(1, 11)]

    # go on with quarantine
    case.upload(on_bad_row="quarantine", quarantine=case.folder / "aside.jsonl").run()
    assert case.rows() == [1, 2, 3, 4, 5, 6, 8, 9, 10]
    (reject,) = map(json.loads, (case.folder / "aside.jsonl").read_text().splitlines())
    assert (reject["row"], reject["column"]) == (7, "a value")


def test_the_row_put_right_and_begun_anew_is_right(case: Case) -> None:
    """As the first advice says, also where no run has begun; all ten rows, once."""
    refused(case.upload().run)
    case.write(case.good)
    words = f"upload {case.file} {case.url} t --if-exists append --restart --store {case.folder}/s --every 0"
    assert cli.main(shlex.split(words)) == 0
    assert case.rows() == [*range(1, 11)]


@pytest.mark.parametrize(
    ("declared", "asked", "value", "advised"),
    [("bigint", "bool", "7", "int64"), ("numeric(6,2)", "int64", "1.25", "decimal128(6, 2)"), ("date", "time", "2024-02-29", "date")],
)  # fmt: skip
def test_a_type_of_one_s_own_that_is_narrower_than_the_table_s_gets_the_table_s_as_advice(
    postgres: str, tmp_path: Path, declared: str, asked: str, value: str, advised: str
) -> None:
    """And with that type the file is loaded: what is printed can be put behind the prompt as it is."""
    target = Target(postgres)
    target.do(f'CREATE TABLE t ("a=b c" {declared})')
    (tmp_path / "in.csv").write_text(f"a=b c\n{value}\n")
    words = ["upload", str(tmp_path / "in.csv"), postgres, "t", "--if-exists", "append", "--store", f"{tmp_path}/s"]
    pipeline = resumable.upload(
        tmp_path / "in.csv", postgres, "t", if_exists="append", columns={"a=b c": asked}, store=tmp_path / "s"
    )
    do = refused(pipeline.run).do
    assert f"columns={{'a=b c': {advised!r}}}" in do
    (typed,) = re.findall(r"\((--columns .+?)\), or go on", do)
    assert cli.main([*words, "--restart", *shlex.split(typed)]) == 0
    assert target.all("SELECT count(*) FROM t") == [(1,)]


def test_a_nan_past_the_sample_of_a_numeric_column_is_read_as_text(
    postgres: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The advice says string, and the table takes it: no circle."""
    monkeypatch.setattr("resumable.formats.csv.decoder.SAMPLE", 8)
    target = Target(postgres)
    target.do("CREATE TABLE t (id int, n numeric(6,2))")
    (tmp_path / "in.csv").write_text("id,n\n1,1.5\n2,2.5\n3,NaN\n")
    where = ["upload", str(tmp_path / "in.csv"), postgres, "t", "--if-exists", "append", "--store", f"{tmp_path}/s"]
    pipeline = resumable.upload(tmp_path / "in.csv", postgres, "t", if_exists="append", store=tmp_path / "s")
    (typed,) = re.findall(r"\((--columns .+?)\), or go on", refused(pipeline.run).do)
    assert cli.main([*where, "--restart", *shlex.split(typed)]) == 0
    assert target.all("SELECT CAST(n AS text) FROM t ORDER BY id") == [("1.50",), ("2.50",), ("NaN",)]


@pytest.mark.parametrize("declared", ["date", "boolean", "bigint", "numeric(6,2)", "timestamp"])
def test_text_that_was_asked_for_is_refused_with_the_way_that_works(
    sqlite_url: str, tmp_path: Path, declared: str
) -> None:
    """`columns={'v': 'string'}` into a column of another type: left out, the table's type is taken by itself."""
    target = Target(sqlite_url)
    target.do(f"CREATE TABLE t (v {declared})")
    good = {"date": "2024-02-29", "boolean": "yes", "timestamp": "2024-02-29"}.get(declared, "1.0")
    (tmp_path / "in.csv").write_text(f"v\n{good}\n")
    options: dict[str, Any] = {"if_exists": "append", "store": tmp_path / "s"}
    with pytest.raises(TargetError, match=r"where columns= \(--columns\) doesn't name it"):
        resumable.upload(tmp_path / "in.csv", sqlite_url, "t", columns={"v": "string"}, **options).run()
    resumable.upload(tmp_path / "in.csv", sqlite_url, "t", **options).restart()
    assert target.all("SELECT count(*) FROM t") == [(1,)]

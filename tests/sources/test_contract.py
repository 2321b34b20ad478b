"""Every source of ours keeps the contract: the same rows after every position, or a refusal."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pytest

from jobs import execute
from resumable.protocols import Source
from resumable.sources import ArrowSource, CsvSource, SqlSource
from resumable.testing import SourceContract


class TestCsvSource(SourceContract):
    """Quoted line ends, empty lines, a BOM, and rows that are put aside."""

    lines = '\ufeffid,word\n1,a\n2,"b\nc"\n\nx,misfit\n3,"d""e"\n4,\n5,""\n6,é\n'

    def prepare(self, folder: Path) -> None:
        (folder / "t.csv").write_text(self.lines, encoding="utf-8")

    def source(self, folder: Path) -> Source:
        return CsvSource(
            folder / "t.csv", columns={"id": "int64"}, on_bad_row="quarantine", block_size=16, block_rows=2
        )

    def rows(self, folder: Path) -> Any:
        words = (1, "a"), (2, "b\nc"), (3, 'd"e'), (4, None), (5, ""), (6, "é")
        return [{"id": number, "word": word} for number, word in words]

    def change(self, folder: Path) -> None:
        (folder / "t.csv").write_text(self.lines.replace("1,a", "1,A"), encoding="utf-8")

    def spoil(self, folder: Path) -> None:
        (folder / "t.csv").write_text(self.lines.replace("4,", "four,") + "7,g\n", encoding="utf-8")

    def large(self, folder: Path) -> Source:
        (folder / "large.csv").write_text("id,word\n" + "1,word\n" * 800_000)
        return CsvSource(folder / "large.csv", block_size=2**16)


class TestCsvSourceThatStopsAtABadRow(TestCsvSource):
    """The same file without its misfit; a bad row is an error."""

    lines = TestCsvSource.lines.replace("x,misfit\n", "")

    def source(self, folder: Path) -> Source:
        return CsvSource(folder / "t.csv", columns={"id": "int64"}, block_size=16, block_rows=2)


class TestCsvSourceOfAFileThatIsCut(TestCsvSource):
    """Shorter than before."""

    def change(self, folder: Path) -> None:
        (folder / "t.csv").write_text(self.lines[:-6], encoding="utf-8")


class TestArrowSource(SourceContract):
    """A table of more rows than a batch may have."""

    whole = pa.table({"n": pa.array(range(200_000), pa.int64()), "word": pa.array([str(n) for n in range(200_000)])})

    def prepare(self, folder: Path) -> None:
        self.table = self.whole

    def source(self, folder: Path) -> Source:
        return ArrowSource(self.table)

    def rows(self, folder: Path) -> Any:
        return ({"n": n, "word": str(n)} for n in range(200_000))

    def change(self, folder: Path) -> None:
        self.table = self.whole.slice(1)


class TestArrowSourceOfAStream(TestArrowSource):
    """A stream that is made anew each time, and has other columns in the end."""

    def source(self, folder: Path) -> Source:
        return ArrowSource(lambda: self.table.to_reader(max_chunksize=60_000))

    def change(self, folder: Path) -> None:
        self.table = self.whole.rename_columns(["m", "word"])


class TestSqlSourceOnSqlite(SourceContract):
    """A table with a key of text and numbers."""

    few: ClassVar[str] = "resumable.databases.sqlite.read.MAX_ROWS"
    table = (
        "create table t (word varchar(9) not null, id bigint not null, x numeric(9, 2), primary key (word, id))",
        "insert into t values ('b', 1, 1.5), ('a', 2, null), ('a', 9007199254740993, 0), ('é', 1, 2), ('', 3, 4)",
    )

    @pytest.fixture(autouse=True)
    def small(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(self.few, 2)

    def url(self, folder: Path) -> str:
        return f"sqlite:///{folder / 't.db'}"

    def prepare(self, folder: Path) -> None:
        execute(self.url(folder), "drop table if exists t", *self.table)

    def source(self, folder: Path) -> Source:
        return SqlSource(self.url(folder), "t")

    def rows(self, folder: Path) -> Any:
        keys = ("", 3, "4.00"), ("a", 2, None), ("a", 9007199254740993, "0.00"), ("b", 1, "1.50"), ("é", 1, "2.00")
        return [{"word": word, "id": number, "x": x and Decimal(x)} for word, number, x in keys]

    def change(self, folder: Path) -> None:
        execute(self.url(folder), "alter table t add column more int")


class TestSqlSourceOfAQuery(TestSqlSourceOnSqlite):
    """By a key that is named."""

    def source(self, folder: Path) -> Source:
        return SqlSource(self.url(folder), "select * from t where id < 3", key=["id", "word"])

    def rows(self, folder: Path) -> Any:
        return [{"word": word, "id": number} for word, number in (("a", -1), ("a", 1), ("b", 1), ("c", 1), ("a", 2))]

    table = (
        "create table t (word varchar(9) not null, id bigint not null)",
        "insert into t values ('a', -1), ('a', 1), ('b', 1), ('c', 1), ('a', 2), ('a', 3)",
    )


class TestSqlSourceOnPostgresql(TestSqlSourceOnSqlite):
    """The same table, on a server."""

    few = "resumable.databases.postgresql.read.MAX_ROWS"

    @pytest.fixture(autouse=True)
    def database(self, postgres: str) -> None:
        self.server = postgres

    def url(self, folder: Path) -> Any:
        return self.server

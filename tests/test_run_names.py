"""Names as the database compares them: SQLite folds ASCII letters and no others, PostgreSQL none at all."""

from __future__ import annotations

import csv
import sqlite3
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import example, given
from hypothesis import strategies as st

import resumable
from resumable.databases.identifiers import fold
from resumable.errors import ResumableError, SourceError, TargetError
from targets import Target

MODES = ["fail", "append", "replace", "upsert"]
PAIRS = [("É", "é"), ("ß", "ẞ"), ("\u212a", "k"), ("İ", "i"), ("ſ", "s"), ("Σ", "σ"), ("µ", "μ")]


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest) -> Target:
    """An empty database of either kind."""
    return Target(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres"))


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@given(st.text(st.characters(exclude_characters='\0"', exclude_categories=["Cs"]), min_size=1, max_size=4))
@example("É\u212aİẞZ")
def test_two_names_are_one_exactly_where_sqlite_says_so(name: str) -> None:
    """Asked of SQLite itself: a table with both columns can be made, or it can't."""
    for other in {name.lower(), name.upper(), name.casefold(), name.swapcase()} - {""}:
        connection = sqlite3.connect(":memory:")
        try:
            connection.execute(f"CREATE TABLE t ({quoted(name)}, {quoted(other)})")
            one = False
        except sqlite3.OperationalError:
            one = True
        finally:
            connection.close()
        assert one == (fold(name) == fold(other)), (name, other)
    assert fold(string.ascii_uppercase) == string.ascii_lowercase


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_columns_whose_names_only_unicode_folds_keep_their_own_data(
    target: Target, tmp_path: Path, mode: Any, one: str, other: str
) -> None:
    """In a new table and in one that is there, and back again by an export."""
    (tmp_path / "in.csv").write_text(f"id,{one},{other}\n1,first,second\n", encoding="utf-8")
    if mode != "fail":
        # The table's order is another one than the file's: what goes by place would show.
        target.do(f"CREATE TABLE t (id bigint PRIMARY KEY, {quoted(other)} text, {quoted(one)} text)")
    key = ["id"] if mode in ("fail", "upsert") else None
    resumable.upload(tmp_path / "in.csv", target.url, "t", if_exists=mode, key=key, store=tmp_path / "s").run()
    assert target.all(f"SELECT {quoted(one)}, {quoted(other)} FROM t") == [("first", "second")]
    resumable.export(target.url, "t", tmp_path / "out.csv", store=tmp_path / "s").run()
    (row,) = csv.DictReader((tmp_path / "out.csv").read_text(encoding="utf-8").splitlines())
    assert row == {"id": "1", one: "first", other: "second"}


def test_tables_whose_names_only_unicode_folds_are_two(target: Target, tmp_path: Path) -> None:
    """Looking for one doesn't find the other, nor does an export read it."""
    (tmp_path / "in.csv").write_text("v\nnew\n")
    target.do('CREATE TABLE "É" (id bigint PRIMARY KEY, v text)', "INSERT INTO \"É\" VALUES (1, 'old')")
    with pytest.raises(SourceError, match="There is no table or view 'é'"):
        resumable.export(target.url, "é", tmp_path / "out.csv", store=tmp_path / "s").run()
    resumable.upload(tmp_path / "in.csv", target.url, "é", store=tmp_path / "s").run()
    assert target.all('SELECT v FROM "É"') == [("old",)]
    assert target.all('SELECT v FROM "é"') == [("new",)]


def test_ascii_letters_of_another_case_are_the_same_name_in_sqlite(sqlite_url: str, tmp_path: Path) -> None:
    """Columns, types, keys and tables: what the file calls ID is the column id, with that column's type."""
    target = Target(sqlite_url)
    target.do("CREATE TABLE Orders (id INTEGER PRIMARY KEY, zip TEXT, Parent INT REFERENCES orders (ID))")
    (tmp_path / "in.csv").write_text("ID,ZIP,parent\n1,7,\n2,12,1\n")
    resumable.upload(
        tmp_path / "in.csv", sqlite_url, "ORDERS", if_exists="upsert", key="Id", store=tmp_path / "s"
    ).run()
    assert target.all("SELECT id, zip, parent FROM orders ORDER BY id") == [(1, "7", None), (2, "12", 1)]
    resumable.export(sqlite_url, "oRDERS", tmp_path / "out.csv", key="ID", store=tmp_path / "s").run()
    assert (tmp_path / "out.csv").read_text() == "id,zip,Parent\n1,7,\n2,12,1\n"


def test_a_foreign_key_may_spell_its_parent_s_columns_otherwise(sqlite_url: str, tmp_path: Path) -> None:
    """A table that refers to itself: rows of one file may be each other's parents."""
    target = Target(sqlite_url)
    target.do("CREATE TABLE t (id INTEGER PRIMARY KEY, parent INT REFERENCES T (ID))")
    engine = sa.create_engine(sqlite_url)
    sa.event.listen(engine, "connect", lambda c, _: c.execute("PRAGMA foreign_keys = ON"))
    (tmp_path / "in.csv").write_text("id,parent\n1,\n2,1\n")
    resumable.upload(tmp_path / "in.csv", engine, "t", if_exists="append", store=tmp_path / "s").run()
    engine.dispose()
    assert target.all("SELECT * FROM t ORDER BY id") == [(1, None), (2, 1)]


def test_postgresql_s_names_are_exact(postgres: str, tmp_path: Path) -> None:
    """`ID` is no column of a table that has `id`, and no key of it."""
    target = Target(postgres)
    target.do("CREATE TABLE t (id bigint PRIMARY KEY)")
    (tmp_path / "in.csv").write_text("ID\n1\n")
    with pytest.raises(TargetError, match="has no column 'ID'"):
        resumable.upload(tmp_path / "in.csv", postgres, "t", if_exists="append", store=tmp_path / "s").run()
    with pytest.raises(SourceError, match="no column 'ID' to be its key"):
        resumable.export(postgres, "t", tmp_path / "out.csv", key="ID", store=tmp_path / "s").run()


def icu(connection: sqlite3.Connection, _: Any) -> None:
    """What SQLite's ICU extension does to lower()."""
    connection.create_function("lower", 1, lambda text: text.lower() if text else text)


@pytest.mark.parametrize("tune", [None, icu], ids=["plain", "with ICU's lower()"])
def test_what_lower_means_to_a_connection_makes_no_difference(
    sqlite_url: str, tmp_path: Path, tune: Callable[..., None] | None
) -> None:
    """An Engine may bring functions of its own: looking for a table doesn't ask them."""
    target = Target(sqlite_url)
    target.do("CREATE TABLE \"É\" (id INTEGER PRIMARY KEY, v TEXT CHECK (v <> 'x')) STRICT")
    engine = sa.create_engine(sqlite_url)
    if tune:
        sa.event.listen(engine, "connect", tune)
    (tmp_path / "in.csv").write_text("id,v\n1,a\n")
    resumable.upload(tmp_path / "in.csv", engine, "é", store=tmp_path / "s").run()
    with pytest.raises(SourceError):
        resumable.export(engine, "è", tmp_path / "out.csv", store=tmp_path / "s").run()
    engine.dispose()
    assert target.all('SELECT count(*) FROM "É"') == [(0,)]


def test_columns_that_would_be_one_are_refused(sqlite_url: str, tmp_path: Path) -> None:
    """In a file, and in a query, where SQLite would give both the first one's values."""
    (tmp_path / "in.csv").write_text("a,A\n1,2\n")
    with pytest.raises(TargetError, match="'a' and 'A' would be one"):
        resumable.upload(tmp_path / "in.csv", sqlite_url, "t", store=tmp_path / "s").run()
    Target(sqlite_url).do("CREATE TABLE one (id INTEGER PRIMARY KEY)", "INSERT INTO one VALUES (1)")
    with pytest.raises(ResumableError, match="columns of the same name"):
        query = "select id, 1 as a, 2 as A from one"
        resumable.export(sqlite_url, query, tmp_path / "out.csv", key="id", store=tmp_path / "s").run()

"""DatabaseContract: what the code of a database must do, so that `SqlSource` and `SqlSink` can stand on it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import ClassVar

import pyarrow as pa

from resumable.databases.connection import Connection
from resumable.databases.relations import Layout, Mode
from resumable.sources import SqlSource
from resumable.testing.checks import check, equal, world

__all__ = ["DatabaseContract"]

STAGING = "resumable_0123456789_a1_01234567"
"""A name of ours, as a run's staging table has it."""
MINUTES = 10
"""How far the database's clock may be from this machine's."""


class DatabaseContract:
    """Subclass it as `class TestMyDatabase(DatabaseContract)` and say how the database is reached."""

    rows: ClassVar[pa.Table] = pa.table(
        {
            "id": pa.array([3, 1, 2], pa.int64()),
            "word": ["a'b\"c", "", None],
            "price": pa.array([Decimal("1.50"), Decimal("-2.00"), None], pa.decimal128(9, 2)),
            "share": pa.array([0.1, -1e300, None], pa.float64()),
            "data": pa.array([b"\x00\xff", b"", None], pa.binary()),
            "day": pa.array([0, 19_000, None], pa.date32()),
            "moment": pa.array([1, 1_700_000_000_000_000, None], pa.timestamp("us")),
            "sure": pa.array([True, False, None], pa.bool_()),
        }
    )
    """What is written and read back."""

    def url(self, folder: Path) -> str:
        """The database's URL. `folder` is new in every test."""
        raise NotImplementedError

    def prepare(self, folder: Path) -> None:
        """Make the database empty."""

    def test_names_are_quoted_and_found(self) -> None:
        """Quotes, blanks, dots, percent signs, colons, question marks and any letters are part of a name."""
        for name in ("plain", "With Blank", 'quo"te', "50%", "a:b", "a.b", "wh?t", "été"):
            with self._connected(name) as c:
                check(not c.where.exists, f"Table {name!r} is found before it is made")
                equal("", c.database.catalog.kind(c, name), f"What bears the name {name!r} before it is made")
                self._create(c, name, self._layout("append"))
                equal("table", c.database.catalog.kind(c, name), f"What bears the name {name!r}")
                columns = [column.name for column in c.database.catalog.describe(c, name).columns]
                equal(self.rows.schema.names, columns, f"The columns of {name!r}")
                check(c.locate(name, None).exists, f"Table {name!r} isn't found by its name")

    def test_names_that_cannot_be_are_told(self) -> None:
        """An empty name, one with a NUL character, and one that is too long are refused before they are used."""
        with self._connected() as c:
            longest = c.traits.identifier_bytes
            for name in ("", "a\0b", *(["x" * (longest + 1)] if longest else [])):
                check(c.traits.identifier_error(name), f"Nothing is said against the name {name[:20]!r}")
            equal("", c.traits.identifier_error("orders"), "What is said against the name 'orders'")

    def test_errors_are_told_without_values(self) -> None:
        """A row that doesn't fit is told from any other error, and no value of it is in the message."""
        secret = pa.table({"id": pa.array([77_123, 77_123], pa.int64())})
        with self._connected() as c:
            layout = self._layout("direct", secret, key=("id",))
            self._create(c, "t", layout)
            error = self._failure(c, lambda: self._insert(c, "t", secret, layout, [1, 2]))
            check(c.database.loader.row_error(error), f"A key that comes twice isn't told as a row's fault: {error}")
            check("77123" not in c.database.session.error_message(error), "The message has the row's value")
            error = self._failure(c, lambda: c.sql("SELECT * FROM there_is_none"))
            equal(None, c.database.loader.row_error(error), "What a missing table says about a row")
            check(not c.traits.is_locked(error), "A missing table is taken for a lock")

    def test_the_clock_is_the_database_s(self) -> None:
        """In seconds since 1970."""
        with self._connected() as c:
            away = abs(float(c.sql(f"SELECT {c.traits.clock}").scalar_one()) - time.time())
            check(away < MINUTES * 60, f"The clock is {away:.0f} s from this machine's")

    def test_rows_are_rolled_back(self) -> None:
        """What wasn't committed is gone."""
        with self._connected() as c:
            layout = self._staged(c, "append")
            for end in (c.rollback, c.commit):
                c.begin()
                self._insert(c, STAGING, self.rows, layout, [1, 2, 3])
                end()
            equal([1, 2, 3], self._numbers(c), "The rows that are there after a ROLLBACK and a COMMIT")

    def test_the_traits_say_the_truth_about_ddl(self) -> None:
        """A CREATE TABLE that is rolled back is gone, unless `transactional_ddl` is False."""
        with self._connected() as c:
            c.begin()
            c.database.publisher.create_table(c, "t", self._layout("append"))
            c.rollback()
            there = c.database.catalog.kind(c, "t") == "table"
            equal(not c.traits.transactional_ddl, there, "Whether a table is there whose making was rolled back")

    def test_a_failed_part_of_a_batch_is_undone(self) -> None:
        """After an error the rows of that part are gone, and those before it stay."""
        with self._connected() as c:
            layout = self._staged(c, "append")
            c.begin()
            self._insert(c, STAGING, self.rows, layout, [1, 2, 3])
            with contextlib.suppress(ZeroDivisionError), c.database.loader.savepoint(c, "part", STAGING, [4, 5, 6]):
                self._insert(c, STAGING, self.rows, layout, [4, 5, 6])
                raise ZeroDivisionError
            c.commit()
            equal([1, 2, 3], self._numbers(c), "The rows after a part that failed")

    def test_what_is_published_reads_back(self) -> None:
        """Every value as it was, in the order of the key; and a reader goes on after any of them."""
        with world() as folder:
            self.prepare(folder)
            with Connection.open(self.url(folder), None, "t") as c:
                layout = self._staged(c, "append", key=("id",))
                with c.transaction():
                    self._insert(c, STAGING, self.rows, layout, [1, 2, 3])
                self._create(c, "t", layout)
                with c.transaction():
                    c.database.publisher.insert_rows(c, "t", STAGING, layout)
                    c.database.publisher.finish(c, "t", STAGING, layout)
            source = SqlSource(self.url(folder), "t")
            identity, schema = source.identity(), source.schema()
            batches = list(source.read(schema, None, identity))
            equal(self.rows.schema.names, schema.names, "The columns")
            equal(self.rows.sort_by("id").to_pylist(), [x for b in batches for x in b.rows.to_pylist()], "The rows")
            rest = list(source.read(schema, {"after": [identity["low"][0]], "row": 1, "end": False}, identity))
            equal([2, 3], [x["id"] for b in rest for x in b.rows.to_pylist()], "The rows after the first key")

    def test_the_last_row_of_a_key_wins(self) -> None:
        """An upsert goes by arrival, over what is there."""
        rows = pa.table({"id": pa.array([1, 2, 1], pa.int64()), "word": ["first", "second", "last"]})
        with self._connected() as c:
            layout = self._staged(c, "upsert", rows, key=("id",))
            self._create(c, "t", layout)
            with c.transaction():
                self._insert(c, STAGING, rows, layout, [1, 2, 3])
                for _ in range(2):
                    c.database.publisher.upsert_rows(c, "t", STAGING, layout)
            found = c.sql(f"SELECT id, word FROM {c.qualified('t')} ORDER BY id").all()
            equal([(1, "last"), (2, "second")], [tuple(row) for row in found], "The rows after two upserts")

    def test_a_changed_table_has_another_shape(self) -> None:
        """A column that was added is noticed."""
        with self._connected() as c:
            self._create(c, "t", self._layout("append"))
            before = c.database.catalog.shape(c, "t")
            equal(before, c.database.catalog.shape(c, "t"), "The shape of a table that nobody changed")
            with c.transaction():
                c.sql(f"ALTER TABLE {c.qualified('t')} ADD COLUMN extra text")
            check(before != c.database.catalog.shape(c, "t"), "A column was added, and the shape is the same")

    def _layout(self, mode: Mode, rows: pa.Table | None = None, key: tuple[str, ...] = ()) -> Layout:
        return Layout(mode, (self.rows if rows is None else rows).schema, key)

    @contextlib.contextmanager
    def _connected(self, table: str = "t") -> Iterator[Connection]:
        with world() as folder:
            self.prepare(folder)
            with Connection.open(self.url(folder), None, table) as c:
                yield c

    def _staged(self, c: Connection, mode: Mode, rows: pa.Table | None = None, key: tuple[str, ...] = ()) -> Layout:
        layout = self._layout(mode, rows, key)
        with c.transaction():
            c.database.loader.create_staging(c, STAGING, layout)
        return layout

    def _create(self, c: Connection, name: str, layout: Layout) -> None:
        with c.transaction():
            c.database.publisher.create_table(c, name, layout)

    def _insert(self, c: Connection, name: str, rows: pa.Table, layout: Layout, numbers: Sequence[int]) -> None:
        (batch,) = rows.combine_chunks().to_batches()
        c.database.loader.insert_batch(c, name, layout, batch, numbers)

    def _failure(self, c: Connection, act: Callable[[], object]) -> BaseException:
        try:
            with c.transaction():
                act()
        except Exception as error:
            return error
        raise AssertionError("What must fail did not")

    def _numbers(self, c: Connection) -> list[int]:
        with c.reading():
            return [n for (n,) in c.sql(f"SELECT resumable_row FROM {c.qualified(STAGING)} ORDER BY 1")]

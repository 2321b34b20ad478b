"""Column types: what an Arrow type is declared as in a table, and what a column is in Arrow.

Laws kept here:

* A column made from `sql_type(t)` holds every value of `t` that the database can hold at all, and reads back as it.
* What Arrow has no exact type for is `pa.string()`: the database's own text, loss-free.

What SQLite stores, since it has no types of its own for these: bool as 0 and 1; date `YYYY-MM-DD`; time
`HH:MM:SS[.ffffff]`; timestamp `YYYY-MM-DD HH:MM:SS[.ffffff]`, with `+00:00` behind it where it has a zone (the
value is in UTC); a fraction only where it isn't zero. A decimal of up to 15 digits has NUMERIC affinity; a longer one
would lose digits there, so it is text in a column `DECIMAL_TEXT(p, s)`.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from resumable.arrow_types import plain
from resumable.databases.identifiers import fold
from resumable.errors import TargetError

__all__ = ["DecimalText", "ZonedText", "arrow_type", "declared_type", "sql_type"]

Dialect = Literal["sqlite", "postgresql"]

EXACT = 15
"""Decimal digits that a SQLite REAL, and so its NUMERIC affinity, always keeps."""


class DecimalText(sa.types.UserDefinedType[Any]):
    """SQLite: a decimal of more than 15 digits, kept as text."""

    cache_ok = True

    def __init__(self, precision: int, scale: int) -> None:
        self.precision, self.scale = precision, scale

    def get_col_spec(self, **_: Any) -> str:
        """The declaration, which must have TEXT in it and not INT: that gives it TEXT affinity."""
        return f"DECIMAL_TEXT({self.precision}, {self.scale})"


class ZonedText(sa.types.UserDefinedType[Any]):
    """SQLite: a timestamp in UTC, kept as text with `+00:00` behind it."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The declaration, as the standard has it."""
        return "TIMESTAMP WITH TIME ZONE"


def sql_type(arrow: pa.DataType, dialect: str, column: str | None = None) -> sa.types.TypeEngine[Any]:
    """What a new table's column is declared as. Raises `TargetError`, naming the `column`, for lists and the like."""
    kind, lite, t = plain(arrow), dialect == "sqlite", pa.types
    if t.is_null(kind) or t.is_string(kind):
        return sa.Text()
    if t.is_boolean(kind):
        return sa.Boolean()
    if t.is_uint64(kind):
        return sa.BigInteger() if lite else sa.Numeric(20, 0)
    if t.is_integer(kind):
        bits = kind.bit_width + (1 if t.is_unsigned_integer(kind) else 0)
        return (sa.SmallInteger() if not lite else sa.Integer()) if bits <= 16 else _integer(bits)
    if t.is_floating(kind):
        return sa.REAL() if kind.bit_width < 64 else sa.Double()
    if t.is_decimal(kind):
        scale = max(kind.scale, 0)
        precision = max(kind.precision - min(kind.scale, 0), scale)
        return DecimalText(precision, scale) if lite and precision > EXACT else sa.Numeric(precision, scale)
    if t.is_binary(kind):
        return sa.LargeBinary()
    if t.is_date(kind):
        return sa.Date()
    if t.is_time(kind):
        return sa.Time()
    if t.is_timestamp(kind):
        if kind.tz is None:
            return sa.DateTime()
        return ZonedText() if lite else sa.DateTime(timezone=True)
    named = "A column" if column is None else f"Column {column!r}"
    raise TargetError(
        f"{named} is of type {kind}, for which {dialect} tables have no column type here.",
        safe="Nothing was changed.",
        do="Turn it into text or numbers with a transform, or leave it out.",
    )


def _integer(bits: int) -> sa.types.TypeEngine[Any]:
    return sa.Integer() if bits <= 32 else sa.BigInteger()


def arrow_type(column: sa.types.TypeEngine[Any], dialect: str) -> pa.DataType:
    """What a column's values are in Arrow; `pa.string()`, as the database's text, for what Arrow has no type for.

    A SQLite column that SQLAlchemy has reflected may have lost its declaration: ask `declared_type` for it.
    """
    lite = dialect == "sqlite"
    match column:
        case sa.Boolean():
            return pa.bool_()
        case sa.SmallInteger() if not lite:
            return pa.int16()
        case sa.BigInteger():
            return pa.int64()
        case sa.Integer():
            return pa.int64() if lite else pa.int32()
        case sa.Float():  # before Numeric: in SQLAlchemy 2.0 it is one
            single = isinstance(column, sa.REAL) or (column.precision or 53) <= 24
            return pa.float32() if single and not lite else pa.float64()
        case DecimalText() | sa.Numeric():
            return _decimal(column.precision, column.scale, lite)
        case sa.String() if isinstance(column.collation, int):  # how SQLAlchemy reflects DECIMAL_TEXT(p, s)
            return _decimal(column.length, column.collation, lite)
        case sa.LargeBinary() | sa.BINARY() | sa.VARBINARY() | postgresql.BYTEA():
            return pa.binary()
        case sa.Date():
            return pa.date32()
        case sa.Time():
            return pa.string() if column.timezone else pa.time64("us")
        case ZonedText():
            return pa.timestamp("us", "UTC")
        case sa.DateTime():
            return pa.timestamp("us", "UTC" if column.timezone else None)
    return pa.string()


def _decimal(precision: int | None, scale: int | None, lite: bool) -> pa.DataType:
    if precision is None:  # of any length: in SQLite a REAL then, elsewhere text
        return pa.float64() if lite else pa.string()
    scale = scale or 0
    if precision <= 38 and 0 <= scale <= precision:
        return pa.decimal128(precision, scale)
    if precision <= 76 and 0 <= scale <= precision:
        return pa.decimal256(precision, scale)
    return pa.float64() if lite else pa.string()


_NAMES: dict[str, type[sa.types.TypeEngine[Any]]] = {
    "bool": sa.Boolean, "boolean": sa.Boolean,
    "smallint": sa.SmallInteger, "integer": sa.Integer, "bigint": sa.BigInteger,
    "real": sa.REAL, "double precision": sa.Double,
    "text": sa.Text, "character varying": sa.String, "varchar": sa.String, "character": sa.CHAR, "char": sa.CHAR,
    "bytea": sa.LargeBinary, "blob": sa.LargeBinary, "binary": sa.LargeBinary, "varbinary": sa.LargeBinary,
    "date": sa.Date, "time": sa.Time, "time without time zone": sa.Time,
    "datetime": sa.DateTime, "timestamp": sa.DateTime, "timestamp without time zone": sa.DateTime,
}  # fmt: skip

_DECLARED = re.compile(r"(?P<name>[^()]*+)(?:\((?P<args>[-+\d,\s]*+)\))?(?P<rest>[^()\[]*+)(?P<array>\[\])*+")


def declared_type(text: str, dialect: str) -> sa.types.TypeEngine[Any]:
    """The type that a declaration means: PostgreSQL's `format_type`, or what stands in SQLite's CREATE TABLE.

    `NullType` for what isn't known; in SQLite its affinity rules come last, so that any declaration means something.
    """
    match = _DECLARED.fullmatch(text.strip())
    if match is None or match["array"]:
        return sa.types.NullType()
    name = " ".join(fold(f"{match['name']} {match['rest']}").split())
    args = [int(n) for n in re.findall(r"-?\d+", match["args"] or "")]
    if name in ("numeric", "decimal"):
        return sa.Numeric(args[0], args[1] if len(args) > 1 else 0) if args else sa.Numeric()
    if name == "timestamp with time zone":
        return ZonedText() if dialect == "sqlite" else sa.DateTime(timezone=True)
    if name in _NAMES:
        return _NAMES[name]()
    return _by_affinity(name, args) if dialect == "sqlite" else sa.types.NullType()


def _by_affinity(name: str, args: list[int]) -> sa.types.TypeEngine[Any]:
    """https://www.sqlite.org/datatype3.html#determination_of_column_affinity"""
    if name == "decimal_text" and len(args) == 2:
        return DecimalText(*args)
    if "int" in name:
        return sa.BigInteger()
    if any(word in name for word in ("char", "clob", "text")):
        return sa.Text()
    if "blob" in name:
        return sa.LargeBinary()
    if any(word in name for word in ("real", "floa", "doub")):
        return sa.Double()
    return sa.types.NullType()

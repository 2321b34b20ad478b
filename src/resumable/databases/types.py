"""Column types: what an Arrow type is declared as in a table, and what a column is in Arrow.

Laws kept here:

* A column made from `sql_type(t)` holds every value of `t` that the database can hold at all, and reads back as it.
* What Arrow has no exact type for is `pa.string()`: the database's own text, loss-free.

What differs between databases is data: `TypeRules`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import sqlalchemy as sa

from resumable.arrow_types import plain
from resumable.databases.identifiers import fold
from resumable.errors import TargetError

__all__ = ["SqlType", "TypeRules", "arrow_type", "decimal_type", "declared_type", "sql_type"]

SqlType: TypeAlias = sa.types.TypeEngine[Any]


@dataclass(frozen=True, slots=True)
class TypeRules:
    """How a database's types differ from those of the SQL standard."""

    name: str
    widest_only: bool
    """Whether all integers have 64 bits, and all floats."""
    unsigned: SqlType
    """A column for unsigned integers of 64 bits."""
    zoned: SqlType
    """A column for timestamps with a zone."""
    any_decimal: pa.DataType
    """What a decimal is whose digits Arrow can't hold, or that declares none."""
    long_decimal: Callable[[int, int], SqlType] = sa.Numeric
    """A column for decimals of more than `short_digits`, by precision and scale."""
    short_digits: int = 1000
    from_name: Callable[[str, list[int]], SqlType] = lambda name, arguments: sa.types.NullType()
    """What a declaration means whose name the standard doesn't know."""
    own_type: Callable[[SqlType], pa.DataType | None] = lambda column: None
    """What a column of one of the database's own types is."""


def sql_type(arrow: pa.DataType, rules: TypeRules, column: str | None = None) -> SqlType:
    """What a new table's column is declared as. Raises `TargetError`, naming the `column`, for lists and the like."""
    kind, t = plain(arrow), pa.types
    if t.is_null(kind) or t.is_string(kind):
        return sa.Text()
    if t.is_boolean(kind):
        return sa.Boolean()
    if t.is_uint64(kind):
        return rules.unsigned
    if t.is_integer(kind):
        return _integer(kind.bit_width + (1 if t.is_unsigned_integer(kind) else 0), rules)
    if t.is_floating(kind):
        return sa.REAL() if kind.bit_width < 64 else sa.Double()
    if t.is_decimal(kind):
        scale = max(kind.scale, 0)
        precision = max(kind.precision - min(kind.scale, 0), scale)
        return rules.long_decimal(precision, scale) if precision > rules.short_digits else sa.Numeric(precision, scale)
    if t.is_binary(kind):
        return sa.LargeBinary()
    if t.is_date(kind):
        return sa.Date()
    if t.is_time(kind):
        return sa.Time()
    if t.is_timestamp(kind):
        return sa.DateTime() if kind.tz is None else rules.zoned
    named = "A column" if column is None else f"Column {column!r}"
    raise TargetError(
        f"{named} is of type {kind}, for which {rules.name} tables have no column type here.",
        safe="Nothing was changed.",
        do="Turn it into text or numbers with a transform, or leave it out.",
    )


def _integer(bits: int, rules: TypeRules) -> SqlType:
    if bits <= 16 and not rules.widest_only:
        return sa.SmallInteger()
    return sa.Integer() if bits <= 32 else sa.BigInteger()


def arrow_type(column: SqlType, rules: TypeRules) -> pa.DataType:
    """What a column's values are in Arrow; `pa.string()`, as the database's text, for what Arrow has no type for."""
    own = rules.own_type(column)
    if own is not None:
        return own
    match column:
        case sa.Boolean():
            return pa.bool_()
        case sa.SmallInteger() if not rules.widest_only:
            return pa.int16()
        case sa.BigInteger():
            return pa.int64()
        case sa.Integer():
            return pa.int64() if rules.widest_only else pa.int32()
        case sa.Float():  # before Numeric: in SQLAlchemy 2.0 it is one
            single = isinstance(column, sa.REAL) or (column.precision or 53) <= 24
            return pa.float32() if single and not rules.widest_only else pa.float64()
        case sa.Numeric():
            return decimal_type(column.precision, column.scale, rules.any_decimal)
        case sa.LargeBinary() | sa.BINARY() | sa.VARBINARY():
            return pa.binary()
        case sa.Date():
            return pa.date32()
        case sa.Time():
            return pa.string() if column.timezone else pa.time64("us")
        case sa.DateTime():
            return pa.timestamp("us", "UTC" if column.timezone else None)
    return pa.string()


def decimal_type(precision: int | None, scale: int | None, otherwise: pa.DataType) -> pa.DataType:
    """Arrow's decimal of that many digits; `otherwise` where it has none."""
    scale = scale or 0
    if precision is None or not 0 <= scale <= precision <= 76:
        return otherwise
    return pa.decimal128(precision, scale) if precision <= 38 else pa.decimal256(precision, scale)


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


def declared_type(text: str, rules: TypeRules) -> SqlType:
    """The type that a declaration means; `NullType` for what isn't known."""
    match = _DECLARED.fullmatch(text.strip())
    if match is None or match["array"]:
        return sa.types.NullType()
    name = " ".join(fold(f"{match['name']} {match['rest']}").split())
    arguments = [int(n) for n in re.findall(r"-?\d+", match["args"] or "")]
    if name in ("numeric", "decimal"):
        precision, scale = (*arguments, 0)[:2] if arguments else (None, None)
        return sa.Numeric(precision, scale)
    if name == "timestamp with time zone":
        return rules.zoned
    if name in _NAMES:
        return _NAMES[name]()
    return rules.from_name(name, arguments)

"""SQLite's column types. A declaration is what stands in CREATE TABLE; SQLite's affinity rules tell what it means.

What SQLite stores, since it has no types of its own for these: bool as 0 and 1; date `YYYY-MM-DD`; time
`HH:MM:SS[.ffffff]`; timestamp `YYYY-MM-DD HH:MM:SS[.ffffff]`, with `+00:00` behind it where it has a zone (the
value is in UTC); a fraction only where it isn't zero. A decimal of up to 15 digits has NUMERIC affinity; a longer one
would lose digits there, so it is text in a column `DECIMAL_TEXT(p, s)`.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from resumable.databases.identifiers import fold
from resumable.databases.types import SqlType, TypeRules, decimal_type

__all__ = ["EXACT_DIGITS", "SQLITE_TYPES", "affinity"]

EXACT_DIGITS = 15
"""Decimal digits that a SQLite REAL, and so its NUMERIC affinity, always keeps."""


class DecimalText(sa.types.UserDefinedType[Any]):
    """A decimal of more than 15 digits, kept as text."""

    cache_ok = True

    def __init__(self, precision: int, scale: int) -> None:
        self.precision, self.scale = precision, scale

    def get_col_spec(self, **_: Any) -> str:
        """The declaration, which must have TEXT in it and not INT: that gives it TEXT affinity."""
        return f"DECIMAL_TEXT({self.precision}, {self.scale})"


class ZonedText(sa.types.UserDefinedType[Any]):
    """A timestamp in UTC, kept as text with `+00:00` behind it."""

    cache_ok = True

    def get_col_spec(self, **_: Any) -> str:
        """The declaration, as the standard has it."""
        return "TIMESTAMP WITH TIME ZONE"


def affinity(declared: str) -> str:
    """How SQLite treats values in a column declared so (https://sqlite.org/datatype3.html, 3.1)."""
    d = fold(declared)
    if "int" in d:
        return "INTEGER"
    if "char" in d or "clob" in d or "text" in d:
        return "TEXT"
    if "blob" in d or not d or d == "any":
        return "BLOB"
    return "REAL" if "real" in d or "floa" in d or "doub" in d else "NUMERIC"


_BY_AFFINITY: dict[str, type[SqlType]] = {"INTEGER": sa.BigInteger, "TEXT": sa.Text, "REAL": sa.Double}


def _from_name(name: str, arguments: list[int]) -> SqlType:
    if name == "decimal_text" and len(arguments) == 2:
        return DecimalText(*arguments)
    if "blob" in name and affinity(name) == "BLOB":
        return sa.LargeBinary()
    return _BY_AFFINITY.get(affinity(name), sa.types.NullType)()


def _own_type(column: SqlType) -> pa.DataType | None:
    """A column that SQLAlchemy has reflected may have lost its declaration: `declared_type` knows more."""
    match column:
        case DecimalText():
            return decimal_type(column.precision, column.scale, pa.float64())
        case sa.String() if isinstance(column.collation, int):  # how SQLAlchemy reflects DECIMAL_TEXT(p, s)
            return decimal_type(column.length, column.collation, pa.float64())
        case ZonedText():
            return pa.timestamp("us", "UTC")
    return None


SQLITE_TYPES = TypeRules(
    name="sqlite",
    widest_only=True,
    unsigned=sa.BigInteger(),
    zoned=ZonedText(),
    any_decimal=pa.float64(),
    long_decimal=DecimalText,
    short_digits=EXACT_DIGITS,
    from_name=_from_name,
    own_type=_own_type,
)

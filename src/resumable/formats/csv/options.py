"""How a CSV file is written and is to be read: arguments, checked and made plain. All raise `UsageError`."""

from __future__ import annotations

import codecs
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from resumable.errors import UsageError
from resumable.formats.csv.dialect import Dialect
from resumable.formats.type_names import parse_type, readable
from resumable.protocols import MAX_BYTES, MAX_ROWS

__all__ = [
    "CsvFormat",
    "CsvOptions",
    "csv_format",
    "csv_options",
    "one_of",
    "quoted_list",
    "single_bytes",
    "typed",
]

MAX_RECORD = 8 * 2**20
"""Bytes that a record may have, line end included, unless `max_record` says otherwise."""


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """`encoding` is "utf-8" or that of single bytes. `names`, where given, count more than a header."""

    dialect: Dialect
    encoding: str
    header: bool
    names: tuple[str, ...] | None
    null_values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How a file of that format is read; see `CsvSource`."""

    format: CsvFormat
    columns: Mapping[str, pa.DataType]
    expected: Callable[[], Mapping[str, pa.DataType | pa.Field]] | None
    on_bad_row: Literal["raise", "quarantine"]
    max_record: int
    block_size: int
    block_rows: int


def csv_options(
    *,
    columns: Mapping[str, str | pa.DataType] | None = None,
    expected: Callable[[], Mapping[str, pa.DataType | pa.Field]] | None = None,
    null_values: Sequence[str] = ("",),
    delimiter: str = ",",
    quote: str | None = '"',
    encoding: str = "utf-8",
    header: bool = True,
    names: Sequence[str] | None = None,
    on_bad_row: Literal["raise", "quarantine"] = "raise",
    max_record: int = MAX_RECORD,
    block_size: int = MAX_BYTES // 4,
    block_rows: int = MAX_ROWS,
) -> CsvOptions:
    """What these arguments of `CsvSource` mean."""
    form = csv_format(delimiter, quote, encoding, header, names, null_values)
    types = {name: _column_type(name, kind) for name, kind in (columns or {}).items()}
    one_of("on_bad_row", on_bad_row, "raise", "quarantine")
    if min(max_record, block_size, block_rows) < 1:
        raise UsageError("max_record, block_size and block_rows are at least 1.", do="Leave them out.")
    return CsvOptions(form, types, expected, on_bad_row, max_record, block_size, block_rows)


def csv_format(
    delimiter: str,
    quote: str | None,
    encoding: str,
    header: bool,
    names: Sequence[str] | None,
    null_values: Sequence[str],
) -> CsvFormat:
    """The format that these arguments of `CsvSource` describe."""
    for what, byte in (("delimiter", delimiter), ("quote", quote)):
        if byte is not None and (len(byte) != 1 or not byte.isascii() or byte in "\r\n\0"):
            raise UsageError(
                f"{what}={byte!r} is not one ASCII character.", do="Give one, such as ',' ';' '|' or '\\t'."
            )
    if delimiter == quote:
        raise UsageError(f"{delimiter!r} can't be both delimiter and quote.", do="Give two characters, or quote=None.")
    named = None if names is None else _words("names", names)
    if named is not None and (len(set(named)) < len(named) or "" in named or not named):
        raise UsageError(
            f"names={list(named)!r} has an empty name or one twice.", do="Give each column a name of its own."
        )
    dialect = Dialect(delimiter.encode(), None if quote is None else quote.encode())
    return CsvFormat(dialect, _encoding(encoding), header, named, _words("null_values", null_values))


def _column_type(name: str, kind: str | pa.DataType) -> pa.DataType:
    """The type that was asked for, if texts can be read as it."""
    kind = parse_type(kind) if isinstance(kind, str) else kind
    if not isinstance(kind, pa.DataType) or not readable(kind):
        raise UsageError(f"columns[{name!r}]={kind} is no type that a text can be read as.", do="Read it as 'string'.")
    return kind


def one_of(what: str, value: str, *allowed: str) -> str:
    """The value, if it is allowed."""
    if value not in allowed:
        raise UsageError(f"{what}={value!r} is unknown.", do=f"Use {' or '.join(repr(a) for a in allowed)}.")
    return value


def quoted_list(names: Sequence[str], most: int = 30) -> str:
    """Names for a message, in quotes, and no endless list of them."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(repr(name) for name in names[:most]) + more


def typed(column: str, kind: str | None) -> str:
    """What to do about a value that doesn't fit its column's type: the type that would do, or what helps without."""
    if kind:
        return f"Begin anew (restart(), --restart) with {_said(column, kind)}"
    return (
        "Put the row right and begin anew (restart(), --restart), or load the file into a table of its own with"
        f" {_said(column, 'string')} and convert it there"
    )


def _said(column: str, kind: str) -> str:
    return f"columns={{{column!r}: {kind!r}}} (--columns {shlex.quote(f'{column}={kind}')})"


def _words(what: str, words: Sequence[str]) -> tuple[str, ...]:
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise UsageError(f"{what}={words!r} is not a list of texts.", do=f"Write {what}=['...', '...'].")
    return tuple(words)


def _encoding(name: str) -> str:
    """The encoding's plain name, if records can be told apart in it without decoding: UTF-8, or single bytes."""
    do = "Use utf-8, latin-1, cp1252 or another of single bytes; others are converted first: `iconv -f {} -t UTF-8 FILE > utf8.csv`."
    try:
        plain = codecs.lookup(name).name
    except LookupError:
        raise UsageError(f"encoding={name!r} is unknown.", do=do.format("ENCODING")) from None
    if plain in ("utf-8", "utf-8-sig"):
        return "utf-8"
    if not single_bytes(plain):
        raise UsageError(
            f"encoding={name!r} can't be read by byte offset.", do=do.format(plain.replace("_", "-").upper())
        )
    return plain


def single_bytes(name: str) -> bool:
    """Whether each byte is a character, and the first 128 are ASCII's."""
    try:
        same = bytes(range(128)).decode(name) == bytes(range(128)).decode("ascii")
        # In an encoding of several bytes some byte makes one character together with the next.
        pairs = [bytes([byte, other]).decode(name, "replace") for byte in range(128, 256) for other in (byte, 65)]
    except (LookupError, UnicodeError):
        return False
    return same and all(len(pair) == 2 for pair in pairs)

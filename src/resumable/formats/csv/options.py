"""How a CSV file is written: what CsvSource is told of it, checked and made plain. All raise `UsageError`."""

from __future__ import annotations

import codecs
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from resumable.errors import UsageError
from resumable.formats.csv.records import Dialect
from resumable.formats.type_names import parse_type, readable

__all__ = ["CsvFormat", "column_type", "csv_format", "listed", "one_of", "single_bytes", "typed", "usage"]


@dataclass(frozen=True, slots=True)
class CsvFormat:
    """`encoding` is "utf-8" or that of single bytes. `names`, where given, count more than a header."""

    dialect: Dialect
    encoding: str
    header: bool
    names: tuple[str, ...] | None
    null_values: tuple[str, ...]


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
            raise usage(f"{what}={byte!r} is not one ASCII character.", "Give one, such as ',' ';' '|' or '\\t'.")
    if delimiter == quote:
        raise usage(f"{delimiter!r} can't be both delimiter and quote.", "Give two characters, or quote=None.")
    named = None if names is None else _words("names", names)
    if named is not None and (len(set(named)) < len(named) or "" in named or not named):
        raise usage(f"names={list(named)!r} has an empty name or one twice.", "Give each column a name of its own.")
    dialect = Dialect(delimiter.encode(), None if quote is None else quote.encode())
    return CsvFormat(dialect, _encoding(encoding), header, named, _words("null_values", null_values))


def column_type(name: str, kind: str | pa.DataType) -> pa.DataType:
    """The type that was asked for, if texts can be read as it."""
    kind = parse_type(kind) if isinstance(kind, str) else kind
    if not isinstance(kind, pa.DataType) or not readable(kind):
        raise usage(f"columns[{name!r}]={kind} is no type that a text can be read as.", "Read it as 'string'.")
    return kind


def one_of(what: str, value: str, *allowed: str) -> str:
    """The value, if it is allowed."""
    if value not in allowed:
        raise usage(f"{what}={value!r} is unknown.", f"Use {' or '.join(repr(a) for a in allowed)}.")
    return value


def listed(names: Sequence[str], most: int = 30) -> str:
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


def usage(what: str, do: str) -> UsageError:
    """The error for arguments that make no sense."""
    return UsageError(what, safe="Nothing was touched.", do=do)


def _words(what: str, words: Sequence[str]) -> tuple[str, ...]:
    if isinstance(words, str) or not all(isinstance(word, str) for word in words):
        raise usage(f"{what}={words!r} is not a list of texts.", f"Write {what}=['...', '...'].")
    return tuple(words)


def _encoding(name: str) -> str:
    """The encoding's plain name, if records can be told apart in it without decoding: UTF-8, or single bytes."""
    do = "Use utf-8, latin-1, cp1252 or another of single bytes; others are converted first: `iconv -f {} -t UTF-8 FILE > utf8.csv`."
    try:
        plain = codecs.lookup(name).name
    except LookupError:
        raise usage(f"encoding={name!r} is unknown.", do.format("ENCODING")) from None
    if plain in ("utf-8", "utf-8-sig"):
        return "utf-8"
    if not single_bytes(plain):
        raise usage(f"encoding={name!r} can't be read by byte offset.", do.format(plain.replace("_", "-").upper()))
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

"""What to do about a CSV file that can't be read with the given options: other options and arguments, to be copied.

Tests follow each piece of advice. A guess is only offered where the file confirms it.
"""

from __future__ import annotations

import csv
import io
import os
import re
import shlex
from collections import Counter
from collections.abc import Sequence

from resumable.formats.csv.cutter import LINE_END
from resumable.formats.csv.dialect import Dialect
from resumable.formats.csv.options import CsvFormat

__all__ = ["HEAD", "header_advice", "is_numbers", "names_option", "shape_advice"]

_NUMBER = re.compile(r"\s*[-+]?(?:[0-9]+(?:[.,][0-9]*)*|[.,][0-9]+)(?:[eE][-+]?[0-9]+)?%?\s*")
HEAD = 64 * 2**10
"""Bytes of a file's beginning that a guess is made from."""
_ROWS = 50  # records that a guess is made from
_DELIMITERS = (b";", b"\t", b"|", b",")
_LONG = 160  # characters of names that are spelled out


def is_numbers(names: Sequence[str]) -> bool:
    """Whether all of them are numbers, as a row may be, and a header hardly."""
    return all(_NUMBER.fullmatch(name) for name in names)


def names_option(names: Sequence[str]) -> str:
    """As `names=[...] (--names ...)`."""
    return f"names={list(names)!r} (--names {_words(names)})"


def header_advice(path: str, form: CsvFormat, names: Sequence[str], head: bytes) -> str:
    """What to do about a first line that can't be a header."""
    if before := _preamble(path, form, head):
        return before
    repaired = _repaired(names)
    if len(_words(repaired)) > _LONG:
        return (
            "If this line is a row already, say header=False (--no-header): the columns are then c1, c2, ..., or what"
            f" names=[...] (--names) says. If it is the header, names=[...] (--names) replaces it, with a name for each of"
            f" the {len(names):,} columns."
        )
    plain = [f"c{i + 1}" for i in range(len(names))]
    row = f"header=False, names={plain!r} (--no-header --names {_words(plain)})"
    return (
        f"If this line is a row already, say {row}; if it is the header, {names_option(repaired)}, which replaces it."
    )


def shape_advice(path: str, form: CsvFormat, head: bytes) -> str:
    """What to do about a row of too many or too few fields, where the file's head tells it; else ""."""
    for other in _DELIMITERS:
        if other not in (form.dialect.delimiter, form.dialect.quote) and _all_equal(_counts(head, form, other)):
            character = other.decode()
            return f"Its fields seem to be divided by {character!r}: say delimiter={character!r} (--delimiter {character!r})."
    return _preamble(path, form, head)


def _preamble(path: str, form: CsvFormat, head: bytes) -> str:
    """Where the header seems to stand behind other lines: how to take those away."""
    if not form.header or form.names is not None:
        return ""
    records = list(form.dialect.spans(head))[:_ROWS]
    rows = [form.dialect.fields(head[begin:end]) for begin, end in records]
    width = Counter(len(row) for row in rows[-max(1, len(rows) // 2) :]).most_common(1)[0][0] if rows else 0
    first = next((row for row in rows if row), [])
    title = len([field for field in first if field.strip()]) <= width // 2 or b"".join(first).startswith(b"#")
    if width < 2 or not title or any(other in b"".join(first) for other in _DELIMITERS):
        return ""
    for row, (begin, _) in zip(rows, records, strict=True):
        texts = [field.decode(form.encoding, "replace") for field in row]
        if len(row) == width and "" not in texts and len({*texts}) == width and not any(map(is_numbers, zip(texts))):
            line = len(LINE_END.findall(head[:begin])) + 1
            if line == 1 or b"\r" in head[:begin].replace(b"\r\n", b""):  # which `tail` doesn't count
                return ""
            new = shlex.quote(re.sub(r"(\.csv)?$", ".rows.csv", os.path.basename(path), count=1))
            return (
                f"The header seems to be line {line}, behind lines that are no rows. Take those away, and load the rest:"
                f" `tail -n +{line} {shlex.quote(path)} > {new}`."
            )
    return ""


def _counts(head: bytes, form: CsvFormat, delimiter: bytes) -> list[int]:
    dialect = Dialect(delimiter, form.dialect.quote)
    records = list(dialect.spans(head))
    whole = records if len(head) < HEAD else records[:-1]  # the last may be cut off
    return [count for begin, end in whole[:_ROWS] if (count := dialect.count(head[begin:end]))]


def _all_equal(counts: list[int]) -> bool:
    return len(counts) > 1 and counts[0] > 1 and len({*counts}) == 1


def _repaired(names: Sequence[str]) -> list[str]:
    """The names, with one for each column that has none, and none twice."""
    taken, repaired = set(names), list[str]()
    for i, name in enumerate(names):
        base, n = name or f"column{i + 1}", 2
        new = base
        while new in repaired or (new != name and new in taken):
            new, n = f"{base}_{n}", n + 1
        repaired.append(new)
    return repaired


def _words(names: Sequence[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(names)
    return shlex.quote(line.getvalue())

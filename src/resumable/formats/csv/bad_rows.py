"""The error for a row that doesn't fit, with what to do about it."""

from __future__ import annotations

import os
import shlex
from typing import NoReturn

from resumable.errors import BadRow
from resumable.formats.csv.advice import shape_advice
from resumable.formats.csv.cutter import Block
from resumable.formats.csv.file import CsvFile
from resumable.formats.csv.options import typed
from resumable.formats.csv.parser import BadRecord

__all__ = ["refuse"]

_ASIDE = "go on with on_bad_row='quarantine' (--on-bad-row quarantine), which puts such rows aside"
_ANEW = "Begin anew (restart(), --restart) with"


def refuse(csv: CsvFile, bad: BadRecord, block: Block, row: int) -> NoReturn:
    """Raise `BadRow` for a record of the block, before which there are `row` rows."""
    number, byte = row + bad.index + 1, block.offset + bad.begin
    raise BadRow(
        f"{csv.path}, row {number:,} (at byte {byte:,}): {bad.why}.",
        row=number,
        offset=byte,
        column=bad.column,
        safe="What was committed before it is safe.",
        do=_advice(csv, bad, block),
    )


def _advice(csv: CsvFile, bad: BadRecord, block: Block) -> str:
    if bad.kind == "value":
        return f"{typed(bad.column or '', bad.hint)}, or {_ASIDE}."
    if bad.kind == "bytes":
        return _encoding_advice(csv, block.data[bad.begin : bad.end])
    if bad.kind == "quote":
        return _quote_advice(csv.max_record * 8, bad.why)
    if bad.kind == "end":
        new = shlex.quote(os.path.splitext(os.path.basename(csv.path))[0] + ".clean.csv")
        return f"Load a copy without it: `tr -d '\\000\\032' < {shlex.quote(csv.path)} > {new}`; or {_ASIDE}."
    shape = shape_advice(csv.path, csv.format, csv.head())
    return shape or f"Correct the file and begin anew (restart(), --restart), or {_ASIDE}."


def _encoding_advice(csv: CsvFile, record: bytes) -> str:
    field = next((f for f in csv.format.dialect.fields(record) if not f.isascii()), record)
    if ways := csv.encodings(field):
        return f"{_ANEW} {ways}. Or {_ASIDE}."
    rest = f"The rest of the file seems to be {csv.encoding}"
    return f"{rest}: correct that row and begin anew (restart(), --restart), or {_ASIDE}."


def _quote_advice(more: int, why: str) -> str:
    ways = []
    if "quote" in why:
        ways.append("quote=None (--quote '') if quotes are ordinary characters in it")
    if "max_record" in why:
        ways.append(f"max_record={more} (--max-record {more}) if its rows are as long as that")
    return f"{_ANEW} {', with '.join(ways)}; or correct the file first; or {_ASIDE}."

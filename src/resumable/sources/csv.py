"""CsvSource: a CSV file of this machine. How it is read: formats/csv/decoder.py."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import pyarrow as pa

from resumable.formats.csv.decoder import csv_decoder
from resumable.formats.csv.options import MAX_RECORD
from resumable.protocols import MAX_BYTES, MAX_ROWS
from resumable.sources.file import FileSource

__all__ = ["CsvSource"]


class CsvSource(FileSource):
    """Reads one CSV file, as `csv.reader` does, from any position that it has given out.

    `columns`: name to type, a word ("int64", "text", "decimal(12,2)"...) or an Arrow type, where the inferred one
    won't do. `expected` is asked for those of the table that the rows go into, by column: types, or fields
    (typed_columns.py).
    `null_values`: unquoted fields that
    mean NULL. `quote=None`: nothing is quoted. `encoding`: UTF-8 or one of single bytes. `header`: the first record
    names the columns; `names` names them instead (c1, c2... if neither does). `on_bad_row`: "raise" `BadRow`, or
    "quarantine": bad rows become the batch's rejects. `identity="full"` compares all that was read whenever a run
    goes on, not only if the file was touched. `max_record`: bytes that a record may have; a quote that isn't closed
    within them spoils its line. `block_size`: bytes. `block_rows`: rows a batch.

    Raises `UsageError` for arguments that make no sense; the file is first opened by the methods.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
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
        identity: Literal["sampled", "full"] = "sampled",
        max_record: int = MAX_RECORD,
        block_size: int = MAX_BYTES // 4,
        block_rows: int = MAX_ROWS,
    ) -> None:
        decoder = csv_decoder(
            columns=columns,
            expected=expected,
            null_values=null_values,
            delimiter=delimiter,
            quote=quote,
            encoding=encoding,
            header=header,
            names=names,
            on_bad_row=on_bad_row,
            max_record=max_record,
            block_size=block_size,
            block_rows=block_rows,
        )
        super().__init__(path, decoder, identity=identity)

"""CsvSink: a CSV file of this machine. How values are written: formats/csv/encoder.py."""

from __future__ import annotations

import os

from resumable.files.place import IfExists
from resumable.formats.csv.encoder import csv_encoder
from resumable.sinks.file import FileSink

__all__ = ["CsvSink"]


class CsvSink(FileSink):
    """Writes one CSV file. With `spreadsheet_safe`, text that a spreadsheet would run as a formula gets a `'` before
    it: that can't be told from the same text read back.

    `if_exists`: "fail" refuses a file that is there, "replace" replaces it at the end, in one step. `null` is the
    word for NULL.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        if_exists: IfExists = "fail",
        delimiter: str = ",",
        header: bool = True,
        null: str = "",
        spreadsheet_safe: bool = False,
    ) -> None:
        encoder = csv_encoder(delimiter=delimiter, header=header, null=null, spreadsheet_safe=spreadsheet_safe)
        super().__init__(path, encoder, title="CSV", if_exists=if_exists)

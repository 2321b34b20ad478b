"""The formats that there are. A new one is a line here, and a module that nobody else imports."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from resumable.checkpoint import Json
from resumable.errors import UsageError
from resumable.formats.csv.decoder import CsvDecoder
from resumable.formats.csv.encoder import CsvEncoder, csv_style
from resumable.formats.csv.options import csv_options
from resumable.formats.protocols import Decoder, Encoder

__all__ = ["FORMATS", "Format", "MakeEncoder", "find_format"]

MakeEncoder = Callable[[pa.Schema, Json], Encoder]
"""An encoder for rows of a schema, in the state that another one has left (None: a new file)."""


@dataclass(frozen=True, slots=True)
class Format:
    """A format by name: `title` in messages, the endings of its files, and what makes decoders and encoders.

    Both take the format's options, and raise `UsageError` for those that make no sense.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    decoder: Callable[..., Decoder]
    encoder: Callable[..., MakeEncoder]


def _csv_decoder(**options: Any) -> Decoder:
    return CsvDecoder(csv_options(**options))


def _csv_encoder(**options: Any) -> MakeEncoder:
    style = csv_style(**options)
    return lambda schema, state: CsvEncoder(style, schema)


FORMATS = {
    "csv": Format("csv", "CSV", (".csv", ".tsv", ".txt"), _csv_decoder, _csv_encoder),
}


def find_format(path: str, name: str = "") -> Format:
    """The format of that name; without one, the format whose files end like `path`. Raises `UsageError`."""
    ending = os.path.splitext(path)[1].lower()
    for form in FORMATS.values():
        if form.name == name or (not name and ending in form.endings):
            return form
    what = f"format={name!r} is unknown." if name else f"The ending of {path} names no format."
    raise UsageError(what, safe="Nothing was touched.", do=f"Use {' or '.join(map(repr, FORMATS))}.")

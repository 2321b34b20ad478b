"""The formats that there are. A new one is a line here, and a module that nobody else imports."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass

from resumable.errors import UsageError
from resumable.formats.csv.decoder import csv_decoder
from resumable.formats.csv.encoder import csv_encoder
from resumable.formats.protocols import Decoder, MakeEncoder

__all__ = ["FORMATS", "Format", "find_format"]


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


FORMATS = {
    "csv": Format("csv", "CSV", (".csv", ".tsv", ".txt"), csv_decoder, csv_encoder),
}


def find_format(path: str, name: str = "") -> Format:
    """The format of that name; without one, the format whose files end like `path`. Raises `UsageError`."""
    ending = os.path.splitext(path)[1].lower()
    for form in FORMATS.values():
        if form.name == name or (not name and ending in form.endings):
            return form
    what = f"format={name!r} is unknown." if name else f"The ending of {path} names no format."
    raise UsageError(what, do=f"Use {' or '.join(map(repr, FORMATS))}.")

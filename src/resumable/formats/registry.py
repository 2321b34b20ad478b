"""The formats that there are. A new one is a line here, and a module that is loaded when a file of it is met."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from resumable.errors import UsageError

if TYPE_CHECKING:
    from resumable.formats.protocols import Decoder, MakeEncoder

__all__ = ["FORMATS", "Format", "find_format", "names"]


@dataclass(frozen=True, slots=True)
class Format:
    """A format by name: `title` in messages, the endings of its files, and what makes decoders and encoders.

    Both take the format's options, and raise `UsageError` for those that make no sense; a format that is only read,
    or only written, has None. A decoder also takes those that all files have, or refuses them: `columns`, `expected`,
    `null_values`, `on_bad_row` (docs/write-a-format.md).

    `by_ending`: options that an ending stands for. `frozen`: reading options that a run is remembered with though they
    weren't given, since another default would read other rows.
    """

    name: str
    title: str
    endings: tuple[str, ...]
    decoder: Callable[..., Decoder] | None
    encoder: Callable[..., MakeEncoder] | None
    by_ending: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    frozen: Mapping[str, Any] = field(default_factory=dict)

    def make_decoder(self, options: Mapping[str, Any]) -> Decoder:
        """What reads such files, with these options. Raises `UsageError`."""
        if self.decoder is None:
            raise UsageError(f"{self.title} files can't be read.", do=_use(names(write=False)))
        return self.decoder(**options)

    def make_encoder(self, options: Mapping[str, Any]) -> MakeEncoder:
        """What makes the encoders of such files, with these options. Raises `UsageError`."""
        if self.encoder is None:
            raise UsageError(f"{self.title} files can't be written.", do=_use(names(write=True)))
        return self.encoder(**options)


def _late(module: str, name: str) -> Callable[..., Any]:
    """A function of a module that is loaded when it is called."""

    def call(**options: Any) -> Any:
        return getattr(import_module(f"resumable.formats.{module}"), name)(**options)

    return call


FORMATS = {
    "csv": Format(
        "csv",
        "CSV",
        (".csv", ".tsv", ".txt"),
        _late("csv.decoder", "csv_decoder"),
        _late("csv.encoder", "csv_encoder"),
        by_ending={".tsv": {"delimiter": "\t"}},
        frozen={"max_record": 8 * 2**20},
    ),
}


def find_format(path: str, name: str | None = None, default: str | None = None) -> tuple[Format, dict[str, Any]]:
    """The format of that name; without one, the format whose files end like `path`, else the `default`.

    With it go the options that the ending stands for. Raises `UsageError`.
    """
    ending = os.path.splitext(path)[1].lower()
    for form in FORMATS.values():
        if form.name == name or (not name and ending in form.endings):
            return form, dict(form.by_ending.get(ending, {}))
    if not name and default is not None:
        return FORMATS[default], {}
    what = f"format={name!r} is unknown." if name else f"The ending {ending[1:]!r} of {path} names no format."
    raise UsageError(what, do=_use(FORMATS))


def names(*, write: bool) -> list[str]:
    """The formats that can be read, or written."""
    return [name for name, form in FORMATS.items() if (form.encoder if write else form.decoder) is not None]


def _use(formats: Iterable[str]) -> str:
    return f"Use format={' or '.join(map(repr, formats))}."

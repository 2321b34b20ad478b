"""Which encodings would read a file that its declared encoding can't read.

An encoding is only named if it reads every byte that was looked at. With the extra `detect`, charset-normalizer's
guess comes first.
"""

from __future__ import annotations

import re
import shlex
import unicodedata

from resumable.formats.csv.options import single_bytes
from resumable.formats.protocols import ReadableFile, ends_at

__all__ = ["encoding_advice"]

COMMON = [
    "cp1252",
    "cp1250",
    "cp1257",
    "cp1254",
    "cp850",
    "cp437",
    "mac_roman",
    "cp1251",
    "koi8-r",
    "cp866",
    "cp1253",
    "cp1255",
    "cp1256",
]
_LOOK = 256 * 2**20  # bytes that are looked at
_GUESS = 2**20  # bytes that charset-normalizer is given
_ENOUGH = 64  # bytes past ASCII, below which its guess is worse than none
_STEP = 8 * 2**20
_ASCII = bytes(range(128))
_STRAY = re.compile("[\udc80-\udcff]")


def encoding_advice(file: ReadableFile, field: bytes) -> str:
    """What would read a file in which `field` can't be read, to follow "Begin anew with "; "" if nothing helps."""
    high, letters, strays = _survey(file)
    if letters > strays:
        return ""  # UTF-8, and a few bytes that aren't
    shown = re.search(rb"\w*[\x80-\xff]+[\w\x80-\xff]*", field)
    example = shown.group()[:30] if shown else field[:30]
    guess = _guess(file.read(0, _GUESS))
    if guess and not single_bytes(guess):
        name = guess.replace("_", "-").upper()
        return f"a copy in UTF-8: `iconv -f {name} -t UTF-8 {shlex.quote(file.path)} > utf8.csv`"
    names = [name for name in _reading(high) if name != guess]
    if guess and _odd_letters(guess, high) is not None:
        names.insert(0, guess)
    ways = [f"encoding={name!r} (--encoding {name}) reads {example.decode(name)!r}" for name in names[:3]]
    whole = "the file" if ends_at(file, _LOOK) else f"its first {_LOOK:,} bytes"
    return f"the encoding that gives the right letters. Of those that read {whole}, {'; '.join(ways)}"


def _survey(file: ReadableFile) -> tuple[bytes, int, int]:
    """Which bytes past ASCII there are, and how many letters past ASCII and how many stray bytes UTF-8 sees."""
    high, letters, strays, at = b"", 0, 0, 0
    while at < _LOOK and (data := file.read(at, _STEP)):
        at += len(data)
        more = data.translate(None, _ASCII + high)
        high += bytes(set(more))
        if not data.isascii():
            text = data.decode("utf-8", "surrogateescape")
            stray = len(_STRAY.findall(text))
            strays += stray
            letters += len(text) - len(text.encode("ascii", "ignore")) - stray
    return bytes(sorted(high)), letters, strays


def _reading(high: bytes) -> list[str]:
    """The common encodings that read these bytes, the likeliest first; of those that read them alike only one."""
    ways: dict[str, tuple[int, str]] = {}
    for name in COMMON:
        odd = _odd_letters(name, high)
        if odd is not None:
            ways.setdefault(high.decode(name), (odd, name))
    return [name for _, name in sorted(ways.values(), key=lambda way: way[0])]


def _odd_letters(name: str, high: bytes) -> int | None:
    """How many of the bytes are no letters in that encoding; None if it can't read them, or only as controls."""
    try:
        text = high.decode(name)
    except UnicodeDecodeError:
        return None
    kinds = [unicodedata.category(letter) for letter in text]
    return None if "Cc" in kinds or "Co" in kinds else sum(not kind.startswith("L") for kind in kinds)


def _guess(data: bytes) -> str | None:
    if len(data.translate(None, _ASCII)) < _ENOUGH:
        return None
    try:
        from charset_normalizer import from_bytes
    except ImportError:
        return None
    best = from_bytes(data).best()
    return None if best is None or best.encoding in ("ascii", "utf_8") else str(best.encoding)

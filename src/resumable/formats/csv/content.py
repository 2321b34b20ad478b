"""Files that are no CSV: recognized by their first bytes, and how their rows can be loaded all the same."""

from __future__ import annotations

import os
import re
import shlex

__all__ = ["BOM", "foreign", "way_on"]

BOM = b"\xef\xbb\xbf"
_MAGIC = (
    (b"\x1f\x8b", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"PK\x03\x04", "zip"),
    (b"7z\xbc\xaf", "7z"),
    (b"PAR1", "parquet"),
    (b"ARROW1", "arrow"),
    (b"SQLite format 3\0", "sqlite"),
    (b"\xd0\xcf\x11\xe0", "xls"),
    (b"%PDF", "pdf"),
    (b"PGDMP", "dump"),
    (b"\xff\xfe\0\0", "UTF-32"),
    (b"\0\0\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_MARKUP = re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.DOTALL | re.IGNORECASE)
_XML = re.compile(rb"\s*<\?xml\s")
_JSON = re.compile(rb"\s*(?:(\{)\s*\"|\[\s*[\[{])")
_TITLES = {
    "gz": "gzip",
    "bz2": "bzip2",
    "zst": "zstd",
    "zip": "a zip archive",
    "parquet": "Parquet",
    "arrow": "Arrow",
    "sqlite": "a SQLite database",
    "xlsx": "an Excel workbook",
    "xls": "an Excel workbook",
    "ods": "an OpenDocument sheet",
    "pdf": "a PDF document",
    "dump": "a PostgreSQL dump",
    "html": "an HTML page",
    "xml": "an XML document",
    "json": "JSON",
    "jsonl": "JSON lines",
    "nul": "nothing but NUL bytes at its beginning",
}
_UNPACK = {"gz": "gunzip <", "bz2": "bunzip2 <", "xz": "unxz <", "zst": "zstd -d <", "zip": "unzip -p"}
_PYTHON = {
    "parquet": "pyarrow.parquet.read_table",
    "arrow": "pyarrow.feather.read_table",
    "jsonl": "pyarrow.json.read_json",
    "ndjson": "pyarrow.json.read_json",
    "json": "pandas.read_json",
    "xlsx": "pandas.read_excel",
    "xls": "pandas.read_excel",
    "ods": "pandas.read_excel",
}


def foreign(path: str, head: bytes) -> tuple[str, str] | None:
    """What the file is, to be read after its name, and what to do; None if it may be CSV."""
    kind = _kind(head)
    if not kind:
        return None
    if kind.startswith("UTF-"):
        less = " without a byte order mark" if kind.endswith("E") else ""
        return f"is {kind}{less}, in which records can't be found by their bytes", way_on(kind, path)
    return f"is {_TITLES.get(kind, kind)}, not CSV", way_on(kind, path)


def way_on(kind: str, path: str) -> str:
    """How the rows of a file of that kind can be loaded. `path` may be any file's; a kind is called like a suffix."""
    file = shlex.quote(path)
    stem = re.sub(r"(\.csv)?\.\w+$", "", os.path.basename(path))
    new = {how: shlex.quote(f"{stem}.{how}.csv") for how in ("unpacked", "utf8", "table")}
    if kind in _UNPACK:
        return f"Unpack it, and load that: `{_UNPACK[kind]} {file} > {new['unpacked']}`."
    if kind.startswith("UTF-"):
        return f"Convert it, and load that: `iconv -f {kind} -t UTF-8 {file} > {new['utf8']}`."
    if kind in _PYTHON:
        sheet = "Save its sheet as CSV (UTF-8) and load that, or in" if kind in ("xlsx", "xls", "ods") else "In"
        return f"{sheet} Python, give upload() its rows instead of its path: {_PYTHON[kind]}({path!r})."
    return {
        "7z": f"Unpack it, and load what is in it: `7z x {file}`.",
        "sqlite": f"Export a table of it, and load that: `resumable export sqlite:///{file} TABLE {new['table']}`.",
        "dump": "Restore it with pg_restore, and export a table of that database.",
        "html": "Most likely an error or a login page was saved instead of the file: open it in a browser to see what it"
        " says, and fetch the file again.",
        "nul": "It was never written, or its disk has lost it: fetch the file again.",
    }.get(kind, "Fetch its rows as CSV, and load those.")


def _kind(head: bytes) -> str:
    for magic, kind in _MAGIC:
        if head.startswith(magic):
            return _archive(head) if kind == "zip" else kind
    text = head.removeprefix(BOM)
    if _MARKUP.match(text):
        return "html"
    if _XML.match(text):
        return "xml"
    if json := _JSON.match(text):
        return "jsonl" if json[1] else "json"
    if text and not text.strip(b"\0"):
        return "nul"
    # Letters of UTF-16 and UTF-32 have bytes that are NUL in every second, or three of four places.
    share = [text[i::4].count(0) / max(1, len(text[i::4])) for i in range(4)]
    for kind, full, empty in (
        ("UTF-32LE", (1, 2, 3), (0,)),
        ("UTF-32BE", (0, 1, 2), (3,)),
        ("UTF-16LE", (1, 3), (0, 2)),
        ("UTF-16BE", (0, 2), (1, 3)),
    ):
        if all(share[i] > 0.4 for i in full) and all(share[i] < 0.1 for i in empty):
            return kind
    return ""


def _archive(head: bytes) -> str:
    if b"application/vnd.oasis.opendocument" in head[:100]:
        return "ods"
    return "xlsx" if b"[Content_Types].xml" in head or b"xl/" in head else "zip"

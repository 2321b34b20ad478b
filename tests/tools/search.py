"""The search for a password: in every file, every table, every text that was heard; also in other spellings."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg

__all__ = ["Search", "everything"]


class Search:
    """Looks for a password, and what is left of it in other spellings, in everything that was made."""

    def __init__(self, folder: Path, *passwords: str) -> None:
        self.folder, self.texts = folder, []
        self.spellings = sorted({form for p in passwords for form in (p, quote(p, safe=""))})

    def heard(self, *texts: object) -> None:
        self.texts += map(str, texts)

    def raised(self, error: BaseException | None) -> None:
        """The exception as text and as repr, and everything that led to it."""
        while error is not None:
            self.heard(str(error), repr(error), *traceback.format_exception_only(error))
            error = error.__cause__ or error.__context__

    def found(self, *databases: str) -> list[str]:
        """Where it is, in words."""
        hits = [f"heard: {text}" for text in self.texts if self._in(text.encode())]
        for path in self.folder.rglob("*"):
            if path.is_file() and self._in(os.fsencode(path.name) + path.read_bytes()):
                hits.append(f"file: {path}")
        for url in databases:
            hits += [f"table: {row}" for row in everything(url) if self._in(row.encode())]
        return hits

    def _in(self, data: bytes) -> bool:
        return any(form.encode() in data for form in self.spellings)


def everything(url: str) -> Iterator[str]:
    """Every row of every table of a PostgreSQL database, as text, and all comments and view definitions."""
    with psycopg.connect(url) as c:
        names = c.execute(
            "select format('%I.%I', schemaname, tablename) from pg_tables where schemaname !~ '^(pg_|information_)'"
        ).fetchall()
        for (name,) in names:
            yield from (text for (text,) in c.execute(f"select t::text from {name} t"))
        yield from (text for (text,) in c.execute("select description from pg_description where objoid > 16384"))

"""To the letter: all that is in a database or a folder, for comparing before and after."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
from pathlib import Path

import services

__all__ = ["dump", "files"]

OURS = "resumable_"
"""What the names of the ledger and of staging tables begin with."""
LEDGER = "resumable_ledger"


def dump(url: str, *, ours: bool = True, ledger: bool = True) -> str:
    """Schema, rows in their order, sequences, grants; `ours`: with the tables that the library has made for itself.

    `ledger`: with the rows of the ledger, which are others in every run.
    """
    if url.startswith("sqlite"):
        return _sqlite(url.removeprefix("sqlite:///"), ours, ledger)
    command = [_pg_dump(), f"--dbname={url}", *([] if ours else [f"--exclude-table={OURS}*"])]
    command += [] if ledger else [f"--exclude-table-data={LEDGER}"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Newer releases begin and end with a random word.
    return "\n".join(line for line in text.splitlines() if not line.startswith(("\\restrict", "\\unrestrict")))


def files(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Every file below: its bytes, permissions and the time of its last change."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in found
    }


def _sqlite(path: str, ours: bool, ledger: bool) -> str:
    if not Path(path).exists():
        return "no file"
    # Read-only: looking must not make anything. Page numbers are left out: terminate may leave free pages.
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        schema = connection.execute("select type, name, tbl_name, sql from sqlite_master order by name").fetchall()
        schema = [row for row in schema if ours or not row[2].startswith(OURS)]
        lines = [repr(row) for row in schema]
        for kind, name, *_ in schema:
            if kind == "table" and (ledger or name != LEDGER):
                lines += [name, *map(repr, connection.execute(f'select rowid, * from "{name}" order by rowid'))]
        lines += [
            repr(connection.execute(f"pragma {p}").fetchall())
            for p in ("journal_mode", "integrity_check", "user_version")
        ]
    return "\n".join(lines)


def _pg_dump() -> str:
    with contextlib.suppress(services.Unavailable):
        beside = services.find_programs() / "pg_dump"
        if beside.exists():
            return str(beside)
    if found := shutil.which("pg_dump"):
        return found
    raise services.Unavailable("No pg_dump: it is neither beside initdb nor on PATH.")

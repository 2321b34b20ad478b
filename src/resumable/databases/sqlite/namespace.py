"""How SQLite looks up schemas, which are attached databases, and tables."""

from __future__ import annotations

from resumable.databases.identifiers import fold
from resumable.databases.sqlite.traits import schema_table
from resumable.databases.tables import Ask

__all__ = ["SqliteNamespace"]


class SqliteNamespace:
    """See `Namespace`."""

    why_default = "it is attached"

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        # `temp` is listed only once something is in it.
        # Not the PRAGMA itself: it tells the paths as well, which needn't be UTF-8.
        found = [str(row[0]) for row in ask("SELECT name FROM pragma_database_list")]
        self._spaces = list(dict.fromkeys([*found, "main", "temp"]))

    def visible(self, name: str) -> tuple[str, str] | None:
        found = ((space, self.find_table(space, name)) for space in self._spaces)
        return next(((space, spelled) for space, spelled in found if spelled is not None), None)

    def find_schema(self, schema: str) -> str | None:
        return next((space for space in self._spaces if fold(space) == fold(schema)), None)

    def find_table(self, schema: str, name: str) -> str | None:
        query = f"SELECT name FROM {schema_table(schema)} WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE"
        rows = self._ask(query, name)
        return str(rows[0][0]) if rows else None

    def default(self) -> str | None:
        return "main"

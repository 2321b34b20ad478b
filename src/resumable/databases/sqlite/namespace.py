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
        self._schemas = list(dict.fromkeys([*found, "main", "temp"]))

    def visible(self, name: str) -> tuple[str, str] | None:
        found = ((schema, self.find_table(schema, name)) for schema in self._schemas)
        return next(((schema, spelled) for schema, spelled in found if spelled is not None), None)

    def find_schema(self, schema: str) -> str | None:
        return next((attached for attached in self._schemas if fold(attached) == fold(schema)), None)

    def find_table(self, schema: str, name: str) -> str | None:
        query = f"SELECT name FROM {schema_table(schema)} WHERE type IN ('table', 'view') AND name = ? COLLATE NOCASE"
        rows = self._ask(query, name)
        return str(rows[0][0]) if rows else None

    def default(self) -> str | None:
        return "main"

"""How PostgreSQL looks up schemas and tables."""

from __future__ import annotations

from resumable.databases.tables import Ask

__all__ = ["PostgresqlNamespace"]


class PostgresqlNamespace:
    """See `Namespace`."""

    why_default = "the connection's search_path says so"

    _TABLE = (
        "SELECT n.nspname, c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
        " WHERE c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND "
    )

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def visible(self, name: str) -> tuple[str, str] | None:
        rows = self._ask(f"{self._TABLE} pg_catalog.pg_table_is_visible(c.oid)", name)
        return (rows[0][0], rows[0][1]) if rows else None

    def find_schema(self, schema: str) -> str | None:
        return schema if self._ask("SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = %s", schema) else None

    def find_table(self, schema: str, name: str) -> str | None:
        return name if self._ask(f"{self._TABLE} n.nspname = %s", name, schema) else None

    def default(self) -> str | None:
        schema = self._ask("SELECT pg_catalog.current_schema()")[0][0]
        return None if schema is None else str(schema)

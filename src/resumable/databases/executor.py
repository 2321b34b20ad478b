"""Runs SQL over one connection: names quoted, each table in its schema. What a database's own code is given."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from resumable.databases.traits import Traits

__all__ = ["Executor", "is_own_table"]

_OWN = re.compile(r"resumable_(ledger|[0-9a-f]{10}_[0-9a-z]+_[0-9a-f]{8})")


def is_own_table(name: str) -> bool:
    """Whether a table's name is one of our own: the ledger's or a staging table's."""
    return _OWN.fullmatch(name) is not None


class Executor:
    """`schema` is where the table lies; `own_schema`, where our own tables do. `sa` is SQLAlchemy's connection."""

    sa: sa.Connection

    def __init__(self, engine: Engine, traits: Traits) -> None:
        self.engine, self.traits = engine, traits
        self.schema = self.own_schema = ""
        self._escapes_percent = engine.dialect.paramstyle in ("format", "pyformat")

    @property
    def raw(self) -> Any:
        """The driver's own connection."""
        # Not `driver_connection`: a detached connection has none.
        return self.sa.connection.dbapi_connection

    def quote(self, name: str) -> str:
        """The name, for SQL."""
        quoted = self.traits.quote(name)
        return quoted.replace("%", "%%") if self._escapes_percent else quoted

    def qualified(self, name: str) -> str:
        """A table's name with its schema, for SQL."""
        return f"{self.quote(self.schema_of(name))}.{self.quote(name)}"

    def schema_of(self, name: str) -> str:
        """The schema in which a table of that name lies."""
        return self.own_schema if is_own_table(name) else self.schema

    def move(self, schema: str) -> None:
        """The table lies there, and so do our own, unless they were put elsewhere."""
        if self.own_schema == self.schema:
            self.own_schema = schema
        self.schema = schema

    def list(self, names: Iterable[str], prefix: str = "") -> str:
        """Quoted names, with commas between them."""
        return ", ".join(prefix + self.quote(name) for name in names)

    def sql(self, text: str, **values: Any) -> Any:
        """Run a statement. With values it takes `:name` and no quoted names; without, quoted names and nothing else.

        The result is a `sqlalchemy.CursorResult`, whose type SQLAlchemy 2.0 and 2.1 spell differently.
        """
        return self.sa.execute(sa.text(text), values) if values else self.sa.exec_driver_sql(text)

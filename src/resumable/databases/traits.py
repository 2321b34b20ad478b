"""What merely differs between databases, as data: no code asks for a database's name to decide anything."""

from __future__ import annotations

from dataclasses import dataclass

from resumable.databases.identifiers import fold

__all__ = ["Traits", "error_code"]


@dataclass(frozen=True, slots=True)
class Traits:
    """One kind of database. `name` is SQLAlchemy's, `label` the one that people know."""

    name: str
    label: str
    driver_error: type[Exception]
    """What the driver raises."""
    clock: str
    """SQL for the database's clock, in seconds since 1970."""
    default_schema: str
    """The schema that is meant where none is said, unless the connection says otherwise."""
    lock_errors: frozenset[int | str]
    """The codes of errors that say that somebody else holds a lock."""
    reachable_if: str = "the server runs and can be reached, and check database, user and password"
    """What to look at if no connection can be made, in words."""
    lock_attempts: int = 1
    """How often to wait for a lock in short turns, so that nobody queues behind us for long."""
    folds_case: bool = False
    """Whether names that differ in the case of ASCII letters are one."""
    identifier_bytes: int | None = None
    """How long a name may be."""
    reserved_prefix: str = ""
    reserved_names: frozenset[str] = frozenset()
    quote_mark: str = '"'
    text_cast: str = "{}"
    """SQL for the value of a column as text, or as it is where Python's own text will do."""
    savepoints: bool = True
    transactional_ddl: bool = True
    """Whether CREATE, ALTER and DROP belong to the transaction; otherwise each commits at once."""

    @property
    def undoes_all(self) -> bool:
        """Whether a failed batch, and a table that is made, can be undone by the database itself."""
        return self.savepoints and self.transactional_ddl

    def quote(self, name: str) -> str:
        """The name, for SQL."""
        return f"{self.quote_mark}{name.replace(self.quote_mark, self.quote_mark * 2)}{self.quote_mark}"

    def normalize_identifier(self, name: str) -> str:
        """What two names have in common if they are one to the database."""
        return fold(name) if self.folds_case else name

    def identifier_error(self, name: str) -> str:
        """Why this can't be a column's or table's name; "" if it can."""
        if not name:
            return "is empty"
        if "\0" in name:
            return "holds a NUL character"
        if self.identifier_bytes is not None and len(name.encode()) > self.identifier_bytes:
            return f"is longer than {self.label}'s {self.identifier_bytes} bytes, and would be cut"
        if self.reserved_prefix and self.normalize_identifier(name).startswith(self.reserved_prefix):
            return f"is reserved by {self.label}"
        return "is the name of a system column" if name in self.reserved_names else ""

    def is_locked(self, error: BaseException) -> bool:
        """Whether the error says that somebody else holds a lock."""
        return error_code(error) in self.lock_errors


def error_code(error: BaseException) -> int | str | None:
    """SQLite's primary result code, or the SQLSTATE, of a driver's error or SQLAlchemy's around it."""
    origin = getattr(error, "orig", None) or error
    code = getattr(origin, "sqlite_errorcode", None)
    if code is not None:
        return int(code) & 0xFF
    state: str | None = getattr(origin, "sqlstate", None)
    return state

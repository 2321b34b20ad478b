"""Roles of a PostgreSQL server that may do little, for one test: they outlive databases, so they are dropped."""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator

import psycopg
from sqlalchemy.engine import make_url

from jobs import execute

__all__ = ["Role", "roles", "statements"]


class Role:
    """`name`; `url`: the database by its name and password."""

    def __init__(self, admin: str, word: str) -> None:
        self.name, password = f"{word}-{secrets.token_hex(4)}", secrets.token_hex(8)
        execute(admin, f"create role \"{self.name}\" login password '{password}'")
        self.url = make_url(admin).set(username=self.name, password=password).render_as_string(hide_password=False)

    def __str__(self) -> str:
        return f'"{self.name}"'


@contextlib.contextmanager
def roles(admin: str, *words: str) -> Iterator[list[Role]]:
    """That many roles, whose names need quotes; what they own goes with them."""
    made = []
    try:
        for word in words:
            made.append(Role(admin, word))
        yield made
    finally:
        with psycopg.connect(admin, autocommit=True) as c:
            for role in made:
                c.execute("select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [role.name])
                c.execute(f"drop owned by {role} cascade")  # type: ignore[arg-type]
                c.execute(f"drop role {role}")  # type: ignore[arg-type]


def statements(message: object) -> list[str]:
    """The GRANTs that a message prints, to the letter."""
    return re.findall(r"GRANT [^;]*;", str(message))

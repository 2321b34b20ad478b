"""Texts without passwords.

Whatever is printed, logged or stored and may hold a URL, or a driver's words, goes through `redact`.
"""

from __future__ import annotations

import re
from typing import Protocol
from urllib.parse import unquote, unquote_plus

__all__ = ["SECRETS", "has_two_logins", "redact", "shown"]

SECRETS = {"password", "passwd", "pwd", "passfile", "sslpassword", "ssl_password", "token", "secret"}
"""Parameters of a URL whose values are secret."""

_WORD = re.compile(r"\S+")
_LOGIN = re.compile(r"(?<=[\w+.-])://[^\s/@:]*+:")
_PASSWORD = re.compile(r"[\w+.-]+://[^:/]*:([^@]*)@")
_TWO_LOGINS = re.compile(r"(?s)[\w+]+://[^:/]*:[^@]*@.*@")
_SCHEME = re.compile(r"[\w+.-]*:/+")
_QUERY = re.compile(rf"(?i)\b({'|'.join(sorted(SECRETS))})=[^&\s'\"]*")


class Url(Protocol):
    """A parsed URL, SQLAlchemy's say."""

    def render_as_string(self, hide_password: bool = True) -> str:
        """The URL as text."""
        ...


def redact(text: str, url: str | Url | None = None) -> str:
    """The text without any password that can be recognised in it, or that `url` carries."""
    for secret in () if url is None else _secrets(url):
        text = text.replace(secret, "***")
    if "://" in text:
        text = _WORD.sub(lambda m: _masked(m[0]), text)
    return _QUERY.sub(lambda m: f"{m[1]}=***", text)


def shown(url: str) -> str:
    """A text that may be a URL gone wrong, without anything in it that may be a password."""
    head, at, tail = url.rpartition("@")
    scheme = _SCHEME.match(head)
    return f"{scheme[0] if scheme else ''}***@{redact(tail)}" if at else redact(url)


def has_two_logins(url: str) -> bool:
    """Whether the end of the password could be taken for the host: there are two @ in it."""
    return _TWO_LOGINS.match(url) is not None


def _secrets(url: str | Url) -> set[str]:
    """What the URL carries, as it is written and as it is meant."""
    text = url if isinstance(url, str) else url.render_as_string(hide_password=False)
    login = _PASSWORD.match(text)
    written = [login[1]] if login else []
    written += [m[0].partition("=")[2] for m in _QUERY.finditer(text.partition("?")[2])]
    return {form for secret in written for form in (secret, unquote(secret), unquote_plus(secret)) if form}


def _masked(word: str) -> str:
    """The word without the password of a URL: what lies between the user's name and the last @."""
    head, at, tail = word.rpartition("@")
    login = _LOGIN.search(head) if at else None
    return f"{head[: login.end()]}***@{tail}" if login else word

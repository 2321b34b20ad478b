"""A checkpoint store in Redis: one hash, a field a run, and one script.

Laws kept here:

* A swap is one script, and Redis runs nothing beside it: the server decides between processes.
* All runs lie under one key: a name is a field's bytes as they are, and a list of names is of one moment.
* No answer doesn't mean "not applied". The script is sent again over another connection, and if it is refused, the
  stored text tells whose it is. The first one may still arrive later: it then meets another version.
* No wait is without end, and no connection is shared with a forked child.

What of a swap outlives the server's own death is the server's affair (appendonly, appendfsync): docs/control.md.
"""

from __future__ import annotations

import re
import ssl
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from resumable.checkpoint import Record
from resumable.databases.urls import reason
from resumable.errors import CorruptCheckpoint, Refused, StoreError, UsageError
from resumable.redaction import shown

if TYPE_CHECKING:
    from redis import ConnectionPool

__all__ = ["RedisStore"]

TIMEOUT = 5
"""Seconds to wait for a connection and for an answer, unless the URL says otherwise (socket_timeout=...)."""

PREFIX = "resumable:"

# A value is the record's version, a space, the record. Versions are compared as text: Lua's numbers end at 2^53.
_SWAP = """\
local held = redis.call('HGET', KEYS[1], ARGV[1])
local version = '0'
if held then version = string.match(held, '^(%d+) ') or 'damaged' end
if version ~= ARGV[2] then return 0 end
if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) else redis.call('HSET', KEYS[1], ARGV[1], ARGV[3]) end
return 1
"""

_OPTIONS = re.compile(r"prefix|db|username|password|client_name|socket_timeout|socket_connect_timeout|ssl_\w+")


class RedisStore:
    """Records in the Redis at `url`, `redis:` or `rediss:`. Safe between threads.

    Its key begins with `prefix`, or what the URL's query says (`redis://host/0?prefix=shop:`).
    """

    def __init__(self, url: str, prefix: str = PREFIX) -> None:
        parts = _split(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        self._prefix = query.pop("prefix", prefix)
        self._key = f"{self._prefix}runs"
        pool = _pool(parts._replace(query=urlencode(query)), url)
        options = pool.connection_kwargs
        self._secrets = [str(options[o]) for o in ("password", "ssl_password") if options.get(o)]
        self.location = _location(parts.scheme, options)
        if self._prefix != PREFIX:
            self.location += f", prefix {self._prefix}"

        from redis import Redis

        self._client: Any = Redis(connection_pool=pool)

    def load(self, name: str) -> Record | None:
        """What is known of a run; None if nothing is. Raises `StoreError` and `CorruptCheckpoint`."""
        value = self._look(name)
        if value is None:
            return None
        version, _, text = value.partition(b" ")
        record = Record.from_json(text, f"The record of run {name!r} in {self.location}")
        if version != b"%d" % record.version:
            raise CorruptCheckpoint(
                f"The record of run {name!r} in {self.location} is not of the version that stands before it.",
                safe="Nothing was changed; the target keeps what was committed.",
                do=f"Restore it from a copy, or remove it (HDEL {self._key}): a database target's ledger still knows the run.",
            )
        return record

    def names(self) -> list[str]:
        """The names of all runs, sorted. Raises `StoreError`."""
        return sorted(field.decode("utf-8", "surrogatepass") for field in self._ask("read", "HKEYS", self._key))

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        """Replace the record whose version is `version` (0: there is none); None removes it.

        Raises `StoreError`; whether the record was replaced is then unknown, and may yet change: the next swap tells.
        """
        new = b"" if record is None else f"{record.version} {record.to_json()}".encode()
        script = ("EVAL", _SWAP, 1, self._key, _field(name), str(version), new)
        try:
            return bool(self._once("written", *script))
        except StoreError as lost:
            if not lost.transient:
                raise
        return bool(self._once("written", *script)) or (self._look(name) or b"") == new

    def describe(self) -> str:
        """What it is and what rests on it."""
        return (
            f"Checkpoints are kept in Redis, {self.location}, a field a run of the hash {self._key}: as durable as the "
            "server's appendonly and appendfsync make them."
        )

    def __repr__(self) -> str:
        return f"<RedisStore {self.location}>"

    def _look(self, name: str) -> bytes | None:
        value: bytes | None = self._ask("read", "HGET", self._key, _field(name))
        return value

    def _ask(self, what: str, *command: Any) -> Any:
        """Redis's answer; if none comes, the same is asked once more, over another connection."""
        try:
            return self._once(what, *command)
        except StoreError as lost:
            if not lost.transient:
                raise
        return self._once(what, *command)

    def _once(self, what: str, *command: Any) -> Any:
        """Redis's answer, or a `StoreError`: transient if another connection may bring one."""
        from redis import exceptions as redis

        try:
            return self._client.execute_command(*command)
        except (redis.RedisError, OSError, UnicodeError) as error:
            denied = isinstance(error, (redis.AuthenticationError, redis.AuthorizationError))
            denied |= isinstance(error.__context__, ssl.SSLCertVerificationError)
            unanswered = isinstance(error, (redis.ConnectionError, redis.TimeoutError, OSError)) and not denied
            kind = _kind(error)
            elsewhere = kind == "ReadOnlyError" or isinstance(error, (redis.ClusterError, redis.TryAgainError))
            if elsewhere:  # after a failover the same address leads to another server
                self._client.connection_pool.disconnect(inuse_connections=False)
            said = reason(error)
            for secret in self._secrets:
                said = said.replace(secret, "***")
            mine = StoreError(
                f"The store {self.location} can't be {what}: {said}.",
                safe="What was committed is safe.",
                do=_ADVICE.get(kind, "See that Redis is there, reachable and writable, and run the same again."),
            )
            mine.transient = unanswered or elsewhere
            raise mine from None  # the driver's own report may show what it was given


def _field(name: str) -> bytes:
    return name.encode("utf-8", "surrogatepass")


def _split(url: str) -> SplitResult:
    """The URL's parts. One that is read otherwise than it was meant would show its password as a host."""
    try:
        parts = urlsplit(url)
        options = [
            option for option, _ in parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        ]
        good = (
            url[len(parts.scheme) :].startswith("://")
            and parts.scheme in ("redis", "rediss")
            and re.fullmatch(r"(/\d*)?", parts.path)
            and not parts.fragment
            and all(_OPTIONS.fullmatch(option) for option in options)
        )
    except ValueError:
        good = False
    if not good:
        raise _no_url(url)
    return parts


def _pool(parts: SplitResult, url: str) -> ConnectionPool:
    """Where connections come from; none is made yet."""
    try:
        from redis import ConnectionPool
        from redis.backoff import NoBackoff
        from redis.retry import Retry
    except ModuleNotFoundError:
        raise Refused(
            "A store in Redis needs the package 'redis', which isn't installed.",
            safe="Nothing was touched.",
            do="pip install 'resumable-pipelines[redis]'.",
        ) from None
    # The driver must not ask again by itself: a swap that was answered "no" the second time may have been applied.
    timeouts = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT, "retry": Retry(NoBackoff(), 0)}
    try:
        pool = ConnectionPool.from_url(urlunsplit(parts), **timeouts)
        pool.connection_class(**pool.connection_kwargs)  # refuses options that it doesn't know
    except (TypeError, ValueError):
        raise _no_url(url) from None
    return pool


def _no_url(url: str) -> UsageError:
    return UsageError(
        f"{shown(url)!r} can't be used as the URL of a Redis.",
        do="Write it like redis://user@host:6379/0?prefix=shop: (or rediss:// for TLS, with ssl_ca_certs=...); "
        "escape @ / ? # in a password as %40 %2F %3F %23.",
    )


def _location(scheme: str, options: dict[str, Any]) -> str:
    host, user = options.get("host") or "localhost", options.get("username")
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{f'{user}@' if user else ''}{host}:{options.get('port') or 6379}/{options.get('db') or 0}"


def _kind(error: Exception) -> str:
    """What Redis means; up to Redis 6, what fails in a script is told in the script's own error."""
    for code, kind in (("-READONLY ", "ReadOnlyError"), ("-OOM ", "OutOfMemoryError")):
        if code in str(error):
            return kind
    return type(error).__name__


_ADVICE = {
    "AuthenticationError": "Give user and password in the URL, redis://user:password@host; RESUMABLE_STORE keeps it off the command line.",
    "NoPermissionError": "Let the user EVAL, HGET, HSET, HDEL and HKEYS that key.",
    "ReadOnlyError": "Name the primary, or wait until the failover is through, and run the same again.",
    "BusyLoadingError": "Wait until Redis has loaded its data, and run the same again.",
    "OutOfMemoryError": "Make room in Redis or raise its maxmemory, and run the same again.",
}

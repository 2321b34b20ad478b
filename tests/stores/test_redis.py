"""What is particular to a store in Redis: answers that are lost, a server that dies, hangs, is full or only reads."""

from __future__ import annotations

import itertools
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import redisserver
from jobs import NAME, Jobs, until, upload_task
from resumable.checkpoint import Record
from resumable.errors import CorruptCheckpoint, StoreError, UsageError
from resumable.stores import RedisStore
from services import CANARY, Unavailable, free_port
from wire import Wire

Change = tuple[int, Record | None]

CHANGES: list[Change] = [(0, Record(1)), (1, Record(2)), (1, None)]
"""A record is made, replaced, removed."""


@pytest.fixture
def wire(own_redis: redisserver.Redis) -> Iterator[Wire]:
    """Leads to the server, and can be cut where a swap is asked for."""
    with Wire(("127.0.0.1", own_redis.port), b"EVAL") as wire:
        yield wire


def by(wire: Wire) -> RedisStore:
    return RedisStore(f"redis://127.0.0.1:{wire.port}/0")


# ------------------------------------------------------------------------------------- answers that are lost


@pytest.mark.parametrize("lose", ["question", "answer"])
@pytest.mark.parametrize("change", CHANGES, ids=["made", "replaced", "removed"])
def test_a_swap_whose_answer_was_lost_is_found_out(wire: Wire, change: Change, lose: Any) -> None:
    """The connection breaks before the script arrives, or after it has run: the swap says True, and it ran once."""
    store = by(wire)
    store.swap("a" if change[0] else "b", 0, Record(1))
    wire.cuts, wire.lose = 1, lose
    assert store.swap("a", *change)
    assert wire.cuts == 0
    assert store.load("a") == change[1]


@pytest.mark.parametrize("lose", ["question", "answer"])
def test_a_swap_lost_to_a_rival_is_not_taken_for_ours(own_redis: redisserver.Redis, wire: Wire, lose: Any) -> None:
    """The connection breaks at a script that would change nothing, for a rival was first: False, and the rival's stands."""
    store, rival = by(wire), RedisStore(own_redis.url)
    store.swap("a", 0, Record(1))
    rival.swap("a", 1, Record(2, heartbeat=7))
    wire.cuts, wire.lose = 1, lose
    assert not store.swap("a", 1, Record(2))
    assert wire.cuts == 0
    assert store.load("a") == Record(2, heartbeat=7)


def test_an_answer_lost_twice_is_an_error_that_may_pass(wire: Wire) -> None:
    """The store doesn't go on asking for ever, and doesn't guess: `StoreError`, and the next load tells."""
    store = by(wire)
    store.swap("a", 0, Record(1))
    wire.cuts = 2
    with pytest.raises(StoreError) as caught:
        store.swap("a", 1, Record(2))
    assert caught.value.transient
    assert wire.cuts == 0
    assert store.load("a") == Record(2)


def test_a_swap_that_arrives_late_changes_nothing(
    own_redis: redisserver.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hanging server answers nobody, and every call ends; when it goes on, what was asked then meets a newer version."""
    other = RedisStore(f"{own_redis.url}?socket_timeout=60")
    monkeypatch.setattr("resumable.stores.redis.TIMEOUT", 0.3)
    store = RedisStore(own_redis.url)
    store.swap("a", 0, Record(1))
    own_redis.signal(signal.SIGSTOP)
    for call in (lambda: store.swap("a", 1, Record(2, heartbeat=1)), lambda: store.load("a"), store.names):
        with pytest.raises(StoreError, match=r"imeout|timed out") as caught:
            call()
        assert caught.value.transient
    own_redis.signal(signal.SIGCONT)

    def scripts() -> int:
        with redisserver.client(own_redis.url) as redis:
            return int(redis.info("commandstats")["cmdstat_eval"]["calls"])

    until(lambda: scripts() >= 2, "the late script never arrives")
    assert store.load("a") == Record(2, heartbeat=1)  # nobody else has come first: it may, and the load tells
    own_redis.signal(signal.SIGSTOP)
    waiting = threading.Thread(target=lambda: other.swap("a", 2, Record(3, heartbeat=2)))  # is read first, or last
    waiting.start()
    with pytest.raises(StoreError):
        store.swap("a", 2, Record(3, heartbeat=1))
    own_redis.signal(signal.SIGCONT)
    waiting.join()
    until(lambda: scripts() >= 4, "the late script never arrives")
    found = other.load("a")
    assert found is not None
    assert found.version == 3
    assert other.swap("a", 3, Record(4, heartbeat=3))
    assert store.load("a") == Record(4, heartbeat=3)


# ------------------------------------------------------------------------------------------- a server's life


def test_what_was_answered_survives_kill_9_of_the_server(
    own_redis: redisserver.Redis, tried: Callable[[str], None]
) -> None:
    """With AOF, killed in the middle of swaps and started again: no acknowledged one is missing, none was half done."""
    store, answered, met = RedisStore(own_redis.url), [0], 0

    def kill(last: int) -> None:
        until(lambda: answered[-1] >= last, "nothing is swapped")
        own_redis.kill()

    for last in (20, 40, 60):
        killer = threading.Thread(target=kill, args=(last,))
        killer.start()
        with pytest.raises(StoreError) as caught:
            for version in itertools.count(answered[-1]):
                assert store.swap("a", version, Record(version + 1))
                answered.append(version + 1)
        killer.join()
        assert caught.value.transient
        own_redis.start()
        record = store.load("a")
        assert record is not None
        assert record.version in (answered[-1], answered[-1] + 1)
        answered.append(record.version)
        met += 1
        assert store.names() == ["a"]
    assert met == 3
    tried(f"Redis killed by kill -9 {met} times in the middle of swaps: all {answered[-1]} were there after it")


def test_a_run_goes_on_by_itself_when_its_store_is_back(
    own_redis: redisserver.Redis, jobs: Jobs, tmp_path: Path, sqlite_url: str
) -> None:
    """Redis is killed in mid-run and started again: the runner waits for it, and each row is there once."""
    task, store = upload_task(tmp_path, sqlite_url), RedisStore(own_redis.url)
    runner = jobs(*task.command(), store=own_redis.url).committed(2)
    own_redis.kill()
    until(lambda: "Trying again" in runner.out.read_text() or runner.process.poll() is not None, "it doesn't notice")
    assert runner.process.poll() is None, f"inconclusive: it was through, or has given up: {runner.said}"
    own_redis.start()
    assert 0 == runner.end(), runner.said
    assert task.expected == task.result()
    record = store.load(NAME)
    assert record is not None
    assert record.checkpoint.finished


def test_connections_that_the_server_has_closed_are_replaced(own_redis: redisserver.Redis) -> None:
    """Every client is thrown out: the next load, swap and list work all the same."""
    store = RedisStore(own_redis.url)
    store.swap("a", 0, Record(1))
    for call in (
        lambda: store.load("a") == Record(1),
        lambda: store.swap("a", 1, Record(2)),
        lambda: store.names() == ["a"],
    ):
        with redisserver.client(own_redis.url) as redis:
            assert redis.execute_command("CLIENT", "KILL", "TYPE", "normal") >= 1
        assert call()


def test_a_server_that_still_loads_is_waited_for_by_others(own_redis: redisserver.Redis) -> None:
    """While Redis reads its data back it answers LOADING: an error that may pass, not an empty store."""
    store = RedisStore(own_redis.url)
    store.swap("a", 0, Record(1))
    with redisserver.client(own_redis.url) as redis, redis.pipeline() as many:
        for number in range(30_000):
            many.set(f"other:{number}", number)
        many.execute()
    own_redis.kill()
    own_redis.settings = ("--key-load-delay", "50")  # microseconds a key
    own_redis.launch()
    said: list[StoreError] = []

    def loaded() -> bool:
        try:
            return store.load("a") == Record(1)
        except StoreError as error:
            said.append(error)
            return False

    until(loaded, "it never loads")
    assert any("loading" in error.what and "until Redis has loaded" in error.do for error in said), said
    assert all(error.transient for error in said)


def test_a_replica_that_only_reads_is_said_to_be_one(own_redis: redisserver.Redis) -> None:
    """It tells what it knows and takes no swap; after a failover the same address leads to the new primary."""
    RedisStore(own_redis.url).swap("a", 0, Record(1))
    with redisserver.Redis("--replicaof", "127.0.0.1", str(own_redis.port)) as replica:
        with Wire(("127.0.0.1", replica.port), b"-") as wire:
            store = by(wire)
            until(lambda: store.names() == ["a"], "it copies nothing")
            with pytest.raises(StoreError, match="read only") as caught:
                store.swap("a", 1, Record(2))
            assert caught.value.transient
            assert "primary" in caught.value.do
            assert store.load("a") == Record(1)
            wire.server = ("127.0.0.1", own_redis.port)
            assert store.swap("a", 1, Record(2))


def test_a_full_server_keeps_what_it_has(own_redis: redisserver.Redis) -> None:
    """Past `maxmemory` a swap is a `StoreError` that says so, and trying again won't help; once there is room it goes on."""
    store = RedisStore(own_redis.url)
    store.swap("a", 0, Record(1))
    with redisserver.client(own_redis.url) as redis:
        redis.config_set("maxmemory", 1)
        with pytest.raises(StoreError, match=r"maxmemory.*Make room") as caught:
            store.swap("a", 1, Record(2))
        assert not caught.value.transient
        assert store.load("a") == Record(1)
        redis.config_set("maxmemory", 0)
    assert store.swap("a", 1, Record(2))


# ------------------------------------------------------------------------------------- what it holds, who may


@pytest.mark.parametrize("damage", ["", "x", "1", '1 {"format":1}', "2 {whole}", "1 {half}", "{whole}", "01 {whole}"])
def test_a_damaged_field_is_an_error_and_no_swap_goes_over_it(redis: str, damage: str) -> None:
    """Empty, cut, or of another version than it says: `CorruptCheckpoint`, and nothing is changed."""
    store, whole = RedisStore(redis), Record(1).to_json()
    bad = damage.replace("{whole}", whole).replace("{half}", whole[: len(whole) // 2])
    with redisserver.client(redis) as client:
        client.hset(store._key, "orders", bad)
        with pytest.raises(CorruptCheckpoint, match=r"'orders'.*redis://"):
            store.load("orders")
        assert not store.swap("orders", 0, Record(1))
        assert client.hget(store._key, "orders") == bad.encode()
    assert store.names() == ["orders"]


def test_prefixes_are_stores_of_their_own(redis: str) -> None:
    """Two prefixes in one database share nothing; one that isn't the usual is part of the store's name."""
    one, other = RedisStore(redis), RedisStore(redis + "2")
    assert one.swap("a", 0, Record(1))
    assert (other.load("a"), other.names()) == (None, [])
    assert one.location != other.location
    assert RedisStore("redis://h", prefix="shop:").location == RedisStore("redis://h/0?prefix=shop:").location
    assert RedisStore("redis://me@h:1/2").location == "redis://me@h:1/2"
    assert RedisStore("rediss://[::1]").location == "rediss://[::1]:6379/0"


def test_a_key_that_is_somebody_elses_is_left_alone(redis: str) -> None:
    """A value of another kind under the store's key is a `StoreError`, not a place to write to."""
    store = RedisStore(redis)
    with redisserver.client(redis) as client:
        client.set(store._key, "precious")
        for call in (lambda: store.load("a"), store.names, lambda: store.swap("a", 0, Record(1))):
            with pytest.raises(StoreError, match="wrong kind of value") as caught:
                call()
            assert not caught.value.transient
        assert client.get(store._key) == b"precious"


def test_a_password_is_needed_and_never_repeated(own_redis: redisserver.Redis) -> None:
    """None, a wrong one and the right one; no message, description or `repr` holds it."""
    with redisserver.client(own_redis.url) as redis:
        redis.execute_command("ACL", "SETUSER", "canary", "on", f">{CANARY}", "~resumable:*", "+@all", "-flushall")
        redis.execute_command("ACL", "SETUSER", "reader", "on", f">{CANARY}", "~*", "+@read", "+ping")
        redis.execute_command("ACL", "SETUSER", "default", "off")
    at = own_redis.url.removeprefix("redis://")
    urls = [own_redis.url, f"redis://canary:wr0ng-{CANARY}@{at}", f"redis://canary@{at}?password=wr0ng-{CANARY}"]
    for url in urls:
        store = RedisStore(url)
        with pytest.raises(StoreError, match=r"redis://user:password@host") as caught:
            store.load("a")
        assert not caught.value.transient
        shown = f"{caught.value!r} {caught.value.__cause__} {store!r} {store.location} {store.describe()}"
        assert CANARY not in shown
    for url in (f"redis://canary:{CANARY}@{at}", f"redis://{at}?username=canary&password={CANARY}"):
        store = RedisStore(url)
        assert store.swap(url, 0, Record(1))
        assert CANARY not in f"{store!r} {store.describe()}"
    reader = RedisStore(f"redis://reader:{CANARY}@{at}")
    assert len(reader.names()) == 2
    with pytest.raises(StoreError, match="EVAL, HGET") as caught:
        reader.swap("a", 0, Record(1))
    assert not caught.value.transient


def test_a_server_that_is_not_there_is_an_error_that_may_pass() -> None:
    """Nobody listens: `StoreError` without the password."""
    store = RedisStore(f"redis://canary:{CANARY}@127.0.0.1:9/0")
    for call in (lambda: store.load("a"), store.names, lambda: store.swap("a", 0, Record(1))):
        with pytest.raises(StoreError) as caught:
            call()
        assert caught.value.transient
        assert CANARY not in f"{caught.value!r} {caught.value.__cause__}"


@pytest.mark.parametrize(
    "url",
    [
        "redis:host",
        f"redis://me:12/{CANARY}@host/0",
        f"redis://me:12#{CANARY}@host/0",
        f"redis://me:12?{CANARY}@host/0",
        f"redis://me:{CANARY}@host:port/0",
        f"redis://me:{CANARY}@host/0?color=red",
        f"redis://me:{CANARY}@host/0?socket_timeout=soon",
        f"redis://me:{CANARY}@host/0?ssl_color=red",
        f"redis://me:{CANARY}@[::1/0",
        f"redis://me:{CANARY}@host/shop",
    ],
)
def test_a_url_that_would_be_misread_is_refused(url: str) -> None:
    """Unescaped characters in a password, unknown options, a database without a number: nothing of it is repeated."""
    with pytest.raises(UsageError, match="escape @") as caught:
        RedisStore(url)
    assert CANARY not in f"{caught.value!r} {caught.value.__cause__}"


def test_tls_is_spoken_and_the_certificate_is_looked_at(tmp_path: Path) -> None:
    """`rediss:` with the authority named in the URL works; with another authority it is refused."""
    if shutil.which("openssl") is None:
        raise Unavailable("No openssl, which makes certificates.")
    for name in ("ours", "theirs"):
        command = (
            f"openssl req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.crt -days 2 -subj /CN=localhost"
        )
        subprocess.run(
            [*command.split(), "-addext", "subjectAltName=IP:127.0.0.1"], cwd=tmp_path, check=True, capture_output=True
        )
    server = redisserver.Redis("--tls-cert-file", f"{tmp_path}/ours.crt", "--tls-key-file", f"{tmp_path}/ours.key")
    server.settings += ("--tls-ca-cert-file", f"{tmp_path}/ours.crt", "--tls-auth-clients", "no")
    try:
        server.start()
    except Unavailable as why:
        server.stop()
        raise Unavailable(f"No TLS in this Redis: {why}") from None
    with server, redisserver.client(server.url) as redis:
        port = free_port()
        redis.config_set("tls-port", port)
        store = RedisStore(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path}/ours.crt")
        assert store.swap("a", 0, Record(1))
        assert store.load("a") == Record(1)
        with pytest.raises(StoreError, match="certificate verify failed") as caught:
            RedisStore(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path}/theirs.crt").load("a")
        assert not caught.value.transient

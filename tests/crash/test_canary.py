"""No password after a crash either: a canary in every URL, through kills, faults of disk and network, lost connections.

Searched: all that a dead or failing process leaves (store, partial files, both streams, tables, the ledger with the
checkpoint in it), and what the next one says. What is combined is one cell of parts.py; the password is in its URLs.
"""

from __future__ import annotations

import errno
import logging
import random
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import services
from forks import Forks
from memory import MemorySource
from parts import Cell, Place
from proxy import Proxy
from resumable.errors import ConnectionLost, ResumableError
from resumable.pipeline import Pipeline
from resumable.redaction import redact
from resumable.sinks import SqlSink
from resumable.stores import FileStore, SqlStore
from search import Search
from sweeps import Bench
from syscalls import CHANGES, Strike

DATABASES, FILES = ("postgresql", "postgresql", "postgresql"), ("postgresql", "csv", "files")
FAULTS: dict[str, tuple[tuple[str, str, str], Strike]] = {
    "kill": (DATABASES, Strike("kill")),
    "kill, files": (FILES, Strike("kill")),
    "disk full": (FILES, Strike("fail", calls=CHANGES, error=errno.ENOSPC, low=3)),
    "disk broken": (FILES, Strike("fail", calls=CHANGES, error=errno.EIO, low=3)),
    "no descriptors": (DATABASES, Strike("fail", calls=("open", "socket"), error=errno.EMFILE, always=True)),
}
"""What strikes which source, sink and store. Lost connections have a test of their own: they need a peer to lose."""


@pytest.fixture
def secret(request: pytest.FixtureRequest, postgres_server: Any, tmp_path: Path, struck: Forks) -> Iterator[Bench]:
    """The parts that the fault is for; each database has a URL with the password."""
    roles = {role: services.Database(postgres_server) for role in ("source", "target", "store")}
    for made in roles.values():
        _ = made.canary  # the role owns it, and what the superuser's hands make in it would not be its own
    place = Place(str(tmp_path / "place"), {"postgresql": {role: made.canary for role, made in roles.items()}})
    parts = FAULTS[request.node.callspec.params["fault"]][0] if "fault" in request.fixturenames else DATABASES
    yield Bench(Cell(*parts, place), tmp_path, struck)
    for made in roles.values():
        made.drop()


@pytest.mark.parametrize("fault", FAULTS)
def test_what_a_struck_process_leaves_and_says_holds_no_password(
    secret: Bench, fault: str, tried: Callable[[str], None], *, long: bool
) -> None:
    """Struck at calls spread over a run; then the same run is ended. The search sees tables, files and both streams."""
    urls, strike = list(secret.place.servers["postgresql"].values()), FAULTS[fault][1]
    secret.total("run")
    counts, struck, few = secret.said["counts"], 0, 60 if long else 6
    total = sum(counts[call] for call in strike.calls) * 3 // 4  # how often a socket is read is chance
    for at in sorted(random.choices(range(1, total + 1), k=few)):
        secret.fresh()
        struck += secret.process("run", replace(strike, at=at)) != 0
        search = Search(secret.place.path.parent, services.CANARY)
        assert [] == search.found(*urls), (fault, at)
        assert "completed" == secret.ends("run")
        assert [] == search.found(*urls), (fault, at)
    assert struck, "inconclusive"
    tried(f"canary, {fault}: {struck} of {few} runs struck and searched")


def test_the_search_would_find_it(secret: Bench) -> None:
    """The URLs do hold it, and there is something to search: rows of the ledger and of the store name the user."""
    urls = list(secret.place.servers["postgresql"].values())
    assert all(services.CANARY in url for url in urls)
    secret.fresh()
    assert secret.dies("run", 100)
    (secret.place.path / "planted").write_text(urls[0])
    assert 1 == len(Search(secret.place.path.parent, services.CANARY).found(*urls))


def test_lost_connections_say_no_password(canary: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """In the steps, the errors and what they were raised from, the log, the store: ended, in doubt, given up, refused."""
    caplog.set_level(logging.DEBUG)
    search = Search(tmp_path, services.CANARY)
    with Proxy(canary) as proxy:
        url = proxy.url
        for limit, store in ((300, FileStore(tmp_path / "store")), (0, SqlStore(url)), (0.2, None)):
            made = Pipeline(
                MemorySource(20), SqlSink(url, f"t{limit}".replace(".", "_")), name=f"m{limit}",
                store=store or FileStore(tmp_path / "other"), every=0, reconnect=limit,
            )  # fmt: skip
            search.heard(repr(made), made.explain())
            try:
                for step in made:
                    search.heard(step, step.to_dict())
                    if not step.message:
                        proxy.lose(1, "after")
                    if limit == 0.2:
                        proxy.close()
            except ConnectionLost as error:
                search.raised(error)
                search.heard(*traceback.format_exception(error))
            search.heard(made.progress, made.status)
    with pytest.raises(ResumableError) as refused:
        list(Pipeline(MemorySource(), SqlSink(url, "t"), name="m", store=FileStore(tmp_path / "store")))
    search.raised(refused.value)
    search.heard(caplog.text, redact(str(refused.value)))
    assert proxy.lost >= 3, "inconclusive"
    assert [] == search.found(canary)

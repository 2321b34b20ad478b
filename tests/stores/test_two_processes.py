"""Stores and claims between real processes: no lost update, one winner, and death, sleep and requests seen rightly."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from resumable import control
from resumable.checkpoint import Checkpoint, Record
from resumable.errors import AlreadyRunning, StoreError
from resumable.stores import open_store

Start = Callable[..., "Child"]

PRELUDE = """
import json, sys
from resumable import control
from resumable.checkpoint import Checkpoint, Record
from resumable.errors import AlreadyRunning, Superseded
from resumable.stores import open_store

store = open_store(sys.argv[1])

def say(*words):
    print(json.dumps(words), flush=True)

def hear():
    return sys.stdin.readline().strip()
"""

ADD = """
say("ready"); hear()
successes = 0
while successes < int(sys.argv[2]):
    record = store.load("sum") or Record()
    if store.swap("sum", record.version, Record(record.version + 1, beat=record.beat + 1)):
        successes += 1
say(successes)
"""

CLAIM = """
say("ready"); hear()
try:
    with control.claim(store, "run") as claim:
        say("claimed", claim.id.token)
        while (word := hear()) != "end":
            try:
                if word == "save":
                    last = claim.last.next(rows=claim.last.rows + 1)
                    say("saved", claim.save(last))
                elif word == "wait":
                    while not claim.asked:
                        pass
                    say("asked", claim.asked)
                    claim.save(claim.last, leave=True)
            except Superseded as error:
                say("superseded", str(error))
except AlreadyRunning as error:
    say("refused", str(error))
"""


class Child:
    """Another process with the same store, spoken with in lines."""

    def __init__(self, store: str, code: str, *arguments: str) -> None:
        command = [sys.executable, "-c", PRELUDE + code, store, *arguments]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def hear(self) -> list[Any]:
        assert self.process.stdout is not None
        words: list[Any] = json.loads(self.process.stdout.readline())
        return words

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)
        if number == signal.SIGSTOP:
            os.waitid(os.P_PID, self.process.pid, os.WSTOPPED)  # it has stopped, not only been told to

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()


@pytest.fixture(params=["file", "sqlite", "postgresql", "redis"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The name of a store that processes share."""
    if server := {"postgresql": "postgres", "redis": "redis"}.get(request.param):
        return str(request.getfixturevalue(server))
    return {"file": f"{tmp_path}/runs", "sqlite": f"sqlite:///{tmp_path}/runs.db"}[request.param]


@pytest.fixture
def start(where: str) -> Iterator[Start]:
    """Starts processes with that store; whoever still lives at the end is killed."""
    with contextlib.ExitStack() as stack:

        def start(code: str, *arguments: str) -> Child:
            child = Child(where, code, *arguments)
            stack.callback(child.close)
            return child

        yield start


def together(children: list[Child]) -> None:
    """Let all go at once, when all are ready."""
    for child in children:
        assert child.hear() == ["ready"]
    for child in children:
        child.tell("go")


def claimed(start: Start) -> Child:
    """A process that has the run and has saved once."""
    child = start(CLAIM)
    together([child])
    assert child.hear()[0] == "claimed"
    child.tell("save")
    assert child.hear() == ["saved", ""]
    return child


def test_processes_lose_no_update(where: str, start: Start) -> None:
    """Four processes add to one record, each success counting once; the store is made by whoever comes first."""
    children = [start(ADD, "60") for _ in range(4)]
    together(children)
    assert [child.hear() for child in children] == [[60]] * 4
    record = open_store(where).load("sum")
    assert record is not None
    assert (record.beat, record.version) == (240, 240)


def test_one_of_many_gets_the_run(where: str, start: Start) -> None:
    """Four processes claim at once: one has it, the others are told who."""
    children = [start(CLAIM) for _ in range(4)]
    together(children)
    answers = [child.hear() for child in children]
    assert sorted(answer[0] for answer in answers) == ["claimed", "refused", "refused", "refused"]
    winner = children[[answer[0] for answer in answers].index("claimed")]
    assert all(f"process {winner.process.pid} on" in answer[1] for answer in answers if answer[0] == "refused")


def test_a_killed_runner_is_succeeded_at_once(where: str, start: Start) -> None:
    """After `kill -9` the run is interrupted and the next claim has it without waiting, from the last save on."""
    child, store = claimed(start), open_store(where)
    assert control.status(store.load("run")) == "running"
    child.close()
    assert control.status(store.load("run")) == "interrupted"
    with control.claim(store, "run") as claim:
        assert claim.last.rows == 1


def test_a_zombie_is_dead(where: str, start: Start) -> None:
    """A killed process whose parent hasn't looked yet doesn't hold the run."""
    child, store = claimed(start), open_store(where)
    child.signal(signal.SIGKILL)
    os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
    with control.claim(store, "run"):
        pass


def test_a_stopped_runner_is_fenced_off_by_a_takeover(where: str, start: Start) -> None:
    """Asleep it still has the run; taken over, its next save after waking is refused and changes nothing."""
    child, store = claimed(start), open_store(where)
    child.signal(signal.SIGSTOP)
    with pytest.raises(AlreadyRunning), control.claim(store, "run"):
        pass
    # It may have been stopped while it held the store's lock: then nobody can save until it goes on.
    taken = None
    while taken is None:
        try:
            with control.claim(store, "run", takeover=True, beat=False) as claim:
                claim.save(claim.last.next(rows=10))
                taken = claim.id
        except StoreError:
            child.signal(signal.SIGCONT)
            child.signal(signal.SIGSTOP)
    child.signal(signal.SIGCONT)
    child.tell("save")
    assert child.hear()[0] == "superseded"
    record = store.load("run")
    assert record is not None
    assert (record.checkpoint.rows, record.claim) == (10, taken)


@pytest.mark.parametrize("what", ["pause", "terminate"])
def test_a_request_reaches_a_runner_elsewhere(where: str, start: Start, what: Any) -> None:
    """The heartbeat hears what is asked, without a save; whoever asked sees the runner leave."""
    child, store = claimed(start), open_store(where)
    child.tell("wait")
    control.ask(store, "run", what)
    record = control.wait_until_idle(store, "run", 30)
    assert child.hear() == ["asked", what]
    assert record is not None
    assert record.owner is None


def test_a_run_whose_record_is_removed_is_lost_to_its_runner(where: str, start: Start) -> None:
    """Whoever deletes the store's record ends the runner's claim: it doesn't write the record anew."""
    child, store = claimed(start), open_store(where)
    while not store.swap("run", (store.load("run") or Record()).version, None):
        pass
    child.tell("save")
    word, text = child.hear()
    assert word == "superseded"
    assert "removed from the store" in text
    assert store.load("run") is None


def test_a_killed_swap_leaves_the_old_record_or_the_new(where: str, start: Start) -> None:
    """Processes killed in the middle of saving, again and again: what is there is always whole, and nothing blocks."""
    store = open_store(where)
    store.swap("sum", 0, Record(1, Checkpoint(number=1)))
    for _ in range(3):
        child = start(ADD, "1000000")
        together([child])
        before = store.load("sum")
        while store.load("sum") == before:
            pass
        child.close()
        record = store.load("sum")
        assert record is not None
        assert store.swap("sum", record.version, Record(record.version + 1))

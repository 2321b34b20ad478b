"""Compare-and-set loops end: over a store that is busy with success, over one that breaks its contract with an error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from resumable import Pipeline, StoreError, Superseded
from resumable.checkpoint import Checkpoint, ClaimId, Record
from resumable.control import swaps
from resumable.control.claims import claim_run
from resumable.control.requests import ask, enqueue
from resumable.stores import MemoryStore
from resumable.testing.memory_sink import MemorySink
from resumable.testing.rows import ROWS, Rows


class Narrow(MemoryStore):
    """Compares 32 bits of a version, and answers with all of it: no version that begins at the clock is ever found."""

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        held = super().load(name)
        if held is not None and held.version % 2**32 != version:
            return False
        return super().swap(name, version, record)


class Shortened(MemoryStore):
    """Answers with 32 bits of a version, and compares all of it."""

    def load(self, name: str) -> Record | None:
        held = super().load(name)
        return held and replace(held, version=held.version % 2**32)

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        held = super().load(name)
        return held is not None and held.version == version and super().swap(name, version % 2**32, record)


class Full(MemoryStore):
    """Refuses everything."""

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        return False


class Dizzy(MemoryStore):
    """Shows a greater version each time that it is asked."""

    asked = 0

    def load(self, name: str) -> Record | None:
        self.asked += 1
        held = super().load(name)
        return held and replace(held, version=held.version + self.asked)


class Busy(MemoryStore):
    """Somebody else is faster, each time but the last of a hundred."""

    left = 100

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        held = super().load(name)
        if held is not None and self.left:
            self.left -= 1
            super().swap(name, version, replace(held, version=version + 1))
        return super().swap(name, version, record)


def claimed(store: MemoryStore) -> None:
    with claim_run(store, "r", heartbeat=False) as claim:
        claim.save(Checkpoint(number=1))


def ran(store: MemoryStore) -> None:
    Pipeline(Rows(ROWS), MemorySink(), name="r", store=store, every=0).run()


ACTS: dict[str, Callable[[Any], object]] = {
    "a claim and its save": claimed,
    "a request": lambda store: ask(store, "r", "terminate"),
    "a run left to a worker": lambda store: enqueue(store, "r", lambda last: last),
    "a pipeline": ran,
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
@pytest.mark.parametrize("store", [Narrow, Shortened, Full, Dizzy])
def test_a_store_that_breaks_its_contract_ends_every_loop(
    store: type[MemoryStore], act: Callable[[Any], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In words that name the store and what to try it with, instead of a loop without end."""
    monkeypatch.setattr(swaps, "TRIES", 200)
    broken = store()
    broken._texts["r"] = Record(2**50 + 1, Checkpoint(number=1, schema=ROWS.schema), ClaimId(5, "t")).to_json()
    with pytest.raises(StoreError, match=r"memory:.* breaks its contract.*StoreContract"):
        act(broken)


def test_a_refusal_that_cannot_be_is_given_up_soon() -> None:
    """Ten thousand tries are for a store that is busy, not for one that shows the very version that it refuses."""

    class Counted(Full):
        tried = 0

        def swap(self, name: str, version: int, record: Record | None) -> bool:
            self.tried += 1
            return super().swap(name, version, record)

    store = Counted()
    with pytest.raises(StoreError, match="breaks its contract"):
        enqueue(store, "r", lambda last: last)
    assert 1 < store.tried <= 10


def test_a_busy_store_is_tried_until_it_takes() -> None:
    """A hundred others in between, each of which leaves a greater version, are no reason to give up."""
    store = Busy()
    store.left = 0
    enqueue(store, "r", lambda last: last)
    store.left = 100
    assert ask(store, "r", "terminate") is not None
    assert 0 == store.left
    record = store.load("r")
    assert record is not None
    assert "terminated" == record.checkpoint.outcome


def test_a_sink_that_refuses_every_claim_is_given_up() -> None:
    """However new the claim is made: the sink's own words arrive."""

    class Jealous(MemorySink):
        opened = 0

        def open(self, claim: Any, last: Checkpoint) -> Any:
            self.opened += 1
            error = Superseded("Somebody else has it.")
            error.epoch = claim.id.epoch + 1
            raise error

    sink = Jealous()
    with pytest.raises(Superseded, match="Somebody else has it"):
        Pipeline(Rows(pa.table({"n": [1]})), sink, name="r", store=MemoryStore()).run()
    assert 1 < sink.opened < 20

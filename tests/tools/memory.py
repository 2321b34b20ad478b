"""A source and a sink in memory, with a target, a staging and a ledger row of their own: the smallest honest pair.

Every effect of the sink is one atomic step of its `World`, as a transaction is; `World.step` is called before and
after each, so that a test can crash the process there or let another session run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pyarrow as pa

from resumable.checkpoint import Checkpoint, ClaimId
from resumable.errors import Superseded, TargetChanged
from resumable.protocols import Batch, Claimant, Reject, Writer

SCHEMA = pa.schema([("n", pa.int64())])


class MemorySource:
    """The integers 1 to `rows`, `batch` at a time."""

    def __init__(self, rows: int = 6, batch: int = 2, mark: str = "a") -> None:
        self.rows, self.batch, self.mark = rows, batch, mark

    def identity(self) -> dict[str, Any]:
        return {"rows": self.rows, "mark": self.mark}

    def changed(self, identity: dict[str, Any], position: Any) -> str | None:
        now = self.identity()
        return None if now == identity else f"it was {identity} and is {now}"

    def schema(self) -> pa.Schema:
        return SCHEMA

    def read(self, schema: pa.Schema, position: Any, identity: dict[str, Any]) -> Iterator[Batch]:
        at = position["n"] if position else 0
        while at < self.rows:
            end = min(at + self.batch, self.rows)
            rows = pa.RecordBatch.from_pydict({"n": list(range(at + 1, end + 1))}, schema=schema)
            yield Batch(rows, {"n": end}, at + 1, end / self.rows)
            at = end

    def describe(self) -> str:
        return f"{self.rows} integers in memory."


@dataclass
class World:
    """What outlives a process: the target's rows, the staging (None: there is none), the ledger's row."""

    target: list[int] = field(default_factory=lambda: [-1])
    staging: list[int] | None = None
    ledger: str | None = None
    step: Callable[[str], None] = lambda what: None

    def do(self, what: str, effect: Callable[[], Any]) -> Any:
        self.step(f"before {what}")
        result = effect()
        self.step(f"after {what}")
        return result

    def row(self) -> Checkpoint | None:
        return None if self.ledger is None else Checkpoint.from_json(json.loads(self.ledger)["cp"], "ledger")

    def by(self) -> ClaimId:
        assert self.ledger is not None
        return ClaimId(*json.loads(self.ledger)["by"])

    def put(self, by: ClaimId, last: Checkpoint) -> None:
        self.ledger = json.dumps({"by": [by.epoch, by.token], "cp": last.to_json()})


class MemorySink:
    """Appends to `World.target`, by the protocol of a database with a ledger. `skip` names the rules to break."""

    def __init__(self, world: World, skip: frozenset[str] = frozenset()) -> None:
        self.world, self.skip = world, skip

    def open(self, claim: Claimant, last: Checkpoint) -> Writer:
        return self.world.do("open", lambda: self._open(claim, last))

    def _open(self, claim: Claimant, last: Checkpoint) -> Writer:
        world, row = self.world, self.world.row()
        made = False
        if row is None:
            if last.outcome:
                return MemoryWriter(self, claim, last, made)
            if last.number:
                raise TargetChanged("the ledger row is gone")
            row, made = replace(last.next(), claim=claim.id), True
        elif world.by() > claim.id:
            error = Superseded("the ledger has a newer claim")
            error.epoch = world.by().epoch
            raise error
        elif row.finished:
            if last.number or last.claim < row.claim:
                return MemoryWriter(self, claim, row, made)
            row, made = replace(last.follow(row).next(), claim=claim.id), True
        if made:
            world.staging = []
        row = replace(row, claim=claim.id)
        if "fence" in self.skip and not made:
            return MemoryWriter(self, claim, row, made)
        world.put(claim.id, row)
        return MemoryWriter(self, claim, row, made)

    def describe(self) -> str:
        return "A list in memory."


class MemoryWriter:
    def __init__(self, sink: MemorySink, claim: Claimant, last: Checkpoint, made: bool) -> None:
        self.sink, self.world, self.claim, self.last, self.made = sink, sink.world, claim, last, made
        self.pending: list[int] = []

    def accepted(self) -> None: ...

    def discard(self) -> None:
        def effect() -> None:
            row = self.world.row()
            if self.made and row is not None and self.world.by() == self.claim.id and row.number == 1:
                self.world.staging = None
                self._put_back(row)

        if "discard" not in self.sink.skip:
            self.world.do("discard", effect)

    def write(self, batch: Batch) -> tuple[Reject, ...]:
        self.pending += batch.rows["n"].to_pylist()
        return ()

    def _check(self, checkpoint: Checkpoint) -> None:
        row = self.world.row()
        if row is None or ("claim" not in self.sink.skip and self.world.by() != self.claim.id):
            raise Superseded("the ledger has another claim")
        if "number" not in self.sink.skip and row.number + 1 != checkpoint.number:
            raise Superseded("the ledger has another number")

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        checkpoint = replace(checkpoint, claim=self.claim.id)

        def effect() -> None:
            self._check(checkpoint)
            self.world.staging = (self.world.staging or []) + self.pending
            self.world.put(self.claim.id, checkpoint)

        self.world.do("commit", effect)
        self.pending, self.last = [], checkpoint
        return checkpoint

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        checkpoint = replace(checkpoint, claim=self.claim.id)

        def effect() -> None:
            self._check(checkpoint)
            assert self.world.staging is not None
            self.world.target = self.world.target + self.world.staging
            self.world.staging = None
            self.world.put(self.claim.id, checkpoint)

        self.world.do("publish", effect)
        self.last = checkpoint
        return checkpoint

    def clean_up(self) -> None:
        def effect() -> None:
            row = self.world.row()
            if row is None:
                return
            if self.world.by() != self.claim.id:
                raise Superseded("the ledger has another claim")
            self.world.staging = None
            if row.outcome == "completed":
                self.world.put(self.claim.id, replace(row, finished=True))
            elif not row.finished:
                self._put_back(row)

        self.world.do("clean_up", effect)

    def _put_back(self, row: Checkpoint) -> None:
        previous = row.put_back(self.claim.id)
        self.world.ledger = None
        if previous is not None and "previous" not in self.sink.skip:
            self.world.put(self.claim.id, previous)

    def is_published(self) -> bool:
        return True

    def __enter__(self) -> MemoryWriter:
        return self

    def __exit__(self, *error: object) -> None: ...

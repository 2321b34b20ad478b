"""Checkpoint, the record that a store keeps of a run, and their JSON form.

Laws kept here:

* A run's stage is told here alone, and only the transitions of stages.py are made.
* Nothing here holds a password: definitions carry URLs without one.

docs/checkpoint-format.md describes every field.
"""

from __future__ import annotations

import base64
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, Protocol, TypeAlias

import pyarrow as pa

from resumable.sealing import reading, seal, unseal
from resumable.stages import DECIDED, FINISHED, TRANSITIONS, Stage

__all__ = ["Checkpoint", "CheckpointStore", "ClaimId", "Json", "Outcome", "Owner", "Record", "Session", "location"]

Json: TypeAlias = Any
"""Whatever `json` can write and read back as it was."""

Outcome: TypeAlias = Literal["", "completed", "terminated"]


@dataclass(frozen=True, slots=True, order=True)
class ClaimId:
    """Who may write: compared for equality ("mine?") and order ("newer?").

    `epoch` is milliseconds since 1970, or one more than the greatest known; `token` is random.
    """

    epoch: int = 0
    token: str = ""


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that made a claim, in enough detail to tell whether it still lives.

    Process ids are reused, and pid 1 of a container always looks alive: hence `boot`, `pid_namespace` and `start_time`.
    """

    host: str
    boot: str
    pid_namespace: str
    pid: int
    start_time: str
    since: float

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True, slots=True)
class Session:
    """One runner's share of a run: `started` in seconds since 1970, `seconds` it was active, `rows` it committed."""

    started: float
    seconds: float = 0.0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The last committed moment of a run. `number` only grows; 0 means that nothing was committed yet."""

    number: int = 0
    claim: ClaimId = ClaimId()
    position: Json = None
    """Where the source reads on; None is the beginning."""
    rows: int = 0
    """Rows committed, over all sessions."""
    rejected: int = 0
    """Rows put into quarantine, over all sessions."""
    fraction: float | None = None
    sink: Json = None
    """What the sink needs to get back to this moment. Only the sink reads it."""
    quarantine_state: Json = None
    """Likewise for the quarantine of rejected rows."""
    source: dict[str, Json] = field(default_factory=dict)
    """The source's identity when the run began."""
    schema: pa.Schema | None = None
    """What the source yields, frozen when the run began."""
    output_schema: pa.Schema | None = None
    """What the sink is given: the schema after the transform."""
    definition: dict[str, Json] = field(default_factory=dict)
    """What `resumable resume NAME` rebuilds the pipeline from; without passwords."""
    sessions: tuple[Session, ...] = ()
    complete: bool = False
    """All input is in; only publishing remains."""
    outcome: Outcome = ""
    """Decided in the sink: "completed" or "terminated"."""
    finished: bool = False
    """Nothing of ours is left but what was published and its ledger row."""
    ended: float = 0.0
    """When the outcome was decided, in seconds since 1970 by the runner's clock; 0 before."""
    stopped_as: Literal["", "paused", "failed", "terminated"] = ""
    """How the last session stopped, if it lived to say so. "terminated": a run that followed this one was."""
    error: str = ""
    previous: Checkpoint | None = None
    """The completed run of this name before this one, until this one is published: what terminate puts back."""

    @property
    def stage(self) -> Stage:
        """How far the run has come. Nobody else compares number, complete, outcome and finished."""
        match self.outcome:
            case "completed":
                return "completed" if self.finished else "published"
            case "terminated":
                return "terminated" if self.finished else "rolling back"
        if self.complete:
            return "loaded"
        return "loading" if self.is_begun else "new"

    @property
    def is_begun(self) -> bool:
        """Whether anything was committed, whatever has become of it."""
        return self.number > 0

    @property
    def is_published(self) -> bool:
        """Whether it is decided that the run is completed."""
        return self.stage in ("published", "completed")

    @property
    def is_called_off(self) -> bool:
        """Whether it is decided that the run is terminated."""
        return self.stage in ("rolling back", "terminated")

    @property
    def is_decided(self) -> bool:
        """Whether the sink knows how the run ends."""
        return self.stage in DECIDED

    @property
    def is_finished(self) -> bool:
        """Whether nothing is left to be done."""
        return self.stage in FINISHED

    def next(self, **changes: Any) -> Checkpoint:
        """The checkpoint after this one."""
        return self._becomes(replace(self, number=self.number + 1, **changes))

    def finish(self) -> Checkpoint:
        """This decided checkpoint, once nothing is left to be removed; safe to repeat."""
        return self if self.is_finished else self._becomes(replace(self, finished=True))

    def call_off(self) -> Checkpoint:
        """This beginning of a run, terminated before anything was made for it."""
        return self._becomes(replace(self, outcome="terminated", finished=True))

    def _becomes(self, following: Checkpoint) -> Checkpoint:
        if following.stage not in TRANSITIONS[self.stage]:
            raise ValueError(f"A run that is {self.stage} can't become {following.stage}.")
        return following

    def follow(self, before: Checkpoint) -> Checkpoint:
        """This beginning of a run as the successor of the run `before`, which is its `previous` if it is completed."""
        if before.stage != "completed":
            return replace(self, previous=None)
        return replace(self, previous=replace(before, previous=None, stopped_as="", error=""))

    def put_back(self, claim: ClaimId) -> Checkpoint | None:
        """What is remembered once this run was called off: the completed run before it, if there was one."""
        return None if self.previous is None else replace(self.previous, claim=claim, stopped_as="terminated")

    def remembered(self, claim: ClaimId) -> Checkpoint:
        """What the store remembers of this finished run: of a terminated one, the completed run before it, if there was one."""
        before = self.put_back(claim) if self.stage == "terminated" else None
        return self if before is None else before

    def was_put_back(self, in_target: Checkpoint) -> bool:
        """Whether the target has the completed run before this one: then this one was called off."""
        return self.previous is not None and in_target.is_finished and in_target.sessions == self.previous.sessions

    def to_json(self) -> str:
        """One line of JSON, with a version and a checksum."""
        return seal(_plain(self))

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Checkpoint:
        """Read what `to_json` wrote; `where` is named in the `CorruptCheckpoint` that anything else gets."""
        with reading(where):
            return _checkpoint(unseal(text, where))


@dataclass(frozen=True, slots=True)
class Record:
    """All that a store keeps of a run: the last checkpoint, who holds the claim, what is asked of it."""

    version: int = 0
    """Grows by one with every swap; 0 is no record."""
    checkpoint: Checkpoint = Checkpoint()
    claim: ClaimId = ClaimId()
    owner: Owner | None = None
    """None once the runner has left in good order."""
    heartbeat: int = 0
    """Grows while the owner lives."""
    heartbeat_at: float = 0.0
    """The owner's clock at that beat: for display, never for safety."""
    asked: Literal["", "pause", "resume", "terminate"] = ""
    asked_of: ClaimId = ClaimId()
    """A pause binds only this claim; terminate binds any; resume is for whoever serves the store."""
    consecutive_crashes: int = 0
    """Runners in a row that died before they committed anything."""

    def to_json(self) -> str:
        """One line of JSON, with a version and a checksum."""
        body = {
            "version": self.version,
            "claim": asdict(self.claim),
            "owner": None if self.owner is None else asdict(self.owner),
            "heartbeat": self.heartbeat,
            "heartbeat_at": self.heartbeat_at,
            "consecutive_crashes": self.consecutive_crashes,
            "asked": self.asked,
            "asked_of": asdict(self.asked_of),
            "checkpoint": _plain(self.checkpoint),
        }
        return seal(body)

    @classmethod
    def from_json(cls, text: str | bytes, where: str) -> Record:
        """Read what `to_json` wrote; `where` is named in the `CorruptCheckpoint` that anything else gets."""
        with reading(where):
            body = unseal(text, where)
            return cls(
                version=body["version"],
                checkpoint=_checkpoint(body["checkpoint"]),
                claim=ClaimId(**body["claim"]),
                owner=None if body["owner"] is None else Owner(**body["owner"]),
                heartbeat=body["heartbeat"],
                heartbeat_at=body["heartbeat_at"],
                consecutive_crashes=body.get("consecutive_crashes", 0),
                asked=body["asked"],
                asked_of=ClaimId(**body["asked_of"]),
            )


class CheckpointStore(Protocol):
    """Remembers one `Record` a run, by name. Claims and requests are built on `swap` alone (control/).

    MUST: `swap` is one atomic compare-and-set between all processes that use the store, and durable when it
    returns. MUST: `load` returns what the last successful swap wrote. MUST: names don't touch each other.
    A store raises `StoreError` when it can't be reached and `CorruptCheckpoint` for what it can't read.
    """

    location: str
    """Where it is, for messages: the same however often it is opened, another for another store; no password."""

    def load(self, name: str) -> Record | None:
        """What is known of a run; None if nothing is."""
        ...

    def names(self) -> list[str]:
        """The names of all runs, sorted."""
        ...

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        """Replace the record whose version is `version` (0: there is none); None removes it.

        False, and nothing changed, if another version is stored.
        """
        ...


def location(store: CheckpointStore) -> str:
    """Where a store is; of one that doesn't say, what it is."""
    return str(getattr(store, "location", "") or repr(store))


def _plain(c: Checkpoint) -> dict[str, Json]:
    out = {f: getattr(c, f) for f in Checkpoint.__dataclass_fields__}
    out["claim"] = asdict(c.claim)
    out["sessions"] = [[s.started, s.seconds, s.rows] for s in c.sessions]
    out["previous"] = None if c.previous is None else _plain(c.previous)
    for f in ("schema", "output_schema"):
        if out[f] is not None:
            out[f] = base64.b64encode(out[f].serialize().to_pybytes()).decode()
    return out


def _checkpoint(body: dict[str, Json]) -> Checkpoint:
    body = dict(body)
    body["claim"] = ClaimId(**body["claim"])
    body["sessions"] = tuple(Session(*s) for s in body["sessions"])
    body["previous"] = None if body["previous"] is None else _checkpoint(body["previous"])
    for f in ("schema", "output_schema"):
        if body[f] is not None:
            body[f] = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(body[f])))
    return Checkpoint(**body)

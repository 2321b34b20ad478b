"""Where a run stands: its progress, in figures, in words and for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Literal, TypeAlias

from resumable.checkpoint import Checkpoint, CheckpointStore, Json, Record, Session
from resumable.control.status import Status, pending_request, status_of, whereabouts
from resumable.errors import CorruptCheckpoint

__all__ = ["Progress", "Runs"]

Asked: TypeAlias = Literal["", "pause", "resume", "terminate"]

ASKED = {"pause": "asked to pause", "terminate": "asked to terminate: the next to run it rolls it back"}
"""Requests that stand, in words; of a `resume`, the state says enough."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands, over all its sessions; every number is of committed rows.

    `fraction` 0 to 1, or None where the source can't tell. `seconds` is active time: pauses, crashes and the time
    the caller's loop took are left out. `rate` in rows a second of it; `eta` in seconds, or None. `asked`: what is
    asked of it and not yet done. `history` are the sessions themselves, for the picture that a notebook shows.
    `pending` rows are read and written, and count only together with what follows: their source can't be read on from
    its middle. `fraction` is then of what is read.
    """

    name: str
    status: Status
    rows: int = 0
    rejected: int = 0
    fraction: float | None = None
    seconds: float = 0.0
    rate: float | None = None
    eta: float | None = None
    sessions: int = 0
    message: str = ""
    asked: Asked = ""
    history: tuple[Session, ...] = field(default=(), repr=False)
    pending: int = 0

    @classmethod
    def of(cls, name: str, status: Status, last: Checkpoint, message: str = "", asked: Asked = "") -> Progress:
        """What a checkpoint says."""
        seconds = sum(s.seconds for s in last.sessions)
        fraction = 1.0 if last.is_published else last.fraction
        eta = None
        if fraction and seconds and status not in ("completed", "terminated"):
            eta = seconds * (1 - fraction) / fraction
        return cls(
            name=name,
            status=status,
            rows=last.rows,
            rejected=last.rejected,
            fraction=fraction,
            seconds=seconds,
            rate=last.rows / seconds if seconds else None,
            eta=eta,
            sessions=len(last.sessions),
            message=message or last.error,
            asked=asked,
            history=last.sessions,
        )

    @classmethod
    def from_record(cls, name: str, record: Record | None) -> Progress:
        """What a store's record says; None is a run that nobody has begun."""
        last, asked = record.checkpoint if record else Checkpoint(), pending_request(record)
        return cls.of(name, status_of(record), last, whereabouts(record), asked)

    def to_dict(self) -> dict[str, Json]:
        """The same, ready for JSON; without `history`, which would make every line long."""
        return {f.name: getattr(self, f.name) for f in fields(self) if f.name != "history"}

    def facts(self) -> list[str]:
        """What it says in figures: rows, rejected rows, percent, rate, time left, as far as they are known."""
        parts = [f"{self.rows:,} rows"]
        if self.pending:
            parts.append(f"{self.pending:,} more are kept only once all are in (a resume reads them again)")
        if self.rejected:
            parts.append(f"{self.rejected:,} rejected")
        if self.fraction is not None:
            parts.append(f"{self.fraction:.0%}")
        if self.rate:
            parts.append(f"{self.rate:,.0f} rows/s")
        if self.eta is not None:
            parts.append(f"{timedelta(seconds=round(self.eta))} left")
        return parts

    def summary(self) -> str:
        """The facts, what is asked of it, and the message, in a line."""
        parts = (", ".join(self.facts()), ASKED.get(self.asked, ""), self.message)
        return " - ".join(part for part in parts if part)

    def __str__(self) -> str:
        return f"{self.name}: {self.status}, {self.summary()}"

    def _repr_html_(self) -> str:
        from resumable.notebook.cards import card

        return card(self)


class Runs(list[Progress]):
    """A list of runs, which a notebook shows as a table. `unreadable`: records of others, which must not hide these."""

    def __init__(self, runs: Iterable[Progress] = (), unreadable: Iterable[CorruptCheckpoint] = ()) -> None:
        super().__init__(runs)
        self.unreadable = list(unreadable)

    @classmethod
    def from_store(cls, store: CheckpointStore) -> Runs:
        """All that the store knows, sorted by name."""
        runs = cls()
        for name in store.names():
            try:
                record = store.load(name)
            except CorruptCheckpoint as error:
                runs.unreadable.append(error)
            else:
                if record is not None:
                    runs.append(Progress.from_record(name, record))
        return runs

    def _repr_html_(self) -> str:
        from resumable.notebook.cards import note, table

        return table(self) + "".join(note(str(error)) for error in self.unreadable)

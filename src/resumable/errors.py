"""Every deliberate exception: what happened, what is still safe, what to do next.

Split by who has to act:

* `Stopped` - the run did as it was asked: `Paused`, `Terminated`.
* `Conflict` - somebody else has the run, or has ended it: `AlreadyRunning`, `Superseded`,
  `AlreadyCompleted`, `UnknownRun`, `NotHonoured`.
* `Changed` - the world differs from what the checkpoint remembers: `SourceChanged`, `TargetChanged`,
  `OptionsChanged`, `CorruptCheckpoint`.
* `Refused` - the input or the call can't be carried out: `SourceError`, `BadRow`, `TargetError`,
  `TargetExists`, `UsageError`.
* `StoreError`, `ConnectionLost` - something beneath us failed; the run can be resumed.

No message ever holds a password: texts from drivers pass through `resumable.redaction.redact`.
"""

from __future__ import annotations

__all__ = [
    "AlreadyCompleted",
    "AlreadyRunning",
    "BadRow",
    "Changed",
    "Conflict",
    "ConnectionLost",
    "CorruptCheckpoint",
    "NotHonoured",
    "OptionsChanged",
    "Paused",
    "Refused",
    "ResumableError",
    "SourceChanged",
    "SourceError",
    "Stopped",
    "StoreError",
    "Superseded",
    "TargetChanged",
    "TargetError",
    "TargetExists",
    "Terminated",
    "UnknownRun",
    "UsageError",
]


class ResumableError(Exception):
    """The root of the family.

    `what` happened, what is still `safe`, what to `do` next: three sentences, joined by `str()`.
    """

    transient: bool = False
    """Whether the same may succeed a moment later: a connection broke, or can't be made. A running session waits."""

    def __init__(self, what: str, *, safe: str = "", do: str = "") -> None:
        self.what, self.safe, self.do = what, safe, do
        super().__init__(" ".join(part for part in (what, safe, do) if part))

    def add(self, sentence: str) -> None:
        """Say one thing more of what is still safe."""
        self.safe = " ".join(part for part in (self.safe, sentence) if part)
        self.args = (" ".join(part for part in (self.what, self.safe, self.do) if part),)


class Stopped(ResumableError):
    """The run did as it was asked; raised so that the line after the loop never runs on half a table."""

    def _render_traceback_(self) -> list[str]:
        """What IPython shows of it: a message, since nothing went wrong that a traceback could explain."""
        return [str(self)]


class Paused(Stopped):
    """A pause was asked for and honoured at a commit; the same call goes on from there."""

    def _render_traceback_(self) -> list[str]:
        return [" ".join(part for part in (self.what, self.safe, "Run the cell again to go on.") if part)]


class Terminated(Stopped):
    """The run was called off; the target is as it was before."""


class Conflict(ResumableError):
    """Somebody else has the run, or it has ended."""


class AlreadyRunning(Conflict):
    """A live runner has this run; nothing was changed."""


class Superseded(Conflict):
    """Another runner has taken this run over; what this one had not committed is dropped."""

    epoch: int = 0
    """The epoch of the newer claim, where it was met in the target at an opening."""


class AlreadyCompleted(Conflict):
    """The run is completed and published: it can't be paused or terminated any more."""


class UnknownRun(Conflict):
    """The store knows no run of this name."""


class NotHonoured(Conflict):
    """A request was left in the store, and the runner has not acted on it in the time given."""


class Changed(ResumableError):
    """The world differs from what the checkpoint remembers; nothing was written."""


class SourceChanged(Changed):
    """The source isn't what the run began with."""


class TargetChanged(Changed):
    """The target lost what the run had committed, or went back in time."""


class OptionsChanged(Changed):
    """The run was begun with other options."""


class CorruptCheckpoint(Changed):
    """A checkpoint can't be read, or is from a newer version: never taken for an empty one."""


class Refused(ResumableError):
    """The input or the call can't be carried out as it stands."""


class SourceError(Refused):
    """The source can't be read: missing, malformed, without a key."""


class BadRow(SourceError):
    """A row doesn't fit.

    `row` counts data rows from 1; `offset` is the byte at which the record begins; either may be unknown.
    """

    def __init__(
        self,
        what: str,
        *,
        row: int | None = None,
        offset: int | None = None,
        column: str | None = None,
        safe: str = "",
        do: str = "",
    ) -> None:
        self.row, self.offset, self.column = row, offset, column
        super().__init__(what, safe=safe, do=do)


class TargetError(Refused):
    """The target refuses: no permission, no space, a constraint, a type."""


class TargetExists(TargetError):
    """The target is there already and `if_exists="fail"`."""


class UsageError(Refused):
    """Arguments that make no sense together: noticed before anything is touched, unless it says otherwise."""

    def __init__(self, what: str, *, safe: str = "Nothing was touched.", do: str = "") -> None:
        super().__init__(what, safe=safe, do=do)


class StoreError(ResumableError):
    """The checkpoint store can't be read or written; the run can be resumed once it can."""


class ConnectionLost(ResumableError):
    """The connection to a database broke, and couldn't be had again in time; the run can be resumed once it is back."""

    transient = True

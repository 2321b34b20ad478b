"""Move many rows, stop at any moment, go on or call it off: exactly once.

An upload that goes on from its last commit, whatever stopped it:

    import resumable

    for progress in resumable.upload("orders.csv", "sqlite:///shop.db", "orders"):
        print(progress)
"""

from typing import TYPE_CHECKING

from resumable import (
    errors,
    starting,  # noqa: F401 - first: what follows may take a while
)
from resumable.errors import (
    AlreadyCompleted,
    AlreadyRunning,
    BadRow,
    ConnectionLost,
    CorruptCheckpoint,
    NotHonoured,
    OptionsChanged,
    Paused,
    ResumableError,
    SourceChanged,
    SourceError,
    StoreError,
    Superseded,
    TargetChanged,
    TargetError,
    TargetExists,
    Terminated,
    UnknownRun,
    UsageError,
)
from resumable.lazy import lazy

if TYPE_CHECKING:
    from resumable import sinks, sources, stores
    from resumable.checkpoint import Checkpoint, CheckpointStore, ClaimId, Record
    from resumable.exports import export
    from resumable.pipeline import Pipeline
    from resumable.progress import Progress
    from resumable.protocols import Batch, Claimant, Reject, Sink, Source, Writer
    from resumable.run import Run, runs
    from resumable.uploads import upload

__version__ = "0.1.0"

__all__ = [
    "AlreadyCompleted",
    "AlreadyRunning",
    "BadRow",
    "Batch",
    "Checkpoint",
    "CheckpointStore",
    "ClaimId",
    "Claimant",
    "ConnectionLost",
    "CorruptCheckpoint",
    "NotHonoured",
    "OptionsChanged",
    "Paused",
    "Pipeline",
    "Progress",
    "Record",
    "Reject",
    "ResumableError",
    "Run",
    "Sink",
    "Source",
    "SourceChanged",
    "SourceError",
    "StoreError",
    "Superseded",
    "TargetChanged",
    "TargetError",
    "TargetExists",
    "Terminated",
    "UnknownRun",
    "UsageError",
    "Writer",
    "errors",
    "export",
    "runs",
    "sinks",
    "sources",
    "stores",
    "upload",
]

_HOMES = {
    "resumable.sinks": ["sinks"],
    "resumable.sources": ["sources"],
    "resumable.stores": ["stores"],
    "resumable.checkpoint": ["Checkpoint", "CheckpointStore", "ClaimId", "Record"],
    "resumable.exports": ["export"],
    "resumable.pipeline": ["Pipeline"],
    "resumable.progress": ["Progress"],
    "resumable.protocols": ["Batch", "Claimant", "Reject", "Sink", "Source", "Writer"],
    "resumable.run": ["Run", "runs"],
    "resumable.uploads": ["upload"],
}
"""Where each public name is at home: it is loaded from there when it is first used."""

if not TYPE_CHECKING:
    __getattr__, __dir__ = lazy(__name__, _HOMES)

"""Move many rows, stop at any moment, go on or call it off: exactly once.

An upload that goes on from its last commit, whatever stopped it:

    import resumable

    for progress in resumable.upload("orders.csv", "sqlite:///shop.db", "orders"):
        print(progress)
"""

from resumable import starting  # noqa: F401 - first: what follows takes a second

# isort: split
from resumable import errors, sinks, sources, stores
from resumable.checkpoint import Checkpoint, CheckpointStore, ClaimId, Record
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
from resumable.export import export
from resumable.pipeline import Pipeline
from resumable.progress import Progress
from resumable.protocols import Batch, Claimant, Reject, Sink, Source, Writer
from resumable.run import Run, runs
from resumable.upload import upload

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

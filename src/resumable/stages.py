"""The stages of a run, and which may follow which: a checkpoint tells its own, and refuses to become any other.

A run after a completed one begins at "new" again, with the completed one as its `previous`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

__all__ = ["DECIDED", "FINISHED", "TRANSITIONS", "Stage"]

Stage: TypeAlias = Literal["new", "loading", "loaded", "published", "rolling back", "completed", "terminated"]

TRANSITIONS: dict[Stage, frozenset[Stage]] = {
    # Nothing is committed. A run that is called off here has nothing to roll back.
    "new": frozenset({"loading", "terminated"}),
    # A sink may find that it has published what a store that was put back doesn't know to be loaded.
    "loading": frozenset({"loading", "loaded", "published", "rolling back"}),
    # All input is in. Rows that publishing would refuse are put aside by a commit that stays here.
    "loaded": frozenset({"loaded", "published", "rolling back"}),
    # Decided in the sink; what the run made beside the target is still to be removed.
    "published": frozenset({"completed"}),
    "rolling back": frozenset({"terminated"}),
    # Nothing of the run is left but what was published and its ledger row.
    "completed": frozenset(),
    "terminated": frozenset(),
}

DECIDED: frozenset[Stage] = frozenset({"published", "rolling back", "completed", "terminated"})
FINISHED: frozenset[Stage] = frozenset({"completed", "terminated"})

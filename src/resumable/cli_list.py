"""`resumable list`: apart from the other commands, since it loads neither sources nor sinks."""

from __future__ import annotations

import argparse
import json

from resumable.checkpoint import location
from resumable.progress import Runs
from resumable.stores import open_store
from resumable.terminal import print_lines, say

__all__ = ["list_runs"]


def list_runs(a: argparse.Namespace) -> int:
    store = open_store(a.store)
    runs = Runs.from_store(store)
    print_lines(*(json.dumps(run.to_dict()) if a.json else str(run) for run in runs))
    if not (runs or runs.unreadable or a.json):
        say(f"No runs are known in {location(store)}. --store names another store.", 0)
    return max((say(error, 1) for error in runs.unreadable), default=0)

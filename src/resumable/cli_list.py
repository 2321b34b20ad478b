"""`resumable list`: apart from the other commands, since it loads neither sources nor sinks."""

from __future__ import annotations

import argparse
import json

from resumable.checkpoint import location
from resumable.errors import CorruptCheckpoint
from resumable.progress import Progress
from resumable.stores import open_store
from resumable.terminal import print_lines, say

__all__ = ["list_runs"]


def list_runs(a: argparse.Namespace) -> int:
    store, found, unreadable = open_store(a.store), [], []
    names = store.names()
    for name in names:
        try:
            if (record := store.load(name)) is not None:
                found.append(Progress.from_record(name, record))
        except CorruptCheckpoint as error:  # one that can't be read mustn't hide the others
            unreadable.append(error)
    print_lines(*(json.dumps(run.to_dict()) if a.json else str(run) for run in found))
    if not names and not a.json:
        say(f"No runs are known in {location(store)}. --store names another store.", 0)
    return max((say(error, 1) for error in unreadable), default=0)

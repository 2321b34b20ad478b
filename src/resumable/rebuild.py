"""A pipeline rebuilt from what the store remembers of its run, for `resumable resume NAME` and `terminate NAME`.

The store keeps no password. A URL given again, or one in RESUMABLE_SOURCE_URL or RESUMABLE_TARGET_URL, replaces the
remembered one, if it means the same database; PGPASSWORD and .pgpass work as ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from resumable.checkpoint import CheckpointStore, Json
from resumable.errors import UnknownRun, UsageError
from resumable.export import export
from resumable.naming import place
from resumable.pipeline import Pipeline
from resumable.upload import upload

__all__ = ["rebuild"]


def rebuild(store: CheckpointStore, name: str, *, source: str | None = None, target: str | None = None) -> Pipeline:
    """The pipeline of run `name`. Raises `UnknownRun`, and `UsageError` if only its script can build it."""
    record = store.load(name)
    if record is None:
        raise UnknownRun(
            f"No run {name!r} is known here.",
            safe="Nothing was changed.",
            do="`resumable list` shows the runs that the store knows; --store names another store.",
        )
    kept: dict[str, Json] = record.checkpoint.definition
    options = dict(kept.get("options", {}))
    kind = kept.get("kind")
    if kind not in ("upload", "export") or not kept["source"] or not kept["target"] or options.pop("transform"):
        raise UsageError(
            f"Run {name!r} can't be rebuilt from the store: its source, sink or transform lives in a Python program.",
            safe="Nothing was changed.",
            do="Run that program again; it goes on by itself.",
        )
    common: dict[str, Any] = {"name": name, "store": store, "every": kept["every"], "format": kept["format"]}
    if kind == "upload":
        url = _same(kept["target"], target, "target", "RESUMABLE_TARGET_URL")
        path = _same(kept["source"], source, "source", "", os.path.realpath)
        options["null_values"] = tuple(options["null_values"])
        return upload(path, url, kept["table"], **options, **common)
    url = _same(kept["source"], source, "source", "RESUMABLE_SOURCE_URL")
    path = _same(kept["target"], target, "target", "", os.path.abspath)
    return export(url, kept["what"], path, **options, **common)


def _same(
    kept: str, given: str | None, which: str, variable: str, meaning: Callable[[str], str] = place
) -> str:
    """The remembered place, or the one given again, if that is the same."""
    now = given or (os.environ.get(variable) if variable else None) or kept
    if meaning(now) != meaning(kept):
        told = f"--{which}" if given else variable
        raise UsageError(
            f"{told} names another {which} than the run's, which is {kept}.",
            safe="Nothing was changed.",
            do=f"Give the same {which}, or leave it out.",
        )
    return now

"""A pipeline rebuilt from what the store remembers of its run, for `resumable resume NAME` and `terminate NAME`.

The store keeps no password. A URL given again, or one in RESUMABLE_SOURCE_URL or RESUMABLE_TARGET_URL, replaces the
remembered one, if it means the same database; PGPASSWORD and .pgpass work as ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import make_url

from resumable.checkpoint import CheckpointStore, Json
from resumable.errors import Refused, UsageError
from resumable.exports import export
from resumable.pipeline import Pipeline
from resumable.run_handle import unknown
from resumable.run_names import file_path, place
from resumable.uploads import upload

__all__ = ["again", "rebuild", "rebuildable"]


def rebuild(store: CheckpointStore, name: str, *, source: str | None = None, target: str | None = None) -> Pipeline:
    """The pipeline of run `name`. Raises `UnknownRun`, and `Refused` if only its program can build it."""
    record = store.load(name)
    if record is None:
        raise unknown(name)
    kept: dict[str, Json] = record.checkpoint.definition
    if not record.checkpoint.is_begun and not kept:
        raise Refused(
            f"Run {name!r} was stopped before its first checkpoint: the store doesn't know yet what it is.",
            safe="Nothing was loaded or published.",
            do="Run the line or program that began it again.",
        )
    if not rebuildable(kept):
        raise Refused(
            f"Run {name!r} can't be rebuilt from the store: its source, sink or transform lives in a Python program.",
            safe="Nothing was changed.",
            do="Run that program again, which goes on by itself; in it, pipeline.terminate() calls the run off.",
        )
    kind, options = kept["kind"], {k: v for k, v in kept["options"].items() if k != "transform"}
    common: dict[str, Any] = {"name": name, "store": store, "every": kept["every"], "format": kept["format"]}
    if "schema" in kept:  # it was one of the options once
        common["schema"] = kept["schema"]
    if "reconnect" in kept:
        common["reconnect"] = kept["reconnect"]
    if kind == "upload":
        url = _same(kept["target"], target, "target", place) or again(kept["target"], "RESUMABLE_TARGET_URL")
        path = _same(kept["source"], source, "source", os.path.realpath) or kept["source"]
        options["null_values"] = tuple(options["null_values"])
        return upload(path, url, kept["table"], **options, **common)
    url = _same(kept["source"], source, "source", place) or again(kept["source"], "RESUMABLE_SOURCE_URL")
    path = _same(kept["target"], target, "target", file_path) or kept["target"]
    return export(url, kept["what"], path, **options, **common)


def rebuildable(definition: dict[str, Json]) -> bool:
    """Whether a pipeline can be built from that alone, in any process."""
    named = definition.get("kind") in ("upload", "export") and definition["source"] and definition["target"]
    return bool(named and not definition["options"]["transform"])


def _same(kept: str, given: str | None, which: str, meaning: Callable[[str], str]) -> str | None:
    """The place given again, which must be the remembered one; None if none was given."""
    if given is not None and meaning(given) != meaning(kept):
        raise UsageError(
            f"--{which} names another {which} than the run's, which is {kept}.",
            safe="Nothing was changed.",
            do=f"Give the same {which}, or leave it out.",
        )
    return given


def again(url: str, variable: str) -> str:
    """The URL in the environment `variable`, if it means the same database and `url` has no password; else `url`."""
    other = os.environ.get(variable)
    return other if other and place(other) == place(url) and not make_url(url).password else url

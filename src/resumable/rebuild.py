"""A pipeline rebuilt from what the store remembers of its run, for `resumable resume NAME` and `terminate NAME`.

The store keeps no password. A URL given again, or one in RESUMABLE_SOURCE_URL or RESUMABLE_TARGET_URL, replaces the
remembered one, if it means the same database; PGPASSWORD and .pgpass work as ever.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any, Literal

from sqlalchemy.engine import make_url

from resumable.checkpoint import CheckpointStore, Json
from resumable.databases.identity import database_identity
from resumable.errors import Refused, UsageError
from resumable.exports import export
from resumable.files.local import LOCAL
from resumable.pipeline import Pipeline
from resumable.run_handle import unknown
from resumable.uploads import upload

__all__ = ["rebuild", "rebuildable", "url_from_environment"]


def rebuild(store: CheckpointStore, name: str, *, source: str | None = None, target: str | None = None) -> Pipeline:
    """The pipeline of run `name`. Raises `UnknownRun`, and `Refused` if only its program can build it."""
    record = store.load(name)
    if record is None:
        raise unknown(name)
    definition = record.checkpoint.definition
    if not record.checkpoint.is_begun and not definition:
        raise Refused(
            f"Run {name!r} was stopped before its first checkpoint: the store doesn't know yet what it is.",
            safe="Nothing was loaded or published.",
            do="Run the line or program that began it again.",
        )
    if not rebuildable(definition):
        raise Refused(
            f"Run {name!r} can't be rebuilt from the store: its source, sink or transform lives in a Python program.",
            safe="Nothing was changed.",
            do="Run that program again, which goes on by itself; in it, pipeline.terminate() calls the run off.",
        )
    options: dict[str, Any] = {k: v for k, v in definition["options"].items() if k != "transform"}
    options |= {"name": name, "store": store}
    options |= {k: definition[k] for k in ("every", "format", "schema", "reconnect") if k in definition}
    if definition["kind"] == "upload":
        url = _database(definition["target"], target, "target")
        path = _same(definition["source"], source, "source", os.path.realpath)
        options["null_values"] = tuple(options["null_values"])
        return upload(path, url, definition["table"], **options)
    url = _database(definition["source"], source, "source")
    path = _same(definition["target"], target, "target", partial(LOCAL.address, write=True))
    return export(url, definition["what"], path, **options)


def rebuildable(definition: dict[str, Json]) -> bool:
    """Whether a pipeline can be built from that alone, in any process."""
    named = definition.get("kind") in ("upload", "export") and definition["source"] and definition["target"]
    return bool(named and not definition["options"]["transform"])


def url_from_environment(url: str, variable: str) -> str:
    """The URL in the environment `variable`, if it means the same database and `url` has no password; else `url`."""
    other = os.environ.get(variable)
    if not other or database_identity(other) != database_identity(url) or make_url(url).password:
        return url
    return other


def _database(remembered: str, again: str | None, which: Literal["source", "target"]) -> str:
    """The database's URL, with the password if it was given again, here or in the environment."""
    if again is not None:
        return _same(remembered, again, which, database_identity)
    return url_from_environment(remembered, f"RESUMABLE_{which.upper()}_URL")


def _same(remembered: str, again: str | None, which: str, meaning: Callable[[str], str]) -> str:
    """What was given `again`, which must mean the remembered; else that."""
    if again is None:
        return remembered
    if meaning(again) != meaning(remembered):
        raise UsageError(
            f"--{which} names another {which} than the run's, which is {remembered}.",
            safe="Nothing was changed.",
            do=f"Give the same {which}, or leave it out.",
        )
    return again

"""The simulated power cuts find what they are for: each of these faults, put into the library's own source, is caught.

Where a file system keeps the changes of a folder in order, as ext4 and XFS do, and where it doesn't.
"""

from __future__ import annotations

import inspect
import itertools
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reordering import Trial, World, run, run_taken_over
from resumable.files import partial
from resumable.session import loop as session
from resumable.sinks import file, quarantine
from resumable.stores import files as store

pytestmark = pytest.mark.usefixtures("unhurried")

Change = tuple[Any, str, str, str]


@dataclass(frozen=True)
class Mutant:
    """A fault: owner, function, old text, new text; and where it shows.

    `killed`: only after a process has died, at that change of its run at the earliest. `ordered`: even where names keep their order.
    """

    changes: list[Change]
    way: Callable[[World], None] = field(default=run)
    if_exists: str = "fail"
    aside: bool = False
    killed: int | None = None
    ordered: bool = True


PARTIAL, QUARANTINE = partial.PartialFile, quarantine._QuarantineWriter
SYNC = "sync_folder(self.folder)"
RENAME = "os.rename(temporary, path)"
MUTANTS = {
    "rows aren't synced": Mutant([(PARTIAL, "sync", "os.fsync(", "(")]),
    "a record isn't synced": Mutant([(store, "replace_file", "os.fsync(fd)", "pass")]),
    "a record is renamed before it is synced": Mutant(
        [
            (store, "replace_file", f"    {RENAME}\n", ""),
            (store, "replace_file", "os.fsync(fd)", f"{RENAME}; os.fsync(fd)"),
        ]
    ),
    "a record's folder isn't synced": Mutant([(store, "replace_file", "sync_folder(path.parent)", "pass")]),
    "the folders above a new store aren't synced": Mutant(
        [(store, "make_folder", "make_folder(folder.parent)", "folder.parent.mkdir(parents=True, exist_ok=True)")]
    ),
    "a store's folder that is there isn't synced": Mutant(
        [(store, "make_folder", "sync_folder(folder.parent)\n        return False", "return False")], killed=0
    ),
    "a new partial file's folder isn't synced": Mutant([(PARTIAL, "create", SYNC, "pass")]),
    "the two saves are swapped: the store's, then the rows'": Mutant(
        [
            (file.FileWriter, "commit", "self._file.sync()", "self._file._flush()"),
            (session, "_transfer", "claim.save(done)", "claim.save(done); writer._file.sync()"),
        ]
    ),
    "rejects are synced after the rows' checkpoint": Mutant(
        [
            (QUARANTINE, "commit", "self._file.sync()", "self._file._flush()"),
            (session, "_transfer", "claim.save(done)", "claim.save(done); writer._file.sync()"),
        ],
        aside=True,
    ),
    "a copy for a takeover isn't synced": Mutant(
        [(PARTIAL, "_duplicate", "os.fsync(self._fd)", "pass")], run_taken_over
    ),
    "a copy's folder isn't synced": Mutant([(PARTIAL, "_duplicate", SYNC, "pass")], run_taken_over),
    "a linked file's folder isn't synced": Mutant([(PARTIAL, "publish", SYNC, "pass")]),
    "a renamed file's folder isn't synced": Mutant([(PARTIAL, "publish", SYNC, "pass")], if_exists="replace"),
    "a file found published isn't synced": Mutant([(PARTIAL, "confirm", SYNC, "pass")], if_exists="replace", killed=80),
    "a quarantine file found published isn't synced before its first name goes": Mutant(
        [(PARTIAL, "confirm", SYNC, "pass")], aside=True, killed=80, ordered=False
    ),
    "what is removed isn't synced": Mutant([(PARTIAL, "sweep", SYNC, "pass")]),
    "what is found removed isn't synced": Mutant([(PARTIAL, "sweep", "leftovers or not keep", "leftovers")], killed=80),
}


@pytest.mark.parametrize(
    ("name", "ordered"),
    [(name, ordered) for name, mutant in MUTANTS.items() for ordered in (False, True) if mutant.ordered >= ordered],
)
def test_a_missing_or_misplaced_sync_is_caught(
    name: str, *, ordered: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some state that may be left breaks a promise."""
    mutant = MUTANTS[name]
    for change in mutant.changes:
        alter(monkeypatch, *change)
    trial = Trial(tmp_path, mutant.way, mutant.if_exists, mutant.aside)
    if mutant.killed is None:
        faults = trial.straight(ordered=ordered)
    else:
        faults = trial.killed(itertools.count(mutant.killed), None, late=12, ordered=ordered)
    assert next(faults, None), f"not caught by {trial}"


def alter(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, old: str, new: str) -> None:
    """Put another text into a function's source."""
    function = getattr(owner, name)
    text = getattr(function, "source", None) or textwrap.dedent(inspect.getsource(function))
    assert old in text, f"{name} is written otherwise by now"
    made: dict[str, Any] = {}
    exec(text.replace(old, new), function.__globals__, made)
    made[name].source = text.replace(old, new)  # for a second change
    monkeypatch.setattr(owner, name, made[name])

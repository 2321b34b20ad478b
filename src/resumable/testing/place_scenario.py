"""One path of a place in which a contract writes and reads."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from resumable.checkpoint import ClaimId, Json
from resumable.files.place import IfExists, Partial, Place
from resumable.testing.checks import check

__all__ = ["PlaceScenario", "write"]


class PlaceScenario:
    """One path of a place, and the files that were opened there. `image` shows all there is."""

    def __init__(self, place: Place, path: str, image: Callable[[], object]) -> None:
        self.place, self.path, self.image, self.files = place, path, image, list[Partial]()

    def file(self, epoch: int, run: str = "contract") -> Partial:
        """A file of the path under the claim of that epoch; nothing is made yet."""
        self.files.append(self.place.partial(self.path, run, ClaimId(epoch, f"token{epoch}")))
        return self.files[-1]

    def begin(self, epoch: int = 1, if_exists: IfExists = "fail", run: str = "contract") -> Partial:
        """A new file."""
        file = self.file(epoch, run)
        file.fence()
        file.create(if_exists)
        file.sync()
        return file

    def again(self, epoch: int, state: dict[str, Json], *, takeover: bool = False) -> Partial:
        """The file of an earlier claim, brought back to `state`."""
        file = self.file(epoch)
        file.fence()
        published = file.recover(json.loads(json.dumps(state)), takeover=takeover, complete=False)
        check(not published, "`recover` says that it is published")
        return file

    def put(self, data: bytes, run: str = "put") -> None:
        """A whole file, by another run."""
        file = self.begin(run=run)
        write(file, data)
        file.publish("fail")
        file.sweep()
        file.close()

    def content(self) -> bytes | None:
        """What is at the path; None if nothing is."""
        size = self.place.size(self.path)
        if size is None:
            return None
        with self.place.open(self.path) as file:
            return file.read(0, size)


def write(file: Partial, data: bytes) -> dict[str, Any]:
    """Commit the bytes: the state that a store would save."""
    file.append(data)
    file.sync()
    state: dict[str, Any] = json.loads(json.dumps(file.state))
    return state

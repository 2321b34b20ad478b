"""What a forked child must neither use nor close: there the run is its parent's."""

from __future__ import annotations

import contextlib
import os
from types import TracebackType
from typing import Literal

__all__ = ["ForkSafeStack"]

_abandoned: list[object] = []  # kept for ever, so that nothing in it is closed


class ForkSafeStack(contextlib.ExitStack):
    """Closes what it holds, but not in a forked child that ends."""

    def __init__(self) -> None:
        super().__init__()
        self._pid = os.getpid()

    @property
    def forked(self) -> bool:
        """Whether this process isn't the one that entered."""
        return os.getpid() != self._pid

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> Literal[False]:
        if self.forked:
            _abandoned.append(self.pop_all())
        super().__exit__(kind, error, trace)
        return False

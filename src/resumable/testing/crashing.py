"""Processes that really die: `crash` forks a child that kills itself at its n-th moment.

Forking is quick (some milliseconds), so that a test can try every moment there is. Its price: the parent should hold
no open connection when it forks, since the child shares the socket. A child never returns: it ends, or is gone.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import select
import signal
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn, Self

from resumable.checkpoint import Json
from resumable.testing.checks import Inconclusive
from resumable.testing.effects import CrashPoints, Effects, watch

__all__ = ["Crashed", "Ended", "Line", "Process", "crash", "crash_points", "deaths"]

SILENCE_TIMEOUT = 120.0
"""Seconds after which a child that says nothing is taken for stuck. Nothing is measured by it."""

_write, _kill = os.write, os.kill  # the real ones

crash_points = CrashPoints()
"""The moments of this process at which it may die, in a child of `crash`."""


@dataclass(frozen=True, slots=True)
class Crashed:
    """The process died by SIGKILL at its moment `at`, between two things."""

    at: int
    after: str
    before: str

    def __str__(self) -> str:
        return f"died at moment {self.at}: after {self.after}, before {self.before}"


@dataclass(frozen=True, slots=True)
class Ended:
    """The process came to its end; `result` is what `act` returned.

    `crash_points`: the moments at which it might have died, by what came next.
    """

    result: Json
    crash_points: tuple[str, ...]


def crash(act: Callable[[], Json], *, at: int, effects: Effects = ()) -> Crashed | Ended:
    """Run `act` in a child that dies by SIGKILL at its moment `at` (from 1; 0 never), if it has that many.

    A moment is before each call that changes a file or a database (effects.py), and in the middle of a write;
    `effects` are more calls that count. What `act` returns comes as JSON, or its `repr`; what it raises is an
    `AssertionError` here.
    """
    with Process(lambda line: act(), at=at, effects=effects) as process:
        return process.end()


def deaths(attempt: Callable[[int], Crashed | Ended], *, first: int = 1, step: int = 1) -> Iterator[Crashed]:
    """Every death of `attempt(n)`, for n = 1, 2, 3 … until it lives to its end. None at all is inconclusive, and fails."""
    landed = 0
    for at in itertools.count(first, step):
        outcome = attempt(at)
        if isinstance(outcome, Ended):
            break
        landed += 1
        yield outcome
    if not landed:
        raise Inconclusive("no kill landed. Nothing that was tried has an effect which can be seen.")


class Line:
    """What a child and its parent say to each other: JSON, a line each."""

    def __init__(self, incoming: int, outgoing: int) -> None:
        self._incoming, self._outgoing, self._rest = incoming, outgoing, b""

    def say(self, *words: Json) -> None:
        """Tell the other side."""
        self._send("said", list(words))

    def hear(self) -> list[Json]:
        """What the other side says next."""
        kind, body = self._next()
        if kind != "said":
            raise AssertionError(f"The other process was to say something; it {kind}: {body}")
        return list(body)

    def close(self) -> None:
        """End it."""
        os.close(self._incoming)
        os.close(self._outgoing)

    def _send(self, kind: str, body: Json) -> None:
        data = json.dumps([kind, body], default=repr).encode() + b"\n"
        while data:
            data = data[_write(self._outgoing, data) :]

    def _next(self) -> tuple[str, Json]:
        end = time.monotonic() + SILENCE_TIMEOUT
        while b"\n" not in self._rest:
            if not select.select([self._incoming], [], [], max(0.0, end - time.monotonic()))[0]:
                return "is stuck", f"it has said nothing for {SILENCE_TIMEOUT:g} seconds"
            data = os.read(self._incoming, 65536)
            if not data:
                return "is gone", "it says nothing any more"
            self._rest += data
        text, _, self._rest = self._rest.partition(b"\n")
        kind, body = json.loads(text)
        return kind, body


class Process:
    """`act(line)` in a forked child. As a context manager it leaves none behind."""

    def __init__(self, act: Callable[[Line], Json], *, at: int = 0, effects: Effects = ()) -> None:
        (incoming, to_parent), (from_parent, outgoing) = os.pipe(), os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of 3.12: other threads' locks, which we don't touch
            self.pid = os.fork()
        if self.pid == 0:
            os.close(incoming)
            os.close(outgoing)
            _live(act, Line(from_parent, to_parent), at, effects)
        os.close(from_parent)
        os.close(to_parent)
        self.line = Line(incoming, outgoing)
        self._status: int | None = None

    def kill(self) -> None:
        """`kill -9`, and wait until it is gone. It must have been there to die of it."""
        _kill(self.pid, signal.SIGKILL)
        if not self._gone():
            raise Inconclusive("the process had ended before it could be killed.")

    def end(self) -> Crashed | Ended:
        """How it ended, once it has."""
        kind, body = self.line._next()
        while kind == "said":
            kind, body = self.line._next()
        if kind == "is stuck":
            _kill(self.pid, signal.SIGKILL)
        killed = self._gone()
        if kind == "dies" and killed:
            return Crashed(*body)
        if kind == "ended" and not killed:
            return Ended(body[0], tuple(body[1]))
        raise AssertionError(f"The process {kind} (status {self._status}): {body}")

    def result(self) -> Json:
        """What `act` returned: it must come to its end."""
        match self.end():
            case Ended(result):
                return result
            case death:
                raise AssertionError(f"A process that nobody killed {death}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is None:
            _kill(self.pid, signal.SIGKILL)
            self._gone()
        self.line.close()

    def _gone(self) -> bool:
        """Wait for its end; whether SIGKILL was it."""
        if self._status is None:
            self._status = os.waitpid(self.pid, 0)[1]
        return os.WIFSIGNALED(self._status) and os.WTERMSIG(self._status) == signal.SIGKILL


def _live(act: Callable[[Line], Json], line: Line, at: int, effects: Effects) -> NoReturn:
    """The child's whole life."""
    try:
        gc.freeze()  # what the parent held is the parent's to close

        def die(after: str, before: str) -> None:
            line._send("dies", [at, after, before])
            _kill(os.getpid(), signal.SIGKILL)

        crash_points.at, crash_points.die, crash_points.passed = at, die, []
        watch(crash_points, effects)
        result = act(line)
        line._send("ended", [result, crash_points.passed])
    except BaseException:
        line._send("failed", traceback.format_exc())
    finally:
        os._exit(0)

"""What a contract does with a sink: runs into a folder, call by call or whole, which may die on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from resumable.checkpoint import Checkpoint, ClaimId, Record
from resumable.control.liveness import this_process
from resumable.errors import AlreadyCompleted, Refused, Terminated, UnknownRun
from resumable.optional_parts import sift
from resumable.pipeline import Pipeline
from resumable.protocols import MAX_ROWS, Batch, Claimant, Sink, Writer
from resumable.stores import FileStore
from resumable.testing.crashing import Crashed, Ended, crash, crash_points
from resumable.testing.effects import Effects
from resumable.testing.rows import Rows

__all__ = ["RUN", "Act", "Scenario"]

RUN = "contract"
"""The name of the run."""

Act = Literal["run", "restart", "terminate"]
CALLS = ("accepted", "discard", "write", "commit", "sift", "publish", "clean_up", "is_published")


class Scenario:
    """Runs over `rows` into the sink of a world. `root` has two folders: the sink's, and the checkpoints'."""

    def __init__(self, root: Path, sink: Callable[[Path], Sink], rows: pa.Table, effects: Effects) -> None:
        self.folder, self._store = root / "world", root / "checkpoints"
        self._sink, self._source, self._effects = sink, Rows(rows), effects
        self.last: Checkpoint | None = None
        """What a store would know of a run that is led by hand."""
        self.folder.mkdir()

    def sink(self) -> Sink:
        """The sink, opened anew as another process would open it."""
        return self._sink(self.folder)

    # ----------------------------------------------------------------------------------------- a run led by hand

    def open(self, epoch: int, *, takeover: bool = False) -> Writer:
        """A writer under the claim of that epoch, at what was saved last; it begins a run if nothing was."""
        earlier = frozenset(ClaimId(n, f"token{n}") for n in range(1, epoch))
        return self._open(epoch, self.last or self.first(), earlier, takeover)

    def first(self) -> Checkpoint:
        """What begins a run, for somebody who knows of none."""
        return Checkpoint(source=self._source.identity(), schema=self._source.schema())

    def follow(self, completed: Checkpoint, *, remembered: bool) -> None:
        """Begin a new run over a completed one; `remembered`: its checkpoint is in the first one's `previous`."""
        previous = replace(completed, previous=None) if remembered else None
        self.last = replace(self.first(), claim=completed.claim, previous=previous, definition={"run": "the second"})

    def find_completed(self, epoch: int) -> Checkpoint | None:
        """The completed run that the target remembers, as somebody without a store finds it; None if there is none."""
        try:
            with self._open(epoch, self.first(), frozenset(), takeover=False) as writer:
                if writer.last.is_finished:
                    return writer.last
                writer.discard()
        except Refused:  # it may not be replaced
            pass
        return None

    def terminate(self, writer: Writer) -> None:
        """Call it off, decided or not."""
        self.save(writer)
        assert self.last is not None
        if not self.last.is_decided:
            self.last = writer.commit(self.last.next(outcome="terminated"))
        writer.clean_up()

    def _open(self, epoch: int, last: Checkpoint, earlier: frozenset[ClaimId], takeover: bool) -> Writer:
        claim = Claimant(
            RUN, ClaimId(epoch, f"token{epoch}"), this_process(), earlier, takeover, "the contract's store"
        )
        return self.sink().open(claim, last)

    def save(self, writer: Writer) -> None:
        """What a session does with a writer before all else."""
        self.last = writer.last
        writer.accepted()

    def batches(self) -> list[Batch]:
        """What comes after what was saved last."""
        position = self.last.position if self.last else None
        return list(self._source.read(self._source.schema(), position, self._source.identity()))

    def large_batch(self) -> Batch:
        """The next batch, over and over, as one."""
        batch = self.batches()[0]
        rows = pa.Table.from_batches([batch.rows] * (MAX_ROWS // batch.rows.num_rows)).combine_chunks().to_batches()[0]
        return replace(batch, rows=rows)

    def step(self, writer: Writer) -> None:
        """Write the next batch, commit it, save."""
        assert self.last is not None
        batch = self.batches()[0]
        refused = writer.write(batch)
        following = self.last.next(
            position=batch.position,
            fraction=batch.fraction,
            rows=self.last.rows + batch.rows.num_rows - len(refused),
            rejected=self.last.rejected + len(batch.rejects) + len(refused),
        )
        self.last = writer.commit(following)

    def complete(self, writer: Writer) -> None:
        """Write what is left, and say that this is all; then put aside what can't be published, where the sink does."""
        while self.batches():
            self.step(writer)
        assert self.last is not None
        if self.last.stage != "loaded":
            self.last = writer.commit(self.last.next(complete=True))
        refused = sum(len(part) for part in sift(writer))
        if refused:
            last = self.last.next(rows=self.last.rows - refused, rejected=self.last.rejected + refused)
            self.last = writer.commit(last)

    def finish(self, writer: Writer) -> None:
        """Go on to the end, from wherever it stands."""
        self.save(writer)
        assert self.last is not None
        if not self.last.is_decided:
            self.complete(writer)
            self.last = writer.publish(self.last.next(outcome="completed", previous=None))
        writer.clean_up()

    # --------------------------------------------------------------------------------------------- whole runs

    def attempt(self, act: Act, at: int = 0) -> Crashed | Ended:
        """The run, or terminate, in a child that dies at its moment `at`. Ended with "completed" or "terminated"."""
        return crash(lambda: self.act(act), at=at, effects=self._effects)

    def act(self, act: Act, *, store: str = "") -> str:
        """The same in this process. `store` is another one, that knows nothing of what was done before."""
        checkpoints = _AtomicStore(FileStore(self._store / store))
        pipeline = Pipeline(self._source, _WithCrashPoints(self.sink()), name=RUN, store=checkpoints, every=0)
        try:
            if act == "terminate":
                pipeline.terminate()
                ended = "terminated"
            else:
                for _ in pipeline.steps(restart=act == "restart"):
                    pass
                ended = "completed"
        except (Terminated, UnknownRun):
            ended = "terminated"
        except AlreadyCompleted:
            ended = "completed"
        except Refused:  # rows that are there already can't be published again
            if act != "restart" and not store:
                raise
            ended = "refused"
        crash_points("the end")
        return ended


class _AtomicStore:
    """A store whose saves are one effect each: that they are atomic is the store's own contract."""

    def __init__(self, inner: FileStore) -> None:
        self._inner, self.location = inner, inner.location

    def load(self, name: str) -> Record | None:
        return self._inner.load(name)

    def names(self) -> list[str]:
        return self._inner.names()

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        with crash_points.as_one("the store's swap"):
            return self._inner.swap(name, version, record)


class _WithCrashPoints:
    """A sink, or its writer: a moment before each call."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def open(self, claim: Claimant, last: Checkpoint) -> Any:
        crash_points("Sink.open")
        return _WithCrashPoints(self._inner.open(claim, last))

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._inner, name)
        if name not in CALLS:
            return member

        def call(*arguments: Any) -> Any:
            crash_points(f"Writer.{name}")
            return member(*arguments)

        return call

    def __enter__(self) -> _WithCrashPoints:
        self._inner.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        crash_points("Writer.__exit__")
        self._inner.__exit__(*error)

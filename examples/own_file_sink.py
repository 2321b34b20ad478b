"""A sink of your own, into a file: JSON lines, by way of a partial file beside it. See docs/write-a-sink.md.

A file system has no transactions. So the bytes are made durable first, and what the store then saves is the commit:
the partial file's inode and its length. Whatever the file holds beyond that length is cut off when it is next opened.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

import resumable
from resumable import Batch, Checkpoint, Claimant, Reject
from resumable.errors import AlreadyRunning, Superseded, TargetChanged, TargetError, TargetExists

PLAIN = (pa.types.is_integer, pa.types.is_string, pa.types.is_boolean)


class LinesSink:
    """A JSON object a line, in a file that is not there before all of it is."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()

    def open(self, claim: Claimant, last: Checkpoint) -> LinesWriter:
        """Fence older claims off and come back to the last commit."""
        writer = LinesWriter(self.path, claim, last)
        try:
            writer.recover()
        except BaseException:
            writer.close()
            raise
        return writer

    def describe(self) -> str:
        """What it writes, and what its guarantee rests on."""
        return (
            f"JSON lines in {self.path}: written beside it, durable at each commit, and linked to its name at the end."
        )


class LinesWriter:
    """See `resumable.Writer`."""

    def __init__(self, target: Path, claim: Claimant, last: Checkpoint) -> None:
        self.target, self.claim, self.last = target, claim, last
        run = hashlib.sha256(claim.run.encode()).hexdigest()[:16]  # a run's name may have slashes in it
        self.begins = f".{target.name}.{run}."  # of the name of every partial file of the run
        self.path = self.named("")
        self.fd: int | None = None
        self.made = False
        self.lines: list[str] = []

    def named(self, what: str) -> Path:
        """A partial file's name: it has the claim in it, and names sort as claims do."""
        epoch, token = self.claim.id.epoch, self.claim.id.token
        return self.target.with_name(f"{self.begins}{epoch:020d}.{token}{what}.partial")

    def partials(self) -> Iterator[tuple[Path, int]]:
        """The partial files of the run, and the epochs of their claims."""
        for path in sorted(self.target.parent.iterdir()):
            if path.name.startswith(self.begins) and path.name.endswith(".partial"):
                yield path, int(path.name[len(self.begins) :].partition(".")[0])

    # -------------------------------------------------------------------------------------------- opening

    def recover(self) -> None:
        """One of five: fenced off, decided, a new run, published already, or cut back to the last commit."""
        self.check_newest()
        if self.last.is_decided:
            return  # only clearing up is left: nothing is made
        if not self.last.is_begun:
            self.begin()
        elif self.published():
            self.last = self.last.next(claim=self.claim.id, outcome="completed", previous=None)
        else:
            self.take()

    def check_newest(self) -> None:
        """`Superseded` if a newer claim has a partial file."""
        epoch = max((epoch for _, epoch in self.partials()), default=0)
        if epoch > self.claim.id.epoch:
            raise superseded(epoch)

    def begin(self) -> None:
        """A new run: refuse what can be known to fail, then make the file."""
        for field in self.last.output_schema or self.last.schema or ():
            if not any(is_plain(field.type) for is_plain in PLAIN):
                raise TargetError(
                    f"Column {field.name!r} is {field.type}.", safe="Nothing was made.", do="Make it text."
                )
        if self.target.exists():
            raise TargetExists(f"{self.target} is there already.", safe="Nothing was made.", do="Name another file.")
        self.path.unlink(missing_ok=True)  # of an opening under this very claim that was cut short
        self.create()
        self.last = self.last.next(claim=self.claim.id, sink={"inode": inode(self.path), "length": 0})

    def published(self) -> bool:
        """Whether the run's file has its name already: its runner died before it could say so."""
        state = self.last.sink
        if not (self.last.stage == "loaded" and self.target.exists() and inode(self.target) == state["inode"]):
            return False
        self.sync_folder()  # that it is found doesn't mean that it is durable
        return self.target.stat().st_size == state["length"]

    def take(self) -> None:
        """Take the partial file over, and cut it back."""
        state = self.last.sink
        found = [(path, epoch) for path, epoch in self.partials() if inode(path) == state["inode"]]
        if not found:
            raise TargetChanged(
                f"The partial file of {self.target} is gone.", safe="Nothing was changed.", do="Begin anew."
            )
        path, epoch = found[0]
        if epoch > self.claim.id.epoch:
            raise superseded(epoch)
        try:
            self.fd = os.open(path, os.O_RDWR)
            alone = self.lock()
            if not alone and not self.claim.takeover:
                raise AlreadyRunning(f"{self.target} is being written.", safe="Nothing was changed.", do="Wait for it.")
            os.rename(path, self.path)  # the fence: whoever had it finds nothing to publish under the name he knows
        except FileNotFoundError:
            raise superseded() from None  # somebody else has just renamed it
        self.sync_folder()
        if os.fstat(self.fd).st_size < state["length"]:
            raise TargetChanged(
                f"The partial file of {self.target} has been cut.", safe="Nothing was changed.", do="Begin anew."
            )
        self.last = replace(self.last, claim=self.claim.id)
        if alone:
            os.ftruncate(self.fd, state["length"])
        else:
            self.copy(state["length"])

    def copy(self, length: int) -> None:
        """Whoever had the file isn't dead: he may write to it when he wakes. So its committed part goes to another."""
        assert self.fd is not None
        old, self.path = self.fd, self.named(".copy")
        try:
            self.path.unlink(missing_ok=True)
            self.create()
            for at in range(0, length, 2**20):
                os.write(self.fd, os.pread(old, min(2**20, length - at), at))
            os.fsync(self.fd)
        finally:
            os.close(old)
        state = {"inode": inode(self.path), "length": length}
        self.last = self.last.next(sink=state)  # another state is another checkpoint

    def create(self) -> None:
        """A new file at `path`, and its lock."""
        self.fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        self.made = True
        self.lock()
        self.sync_folder()

    def lock(self) -> bool:
        """Lock the file until it is closed; False if another process, which then lives, has it."""
        assert self.fd is not None
        try:
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def accepted(self) -> None:
        """The store has what this opening answered: what older claims have left isn't needed any more."""
        self.sweep(keep=self.path)

    def discard(self) -> None:
        """Remove the file, if this opening made it. What it only renamed is found by its inode."""
        if self.made:
            self.path.unlink(missing_ok=True)
            self.sync_folder()

    # ------------------------------------------------------------------------------------------- going on

    def write(self, batch: Batch) -> tuple[Reject, ...]:
        """Append the rows; they count once they are committed."""
        self.lines += [json.dumps(row, ensure_ascii=False) + "\n" for row in batch.rows.to_pylist()]
        if len(self.lines) >= 10_000:
            self.flush()
        return ()

    def flush(self) -> None:
        assert self.fd is not None
        data = memoryview("".join(self.lines).encode())
        self.lines = []
        os.lseek(self.fd, 0, os.SEEK_END)
        while data:
            data = data[os.write(self.fd, data) :]

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        """Make the rows durable; once the store has saved what this answers, they are committed."""
        self.check_mine(checkpoint)
        if not checkpoint.is_decided:
            assert self.fd is not None
            self.flush()
            os.fsync(self.fd)
            checkpoint = replace(checkpoint, sink={"inode": inode(self.path), "length": os.fstat(self.fd).st_size})
        self.last = checkpoint
        return checkpoint

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        """Give the file its name, by a link: that never replaces what is there."""
        self.check_mine(checkpoint)
        try:
            os.link(self.path, self.target)
        except FileNotFoundError:
            raise superseded() from None  # taken over since the check
        except FileExistsError:
            if inode(self.target) != checkpoint.sink["inode"]:
                raise TargetExists(
                    f"{self.target} is there by now.", safe="What was committed is kept.", do="Move it away."
                ) from None
        self.sync_folder()
        self.last = checkpoint
        return checkpoint

    def check_mine(self, checkpoint: Checkpoint) -> None:
        """The file still has my claim's name, and the number is the next."""
        if not self.path.exists() or checkpoint.number != self.last.number + 1:
            raise superseded()

    def clean_up(self) -> None:
        """Remove the partial files of this claim and of older ones."""
        self.sweep()

    def sweep(self, keep: Path | None = None) -> None:
        for path, epoch in list(self.partials()):
            if epoch <= self.claim.id.epoch and path != keep:
                path.unlink(missing_ok=True)
        self.sync_folder()

    def is_published(self) -> bool:
        """Whether the file is there."""
        return self.target.is_file()

    def sync_folder(self) -> None:
        """Make the names in the folder durable."""
        folder = os.open(self.target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def close(self) -> None:
        fd, self.fd, self.lines = self.fd, None, []
        if fd is not None:
            os.close(fd)

    def __enter__(self) -> LinesWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def inode(path: Path) -> int:
    """What a file is known by, whatever its name is; 0 if there is none."""
    return path.stat().st_ino if path.exists() else 0


def superseded(epoch: int = 0) -> Superseded:
    """Another runner has the run; `epoch` is its claim's."""
    error = Superseded("The run was taken over.", safe="What was committed is safe.", do="Look at its status.")
    error.epoch = epoch
    return error


if __name__ == "__main__":
    rows = pa.table({"n": range(200_000), "word": [f"line {n}" for n in range(200_000)]})

    def run() -> resumable.Pipeline:
        return resumable.Pipeline(resumable.sources.ArrowSource(rows), LinesSink("lines.jsonl"), name="lines", every=0)

    for progress in run():
        print(progress)
        break
    print(run().run())
    with open("lines.jsonl") as file:
        assert [json.loads(line)["n"] for line in file] == list(range(200_000))

"""A sink of your own: appends to a table of a database, which has a staging table and a ledger. See docs/write-a-sink.md.

The three tables are made once, by whoever owns the database. A run only adds rows, and takes them away again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

import resumable
from resumable.checkpoint import Checkpoint
from resumable.errors import Superseded, TargetChanged
from resumable.protocols import Batch, Claimant, Reject

TABLES = (
    "create table events (id bigint, word text)",
    "create table events_staging (run text, id bigint, word text)",
    "create table events_ledger (run text primary key, claim text, number bigint, checkpoint text)",
)


class EventSink:
    """Rows of `id` and `word`, in `events` once all of them are there."""

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self, claim: Claimant, last: Checkpoint) -> EventWriter:
        """Fence older claims off and find the last commit, in one transaction over the run's ledger row."""
        writer = EventWriter(self.url, claim, last)
        try:
            with writer.transaction():
                writer.fence(last)
        except BaseException:
            writer.engine.dispose()
            raise
        return writer

    def describe(self) -> str:
        """What it writes, and what its guarantee rests on."""
        return (
            "Appends to the table events: rows and checkpoint are committed in one transaction, and published in one."
        )


class EventWriter:
    """See `resumable.protocols.Writer`."""

    def __init__(self, url: str, claim: Claimant, last: Checkpoint) -> None:
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)
        self.claim, self.last, self.made = claim, last, False
        self.rows: list[dict[str, Any]] = []

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """One transaction; it holds the run's ledger row from the first to the last, so what is seen in it stays true."""
        with self.engine.begin() as self.c:
            self.sql("update events_ledger set run = run where run = :run")
            yield

    def sql(self, text: str, **values: Any) -> Any:
        """Run a statement over the run."""
        return self.c.execute(sa.text(text), {"run": self.claim.run, **values})

    def fence(self, last: Checkpoint) -> None:
        """Put my claim into the ledger row, or find out why I mustn't."""
        text = self.sql("select checkpoint from events_ledger where run = :run").scalar()
        held = None if text is None else Checkpoint.from_json(text, "The ledger")
        if held is None:
            if last.is_decided:
                return  # only clearing up is left, and there is nothing
            if last.is_begun:
                raise TargetChanged("The ledger has lost the run.", safe="Nothing was changed.", do="Begin anew.")
            self.begin(replace(last, previous=None))
        elif held.claim > self.claim.id:
            raise superseded(held.claim.epoch)
        elif held.is_finished:
            # Begun anew only by somebody who knows that it is over: not by one whose store was lost.
            if last.stage != "new" or last.claim < held.claim:
                self.last = held
            else:
                self.begin(last.follow(held))  # which keeps it as `previous`
        else:
            self.put(replace(held, claim=self.claim.id))  # the sink's word wins over the store's

    def begin(self, last: Checkpoint) -> None:
        """A new run's ledger row: its first checkpoint, in place of a completed run's."""
        self.sql("delete from events_ledger where run = :run")
        self.sql("insert into events_ledger values (:run, '', 0, '')")
        self.put(replace(last.next(), claim=self.claim.id))
        self.made = True

    def put(self, last: Checkpoint) -> None:
        """The checkpoint, in the ledger row."""
        text = "update events_ledger set claim = :claim, number = :number, checkpoint = :checkpoint where run = :run"
        self.sql(text, claim=str(self.claim.id), number=last.number, checkpoint=last.to_json())
        self.last = last

    def mine(self) -> int:
        """The number in the ledger row, if the row is under my claim; otherwise 0."""
        text = "select number from events_ledger where run = :run and claim = :claim"
        return self.sql(text, claim=str(self.claim.id)).scalar() or 0

    def accepted(self) -> None:
        """Nothing lies about: a transaction that wasn't committed leaves nothing to sweep."""

    def discard(self) -> None:
        """Take back what this opening did to the ledger row, if it began a run."""
        with self.transaction():
            if self.made and self.mine() == 1:
                self.put_back()

    def put_back(self) -> None:
        """The ledger row as it was before this run: a completed run's, or none."""
        previous = self.last.put_back(self.claim.id)
        if previous is None:
            self.sql("delete from events_ledger where run = :run")
        else:
            self.put(previous)

    def write(self, batch: Batch) -> tuple[Reject, ...]:
        """Keep the rows until the commit."""
        self.rows += [{"run": self.claim.run, **row} for row in batch.rows.to_pylist()]
        return ()

    def commit(self, checkpoint: Checkpoint) -> Checkpoint:
        """Rows and checkpoint in one transaction, if the ledger row has my claim and the number before."""
        with self.transaction():
            self.follow(checkpoint)
            if self.rows:
                self.c.execute(sa.text("insert into events_staging values (:run, :id, :word)"), self.rows)
        self.rows = []
        return self.last

    def publish(self, checkpoint: Checkpoint) -> Checkpoint:
        """The staged rows become events, and the outcome is decided, in one transaction."""
        with self.transaction():
            self.follow(checkpoint)
            self.sql("insert into events select id, word from events_staging where run = :run")
        return self.last

    def follow(self, checkpoint: Checkpoint) -> None:
        """Put the checkpoint into the ledger row, inside the data's own transaction."""
        if self.mine() != checkpoint.number - 1:
            raise superseded()
        self.put(replace(checkpoint, claim=self.claim.id))

    def clean_up(self) -> None:
        """Remove the staged rows; of a run that isn't completed the ledger row too."""
        with self.transaction():
            if not self.mine():
                return
            self.sql("delete from events_staging where run = :run")
            if self.last.is_published:
                self.put(self.last.finish())
            else:
                self.put_back()

    def is_published(self) -> bool:
        """Rows can't be told from others once they are published; the ledger says that they were."""
        return True

    def __enter__(self) -> EventWriter:
        return self

    def __exit__(self, *error: object) -> None:
        self.engine.dispose()


def superseded(epoch: int = 0) -> Superseded:
    """Another runner has the run; `epoch` is its claim's."""
    error = Superseded("The run was taken over.", safe="What was committed is safe.", do="Look at its status.")
    error.epoch = epoch
    return error


if __name__ == "__main__":
    URL = "sqlite:///events.db"
    with sa.create_engine(URL).begin() as database:
        for table in TABLES:
            database.execute(sa.text(table))
    rows = pa.table({"id": range(200_000), "word": [f"event {n}" for n in range(200_000)]})

    def run() -> resumable.Pipeline:
        return resumable.Pipeline(resumable.sources.ArrowSource(rows), EventSink(URL), name="events", every=0)

    for progress in run():
        print(progress)
        break
    print(run().run())
    with sa.create_engine(URL).begin() as database:
        assert database.execute(sa.text("select count(*) from events")).scalar() == 200_000

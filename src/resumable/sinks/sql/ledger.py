"""The ledger: the table `resumable_ledger` in the target database, one row a run. It is the sink's word.

Laws kept here:

* The row is written in the same transaction as the rows it speaks of, and only under the claim that it names.
* It stays after completion, so that no run is loaded twice from whatever store, folder or machine. Terminate removes
  it, and the table with its last row, unless that is another role's or was granted to others.
* Times are the database's clock, never a client's.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from resumable.checkpoint import Checkpoint, ClaimId, Owner
from resumable.databases.connection import Connection
from resumable.errors import CorruptCheckpoint
from resumable.protocols import Claimant

__all__ = ["NAME", "Ledger", "Row"]

NAME = "resumable_ledger"


@dataclass(frozen=True, slots=True)
class Row:
    """What the ledger says of a run. `idle`: seconds since its last commit. `owner` is None once it left in order."""

    claim: ClaimId
    number: int
    checkpoint: Checkpoint
    backend: str
    owner: Owner | None
    idle: float
    store: str


class Ledger:
    """The ledger row of one run, over one connection."""

    def __init__(self, c: Connection, run: str) -> None:
        self.c, self.run = c, run
        text, number = sa.Text(), sa.BigInteger()
        self.table = sa.Table(
            NAME,
            sa.MetaData(schema=c.own_schema),
            sa.Column("name", text, primary_key=True),
            sa.Column("epoch", number, nullable=False),
            sa.Column("token", text, nullable=False),
            sa.Column("number", number, nullable=False),
            sa.Column("checkpoint", text, nullable=False),
            sa.Column("backend", text),
            sa.Column("owner", text),
            sa.Column("updated_at", sa.Double(), nullable=False),
            sa.Column("store", text),
        )
        self._now: sa.ColumnElement[Any] = sa.literal_column(c.traits.clock)

    def exists(self) -> bool:
        """Whether there is a ledger at all."""
        return self.c.database.catalog.kind(self.c, NAME) == "table"

    def make(self) -> None:
        """Make the table if there is none, whoever else makes it at the same time."""
        for last in (False, False, True):
            try:
                with self.c.transaction():
                    if not self.exists():
                        self.c.sa.execute(sa.schema.CreateTable(self.table, if_not_exists=True))
                return
            except SQLAlchemyError as error:  # PostgreSQL's IF NOT EXISTS may fail if two make it at once
                with self.c.reading():
                    if (last or self.c.traits.is_locked(error)) and not self.exists():
                        raise

    def read(self, *, lock: bool = False) -> Row | None:
        """The run's row; None if there is none. `lock`: held until the transaction ends."""
        if not self.exists():
            return None
        t = self.table.c
        query = sa.select(*t, (self._now - t.updated_at).label("idle")).where(t.name == self.run)
        row = self.c.sa.execute(query.with_for_update() if lock else query).one_or_none()
        if row is None:
            return None
        where = f"The ledger row of run {self.run!r} (table {NAME})"
        try:
            owner = Owner(**json.loads(row.owner)) if row.owner else None
        except (ValueError, TypeError) as error:
            raise CorruptCheckpoint(
                f"{where} can't be read: its owner isn't JSON.", safe="Nothing was changed."
            ) from error
        return Row(
            claim=ClaimId(row.epoch, row.token),
            number=row.number,
            checkpoint=Checkpoint.from_json(row.checkpoint, where),
            backend=row.backend or "",
            owner=owner,
            idle=row.idle,
            store=row.store or "",
        )

    def add(self, claim: Claimant, checkpoint: Checkpoint) -> bool:
        """Begin a run: its first row. False if there is one already."""
        try:
            self.c.sa.execute(sa.insert(self.table).values(name=self.run, **self._values(claim, checkpoint)))
        except IntegrityError:
            return False
        return True

    def transfer(self, row: Row, claim: Claimant, checkpoint: Checkpoint) -> bool:
        """Put my claim into the row that was read. False if it isn't that any more."""
        unchanged = self._where(row.claim, row.number)
        return self._changed(sa.update(self.table).where(unchanged).values(**self._values(claim, checkpoint)))

    def write(self, claim: ClaimId, number: int, checkpoint: Checkpoint) -> bool:
        """Write the next checkpoint. False, and nothing changes, unless claim and number still hold."""
        values = {"number": checkpoint.number, "checkpoint": checkpoint.to_json(), "updated_at": self._now}
        return self._changed(sa.update(self.table).where(self._where(claim, number)).values(**values))

    def put_back(self, claim: ClaimId, checkpoint: Checkpoint) -> None:
        """The completed run that was there before, instead of the one that is called off. In a locked row."""
        values = {
            "epoch": claim.epoch,
            "token": claim.token,
            "number": checkpoint.number,
            "owner": None,
            "backend": None,
        }
        change = sa.update(self.table).where(self.table.c.name == self.run)
        self.c.sa.execute(change.values(**values, checkpoint=checkpoint.to_json(), updated_at=self._now))

    def release(self, claim: ClaimId) -> None:
        """The runner leaves in good order: nobody needs to wait for it."""
        mine = sa.and_(self.table.c.name == self.run, *self._mine(claim))
        self.c.sa.execute(sa.update(self.table).where(mine).values(owner=None, backend=None))

    def remove(self) -> None:
        """Take the row out."""
        self.c.sa.execute(sa.delete(self.table).where(self.table.c.name == self.run))

    def drop(self) -> None:
        """Drop the table if no row is left; where somebody is at work in it, they will."""
        try:
            with self.c.reading():
                unused = self._unused()
            if unused:
                with self.c.transaction():
                    self.c.database.locks.lock_exclusive(self.c, NAME)
                    if self._unused():
                        self.c.sa.execute(sa.schema.DropTable(self.table))
        except SQLAlchemyError:
            if self.c.is_lost():  # nobody is at work: it may still be there
                raise

    def elsewhere(self, table: str) -> str | None:
        """The schema of another ledger that has a run of this name into this very table, as far as it can be read."""
        for schema in self.c.database.privileges.schemas_with(self.c, NAME):
            other = self.table.to_metadata(sa.MetaData(), schema=schema)
            text = None
            with contextlib.suppress(ProgrammingError), self.c.reading():  # a table that isn't ours at all
                text = self.c.sa.execute(sa.select(other.c.checkpoint).where(other.c.name == self.run)).scalar()
            if text is not None:
                state = Checkpoint.from_json(text, f"The ledger row of run {self.run!r} in schema {schema}").sink
                if isinstance(state, dict) and (state.get("table"), state.get("schema")) == (table, self.c.schema):
                    return schema
        return None

    def _unused(self) -> bool:
        return (
            self.exists()
            and not self.c.database.privileges.is_shared(self.c, NAME)
            and not self.c.sa.execute(sa.select(self.table.c.name).limit(1)).all()
        )

    def _values(self, claim: Claimant, checkpoint: Checkpoint) -> dict[str, Any]:
        return {
            "epoch": claim.id.epoch,
            "token": claim.id.token,
            "number": checkpoint.number,
            "checkpoint": checkpoint.to_json(),
            "backend": self.c.database.locks.backend_id(self.c),
            "owner": json.dumps(asdict(claim.owner)),
            "updated_at": self._now,
            "store": claim.store.encode("utf-8", "backslashreplace").decode(),  # a path may be no UTF-8
        }

    def _mine(self, claim: ClaimId) -> tuple[sa.ColumnElement[bool], ...]:
        return self.table.c.epoch == claim.epoch, self.table.c.token == claim.token

    def _where(self, claim: ClaimId, number: int) -> sa.ColumnElement[bool]:
        return sa.and_(self.table.c.name == self.run, *self._mine(claim), self.table.c.number == number)

    def _changed(self, statement: sa.Update) -> bool:
        return self.c.sa.execute(statement).rowcount == 1

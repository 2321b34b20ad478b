"""A record with something in every field, and names that have been taken for one another: what a store must keep."""

from __future__ import annotations

import pyarrow as pa

from resumable.checkpoint import Checkpoint, ClaimId, Json, Owner, Record, Session

__all__ = ["NAMES", "full_record"]

NAMES = (
    "orders", "Orders", "ORDERS", "orders ", " orders", "a/b", "a%2fb", "a\\b", "..", ".", ".lock", ".gitignore", "",
    " ", "%", "~", "*", "?", "nul\0nul", "line\nline", 'quote"quote', "Zürich", "Zu\u0308rich", "注文", "\udcff",
    "x" * 180, "x" * 181, "x" * 5000, "X" * 5000, "x" * 147 + "~" + "0" * 32, "orders.json", "orders.json.new", "con",
)  # fmt: skip
"""Names that have been taken for one another, or for a path."""


def full_record(position: Json = None) -> Record:
    """A record with something in every field."""
    schema = pa.schema([pa.field("id", pa.int64(), nullable=False), ("größe", pa.decimal128(38, 9))], {"k": "v"})
    checkpoint = Checkpoint(
        number=7,
        claim=ClaimId(1763900000000, "ab12"),
        position=position or {"after": ["a\0b", "\udcff", 2**70, 0.1, None], "row": 12},
        rows=2**40,
        rejected=3,
        fraction=0.1 + 0.2,
        sink={"staging": "resumable_x"},
        quarantine_state={"length": 17},
        source={"size": 1, "head": "注文"},
        schema=schema,
        output_schema=schema,
        definition={"target": "postgresql://me@host/shop", "options": {"every": 1.0}},
        sessions=(Session(1.5, 2.25, 3),),
        complete=True,
        outcome="completed",
        finished=True,
        ended=1763900000.25,
        stopped_as="failed",
        error='it\'s "broken"',
        previous=Checkpoint(number=5, rows=2, outcome="completed", finished=True, source={"size": 2}, schema=schema),
    )
    owner = Owner("host", "boot", "pid:[1]", 12, "345", 1.5)
    return Record(
        1, checkpoint, ClaimId(1763900000001, "cd34"), owner, 9, 2.5, "pause", ClaimId(1, "x"), consecutive_crashes=2
    )

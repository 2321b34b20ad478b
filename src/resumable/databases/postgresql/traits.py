"""What PostgreSQL is like, as data."""

from __future__ import annotations

import psycopg

from resumable.databases.tables import DEFAULT
from resumable.databases.traits import Traits

__all__ = ["POSTGRESQL"]

POSTGRESQL = Traits(
    name="postgresql",
    label="PostgreSQL",
    driver_error=psycopg.Error,
    clock="CAST(extract(epoch FROM clock_timestamp()) AS double precision)",
    default_schema=DEFAULT["postgresql"],
    # A deadlock too: a fenced-off runner that wakes holds staging and wants the ledger's row, we the other way round.
    lock_errors=frozenset({"55P03", "40P01"}),
    lock_attempts=4,
    identifier_bytes=63,
    reserved_names=frozenset({"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}),
    text_cast="CAST({} AS text)",
)

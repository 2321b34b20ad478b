"""PostgreSQL's column types. A declaration is what `format_type` says."""

from __future__ import annotations

import pyarrow as pa
import sqlalchemy as sa

from resumable.databases.types import TypeRules

__all__ = ["POSTGRESQL_TYPES"]

POSTGRESQL_TYPES = TypeRules(
    name="postgresql",
    widest_only=False,
    unsigned=sa.Numeric(20, 0),
    zoned=sa.DateTime(timezone=True),
    any_decimal=pa.string(),
)

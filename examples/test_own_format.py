"""The test of own_format.py."""

from typing import Any

import own_format
import pyarrow as pa

from resumable.testing import FormatContract


class TestFixed(FormatContract):
    """Two lines a batch."""

    rows = pa.table({"id": pa.array([1, -2, None, 4, 5, 6], pa.int64()), "word": ["a", "b=c", None, "d e", "f", "g"]})

    def decoder(self) -> own_format.FixedDecoder:
        return own_format.FixedDecoder(lines=2)

    def encoder(self, schema: pa.Schema, state: Any) -> own_format.FixedEncoder:
        return own_format.FixedEncoder(schema, state)

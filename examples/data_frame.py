"""Upload a data frame, or anything else that speaks Arrow, with a transform on the way."""

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

import resumable

frame = pd.DataFrame({"id": range(100_000), "name": [f"n{i}" for i in range(100_000)]})


def shout(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Row by row and pure: batches may be cut elsewhere after a resume."""
    at = batch.schema.get_field_index("name")
    return batch.set_column(at, "name", pc.utf8_upper(batch["name"]))


# A frame has no path: the run is named after its content, so that this script, run again, goes on or has nothing to do.
print(resumable.upload(frame, "sqlite:///frames.db", "names", transform=shout).run())

"""Upload a CSV file into a table: run it, kill it, run it again."""

from _data import orders

import resumable

pipeline = resumable.upload(orders(), "sqlite:///shop.db", "orders")
print(pipeline.explain())

for progress in pipeline:  # each step is committed
    print(progress)

# The same call again knows that it is done, whatever folder or store it is made from.
print(pipeline.run().message)

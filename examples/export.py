"""Export a table, and a query, to CSV files."""

from pathlib import Path

from _data import orders

import resumable

resumable.upload(orders(), "sqlite:///shop.db", "orders", key="id").run()

resumable.export("sqlite:///shop.db", "orders", "orders-out.csv").run()
assert Path("orders.csv").read_text() == Path("orders-out.csv").read_text()

# A query needs to be told by which unique columns to go on.
query = "select id, total from orders where customer = 'customer 7'"
last = resumable.export("sqlite:///shop.db", query, "customer-7.csv", key="id").run()
print(last)

"""Call a run off: the table, its rows and everything else is as it was."""

import sqlite3

from _data import orders

import resumable

with sqlite3.connect("shop.db") as database:
    database.execute("create table orders (id integer primary key, customer text, total real, day date)")
    database.execute("insert into orders values (0, 'the first', 1.0, '2026-01-01')")
before = list(database.iterdump())

pipeline = resumable.upload(orders(), "sqlite:///shop.db", "orders", if_exists="append", every=0)
for progress in pipeline:
    print(progress)
    break

pipeline.terminate()
print(pipeline.status)
assert list(database.iterdump()) == before

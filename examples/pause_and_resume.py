"""Leaving the loop pauses; the same call goes on from there, in this process or in another."""

import sqlite3

from _data import orders

import resumable


def pipeline() -> resumable.Pipeline:
    return resumable.upload(orders(), "sqlite:///shop.db", "orders", every=0)


for progress in pipeline():
    print(progress)
    if progress.rows > 60_000:
        break  # enough for today

print(pipeline().status)  # paused: no table `orders` yet, nothing lost
tables = sqlite3.connect("shop.db").execute("select name from sqlite_master where name = 'orders'").fetchall()
assert tables == []

last = pipeline().run()
print(last)
assert (last.rows, last.sessions) == (200_000, 2)

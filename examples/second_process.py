"""Control a run from a second process: same name, same store. No server is needed."""

import subprocess
import sys
import time

from _data import orders

import resumable

# The first process: started here, it could be anywhere that reaches the store.
program = """
import resumable
for progress in resumable.upload("orders.csv", "sqlite:///shop.db", "orders", name="orders", every=0):
    print(progress, flush=True)
"""
orders()
first = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
assert first.stdout is not None
print(first.stdout.readline(), end="")

# The second process: this one.
run = resumable.upload("orders.csv", "sqlite:///shop.db", "orders", name="orders")
try:
    run.pause()
except resumable.AlreadyCompleted:
    print("it was faster")
else:
    print(run.status, run.progress.rows)
    print(first.communicate()[1].splitlines()[-1])  # resumable.errors.Paused: Run 'orders' is paused at ...
for known in resumable.runs():
    print(known)
first.communicate()

began = time.monotonic()
print(run.run(), f"in {time.monotonic() - began:.1f} s")

"""`python worker.py OPTIONS`: a Celery worker whose batches have 1,000 rows, so that a small file is many commits.

The environment says what it serves: BROKER, STORE, TARGET (the connection "shop"), SLICE (seconds).
"""

import os
import sys

from celery import Celery

import job  # noqa: F401 - sets the limits
from resumable.celery import Runs


def serve(broker: str, store: str, target: str, slice_seconds: float) -> tuple[Celery, Runs]:
    """The app and its runs, as both the worker and whoever starts runs have them."""
    app = Celery("worker", broker=broker)
    app.conf.broker_connection_retry_on_startup = True
    app.conf.worker_soft_shutdown_timeout = 5.0
    app.conf.broker_transport_options = {"visibility_timeout": 3600}  # no test waits for it
    return app, Runs(app, store, connections={"shop": target}, slice_seconds=slice_seconds)


if __name__ == "__main__":
    app, _ = serve(*(os.environ[name] for name in ("BROKER", "STORE", "TARGET")), float(os.environ["SLICE"]))
    app.worker_main(["worker", "--without-gossip", "--without-mingle", "--loglevel=info", *sys.argv[1:]])

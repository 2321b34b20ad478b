"""The Celery app, and the runs that its workers carry out: celery --app webapp.worker worker --beat."""

from celery import Celery

from resumable.celery import Runs
from webapp import settings

app = Celery("webapp", broker=settings.REDIS_URL)
app.conf.update(
    broker_connection_retry_on_startup=True,
    worker_soft_shutdown_timeout=10,
    # A request must not hang for as long as Redis is away: the store has the run by then, and the sweep sends it.
    task_publish_retry=False,
    broker_transport_options={"visibility_timeout": 300, "socket_timeout": 5, "socket_connect_timeout": 5},
    beat_schedule={"sweep": {"task": "resumable.sweep", "schedule": 20.0}},
)
runs = Runs(app, settings.STORE, connections={"tables": settings.DATABASE_URL}, slice_seconds=settings.SLICE)

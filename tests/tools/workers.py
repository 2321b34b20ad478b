"""A service as an operator has it: a broker, a store, a target, Celery workers that serve them, and who starts runs."""

from __future__ import annotations

import base64
import contextlib
import csv
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from celery import Celery

import declared
import redisserver
from jobs import PATIENCE, execute, until
from resumable.celery import Runs
from resumable.checkpoint import Record
from resumable.run import Run

__all__ = ["ROWS", "Service", "Worker"]

ROWS = 60_000
WORKER = Path(__file__).with_name("worker.py")


class Worker:
    """A worker of its own: one process that talks to the broker, and `processes` that it has forked, which do the work."""

    def __init__(self, environment: dict[str, str], log: Path, processes: int = 1) -> None:
        self.log = log
        command = [
            declared.python("celery", "postgres", "redis"),
            str(WORKER),
            f"--concurrency={processes}",
            f"--hostname={log.stem}@%h",
        ]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=os.environ | environment,
                start_new_session=True,
            )  # fmt: skip

    def ready(self) -> Worker:
        until(lambda: "ready." in self.said or self.process.poll() is not None, "no worker comes up")
        assert self.process.poll() is None, self.said
        return self

    def kill(self) -> None:
        """`kill -9`, and all that it has forked."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def told(self, number: signal.Signals) -> None:
        """A signal as from an operator, and the worker's end in good order."""
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")


class Service:
    """A broker, a store and a target; workers that serve them, and `runs` as a web server would have it."""

    def __init__(self, folder: Path, redis: redisserver.Redis, slice_seconds: float) -> None:
        self.folder, self.redis, self.slice_seconds = folder, redis, slice_seconds
        self.target = f"sqlite:///{folder / 'target.db'}"
        self.app = Celery("client", broker=redis.url)
        self.runs = self.serve(self.target)
        self.workers: list[Worker] = []

    def serve(self, target: str) -> Runs:
        return Runs(
            self.app, f"{self.redis.url}?prefix=runs:", connections={"shop": target}, slice_seconds=self.slice_seconds
        )

    def worker(self, processes: int = 1) -> Worker:
        environment = {"BROKER": self.redis.url, "STORE": f"{self.redis.url}?prefix=runs:", "TARGET": self.target}
        environment["SLICE"] = str(self.slice_seconds)
        self.workers.append(Worker(environment, self.folder / f"worker{len(self.workers)}.log", processes))
        return self.workers[-1]

    def upload(self, table: str = "t", rows: int = ROWS, **more: Any) -> Run:
        """A run that is left to the workers, called like its table."""
        source = self.folder / f"{table}.csv"
        with source.open("w") as file:
            csv.writer(file, lineterminator="\n").writerows([("id", "word"), *((n, f"word {n}") for n in range(rows))])
        arguments = {"source": str(source), "target": "shop", "table": table, "every": 0, **more}
        return self.runs.start("upload", arguments, name=table)

    def record(self, name: str = "t") -> Record:
        record = self.runs.store.load(name)
        assert record is not None
        return record

    def under_way(self, run: Run, rows: int = 0) -> Record:
        """Wait until more than `rows` are committed and a worker has it; the record of that moment."""
        seen: list[Record] = []

        def met() -> bool:
            seen.append(self.record(run.name))
            assert not seen[-1].checkpoint.finished, "inconclusive: it was over before it could be met"
            return seen[-1].owner is not None and seen[-1].checkpoint.rows > rows

        until(met, f"nobody works: {[worker.said[-2000:] for worker in self.workers]}")
        return seen[-1]

    def ends(self, run: Run, how: str, meanwhile: Callable[[], object] = lambda: None) -> None:
        """Wait until a run's status is `how`."""
        try:
            until(lambda: meanwhile() or run.status == how, "it doesn't end")
        except AssertionError as error:
            raise AssertionError(f"{error}: {run.progress}, {[w.said[-2000:] for w in self.workers]}") from None

    def supervise(self) -> None:
        """Start a worker where the last one has died, as an operator's supervisor does."""
        if self.workers[-1].process.poll() is not None:
            self.worker()

    def messages(self) -> list[Any]:
        """The arguments of the slices' messages that no worker has taken yet."""
        with redisserver.client(self.redis.url) as redis:
            texts = [json.loads(text) for text in redis.lrange("celery", 0, -1)]
        return [json.loads(base64.b64decode(t["body"]))[0] for t in texts if t["headers"]["task"] == "resumable.slice"]

    def whole(self, table: str = "t", rows: int = ROWS) -> bool:
        found = execute(self.target, f"select id, word from {table}")
        return found == [(n, f"word {n}") for n in range(rows)]

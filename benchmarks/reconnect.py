"""A lost server: from the moment it answers again to the run's next commit, for absences of several lengths.

A private PostgreSQL is killed in mid-run (kill -9) and stays away for a while; the run's own loop sees it through.
The peer is a new run of the same upload up to its first commit, by the same server: going on costs what a start costs.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from common import lineitem

import resumable
import services


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=0.2)
    parser.add_argument("--absences", type=float, nargs="+", default=[0.5, 2, 5, 15])
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "resumable-bench")
    a = parser.parse_args()
    source, work = lineitem(a.scale, a.data), Path(tempfile.mkdtemp(prefix="resumable-bench-"))
    server = services.Postgres(services.find_programs())
    try:
        server.start()
        url = server.url.render_as_string()
        starts = [first(source, url, work, f"start_{n}") for n in range(3)]
        print(f"from the call to the first commit of a new run, median of 3: {statistics.median(starts):.2f} s")
        for absence in a.absences:
            print(f"away for {absence:g} s, then to the next commit: {lost(server, source, url, work, absence):.2f} s")
    finally:
        server.stop()
        shutil.rmtree(work, ignore_errors=True)


def run(source: Path, url: str, work: Path, table: str) -> resumable.Pipeline:
    return resumable.upload(source, url, table, store=work / "store", every=0.1)


def first(source: Path, url: str, work: Path, table: str) -> float:
    began = time.perf_counter()
    made = run(source, url, work, table)
    for _ in made:
        break
    took = time.perf_counter() - began
    made.terminate()
    return took


def lost(server: services.Postgres, source: Path, url: str, work: Path, absence: float) -> float:
    """Killed after the second commit; the server is started in this thread, the run goes on in another."""
    commits: list[float] = []
    killed = threading.Event()
    made = run(source, url, work, f"lost_{absence:g}".replace(".", "_"))

    def go() -> None:
        for step in made:
            if not step.message:
                commits.append(time.perf_counter())
                if len(commits) == 2:
                    killed.wait()
                if len(commits) == 3:
                    break

    thread = threading.Thread(target=go)
    thread.start()
    until(lambda: len(commits) == 2)
    server.kill()
    killed.set()
    time.sleep(absence)
    server.start()
    back = time.perf_counter()
    thread.join()
    made.terminate()
    return commits[2] - back


def until(what: Callable[[], bool]) -> None:
    while not what():
        time.sleep(0.01)


if __name__ == "__main__":
    main()

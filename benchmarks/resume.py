"""Resume seeks: from the start of the process to the first new commit, after a kill at 5 % and at 85 % of the file.

Also shows the peak memory of a process that loads the whole file.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from common import lineitem, resumable, timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=0.2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "resumable-bench")
    a = parser.parse_args()
    source = lineitem(a.scale, a.data)
    work = Path(tempfile.mkdtemp(prefix="resumable-bench-"))
    command = resumable("upload", source, f"sqlite:///{work}/target.db", "lineitem", "--store", work / "store")
    command += ["--json", "--every", "0.1"]
    try:
        early, late = [], []
        for _ in range(a.rounds):
            reset(work)
            killed_at(command, 0.05)
            early.append(first_commit(command))
            killed_at(command, 0.85)
            late.append(first_commit(command))
        before, after = statistics.median(early), statistics.median(late)
        print(f"{source.stat().st_size / 2**20:.0f} MiB; from start to the first new commit, median of {a.rounds}:")
        print(f"  killed at  5 %: {before:.2f} s")
        print(f"  killed at 85 %: {after:.2f} s   ratio {after / before:.2f}")
        reset(work)
        print(f"peak memory of a whole upload: {timed(command).peak:.0f} MiB")
        out = work / "out.csv"
        export = resumable("export", f"sqlite:///{work}/target.db", "lineitem", out, "--store", work / "store")
        print(f"peak memory of a whole export: {timed(export).peak:.0f} MiB")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def reset(work: Path) -> None:
    shutil.rmtree(work / "store", ignore_errors=True)
    (work / "target.db").unlink(missing_ok=True)


def killed_at(command: list[str], fraction: float) -> None:
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["fraction"] >= fraction:
            break
    process.kill()
    process.stdout.close()
    process.wait()


def first_commit(command: list[str]) -> float:
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    took = time.perf_counter() - began
    process.kill()
    process.stdout.close()
    os.waitpid(process.pid, 0)
    process.returncode = -9
    return took


if __name__ == "__main__":
    main()

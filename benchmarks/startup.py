"""How long it takes to begin: `import resumable`, `resumable --help`, and `resumable list` on an empty store.

Each is a process of its own, warm, the median of several. The peers, in the same run: Python alone, and `import pyarrow`,
which every pipeline needs.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile

from common import resumable, timed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=9)
    a = parser.parse_args()
    commands = {
        "python": [sys.executable, "-c", "pass"],
        "import pyarrow": [sys.executable, "-c", "import pyarrow"],
        "import resumable": [sys.executable, "-c", "import resumable"],
        "resumable --help": resumable("--help"),
        "resumable list": resumable("list"),
    }
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        took = {name: statistics.median(seconds(command, a.times)) for name, command in commands.items()}
    for name, median in took.items():
        print(f"{name:18} {1000 * median:5.0f} ms  {median / took['import pyarrow']:5.2f} of `import pyarrow`")


def seconds(command: list[str], times: int) -> list[float]:
    timed(command)  # warm
    return [timed(command).seconds for _ in range(times)]


if __name__ == "__main__":
    main()

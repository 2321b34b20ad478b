"""libfaketime, to be preloaded: the machine's own, or the one of a wheel (wheels.py)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import time
from pathlib import Path

from services import Unavailable

__all__ = ["find_library"]

_PLACES = ("/usr/lib/faketime", "/usr/lib64/faketime", "/usr/lib/*/faketime")


def find_library() -> Path:
    """Its path; `Unavailable` if there is none that works here."""
    found = [path for place in _PLACES for path in Path("/").glob(f"{place[1:]}/libfaketimeMT.so.1")]
    wheel = importlib.util.find_spec("libfaketime")
    for origin in (wheel.submodule_search_locations or []) if wheel else []:
        found += Path(origin).glob("vendor/libfaketime/src/libfaketime.so.1")
    for path in found:
        if _works(path):
            return path
    raise Unavailable(
        "No libfaketime (Debian: apt-get install libfaketime; any Linux: pip install --group faketime-wheel)."
    )


def _works(path: Path) -> bool:
    """Whether Python's clock is false under it: the wheel has one processor's library for whatever machine."""
    asked = [sys.executable, "-c", "import time; print(time.time())"]
    environment = os.environ | {"LD_PRELOAD": str(path), "FAKETIME": "+1d", "DONT_FAKE_MONOTONIC": "1"}
    done = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False)
    return done.returncode == 0 and float(done.stdout) > time.time() + 3600

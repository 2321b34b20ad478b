"""Counts system calls in this process, and strikes at the N-th: syscalls.c, preloaded, for Python.

`build` compiles it. The rest works in a process that has it preloaded (`Forks(preload=...)`).
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from services import Unavailable

__all__ = ["CHANGES", "NETWORK", "Strike", "arm", "build", "counts", "disarm"]

CHANGES = (
    "write", "pwrite", "writev", "pwritev", "fsync", "fdatasync", "rename", "link", "unlink", "ftruncate",
)  # fmt: skip
"""The calls by which a process changes files; each stands for its variants (linkat, pwrite64, ...)."""
NETWORK = ("send", "sendto", "sendmsg", "recv", "recvfrom", "recvmsg")
"""The calls by which it talks to servers."""

DEEDS = ("nothing", "kill", "fail", "half", "lose", "stop")


@dataclass(frozen=True)
class Strike:
    """What is done at the `at`-th of `calls`, and at all after it if `always`; `at` 0: they are only counted.

    "kill" and "stop" (SIGSTOP) come before the call. "fail" is an `error` of errno; so is "lose", for fsync, and what it should have made
    safe is lost. "half" does half of a read or write. `calm`: fsync is only counted. Descriptors below `low` are left
    alone.
    """

    deed: Literal["nothing", "kill", "fail", "half", "lose", "stop"] = "nothing"
    at: int = 0
    calls: tuple[str, ...] = CHANGES + NETWORK
    error: int = 0
    always: bool = False
    calm: bool = True
    low: int = 0

    def plain(self) -> dict[str, Any]:
        """As JSON can hold it; `arm` takes it."""
        return asdict(self)


def find_compiler() -> list[str]:
    """The command of a C compiler: the machine's, or one from a wheel; `Unavailable` if there is none."""
    if found := shutil.which("cc") or shutil.which("gcc"):
        return [found]
    if importlib.util.find_spec("ziglang"):
        return [sys.executable, "-m", "ziglang", "cc"]
    raise Unavailable(
        "No C compiler: cc isn't on PATH (Debian: apt-get install gcc; any: pip install --group cc-wheel)."
    )


def build(folder: Path) -> Path:
    """The compiled library, for LD_PRELOAD; `Unavailable` if there is no C compiler."""
    compiler = find_compiler()
    library = folder / "syscalls.so"
    flags = ["-O1", "-Wall", "-Wextra", "-Werror", "-U_FORTIFY_SOURCE", "-fPIC", "-shared"]
    source = str(Path(__file__).with_name("syscalls.c"))
    caches = dict.fromkeys(("ZIG_GLOBAL_CACHE_DIR", "ZIG_LOCAL_CACHE_DIR"), str(Path(sys.prefix, "zig")))
    subprocess.run([*compiler, *flags, "-o", str(library), source, "-ldl"], check=True, env=os.environ | caches)
    return library


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.syscalls_name.restype = ctypes.c_char_p
    library.syscalls_count.restype = ctypes.c_long
    library.syscalls_arm.argtypes = [ctypes.c_ulong, ctypes.c_long, *5 * [ctypes.c_int]]
    return library


@functools.cache
def _ids() -> dict[str, int]:
    library = _library()
    named = itertools.takewhile(lambda pair: pair[0], ((library.syscalls_name(n), n) for n in itertools.count()))
    return {name.decode(): n for name, n in named}


def arm(strike: dict[str, Any]) -> None:
    """From here on, count; and strike."""
    s = Strike(**strike)
    mask = sum(1 << _ids()[call] for call in s.calls)
    _library().syscalls_arm(mask, s.at, DEEDS.index(s.deed), s.error, s.always, s.calm, s.low)


def disarm() -> None:
    """Count and strike no more."""
    _library().syscalls_disarm()


def counts() -> dict[str, int]:
    """How often each call was met, and how often it was struck ("struck")."""
    return {name: _library().syscalls_count(n) for name, n in _ids().items()} | {"struck": _library().syscalls_struck()}

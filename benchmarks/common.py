"""What both benchmarks need: the data, a private PostgreSQL, and whole processes timed by the kernel."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests" / "tools"))  # the tests know how to start servers

DDL = """create table {table} (
l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber bigint, l_quantity double precision,
l_extendedprice double precision, l_discount double precision, l_tax double precision, l_returnflag text,
l_linestatus text, l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct text, l_shipmode text,
l_comment text)"""


@dataclass
class Took:
    """A finished process: wall seconds, peak memory in MiB."""

    seconds: float
    peak: float


def lineitem(scale: float, folder: Path) -> Path:
    """TPC-H lineitem as CSV; made once."""
    path = folder / f"lineitem-{scale:g}" / "lineitem.csv"
    if not path.exists():
        generator = Path(sys.executable).with_name("tpchgen-cli")
        command = [generator, "csv", "-s", f"{scale:g}", "--tables", "lineitem", "--output-dir", path.parent]
        path.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return path


def timed(command: list[str], *, stdin: str | None = None) -> Took:
    """Run it to its end; raise if it fails."""
    began = time.perf_counter()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stdin is not None and process.stderr is not None
    process.stdin.write((stdin or "").encode())
    process.stdin.close()
    said = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{command[0]} failed: {said.decode(errors='replace')}")
    return Took(time.perf_counter() - began, usage.ru_maxrss / 1024)


def resumable(*arguments: object) -> list[str]:
    """The command line of this very checkout's environment."""
    return [sys.executable, "-m", "resumable", *map(str, arguments)]

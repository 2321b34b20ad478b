"""A disk that is full, fails, or does half; too many files; an fsync that fails and loses what it should have kept.

At some of the calls that it may befall, in the long form at every one, once and from there on. What a user meets is
an error of the library's own (what happened, what is safe, what to do), or nothing at all; and once the fault is
gone, the same call comes to what an uninterrupted one comes to. The faults are dealt out by syscalls.c.
"""

from __future__ import annotations

import errno
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import services
from jobs import Jobs, export_task, upload_task
from sweeps import Bench, sweep
from syscalls import Strike

WRITES = ("write", "pwrite", "writev", "pwritev")
SYNCS = ("fsync", "fdatasync")
FAULTS = {
    "no space": Strike("fail", calls=(*WRITES, "rename", "link"), error=errno.ENOSPC),
    "input/output error": Strike(
        "fail", calls=(*WRITES, *SYNCS, "read", "pread", "ftruncate", "unlink", "rename", "link"), error=errno.EIO
    ),
    "too many files": Strike("fail", calls=("open", "socket"), error=errno.EMFILE),
    "short write": Strike("half", calls=WRITES),
    "failed fsync": Strike("fail", calls=SYNCS, error=errno.EIO),
    "lost fsync": Strike("lose", calls=SYNCS, error=errno.EIO),
}
TARGETS: dict[str, tuple[tuple[str, ...], set[str]]] = {
    "export": (("sqlite", "csv", "files"), {*FAULTS} - {"failed fsync"}),
    # To roll back, SQLite reads its journal, which Linux still has in memory after a failed fsync: it isn't lost there.
    "upload": (("csv", "sqlite", "files"), {*FAULTS} - {"lost fsync"}),
    "upload to a server": (("csv", "postgresql", "postgresql", "canary"), {"input/output error", "too many files"}),
}
"""Of a server's disk the server has to speak: here its client runs out of files, and its source fails."""
POINTS = 7
"""Of each fault in the short form, once and always, for each target."""

Tried = Callable[[str], None]


@pytest.mark.parametrize("always", [False, True], ids=["once", "always"])
@pytest.mark.parametrize(
    ("bench", "fault"),
    [(cell, fault) for cell, faults in TARGETS.values() for fault in FAULTS if fault in faults],
    ids=[f"{target}, {fault}" for target, (_, faults) in TARGETS.items() for fault in FAULTS if fault in faults],
    indirect=["bench"],
)
def test_a_fault_is_said_and_once_it_is_gone_the_same_call_ends_the_run(
    bench: Bench, fault: str, tried: Tried, *, always: bool, long: bool
) -> None:
    """An error in three parts and status 1, or a run that is right; then the same call ends it, and it is right."""
    strike = replace(FAULTS[fault], always=always, low=3)
    met = said = 0

    def strikes(at: int) -> bool:
        bench.fresh()
        code = bench.process("run", replace(strike, at=at))
        printed = bench.out.read_text() + bench.err.read_text()
        assert services.CANARY not in printed
        assert printed.startswith('{"end"'), f"no error of the library's own: {printed}"
        assert code == (1 if bench.said["error"] else 0), printed
        return bool(bench.said["counts"]["struck"])

    for at in sweep(bench.total("run", strike.calls), POINTS, long, strikes):
        met += 1
        if error := bench.said["error"]:
            said += 1
            assert all(error), error
        else:
            bench.assert_completed(at)
        assert "completed" == bench.ends("run"), at
        bench.assert_completed(at)
    assert met >= (1 if long else POINTS), "inconclusive: nothing was struck"
    assert bool(said) == (fault != "short write"), "a fault was never said"
    tried(f"disk, {fault}, {'always' if always else 'once'}, {bench}: {met} met, of which {said} were said")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 256 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise services.Unavailable(
            f"No tmpfs can be mounted: {(getattr(error, 'stderr', '') or str(error)).splitlines()[0]}"
        ) from None
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.mark.parametrize("what", ["export", "upload", "store"])
def test_a_full_file_system_is_said_and_with_more_room_the_same_line_ends_the_run(
    jobs: Jobs, small: Path, tmp_path: Path, what: str
) -> None:
    """A real one, with the export, the SQLite database or the checkpoints on it: status 1; then it is made larger."""
    if what == "upload":
        task = upload_task(tmp_path, f"sqlite:///{small / 'target.db'}")
    else:
        task = export_task(tmp_path, into=small / "files" if what == "export" else None)
    store = small / "store" if what == "store" else None
    if what == "store":
        (small / "ballast").write_bytes(bytes(250 * 2**10))
    full = jobs(*task.command(), store=store)
    assert 1 == full.end(), full.said
    assert re.search("No space left on device|database or disk is full", full.said), full.said
    assert re.search("safe|Nothing was (changed|made)", full.said), full.said
    assert "Traceback" not in full.said
    assert task.result() != task.expected
    subprocess.run(["mount", "-o", "remount,size=64m", str(small)], check=True)
    again = jobs(*task.command(), store=store)
    assert 0 == again.end(), again.said
    if full.steps[:-1]:
        assert full.steps[-2]["rows"] < again.steps[0]["rows"]
    assert task.expected == task.result()

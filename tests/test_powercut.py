"""The simulated disk leaves what its laws say, and no more: powercut.py and recorder.py, which other tests rest on."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from recorder import Disk


@pytest.fixture
def left(tmp_path: Path) -> Callable[..., list[dict[str, bytes]]]:
    """What is in the folder after a power cut at the end of `act`, in every state."""

    def left(act: Callable[[Path], None], *, ordered: bool = False) -> list[dict[str, bytes]]:
        root = tmp_path / "root"
        root.mkdir()
        (root / "old").write_bytes(b"old")
        disk = Disk(root)
        with disk.recording():
            act(root)
        seen = []
        for state in disk.states(ordered=ordered, after=len(disk.events)):
            disk.put(state)
            seen.append({path.name: path.read_bytes() for path in root.iterdir()})
        return sorted(seen, key=repr)

    return left


def write(path: Path, data: bytes, *, sync: bool = False) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, data)
    if sync:
        os.fsync(fd)
    os.close(fd)


def sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)


def test_bytes_that_were_not_synced_are_missing_there_by_half_or_zeros(left):
    """And whole, if all goes well; the name was synced."""

    def act(root: Path) -> None:
        write(root / "new", b"1234")
        sync(root)

    assert {b"", b"12", b"1234", b"\0\0\0\0"} == {state["new"] for state in left(act)}


def test_a_synced_file_may_lack_its_name(left):
    """fsync of a file says nothing of its folder."""
    states = left(lambda root: write(root / "new", b"1", sync=True))
    assert [{"new": b"1", "old": b"old"}, {"old": b"old"}] == states


def test_a_rename_may_come_before_the_bytes(left):
    """The well-known empty file after a power cut."""

    def act(root: Path) -> None:
        write(root / "new", b"1234")
        os.rename(root / "new", root / "old")

    assert {"old": b""} in left(act)


@pytest.mark.parametrize("ordered", [True, False])
def test_names_keep_their_order_only_where_there_is_a_journal(left, *, ordered):
    """The second of two without the first."""

    def act(root: Path) -> None:
        write(root / "a", b"", sync=True)
        write(root / "b", b"", sync=True)

    assert ({"b": b"", "old": b"old"} in left(act, ordered=ordered)) is not ordered


def test_what_was_synced_is_there(left):
    """One state is left."""

    def act(root: Path) -> None:
        write(root / "new", b"1234", sync=True)
        os.rename(root / "new", root / "old")
        sync(root)

    assert [{"old": b"1234"}] == left(act)


def test_a_change_that_passes_the_recorder_by_is_noticed(left):
    """Otherwise all states would be wrong."""
    with pytest.raises(AssertionError, match="wasn't recorded"):
        left(lambda root: (root / "new").write_bytes(b"by another way"))

"""durable.py: in which order a file is made to survive a power cut."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from resumable.durable import replace_file


def test_a_file_is_synced_before_it_is_renamed_and_its_folder_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a power cut leaves an empty file under the name, or the old one after a save has returned."""
    seen: list[str] = []
    fsync, rename = os.fsync, os.rename

    def watched_fsync(fd: int) -> None:
        found = os.fstat(fd)
        seen.append("sync folder" if stat.S_ISDIR(found.st_mode) else f"sync {found.st_size} bytes")
        fsync(fd)

    def watched_rename(*args: Any) -> None:
        seen.append("rename")
        rename(*args)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(os, "rename", watched_rename)
    replace_file(tmp_path / "record", b"twelve bytes")
    assert ["sync 12 bytes", "rename", "sync folder"] == seen
    assert b"twelve bytes" == (tmp_path / "record").read_bytes()


def test_a_sync_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an error, and nothing was renamed."""

    def fail(fd: int) -> None:
        raise OSError("the disk is gone")

    replace_file(tmp_path / "record", b"old")
    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="the disk is gone"):
        replace_file(tmp_path / "record", b"new")
    assert b"old" == (tmp_path / "record").read_bytes()

"""durable.py: in which order a file is made to survive a power cut."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from resumable.files.durable import make_folder, replace_file


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


def test_a_folder_is_made_with_a_durable_name_and_so_are_those_above_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each name is synced before the next folder is made in it; that of one which was there already, too."""
    seen: list[str] = []
    mkdir = os.mkdir
    monkeypatch.setattr(os, "mkdir", lambda path, *args: (seen.append(f"make {Path(path).name}"), mkdir(path, *args)))
    monkeypatch.setattr("resumable.files.durable.sync_folder", lambda folder: seen.append(f"sync {folder.name}"))
    assert make_folder(tmp_path / "a" / "b", 0o700)
    above = tmp_path.parent.name
    assert [f"sync {above}", "make a", f"sync {tmp_path.name}", "make b", "sync a"] == seen
    assert 0o700 == stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode)
    seen.clear()
    assert not make_folder(tmp_path / "a" / "b", 0o700)
    assert ["sync a"] == seen


def test_a_file_in_place_of_a_folder_is_an_error(tmp_path: Path) -> None:
    """It is left alone."""
    (tmp_path / "a").write_text("mine")
    with pytest.raises(OSError, match=r"exists|Not a directory"):
        make_folder(tmp_path / "a")
    assert "mine" == (tmp_path / "a").read_text()

"""A file sink's protocol: partial files, claims, locks, publishing; driven by hand through `FileWriter`."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crashing import Crash, crashing
from resumable.checkpoint import Checkpoint, ClaimId
from resumable.control.liveness import this_process
from resumable.errors import AlreadyRunning, Superseded, TargetChanged, TargetError, TargetExists
from resumable.files import partial
from resumable.files.partial import PartialFile
from resumable.files.posix import rename_new
from resumable.protocols import Batch, Claimant
from resumable.sinks.file import FileWriter
from shell import obeying

HEAD = b"head\n"
NEW = Checkpoint(schema=pa.schema([("x", pa.int64())]))


def claimant(number: int, *, takeover: bool = False, run: str = "run") -> Claimant:
    return Claimant(run, ClaimId(number, f"{number:04x}"), this_process(), takeover=takeover)


class Lines:
    """A head, and a number a line."""

    state = None

    def begin(self) -> bytes:
        return HEAD

    def encode(self, batch: Batch) -> bytes:
        return "".join(f"{x}\n" for x in batch.rows.column(0).to_pylist()).encode()

    def seal(self) -> bytes:
        return b""

    def finish(self) -> bytes:
        return b""


def batch(*values: int) -> Batch:
    return Batch(pa.record_batch({"x": list(values)}), None)


def open_file(path: Path, number: int, last: Checkpoint = NEW, *, if_exists: Any = "fail", **claim: Any) -> FileWriter:
    claimed = claimant(number, **claim)
    file = PartialFile(path, claimed.run, claimed.id)
    return FileWriter.open(file, lambda schema, state: Lines(), claimed, last, if_exists=if_exists)


def commit(writer: FileWriter, *values: int, complete: bool = False) -> Checkpoint:
    writer.write(batch(*values))
    return writer.commit(writer.last.next(complete=complete))


def finish(writer: FileWriter) -> Checkpoint:
    """From the end of input to the end of the run, as the core does it."""
    if not writer.last.outcome:
        writer.publish(writer.last.next(outcome="completed"))
    writer.clean_up()
    return writer.last


def partials(folder: Path) -> list[Path]:
    return sorted(folder.glob(".*.partial"))


def begun(path: Path, number: int = 1) -> Checkpoint:
    """A run that has committed 1 and 2, and whose runner is gone."""
    with open_file(path, number) as writer:
        writer.accepted()
        return commit(writer, 1, 2)


# ------------------------------------------------------------------------------------ from start to end


def test_a_file_appears_only_when_it_is_published(tmp_path):
    """Until then there is a hidden partial beside it; afterwards nothing but the file."""
    out = tmp_path / "o.txt"
    with open_file(out, 1) as writer:
        writer.accepted()
        commit(writer, 1, 2, complete=True)
        assert not out.exists()
        assert [p.parent for p in partials(tmp_path)] == [tmp_path]
        finish(writer)
    assert [out] == list(tmp_path.iterdir())
    assert out.read_bytes() == b"head\n1\n2\n"


def test_the_first_checkpoint_holds_the_head(tmp_path):
    """What a new file begins with is durable and part of the committed length before anything is saved."""
    with open_file(tmp_path / "o.txt", 1) as writer:
        assert writer.last.number == 1
        assert writer.last.claim == ClaimId(1, "0001")
        (made,) = partials(tmp_path)
        assert writer.last.sink == {"inode": made.stat().st_ino, "length": len(HEAD)}
        assert made.read_bytes() == HEAD


def test_what_lies_beyond_the_commit_is_cut_off(tmp_path):
    """Rows written and not committed, or garbage, are gone after the next opening; the head isn't repeated."""
    out = tmp_path / "o.txt"
    last = begun(out)
    with partials(tmp_path)[0].open("ab") as file:
        file.write(b"garbage" * 1000)
    with open_file(out, 2, last) as writer:
        assert (writer.last.number, writer.last.sink) == (last.number, last.sink)
        writer.accepted()
        commit(writer, 3, complete=True)
        finish(writer)
    assert out.read_bytes() == b"head\n1\n2\n3\n"


def test_a_cut_is_durable(tmp_path, monkeypatch):
    """A complete file is published without another write: after a power cut its tail must not be back."""
    out, synced = tmp_path / "o.txt", []
    last = begun(out)
    with partials(tmp_path)[0].open("ab") as file:
        file.write(b"garbage")
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd).st_size), fsync(fd)))
    with open_file(out, 2, last):
        assert last.sink["length"] in synced


def test_terminate_leaves_the_folder_as_it_was(tmp_path):
    """Deciding writes nothing; clearing removes every partial of the run, and of no other run."""
    out = tmp_path / "o.txt"
    out.write_text("before")
    other = open_file(out, 1, run="other", if_exists="replace")
    with open_file(out, 1, if_exists="replace") as writer:
        writer.accepted()
        commit(writer, 1)
        writer.write(batch(2))
        writer.commit(writer.last.next(outcome="terminated"))
        writer.clean_up()
        writer.clean_up()
    assert out.read_text() == "before"
    assert len(partials(tmp_path)) == 1
    other.discard()
    assert [out] == list(tmp_path.iterdir())


def test_saving_sweeps_what_crashed_beginnings_left(tmp_path):
    """Partials of older claims go; where a newer one's is, nothing can be opened, and it stays."""
    out = tmp_path / "o.txt"
    for number in (1, 2):
        open_file(out, number).__exit__(None, None, None)
    with open_file(out, 5) as writer:
        writer.accepted()
        assert [p.name.split(".")[-2] for p in partials(tmp_path)] == ["5-0005"]
    with pytest.raises(Superseded):
        open_file(out, 4)
    assert [p.name.split(".")[-2] for p in partials(tmp_path)] == ["5-0005"]


def test_folders_are_made_durable(tmp_path, monkeypatch):
    """Making, renaming, publishing and removing each fsync the folder."""
    synced = []
    real = partial.sync_folder
    monkeypatch.setattr(partial, "sync_folder", lambda folder: (synced.append(folder), real(folder)))
    out = tmp_path / "o.txt"
    steps = []
    writer = open_file(out, 1)
    steps.append(len(synced))
    last = commit(writer, 1, complete=True)
    writer.__exit__(None, None, None)
    writer = open_file(out, 2, last)
    steps.append(len(synced))
    writer.publish(last.next(outcome="completed"))
    steps.append(len(synced))
    writer.clean_up()
    steps.append(len(synced))
    writer.__exit__(None, None, None)
    assert steps == [1, 2, 3, 4]
    assert set(synced) == {tmp_path}


# ------------------------------------------------------------------------------------------ publishing


def test_publishing_is_redone_after_a_link_that_was_not_unlinked(tmp_path):
    """The file has two names: the next session finds it published and removes the first."""
    out = tmp_path / "o.txt"
    with open_file(out, 1) as writer:
        last = commit(writer, 1, complete=True)
        os.link(partials(tmp_path)[0], out)
    with open_file(out, 2, last) as writer:
        assert (writer.last.outcome, writer.last.number) == ("completed", last.number + 1)
        writer.accepted()
        finish(writer)
    assert [out] == list(tmp_path.iterdir())
    assert out.read_bytes() == b"head\n1\n"


@pytest.mark.parametrize("if_exists", ["fail", "replace"])
def test_publishing_is_known_after_a_crash_before_the_save(tmp_path, if_exists):
    """Published, swept even, and the store doesn't know: the target is our inode, so it is completed."""
    out = tmp_path / "o.txt"
    with open_file(out, 1, if_exists=if_exists) as writer:
        last = commit(writer, 1, complete=True)
        writer.publish(last.next(outcome="completed"))
        writer.clean_up()
    with open_file(out, 2, last, if_exists=if_exists) as writer:
        assert writer.last.outcome == "completed"
        finish(writer)
        assert writer.is_published()
    assert [out] == list(tmp_path.iterdir())


def test_an_inode_used_again_is_not_taken_for_the_published_file(tmp_path):
    """Same inode, other length: it is somebody else's file."""
    out = tmp_path / "o.txt"
    with open_file(out, 1) as writer:
        last = commit(writer, 1, complete=True)
    os.rename(partials(tmp_path)[0], out)
    with out.open("ab") as file:
        file.write(b"more")
    with pytest.raises(TargetChanged, match="is gone"):
        open_file(out, 2, last)


def test_fail_never_replaces_a_file_that_came_meanwhile(tmp_path):
    """It is refused at the start, and at the end too; once it is moved away the same run is published."""
    out = tmp_path / "o.txt"
    out.write_text("theirs")
    with pytest.raises(TargetExists, match="exists already"):
        open_file(out, 1)
    assert [out] == list(tmp_path.iterdir())
    out.unlink()
    with open_file(out, 1) as writer:
        last = commit(writer, 1, complete=True)
        out.write_text("theirs")
        with pytest.raises(TargetExists, match="since the run began"):
            writer.publish(last.next(outcome="completed"))
    assert out.read_text() == "theirs"
    out.unlink()
    with open_file(out, 2, last) as writer:
        finish(writer)
    assert out.read_bytes() == b"head\n1\n"


def test_without_links_a_rename_that_never_replaces_does(tmp_path):
    """The way for file systems without hard links: a name that is taken is refused, a free one is given."""
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    with pytest.raises(FileExistsError):
        rename_new(one, two)
    assert two.read_text() == "2"
    rename_new(one, tmp_path / "three")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["three", "two"]


def test_replace_keeps_the_permissions_of_the_old_file(tmp_path):
    """From the first byte on: the partial of a private file is private too."""
    out = tmp_path / "o.txt"
    out.write_text("old")
    out.chmod(0o640)
    with open_file(out, 1, if_exists="replace") as writer:
        assert stat.S_IMODE(partials(tmp_path)[0].stat().st_mode) == 0o640
        assert out.read_text() == "old"
        out.chmod(0o604)
        commit(writer, 1, complete=True)
        finish(writer)
    assert stat.S_IMODE(out.stat().st_mode) == 0o604
    assert out.read_bytes() == b"head\n1\n"


def test_a_new_file_has_the_usual_permissions(tmp_path):
    """As open() would have given it."""
    (tmp_path / "usual").touch()
    with open_file(tmp_path / "o.txt", 1) as writer:
        commit(writer, complete=True)
        finish(writer)
    assert stat.S_IMODE((tmp_path / "o.txt").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


def test_a_target_that_is_a_symbolic_link_stays_one(tmp_path):
    """The file that it points to is replaced, and the partial lies beside that."""
    far = tmp_path / "far"
    far.mkdir()
    (far / "real.txt").write_text("old")
    out = tmp_path / "o.txt"
    out.symlink_to("far/real.txt")
    with open_file(out, 1, if_exists="replace") as writer:
        assert partials(tmp_path) == []
        assert len(partials(far)) == 1
        commit(writer, 1, complete=True)
        finish(writer)
    assert out.is_symlink()
    assert (far / "real.txt").read_bytes() == b"head\n1\n"


# ----------------------------------------------------------------------------------- claims and locks


def test_a_live_writer_is_not_cut_back(tmp_path):
    """Its lock is held: refused without takeover, and it goes on as if nothing had been."""
    out = tmp_path / "o.txt"
    with open_file(out, 1) as live:
        last = commit(live, 1)
        with pytest.raises(AlreadyRunning, match="lock"):
            open_file(out, 2, last)
        commit(live, 2, complete=True)
        finish(live)
    assert out.read_bytes() == b"head\n1\n2\n"


def test_a_takeover_writes_to_a_new_inode(tmp_path):
    """The fenced writer's open descriptor still writes, but to its own inode; its commit and publishing fail."""
    out = tmp_path / "o.txt"
    with open_file(out, 1) as old:
        last = commit(old, 1)
        with open_file(out, 2, last, takeover=True) as new:
            assert new.last.number == last.number + 1
            assert new.last.sink["inode"] != last.sink["inode"]
            assert new.last.sink["length"] == last.sink["length"]
            assert len(partials(tmp_path)) == 2  # until the store knows of the copy
            new.accepted()
            assert len(partials(tmp_path)) == 1
            with pytest.raises(Superseded):
                commit(old, 666)
            with pytest.raises(Superseded):
                old.publish(old.last.next(outcome="completed"))
            commit(new, 2, complete=True)
            finish(new)
    assert [out] == list(tmp_path.iterdir())
    assert out.read_bytes() == b"head\n1\n2\n"


def test_a_takeover_may_be_interrupted_before_and_after_its_save(tmp_path):
    """Before, the old checkpoint still finds the old inode; after, the new one finds the copy."""
    out = tmp_path / "o.txt"
    with open_file(out, 1) as old:
        first = commit(old, 1)
        with open_file(out, 2, first, takeover=True) as new:
            second = new.last
        with open_file(out, 3, first, takeover=True) as new:
            assert new.last.sink["length"] == first.sink["length"]
            new.discard()
        with open_file(out, 4, second) as new:
            assert new.last.sink == second.sink
            new.accepted()
            assert len(partials(tmp_path)) == 1
            commit(new, 2, complete=True)
            finish(new)
    assert [out] == list(tmp_path.iterdir())
    assert out.read_bytes() == b"head\n1\n2\n"


def test_an_older_claim_finds_nothing(tmp_path):
    """Whoever comes late with an older claim is told so, with the newer one's file untouched."""
    out = tmp_path / "o.txt"
    last = begun(out)
    with open_file(out, 5, last) as newer:
        with pytest.raises(Superseded):
            open_file(out, 4, last, takeover=True)
        commit(newer, 3, complete=True)
        finish(newer)
    assert out.read_bytes() == b"head\n1\n2\n3\n"


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_that_holds_the_lock_is_told_from_a_dead_one(tmp_path):
    """The kernel knows: while it lives it is refused or copied from, once killed it is taken over in place."""
    out = tmp_path / "o.txt"
    last = begun(out)
    path = partials(tmp_path)[0]
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunning):
            open_file(out, 2, last)
        assert partials(tmp_path) == [path]
        with open_file(out, 3, last, takeover=True) as writer:
            assert writer.last.sink["inode"] != last.sink["inode"]
            writer.discard()
        holder.kill()
        holder.wait()
        with open_file(out, 4, last) as writer:
            assert writer.last.sink == last.sink


ZOMBIE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_partial import batch, commit, open_file
from resumable.errors import Superseded
with open_file(Path(sys.argv[2]), 1) as writer:
    writer.accepted()
    print(commit(writer, 1).to_json(), flush=True)
    sys.stdin.readline()
    writer.write(batch(*range(1000)))
    for act in (lambda: writer.commit(writer.last.next(complete=True)), lambda: writer._file.publish("replace")):
        try:
            act()
        except Superseded:
            print("superseded", flush=True)
"""


def test_a_stopped_runner_that_wakes_harms_nothing(tmp_path):
    """SIGSTOP, takeover, publish, SIGCONT: its bytes go to its own inode, its commit and publishing are refused."""
    out = tmp_path / "o.txt"
    with subprocess.Popen(
        [sys.executable, "-c", ZOMBIE, Path(__file__).parent, out],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as zombie:
        last = Checkpoint.from_json(zombie.stdout.readline(), "its word")
        zombie.send_signal(signal.SIGSTOP)
        with open_file(out, 2, last, takeover=True) as writer:
            writer.accepted()
            commit(writer, 2, complete=True)
            finish(writer)
        zombie.send_signal(signal.SIGCONT)
        told, _ = zombie.communicate("go\n")
    assert told.split() == ["superseded", "superseded"]
    assert [out] == list(tmp_path.iterdir())
    assert out.read_bytes() == b"head\n1\n2\n"


FORK = """
import os, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_partial import begun, commit, open_file
out = Path(sys.argv[2])
writer = open_file(out, 1)
last = commit(writer, 1)
told, tell = os.pipe()
child = os.fork()
if child == 0:
    os.write(tell, b"x")
    time.sleep(60)
os.read(told, 1)
writer.__exit__(None, None, None)
try:
    open_file(out, 2, last)
    print("open")
finally:
    os.kill(child, 9)
    os.waitpid(child, 0)
"""


def test_a_forked_child_keeps_no_lock(tmp_path):
    """A child that outlives its parent's session would otherwise make it look alive."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORK, Path(__file__).parent, tmp_path / "o.txt"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.stdout, done.stderr) == ("open\n", "")


# ------------------------------------------------------------------------------------- what goes wrong


def test_a_shorter_file_is_an_error_and_never_a_start_from_zero(tmp_path):
    """What was committed isn't there: nothing is written."""
    out = tmp_path / "o.txt"
    last = begun(out)
    os.truncate(partials(tmp_path)[0], 3)
    with pytest.raises(TargetChanged, match="3 bytes"):
        open_file(out, 2, last)
    assert partials(tmp_path)[0].stat().st_size == 3


def test_a_lost_partial_is_an_error_that_says_so(tmp_path):
    """Removed, or a copy put in its place: it isn't the file that was committed to."""
    out = tmp_path / "o.txt"
    last = begun(out)
    (path,) = partials(tmp_path)
    data = path.read_bytes()
    copy = path.with_name("aside")
    copy.write_bytes(data)
    path.unlink()
    with pytest.raises(TargetChanged, match="is gone"):
        open_file(out, 2, last)
    os.rename(copy, path)
    with pytest.raises(TargetChanged, match="is gone"):
        open_file(out, 3, last)


def test_a_partial_that_is_removed_under_the_writer_is_noticed_at_the_commit(tmp_path):
    """The rows would go to a file without a name."""
    with open_file(tmp_path / "o.txt", 1) as writer:
        partials(tmp_path)[0].unlink()
        with pytest.raises(Superseded, match="removed by hand"):
            commit(writer, 1)


def test_only_the_file_that_was_written_is_published(tmp_path):
    """Another one put at the partial's name doesn't become the target."""
    with open_file(tmp_path / "o.txt", 1) as writer:
        last = commit(writer, 1, complete=True)
        (path,) = partials(tmp_path)
        os.rename(path, tmp_path / "aside")
        path.write_bytes(b"head\n1\n")
        with pytest.raises(Superseded):
            writer.publish(last.next(outcome="completed"))
    assert not (tmp_path / "o.txt").exists()


def test_a_length_that_somebody_changed_is_not_published(tmp_path):
    """Only what was committed may get the name."""
    with open_file(tmp_path / "o.txt", 1) as writer:
        last = commit(writer, 1, complete=True)
        with partials(tmp_path)[0].open("ab") as file:
            file.write(b"x")
        with pytest.raises(TargetChanged, match="written to it"):
            writer.publish(last.next(outcome="completed"))
    assert not (tmp_path / "o.txt").exists()


def test_a_symbolic_link_planted_at_the_partials_name_is_refused(tmp_path):
    """Neither followed nor taken for ours."""
    out, victim = tmp_path / "o.txt", tmp_path / "victim"
    victim.write_text("precious")
    with open_file(out, 1) as writer:
        name = partials(tmp_path)[0].name
        writer.discard()
    (tmp_path / name).symlink_to(victim)
    with pytest.raises(TargetError, match="File exists"):
        open_file(out, 1)
    (tmp_path / name).unlink()
    last = begun(out)
    (path,) = partials(tmp_path)
    os.rename(path, victim)
    path.symlink_to(victim)
    with pytest.raises(TargetChanged):
        open_file(out, 2, last)


def test_targets_that_cannot_be_written_are_refused_before_anything_is_made(tmp_path):
    """A folder, a pipe, a missing folder, a file for a folder, a name too long."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    for name in ("folder", "pipe", "missing/o.txt", "file/o.txt", "x" * 300):
        with pytest.raises(TargetError, match="Can't write"):
            open_file(tmp_path / name, 1, if_exists="replace")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_without_permission_is_refused(tmp_path):
    """Said before anything is made."""
    tmp_path.chmod(0o500)
    with obeying(), pytest.raises(TargetError, match="may not be written"):
        open_file(tmp_path / "o.txt", 1)
    tmp_path.chmod(0o700)


def test_long_and_odd_names_work(tmp_path):
    """The partial's name is longer than the target's; file systems end at 255 bytes."""
    for name in ("ü" * 127, "x" * 255, "a[b]*?.csv", "line\nbreak", os.fsdecode(b"\xff\xfe")):
        out = tmp_path / name
        last = begun(out)
        with open_file(out, 2, last) as writer:
            commit(writer, 3, complete=True)
            finish(writer)
        assert out.read_bytes() == b"head\n1\n2\n3\n"
    assert len(list(tmp_path.iterdir())) == 5


def test_another_kind_of_state_is_refused(tmp_path):
    """A run that was begun into a database doesn't become a file."""
    with pytest.raises(TargetChanged, match="another kind of target"):
        open_file(tmp_path / "o.txt", 2, Checkpoint(number=3, sink={"staging": "t"}))


FULL = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_partial import batch, commit, open_file
from resumable.errors import TargetError
with open_file(Path(sys.argv[2]), 1) as writer:
    writer.accepted()
    print(commit(writer, 1).to_json())
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    for _ in range(2):
        try:
            commit(writer, *range(1000))
        except TargetError as error:
            print(error)
"""


def test_a_full_disk_loses_nothing(tmp_path):
    """Said clearly; the writer refuses to go on, and the next session goes on from the last commit."""
    out = tmp_path / "o.txt"
    done = subprocess.run(
        [sys.executable, "-c", FULL, Path(__file__).parent, out],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    saved, first, second = done.stdout.splitlines()
    assert "File too large" in first
    assert "Make room" in first
    assert "an earlier write has failed" in second
    with open_file(out, 2, Checkpoint.from_json(saved, "its word")) as writer:
        commit(writer, 2, complete=True)
        finish(writer)
    assert out.read_bytes() == b"head\n1\n2\n"


def test_a_failed_fsync_is_never_taken_for_a_success(tmp_path, monkeypatch):
    """The kernel may have dropped the pages: the writer refuses a second try."""

    def fail(fd: int) -> None:
        raise OSError(5, "Input/output error")

    with open_file(tmp_path / "o.txt", 1) as writer:
        writer.write(batch(1))
        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fail)
            with pytest.raises(TargetError, match="Input/output"):
                writer.commit(writer.last.next())
        with pytest.raises(TargetError, match="earlier write"):
            writer.commit(writer.last.next())


# --------------------------------------------------------------------------- crashes, at every call


def session(out: Path, number: int, store: list[Checkpoint], if_exists: str, live: bool) -> None:
    """What the core does, in short: the store is a list, its last entry what it knows."""
    with open_file(out, number, store[-1], if_exists=if_exists, takeover=live) as writer:
        store.append(writer.last)
        writer.accepted()
        while not (writer.last.complete or writer.last.outcome):
            value = (writer.last.position or 0) + 1
            writer.write(batch(value))
            store.append(writer.commit(writer.last.next(position=value, complete=value == 2)))
        if not writer.last.outcome:
            store.append(writer.publish(writer.last.next(outcome="completed")))
        writer.clean_up()
        store.append(replace(writer.last, finished=True))


@pytest.mark.parametrize("after", [False, True])
def test_a_takeover_that_crashes_at_any_call_is_recovered_from(tmp_path, after):
    """The old writer lives all the while, and writes on to its own inode."""
    for at in range(25):
        folder = tmp_path / str(at)
        folder.mkdir()
        out = folder / "o.txt"
        with open_file(out, 1) as old:
            store = [replace(commit(old, 1), position=1)]
            with contextlib.suppress(Crash), crashing(at, after=after):
                session(out, 2, store, "fail", live=True)
            with contextlib.suppress(Superseded, TargetError):
                old.write(batch(*range(500)))
                old._file.sync()
            if not store[-1].finished:
                session(out, 3, store, "fail", live=True)
        assert [out] == list(folder.iterdir())
        assert out.read_bytes() == b"head\n1\n2\n"


def test_the_descriptor_of_a_closed_file_is_not_used(tmp_path):
    """A number that the system gives out again must not be written to."""
    file = PartialFile(tmp_path / "o.txt", "run", ClaimId(1, "a"))
    with pytest.raises(TargetError, match="closed"):
        file.append(b"x")
    file.create("fail")
    file.close()
    with pytest.raises(TargetError, match="closed"):
        file.sync()

"""Who runs: pause, signals, death, a second runner, takeover of a frozen one, other folders, stores and threads.

Nothing is measured: a process is frozen (SIGSTOP) where the order of events matters.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
import threading
from pathlib import Path

import pytest

import resumable
from jobs import NAME, Jobs, Task, execute, until, upload_task
from resumable.sources import CsvSource

TEMPFAIL = 75
FENCED = "was taken over|has taken the run over"


def test_a_pause_from_another_process_is_honoured_and_the_same_line_goes_on(jobs: Jobs, task: Task) -> None:
    """`resumable pause` succeeds once the runner has stopped with 75; nothing is published; then it goes on."""
    runner = jobs(*task.command()).committed(2).freeze(lambda: task.free() and jobs.free())
    asking = jobs("pause", NAME)
    until(lambda: jobs.record().asked == "pause" or asking.process.poll() is not None, "nobody asks")
    runner.wake()
    assert (TEMPFAIL, 0) == (runner.end(), asking.end()), runner.said + asking.said
    assert "paused" == runner.steps[-1]["status"] == jobs.known()
    assert "is paused" in asking.said
    rows = runner.steps[-1]["rows"]
    assert 0 < rows < 30_000
    assert task.expected != task.result()
    again = jobs(*task.command())
    assert 0 == again.end(), again.said
    assert rows < again.steps[0]["rows"]
    assert task.expected == task.result()


def test_a_pause_binds_only_the_session_that_runs_when_it_is_asked_for(
    jobs: Jobs, tmp_path: Path, sqlite_url: str
) -> None:
    """The runner dies before it has heard of it: yesterday's pause doesn't stop today's session."""
    upload = upload_task(tmp_path, sqlite_url)
    runner = jobs(*upload.command()).committed(2).freeze(lambda: upload.free() and jobs.free())
    asking = jobs("pause", NAME, "--wait", "600")
    until(lambda: jobs.record().asked == "pause", "nobody asks")
    runner.kill()
    assert 0 == asking.end(), asking.said
    again = jobs(*upload.command())
    assert 0 == again.end(), again.said
    assert upload.expected == upload.result()


def test_ctrl_c_and_sigterm_pause(jobs: Jobs, tmp_path: Path, sqlite_url: str) -> None:
    """Exit status 75, status paused, a message on how to go on; and it does."""
    task, rows = upload_task(tmp_path, sqlite_url), 0
    for number in (signal.SIGINT, signal.SIGTERM):
        runner = jobs(*task.command()).committed(2).freeze()
        runner.process.send_signal(number)
        assert TEMPFAIL == runner.wake().end(), runner.said
        assert "paused" == runner.steps[-1]["status"] == jobs.status()
        assert "The same call goes on" in runner.said
        assert "Traceback" not in runner.said
        assert rows < runner.steps[0]["rows"]
        rows = runner.steps[-1]["rows"]
    again = jobs(*task.command())
    assert 0 == again.end(), again.said
    assert rows < again.steps[0]["rows"]
    assert task.expected == task.result()


def test_after_kill_9_the_run_is_interrupted_and_goes_on_at_once(jobs: Jobs, task: Task) -> None:
    """No lease to wait for: the next call isn't refused, and begins where the last commit was."""
    runner = jobs(*task.command()).committed(3).kill()
    assert "interrupted" == jobs.status()
    again = jobs("resume", NAME, cwd=Path("/"))
    assert 0 == again.end(), again.said
    assert runner.steps[-1]["rows"] < again.steps[0]["rows"]
    assert task.expected == task.result()
    assert "completed" == jobs.known()


def test_a_second_runner_is_refused_while_the_first_lives(jobs: Jobs, task: Task) -> None:
    """Even while that is frozen; the message names its process; the first one completes undisturbed."""
    first = jobs(*task.command()).committed(2).freeze(lambda: task.free() and jobs.free())
    second = jobs(*task.command())
    assert 1 == second.end()
    assert f"is running: process {first.process.pid} on " in second.said
    assert "--takeover" in second.said
    assert 0 == first.wake().end(), first.said
    assert task.expected == task.result()


def test_a_frozen_runner_that_was_taken_over_changes_nothing_when_it_wakes(jobs: Jobs, task: Task) -> None:
    """`--takeover` completes the run; the first one wakes after that, and fails, saying that it was taken over."""
    first = jobs(*task.command()).committed(random.randrange(1, 10)).freeze(lambda: task.free() and jobs.free())
    second = jobs(*task.command("--takeover"))
    assert 0 == second.end(), second.said
    assert first.steps[-1]["rows"] < second.steps[0]["rows"]
    assert task.expected == task.result()
    after = task.image()
    assert 1 == first.wake().end()
    assert re.search(FENCED, first.said)
    assert "Traceback" not in first.said
    assert after == task.image()
    assert "completed" == jobs.known()


def test_a_frozen_runner_that_wakes_while_the_next_is_at_work_changes_nothing(jobs: Jobs, task: Task) -> None:
    """Both then run at the same time; the one that was taken over fails, the other completes: every row once."""
    first = jobs(*task.command()).committed(2).freeze(lambda: task.free() and jobs.free())
    second = jobs(*task.command("--takeover")).committed(1)
    assert 1 == first.wake().end()
    assert re.search(FENCED, first.said)
    assert 0 == second.end(), second.said
    assert task.expected == task.result()


def test_a_frozen_runner_whose_run_was_called_off_changes_nothing_when_it_wakes(jobs: Jobs, task: Task) -> None:
    """It doesn't honour terminate, which says so; a takeover then honours it first: all is as it was, and stays so."""
    first = jobs(*task.command()).committed(3).freeze(lambda: task.free() and jobs.free())
    asking = jobs("terminate", NAME, "--wait", "0")
    assert 1 == asking.end()
    assert f"process {first.process.pid} on " in asking.said
    ending = jobs("resume", NAME, "--takeover")
    assert 1 == ending.end()
    assert "was terminated" in ending.said
    assert task.before == task.image()
    assert 1 == first.wake().end()
    assert re.search(FENCED, first.said)
    assert task.before == task.image()
    assert "terminated" == jobs.known()


def elsewhere(jobs: Jobs) -> Path:
    folder = jobs.folder / "elsewhere"
    folder.mkdir()
    return folder


def relative(upload: Task) -> list[str]:
    """No --name, and a path that means something only in the first folder."""
    return ["upload", "rows.csv", *upload.arguments[2:]]


def test_an_append_is_never_loaded_twice_from_whatever_folder_or_store(jobs: Jobs, upload: Task) -> None:
    """The target's ledger knows the run, when another store doesn't, and when the store is lost."""
    there = elsewhere(jobs)
    first = jobs(*relative(upload), cwd=jobs.folder)
    assert 0 == first.end(), first.said
    for lost, store in ((False, there / "store"), (True, jobs.folder / "store")):
        if lost:
            shutil.rmtree(jobs.folder / "store")
        again = jobs(*upload.arguments, store=store, cwd=there)
        assert 0 == again.end(), again.said
        assert "completed before" in again.said
        assert upload.expected == upload.result()


def test_an_unfinished_append_goes_on_from_whatever_folder_or_store(jobs: Jobs, upload: Task) -> None:
    """Killed, and then called elsewhere with another store; the first store, which is behind, is told by the ledger."""
    there = elsewhere(jobs)
    first = jobs(*relative(upload), cwd=jobs.folder).committed(3).kill()
    again = jobs(*upload.arguments, store=there / "store", cwd=there)
    assert 0 == again.end(), again.said
    assert first.steps[-1]["rows"] < again.steps[0]["rows"]
    assert upload.expected == upload.result()
    late = jobs(*relative(upload), cwd=jobs.folder)
    assert 0 == late.end(), late.said
    assert upload.expected == upload.result()


def test_a_paused_append_goes_on_when_the_store_is_lost(jobs: Jobs, upload: Task) -> None:
    """At once: who left in good order is waited for by nobody."""
    first = jobs(*upload.command()).committed(3).freeze()
    first.process.send_signal(signal.SIGTERM)
    assert TEMPFAIL == first.wake().end(), first.said
    shutil.rmtree(jobs.folder / "store")
    again = jobs(*upload.command())
    assert 0 == again.end(), again.said
    assert first.steps[-1]["rows"] < again.steps[0]["rows"]
    assert upload.expected == upload.result()


def test_another_store_does_not_make_a_second_runner(jobs: Jobs, upload: Task) -> None:
    """A runner whose checkpoints are in a store that I don't know is refused all the same, naming that store."""
    first = jobs(*upload.command()).committed(2).freeze(lambda: upload.free() and jobs.free())
    second = jobs(*upload.command(), store=jobs.folder / "another")
    assert 1 == second.end()
    assert f"process {first.process.pid} on " in second.said
    assert str(jobs.folder / "store") in second.said
    assert 0 == first.wake().end(), first.said
    assert upload.expected == upload.result()


def test_a_frozen_runner_that_was_taken_over_from_another_store_hears_of_it_in_the_ledger(
    jobs: Jobs, upload: Task
) -> None:
    """Its own store knows nothing of it: when it wakes, the target tells it, and it changes nothing."""
    first = jobs(*upload.command()).committed(3).freeze(lambda: upload.free() and jobs.free())
    second = jobs(*upload.command("--takeover"), store=jobs.folder / "another")
    assert 0 == second.end(), second.said
    after = upload.image()
    assert 1 == first.wake().end()
    assert re.search(FENCED, first.said), first.said
    assert after == upload.image()
    assert upload.expected == upload.result()


def test_a_run_is_resumed_by_its_name_from_another_folder(jobs: Jobs, tmp_path: Path) -> None:
    """`resumable resume NAME --store`: relative paths of the first call are remembered as what they meant."""
    upload = upload_task(tmp_path, f"sqlite:///{tmp_path / 'target.db'}")
    (tmp_path / "elsewhere").mkdir()
    line = ["upload", "rows.csv", "sqlite:///target.db", "t", "--if-exists", "append", "--name", NAME]
    jobs(*line, cwd=tmp_path).committed(2).kill()
    again = jobs("resume", NAME, cwd=tmp_path / "elsewhere")
    assert 0 == again.end(), again.said
    assert upload.expected == upload.result()
    assert [] == list((tmp_path / "elsewhere").iterdir())


# ---------------------------------------------------------------------------------------------- threads


def pipeline(tmp_path: Path, url: str) -> resumable.Pipeline:
    source = CsvSource(tmp_path / "rows.csv", block_rows=100)
    return resumable.upload(source, url, "t", if_exists="append", name=NAME, store=tmp_path / "store", every=0)


def test_a_second_thread_is_refused_and_may_pause_the_first(database: str, tmp_path: Path) -> None:
    """Two pipelines of the same run in one process: AlreadyRunning; then a pause ends the first one's loop."""
    task, begun, refused, ends = upload_task(tmp_path, database, 3_000), threading.Event(), threading.Event(), []

    def first() -> None:
        try:
            for _ in pipeline(tmp_path, database):
                begun.set()
                assert refused.wait(60)
        except resumable.Paused as end:
            ends.append(end)

    thread = threading.Thread(target=first)
    thread.start()
    assert begun.wait(60)
    with pytest.raises(resumable.AlreadyRunning):
        list(pipeline(tmp_path, database))
    pausing = threading.Thread(target=pipeline(tmp_path, database).pause)
    pausing.start()
    store = pipeline(tmp_path, database).store
    until(lambda: store.load(NAME).asked == "pause", "nobody asks")
    refused.set()
    thread.join(60)
    pausing.join(60)
    assert 1 == len(ends)
    assert "paused" == pipeline(tmp_path, database).status
    pipeline(tmp_path, database).run()
    assert task.expected == task.result()


def test_threads_that_begin_at_once_load_once(database: str, tmp_path: Path) -> None:
    """Four at a time, until one completes: the others are refused, or told that it was completed before."""
    task, gate, ends = upload_task(tmp_path, database, 1_000), threading.Barrier(4), []

    def one() -> None:
        mine = pipeline(tmp_path, database)
        gate.wait(60)
        try:
            ends.append(mine.run().status)
        except resumable.AlreadyRunning:
            ends.append("refused")

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert 4 == len(ends)
    assert "completed" in ends
    assert {"completed", "refused"} >= set(ends)
    assert task.expected == task.result()
    assert [(0,)] == execute(database, "select count(*) from t where id = 0 and word <> 'before'")

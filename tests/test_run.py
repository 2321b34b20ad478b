"""The store as the control room: runs that other processes run are looked at, stopped, gone on with and called off."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import resumable
from jobs import NAME, Jobs, Task, export_task, until, upload_task
from resumable import Run
from resumable.checkpoint import Record
from resumable.control.claims import claim_run
from resumable.errors import AlreadyCompleted, OptionsChanged, Refused, ResumableError, UnknownRun
from resumable.run import submit
from resumable.stores import FileStore, MemoryStore, SqlStore, open_store
from services import CANARY


@pytest.fixture(params=["file", "postgresql", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The name of a store that processes share."""
    if request.param == "file":
        return str(tmp_path / "store")
    return str(request.getfixturevalue({"postgresql": "postgres"}.get(request.param, request.param)))


@pytest.fixture
def task(tmp_path: Path, sqlite_url: str) -> Task:
    """An append to a table in SQLite."""
    return upload_task(tmp_path, sqlite_url)


@pytest.fixture(autouse=True)
def pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs take at least a second, so that what is asked of them finds them at work."""
    monkeypatch.setenv("JOB_PACE", "0.04")


def pipeline(task: Task, store: Any, **more: Any) -> resumable.Pipeline:
    """The task's run, as Python code has it."""
    _, source, url, table, *_ = task.arguments
    return resumable.upload(source, url, table, name=NAME, store=store, **{"if_exists": "append", "every": 0, **more})


# --------------------------------------------------------------------------------- a run of another process


def test_a_run_of_another_process_is_seen_paused_and_gone_on_with(store: Any, jobs: Jobs, task: Task) -> None:
    """By name and store alone: its progress, a pause that it honours, and the rest of it here."""
    runner = jobs(*task.command(), store=store).committed(2)
    run = Run(NAME, store)
    assert ("running", "") == (run.status, run.asked)
    assert run.progress.rows >= 1_000
    run.pause()
    assert 75 == runner.end(), runner.said
    assert ("paused", "") == (run.status, run.asked)
    assert [run.progress] == resumable.runs(store)
    assert runner.steps[-1]["rows"] == run.progress.rows < 30_000
    assert "completed" == run.resume().status
    assert task.expected == task.result()
    for act in (run.pause, run.terminate, lambda: run.ask("resume")):
        with pytest.raises(AlreadyCompleted):
            act()


@pytest.mark.parametrize("what", ["pause", "terminate"])
def test_a_request_is_left_at_once_and_honoured_later(store: Any, jobs: Jobs, task: Task, what: Any) -> None:
    """`ask` waits for nobody: the runner sleeps, the request stands, and it is honoured when the runner wakes."""
    runner = jobs(*task.command(), store=store).committed(2).freeze(task.free)
    run, free = Run(NAME, store), isinstance(open_store(store), FileStore)
    until(lambda: not free or jobs.free() or not runner.wake().freeze(task.free), "the store is never free")
    run.ask(what)
    assert (what, "running") == (run.asked, run.status)
    runner.wake()
    assert {"pause": 75, "terminate": 1}[what] == runner.end(), runner.said
    assert {"pause": "paused", "terminate": "terminated"}[what] == run.status
    assert "" == run.asked
    if what == "terminate":
        assert task.before == task.image()
        with pytest.raises(Refused, match="anew"):
            run.ask("resume")


def test_a_dead_runners_run_is_called_off_from_here(store: Any, jobs: Jobs, task: Task) -> None:
    """`terminate` by name rebuilds the pipeline and rolls back; a second time changes nothing."""
    jobs(*task.command(), store=store).committed(2).kill()
    run = Run(NAME, store)
    assert "interrupted" == run.status
    run.terminate()
    assert ("terminated", task.before) == (run.status, task.image())
    run.terminate()


def test_an_export_is_stopped_and_gone_on_with_by_name(store: Any, jobs: Jobs, tmp_path: Path) -> None:
    """The same for a file, whose checkpoint is nowhere but in the store."""
    task = export_task(tmp_path)
    runner = jobs(*task.command(), store=store).committed(2)
    run = Run(NAME, store)
    run.pause()
    assert 75 == runner.end(), runner.said
    assert ("paused", None) == (run.status, task.result())
    run.resume()
    assert task.expected == task.result()


# ------------------------------------------------------------------------------------ a run left to a worker


def test_a_run_that_is_left_to_a_worker_is_known_before_it_begins(store: Any, jobs: Jobs, task: Task) -> None:
    """Queued, with nothing touched; whoever serves the store finds all it needs, and the wish ends with the run."""
    run = submit(pipeline(task, store))
    assert ("queued", "resume", task.before) == (run.status, run.asked, task.image())
    worker = jobs("resume", NAME, store=store)
    assert 0 == worker.end(), worker.said
    assert ("completed", "") == (run.status, run.asked)
    assert task.expected == task.result()
    run = submit(pipeline(task, store))  # the same once more
    assert "queued" == run.status
    worker = jobs("resume", NAME, store=store)
    assert 0 == worker.end(), worker.said
    assert ("completed", "") == (run.status, run.asked)
    assert task.expected == task.result()


def test_a_worker_that_dies_leaves_the_run_to_the_next(store: Any, jobs: Jobs, task: Task) -> None:
    """The wish outlives `kill -9`; a pause ends it, and it may be asked for again."""
    run = submit(pipeline(task, store))
    worker = jobs("resume", NAME, store=store).committed(2)
    assert ("running", "resume") == (run.status, run.asked)
    worker.kill()
    assert ("interrupted", "resume") == (run.status, run.asked)
    worker = jobs("resume", NAME, store=store).committed(1)
    run.pause()
    assert 75 == worker.end(), worker.said
    assert ("paused", "") == (run.status, run.asked)
    run.ask("resume")
    assert ("queued", "resume") == (run.status, run.asked)
    run.pause()
    assert ("paused", "") == (run.status, run.asked)


def test_a_worker_that_is_asked_to_stop_leaves_the_run_queued(store: Any, jobs: Jobs, task: Task) -> None:
    """SIGTERM is about the worker, not about the run: it stays wanted, from the commit that was reached."""
    run = submit(pipeline(task, store))
    worker = jobs("resume", NAME, store=store).committed(2)
    worker.process.send_signal(signal.SIGTERM)
    assert 75 == worker.end(), worker.said
    assert ("queued", "resume") == (run.status, run.asked)


def test_a_run_that_fails_is_wanted_no_more_and_says_why(task: Task) -> None:
    """Refused before anything was made: it stays known, as failed, with the reason, and no worker tries for ever."""
    store = MemoryStore()
    run = submit(pipeline(task, store, if_exists="fail"))
    with pytest.raises(ResumableError):
        run.resume()
    assert ("failed", "") == (run.status, run.asked)
    assert "exists" in run.progress.message
    run.ask("resume")
    assert "queued" == run.status
    run.terminate()
    assert ("terminated", task.before) == (run.status, task.image())


@pytest.mark.parametrize("how", ["by asking", "by the caller"])
def test_a_run_that_never_began_is_called_off(task: Task, how: str) -> None:
    """Nothing was made, so nothing is undone: it is terminated there and then, and may be left to a worker anew."""
    run = submit(pipeline(task, MemoryStore()))
    run.ask("terminate") if how == "by asking" else run.terminate()
    assert ("terminated", "", task.before) == (run.status, run.asked, task.image())
    assert "queued" == submit(pipeline(task, run.store)).status
    run.resume()
    assert task.expected == task.result()


def test_a_pause_that_comes_between_a_worker_and_its_claim_wins(task: Task) -> None:
    """`precondition` sees the very record that the claim goes into: what is asked between two looks is not overlooked."""
    run, seen = submit(pipeline(task, MemoryStore())), []

    def precondition(record: Record) -> None:
        seen.append(record.asked)
        if not seen[1:]:
            run.pause()
        if record.asked != "resume":
            raise Refused("It is not wanted.")

    with pytest.raises(Refused), claim_run(run.store, NAME, precondition=precondition):
        pass
    assert ["resume", ""] == seen
    assert "" == run.asked


def test_another_call_under_the_same_name_is_refused(store: Any, task: Task) -> None:
    """An unfinished run goes on with the options it began with, or not at all; before it began they may still change."""
    run = submit(pipeline(task, store, if_exists="replace"))
    run = submit(pipeline(task, store))
    for _ in run.pipeline():
        break
    with pytest.raises(OptionsChanged, match="if_exists"):
        submit(pipeline(task, store, if_exists="replace"))
    assert "queued" == submit(pipeline(task, store)).status


def test_other_options_over_a_completed_run_are_refused_unless_its_source_has_changed(task: Task) -> None:
    """The worker would find them refused, and nobody would hear of it; over an edited file they are those of a new run."""
    store = MemoryStore()
    pipeline(task, store).run()
    with pytest.raises(OptionsChanged, match="if_exists"):
        submit(pipeline(task, store, if_exists="replace"))
    assert "completed" == Run(NAME, store).status
    source = Path(task.arguments[1])
    source.write_bytes(source.read_bytes().rpartition(b"\n")[0].rpartition(b"\n")[0] + b"\n")
    run = submit(pipeline(task, store, if_exists="replace"))
    assert run.resume().rows == 29_999


def test_what_only_a_program_can_build_is_not_left_to_a_worker(task: Task) -> None:
    """A transform, or a source that is an object, isn't in the store: said at once, and nothing is kept."""
    store = MemoryStore()
    with pytest.raises(Refused, match="transform"):
        submit(pipeline(task, store, transform=lambda rows: rows))
    assert [] == store.names()


def test_terminate_outweighs_resume_and_pause(task: Task) -> None:
    """Once it is to be called off, nothing else can be asked of it."""
    run = submit(pipeline(task, MemoryStore()))
    for _ in run.pipeline():
        break
    for what in ("terminate", "pause", "resume"):
        run.ask(what)
        assert "terminate" == run.asked
    submit(pipeline(task, run.store))
    assert "terminate" == run.asked
    run.terminate()
    assert ("terminated", task.before) == (run.status, task.image())


def test_what_cannot_be_called_off_here_is_not_asked_for(tmp_path: Path, sqlite_url: str) -> None:
    """No runner lives, and only its program can build it: refused, and the next session isn't told to roll back."""
    store, url = MemoryStore(), sqlite_url
    rows = pa.table({"id": range(200_000)})
    for _ in resumable.upload(rows, url, "t", name=NAME, store=store, every=0):
        break
    run = Run(NAME, store)
    with pytest.raises(Refused, match="Python program"):
        run.terminate()
    assert ("paused", "") == (run.status, run.asked)


@pytest.mark.parametrize("store", ["file"], indirect=True)
def test_the_command_line_leaves_a_run_to_a_worker(store: str, jobs: Jobs, task: Task) -> None:
    """`resume --queue` asks and returns; `list` shows it, `pause` takes it back, a worker takes it up."""
    jobs(*task.command(), store=store).committed(2).kill()
    run = Run(NAME, store)
    for command, said, status in (
        (("resume", NAME, "--queue"), "is interrupted", "interrupted"),  # until somebody takes over from the dead
        (("pause", NAME), "is interrupted", "interrupted"),
        (("resume", NAME, "--queue"), "is interrupted", "interrupted"),
    ):
        job = jobs(*command, store=store)
        assert 0 == job.end(), job.said
        assert said in job.said
        assert status == run.status
    assert "resume" == run.asked
    run.resume()
    assert task.expected == task.result()


def test_an_unknown_run_is_an_error(store: Any) -> None:
    """Whatever is wanted of it; and looking makes nothing."""
    run: Any = Run("nobody", store)
    acts = [run.pause, run.resume, run.terminate, run.pipeline, lambda: run.ask("pause"), lambda: run.ask("resume")]
    for act in [*acts, lambda: run.status, lambda: run.progress, lambda: run.asked]:
        with pytest.raises(UnknownRun, match="nobody"):
            act()
    assert "nobody" in repr(run)
    assert [] == run.store.names()


def test_no_password_goes_to_the_worker_through_the_store(canary: str, tmp_path: Path, sqlite_url: str) -> None:
    """The store learns the target's URL without it; the one who goes on gives it again, and it must be the same."""
    (tmp_path / "rows.csv").write_text("id\n1\n2\n")
    store = SqlStore(f"sqlite:///{tmp_path / 'store.db'}")
    run = submit(resumable.upload(tmp_path / "rows.csv", canary, "t", name=NAME, store=store))
    assert CANARY.encode() not in (tmp_path / "store.db").read_bytes()
    with pytest.raises(ResumableError, match="another target"):
        run.resume(target=sqlite_url)
    assert "queued" == run.status
    run.resume(target=canary)
    assert 2 == run.progress.rows
    assert CANARY.encode() not in (tmp_path / "store.db").read_bytes()
    store._engine.dispose()

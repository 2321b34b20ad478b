"""The session with a source and a sink in memory: each law of the loop, and a crash at every call there is."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from memory import MemorySink, MemorySource, World
from resumable.checkpoint import Record
from resumable.control.liveness import this_process
from resumable.errors import (
    AlreadyCompleted,
    AlreadyRunning,
    OptionsChanged,
    Paused,
    ResumableError,
    SourceChanged,
    TargetChanged,
    Terminated,
    UnknownRun,
    UsageError,
)
from resumable.pipeline import Pipeline
from resumable.run import runs
from resumable.session.loop import session
from resumable.sinks.csv import CsvSink
from resumable.stores import MemoryStore

ALL = [-1, 1, 2, 3, 4, 5, 6]


class Crash(BaseException):
    """The process is gone: nothing that it holds does anything any more."""


class CrashingStore:
    """A MemoryStore whose process dies at one of its calls."""

    location = "memory"

    def __init__(self, inner: MemoryStore, step: Any) -> None:
        self.inner, self.step = inner, step

    def load(self, name: str) -> Record | None:
        self.step("load")
        return self.inner.load(name)

    def names(self) -> list[str]:
        return self.inner.names()

    def swap(self, name: str, version: int, record: Record | None) -> bool:
        self.step("before swap")
        done = self.inner.swap(name, version, record)
        self.step("after swap")
        return done


class Countdown:
    """Dies at the n-th step, and at every one after it; n = 0 lives."""

    def __init__(self, n: int) -> None:
        self.n, self.seen = n, 0

    def __call__(self, what: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # the heart beats when it likes: it would make the count depend on chance
        self.seen += 1
        if self.n and self.seen >= self.n:
            raise Crash


def pipeline(world: World, store: Any, source: MemorySource | None = None, **options: Any) -> Pipeline:
    return Pipeline(source or MemorySource(), MemorySink(world), name="m", store=store, **{"every": 0, **options})


def attempt(world: World, store: MemoryStore, n: int, *, terminate: bool = False) -> str:
    """One process: runs or terminates, and dies at step `n`; how it ended."""
    death = Countdown(n)
    world.step = death
    try:
        made = pipeline(world, CrashingStore(store, death))
        if terminate:
            list(session(made.plan, terminate=True))
        else:
            list(made)
        return "completed"
    except Crash:
        return "crashed"
    except ResumableError as error:
        return type(error).__name__
    finally:
        world.step = lambda what: None


def test_a_run_yields_after_each_commit_and_ends_completed() -> None:
    """Three batches, then the end: rows once, in order; nothing of ours left but the ledger row."""
    world, store = World(), MemoryStore()
    steps = list(pipeline(world, store))
    assert [2, 4, 6, 6] == [step.rows for step in steps]
    assert ["running"] * 3 + ["completed"] == [step.status for step in steps]
    assert ALL == world.target
    assert world.staging is None
    assert world.row() is not None


def test_each_step_is_durable_and_the_target_is_untouched_until_the_end() -> None:
    """At each yield the ledger and the store agree on what was committed, and the target is as it was."""
    world, store = World(), MemoryStore()
    for step in pipeline(world, store):
        record, row = store.load("m"), world.row()
        assert record is not None
        assert row is not None
        assert step.rows == record.checkpoint.rows == row.rows
        assert world.target == ([-1] if step.status == "running" else ALL)


def test_rows_are_in_the_file_before_the_store_speaks_of_them(tmp_path: Path) -> None:
    """At each yield the store has the very length that the partial file has: it was saved after the commit."""
    store = MemoryStore()
    for step in Pipeline(MemorySource(), CsvSink(tmp_path / "n.csv"), name="m", store=store, every=0):
        record = store.load("m")
        assert record is not None
        (file,) = [
            path
            for path in tmp_path.iterdir()
            if path.name.endswith("n.csv" if record.checkpoint.finished else ".partial")
        ]
        assert file.stat().st_size == record.checkpoint.sink["length"] == 2 + 2 * step.rows


def test_leaving_the_loop_pauses_and_the_next_loop_goes_on() -> None:
    """break, then again: the steps of the second loop begin where the first one stopped."""
    world, store = World(), MemoryStore()
    for _ in pipeline(world, store):
        break
    assert "paused" == pipeline(world, store).status
    assert [4, 6, 6] == [step.rows for step in pipeline(world, store)]
    assert ALL == world.target


def test_a_named_iterator_left_suspended_is_closed_by_the_next_loop() -> None:
    """A notebook cell that is run again goes on; the old iterator doesn't hold the run."""
    world, store = World(), MemoryStore()
    steps = iter(pipeline(world, store))
    next(steps)
    assert 6 == list(pipeline(world, store))[-1].rows
    assert ALL == world.target
    with pytest.raises(Paused):  # it doesn't end as if it had got through
        next(steps)


def test_a_stop_that_comes_before_the_first_step_counts() -> None:
    """A signal may come while the progress bar is still being imported."""
    world, store = World(), MemoryStore()
    run = pipeline(world, store)
    steps = iter(run)
    run.stop()
    with pytest.raises(Paused):
        list(steps)
    assert 6 == list(run)[-1].rows, "it was meant for that session only"
    assert ALL == world.target


@pytest.mark.parametrize("ending", [KeyboardInterrupt, GeneratorExit])
def test_an_interrupt_in_the_loop_pauses(ending: type[BaseException]) -> None:
    """Ctrl-C in the loop's body: paused, nothing lost."""
    world, store = World(), MemoryStore()
    with contextlib.suppress(ending):
        for _ in pipeline(world, store):
            raise ending
    assert "paused" == pipeline(world, store).status
    pipeline(world, store).run()
    assert ALL == world.target


class Interrupting:
    """Ctrl-C at the store's call `at`; remembers the newest checkpoint that the store has had."""

    def __init__(self, store: MemoryStore, at: int) -> None:
        self.store, self.at = store, at
        self.calls = self.newest = 0
        self.what = ""

    def __call__(self, what: str) -> None:
        if threading.current_thread() is not threading.main_thread():
            return  # the heart: signals aren't its business
        self.newest = max(self.newest, self.number())
        self.calls += 1
        if self.calls == self.at:
            self.what = what
            raise KeyboardInterrupt

    def number(self) -> int:
        record = self.store.load("m")
        return record.checkpoint.number if record else 0


def test_an_interrupt_at_any_call_of_the_store_takes_nothing_back() -> None:
    """Ctrl-C may strike when a save is done, and before the runner knows of it: the store doesn't go back a commit."""
    struck = []
    for at in range(1, 100):
        world, store = World(), MemoryStore()
        interrupt = Interrupting(store, at)
        try:
            pipeline(world, CrashingStore(store, interrupt)).run()
        except KeyboardInterrupt:
            struck.append(interrupt.what)
        else:
            break
        assert interrupt.newest == interrupt.number(), at
        assert "running" != pipeline(world, store).status
        pipeline(world, store).run()
        assert ALL == world.target, at
    assert {"load", "before swap", "after swap"} == {*struck}
    assert 10 < len(struck) == at - 1, "it was tried at every call"


def test_an_error_in_the_source_fails_the_run_and_keeps_it_resumable() -> None:
    """The status is failed, the reason is kept, and the same call goes on."""

    class Broken(MemorySource):
        def read(self, *arguments: Any) -> Iterator[Any]:
            yield from list(super().read(*arguments))[:1]
            raise OSError("the disk is gone")

    world, store = World(), MemoryStore()
    with pytest.raises(OSError, match="disk"):
        pipeline(world, store, Broken()).run()
    assert "failed" == pipeline(world, store).status
    assert "the disk is gone" in pipeline(world, store).progress.message
    pipeline(world, store).run()
    assert ALL == world.target


def test_a_crash_at_every_call_and_every_second_crash_ends_with_each_row_once() -> None:
    """Run, dies at n; resume, dies at m; resume: for every n and m there is, in store and sink."""
    for n in range(1, 200):
        for m in range(1, 200):
            world, store = World(), MemoryStore()
            first = attempt(world, store, n)
            second = attempt(world, store, m)
            assert "completed" == attempt(world, store, 0)
            assert (ALL, None) == (world.target, world.staging)
            if second == "completed":
                break
        if first == "completed":
            break
    assert n > 30


def test_terminate_after_a_crash_at_every_call_and_crashed_itself_leaves_nothing() -> None:
    """Run, dies at n; terminate, dies at m; terminate again: the target as before, no ledger row; or all of it."""
    for n in range(1, 200):
        for m in range(1, 200):
            world, store = World(), MemoryStore()
            first = attempt(world, store, n)
            second = attempt(world, store, m, terminate=True)
            last = attempt(world, store, 0, terminate=True)
            if last == "completed":
                assert (ALL, None) == (world.target, world.staging)
            else:
                assert ([-1], None, None) == (world.target, world.staging, world.ledger)
                assert last in ("Terminated", "UnknownRun")
            if second != "crashed":
                break
        if first == "completed":
            break
    assert n > 30


def test_a_run_after_a_crashed_terminate_finishes_the_rollback_first() -> None:
    """Terminate is sticky: once it is decided, the next session ends it, and only the one after begins anew."""
    for m in range(1, 60):
        world, store = World(), MemoryStore()
        attempt(world, store, 14)
        ended = attempt(world, store, m, terminate=True)
        again = attempt(world, store, 0)
        assert again in ("completed", "Terminated")
        assert world.target == ([-1] if again == "Terminated" else ALL)
        assert "completed" == attempt(world, store, 0)
        assert ALL == world.target
        if ended != "crashed":
            break


def test_the_ledger_alone_keeps_a_completed_run_from_being_loaded_twice() -> None:
    """The store is lost: the same call finds the ledger's row and does nothing."""
    world = World()
    pipeline(world, MemoryStore()).run()
    again = list(pipeline(world, MemoryStore()))
    assert ["completed"] == [step.status for step in again]
    assert ALL == world.target


def test_the_ledger_alone_lets_an_unfinished_run_go_on() -> None:
    """The store is lost in mid-run: another one goes on from the ledger's checkpoint, not from zero."""
    world = World()
    for _ in pipeline(world, MemoryStore()):
        break
    assert [4, 6, 6] == [step.rows for step in pipeline(world, MemoryStore())]
    assert ALL == world.target


def test_a_changed_source_is_refused_in_the_middle_and_begins_anew_at_the_end() -> None:
    """Unfinished: SourceChanged. Completed: a new run."""
    world, store = World(), MemoryStore()
    for _ in pipeline(world, store):
        break
    with pytest.raises(SourceChanged):
        pipeline(world, store, MemorySource(mark="b")).run()
    assert "failed" == pipeline(world, store).status
    pipeline(world, store).run()
    pipeline(world, store, MemorySource(mark="b")).run()
    assert [*ALL, *ALL[1:]] == world.target


def test_a_target_that_lost_its_ledger_row_is_refused_but_can_be_terminated() -> None:
    """Never a start from zero where the store knows of commits."""
    world, store = World(), MemoryStore()
    for _ in pipeline(world, store):
        break
    world.ledger = world.staging = None
    with pytest.raises(TargetChanged):
        pipeline(world, store).run()
    pipeline(world, store).terminate()
    assert "terminated" == pipeline(world, store).status


def test_other_options_are_refused_in_the_middle() -> None:
    """What the run was begun with holds until it ends."""
    world, store = World(), MemoryStore()
    for _ in pipeline(world, store, definition={"options": {"if_exists": "append"}}):
        break
    with pytest.raises(OptionsChanged, match="append"):
        pipeline(world, store, definition={"options": {"if_exists": "replace"}}).run()


def test_a_second_runner_is_refused_while_the_first_lives() -> None:
    """In one process, from another thread: AlreadyRunning, and the first goes on unharmed."""
    world, store = World(), MemoryStore()
    seen: list[str] = []

    def second() -> None:
        try:
            list(session(pipeline(world, store).plan))
        except AlreadyRunning as error:
            seen.append(str(error))

    for _ in pipeline(world, store):
        if not seen:
            thread = threading.Thread(target=second)
            thread.start()
            thread.join()
    assert 1 == len(seen)
    assert ALL == world.target


def test_a_runner_that_was_taken_over_changes_nothing_any_more() -> None:
    """The first one's next commit is refused inside the data's own transaction."""
    world, store = World(), MemoryStore()
    first = session(pipeline(world, store).plan)
    next(first)
    list(session(pipeline(world, store).plan, takeover=True))
    with pytest.raises(ResumableError):
        list(first)
    assert ALL == world.target


def test_pause_from_another_thread_ends_the_loop_with_paused() -> None:
    """The line after the loop never runs on half a table."""
    world, store = World(), MemoryStore()
    asked: list[threading.Thread] = []
    with pytest.raises(Paused):
        for _ in pipeline(world, store, MemorySource(100_000, 1)):
            if not asked:
                asked.append(threading.Thread(target=pipeline(world, store).pause))
                asked[0].start()
    asked[0].join()
    assert "paused" == pipeline(world, store).status


def test_terminate_from_another_thread_rolls_back_and_raises_terminated() -> None:
    """The live runner does it; the caller returns when it is done."""
    world, store = World(), MemoryStore()
    asked: list[threading.Thread] = []
    with pytest.raises(Terminated):
        for _ in pipeline(world, store, MemorySource(100_000, 1)):
            if not asked:
                asked.append(threading.Thread(target=pipeline(world, store).terminate))
                asked[0].start()
    asked[0].join()
    assert "terminated" == pipeline(world, store).status
    assert ([-1], None, None) == (world.target, world.staging, world.ledger)


def test_terminate_inside_the_loop_raises_terminated_at_the_next_step() -> None:
    """The suspended iterator of this very process is closed; its loop doesn't end as if all were well."""
    world, store = World(), MemoryStore()
    with pytest.raises(Terminated):
        for _ in pipeline(world, store):
            pipeline(world, store).terminate()
    assert [-1] == world.target


def test_a_completed_run_cant_be_terminated_or_paused_and_an_unknown_one_is_unknown() -> None:
    """AlreadyCompleted and UnknownRun; nothing changes."""
    world, store = World(), MemoryStore()
    for act in ("pause", "terminate"):
        with pytest.raises(UnknownRun):
            getattr(pipeline(world, store), act)()
    assert "new" == pipeline(world, store).status
    pipeline(world, store).run()
    for act in ("pause", "terminate"):
        with pytest.raises(AlreadyCompleted):
            getattr(pipeline(world, store), act)()
    assert ALL == world.target


def test_restart_undoes_what_is_there_and_begins_anew() -> None:
    """In the middle of a run it is a fresh start; over a completed one it loads again, knowingly."""
    world, store = World(), MemoryStore()
    for _ in pipeline(world, store):
        break
    pipeline(world, store).restart()
    assert ALL == world.target
    pipeline(world, store).restart()
    assert [*ALL, *ALL[1:]] == world.target


def test_a_terminated_run_begins_anew() -> None:
    """The same call after terminate is a new run."""
    world, store = World(), MemoryStore()
    for _ in pipeline(world, store):
        break
    pipeline(world, store).terminate()
    pipeline(world, store).terminate()
    assert "terminated" == pipeline(world, store).status
    pipeline(world, store).run()
    assert ALL == world.target


def test_a_transform_maps_batches_and_may_change_the_schema() -> None:
    """The sink is given the transformed schema; what the transform returns later must match it."""
    world, store = World(), MemoryStore()

    def double(rows: pa.RecordBatch) -> pa.RecordBatch:
        return pa.RecordBatch.from_pydict({"n": pa.array([2 * n for n in rows["n"].to_pylist()], pa.int64())})

    pipeline(world, store, transform=double).run()
    assert [-1, 2, 4, 6, 8, 10, 12] == world.target
    world, store = World(), MemoryStore()

    def fickle(rows: pa.RecordBatch) -> pa.RecordBatch:
        return rows.rename_columns(["m"]) if rows.num_rows else rows

    with pytest.raises(UsageError, match="transform"):
        pipeline(world, store, transform=fickle).run()


def test_an_empty_source_completes() -> None:
    """No rows is an outcome too."""
    world, store = World(), MemoryStore()
    assert 0 == pipeline(world, store, MemorySource(0)).run().rows
    assert [-1] == world.target


def test_a_completed_run_called_with_other_options_says_which() -> None:
    """It is refused, not called done: what was published isn't what these options mean. Some change no row."""
    world, store = World(), MemoryStore()
    pipeline(world, store, definition={"options": {"if_exists": "append"}}).run()
    again = pipeline(world, store, definition={"options": {"if_exists": "replace"}})
    with pytest.raises(OptionsChanged, match="if_exists was 'append' and is now 'replace'"):
        again.run()
    assert ("completed", ALL) == (again.status, world.target)
    harmless = {"if_exists": "append", "staging": False, "quarantine": "elsewhere", "on_bad_row": "quarantine"}
    assert "nothing to do" in pipeline(world, store, definition={"options": harmless}).run().message
    assert again.restart().status == "completed"
    assert "nothing to do" in again.run().message


def test_runs_and_explain_say_where_a_run_stands() -> None:
    """What the store knows, and in words what a call would do."""
    world, store = World(), MemoryStore()
    assert "begins at the first row" in pipeline(world, store).explain()
    for _ in pipeline(world, store):
        break
    assert [("m", "paused", 2)] == [(run.name, run.status, run.rows) for run in runs(store)]
    assert "Skipped: the 2 rows" in pipeline(world, store).explain()
    pipeline(world, store).run()
    assert "published" in pipeline(world, store).explain()


def test_progress_adds_up_all_sessions() -> None:
    """Rows and sessions over all of them; the fraction ends at one."""
    world, store = World(), MemoryStore()
    for _ in range(2):
        for _ in pipeline(world, store):
            break
    last = pipeline(world, store).run()
    assert (6, 3, 1.0, "completed") == (last.rows, last.sessions, last.fraction, last.status)


def test_a_record_that_was_claimed_by_a_dead_process_is_interrupted() -> None:
    """It says running, and its runner is dead."""
    world, store = World(), MemoryStore()
    for _ in pipeline(world, store):
        break
    record = store.load("m")
    assert record is not None
    dead = replace(this_process(), pid=2**22 + 1, start_time="0")
    assert store.swap("m", record.version, replace(record, version=record.version + 1, owner=dead))
    assert "interrupted" == pipeline(world, store).status
    pipeline(world, store).run()
    assert ALL == world.target

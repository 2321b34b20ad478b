"""QuarantineSink: rejects are kept exactly as far as the inner sink has committed, whichever of the two is asked."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from crashing import Crash
from memory import SCHEMA, MemorySink, World
from resumable.checkpoint import Checkpoint, ClaimId
from resumable.control.liveness import this_process
from resumable.errors import Superseded, TargetChanged, TargetError, TargetExists
from resumable.protocols import Batch, Claimant, Reject, Writer
from resumable.sinks.csv import CsvSink
from resumable.sinks.quarantine import QuarantineSink

NEW = Checkpoint(schema=SCHEMA)


def open_sink(sink: Any, path: Path, number: int, last: Checkpoint = NEW, *, takeover: bool = False) -> Writer:
    claim = Claimant("run", ClaimId(number, f"{number:04x}"), this_process(), takeover=takeover)
    return QuarantineSink(sink, path, source="in.csv").open(claim, last)


def batch(*values: int, rejects: tuple[int, ...] = ()) -> Batch:
    rows = pa.record_batch({"n": pa.array(values, pa.int64())})
    return Batch(rows, None, rejects=tuple(Reject(row, "bad", "n", row * 10, f"text {row}") for row in rejects))


def commit(writer: Writer, *values: int, rejects: tuple[int, ...] = (), complete: bool = False) -> Checkpoint:
    writer.write(batch(*values, rejects=rejects))
    return writer.commit(writer.last.next(complete=complete))


def finish(writer: Writer, outcome: Any = "completed") -> Checkpoint:
    if not writer.last.outcome:
        decide = writer.publish if outcome == "completed" else writer.commit
        decide(writer.last.next(outcome=outcome))
    last = writer.last
    writer.clean_up()
    return last


def rows_in(path: Path) -> list[int]:
    return [json.loads(line)["row"] for line in path.read_text().splitlines()]


class Choosy:
    """A memory sink that puts odd numbers aside."""

    def __init__(self, world: World) -> None:
        self._sink = MemorySink(world)

    def open(self, claim: Claimant, last: Checkpoint) -> Writer:
        writer = self._sink.open(claim, last)
        take = writer.write

        def write(rows: Batch) -> tuple[Reject, ...]:
            values = rows.rows["n"].to_pylist()
            take(replace(rows, rows=pa.record_batch({"n": [v for v in values if v % 2 == 0]})))
            return tuple(Reject(v, "odd", "n") for v in values if v % 2)

        writer.write = write
        return writer

    def describe(self) -> str:
        return "Even numbers."


def test_rejects_of_source_and_sink_are_kept_in_the_order_of_rows(tmp_path):
    """One JSON object a line, there once the run is completed; write() answers with the sink's own."""
    path, world = tmp_path / "bad.jsonl", World()
    with open_sink(Choosy(world), path, 1) as writer:
        writer.accepted()
        refused = writer.write(batch(1, 2, 5, rejects=(3,)))
        assert [1, 5] == [reject.row for reject in refused]
        writer.commit(writer.last.next(complete=True))
        assert not path.exists()
        finish(writer)
    assert [path] == list(tmp_path.iterdir())
    assert [1, 3, 5] == rows_in(path)
    assert {
        "source": "in.csv", "row": 3, "offset": 30, "column": "n", "reason": "bad", "text": "text 3"
    } == json.loads(path.read_text().splitlines()[1])  # fmt: skip
    assert world.target == [-1, 2]


def test_without_rejects_there_is_no_file(tmp_path):
    """Nothing is left beside the target."""
    with open_sink(MemorySink(World()), tmp_path / "bad.jsonl", 1) as writer:
        commit(writer, 1, complete=True)
        finish(writer)
    assert list(tmp_path.iterdir()) == []


def test_rejects_go_back_with_the_rows(tmp_path):
    """What was put aside after the last commit is put aside again, once."""
    path, sink = tmp_path / "bad.jsonl", MemorySink(World())
    with open_sink(sink, path, 1) as writer:
        last = commit(writer, 1, rejects=(2,))
        writer.write(batch(rejects=tuple(range(3, 50_000))))
    with open_sink(sink, path, 2, last) as writer:
        writer.accepted()
        commit(writer, rejects=(3,), complete=True)
        finish(writer)
    assert [2, 3] == rows_in(path)


def test_the_inner_sinks_word_counts(tmp_path):
    """The store is behind, or knows nothing: the ledger has the rejects' length too."""
    path, sink = tmp_path / "bad.jsonl", MemorySink(World())
    with open_sink(sink, path, 1) as writer:
        behind = commit(writer, 1, rejects=(2,))
        ahead = commit(writer, rejects=(3,))
    for number, last in enumerate((behind, NEW), 2):
        with open_sink(sink, path, number, last) as writer:
            assert (writer.last.number, writer.last.quarantine_state) == (ahead.number, ahead.quarantine_state)
    with open_sink(sink, path, 9, NEW) as writer:
        commit(writer, complete=True)
        finish(writer)
    assert [2, 3] == rows_in(path)


def test_a_store_that_knows_how_an_earlier_run_ended_does_not_count(tmp_path):
    """It was restored from a backup: the run that the ledger knows goes on, and so do its rejects."""
    path, sink = tmp_path / "bad.jsonl", MemorySink(World())
    with open_sink(sink, path, 1) as writer:
        commit(writer, 1, rejects=(2,))
    with open_sink(sink, path, 2, replace(NEW, number=9, outcome="completed", finished=True)) as writer:
        commit(writer, rejects=(3,), complete=True)
        finish(writer)
    assert [2, 3] == rows_in(path)


def test_rejects_are_durable_before_the_rows(tmp_path):
    """The rows' commit fails: the rejects that were written for it are cut off."""
    path, world = tmp_path / "bad.jsonl", World()

    def fail(what: str) -> None:
        if what == "before commit":
            raise ConnectionError

    with open_sink(MemorySink(world), path, 1) as writer:
        last = commit(writer, 1, rejects=(2,))
        world.step = fail
        with pytest.raises(ConnectionError):
            commit(writer, 3, rejects=(4,))
        (partial,) = tmp_path.glob(".*.partial")
        assert [2, 4] == rows_in(partial)
        world.step = lambda what: None
    with open_sink(MemorySink(world), path, 2, last):
        assert [2] == rows_in(partial.with_name(partial.name.replace("1-0001", "2-0002")))


def test_a_fenced_writer_does_not_reach_the_rejects(tmp_path):
    """The inner sink has fenced it, so its lock doesn't matter; what it still writes goes to its own inode."""
    path, sink = tmp_path / "bad.jsonl", MemorySink(World())
    with open_sink(sink, path, 1) as old:
        last = commit(old, 1, rejects=(2,))
        with open_sink(sink, path, 2, last) as new:
            new.accepted()
            with pytest.raises(Superseded):
                commit(old, rejects=(666,))
            commit(new, rejects=(3,), complete=True)
            with pytest.raises(Superseded):
                old.clean_up()
            finish(new)
    assert [path] == list(tmp_path.iterdir())
    assert [2, 3] == rows_in(path)


def test_an_interrupted_takeover_loses_no_rejects(tmp_path):
    """Any number of openings while the first writer hangs, saved or not."""
    path, sink = tmp_path / "bad.jsonl", MemorySink(World())
    with open_sink(sink, path, 1) as old:
        last = commit(old, 1, rejects=(2,))
        for number in (2, 3):
            with open_sink(sink, path, number, last):
                pass
        with open_sink(sink, path, 4, last) as writer:
            writer.accepted()
            last = commit(writer, rejects=(3,))
        with contextlib.suppress(Superseded):
            commit(old, rejects=tuple(range(666, 700)))
        with open_sink(sink, path, 5, last) as writer:
            commit(writer, rejects=(4,), complete=True)
            finish(writer)
    assert [path] == list(tmp_path.iterdir())
    assert [2, 3, 4] == rows_in(path)


def test_naming_the_rejects_may_be_redone(tmp_path):
    """Decided and not named; named and not said, with and without the first name."""
    path, world = tmp_path / "bad.jsonl", World()
    sink = MemorySink(world)
    with open_sink(sink, path, 1) as writer:
        commit(writer, 1, rejects=(2,), complete=True)
        last = writer.publish(writer.last.next(outcome="completed"))
    (partial,) = tmp_path.glob(".*.partial")

    def die(what: str) -> None:
        if what == "before clean_up":
            raise Crash

    world.step = die
    for number in (2, 3, 4):
        with open_sink(sink, path, number, last) as writer:
            assert writer.last.outcome == "completed"
            writer.accepted()
            with pytest.raises(Crash):
                writer.clean_up()
        assert [path] == list(tmp_path.iterdir())
        if number == 2:
            os.link(path, partial)
    world.step = lambda what: None
    with open_sink(sink, path, 5, last) as writer:
        writer.clean_up()
    assert [path] == list(tmp_path.iterdir())
    assert [2] == rows_in(path)


def test_rejects_of_an_earlier_run_are_never_replaced(tmp_path):
    """They are the only trace of those rows: refused before anything is made, unless the file is empty."""
    path, world = tmp_path / "bad.jsonl", World()
    path.write_text("{}\n")
    with pytest.raises(TargetExists, match="earlier run"):
        open_sink(MemorySink(world), path, 1)
    assert world == World()
    path.write_text("")
    with open_sink(MemorySink(world), path, 2) as writer:
        commit(writer, 1, rejects=(2,), complete=True)
        assert path.read_text() == ""
        finish(writer)
    assert [path] == list(tmp_path.iterdir())
    assert [2] == rows_in(path)


def test_a_file_that_came_meanwhile_is_never_replaced(tmp_path):
    """The rows are in; the same call names the rejects once the file is out of the way."""
    path, sink = tmp_path / "bad.jsonl", MemorySink(World())
    with open_sink(sink, path, 1) as writer:
        commit(writer, 1, rejects=(2,), complete=True)
        path.write_text("theirs")
        last = writer.publish(writer.last.next(outcome="completed"))
        with pytest.raises(TargetExists):
            writer.clean_up()
    assert path.read_text() == "theirs"
    path.unlink()
    with open_sink(sink, path, 2, last) as writer:
        writer.clean_up()
    assert [2] == rows_in(path)


def test_lost_rejects_are_an_error_but_terminate_works(tmp_path):
    """No silent loss; calling the run off needs no rejects."""
    path, sink = tmp_path / "bad.jsonl", MemorySink(World())
    with open_sink(sink, path, 1) as writer:
        last = commit(writer, 1, rejects=(2,))
    next(tmp_path.glob(".*.partial")).unlink()
    with pytest.raises(TargetChanged, match="is gone"):
        open_sink(sink, path, 2, last)
    with open_sink(sink, path, 3, replace(last, outcome="terminated")) as writer:
        finish(writer, "terminated")
    assert sink.world == World()


def test_a_path_that_cannot_be_written_is_refused_and_the_inner_sink_undone(tmp_path):
    """Before the first row."""
    world = World()
    with pytest.raises(TargetError, match="no folder"):
        open_sink(MemorySink(world), tmp_path / "missing" / "bad.jsonl", 1)
    assert world == World()


def test_an_inner_sink_that_refuses_leaves_nothing_of_ours(tmp_path):
    """It is opened first."""
    (tmp_path / "o.csv").touch()
    with pytest.raises(TargetExists):
        open_sink(CsvSink(tmp_path / "o.csv"), tmp_path / "bad.jsonl", 1)
    assert len(list(tmp_path.iterdir())) == 1


def test_text_that_is_no_text_is_kept_too(tmp_path):
    """Bytes that no encoding fits arrive as surrogates."""
    path = tmp_path / "bad.jsonl"
    with open_sink(MemorySink(World()), path, 1) as writer:
        rejects = (Reject(1, "bytes", text="\udcff,ü\n"), Reject(2, "plain", text="ü"))
        writer.write(replace(batch(), rejects=rejects))
        writer.commit(writer.last.next(complete=True))
        finish(writer)
    assert ["\udcff,ü\n", "ü"] == [json.loads(line)["text"] for line in path.read_text().splitlines()]
    assert "ü" in path.read_text().splitlines()[1]


def session(sink: Any, path: Path, number: int, store: list[Checkpoint]) -> None:
    """What the core does, in short: even rows go in, odd ones are rejects; `position` is the last row."""
    with open_sink(sink, path, number, store[-1]) as writer:
        store.append(writer.last)
        if writer.last.finished:
            return
        writer.accepted()
        while not (writer.last.complete or writer.last.outcome):
            row = (writer.last.position or 0) + 2
            writer.write(batch(row, rejects=(row - 1,)))
            store.append(writer.commit(writer.last.next(position=row, complete=row == 4)))
        if not writer.last.outcome:
            store.append(writer.publish(writer.last.next(outcome="completed")))
        writer.clean_up()
        store.append(replace(writer.last, finished=True))

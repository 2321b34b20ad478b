"""FileSource and FileSink: any format goes with any place, from the first byte to a publish, a pause and every crash."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import owned
from crashing import Crash, crashing
from resumable.checkpoint import Checkpoint, ClaimId
from resumable.control.liveness import this_process
from resumable.errors import SourceChanged, TargetChanged, TargetExists, Terminated, UsageError
from resumable.files.local import LOCAL
from resumable.formats.registry import FORMATS, Format, find_format
from resumable.pipeline import Pipeline
from resumable.protocols import Claimant, Sink, Source
from resumable.sinks.file import FileSink, FileWriter, file_sink
from resumable.sources import ArrowSource
from resumable.sources.file import FileSource, file_source
from resumable.stores import MemoryStore
from resumable.testing import SinkContract, SourceContract

ROWS = pa.table({"id": pa.array([1, 2, 3, 4, None, 6], pa.int64()), "word": ["a", "b", None, "d e", "f", "g"]})
CALLS = ("append", "create", "discard", "fence", "publish", "recover", "sweep", "sync")


@dataclass
class World:
    """A format and a place, and files in it."""

    format: Format
    place: Any
    folder: str
    writers: list[FileWriter] = field(default_factory=list)

    @property
    def local(self) -> bool:
        return self.place is LOCAL

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def sink(self, name: str = "out", if_exists: Any = "fail") -> FileSink:
        return file_sink(self.path(name), format=self.format.name, place=self.place, if_exists=if_exists)

    def source(self, name: str = "out") -> FileSource:
        options = {"block_rows": 2} if self.format.name == "csv" else {"lines": 2}
        return file_source(self.path(name), format=self.format.name, place=self.place, **options)

    def rows(self, name: str = "out") -> list[dict[str, Any]] | None:
        """What is in a file; None if there is none."""
        if self.place.size(self.path(name)) is None:
            return None
        source = self.source(name)
        return [
            row for batch in source.read(source.schema(), None, source.identity()) for row in batch.rows.to_pylist()
        ]

    def debris(self) -> bool:
        """Whether anything but whole files is there."""
        return any(Path(self.folder).glob(".*")) if self.local else bool(self.place.uploads)


@pytest.fixture(params=["csv", "fixed"])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Format:
    """Two formats: one is ours, the other's only trace in the library is its line in the registry."""
    monkeypatch.setitem(FORMATS, "fixed", owned.fixed.FIXED)
    return FORMATS[request.param]


@pytest.fixture(params=["local", "memory"])
def world(form: Format, request: pytest.FixtureRequest, tmp_path: Path) -> World:
    """Each of them in each place."""
    return World(form, LOCAL, str(tmp_path)) if request.param == "local" else World(form, owned.place.MemoryPlace(), "")


class Slowly(ArrowSource):
    """Two rows a batch, so that there are several commits."""

    def read(self, schema: pa.Schema, position: Any, identity: Any) -> Iterator[Any]:
        from resumable.testing.rows import Rows

        return Rows(ROWS).read(schema, position, identity)


def pipeline(source: Source, sink: Sink, store: MemoryStore) -> Pipeline:
    return Pipeline(source, sink, name="run", store=store, every=0)


def test_rows_go_through_a_file_and_back(world: World) -> None:
    """Written by one run and read by another, into a second file, each of which pauses after every commit."""
    for source, name in ((Slowly(ROWS), "first"), (None, "second")):
        store = MemoryStore()
        for number in itertools.count():
            pipe = pipeline(source or world.source("first"), world.sink(name), store)
            if pipe.status == "completed":
                break
            assert world.rows(name) is None
            for _ in pipe:
                break
            assert number < 10
        assert ROWS.to_pylist() == world.rows(name)
        assert not world.debris()


def test_terminate_leaves_nothing(world: World) -> None:
    """After some commits, and from another process's point of view."""
    store = MemoryStore()
    for _ in pipeline(Slowly(ROWS), world.sink(), store):
        break
    assert world.debris()
    with contextlib.suppress(Terminated):
        pipeline(Slowly(ROWS), world.sink(), store).terminate()
    assert world.rows() is None
    assert not world.debris()


def test_a_file_that_is_there_is_kept_or_replaced(world: World) -> None:
    """With "fail" before anything is made, with "replace" at the end."""
    pipeline(Slowly(ROWS), world.sink(), MemoryStore()).run()
    with pytest.raises(TargetExists):
        pipeline(Slowly(ROWS), world.sink(), MemoryStore()).run()
    pipeline(ArrowSource(ROWS.slice(2)), world.sink(if_exists="replace"), MemoryStore()).run()
    assert ROWS.slice(2).to_pylist() == world.rows()
    assert not world.debris()


def test_a_source_that_was_edited_is_refused(world: World) -> None:
    """Another file in its place, of the same length and the same ends or not."""
    pipeline(Slowly(ROWS), world.sink("in"), MemoryStore()).run()
    store = MemoryStore()
    for _ in pipeline(world.source("in"), world.sink(), store):
        break
    other = ROWS.set_column(1, "word", pa.array(["x", "b", None, "d e", "f", "g"]))
    pipeline(ArrowSource(other), world.sink("in", "replace"), MemoryStore()).run()
    with pytest.raises(SourceChanged):
        pipeline(world.source("in"), world.sink(), store).run()


def test_what_was_committed_and_is_lost_is_no_new_beginning(world: World) -> None:
    """The partial file is gone, or was another kind of target's."""
    store = MemoryStore()
    for _ in pipeline(Slowly(ROWS), world.sink(), store):
        break
    world.place.partial(world.path("out"), "run", ClaimId(2**60, "z")).sweep()
    with pytest.raises(TargetChanged):
        pipeline(Slowly(ROWS), world.sink(), store).run()


# -------------------------------------------------------------------------------------- a crash at every call


def session(world: World, epoch: int, saved: list[Checkpoint]) -> None:
    """What the core does, in short: the last entry of the list is what the store knows."""
    claim = Claimant("run", ClaimId(epoch, f"{epoch:04x}"), this_process())
    writer = world.sink().open(claim, saved[-1])
    world.writers.append(writer)
    saved.append(writer.last)
    writer.accepted()
    while not (writer.last.complete or writer.last.outcome):
        position = writer.last.position
        for batch in Slowly(ROWS).read(ROWS.schema, position, {}):
            writer.write(batch)
            complete = batch.position["row"] == ROWS.num_rows
            saved.append(writer.commit(writer.last.next(position=batch.position, complete=complete)))
    if not writer.last.outcome:
        saved.append(writer.publish(writer.last.next(outcome="completed")))
    writer.clean_up()
    saved.append(replace(writer.last, finished=True))
    writer.__exit__(None, None, None)


@contextlib.contextmanager
def dying(world: World, at: int, *, after: bool, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever writes in the place dies at its `at`-th effect: in memory a call of the partial, else of the system."""
    if world.local:
        with crashing(at, after=after):
            yield
        return
    count = itertools.count()

    def step(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *arguments: Any, **options: Any) -> Any:
            number = next(count)
            if number > at or (number == at and not after):
                raise Crash
            answer = real(self, *arguments, **options)
            if number == at:
                raise Crash
            return answer

        return call

    with monkeypatch.context() as patch:
        for name in CALLS:
            patch.setattr(owned.place.MemoryPartial, name, step(getattr(owned.place.MemoryPartial, name)))
        yield


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("end", ["run", "terminate"])
def test_a_session_that_dies_at_any_call_is_recovered_from(
    world: World, end: str, monkeypatch: pytest.MonkeyPatch, *, after: bool
) -> None:
    """It is run again or called off by the next: the whole file or none, and nothing beside it."""
    for at in itertools.count():
        trial = World(world.format, LOCAL if world.local else owned.place.MemoryPlace(), f"{world.folder}/{at}")
        if world.local:
            os.mkdir(trial.folder)
        saved = [Checkpoint(schema=ROWS.schema)]
        with contextlib.suppress(Crash), dying(trial, at, after=after, monkeypatch=monkeypatch):
            session(trial, 1, saved)
        died = not saved[-1].finished
        release(trial)
        if died and end == "terminate" and not saved[-1].outcome:
            call_off(trial, saved)
        elif died:
            session(trial, 2, saved)
        assert not trial.debris()
        if saved[-1].outcome == "completed":
            assert ROWS.to_pylist() == trial.rows()
        else:
            assert trial.rows() is None
        if not died:
            break
    assert at > 10


def call_off(world: World, saved: list[Checkpoint]) -> None:
    with world.sink().open(Claimant("run", ClaimId(2, "0002"), this_process()), saved[-1]) as writer:
        saved.append(writer.last)
        writer.accepted()
        if not writer.last.outcome:
            saved.append(writer.commit(writer.last.next(outcome="terminated")))
        writer.clean_up()


def release(world: World) -> None:
    """What the system does when a process has died: it is nobody's any more."""
    for writer in world.writers:
        writer._file.close()
    for upload in () if world.local else world.place.uploads:
        upload.live = False


def test_each_commit_is_sealed_and_the_last_one_finished(tmp_path: Path) -> None:
    """In this order, once each; what the format ends with is durable with the commit that says `complete`."""
    calls = list[str]()

    class Encoder:
        state: Any = None

        def begin(self) -> bytes:
            calls.append("begin")
            return b"<"

        def encode(self, batch: Any) -> bytes:
            calls.append("encode")
            return b"."

        def seal(self) -> bytes:
            calls.append("seal")
            self.state = [len(calls)]
            return b"|"

        def finish(self) -> bytes:
            calls.append("finish")
            return b">"

    def open_writer(epoch: int, last: Checkpoint) -> FileWriter:
        claim = Claimant("run", ClaimId(epoch, "a"), this_process())
        return FileWriter.open(
            LOCAL.partial(str(tmp_path / "o"), "run", claim.id),
            lambda schema, state: states.append(state) or Encoder(),
            claim,
            last,
            if_exists="fail",
        )

    states = list[Any]()
    batch = next(Slowly(ROWS).read(ROWS.schema, None, {}))
    with open_writer(1, Checkpoint(schema=ROWS.schema)) as writer:
        assert [2] == writer.last.sink["encoder"]
        writer.write(batch)
        last = writer.commit(writer.last.next())
    with open_writer(2, last) as writer:
        writer.write(batch)
        last = writer.commit(writer.last.next(complete=True))
    with open_writer(3, last) as writer:
        writer.publish(writer.last.next(outcome="completed"))
    assert ["begin", "seal", "encode", "seal", "encode", "seal", "finish"] == calls
    assert [None, [4], [6]] == states
    assert b"<|.|.|>" == (tmp_path / "o").read_bytes()


def test_a_format_is_found_by_name_or_ending(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name counts more; what nothing names is refused."""
    monkeypatch.setitem(FORMATS, "fixed", owned.fixed.FIXED)
    assert find_format("t.CSV")[0].name == "csv"
    assert find_format("t.fixed")[0].name == "fixed"
    assert find_format("t.csv", "fixed")[0].name == "fixed"
    assert find_format("t.unknown", default="fixed")[0].name == "fixed"
    assert find_format("t.tsv") == (FORMATS["csv"], {"delimiter": "\t"})
    for path, name in (("t.unknown", ""), ("t", ""), ("t.csv", "unknown")):
        with pytest.raises(UsageError, match="'csv' or 'fixed'"):
            find_format(path, name)


# ------------------------------------------------------------------------- the contracts, by real processes


class TestFixedSink(SinkContract):
    """A format that buffers and counts, killed at every third moment."""

    stride = 3

    def sink(self, folder: Path) -> Sink:
        return FileSink(folder / "t.fixed", owned.fixed.make_encoder(), title="Fixed-width")

    def image(self, folder: Path) -> object:
        return {path.name: path.read_bytes() for path in folder.iterdir()}


class TestFixedSource(SourceContract):
    """The same format, read."""

    def prepare(self, folder: Path) -> None:
        self.write(folder, ROWS)

    def write(self, folder: Path, rows: pa.Table) -> None:
        encoder = owned.fixed.FixedEncoder(rows.schema, None)
        data = encoder.begin()
        for batch in ArrowSource(rows).read(rows.schema, None, {}):
            data += encoder.encode(batch)
        (folder / "t.fixed").write_bytes(data + encoder.seal() + encoder.finish())

    def source(self, folder: Path) -> Source:
        return FileSource(folder / "t.fixed", owned.fixed.FixedDecoder(lines=2))

    def rows(self, folder: Path) -> Any:
        return ROWS.to_pylist()

    def change(self, folder: Path) -> None:
        self.write(folder, ROWS.set_column(1, "word", pa.array(["x", "b", None, "d e", "f", "g"])))

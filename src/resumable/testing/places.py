"""PlaceContract: what a place must do: a file is there whole or not at all, and an older claim changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from resumable.errors import AlreadyRunning, SourceError, Superseded, TargetChanged, TargetExists
from resumable.files.place import Partial, Place
from resumable.testing.checks import check, equal, refused, world
from resumable.testing.place_scenario import PlaceScenario, write

__all__ = ["PlaceContract"]

SMALL = 100_000
"""Bytes of JSON that a state may have: each commit writes it."""
FLOOD = bytes(3 * 2**20)
"""More than anybody keeps in memory."""


class PlaceContract:
    """Subclass it as `class TestMyPlace(PlaceContract)`, and say how the place is made.

    It kills no process: where the place outlives one, `SinkContract` with a `FileSink` into it does.
    """

    def place(self, folder: Path) -> Place:
        """The place. Asked once a test; in `folder`, which is new, if it needs one."""
        raise NotImplementedError

    def path(self, folder: Path) -> str:
        """A path in it at which nothing is."""
        raise NotImplementedError

    def image(self, place: Any, folder: Path) -> object:
        """All there is in the place, comparable with ==: what is half written, too."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------------------ reading

    def test_bytes_are_read_from_any_offset(self) -> None:
        """As many as were asked for, fewer only at the end; the size is the file's."""
        with self._scenario() as scenario:
            scenario.put(b"0123456789")
            with scenario.place.open(scenario.path) as file:
                equal(10, file.size, "The size")
                for offset, length in ((0, 10), (3, 4), (8, 5), (10, 1), (20, 1), (0, 0)):
                    equal(b"0123456789"[offset : offset + length], file.read(offset, length), f"{length} at {offset}")
                equal(file.version, json.loads(json.dumps(file.version)), "The version, through JSON")
            equal(10, scenario.place.size(scenario.path), "`size`")
            check(scenario.place.address(scenario.path), "`address` says nothing")

    def test_a_file_that_is_not_there_is_an_error(self) -> None:
        """`SourceError`, and no size."""
        with self._scenario() as scenario:
            refused(SourceError, lambda: scenario.place.open(scenario.path), "Opening what isn't there")
            equal(None, scenario.place.size(scenario.path), "The size of what isn't there")

    # ------------------------------------------------------------------------------------------------ writing

    def test_nothing_is_there_before_it_is_published(self) -> None:
        """Made durable again and again, and nobody sees it; published, it is there, whole, and once more is no harm."""
        with self._scenario() as scenario:
            file = scenario.begin()
            for _ in range(3):
                write(file, b"more")
            equal(None, scenario.content(), "What is there before it is published")
            file.publish("fail")
            file.publish("fail")
            equal(b"moremoremore", scenario.content(), "What was published")
            check(file.is_published(file.state), "`is_published` says that nothing is there")

    def test_what_was_not_committed_is_cut_off(self) -> None:
        """Megabytes after the state that was saved last, made durable or not, are gone; going on gives the right file."""
        for durable in (True, False):
            with self._scenario() as scenario:
                file = scenario.begin()
                state = write(file, b"committed,")
                file.append(FLOOD)
                if durable:
                    file.sync()
                file.close()
                file = scenario.again(2, state)
                file.sweep(keep=True)
                state = write(file, b"and ")
                file.close()
                file = scenario.again(3, state)
                write(file, b"more")
                file.publish("fail")
                equal(b"committed,and more", scenario.content(), "What was published")

    def test_an_older_claim_changes_nothing(self) -> None:
        """A writer that was taken over: `sync` and `publish` are `Superseded`, and nothing that it does shows."""
        acts: dict[str, Callable[[Partial], object]] = {
            "sync": lambda file: file.sync(),
            "publish": lambda file: file.publish("replace"),
            "sweep": lambda file: file.sweep(),
            "discard": lambda file: file.discard(),
        }
        for name, act in acts.items():
            with self._scenario() as scenario:
                older = scenario.begin()
                state = write(older, b"committed,")
                newer = scenario.again(2, state, takeover=True)
                with suppress(Superseded):
                    older.append(FLOOD)
                if name in ("sync", "publish"):
                    refused(Superseded, lambda act=act, older=older: act(older), f"{name} under an older claim")  # type: ignore[misc]
                else:
                    act(older)
                older.close()
                refused(Superseded, scenario.file(1).fence, "`fence` under an older claim")
                write(newer, b"more")
                newer.publish("fail")
                equal(b"committed,more", scenario.content(), f"What was published, after {name} under an older claim")

    def test_a_writer_that_lives_is_not_disturbed(self) -> None:
        """Without takeover: `AlreadyRunning`, and it goes on."""
        with self._scenario() as scenario:
            file = scenario.begin()
            state = write(file, b"one,")
            refused(AlreadyRunning, lambda: scenario.again(2, state), "Opening what somebody writes")
            write(file, b"two")
            file.publish("fail")
            equal(b"one,two", scenario.content(), "What was published")

    def test_an_opening_that_is_undone_leaves_what_was_there(self) -> None:
        """A new file is gone; of one that was taken over, the committed bytes are found by the next."""
        with self._scenario() as scenario:
            before = scenario.image()
            scenario.begin().discard()
            equal(before, scenario.image(), "What is there after a beginning that was undone")
            file = scenario.begin(2)
            state = write(file, b"committed")
            scenario.again(3, state, takeover=True).discard()
            file.close()
            file = scenario.again(4, state)
            file.publish("fail")
            equal(b"committed", scenario.content(), "What was published")

    def test_what_was_published_is_found_again(self) -> None:
        """Its writer died before it could say so: `recover` knows, and clearing up takes nothing of it away."""
        for if_exists in ("fail", "replace"):
            with self._scenario() as scenario:
                file = scenario.begin()
                state = write(file, b"all")
                file.publish(if_exists)
                file.close()
                file = scenario.file(2)
                check(file.recover(state, takeover=False, complete=True), "`recover` doesn't find what was published")
                file.sweep()
                equal(b"all", scenario.content(), "What is there after it was cleared")

    def test_bytes_that_are_lost_are_no_new_beginning(self) -> None:
        """Cleared away, or the state of something else: `TargetChanged`."""
        with self._scenario() as scenario:
            file = scenario.begin()
            state = write(file, b"committed")
            file.close()
            scenario.file(2).sweep()
            for what, lost in (("what is lost", state), ("another kind of target", {"table": "t"})):
                again = lambda lost=lost: scenario.again(3, lost)  # noqa: E731
                refused(TargetChanged, again, f"Recovering {what}")

    def test_a_file_that_is_there_is_replaced_only_if_told(self) -> None:
        """By "fail" it is refused at the beginning, and at the end if it came meanwhile; "replace" replaces it."""
        with self._scenario() as scenario:
            file = scenario.begin()
            write(file, b"mine")
            scenario.put(b"another's", run="another")
            refused(TargetExists, lambda: file.publish("fail"), "Publishing over a file that came meanwhile")
            refused(TargetExists, lambda: scenario.file(1, "third").create("fail"), "Beginning where a file is")
            equal(b"another's", scenario.content(), "What is there")
            file.publish("replace")
            equal(b"mine", scenario.content(), "What replaced it")

    def test_a_state_is_small_json(self) -> None:
        """It comes back as it was."""
        with self._scenario() as scenario:
            state = scenario.begin().state
            text = json.dumps(state, allow_nan=False)
            equal(state, json.loads(text), "The state, written and read")
            check(len(text) < SMALL, f"The state has {len(text):,} bytes: every commit writes it")
            check(scenario.place.describe("fail"), "`describe` says nothing")

    @contextmanager
    def _scenario(self) -> Iterator[PlaceScenario]:
        with world() as folder:
            place = self.place(folder)
            scenario = PlaceScenario(place, self.path(folder), lambda: self.image(place, folder))
            yield scenario
            for file in scenario.files:
                file.close()

"""StoreContract: what a checkpoint store must do, shown between real processes, some of which are killed."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

from resumable.checkpoint import Checkpoint, Json, Record
from resumable.control.claims import Claim, claim_run
from resumable.control.requests import ask
from resumable.control.status import status_of
from resumable.control.waiting import wait_until_idle
from resumable.errors import AlreadyRunning, Superseded
from resumable.testing.checks import check, context, equal, refused, world
from resumable.testing.concurrency import EACH, PROCESSES, increment, run_together
from resumable.testing.crashing import Crashed, Ended, Line, Process, crash, crash_points, deaths
from resumable.testing.damage import DamagedStore
from resumable.testing.records import NAMES, full_record

__all__ = ["StoreContract"]

REQUEST_TIMEOUT = 20.0
"""Seconds after which a request counts as not heard."""


class StoreContract(DamagedStore):
    """Subclass it as `class TestMyStore(StoreContract)` and say how the store is opened.

    Every folder stands for a store of its own: what isn't kept in the folder takes its name (a table, a prefix).
    """

    # ----------------------------------------------------------------------------------------- what it keeps

    def test_a_new_store_knows_nothing(self) -> None:
        """An unknown run is None, and there are no names."""
        with world() as folder:
            equal(None, self.store(folder).load("orders"), "A run that nobody has saved")
            equal([], self.store(folder).names(), "The names in a new store")

    def test_a_record_comes_back_as_it_was(self) -> None:
        """Every field survives, seen through a store opened anew; text of every kind, numbers of any size, a megabyte."""
        with world() as folder:
            for version, record in enumerate((full_record(), full_record({"text": "ab\n" * 350_000})), 1):
                record = replace(record, version=version)
                check(self.store(folder).swap("orders", version - 1, record), f"Swap {version} was refused")
                equal(record, self.store(folder).load("orders"), "The record")

    def test_a_swap_replaces_only_the_version_it_names(self) -> None:
        """Compare-and-set: another version answers False and changes nothing."""
        with world() as folder:
            store = self.store(folder)
            check(not store.swap("orders", 1, Record(2)), "A record that isn't there was replaced")
            check(store.swap("orders", 0, Record(1)), "The first record was refused")
            for wrong in (0, 2):
                check(
                    not store.swap("orders", wrong, Record(wrong + 1, heartbeat=5)),
                    f"Version 1 went for version {wrong}",
                )
            equal(Record(1), self.store(folder).load("orders"), "The record after swaps that were refused")
            check(store.swap("orders", 1, Record(2)), "The right version was refused")
            check(not store.swap("orders", 1, Record(2, heartbeat=5)), "The same version was replaced twice")
            equal(Record(2), self.store(folder).load("orders"), "The record after a swap")

    def test_a_record_is_removed_by_its_version(self) -> None:
        """None removes the record, once, and only the version that was named; then the name is free again."""
        with world() as folder:
            store = self.store(folder)
            store.swap("orders", 0, Record(1))
            for wrong in (0, 2):
                check(not store.swap("orders", wrong, None), f"Version 1 was removed as version {wrong}")
            check(store.swap("orders", 1, None), "The right version wasn't removed")
            equal(None, self.store(folder).load("orders"), "A record that was removed")
            equal([], self.store(folder).names(), "The names after the last was removed")
            check(not store.swap("orders", 1, None), "A record was removed twice")
            check(store.swap("orders", 0, None), "To remove what isn't there, knowing that, was refused")
            check(store.swap("orders", 0, Record(1)), "A name that was removed can't be used again")

    def test_versions_may_begin_at_the_clock(self) -> None:
        """A first version of microseconds since 1970, as claims make it, and the next."""
        with world() as folder:
            first = int(time.time() * 1e6)
            check(self.store(folder).swap("orders", 0, Record(first)), f"Version {first} was refused")
            check(self.store(folder).swap("orders", first, Record(first + 1)), f"Version {first} was not found")

    def test_no_two_names_share_a_record(self) -> None:
        """Slashes, dots, NUL, case, Unicode forms, lone surrogates, any length: each name has its own record."""
        with world() as folder:
            for number, name in enumerate(NAMES):
                check(
                    self.store(folder).swap(name, 0, Record(1, heartbeat=number)),
                    f"{name!r} was taken for another name",
                )
            equal(sorted(NAMES), self.store(folder).names(), "The names")
            for number, name in enumerate(NAMES):
                equal(Record(1, heartbeat=number), self.store(folder).load(name), f"The record of {name!r}")
            for number, name in enumerate(NAMES):
                check(self.store(folder).swap(name, 1, None), f"{name!r} wasn't removed")
                equal(sorted(NAMES[number + 1 :]), self.store(folder).names(), f"The names without {name!r}")

    def test_what_json_cannot_write_is_refused(self) -> None:
        """NaN, bytes and sets never reach a store; what was there stays."""
        with world() as folder:
            store = self.store(folder)
            store.swap("orders", 0, Record(1))
            for position in (float("nan"), b"bytes", {1, 2}):
                swap = partial(store.swap, "orders", 1, Record(2, Checkpoint(position=position)))
                refused((TypeError, ValueError), swap, f"A position of {position!r}")
            equal(Record(1), store.load("orders"), "The record after swaps that were refused")

    def test_looking_makes_nothing(self) -> None:
        """Loading, listing and refused swaps leave no trace where there is no store yet."""
        with world() as folder:
            before = self.image(folder)
            store = self.store(folder)
            equal((None, []), (store.load("orders"), store.names()), "A store that isn't there")
            check(not store.swap("orders", 1, Record(2)), "A record that isn't there was replaced")
            check(not store.swap("orders", 1, None), "A record that isn't there was removed")
            check(store.swap("orders", 0, None), "To remove what isn't there, knowing that, was refused")
            equal(before, self.image(folder), "What is there after looking")

    def test_a_store_says_where_it_is(self) -> None:
        """`location`: the same however often it is opened, another for another store. Messages name it."""
        with world() as folder, world() as other:
            places = [str(getattr(self.store(each), "location", "")) for each in (folder, folder, other)]
            check(places[0], "The store has no `location`")
            check(
                places[0] == places[1] and places[1] != places[2], f"Twice the same store and another are at {places}"
            )

    # ------------------------------------------------------------------------------- many at the same time

    def test_threads_lose_no_update(self) -> None:
        """Four threads add through one store, made by whoever comes first: each success counts once."""
        with world() as folder:
            store, problems = self.store(folder), []

            def work() -> None:
                try:
                    increment(store)
                except BaseException as problem:
                    problems.append(problem)

            threads = [threading.Thread(target=work) for _ in range(PROCESSES)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            equal([], problems, "What the threads raised")
            self._sum(folder)

    def test_processes_lose_no_update(self) -> None:
        """Four processes add to one record, made by whoever comes first: each success counts once."""
        if self.shared:
            with world() as folder:
                run_together(lambda line: increment(self.store(folder)))
                self._sum(folder)

    def test_one_of_many_gets_the_run(self) -> None:
        """Four processes claim a run at once: exactly one has it, and the others are refused."""
        if not self.shared:
            return

        def rush(line: Line) -> Json:
            try:
                with claim_run(self.store(folder), "run"):
                    line.say("has it")
                    line.hear()
            except AlreadyRunning:
                line.say("refused")
                line.hear()
            return None

        with world() as folder:
            answers = sorted(run_together(rush, PROCESSES))
            equal(["has it", *["refused"] * (PROCESSES - 1)], answers, f"What {PROCESSES} claims at once were told")

    # --------------------------------------------------------------------------------------------- claims

    def test_what_is_asked_reaches_the_claim(self) -> None:
        """Pause and terminate, asked here, are heard by a claim in another process without its saving anything."""
        for what in ("pause", "terminate"):
            with world() as folder:
                self._asked(folder, what)

    def _asked(self, folder: Path, what: Literal["pause", "terminate"]) -> None:
        if not self.shared:
            with claim_run(self.store(folder), "run") as claim:
                ask(self.store(folder), "run", what)
                _hear(claim)
                equal(what, claim.asked, "What the claim has heard")
            return

        def run(line: Line) -> Json:
            with claim_run(self.store(folder), "run") as claim:
                line.say("claimed")
                _hear(claim)
                claim.release()
                return claim.asked

        with Process(run) as runner:
            runner.line.hear()
            ask(self.store(folder), "run", what)
            equal(what, runner.result(), "What the claim in another process has heard")
            record = wait_until_idle(self.store(folder), "run", 10)
            check(record is not None and record.owner is None, "The runner has left, and the store doesn't say so")

    def test_a_killed_runner_is_succeeded_at_once(self) -> None:
        """After `kill -9` the run is interrupted, and the next claim has it, from the last save on."""
        if not self.shared:
            return

        def run(line: Line) -> Json:
            with claim_run(self.store(folder), "run") as claim:
                claim.save(claim.last.next(rows=7))
                line.say("saved")
                return line.hear()

        with world() as folder, Process(run) as runner:
            runner.line.hear()
            equal("running", status_of(self.store(folder).load("run")), "The status while it runs")
            runner.kill()
            equal("interrupted", status_of(self.store(folder).load("run")), "The status once it is dead")
            with claim_run(self.store(folder), "run") as claim:
                equal(7, claim.last.rows, "The rows that the killed runner had saved")

    def test_an_older_claim_saves_nothing(self) -> None:
        """Whoever was taken over is refused, and what the newer claim saved stays; so is one whose record is gone."""
        with world() as folder, claim_run(self.store(folder), "run") as older:
            older.save(older.last.next(rows=1))
            with claim_run(self.store(folder), "run", takeover=True, heartbeat=False) as newer:
                newer.save(newer.last.next(rows=10))
                refused(Superseded, lambda: older.save(older.last.next(rows=2)), "A save under an older claim")
                refused(Superseded, older.release, "Leaving under an older claim")
                found = self.store(folder).load("run")
                equal((10, newer.id), (found and found.checkpoint.rows, found and found.claim), "Rows and claim")
                newer.delete()
                refused(Superseded, lambda: newer.save(newer.last), "A save after the record was removed")
                equal(None, self.store(folder).load("run"), "The record that was removed")

    # ------------------------------------------------------------------------------------------- its death

    def test_a_save_that_is_killed_leaves_the_old_record_or_the_new(self) -> None:
        """Killed before every effect of a swap, the very first, a later one and a removal: what is there is whole."""
        if not self.shared:
            return
        old, new = replace(full_record(), version=1), Record(2, Checkpoint(number=1, position="x" * 10_000))
        cases: list[tuple[str, Record | None, Record | None]] = [
            ("the first swap", None, old), ("a swap", old, new), ("a removal", old, None),
        ]  # fmt: skip
        for what, was, becomes in cases:
            with ExitStack() as folders:
                folder = Path()

                def attempt(at: int, was: Record | None = was, becomes: Record | None = becomes) -> Crashed | Ended:
                    nonlocal folder
                    folder = folders.enter_context(world())
                    if was is not None:
                        self.store(folder).swap("run", 0, was)
                    return crash(lambda: self._swap(folder, was, becomes), at=at, effects=self.effects)

                landed = 0
                for death in deaths(attempt):
                    landed += 1
                    with context(f"In {what} it {death}"):
                        found = self.store(folder).load("run")
                        check(found in (was, becomes), f"what is there is neither the old record nor the new: {found}")
                        equal([] if found is None else ["run"], self.store(folder).names(), "the names")
                        version = 0 if found is None else found.version
                        again = self.store(folder).swap("run", version, Record(version + 1))
                        check(again, "the next swap was refused")
                self.report(f"{type(self).__name__}: {what} killed at {landed} moments, and gone on from each")

    def _swap(self, folder: Path, was: Record | None, becomes: Record | None) -> Json:
        done = self.store(folder).swap("run", 0 if was is None else was.version, becomes)
        crash_points("the end")
        return done

    def _sum(self, folder: Path) -> None:
        record = self.store(folder).load("sum") or Record()
        equal(PROCESSES * EACH, record.heartbeat, f"{PROCESSES} times {EACH} additions, each of which was told True")


def _hear(claim: Claim) -> None:
    end = time.monotonic() + REQUEST_TIMEOUT
    while not claim.asked and time.monotonic() < end:
        time.sleep(0.01)

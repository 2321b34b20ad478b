"""`make mutants`: break a rule of the library on purpose, one at a time, and see the test that says so fail.

A guarantee without a test that can fail is none. Each mutant is one replacement in a copy of the source; the tests
that are named beside it must fail with it, and pass without. tests/test_mutants.py keeps the list in step with the
source; nothing here is run by `make test`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["MUTANTS", "Mutant"]

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "resumable"
PATIENCE = 120
"""Seconds after which a run of tests hangs; a mutant that makes them hang is caught by that."""


@dataclass(frozen=True)
class Mutant:
    """`old`, found once in `file`, becomes `new`; `test` is what catches it: a test file, and words for -k."""

    rule: str
    file: str
    old: str
    new: str
    test: str
    words: str = ""

    def applied(self, text: str) -> str:
        """The file with it."""
        assert text.count(self.old) == 1, f"{self.rule}: found {text.count(self.old)} times in {self.file}"
        return text.replace(self.old, self.new)


MUTANTS = [
    # ------------------------------------------------------------------------------------------- the session
    Mutant(
        "commit before save", "session/loop.py",
        "        done = writer.commit(pending.next(sessions=clock.sessions(pending), complete=complete))\n        claim.save(done)\n",
        "        claim.save(pending.next(sessions=clock.sessions(pending), complete=complete))\n        done = writer.commit(pending.next(sessions=clock.sessions(pending), complete=complete))\n",
        "tests/sinks/test_contract.py", "TestCsvSink and not InPlace",
    ),
    Mutant(
        "the sink's word wins", "session/recovery.py",
        "        in_target = writer.last\n        previous =",
        "        in_target = claim.last if claim.last.number else writer.last\n        previous =",
        "tests/session/test_loop.py",
    ),
    Mutant(
        "save what was found before the first write", "session/recovery.py",
        "        try:\n            claim.save(last)\n        except Superseded:\n            writer.discard()\n            raise\n", "",
        "tests/test_model.py",
    ),
    Mutant(
        "a refused opening undoes what it made", "session/recovery.py",
        "            writer.discard()\n            raise\n", "            raise\n",
        "tests/test_model.py",
    ),
    Mutant(
        "save the outcome before sweeping", "session/loop.py",
        "                last = decide(plan, claim, writer, last, asked)\n                claim.save(last)\n            writer.clean_up()\n",
        "                last = decide(plan, claim, writer, last, asked)\n            writer.clean_up()\n            claim.save(last)\n",
        "tests/test_model.py",
    ),
    Mutant(
        "a completed run is put back", "sinks/sql/removing.py",
        "previous = row.checkpoint.put_back(claim.id)", "previous = None",
        "tests/test_sequences.py", "called_off and sqlite",
    ),
    Mutant(
        "a completed run is kept from the first moment", "sinks/sql/new_run.py",
        "last.follow(previous or Checkpoint())", "last.follow(Checkpoint())",
        "tests/test_sequences.py", "called_off and sqlite",
    ),
    Mutant(
        "the store remembers what was put back", "session/loop.py",
        "claim.save(last.remembered(claim.id), release=True)", "claim.save(last, release=True)",
        "tests/test_sequences.py", "export_after_a_completed",
    ),
    Mutant(
        "an emptied table isn't called done", "sinks/sql/published.py",
        'elif remembered["filled"] and not _has_rows(c, name):', "elif False:",
        "tests/test_sequences.py", "emptied_table and sqlite",
    ),
    Mutant(
        "another table isn't called done", "sinks/sql/published.py",
        'if features.identity != remembered["table"] and ledger == remembered["ledger"]:', "if False:",
        "tests/test_sequences.py", "made_anew and postgresql",
    ),
    Mutant(
        "a restored dump is no other database", "sinks/sql/published.py",
        ' and ledger == remembered["ledger"]', "",
        "tests/test_sequences.py", "dumped",
    ),
    Mutant(
        "a restart drops no rows of others", "sinks/sql/published.py",
        'if count not in (0, remembered["count"]):', "if False:",
        "tests/test_sequences.py", "somebody_else",
    ),
    Mutant(
        "a restart looks again before it drops", "sinks/sql/publishing.py",
        "if why := why_irreplaceable(self.c, self.name, completed):", 'if why := "":',
        "tests/test_sequences.py", "somebody_else",
    ),
    Mutant(
        "other options aren't called done", "session/recovery.py",
        "                plan.check_same_rows(in_target)\n", "                pass\n",
        "tests/test_sequences.py", "change_the_rows",
    ),
    Mutant(
        "a table is exported anew", "sources/sql.py",
        "    volatile = True", "    volatile = False",
        "tests/test_export.py", "replaced_export and sqlite",
    ),
    Mutant(
        "yield only after the commit", "session/loop.py",
        '                last = pending = commit(pending)\n                with clock.stopped():\n                    yield Progress.of(plan.name, "running", last, note)\n',
        '                with clock.stopped():\n                    yield Progress.of(plan.name, "running", pending, note)\n                last = pending = commit(pending)\n',
        "tests/session/test_loop.py",
    ),
    Mutant(
        "the same input or none", "session/plan.py",
        "if what := self.source.changed(last.source, last.position):", 'if what := "":',
        "tests/session/test_loop.py",
    ),
    Mutant(
        "the same options or none", "session/plan.py",
        '        if other:\n            raise OptionsChanged(\n                f"Run {self.name!r} was begun',
        '        if False:\n            raise OptionsChanged(\n                f"Run {self.name!r} was begun',
        "tests/session/test_loop.py",
    ),
    Mutant(
        "only a lost connection is tried again", "session/recovery.py",
        "return error.transient and (self.again or self.lost)", "return True",
        "tests/crash/test_connections.py", "wrong_with_the_rows",
    ),
    Mutant(
        "a lost connection is tried again", "session/recovery.py",
        "return error.transient and (self.again or self.lost)", "return False",
        "tests/crash/test_connections.py", "ended_is_made_anew",
    ),
    Mutant(
        "patience has an end", "session/backoff.py",
        "return delay if now + delay - self._since < self.limit else None", "return delay",
        "tests/crash/test_connections.py", "past_the_limit",
    ),
    Mutant(
        "no stage but by a legal transition", "checkpoint.py",
        "if following.stage not in TRANSITIONS[self.stage]:", "if False:",
        "tests/test_stages.py",
    ),
    # --------------------------------------------------------------------------------------- claims, requests
    Mutant(
        "a live runner is refused", "control/claims.py",
        "if live is not None and live.owner is not None:", "if False:",
        "tests/control/test_claims.py",
    ),
    Mutant(
        "a claim grows", "control/claims.py",
        "max(record.claim.epoch, record.checkpoint.claim.epoch, int(time.time() * 1000)) + 1", "int(time.time() * 1000) + 1",
        "tests/control/test_claims.py",
    ),
    Mutant(
        "a clock that jumps makes no second owner", "control/claims.py",
        "    end = time.monotonic() + HEARTBEAT_TIMEOUT\n", "    return record if time.time() - record.heartbeat_at < HEARTBEAT_TIMEOUT else None\n    end = time.monotonic() + HEARTBEAT_TIMEOUT\n",
        "tests/crash/test_clocks.py", "beats_under and -1h",
    ),
    Mutant(
        "a heart that has stopped is dead, whatever hour it gave", "control/claims.py",
        "    end = time.monotonic() + HEARTBEAT_TIMEOUT\n", "    return record if time.time() - record.heartbeat_at < HEARTBEAT_TIMEOUT else None\n    end = time.monotonic() + HEARTBEAT_TIMEOUT\n",
        "tests/crash/test_clocks.py", "has_stopped and +10y",
    ),
    Mutant(
        "a dead runner is taken over at once whatever the clock says", "control/claims.py",
        "        return record if lives else None\n",
        "        return record if lives or time.time() - record.heartbeat_at < HEARTBEAT_TIMEOUT else None\n",
        "tests/crash/test_clocks.py", "that_died and +1h",
    ),
    # ------------------------------------------------------------------------------------- a database's ledger
    Mutant(
        "a commit checks the claim", "sinks/sql/ledger.py",
        "return sa.and_(self.table.c.name == self.run, *self._mine(claim), self.table.c.number == number)",
        "return sa.and_(self.table.c.name == self.run, self.table.c.number == number)",
        "tests/sinks/test_contract.py", "AppendOnSqlite",
    ),
    Mutant(
        "a commit checks the number", "sinks/sql/ledger.py",
        "return sa.and_(self.table.c.name == self.run, *self._mine(claim), self.table.c.number == number)",
        "return sa.and_(self.table.c.name == self.run, *self._mine(claim))",
        "tests/sinks/test_contract.py", "AppendOnSqlite",
    ),
    Mutant(
        "opening puts its claim into the ledger", "sinks/sql/fencing.py",
        "                ledger.transfer(row, claim, mine)\n", "",
        "tests/sinks/test_contract.py", "AppendOnSqlite",
    ),
    Mutant(
        "the ledger outlives completion", "sinks/sql/removing.py",
        "        ledger.write(row.claim, row.number, row.checkpoint.finish())\n", "        ledger.remove()\n",
        "tests/sinks/sql/test_sink.py", "whatever_store",
    ),
    Mutant(
        "publish once", "sinks/sql/writer.py",
        "        if self.last.is_published:\n            return self.last\n        self._roll_back()\n", "        self._roll_back()\n",
        "tests/sinks/sql/test_sink.py", "publishing_again",
    ),
    Mutant(
        "publishing counts the rows", "sinks/sql/publishing.py",
        "    if count != rows:\n", "    if False:\n",
        "tests/sinks/sql/test_sink.py",
        "lost_staging",
    ),
    Mutant(
        "terminate drops what the run made", "sinks/sql/removing.py",
        "            ledger.put_back(claim.id, previous)\n    sweep(c, claim.run, claim.id)\n",
        "            ledger.put_back(claim.id, previous)\n",
        "tests/sinks/test_contract.py", "AppendOnSqlite",
    ),
    Mutant(
        "a late COMMIT of one's own staging is no error", "sinks/sql/staging.py",
        "            if c.is_lost() or not c.database.catalog.kind(c, staging):\n                raise\n", "            raise\n",
        "tests/crash/test_connections.py", "any_commit and late-run",
    ),
    # ------------------------------------------------------------------------------------ any order of things
    Mutant(
        "in any order: the ledger outlives completion", "sinks/sql/removing.py",
        "        ledger.write(row.claim, row.number, row.checkpoint.finish())\n", "        ledger.remove()\n",
        "tests/test_machine.py", "table",
    ),
    Mutant(
        "in any order: publishing and its decision are one", "sinks/sql/writer.py",
        "            if not self._ledger.write(self._claim.id, checkpoint.number - 1, mine):\n                raise superseded(self._claim.run, row)\n", "",
        "tests/test_machine.py", "table",
    ),
    Mutant(
        "in any order: the same input or none", "session/plan.py",
        "if what := self.source.changed(last.source, last.position):", 'if what := "":',
        "tests/test_machine.py", "table",
    ),
    Mutant(
        "in any order: the same input when it is published", "session/outcome.py",
        "    plan.check_source(last)\n", "",
        "tests/test_machine.py", "table",
    ),
    Mutant(
        "in any order: the rejects follow the ledger", "sinks/quarantine.py",
        "if not inner.last.is_decided:", "if not (last.is_decided or inner.last.is_decided):",
        "tests/test_machine.py", "table",
    ),
    Mutant(
        "in any order: a taken-over file is a new inode", "files/partial.py",
        "            if not self._locked:\n                self._duplicate(fd, length)\n                return True\n", "",
        "tests/test_machine.py", "file",
    ),
    # ------------------------------------------------------------------------------------------------- files
    Mutant(
        "rows are synced before they count", "files/partial.py",
        "            os.fsync(self._descriptor())\n        self._check()\n", "            self._descriptor()\n        self._check()\n",
        "tests/crash/test_reorder.py",
    ),
    Mutant(
        "a record is synced before it is renamed", "files/durable.py",
        "            view = view[os.write(fd, view) :]\n        os.fsync(fd)\n", "            view = view[os.write(fd, view) :]\n",
        "tests/files/test_durable.py",
    ),
    Mutant(
        "a new name is synced", "files/durable.py",
        "    os.rename(temporary, path)\n    sync_folder(path.parent)\n", "    os.rename(temporary, path)\n",
        "tests/files/test_durable.py",
    ),
    Mutant(
        "what lies beyond the commit is cut off", "files/partial.py",
        "                os.ftruncate(fd, length)\n", "",
        "tests/files/test_partial.py", "beyond_the_commit",
    ),
    Mutant(
        "a taken-over file is a new inode", "files/partial.py",
        "            if not self._locked:\n                self._duplicate(fd, length)\n                return True\n", "",
        "tests/files/test_partial.py",
    ),
    Mutant(
        "a zombie writes to no file that was taken over", "files/partial.py",
        "            if not self._locked:\n                self._duplicate(fd, length)\n                return True\n", "",
        "tests/crash/test_zombies.py", "completed and sqlite-csv",
    ),
    Mutant(
        "a failed write is the end of it", "files/appending.py",
        "        except BaseException:\n            self._failed = True\n            raise\n", "        except BaseException:\n            raise\n",
        "tests/files/test_partial.py",
    ),
    Mutant(
        "publishing replaces no file that came meanwhile", "files/posix.py",
        "        os.link(path, target, follow_symlinks=False)\n", "        os.rename(path, target)\n",
        "tests/files/test_partial.py",
    ),
    Mutant(
        "a commit seals what was encoded", "sinks/file.py",
        "        self._file.append(self._encoder.seal())\n", "",
        "tests/sinks/test_file.py", "sealed or through",
    ),
    Mutant(
        "an encoder goes on from the state of the last commit", "sinks/file.py",
        'else {**self._file.state, "encoder": encoder}', "else self._file.state",
        "tests/sinks/test_file.py", "through",
    ),
    Mutant(
        "what a file ends with belongs to the commit that is complete", "sinks/file.py",
        'complete=checkpoint.stage == "loaded" and', "complete=checkpoint.is_decided and",
        "tests/sinks/test_file.py", "sealed or through",
    ),
    Mutant(
        "what was appended meanwhile is not read", "sources/file.py",
        '_Start(file, identity["size"])', "file",
        "tests/sources/test_csv.py", "appended",
    ),
    Mutant(
        "rejects are durable before their rows", "sinks/quarantine.py",
        '        self._file.sync()\n        return self._inner.commit(replace(checkpoint, quarantine_state={"length": self._file.length}))\n',
        '        done = self._inner.commit(replace(checkpoint, quarantine_state={"length": self._file.length}))\n        self._file.sync()\n        return done\n',
        "tests/sinks/test_quarantine.py",
    ),
    # ------------------------------------------------------------------------------------------------ stores
    Mutant(
        "a store compares before it replaces", "stores/files.py",
        "                if (stored.version if stored else 0) != version:\n                    return False\n", "",
        "tests/stores/test_contract.py", "TestFileStore",
    ),
    Mutant(
        "a store's lock is exclusive", "stores/files.py",
        "return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)", "return fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        "tests/stores/test_contract.py", "TestFileStore",
    ),
    Mutant(
        "a lost answer is looked into", "stores/sql.py",
        "            return self._decide(change, make=version == 0) or self._text(name) == text\n", "            return False\n",
        "tests/crash/test_connections.py", "of_the_store and after",
    ),
    Mutant(
        "a damaged record is an error", "sealing.py",
        '    if zlib.crc32(_dump(body).encode()) != sealed["crc32"]:\n        raise ValueError("checksum")\n', "",
        "tests/test_checkpoint.py",
    ),
    # --------------------------------------------------------------------------------------- sources, secrets
    Mutant(
        "the position is behind the batch", "sources/sql_batches.py",
        'return Batch(chunk.rows, {"after": chunk.last, "row": count, "end": end}, row + 1, fraction)',
        'return Batch(chunk.rows, {"after": chunk.first, "row": count, "end": end}, row + 1, fraction)',
        "tests/sources/test_contract.py",
    ),
    Mutant(
        "no password in a text", "redaction.py",
        "        text = _WORD.sub(lambda m: _masked(m[0]), text)\n", "        pass\n",
        "tests/test_secrets.py",
    ),
]  # fmt: skip


def main(words: Sequence[str]) -> int:
    """Try all, or those whose rule holds one of the words; 1 if any got away."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only mutants whose rule holds one of these")
    wanted = parser.parse_args(words).words
    chosen = [m for m in MUTANTS if not wanted or any(word in m.rule for word in wanted)]
    away = [mutant for mutant in chosen if not _caught(mutant)]
    print(f"{len(chosen) - len(away)} of {len(chosen)} mutants were caught.")
    return 1 if away else 0


def _caught(mutant: Mutant) -> bool:
    with tempfile.TemporaryDirectory(prefix="resumable-mutant-") as folder:
        copy = Path(folder) / "resumable"
        shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        path = copy / mutant.file
        path.write_text(mutant.applied(path.read_text()))
        status = _tests(mutant, folder)
    # 1: tests failed. Anything else, an import that fails say, proves nothing.
    said = {0: "GOT AWAY", 1: "caught", None: "caught (the tests hung)"}.get(status, f"INCONCLUSIVE ({status})")
    where = f"{mutant.test}{f' -k {mutant.words!r}' if mutant.words else ''}"
    print(f"{said}: {mutant.rule} [{mutant.file}], by {where}", flush=True)
    return status in (1, None)


def _tests(mutant: Mutant, folder: str) -> int | None:
    """pytest's exit status with the copy in `folder` in place of the package; None if it hung."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--tb=line", mutant.test]
    command += ["-k", mutant.words] if mutant.words else []
    environment = os.environ | {"PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1"}
    ours = [sys.executable, "-c", "import resumable; print(resumable.__file__)"]
    found = subprocess.run(ours, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert found.startswith(folder), found
    try:
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return None
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

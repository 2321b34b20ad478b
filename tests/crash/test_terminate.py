"""Terminate: `pg_dump`, or sqlite_master and all rows, and all files are to the letter what they were.

For a new table, append, replace and upsert, with all that can hang on a table that is there; called off in the loop,
by another process, after `kill -9`, and by a terminate that is itself killed. And the counterpart: a run that
completes keeps the table's object.
"""

from __future__ import annotations

import random
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import resumable
from images import dump, files
from jobs import NAME, Job, Jobs, Task, execute, export_task, sqlite_free, until
from resumable.sources import CsvSource

ROWS = 20_000
HOWS = ["new", "append", "replace", "upsert"]


@pytest.fixture
def role(request: pytest.FixtureRequest, database: str) -> Iterator[str]:
    """A role of PostgreSQL to grant something to; roles outlive databases, so it is removed."""
    if database.startswith("sqlite"):
        yield ""
        return
    name = f"reader_{secrets.token_hex(4)}"
    execute(database, f"create role {name}")
    try:
        yield name
    finally:
        execute(database, f"drop owned by {name}", f"drop role {name}")


SQLITE = """
create table customers (id integer primary key, name text collate nocase not null)
insert into customers values (1, 'Ada'), (2, 'Bob')
create table orders (id integer primary key autoincrement, customer integer not null references customers (id), word text not null check (word <> ''), total numeric default 1.5)
insert into orders (id, customer, word) values (3, 1, 'three'), (5, 2, 'five'), (9000, 1, 'far')
delete from orders where id = 9000
create index by_word on orders (word)
create unique index by_shout on orders (upper(word)) where id < 100
create view seen as select customer, count(*) as n from orders group by customer
create table lines (id integer primary key, of_order integer references orders (id) deferrable initially immediate)
insert into lines values (1, 3), (2, 5), (3, null)
create table log (what text, id integer)
create trigger noted after insert on orders begin insert into log values ('insert', new.id); end
create trigger renoted after update on orders begin insert into log values ('update', new.id); end
insert into log values ('before', 0)
"""

POSTGRESQL = """
create table customers (id bigint primary key, name text not null)
insert into customers values (1, 'Ada'), (2, 'Bob')
create sequence tickets start 100 increment 5
create table orders (id bigint generated always as identity primary key, customer bigint not null references customers (id), word text not null check (word <> ''), ticket bigint default nextval('tickets') unique, serial serial)
insert into orders (id, customer, word) overriding system value values (3, 1, 'three'), (5, 2, 'five')
create index by_word on orders (word)
create unique index by_shout on orders (upper(word)) where id < 100
create statistics together on customer, word from orders
cluster orders using by_word
alter table orders set (fillfactor = 90)
comment on column orders.word is 'what it says'
create view seen as select customer, count(*) as n from orders group by customer
create materialized view kept as select id, word from orders
create table lines (id bigint primary key, of_order bigint references orders (id) deferrable initially immediate)
insert into lines values (1, 3), (2, 5), (3, null)
create table log (what text, id bigint)
create function noted() returns trigger language plpgsql as $$ begin insert into log values (lower(tg_op), new.id); return new; end $$
create trigger noted after insert or update on orders for each row execute function noted()
insert into log values ('before', 0)
create publication news for table orders
"""


def furnish(url: str, role: str) -> None:
    """A table `orders` and what hangs on it: keys both ways, indexes, checks, views, triggers, sequences, grants."""
    script = SQLITE if url.startswith("sqlite") else POSTGRESQL
    execute(url, *script.strip().splitlines())
    if role:
        execute(
            url,
            f"grant select, insert (word) on orders to {role} with grant option",
            "alter table orders enable row level security",
        )


class Case:
    """An upload of `ROWS` rows, ids 1 to `ROWS`, into `orders` or into a new table."""

    def __init__(self, folder: Path, url: str, role: str, how: str) -> None:
        furnish(url, role)
        self.how, self.table = how, "fresh" if how == "new" else "orders"
        self.first = 30_001 if how == "append" else 1
        rows = range(self.first, self.first + ROWS)
        # A replace has the columns that are there, all of them.
        lite, replacing = url.startswith("sqlite"), how == "replace"
        head = ["id", "customer", "word", *((["total"] if lite else ["ticket", "serial"]) if replacing else [])]
        more = (lambda n: [n] if lite else [n * 7, n * 3]) if replacing else (lambda n: [])
        self.source = folder / "rows.csv"
        lines = [head, *([n, 1 + n % 2, f"word {n}", *more(n)] for n in rows)]
        self.source.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))
        self.expected = [(n, 1 + n % 2, f"word {n}") for n in rows]
        exists = [] if how == "new" else ["--if-exists", how]
        self.command = ["upload", str(self.source), url, self.table, *exists, "--name", NAME]
        self.url, self.free = url, sqlite_free(url)
        self.before, self.source_before = dump(url), self.source.read_bytes()

    def assert_untouched(self) -> None:
        """To the letter, the ledger's absence included."""
        assert self.before == dump(self.url)
        assert self.source_before == self.source.read_bytes()

    def pipeline(self, store: Path) -> resumable.Pipeline:
        """The same in this process, in small batches; its types are those of the table."""
        exists: Any = "fail" if self.how == "new" else self.how
        source = CsvSource(self.source, block_rows=500)
        return resumable.upload(source, self.url, self.table, if_exists=exists, name=NAME, store=store, every=0)


@pytest.fixture(params=HOWS)
def case(request: pytest.FixtureRequest, database: str, role: str, tmp_path: Path) -> Case:
    """Each way of uploading, into each kind of database."""
    return Case(tmp_path, database, role, request.param)


def frozen(jobs: Jobs, case: Case | Task, command: list[str], commits: int) -> Job:
    return jobs(*command).committed(commits).freeze(lambda: case.free() and jobs.free())


def killed_at_work(jobs: Jobs, most: float) -> bool:
    """Start `terminate` and kill it up to `most` seconds after its claim, up to which it does nothing that counts.

    False if it was through before; that is known by its exit status.
    """
    claim, ending = jobs.record().claim, jobs("terminate", NAME)
    until(lambda: jobs.record().claim != claim or ending.process.poll() is not None, "it doesn't begin")
    time.sleep(random.uniform(0, most))
    ending.process.kill()
    status = ending.end()
    assert status in (0, -signal.SIGKILL), ending.said
    return status != 0


def test_terminate_in_the_loop_leaves_all_as_it_was(case: Case, tmp_path: Path) -> None:
    """At the first step, somewhere, and near the end; the loop then ends with Terminated."""
    for step in (1, random.randint(2, 37), 38):
        pipeline, seen = case.pipeline(tmp_path / "store"), 0
        with pytest.raises(resumable.Terminated):
            for progress in pipeline:
                seen += 1
                assert 0 < progress.rows < ROWS
                if seen == step:
                    pipeline.terminate()
                    case.assert_untouched()
        assert step == seen
        assert "terminated" == pipeline.status
        case.assert_untouched()


def test_terminate_from_another_process_leaves_all_as_it_was(jobs: Jobs, case: Case) -> None:
    """The runner rolls back and fails with Terminated; the terminating process succeeds."""
    runner = frozen(jobs, case, case.command, 2)
    asking = jobs("terminate", NAME)
    until(lambda: jobs.record().asked == "terminate" or asking.process.poll() is not None, "nobody asks")
    assert (1, 0) == (runner.wake().end(), asking.end()), runner.said + asking.said
    assert "was terminated" in runner.said
    assert "terminated" == runner.steps[-1]["status"] == jobs.known()
    case.assert_untouched()


def test_terminate_after_kill_9_even_when_killed_itself_leaves_all_as_it_was(jobs: Jobs, case: Case) -> None:
    """`kill -9` the run, then terminate, as soon as that is at work, three times; then let it through."""
    jobs(*case.command).committed(random.randint(1, 4)).kill()
    landed = 0
    while landed < 3:
        if killed_at_work(jobs, 0.03):
            landed += 1
        else:
            case.assert_untouched()
            jobs(*case.command).committed(random.randint(1, 4)).kill()
    last = jobs("terminate", NAME)
    assert 0 == last.end(), last.said
    case.assert_untouched()
    assert "terminated" == jobs.known()


def test_a_terminated_run_begins_anew(jobs: Jobs, database: str, role: str, tmp_path: Path) -> None:
    """Terminating it once more is no error; the same line then loads all of it, once."""
    case = Case(tmp_path, database, role, "append")
    jobs(*case.command).committed(2).kill()
    for _ in range(2):
        ending = jobs("terminate", NAME)
        assert 0 == ending.end(), ending.said
    case.assert_untouched()
    again = jobs(*case.command)
    assert 0 == again.end(), again.said
    assert case.expected == execute(database, "select id, customer, word from orders where id > 30000 order by id")
    late = jobs("terminate", NAME)
    assert 1 == late.end()
    assert "is completed" in late.said


# --------------------------------------------------------------------------- the table that is kept


def test_a_completed_run_keeps_the_table_and_all_that_hangs_on_it(
    jobs: Jobs, database: str, role: str, tmp_path: Path
) -> None:
    """Append, then upsert, then replace, each killed once: only rows differ; triggers fire once; no id collides."""
    furnish(database, role)
    shape, same = structure(database), "select oid from pg_class where relname = 'orders'"
    lite = database.startswith("sqlite")
    identity = execute(database, same) if not lite else None
    source = tmp_path / "rows.csv"
    for how, begin in (("append", 30_001), ("upsert", 5), ("replace", 1)):
        execute(database, "delete from log")
        case = Filled(source, how, begin, lite)
        command = ["upload", str(source), database, "orders", "--if-exists", how, "--name", how]
        jobs(*command).committed(2).kill()
        again = jobs(*command)
        assert 0 == again.end(), again.said
        there = execute(database, "select id, customer, word from orders order by id")
        assert case.expected(how, there), how
        fired = execute(database, "select what, count(*), count(distinct id) from log group by what order by what")
        assert {"append": [("insert", ROWS, ROWS)], "replace": [("insert", ROWS, ROWS)]}.get(how, fired) == fired
        assert ROWS == sum(count for _, count, _ in fired)
        most = max(row[0] for row in there)
        execute(database, "insert into orders (customer, word) values (1, 'the application')")
        [(new,)] = execute(database, "select id from orders where word = 'the application'")
        assert new > most
        execute(database, f"delete from orders where id = {new}")
        assert shape == structure(database), how
    if not lite:
        assert identity == execute(database, same)
        [(may,)] = execute(database, f"select has_table_privilege('{role}', 'orders', 'SELECT')")
        assert may


class Filled:
    """A source of `ROWS` rows from `begin` on."""

    def __init__(self, source: Path, how: str, begin: int, lite: bool) -> None:
        head = ["id", "customer", "word", *(["total"] if lite else ["ticket", "serial"])]
        self.rows = [(n, 1 + n % 2, f"{how} {n}") for n in range(begin, begin + ROWS)]
        more = (lambda n: [n]) if lite else (lambda n: [n * 7, n * 3])
        lines = [head, *([*row, *more(row[0])] for row in self.rows)]
        if how == "upsert" and not lite:  # a GENERATED ALWAYS column that isn't the key can't be updated; serials can
            lines = [line[:3] for line in lines]
        source.write_text("".join(",".join(map(str, line)) + "\n" for line in lines))

    def expected(self, how: str, there: list[Any]) -> bool:
        """Whether these are the table's rows after it."""
        ids = {row[0] for row in self.rows}
        theirs = [row for row in there if row[0] not in ids]
        return self.rows == [row for row in there if row[0] in ids] and (how != "replace" or not theirs)


def structure(url: str) -> str:
    """All but rows, sequence values and our ledger."""
    if url.startswith("sqlite"):
        schema = execute(url, "select type, name, tbl_name, sql from sqlite_master order by name")
        return "\n".join(repr(row) for row in schema if row[2] != "resumable_ledger")
    lines, inside = [], False
    for line in dump(url, ours=False).splitlines():
        inside = inside or line.startswith("COPY ")
        if not inside and "pg_catalog.setval" not in line:
            lines.append(line)
        inside = inside and line != "\\."
    return "\n".join(lines)


@pytest.mark.parametrize("why", ["a column less", "a column more", "another type", "a cascade"])
def test_replace_is_refused_before_it_starts_where_it_could_not_keep_the_table(
    jobs: Jobs, database: str, role: str, tmp_path: Path, why: str
) -> None:
    """With the reason, and status 1: the target is untouched, there is no ledger, and the store knows no run."""
    furnish(database, role)
    head, row, reason = {
        "a column less": (["id", "customer"], [1, 1], "has 'word', "),
        "a column more": (["id", "customer", "word", "colour"], [1, 1, "x", "red"], "has no column 'colour'"),
        "another type": (["id", "customer", "word"], [1, "somebody", "x"], "customer"),
        "a cascade": (["id", "customer", "word"], [1, 1, "x"], "ON DELETE CASCADE"),
    }[why]
    if "column" not in why:
        more = ["total"] if database.startswith("sqlite") else ["ticket", "serial"]
        head, row = [*head, *more], [*row, *(7 for _ in more)]
    if why == "a cascade":
        execute(database, "create table notes (id int, of_order bigint references orders (id) on delete cascade)")
    source, before = tmp_path / "rows.csv", dump(database)
    source.write_text("".join(",".join(map(str, line)) + "\n" for line in (head, row)))
    refused = jobs("upload", str(source), database, "orders", "--if-exists", "replace", "--name", NAME)
    assert 1 == refused.end()
    assert reason in refused.said
    assert "Traceback" not in refused.said
    assert before == dump(database)
    assert [] == jobs.store.names()


# -------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("if_exists", ["fail", "replace"])
def test_an_export_shows_nothing_before_its_end_and_terminate_leaves_the_files_as_they_were(
    jobs: Jobs, tmp_path: Path, if_exists: str
) -> None:
    """Nothing at its path, or the old file whole, at each commit; no partial left by terminate; then it comes whole."""
    task = export_task(tmp_path)
    target = tmp_path / "files" / "t.csv"
    if if_exists == "replace":
        target.write_text("the old file\n")
        target.chmod(0o640)
        task.before = task.image()
    command = task.command("--if-exists", if_exists)
    for commits in (1, random.randint(2, 9)):
        runner = jobs(*command)
        for commit in range(1, commits + 1):
            runner.committed(commit).freeze(jobs.free)
            there = task.image()
            assert 1 == len(there.keys() - task.before.keys())  # the hidden partial file
            assert task.before == {name: there[name] for name in task.before}
            runner.wake()
        runner.freeze(jobs.free)
        asking = jobs("terminate", NAME)
        until(lambda: jobs.record().asked == "terminate", "nobody asks")
        assert (1, 0) == (runner.wake().end(), asking.end()), runner.said + asking.said
        assert task.before == task.image()
    jobs(*command).committed(2).kill()
    while not killed_at_work(jobs, 0.01):
        assert task.before == task.image()
        jobs(*command).committed(2).kill()
    assert 0 == jobs("terminate", NAME).end()
    assert task.before == task.image()
    assert 0 == jobs(*command).end()
    assert task.expected == target.read_text()
    assert {"t.csv", "other"} == set(files(target.parent))

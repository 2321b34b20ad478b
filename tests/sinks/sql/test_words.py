"""What is said of the database's own errors: whole sentences, and advice that is right when it is taken."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pytest
import sqlalchemy as sa

from resumable.databases.urls import connect, reason
from resumable.errors import ResumableError, TargetChanged, TargetError
from resumable.pipeline import Pipeline
from resumable.sinks import SqlSink
from resumable.stores import MemoryStore
from resumable.testing.rows import Rows
from targets import Target

MADE = "create table t (id bigint, word text)"
ROWS = pa.table({"id": pa.array(range(6), pa.int64()), "word": [*"abcdef"]})


@pytest.fixture(params=["sqlite", "postgresql"])
def target(request: pytest.FixtureRequest) -> Target:
    """An empty database of either kind."""
    return Target(request.getfixturevalue("sqlite_url" if request.param == "sqlite" else "postgres"))


def test_what_a_driver_says_in_lines_becomes_sentences() -> None:
    """Each ends with one full stop, whatever psycopg ended it with."""
    url = "postgresql://nobody@127.0.0.1:1/none"
    with pytest.raises(TargetError) as caught:
        SqlSink(url, "t").open(*_nothing())
    assert "Connection refused. Is the server running" in caught.value.what
    whole = str(caught.value)
    assert not re.search(r"[.?!:]\.|[a-z]\s+Is the server", whole), whole
    assert all(part.endswith(".") for part in (caught.value.what, caught.value.safe, caught.value.do))


def test_a_driver_s_words_are_one_line() -> None:
    """Blank lines and indents go; a line that ends in punctuation keeps it; the last full stop is the sentence's."""
    assert reason(Exception("first\n\n\tsecond:\n  third.  \nfourth?\n")) == "first. second: third. fourth"


def _nothing() -> Any:
    from resumable.checkpoint import Checkpoint
    from targets import claimant

    return claimant(1), Checkpoint(schema=ROWS.schema)


def test_a_full_disk_under_sqlite_is_to_be_made_room_on(sqlite_url: str) -> None:
    """Said so, and right: with more room the same run ends."""
    engine = connect(sqlite_url)
    pages = ["PRAGMA max_page_count = 12"]
    sa.event.listen(engine, "connect", lambda raw, _: raw.execute(pages[0]))
    table = pa.table({"word": ["x" * 3000] * 40})
    made = Pipeline(Rows(table, 10), SqlSink(engine, "t"), name="m", store=MemoryStore(), every=0)
    with pytest.raises(TargetError, match=r"disk is full\. .*Make room on the database's disk") as caught:
        made.run()
    assert "Put that right in the database" not in str(caught.value)
    pages[0] = "PRAGMA max_page_count = 1000000"
    engine.dispose()
    assert made.run().rows == 40
    engine.dispose()


CHANGES = {
    "dropped": ("drop table t", MADE),
    "renamed": ("alter table t rename to u", "alter table u rename to t"),
    "a column dropped": ("alter table t drop column word", "alter table t add column word text"),
    "a column renamed": ("alter table t rename column word to other", "alter table t rename column other to word"),
}


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("when", ["at the next commit", "at publishing"])
def test_a_table_that_goes_in_mid_append_is_noticed_and_the_advice_is_right(
    target: Target, how: str, when: str
) -> None:
    """At the next commit, or in the same words where there is none; put back, the same call ends the run; or terminate."""
    target.do(MADE)
    change, back = CHANGES[how]
    store = MemoryStore()

    class Watched(Rows):
        """Somebody changes the table while it is read; or once all of it is."""

        done = False

        def read(self, *arguments: Any) -> Any:
            for batch in super().read(*arguments):
                yield batch
                if not self.done and when == "at the next commit":
                    self.done = True
                    target.do(change)

        def changed(self, *arguments: Any) -> Any:
            if arguments[1] == {"row": 6} and not self.done:
                self.done = True
                target.do(change)
            return super().changed(*arguments)

    made = Pipeline(Watched(ROWS), SqlSink(target.url, "t", if_exists="append"), name="m", store=store, every=0)
    reached = []
    with pytest.raises(TargetChanged, match="target has changed since the run began") as caught:
        for step in made:
            reached.append(step.rows)
    assert max(reached, default=0) < 6 if when == "at the next commit" else reached[-1] == 6
    assert caught.value.do == "Put the table back to go on, or terminate the run."
    target.do(back)
    assert made.run().rows == 6
    assert target.all("select count(*) from t") == [(6,)]


def test_a_table_that_went_can_be_given_up(target: Target) -> None:
    """The other advice: terminate leaves nothing of the run, and makes no table."""
    target.do(MADE)
    made = Pipeline(Rows(ROWS), SqlSink(target.url, "t", if_exists="append"), name="m", store=MemoryStore(), every=0)
    steps = iter(made)
    next(steps)
    target.do("drop table t")
    with pytest.raises(ResumableError, match="no table 't' any more"):
        list(steps)
    made.terminate()
    assert target.tables() == set()

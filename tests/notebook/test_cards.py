"""What a notebook shows of runs: well-formed, harmless whatever a name says, legible without colour, sight or room."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import resumable
from memory import MemorySink, MemorySource, World
from resumable.checkpoint import Checkpoint, Session
from resumable.notebook.cards import card, note, table
from resumable.notebook.chart import span, throughput
from resumable.notebook.html import Html, element
from resumable.pipeline import Pipeline
from resumable.progress import Progress, Runs
from resumable.stores import FileStore, MemoryStore

HISTORY = (Session(0.0, 10.0, 1_000), Session(70.0, 20.0, 4_000), Session(10_890.0, 5.0, 0))
STATES = ["new", "queued", "running", "paused", "failed", "interrupted", "completed", "terminated"]
EVIL = "<script>alert(1)</script>&\"'"


def progress(status="paused", name="orders", **changes) -> Progress:
    last = Checkpoint(rows=5_000, fraction=0.25, sessions=HISTORY, **changes)
    return Progress.of(name, status, last)


def parsed(html: str) -> ET.Element:
    """As XML, which forgives nothing."""
    return ET.fromstring(f"<div>{html}</div>")


def read(html: str) -> str:
    """What is read aloud or seen: the text alone."""
    return " ".join(" ".join(parsed(html).itertext()).split())


def named(html: str, tag: str) -> list[ET.Element]:
    return list(parsed(html).iter(tag))


@pytest.mark.parametrize("status", STATES)
def test_a_card_says_state_figures_and_what_is_left_in_words(status: str) -> None:
    """Rows, percent, rate, time left, sessions; each state by its word, not by its colour alone."""
    text = read(card(progress(status)))
    assert "orders" in text
    assert status in text
    for fact in progress(status).facts():
        assert fact in text
    assert "3 sessions" in text
    assert ("0:01:45 left" in text) == (status not in ("completed", "terminated"))


def test_the_bar_tells_its_value_to_those_who_cannot_see_it() -> None:
    """A progressbar with a name and a value; none where the fraction isn't known."""
    bars = [e.attrib for e in parsed(card(progress())).iter() if e.get("role") == "progressbar"]
    assert [("25", "0", "100", "orders: done")] == [
        (b["aria-valuenow"], b["aria-valuemin"], b["aria-valuemax"], b["aria-label"]) for b in bars
    ]
    assert "progressbar" not in card(replace(progress(), fraction=None))


def test_the_picture_has_a_block_for_each_session_and_the_pauses_between() -> None:
    """As wide as it was long, as high as it was fast: a block's area is its rows. It is described in words."""
    svg = named(card(progress()), "svg")[0]
    titles = [t.text for t in svg.iter("title")]
    assert [
        "Session 1: 1,000 rows in 10 s, 100 rows/s",
        "1 min in between",
        "Session 2: 4,000 rows in 20 s, 200 rows/s",
        "3 h in between",
        "Session 3: 0 rows in 5.0 s, 0 rows/s",
    ] == titles
    blocks = svg.findall("rect")
    width, height = ([float(b.attrib[side]) for b in blocks] for side in ("width", "height"))
    assert width[1] / width[0] == pytest.approx(2, abs=0.02)
    assert height[1] / height[0] == pytest.approx(2, abs=0.02)
    assert ["1 min", "3 h", "200 rows/s"] == [t.text for t in svg.iter("text")]
    assert "img" == svg.attrib["role"]
    assert svg.attrib["aria-label"] == (
        "Throughput over 3 sessions: from 0 to 200 rows a second; the longest pause was 3 h."
    )


def test_one_session_needs_no_picture() -> None:
    """There is nothing to compare it with."""
    assert "" == throughput(HISTORY[:1]) == throughput(())


SESSIONS = st.lists(
    st.builds(
        Session,
        started=st.floats(-1e10, 1e12),
        seconds=st.one_of(st.just(0.0), st.floats(0, 1e8)),
        rows=st.integers(0, 10**15),
    ),
    max_size=100,
)


@given(sessions=SESSIONS, small=st.booleans())
@example(sessions=[Session(0.0, 0.0, 0), Session(0.0, 1e-308, 1)], small=False)
@example(sessions=[Session(0.0, 0.0, 0)] * 99 + [Session(1.0, 1e6, 10)], small=True)
def test_whatever_the_sessions_the_picture_stays_in_its_frame(sessions: list[Session], small: bool) -> None:
    """A hundred of them, of no rows, no seconds, with clocks that went back."""
    for svg in named(throughput(sessions, small=small), "svg"):
        _, _, width, height = map(float, svg.attrib["viewBox"].split())
        assert len(sessions) == sum(1 for _ in svg.findall("rect"))
        for rect in svg.iter("rect"):
            x, y, w, h = (float(rect.attrib[name]) for name in ("x", "y", "width", "height"))
            assert x >= 0
            assert y >= 0
            assert w > 0
            assert h > 0
            assert x + w <= width * 1.001
            assert y + h <= height * 1.001


def test_nothing_in_it_is_a_script_or_comes_from_elsewhere() -> None:
    """No element but these, no handlers, no links: it may be shown under any content policy that lets styles be."""
    html = card(progress(error=EVIL)) + table([progress(), progress(name=EVIL)])
    assert {e.tag for e in parsed(html).iter()} <= {
        *("div", "span", "strong", "table", "thead", "tbody", "tr", "th", "td"),
        *("svg", "g", "rect", "line", "text", "title"),
    }
    attributes = {name for e in parsed(html).iter() for name in e.attrib}
    assert not [name for name in attributes if name.startswith("on") or name in ("href", "src", "id", "class")]
    assert "url(" not in html


@pytest.mark.parametrize("where", ["name", "message"])
def test_whatever_a_name_or_a_message_says_is_text(where: str) -> None:
    """Markup in it is shown, not obeyed; quotes don't end an attribute."""
    run = replace(progress(), **{where: EVIL})
    for html in (card(run), table([run, run]) if where == "name" else note(EVIL)):
        assert "<script" not in html
        assert EVIL in read(html)


@given(st.text())
def test_text_gets_into_an_element_and_out_again(text: str) -> None:
    """As a child and as an attribute; what is markup already is left alone."""
    clean = "".join(c for c in text if c.isprintable() or c in "\t\n")
    made = ET.fromstring(element("p", clean, Html("<b>!</b>"), aria_label=clean))
    assert clean == (made.text or "")
    assert ["b"] == [child.tag for child in made]
    assert clean.replace("\n", " ").replace("\t", " ") == made.attrib["aria-label"]


def test_it_is_legible_on_light_and_on_dark_paper() -> None:
    """Letters and lines have the colour of the text around; no background is laid under them."""
    svg = named(throughput(HISTORY), "svg")[0]
    assert {"currentColor"} == {t.attrib["fill"] for t in svg.iter("text")}
    assert {"currentColor"} == {line.attrib["stroke"] for line in svg.iter("line")}
    coloured = [e for e in parsed(card(progress())).iter() if e.get("style", "").startswith("color")]
    assert [("true", "●")] == [(e.get("aria-hidden"), e.text) for e in coloured], "the dot, which is not read"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0.0 s"), (0.44, "0.4 s"), (12.4, "12 s"), (59, "59 s"), (60, "1 min"), (90, "1.5 min"), (3_599, "1 h"),
     (10_800, "3 h"), (86_400 * 2.5, "2.5 d"), (86_400 * 1_000, "1,000 d")],
)  # fmt: skip
def test_a_length_of_time_is_told_in_the_unit_that_suits_it(seconds: float, said: str) -> None:
    """Two digits are enough."""
    assert said == span(seconds)


# ------------------------------------------------------------------------------- who shows itself, and how


def made(world: World, store: MemoryStore | FileStore, name: str = "m") -> Pipeline:
    return Pipeline(MemorySource(), MemorySink(world), name=name, store=store, every=0)


def test_runs_is_a_list_that_shows_itself_as_a_table() -> None:
    """It equals a list, is indexed and sorted like one; the table has a line for each."""
    store = MemoryStore()
    made(World(), store, "b").run()
    for _ in made(World(), store, "a"):
        break
    runs = resumable.runs(store)
    assert [made(World(), store, name).progress for name in "ab"] == runs == list(runs)
    assert ("a", "paused", 2) == (runs[0].name, runs[0].status, len(runs))
    rows = [["".join(cell.itertext()) for cell in row] for row in named(runs._repr_html_(), "tr")]
    assert ["run", "state", "done", "rows", "rows/s", "left", "sessions"] == rows[0]
    assert [("a", "● paused"), ("b", "● completed")] == [(row[0], row[1]) for row in rows[1:]]
    assert "No runs are known here." == read(resumable.runs(MemoryStore())._repr_html_())
    assert isinstance(runs, Runs)


def test_a_pipeline_shows_where_its_run_stands() -> None:
    """Before, in the middle and after, from what the store knows."""
    world, store = World(), MemoryStore()
    assert "new" in read(made(world, store)._repr_html_())
    for step in made(world, store):
        assert "running" in read(step._repr_html_())
        break
    assert card(made(world, store).progress) == made(world, store)._repr_html_()
    assert "paused" in read(made(world, store)._repr_html_())
    made(world, store).run()
    assert "completed" in read(made(world, store)._repr_html_())


def test_a_run_by_its_name_shows_the_same() -> None:
    """And a name that the store doesn't know is told in a sentence."""
    store = MemoryStore()
    made(World(), store).run()
    assert made(World(), store)._repr_html_() == resumable.Run("m", store)._repr_html_()
    assert "No run 'n' is known" in read(resumable.Run("n", store)._repr_html_())


def test_a_store_that_cannot_be_read_is_told_where_the_pipeline_is_shown(tmp_path: Path) -> None:
    """A representation doesn't raise: a notebook would answer with a traceback of its own formatters."""
    store = FileStore(tmp_path / "runs")
    made(World(), store).run()
    next((tmp_path / "runs").glob("m.json")).write_text('"m"\nnonsense\n')
    pipeline = made(World(), store)
    assert "<Pipeline 'm': CorruptCheckpoint>" == repr(pipeline)
    assert "can't be read" in read(pipeline._repr_html_())
    with pytest.raises(resumable.CorruptCheckpoint):
        assert pipeline.status


def test_the_json_of_a_progress_has_no_sessions_in_it() -> None:
    """The command line prints it at each commit: it must not grow with the number of sessions."""
    kept = progress().to_dict()
    assert [
        "name",
        "status",
        "rows",
        "rejected",
        "fraction",
        "seconds",
        "rate",
        "eta",
        "sessions",
        "message",
        "asked",
        "pending",
    ] == [*kept]
    assert kept == json.loads(json.dumps(kept))
    assert 3 == kept["sessions"] == len(progress().history)
    assert "history" not in repr(progress())


def test_a_bars_figures_do_not_depend_on_commas_in_the_name() -> None:
    """A name may have any printable character."""
    run = progress(name="a, b")
    assert "a, b: paused, 5,000 rows, 25%, 143 rows/s, 0:01:45 left" == str(run)
    assert ["5,000 rows", "25%", "143 rows/s", "0:01:45 left"] == run.facts()

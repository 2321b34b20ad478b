"""How runs look in a notebook: a card for one, a table for many. No scripts; legible on light and on dark paper."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from resumable.errors import ResumableError
from resumable.notebook.chart import INK, throughput
from resumable.notebook.html import Html, element
from resumable.progress import Progress

__all__ = ["card", "card_or_error", "note", "table"]

COLOURS = {"running": INK, "completed": "#16a34a", "paused": "#d97706", "interrupted": "#d97706", "failed": "#dc2626"}
"""Of the dot beside the state, which the word says as well; every other state is grey."""
GREY = "#808080"
COLUMNS = ("run", "state", "done", "rows", "rows/s", "left", "sessions")
NUMBERS = ("rows", "rows/s", "left")


def card(run: Progress) -> Html:
    """One run: state, bar, figures, its sessions, and what there is to say."""
    facts = run.facts() + ([f"{run.sessions} sessions"] if run.sessions > 1 else [])
    parts = [
        element("div", element("strong", run.name, style="overflow-wrap:anywhere"), " \N{EM DASH} ", _state(run)),
        _bar(run, "100%"),
        element("div", " \N{MIDDLE DOT} ".join(facts)),
        throughput(run.history),
    ]
    if run.message:
        parts.append(note(run.message))
    return element("div", *parts, style="max-width:480px;line-height:1.6;text-align:left")


def card_or_error(read: Callable[[], Progress]) -> Html:
    """The card of a run; or, in a sentence, why its progress can't be read."""
    try:
        return card(read())
    except ResumableError as error:
        return note(str(error))


def table(runs: Sequence[Progress]) -> Html:
    """Many runs, one a line."""
    if not runs:
        return note("No runs are known here.")
    head = element("tr", *(_cell("th", column, column, scope="col") for column in COLUMNS))
    return element("table", element("thead", head), element("tbody", *map(_row, runs)))


def note(message: str) -> Html:
    """A sentence."""
    return element("div", message, style="font-size:90%;overflow-wrap:anywhere;text-align:left")


def _row(run: Progress) -> Html:
    percent = "" if run.fraction is None else f"{run.fraction:.0%}"
    rate = f"{run.rate:,.0f}" if run.rate else ""
    left = "" if run.eta is None else str(timedelta(seconds=round(run.eta)))
    cells = (
        run.name,
        _state(run),
        _beside(_bar(run, "80px"), percent),
        f"{run.rows:,}",
        rate,
        left,
        _beside(str(run.sessions), throughput(run.history, small=True)),
    )
    return element("tr", *(_cell("td", column, cell) for column, cell in zip(COLUMNS, cells, strict=True)))


def _cell(tag: str, column: str, inside: str, **more: str) -> Html:
    side = "right" if column in NUMBERS else "left"
    return element(tag, inside, style=f"text-align:{side};vertical-align:middle;padding:4px 8px", **more)


def _beside(*parts: str) -> Html:
    return element("div", *parts, style="display:flex;align-items:center;gap:8px")


def _state(run: Progress) -> Html:
    """A coloured dot and the word."""
    colour = COLOURS.get(run.status, GREY)
    dot = element("span", "\N{BLACK CIRCLE}", aria_hidden="true", style=f"color:{colour}")
    return element("span", dot, f" {run.status}", style="white-space:nowrap")


def _bar(run: Progress, width: str) -> Html:
    """How much is done; nothing where that can't be told."""
    if run.fraction is None:
        return Html()
    percent = f"{100 * min(1.0, max(0.0, run.fraction)):.3g}"
    colour = COLOURS.get(run.status, GREY)
    return element(
        "div",
        element("div", style=f"width:{percent}%;height:100%;background:{colour}"),
        role="progressbar",
        aria_label=f"{run.name}: done",
        aria_valuemin="0",
        aria_valuemax="100",
        aria_valuenow=percent,
        style=f"width:{width};height:8px;border-radius:4px;overflow:hidden;background:rgba(128,128,128,.3)",
    )

"""A small picture of a run's throughput: each session a block, as wide as it was long and as high as it was fast.

So a block's area is its rows. Between two blocks is the time in which nobody ran it, drawn at one width whatever it
was, since a night is longer than any session. It is SVG without scripts or style sheets; lines and letters have the
colour of the text around it, so it can be read on light and dark paper.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from resumable.checkpoint import Session
from resumable.notebook.html import Html, element

__all__ = ["INK", "span", "throughput"]

INK = "#3b82f6"
"""A blue that stands out from white and from black."""

WIDTH, HEIGHT = 480.0, 76.0
TOP, FOOT = 16.0, 16.0
"""Room for the letters above and below the blocks; the small picture has none."""
GAP = 44.0
"""Width of a pause, where there is room for it ..."""
LEGIBLE, STROKES = 34.0, 9.0
"""... and what it takes to write below it how long it was, and to mark it at all: a gap speaks for itself."""
SHORTEST = 1e-9
"""Seconds: of a session that took less no rate can be told."""
LEAST = 1.5
"""A session is never lower than this, nor narrower if there is room."""


def throughput(sessions: Sequence[Session], *, small: bool = False) -> Html:
    """The picture, or nothing for less than two sessions. `small`: the blocks alone, to stand in a table."""
    if len(sessions) < 2:
        return Html()
    width, height, gap = (120.0, 22.0, 6.0) if small else (WIDTH, HEIGHT, GAP)
    top, floor = (1.0, height - 1.0) if small else (TOP, height - FOOT)
    gap = min(gap, 0.4 * width / (len(sessions) - 1))
    highest = max(map(_rate, sessions))
    parts: list[Html] = []
    x = 0.0
    for number, wide in enumerate(_widths(sessions, width, gap)):
        session = sessions[number]
        if number:
            parts += _pause(_between(sessions[number - 1], session), x, gap, floor)
            x += gap
        high = max(LEAST, (floor - top) * _rate(session) / highest) if highest else LEAST
        parts.append(_block(f"Session {number + 1}", session, x, floor, wide, high))
        x += wide
    if not small:
        parts += [_line(width, top, stroke_dasharray="2 3"), _text(f"{highest:,.0f} rows/s", 0, top - 4, "start")]
    parts.append(_line(width, floor))
    return element(
        "svg",
        *parts,
        role="img",
        aria_label=_in_words(sessions),
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        style="max-width:100%;height:auto;display:block",
    )


def span(seconds: float) -> str:
    """A length of time in the unit that suits it: `0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`."""
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 0.995 * size:
            return f"{seconds / size:.2g} {unit}" if seconds < 10 * size else f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"


def _rate(session: Session) -> float:
    return session.rows / session.seconds if session.seconds >= SHORTEST else 0.0


def _widths(sessions: Sequence[Session], width: float, gap: float) -> Iterator[float]:
    """The width of each block: `LEAST`, or half its fair share, and by its seconds its share of what is left."""
    count, total = len(sessions), sum(s.seconds for s in sessions)
    room = width - gap * (count - 1)
    least = min(LEAST, room / count / 2)
    for session in sessions:
        yield least + (room - least * count) * (session.seconds / total if total > 0 else 1 / count)


def _between(before: Session, after: Session) -> float:
    """Seconds from one session to the next, as far as two clocks can tell."""
    return max(0.0, after.started - before.started - before.seconds)


def _block(name: str, session: Session, x: float, floor: float, wide: float, high: float) -> Html:
    title = f"{name}: {session.rows:,} rows in {span(session.seconds)}, {_rate(session):,.0f} rows/s"
    return element("rect", element("title", title), x=x, y=floor - high, width=wide, height=high, fill=INK)


def _pause(seconds: float, x: float, gap: float, floor: float) -> Iterator[Html]:
    """Two strokes, as on the button, and how long it was; as much of it as there is room for."""
    if gap < STROKES:
        return
    middle, thick = x + gap / 2, 3.0 if gap >= LEGIBLE else gap / 6
    strokes = (
        element("rect", x=at - thick / 2, y=floor - 4 * thick, width=thick, height=3 * thick, fill="currentColor")
        for at in (middle - thick, middle + thick)
    )
    yield element("g", element("title", f"{span(seconds)} in between"), *strokes, opacity=0.55)
    if gap >= LEGIBLE:
        yield _text(span(seconds), middle, floor + 13, "middle")


def _line(width: float, y: float, **more: str) -> Html:
    return element("line", x1=0, x2=width, y1=y, y2=y, stroke="currentColor", stroke_opacity=0.35, **more)


def _text(text: str, x: float, y: float, anchor: str) -> Html:
    return element("text", text, x=x, y=y, text_anchor=anchor, fill="currentColor", font_size=10)


def _in_words(sessions: Sequence[Session]) -> str:
    rates = [_rate(session) for session in sessions]
    longest = max(_between(before, after) for before, after in pairwise(sessions))
    return (
        f"Throughput over {len(sessions)} sessions: from {min(rates):,.0f} to {max(rates):,.0f} rows a second; "
        f"the longest pause was {span(longest)}."
    )

"""What a person may expect of the same few calls in any order: a plain model, of values only.

`Plain` is what is there and what is remembered; `expect` says how each act ends and what it leaves. Nothing in it
knows of claims, numbers, staging or transactions.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

__all__ = ["ACTS", "HAND", "ROWS", "Completed", "Kind", "Plain", "Unfinished", "expect"]

Kind: TypeAlias = Literal["new", "append", "upsert", "replace", "file", "replaced file"]
Rows: TypeAlias = tuple[tuple[int, str], ...]

ROWS: dict[str, Rows] = {
    "a": tuple((n, "a") for n in range(1, 8)),
    "b": tuple((n, "b") for n in range(3, 11)),
}
"""The source, before and after it has changed: with a commit a row, it may be left six times."""
HAND: Rows = ((5, "hand"),)
"""What somebody puts into a table or file that they make by hand."""

ACTS = ("call", "leave", "restart", "restart, leave", "terminate", "change", "store", "empty", "drop", "remake")


@dataclass(frozen=True)
class Completed:
    """The completed run that is remembered: its source, and whether it made the table, of which `count` rows are its own."""

    source: str
    made: bool
    count: int


@dataclass(frozen=True)
class Unfinished:
    """A run that was left after its first commit, or was refused when it published: then it is read to its `end`."""

    source: str
    fresh: bool
    replaces: bool = False
    end: bool = False


@dataclass(frozen=True)
class Plain:
    """What is at the target (None: nothing), whose table it is, and what the run's name stands for."""

    rows: Rows | None = None
    table: Literal["", "ours", "hand"] = ""
    """Who made it, as it is now."""
    same: bool = True
    """Whether it is the table that the completed run has published."""
    done: Completed | None = None
    unfinished: Unfinished | None = None
    source: str = "a"
    store: str = "A"
    paused: frozenset[str] = frozenset()
    """The stores that know of commits of a run which isn't over."""


def expect(kind: Kind, before: Plain, act: str, *, identities: bool) -> tuple[str, Plain]:
    """How the act ends, in a word or the name of an error, and what is there then.

    `identities`: whether the database can tell a table from another of the same name.
    """
    if act == "change":
        return "", replace(before, source="b" if before.source == "a" else "a")
    if act == "store":
        return "", replace(before, store="B" if before.store == "A" else "A")
    if act == "empty":
        return "", before if before.rows is None else replace(before, rows=())
    if act == "drop":
        return "", replace(before, rows=None, table="", same=False)
    if act == "remake":
        return "", replace(before, rows=HAND, table="hand", same=False)
    if act == "terminate":
        return _terminate(before)
    return _call(kind, before, restart=act.startswith("restart"), leave=act.endswith("leave"), identities=identities)


def _terminate(before: Plain) -> tuple[str, Plain]:
    here, known = before.store, before.store in before.paused
    after = replace(before, unfinished=None, paused=before.paused - {here})
    if before.unfinished or (known and not before.done):
        return "terminated", after
    if known:
        return "completed", after  # from another store: what it published stays
    return ("completed or terminated" if before.done else "unknown or terminated"), after


def _call(kind: Kind, s: Plain, *, restart: bool, leave: bool, identities: bool) -> tuple[str, Plain]:
    here = s.store
    if restart:
        s = replace(s, unfinished=None, paused=s.paused - {here})
    elif here in s.paused and not s.unfinished and not s.done:
        return "TargetChanged", s  # the store knows of commits of which nothing is left
    known = replace(s, paused=s.paused - {here})
    if s.unfinished:
        if s.unfinished.source != s.source:
            return "SourceChanged", replace(s, paused=s.paused | {here})
        begun = s.unfinished
        if not begun.fresh and s.rows is None and kind not in ("file", "replaced file"):
            return "TargetChanged", replace(s, paused=s.paused | {here})  # the table that it was begun over is gone
    else:
        if s.done and not restart and s.done.source == s.source and s.rows is not None:
            told_apart = identities and not s.same
            if told_apart or (s.done.count and not s.rows):
                return "TargetChanged", known
            return "nothing to do", known
        refused, begun = _begin(kind, s, restart, identities)
        if refused:
            return refused, known
    s = replace(s, unfinished=begun, paused=s.paused | {here})
    if leave and not begun.end:
        return "paused", s
    s = replace(s, unfinished=replace(begun, end=True))
    return _publish(kind, s, begun, identities)


def _begin(kind: Kind, s: Plain, restart: bool, identities: bool) -> tuple[str, Unfinished]:
    ours = restart and _ours(kind, s)
    begun = Unfinished(s.source, fresh=s.rows is None or ours, replaces=ours)
    if kind in ("new", "file") and s.rows is not None and not ours:
        return "TargetExists", begun
    made = bool(restart and s.done and s.done.made and (s.same or not identities))
    if kind == "append" and made and s.rows and not ours:
        return "TargetError", begun  # its own rows are still in there
    return "", begun


def _ours(kind: Kind, s: Plain) -> bool:
    """Whether the table is as the completed run left it, which made it."""
    if kind in ("file", "replaced file") or not (s.done and s.done.made and s.table == "ours" and s.same):
        return False
    return s.rows is not None and len(s.rows) in (0, s.done.count)


def _publish(kind: Kind, s: Plain, begun: Unfinished, identities: bool) -> tuple[str, Plain]:
    mine = ROWS[begun.source]
    if kind in ("file", "replaced file"):
        if kind == "file" and s.rows is not None:
            return "TargetExists", s
        rows = mine
    elif begun.fresh:
        if s.rows is not None and not (begun.replaces and _ours(kind, s)):
            return "TargetExists", s
        rows = mine
    elif s.rows is None:
        return "TargetChanged", s
    elif kind == "append":
        rows = tuple(sorted((*s.rows, *mine)))
    elif kind == "upsert":
        rows = tuple(sorted({**dict(s.rows), **dict(mine)}.items()))
    else:
        rows = mine
    done = Completed(begun.source, begun.fresh, len(rows))
    table: Literal["ours", "hand"] = "ours" if begun.fresh or kind in ("file", "replaced file") else _same(s)
    return "completed", replace(
        s, rows=rows, table=table, same=True, done=done, unfinished=None, paused=s.paused - {s.store}
    )


def _same(s: Plain) -> Literal["ours", "hand"]:
    return "ours" if s.table == "ours" else "hand"

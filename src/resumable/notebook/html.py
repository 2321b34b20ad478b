"""HTML and SVG as strings, escaped by construction.

Law kept here: text gets into markup only through `element`, which escapes whatever isn't `Html` already.
"""

from __future__ import annotations

from html import escape

__all__ = ["Html", "element"]


class Html(str):
    """Text that is markup already."""

    __slots__ = ()


def element(name: str, *children: str | Html, **attributes: str | float) -> Html:
    """One element with its children in order; `aria_label` becomes the attribute `aria-label`.

    Children that are plain text are escaped, and so are all attributes.
    """
    inside = "".join(child if isinstance(child, Html) else escape(child) for child in children)
    attrs = "".join(f' {key.replace("_", "-")}="{escape(_written(value))}"' for key, value in attributes.items())
    return Html(f"<{name}{attrs}>{inside}</{name}>")


def _written(value: str | float) -> str:
    return value if isinstance(value, str) else f"{value:.6g}"

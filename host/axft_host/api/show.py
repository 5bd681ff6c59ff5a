"""HTML that a notebook shows under a cell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from axft_host.reports.markup import Markup, element, join

__all__ = ["facts_html", "table_html"]

_LEFT, _RIGHT = "text-align:left", "text-align:right"


def table_html(heads: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str | None = None) -> Markup:
    """Return a table whose first column is its row headers, and whose numbers are aligned to the right.

    Parameters
    ----------
    heads : sequence of str
    rows : iterable of sequence of str
        As long as `heads`.
    caption : str, optional
    """
    head = element(
        "tr",
        *(element("th", text, scope="col", style=_LEFT if place == 0 else _RIGHT) for place, text in enumerate(heads)),
    )
    body = [
        element(
            "tr",
            element("th", first, scope="row", style=_LEFT),
            *(element("td", text, style=_RIGHT) for text in rest),
        )
        for first, *rest in rows
    ]
    title = None if caption is None else element("caption", caption, style=f"{_LEFT};white-space:normal")
    return element("table", join(title, element("thead", head), element("tbody", *body)))


def facts_html(facts: Iterable[tuple[str, str]]) -> Markup:
    """Return names and values, one line each."""
    rows = [
        element("tr", element("th", name, scope="row", style=_LEFT), element("td", value, style=_LEFT))
        for name, value in facts
    ]
    return element("table", element("tbody", *rows))

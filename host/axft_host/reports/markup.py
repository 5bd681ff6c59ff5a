"""HTML and SVG from Python values, with everything escaped that is not markup made here."""

from __future__ import annotations

import html
import json
import math
from typing import Any

__all__ = ["Markup", "element", "embedded_json", "join"]

_VOID = {"meta", "link", "br", "img", "input"}


class Markup(str):
    """Text that is markup already. Only functions of this module make it from other text."""

    __slots__ = ()


def _attribute(value: object) -> str:
    # Four digits are a hundredth of a pixel, and keep files small.
    text = f"{value:.4g}" if isinstance(value, float) and math.isfinite(value) else str(value)
    return html.escape(text, quote=True)


def join(*children: object) -> Markup:
    """Return children one after the other; plain text and numbers are escaped, None is left out."""
    return Markup(
        "".join(
            child if isinstance(child, Markup) else html.escape(str(child), quote=True)
            for child in children
            if child is not None
        )
    )


def element(name: str, /, *children: object, **attributes: object) -> Markup:
    """Return an element.

    Parameters
    ----------
    name : str
        Of the element, written in the program, never read from data.
    *children : object
        See `join`.
    **attributes : object
        Values are escaped. None and False leave the attribute out, True gives it no value. A trailing underscore of
        a name is dropped (``class_``), others become hyphens (``aria_label``).
    """
    parts = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        shown = key.rstrip("_").replace("_", "-")
        shown = "viewBox" if shown == "viewbox" else shown
        parts.append(shown if value is True else f'{shown}="{_attribute(value)}"')
    opening = f"<{' '.join(parts)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")


def embedded_json(value: Any) -> Markup:
    """Return JSON that can stand inside a script element: no ``<`` that could end it, no line separators."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    for char in "<>&":
        # Outside of strings JSON has none of them.
        text = text.replace(char, f"\\u{ord(char):04x}")
    return Markup(text)

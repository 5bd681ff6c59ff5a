"""The array under a notebook's cell, with a slider over the cycles: SVG, and one line of script."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import numpy as np

from axft_host.reports.markup import Markup, element, join

if TYPE_CHECKING:
    from axft_host.api.tracing import Trace

__all__ = ["player"]

#: Rows and columns of PEs that are drawn, and cycles; more would be too small to read, and too much for a page.
_SIDE, _CYCLES = 8, 60
#: Pixels.
_W, _H, _GAP = 104, 62, 14

_COLOURS = {"idle": "#eceff2", "passing": "#d5dce4", "busy": "#cfe6ee", "differs": "#f6cdd6"}


def player(trace: Trace) -> Markup:
    """Return what shows a trace: every cycle as a picture, the first one seen, and a slider that changes it.

    Without scripts, such as on paper, the first picture stands alone.
    """
    rows, cols = (min(side, _SIDE) for side in trace.psum.shape[1:])
    cycles = min(len(trace), _CYCLES)
    name = f"axft-{secrets.token_hex(4)}"
    frames = [
        element("div", _frame(trace, cycle, rows, cols), hidden=cycle > 0, data_cycle=cycle) for cycle in range(cycles)
    ]
    # The slider finds its pictures by its own place: no name that another cell could have, and nothing global.
    show = (
        "const box=this.closest('[data-axft]');"
        "box.querySelectorAll('[data-cycle]').forEach(e=>{e.hidden=e.dataset.cycle!==this.value});"
        "box.querySelector('output').value=this.value"
    )
    slider = element(
        "p",
        element("input", type="range", id=name, min=0, max=cycles - 1, value=0, step=1, oninput=show),
        " ",
        element("label", "cycle", for_=name),
        " ",
        element("output", 0, for_=name),
        f" (0 to {cycles - 1})",
    )
    return element("div", slider, *frames, element("p", _legend(trace, rows, cols, cycles)), data_axft=True)


def _legend(trace: Trace, rows: int, cols: int, cycles: int) -> Markup:
    parts = [
        "In every PE: the activation from the west, the weight from the north, and the partial sum after the cycle."
    ]
    if trace.fault is not None:
        parts.append(f"{trace.fault}: activated {trace.activated} times; sums that are not the golden ones are red.")
    whole = (*trace.psum.shape[1:], len(trace))
    if (rows, cols, cycles) != whole:
        parts.append(
            f"Shown are {rows} of {whole[0]} rows, {cols} of {whole[1]} columns, {cycles} of {whole[2]} cycles."
        )
    return join(" ".join(parts))


def _frame(trace: Trace, cycle: int, rows: int, cols: int) -> Markup:
    armed = () if trace.fault is None else {(site.row, site.col) for site in trace.fault.sites}
    cells = [_cell(trace, (cycle, row, col), struck=(row, col) in armed) for row in range(rows) for col in range(cols)]
    busy = int(np.count_nonzero(trace.valid[cycle]))
    width, height = cols * (_W + _GAP) + _GAP, rows * (_H + _GAP) + _GAP
    told = f"Cycle {cycle}: {busy} of {trace.valid[cycle].size} PEs accumulate."
    return element(
        "svg",
        *cells,
        viewbox=f"0 0 {width} {height}",
        width=width,
        style="max-width:100%;height:auto;font:12px sans-serif;background:#fff",
        role="img",
        aria_label=told,
    )


def _cell(trace: Trace, place: tuple[int, int, int], *, struck: bool) -> Markup:
    _, row, col = place
    x, y = _GAP + col * (_W + _GAP), _GAP + row * (_H + _GAP)
    weight, activation = bool(trace.has_weight[place]), bool(trace.has_activation[place])
    state = "busy" if weight and activation else "passing" if weight or activation else "idle"
    if trace.differs[place]:
        state = "differs"
    frame = {"stroke": "#a4133c", "stroke_width": 3} if struck else {"stroke": "#7b8794", "stroke_width": 1}
    texts = [
        _text(f"\N{RIGHTWARDS ARROW} {trace.activation[place]}", x + 6, y + 36) if activation else None,
        _text(f"\N{DOWNWARDS ARROW} {trace.weight[place]}", x + _W / 2, y + 16, anchor="middle") if weight else None,
        _text(f"\N{GREEK CAPITAL LETTER SIGMA} {trace.psum[place]}", x + _W - 6, y + 54, anchor="end"),
    ]
    box = element("rect", x=x, y=y, width=_W, height=_H, rx=4, fill=_COLOURS[state], **frame)
    return join(box, *texts)


def _text(text: str, x: float, y: float, *, anchor: str = "start") -> Markup:
    return element("text", text, x=x, y=y, text_anchor=anchor, fill="#1b2733")

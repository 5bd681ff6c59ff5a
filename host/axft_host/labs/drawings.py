"""Figures of labs 5 to 7. matplotlib is imported when one is drawn."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd

from axft_host.api.figures import Picture
from axft_host.labs.devices import told
from axft_host.reports.figures import COLOURS, MARKERS, check_matplotlib
from axft_spec.hardware import HardwareConfig
from axft_spec.scanmap import ScanMap

__all__ = ["areas", "bounds", "chain", "intervals", "readings", "waves"]

_INK, _GREY, _LINE, _HELD = "#1b2733", "#7b8794", "#1f6f8b", "#dcebf1"
#: What differs from the golden run: filled, with a thick frame, so that the colour is not needed.
_DIFFERS, _FRAME = "#f6cdd6", "#a4133c"


@told
def _picture(size: tuple[float, float], draw: Callable[[Any], None], alt: str) -> Picture:
    check_matplotlib()
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=size, layout="constrained")
    draw(figure)
    return Picture(figure, alt)


def chain(hardware: HardwareConfig, armed: Sequence[int] = ()) -> Picture:
    """Draw the scan chain on its way through the PEs, with the positions in each, and armed ones marked.

    Parameters
    ----------
    hardware : HardwareConfig
        With at most 8 x 8 PEs.
    armed : sequence of int
        Positions.
    """
    sites, rows, cols, bits = ScanMap(hardware), hardware.array.rows, hardware.array.cols, hardware.pe_scan_bits
    marked = {(site.row, site.col) for site in map(sites.site_at, armed)}

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for row in range(rows):
            for col in range(cols):
                first = (row * cols + col) * bits
                fill = _DIFFERS if (row, col) in marked else _HELD
                frame = _FRAME if (row, col) in marked else _INK
                width = 2.5 if (row, col) in marked else 1
                axes.add_patch(_rectangle(col + 0.12, row + 0.18, 0.76, 0.64, fill, frame, width))
                axes.text(col + 0.5, row + 0.42, f"PE({row}, {col})", ha="center", va="center", color=_INK)
                axes.text(
                    col + 0.5,
                    row + 0.64,
                    f"{first}-{first + bits - 1}",
                    ha="center",
                    va="center",
                    color=_INK,
                    fontsize=9,
                )
                if col + 1 < cols:
                    _arrow(axes, (col + 0.88, row + 0.5), (col + 1.12, row + 0.5))
            if row + 1 < rows:
                path = [(cols - 0.12, row + 0.5), (cols + 0.02, row + 0.5), (cols + 0.02, row + 1), (-0.02, row + 1)]
                axes.plot(*zip(*path, (-0.02, row + 1.5), strict=True), color=_GREY, lw=1.5)
                _arrow(axes, (-0.02, row + 1.5), (0.12, row + 1.5))
        _arrow(axes, (-0.3, 0.5), (0.12, 0.5))
        _arrow(axes, (cols - 0.12, rows - 0.5), (cols + 0.3, rows - 0.5))
        axes.text(-0.3, 0.36, "scan_in", ha="left", va="bottom", color=_INK, fontsize=9)
        axes.text(cols + 0.3, rows - 0.64, "scan_out", ha="right", va="bottom", color=_INK, fontsize=9)
        axes.set(xlim=(-0.4, cols + 0.4), ylim=(rows + 0.1, -0.1), aspect="equal")
        axes.set_axis_off()

    told = f"Scan chain of {sites.hardware.scan_bits} positions, {bits} in each PE, row by row from PE(0, 0)"
    told += f" to PE({rows - 1}, {cols - 1})"
    if marked:
        told += f"; armed in {', '.join(f'PE({row}, {col})' for row, col in sorted(marked))}"
    return _picture((1.6 * cols + 1.2, 1.5 * rows), draw, f"{told}.")


def _rectangle(x: float, y: float, width: float, height: float, fill: str, frame: str, line: float) -> Any:
    patches = importlib.import_module("matplotlib.patches")
    return patches.Rectangle((x, y), width, height, facecolor=fill, edgecolor=frame, linewidth=line)


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    axes.annotate("", xy=end, xytext=start, arrowprops={"arrowstyle": "->", "color": _GREY, "lw": 1.5})


def waves(wave: Any, names: Mapping[str, str], golden: Any = None) -> Picture:
    """Draw signals over clock periods: single bits as lines, numbers in boxes, what differs from a golden run marked.

    Parameters
    ----------
    wave : axft_hw.sim.waveform.Waveform
        As `axft_host.labs.devices.aligned` returns it.
    names : mapping of str to str
        What each signal is called in the figure, by its name in the recording; from top to bottom.
    golden : Waveform, optional
        The same signals in the same clock periods without the fault.
    """
    differing: list[str] = []

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for place, (name, label) in enumerate(names.items()):
            values = wave.values[name] if wave.widths[name] <= 2 else wave.signed(name)
            other = None if golden is None else golden.values[name] != wave.values[name]
            if other is not None and other.any():
                differing.append(label)
            (_line if wave.widths[name] == 1 else _boxes)(axes, place, wave.cycles, values, other)
        axes.set_yticks(range(len(names)), list(names.values()))
        axes.set_xticks(wave.cycles + 0.5, [str(cycle) for cycle in wave.cycles])
        axes.set_xlabel("clock period, counted from the one in which PE(0, 0) holds the operands of step 0")
        axes.set_xlim(wave.cycles[0], wave.cycles[-1] + 1)
        if golden is not None:
            axes.set_title("thick frame: not as in the golden run", loc="right", fontsize=9, color=_FRAME)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.tick_params(length=0)
        for cycle in wave.cycles:
            axes.axvline(cycle, color="#e4e8ec", lw=0.8, zorder=0)
        for side in ("top", "right", "left"):
            axes.spines[side].set_visible(False)

    size = (0.62 * len(wave.cycles) + 2.2, 0.48 * len(names) + 0.9)
    picture = _picture(size, draw, "")
    picture.alt = f"Waveform of {', '.join(names.values())}, clock periods {wave.cycles[0]} to {wave.cycles[-1]}."
    if golden is not None:
        picture.alt += f" Different from the golden run: {', '.join(differing) or 'nothing'}."
    return picture


def _line(axes: Any, place: int, cycles: Any, values: Any, other: Any) -> None:
    heights = place + 0.3 - 0.6 * np.append(values, values[-1])
    axes.step(np.append(cycles, cycles[-1] + 1), heights, where="post", color=_LINE, lw=1.6)
    for cycle in () if other is None else cycles[other]:
        axes.add_patch(_rectangle(cycle, place - 0.38, 1, 0.76, _DIFFERS, _FRAME, 1.5))


def _boxes(axes: Any, place: int, cycles: Any, values: Any, other: Any) -> None:
    flags = np.zeros(len(values), dtype=bool) if other is None else other
    starts = [0, *(np.flatnonzero((np.diff(values) != 0) | (np.diff(flags.astype(int)) != 0)) + 1), len(values)]
    for start, end in pairwise(starts):
        wrong = bool(flags[start])
        fill = _DIFFERS if wrong else _HELD if values[start] else "#ffffff"
        frame, width = (_FRAME, 1.8) if wrong else (_LINE, 0.9)
        box = _rectangle(cycles[start], place - 0.33, end - start, 0.66, fill, frame, width)
        box.set_zorder(3 if wrong else 2)
        axes.add_patch(box)
        middle = cycles[start] + (end - start) / 2
        axes.text(middle, place, str(values[start]), ha="center", va="center", fontsize=8.5, color=_INK, zorder=4)


def areas(counted: Mapping[str, Any], ratio: float) -> Picture:
    """Draw look-up tables and flip-flops of one PE without fault sites, with one and with more, and a line's guess.

    Parameters
    ----------
    counted : mapping of str to Area
        By the sites' name: none, some, more.
    ratio : float
        How many times as many bits the last has as the one before: where a line through the first two ends is drawn.
    """
    none, some, _ = counted.values()
    kinds = {"luts": ("look-up tables", "#1f6f8b", ""), "flip_flops": ("flip-flops", "#e3b23c", "//")}

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for offset, (kind, (label, colour, hatch)) in zip((-0.2, 0.2), kinds.items(), strict=True):
            heights = [getattr(area, kind) for area in counted.values()]
            places = np.arange(len(heights)) + offset
            bars = axes.bar(places, heights, width=0.38, color=colour, hatch=hatch, edgecolor="white", label=label)
            axes.bar_label(bars, padding=7)
            guess = getattr(none, kind) + ratio * (getattr(some, kind) - getattr(none, kind))
            told_once = "the line through the first two" if kind == "luts" else None
            axes.plot(places[-1], guess, "D", ms=8, mfc="white", mec=_INK, linestyle="none", label=told_once)
        axes.set_xticks(range(len(counted)), [f"sites: {name}" for name in counted])
        axes.set_ylabel("cells of one PE")
        axes.margins(y=0.18)
        axes.legend(frameon=False, loc="upper left")
        axes.spines[["top", "right"]].set_visible(False)

    told = "; ".join(
        f"{name}: {area.luts} look-up tables, {area.flip_flops} flip-flops" for name, area in counted.items()
    )
    return _picture((6.5, 3.8), draw, f"Cells of one PE. {told}.")


def readings(table: pd.DataFrame, printed: Mapping[str, Mapping[str, float]], classes: Sequence[str]) -> Picture:
    """Draw rates under several readings of a text, with intervals, beside the printed ones: one panel per class.

    Parameters
    ----------
    table : DataFrame
        Columns `config`, `reading`, `outcome`, `rate`, `low`, `high`; in percent.
    printed : mapping of str to mapping of str to float
        What is printed of each configuration, by class; in percent.
    classes : sequence of str
    """
    configs, names = list(dict.fromkeys(table["config"])), list(dict.fromkeys(table["reading"]))

    def draw(figure: Any) -> None:
        grid = figure.subplots(len(configs), len(classes), squeeze=False, sharey="row", sharex="col")
        for line, config in zip(grid, configs, strict=True):
            for axes, outcome in zip(line, classes, strict=True):
                part = table[(table["config"] == config) & (table["outcome"] == outcome)].set_index("reading")
                for place, name in enumerate(names):
                    if name in part.index:
                        rate, low, high = part.loc[name, ["rate", "low", "high"]]
                        look = {"fmt": MARKERS[outcome], "color": COLOURS[outcome], "ecolor": COLOURS[outcome]}
                        axes.errorbar(rate, place, xerr=[[rate - low], [high - rate]], capsize=3, ms=5, **look)
                axes.axvline(printed[config][outcome], color=_INK, ls="--", lw=1.2)
                axes.set_yticks(range(len(names)), names)
                axes.grid(axis="y", color="#e4e8ec")
                axes.set_axisbelow(True)
                axes.spines[["top", "right"]].set_visible(False)
            line[0].set_ylabel(config, rotation=0, ha="right", fontweight="bold", labelpad=12)
            line[0].set_ylim(len(names) - 0.5, -0.5)
        for axes, outcome in zip(grid[-1], classes, strict=True):
            axes.set_xlabel(f"{outcome}, % of pairs (dashed: printed)")

    told = []
    for config in configs:
        for outcome in classes:
            part = table[(table["config"] == config) & (table["outcome"] == outcome)]
            told.append(
                f"{config} {outcome}: {part['rate'].min():.1f} to {part['rate'].max():.1f} %, printed "
                f"{printed[config][outcome]:.1f}"
            )
    size = (3.3 * len(classes) + 1.6, 0.27 * len(names) * len(configs) + 0.5 * len(configs) + 0.6)
    return _picture(size, draw, f"Rates under {len(names)} readings. {'; '.join(told)}.")


def intervals(table: pd.DataFrame, label: str, printed: float) -> Picture:
    """Draw differences with their intervals, one line each, a line at zero, and a printed difference.

    Parameters
    ----------
    table : DataFrame
        Indexed by what each is called; `difference`, `low`, `high` in points.
    label : str
        Of the axis.
    printed : float
        In points.
    """

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for place, (_, row) in enumerate(table.iterrows()):
            beside = [[row["difference"] - row["low"]], [row["high"] - row["difference"]]]
            axes.errorbar(row["difference"], place, xerr=beside, fmt="o", color=_LINE, capsize=4)
        axes.axvline(0, color=_INK, lw=1)
        axes.axvline(printed, color=_INK, ls="--", lw=1.2)
        axes.set_yticks(range(len(table)), [str(name) for name in table.index])
        axes.set_ylim(len(table) - 0.5, -0.5)
        axes.set_xlabel(label)
        axes.grid(axis="y", color="#e4e8ec")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)

    told = "; ".join(
        f"{name}: {row['difference']:+.1f}, from {row['low']:+.1f} to {row['high']:+.1f}"
        for name, row in table.iterrows()
    )
    return _picture((7.5, 0.38 * len(table) + 1), draw, f"{label}. Printed: {printed:+.1f}. {told}.")


def bounds(compared: Mapping[str, int]) -> Picture:
    """Draw the share that may still differ, at 95 %, when none of n faults does, and where some numbers of faults are.

    Parameters
    ----------
    compared : mapping of str to int
        Numbers of faults, by what they are.
    """

    def bound(faults: Any) -> Any:
        return 100 * (1 - 0.05 ** (1 / faults))

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        faults = np.geomspace(1, 1e4, 200)
        axes.loglog(faults, bound(faults), color=_LINE)
        for (name, number), marker in zip(compared.items(), "os^Dv", strict=False):
            axes.plot(number, bound(number), marker, color=_FRAME, ms=7, label=f"{name}: {number:,}", linestyle="none")
        axes.set(xlabel="faults that agree, none differs", ylabel="share that may differ, %")
        axes.set(xlim=(0.8, 1e4), ylim=(0.02, 120))
        axes.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        axes.grid(color="#e4e8ec")
        axes.legend(frameon=False)
        axes.spines[["top", "right"]].set_visible(False)

    told = "; ".join(f"{name}, {number:,}: {bound(number):.2g} %" for name, number in compared.items())
    return _picture((6.5, 3.6), draw, f"Share of faults that may differ although none did, at 95 %. {told}.")

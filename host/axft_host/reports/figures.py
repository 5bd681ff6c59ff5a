"""The figures of a report, drawn by matplotlib, which only this needs, and as PNG files."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from axft_host.campaign.summary import published_row
from axft_host.reports.labels import energy_reduction
from axft_host.reports.profiles import DIMENSIONS, Figures, Group, public_name
from axft_spec.errors import ConfigError, how_to_install

__all__ = [
    "COLOURS",
    "MARKERS",
    "check_matplotlib",
    "draw_accuracy",
    "draw_array",
    "draw_energy",
    "draw_profile",
    "plain_text",
    "write_png_files",
]

#: Of the three classes, here and on the page.
COLOURS = {"masked": "#1f6f8b", "tolerable": "#e3b23c", "critical": "#a4133c"}
_HATCHES = {"masked": "", "tolerable": "//", "critical": ""}
#: The same without colour.
MARKERS = {"masked": "o", "tolerable": "s", "critical": "^"}
_DPI = 150


def check_matplotlib() -> None:
    """Check, before any work, that figures can be drawn.

    Raises
    ------
    ConfigError
        If matplotlib is not installed; the message says what to do.
    """
    try:
        importlib.import_module("matplotlib")
    except ImportError:
        raise ConfigError(
            f"PNG figures need matplotlib, which is not installed; {how_to_install('report')}, or use --html, which "
            f"needs nothing"
        ) from None


def write_png_files(results: Sequence[tuple[str, Figures]], directory: Path) -> list[Path]:
    """Draw one or more results into a directory that exists; return the files.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    check_matplotlib()
    files = [
        _save(
            directory / "outcomes.png",
            (7, 1 + 0.45 * len(results)),
            lambda figure: _outcomes(figure.add_subplot(), results),
        )
    ]
    if sum(energy_reduction(one) is not None for _, one in results) > 1:
        files.append(_save(directory / "energy.png", (7, 4.5), lambda figure: draw_energy(figure, results)))
    for place, (label, one) in enumerate(results, 1):
        files += _of_one(label, one, directory, "" if len(results) == 1 else f"{place}-{_file_name(label)}-")
    return files


def _file_name(label: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "-", label).strip("-") or "result"


def _of_one(label: str, one: Figures, directory: Path, prefix: str) -> list[Path]:
    def save(name: str, size: tuple[float, float], draw: Callable[[Any], None]) -> Path:
        return _save(directory / f"{prefix}{name}.png", size, draw)

    files = [
        save("array", (7, 6), lambda figure: draw_array(figure.add_subplot(), label, one)),
        save("accuracy", (7, 3.5), lambda figure: draw_accuracy(figure.add_subplot(), label, one)),
    ]
    for dimension, groups in one.profiles().items():
        if len(groups) > 1:
            files.append(save(f"by_{dimension}", (7, 3.5), draw_profile(label, dimension, groups)))
    return files


def _save(path: Path, size: tuple[float, float], draw: Callable[[Any], None]) -> Path:
    # Without pyplot: no global state, no window, whatever the user's backend is.
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=size, layout="constrained")
    draw(figure)
    with path.open("xb") as file:
        # No version and no date: the same result gives the same file.
        figure.savefig(file, dpi=_DPI, format="png", metadata={"Software": None})
    return path


def plain_text(label: str) -> str:
    """Return a label that matplotlib takes for no formula."""
    return label.replace("$", r"\$")


def _outcomes(axes: Any, results: Sequence[tuple[str, Figures]]) -> None:
    places = np.arange(len(results))
    left = np.zeros(len(results))
    for name, colour in COLOURS.items():
        shares = np.array([100 * getattr(one.summary, name).rate for _, one in results])
        axes.barh(places, shares, left=left, color=colour, label=name, hatch=_HATCHES[name], edgecolor="white")
        left += shares
    axes.set_yticks(places, [plain_text(label) for label, _ in results])
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel("share of pairs, %")
    axes.legend(ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


def draw_energy(figure: Any, results: Sequence[tuple[str, Figures]]) -> None:
    """Draw energy reduction against critical rate with intervals, and the study's points beside them."""
    known = [(label, one, energy) for label, one in results if (energy := energy_reduction(one)) is not None]
    saving = [energy for _, _, energy in known if energy > 0]
    # The baseline far to the left of all others gets an axis of its own, as on the page.
    apart = len(saving) < len(known) and bool(saving) and min(saving) > max(saving) - min(saving)
    if apart:
        alone, axes = figure.subplots(1, 2, sharey=True, width_ratios=(1, 6))
        alone.set_xticks([0])
        alone.set_xlim(-1, 1)
    else:
        alone = axes = figure.add_subplot()
    for label, one, energy in known:
        panel, paper = alone if apart and energy == 0 else axes, published_row(one.about)
        critical = one.summary.critical
        rate, high = 100 * critical.rate, 100 * critical.high
        errors = [[rate - 100 * critical.low], [high - rate]]
        panel.errorbar(100 * energy, rate, yerr=errors, fmt="o", color=COLOURS["critical"], capsize=3)
        panel.annotate(plain_text(label), (100 * energy, high), xytext=(0, 4), textcoords="offset points", rotation=45)
        if paper is not None:
            panel.plot(100 * energy, paper.critical, "D", mfc="none", mec="#4d5661")
    axes.plot([], [], "o", color=COLOURS["critical"], label="this report, with intervals")
    if any(published_row(one.about) is not None for _, one, _ in known):
        axes.plot([], [], "D", mfc="none", mec="#4d5661", label="paper")
    axes.legend(frameon=False)
    axes.margins(x=0.12)
    axes.set_xlabel("energy reduction, %")
    alone.set_ylabel("critical, %")
    alone.set_ylim(bottom=0)


def draw_array(axes: Any, label: str, one: Figures, metric: str = "critical") -> None:
    """Draw one of the metrics, by default the critical rate, PE by PE."""
    rates = np.ma.masked_invalid(100 * one.pes.rates[metric])
    rows, cols = one.shape
    # A PE without a fault shows the hatched ground: it is not a PE of 0%.
    axes.add_patch(
        importlib.import_module("matplotlib.patches").Rectangle(
            (-0.5, -0.5), cols, rows, fill=False, hatch="////", edgecolor="#c0c6cd", linewidth=0, zorder=0
        )
    )
    most = max(1.0, float(rates.max())) if rates.count() else 1.0
    image = axes.imshow(rates, cmap="magma_r", vmin=0, vmax=most, aspect="equal", zorder=1)
    axes.figure.colorbar(image, label=f"{public_name(metric).replace('_', ' ')}, %")
    axes.set_xlabel("PE column")
    axes.set_ylabel("PE row")
    some_lack = rates.count() < rates.size
    axes.set_title(f"{plain_text(label)}; hatched: no sampled fault" if some_lack else plain_text(label))


def draw_accuracy(axes: Any, label: str, one: Figures) -> None:
    """Draw how many faults left which accuracy, and that of the golden run."""
    bins = one.accuracy_bins()
    edges = 100 * np.array(bins.edges)
    axes.bar(edges[:-1], bins.faults, width=np.diff(edges), align="edge", color="#5a6b7d", edgecolor="white")
    axes.axvline(100 * one.about.golden_accuracy, color="black", linestyle="--", label="golden run")
    axes.set_yscale("symlog", linthresh=1)
    axes.set_xlabel("accuracy under fault, %")
    axes.set_ylabel("faults")
    axes.legend(frameon=False)
    axes.set_title(plain_text(label))


def draw_profile(label: str, dimension: str, groups: Sequence[Group]) -> Callable[[Any], None]:
    """Return what draws the rates of groups with their intervals on a figure."""

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        for offset, (name, colour) in zip((-0.2, 0.0, 0.2), COLOURS.items(), strict=True):
            known = [(place, group.rates[name]) for place, group in enumerate(groups) if group.rates]
            rates = np.array([100 * rate.rate for _, rate in known])
            errors = [rates - [100 * r.low for _, r in known], np.array([100 * r.high for _, r in known]) - rates]
            where = [place + offset for place, _ in known]
            marker = MARKERS[name]
            size = {"markersize": 4, "capsize": 2, "linewidth": 1}
            axes.errorbar(where, rates, yerr=errors, fmt=marker, color=colour, label=name, **size)
        step = -(-len(groups) // 16)
        axes.set_xticks(range(0, len(groups), step), [group.label for group in groups[::step]])
        axes.set_xlabel(DIMENSIONS[dimension])
        axes.set_ylabel("share of pairs, %")
        axes.set_ylim(-2, 102)
        axes.legend(frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1.0))
        axes.set_title(plain_text(label), pad=28)

    return draw

"""Drawings that only notebooks show, on axes of matplotlib that they are given."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.sequential import CLASSES
from axft_host.campaign.summary import published_row
from axft_host.reports.figures import COLOURS, MARKERS, plain_text
from axft_host.reports.profiles import Figures

__all__ = ["draw_errors", "draw_layers", "draw_operands", "draw_rates"]

#: Values of a vector that is drawn as one column.
_COLUMN = 16

#: PEs beside each other in which the numbers can still be read.
_READABLE = 8


def draw_rates(axes: Any, results: Sequence[tuple[str, Figures]]) -> None:
    """Draw the rate of every class with its interval, one line per result and class; the study's as diamonds."""
    names = tuple(CLASSES)
    for offset, name in zip((-0.22, 0.0, 0.22), names, strict=True):
        for place, (_, one) in enumerate(results):
            interval = getattr(one.summary, name)
            rate = 100 * interval.rate
            errors = [[rate - 100 * interval.low], [100 * interval.high - rate]]
            label = name if place == 0 else None
            axes.barh(place + offset, rate, height=0.2, color=COLOURS[name], alpha=0.35)
            axes.errorbar(
                rate, place + offset, xerr=errors, fmt=MARKERS[name], color=COLOURS[name], capsize=3, label=label
            )
            paper = published_row(one.about)
            if paper is not None:
                first = place == 0 and name == names[0]
                axes.plot(
                    getattr(paper, name),
                    place + offset,
                    "D",
                    mfc="none",
                    mec="#4d5661",
                    linestyle="none",
                    label="paper" if first else None,
                )
    axes.set_yticks(range(len(results)), [plain_text(label) for label, _ in results])
    axes.invert_yaxis()
    axes.set_xlim(-1, 101)
    axes.set_xlabel("share of pairs, %")
    axes.legend(ncols=4, loc="lower center", bbox_to_anchor=(0.5, 1.0), frameon=False)


def draw_errors(axes: Any, title: str, operands: NDArray[np.int64], errors: NDArray[np.int64]) -> None:
    """Draw the error over all pairs of operands, zero in the middle of the colours."""
    most = max(1, int(np.abs(errors).max()))
    edge = operands[0] - 0.5, operands[-1] + 0.5
    image = axes.imshow(errors, cmap="RdBu", vmin=-most, vmax=most, origin="lower", extent=(*edge, *edge))
    axes.figure.colorbar(image, label="product less the exact one")
    axes.set_xlabel("operand B")
    axes.set_ylabel("operand A")
    axes.set_title(plain_text(title))


def draw_layers(figure: Any, title: str, layers: Sequence[tuple[str, NDArray[np.int64], NDArray[np.int64]]]) -> None:
    """Draw golden values, faulty values and their difference of every layer, one above the other.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    title : str
    layers : sequence of (str, ndarray, ndarray)
        Name, golden and faulty values of one image, shape (channels, height, width) or (n,).
    """
    grid = figure.subplots(3, len(layers), squeeze=False)
    figure.suptitle(plain_text(title))
    for place, (name, golden, faulty) in enumerate(layers):
        low, high = min(0, golden.min(), faulty.min()), max(1, golden.max(), faulty.max())
        spread = max(1, int(np.abs(faulty - golden).max()))
        column = golden.ndim == 1 and golden.size <= _COLUMN
        for row, values in enumerate((golden, faulty, faulty - golden)):
            axes = grid[row][place]
            limits = {"cmap": "PuOr", "vmin": -spread, "vmax": spread} if row == 2 else {"vmin": low, "vmax": high}
            axes.imshow(_mosaic(values), aspect="auto" if column else "equal", interpolation="nearest", **limits)
            axes.set_xticks([])
            axes.set_yticks(range(golden.size) if column else [])
        grid[0][place].set_title(plain_text(name))
        grid[2][place].set_xlabel(f"{np.count_nonzero(golden != faulty)} of {golden.size} differ")
    for row, what in enumerate(("golden", "faulty", "difference")):
        grid[row][0].set_ylabel(what)


def _mosaic(values: NDArray[np.int64]) -> Any:
    """Return a value as one masked picture: the maps of its channels beside each other, or a vector.

    Short vectors, such as those of the classes, stand in one column, others in a square; what is left of it is masked.
    """
    if values.ndim == 1:
        cols = 1 if values.size <= _COLUMN else int(np.ceil(np.sqrt(values.size)))
        picture = _masked(-(-values.size // cols) * cols)
        picture[: values.size] = values
        return picture.reshape(-1, cols)
    channels, height, width = values.shape
    cols = int(np.ceil(np.sqrt(channels)))
    rows = -(-channels // cols)
    picture = _masked(rows * (height + 1) - 1, cols * (width + 1) - 1)
    for channel, plane in enumerate(values):
        row, col = divmod(channel, cols)
        picture[row * (height + 1) :, col * (width + 1) :][:height, :width] = plane
    return picture


def _masked(*shape: int) -> Any:
    """Return a picture of which nothing is to be seen yet."""
    return np.ma.MaskedArray(np.zeros(shape, dtype=np.int64), mask=True)


def draw_operands(
    axes: Any, title: str, held: NDArray[np.int64], differs: NDArray[np.bool_], texts: NDArray[Any]
) -> None:
    """Draw which PEs hold no operand, one, or both and so accumulate; those that differ with a red frame.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    title : str
    held : ndarray of int64, shape (rows, cols)
        How many operands, 0 to 2.
    differs : ndarray of bool, same shape
    texts : ndarray of str, same shape
        Written into the PEs if there are few.
    """
    colours = importlib.import_module("matplotlib.colors").ListedColormap(["#eceff2", "#a9bccd", "#1f6f8b"])
    axes.imshow(held, cmap=colours, vmin=-0.5, vmax=2.5, aspect="equal" if max(held.shape) > _READABLE else "auto")
    rectangle = importlib.import_module("matplotlib.patches").Rectangle
    for row, col in zip(*np.nonzero(differs), strict=True):
        axes.add_patch(rectangle((col - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="#a4133c", linewidth=2))
    if max(held.shape) <= _READABLE:
        for (row, col), text in np.ndenumerate(texts):
            colour = "white" if held[row, col] == 2 else "#1b2733"
            axes.text(col, row, text.replace(" | ", "\n"), ha="center", va="center", color=colour, fontsize=8)
    step = max(1, max(held.shape) // 8)
    axes.set_xticks(range(0, held.shape[1], step))
    axes.set_yticks(range(0, held.shape[0], step))
    axes.set_xlabel("PE column")
    axes.set_ylabel("PE row")
    axes.set_title(plain_text(title), fontsize=9)

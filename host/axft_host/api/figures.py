"""Figures for notebooks, drawn by matplotlib (the extra ``report``), with no global state.

Every function returns a `Picture`, which a notebook shows, and whose ``figure`` can be changed and saved.
"""

from __future__ import annotations

import base64
import importlib
import io
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from axft_host.api.campaigns import Campaign
from axft_host.api.injection import FollowedFault
from axft_host.api.keywords import by_keywords, check_type
from axft_host.api.multipliers import MultiplierErrors, multiplier
from axft_host.api.results import Result
from axft_host.api.tracing import Trace
from axft_host.campaign.sequential import CLASSES
from axft_host.reports.drawings import draw_errors, draw_layers, draw_operands, draw_rates
from axft_host.reports.figures import check_matplotlib, draw_accuracy, draw_array, draw_energy, draw_profile
from axft_host.reports.labels import result_labels
from axft_host.reports.markup import element
from axft_host.reports.profiles import DIMENSIONS, METRICS, Figures, public_name
from axft_spec.errors import ConfigError, StoreError, exists_message, unknown_name

__all__ = ["Picture", "accuracy", "array", "energy", "error_map", "layers", "operands", "outcomes", "profile"]

#: Dots per inch of what a notebook is given, twice those it shows, for sharp screens.
_DPI, _SHOWN_DPI = 160, 80

#: What `outcomes` and `energy` are given.
Results = Result | Campaign | Sequence[Result] | Mapping[str, Result]


class Picture:
    """A figure with a text that stands for it.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        What it shows, for those who do not see it.
    """

    def __init__(self, figure: Any, alt: str) -> None:
        self.figure = figure
        self.alt = alt

    def save(self, path: str | PathLike[str]) -> Path:
        """Write it to a new file, whose ending says the format, such as ``.png`` or ``.svg``.

        Raises
        ------
        StoreError
            If the file exists (it stays as it is) or cannot be written.
        """
        target = Path(fspath(path))
        if target.exists():
            raise StoreError(exists_message(target))
        try:
            self.figure.savefig(target, dpi=_DPI)
        except (OSError, ValueError) as error:
            raise StoreError(f"{target} cannot be written: {error}") from None
        return target

    def png(self) -> bytes:
        """Return it as a PNG file."""
        file = io.BytesIO()
        self.figure.savefig(file, dpi=_DPI, format="png", metadata={"Software": None})
        return file.getvalue()

    def __repr__(self) -> str:
        return f"<Picture: {self.alt}>"

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        width, png = round(self.figure.get_figwidth() * _SHOWN_DPI), self.png()
        # JupyterLab and the pages of nbconvert show a PNG without its text: for them, an element that has one. The PNG
        # itself is for what cannot show HTML, such as an export to LaTeX.
        source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        shown = element("img", src=source, alt=self.alt, width=width, style="max-width:100%")
        return (
            {"text/html": str(shown), "image/png": png, "text/plain": repr(self)},
            {"image/png": {"width": width, "alt": self.alt}},
        )


def _picture(size: tuple[float, float], draw: Callable[[Any], None], alt: str) -> Picture:
    check_matplotlib()
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=size, layout="constrained")
    draw(figure)
    return Picture(figure, alt)


def _named(results: Results) -> list[tuple[str, Figures]]:
    """Return the figures of results, each with what it is called."""
    if isinstance(results, Campaign):
        results = results.results
    if isinstance(results, Mapping):
        names, given = list(results), list(results.values())
    else:
        names, given = [], [results] if isinstance(results, Result) else list(results)
    if not given:
        raise ConfigError("a figure needs one result or more, not none")
    for result in given:
        check_type("results", result, Result)
    figures = [result.figures for result in given]
    return list(zip(names or result_labels(figures), figures, strict=True))


@by_keywords
def outcomes(results: Results) -> Picture:
    """Draw the rates of the three classes with their intervals, and those of the study where there are any.

    Parameters
    ----------
    results : Result, Campaign, list of Result, or dict of str to Result
        A dict says what each is called.

    Raises
    ------
    ConfigError
        If matplotlib is not installed.
    """
    named = _named(results)
    told = "; ".join(
        f"{label}: " + ", ".join(f"{name} {100 * getattr(one.summary, name).rate:.1f} %" for name in CLASSES)
        for label, one in named
    )
    size = (7, 1.2 + 0.7 * len(named))
    return _picture(size, lambda figure: draw_rates(figure.add_subplot(), named), f"Rates with intervals. {told}.")


@by_keywords
def energy(results: Results) -> Picture:
    """Draw energy reduction against critical rate with intervals, beside the study's points.

    Parameters
    ----------
    results : Campaign, list of Result, or dict of str to Result
        Of two presets or more.
    """
    named = _named(results)
    return _picture((7, 4.5), lambda figure: draw_energy(figure, named), "Energy reduction against critical rate.")


@by_keywords
def array(result: Result, metric: str = "critical") -> Picture:
    """Draw a heat map over the PEs.

    Parameters
    ----------
    result : Result
    metric : str
        ``masked``, ``tolerable``, ``critical``, ``no_result`` or ``faulty_accuracy``.

    Raises
    ------
    ConfigError
        If there is no such metric.
    """
    metrics = {public_name(name): name for name in METRICS}
    if metric not in metrics:
        raise ConfigError(unknown_name("metric", metric, metrics))
    ((label, one),) = _named(result)
    rates = 100 * one.pes.rates[metrics[metric]]
    alt = f"Heat map of {metric} over the PEs of {label}"
    if np.isfinite(rates).any():
        row, col = np.unravel_index(int(np.nanargmax(rates)), rates.shape)
        alt += f"; highest at PE({row}, {col}) with {rates[row, col]:.1f} %"
    return _picture((6, 5), lambda figure: draw_array(figure.add_subplot(), label, one, metrics[metric]), f"{alt}.")


@by_keywords
def profile(result: Result, dimension: str = "bit") -> Picture:
    """Draw rates with intervals of groups of faults.

    Parameters
    ----------
    result : Result
    dimension : str
        As for `Result.profile`.

    Raises
    ------
    ConfigError
        If there is no such dimension, or this result has none of it.
    """
    if dimension not in DIMENSIONS:
        raise ConfigError(unknown_name("dimension", dimension, DIMENSIONS))
    ((label, one),) = _named(result)
    groups = one.profile(dimension)
    if not groups:
        raise ConfigError(f"{dimension} is of transient faults, and this result has none")
    draw = draw_profile(label, dimension, groups)
    return _picture((7, 3.5), draw, f"Outcomes of {label} by {DIMENSIONS[dimension]}.")


@by_keywords
def accuracy(result: Result) -> Picture:
    """Draw how many faults left which accuracy."""
    ((label, one),) = _named(result)
    alt = f"Histogram of the accuracy under the faults of {label}."
    return _picture((7, 3.5), lambda figure: draw_accuracy(figure.add_subplot(), label, one), alt)


@by_keywords
def error_map(part: MultiplierErrors | str, width: int = 8) -> Picture:
    """Draw the error of a multiplier over all pairs of operands.

    Parameters
    ----------
    part : MultiplierErrors or str
        A multiplier, or its name.
    width : int
        Of the operands in bits, if it is a name; 2 to 10.

    Raises
    ------
    ConfigError
        If there is no such part, or there are more operands than a picture can show.
    """
    made = multiplier(part, width) if isinstance(part, str) else part
    if made.width > 10:
        raise ConfigError(f"width of an error map must be between 2 and 10, not {made.width}")
    title = f"{made.name}, {made.width}-bit operands"
    alt = f"Error of {title}: mean {made.mean_error:.1f}, from {made.errors.min()} to {made.errors.max()}."
    return _picture((6, 5), lambda figure: draw_errors(figure.add_subplot(), title, made.operands, made.errors), alt)


@by_keywords
def layers(followed: FollowedFault, image: int = 0) -> Picture:
    """Draw one image on its way through the layers: golden values, faulty ones, and their difference.

    Parameters
    ----------
    followed : FollowedFault
    image : int
        Its place among the images that were followed.

    Raises
    ------
    ConfigError
        If there is no such image.
    """
    if not 0 <= image < len(followed.images):
        raise ConfigError(f"image must be between 0 and {len(followed.images) - 1}, not {image}")
    steps = followed.explanation.layers
    told = ", ".join(f"{step.name} {step.differing_values}" for step in steps)
    named = [
        (f"{step.layer} {step.name}", layer.golden[image], layer.faulty[image])
        for step, layer in zip(steps, followed.layers, strict=True)
    ]
    outcome = followed.explanation.images[image].outcome
    title = f"{followed.fault}, image {followed.first_image + image}: {outcome}"
    size = (2.3 * len(named), 6)
    return _picture(size, lambda figure: draw_layers(figure, title, named), f"{title}. Differing values: {told}.")


@by_keywords
def operands(trace: Trace, cycle: int) -> Picture:
    """Draw which PEs hold operands in one cycle, with the numbers where there is room.

    Parameters
    ----------
    trace : Trace
    cycle : int

    Raises
    ------
    ConfigError
        If there is no such cycle.
    """
    if not 0 <= cycle < len(trace):
        raise ConfigError(f"cycle must be between 0 and {len(trace) - 1}, not {cycle}")
    busy = int(trace.valid[cycle].sum())
    alt = f"Cycle {cycle}: {busy} of {trace.valid[cycle].size} PEs accumulate."
    held = trace.has_weight[cycle].astype(int) + trace.has_activation[cycle]
    texts = trace.at(cycle).to_numpy()
    rows, cols = held.shape
    size = (max(3.0, min(9.0, 0.9 * cols)), max(2.5, min(9.0, 0.7 * rows)))
    return _picture(
        size, lambda figure: draw_operands(figure.add_subplot(), alt, held, trace.differs[cycle], texts), alt
    )

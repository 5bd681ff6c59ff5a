"""Figures of the page that need no script: SVG with a text alternative, coloured by the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from axft_host.campaign.statistics import Interval
from axft_host.campaign.summary import Summary
from axft_host.reports.markup import Markup, element, join
from axft_host.reports.profiles import AccuracyBins
from axft_host.reports.scales import Axis, nice_axis, nice_top, percent

__all__ = ["EnergyPoint", "accuracy_histogram", "energy_chart", "outcome_bar"]

#: Shares below this have no room for their number inside of the bar.
_ROOM = 0.09

_CLASSES = ("masked", "tolerable", "critical")


def outcome_bar(summary: Summary) -> Markup:
    """Return one bar that is divided into the outcomes."""
    parts: list[Markup] = []
    left = 0.0
    for name in _CLASSES:
        rate: Interval = getattr(summary, name)
        width = min(rate.rate, 1 - left)
        title = element("title", f"{name} {percent(rate.rate)} %")
        place = {"x": f"{100 * left:.3f}%", "y": 0, "width": f"{100 * width:.3f}%", "height": 28}
        parts.append(element("rect", title, class_=f"of-{name}", **place))
        if name == "tolerable" and width:
            parts.append(element("rect", fill="url(#hatch)", aria_hidden="true", **place))
        if width >= _ROOM:
            middle = f"{100 * (left + width / 2):.3f}%"
            parts.append(element("text", percent(width, 1), x=middle, y=18, class_=f"on-{name}"))
        left += width
    told = ", ".join(f"{name} {percent(getattr(summary, name).rate)} %" for name in _CLASSES)
    return element("svg", *parts, class_="bar", width="100%", height=28, role="img", aria_label=told)


def hatch_pattern() -> Markup:
    """Return the pattern that tells the middle outcome apart without its colour; once for the page."""
    line = element("path", d="M-2 8L8 -2M2 12L12 2", class_="hatch")
    pattern = element("pattern", line, id="hatch", width=10, height=10, patternUnits="userSpaceOnUse")
    return element("svg", element("defs", pattern), class_="hidden", width=0, height=0, aria_hidden="true")


def _log_ticks(most: int) -> list[int]:
    return [0, *(10**power for power in range(len(str(most)) + 1) if 10**power <= most)]


def accuracy_histogram(bins: AccuracyBins, golden: float) -> Markup:
    """Return how many faults left which accuracy, on a logarithmic scale, and where the golden run is."""
    height, total = 200, sum(bins.faults)
    top = math.log10(1 + max(bins.faults))
    parts: list[Markup] = []
    for tick in _log_ticks(max(bins.faults)):
        y = height * (1 - math.log10(1 + tick) / top)
        parts.append(element("line", x1=0, x2="100%", y1=y, y2=y, class_="grid"))
        parts.append(element("text", f"{tick:,}", x=-6, y=y + 4, class_="tick end"))
    for low, high, count in zip(bins.edges, bins.edges[1:], bins.faults, strict=False):
        tall = height * math.log10(1 + count) / top
        title = element("title", f"{percent(low, 0)} to {percent(high, 0)} %: {count:,} of {total:,} faults")
        x, wide = 100 * low + 0.3, 100 * (high - low) - 0.6
        parts.append(
            element("rect", title, x=f"{x:.2f}%", width=f"{wide:.2f}%", y=height - tall, height=tall, class_="plain")
        )
        if count:
            middle = f"{50 * (low + high):.2f}%"
            parts.append(element("text", f"{count:,}", x=middle, y=height - tall - 4, class_="value small"))
    for tick in range(0, 101, 20):
        parts.append(element("text", tick, x=f"{tick}%", y=height + 16, class_="tick middle"))
    at = f"{100 * golden:.2f}%"
    parts.append(element("line", x1=at, x2=at, y1=0, y2=height, class_="mark"))
    parts.append(element("text", "golden run", x=at, y=-18, class_="tick end"))
    parts.append(element("text", "accuracy under fault, %", x="50%", y=height + 36, class_="axis middle"))
    lowest = next((low for low, count in zip(bins.edges, bins.faults, strict=False) if count), 0.0)
    told = (
        f"Histogram of the accuracy under {total:,} faults, logarithmic counts. {bins.faults[-1]:,} faults leave "
        f"{percent(bins.edges[-2], 0)} % or more of the images right, the worst less than "
        f"{percent(lowest + 1 / len(bins.faults), 0)} %. The golden run has {percent(golden)} %."
    )
    return element("svg", *parts, class_="chart tall", width="100%", height=height, role="img", aria_label=told)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyPoint:
    """A configuration in the figure of energy against critical rate; all are fractions."""

    label: str
    energy: float
    critical: Interval
    paper: float | None


_W, _H, _LEFT, _RIGHT, _TOP, _BOTTOM = 680, 360, 56, 20, 16, 48


@dataclass(frozen=True, slots=True)
class _EnergyScale:
    """Energy reduction to pixels. A gap that takes most of the axis is cut out of it."""

    axis: Axis
    lone_zero: bool

    @classmethod
    def of(cls, values: Sequence[float]) -> _EnergyScale:
        others = [value for value in values if value > 0]
        lone_zero = len(others) < len(values) and bool(others) and min(others) > max(others) - min(others)
        return cls(nice_axis(others if lone_zero else values), lone_zero)

    @property
    def start(self) -> float:
        return _LEFT + (90 if self.lone_zero else 0)

    def x(self, value: float) -> float:
        if self.lone_zero and value == 0:
            return _LEFT + 30
        return self.start + (_W - _RIGHT - self.start) * self.axis.place(value)


def energy_chart(points: Sequence[EnergyPoint]) -> Markup:
    """Return energy reduction against critical rate with intervals, beside the study's points where there are any."""
    scale = _EnergyScale.of([point.energy for point in points])
    top = nice_top(max([point.critical.high for point in points] + [point.paper or 0 for point in points]))

    def y(value: float) -> float:
        return _H - _BOTTOM - (_H - _TOP - _BOTTOM) * value / top.high

    parts: list[Markup] = []
    for tick in top.ticks():
        parts.append(element("line", x1=_LEFT, x2=_W - _RIGHT, y1=y(tick), y2=y(tick), class_="grid"))
        parts.append(element("text", percent(tick, top.digits), x=_LEFT - 8, y=y(tick) + 4, class_="tick end"))
    for tick in [0.0] * scale.lone_zero + scale.axis.ticks():
        text = percent(tick, 0 if scale.lone_zero and tick == 0 else scale.axis.digits)
        parts.append(element("text", text, x=scale.x(tick), y=_H - _BOTTOM + 18, class_="tick middle"))
    if scale.lone_zero:
        cut = scale.start - 16
        parts.append(element("path", d=f"M{cut - 6} {_H - 40}l6 -16m2 16l6 -16", class_="whisker"))
    parts.append(element("text", "energy reduction, %", x=(_LEFT + _W) / 2, y=_H - 8, class_="axis middle"))
    # Labels must not lie on points, nor on each other.
    taken = [(scale.x(point.energy) - 6, y(point.critical.rate) - 6, 12.0, 12.0) for point in points]
    for point in points:
        x, middle = scale.x(point.energy), y(point.critical.rate)
        low, high = y(point.critical.low), y(point.critical.high)
        if point.paper is not None:
            parts.append(element("path", d=f"M{x:.1f} {y(point.paper) - 6:.1f}l6 6l-6 6l-6 -6z", class_="paper"))
        parts.append(
            element(
                "path",
                d=f"M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8",
                class_="whisker",
            )
        )
        told = (
            f"{point.label}: energy reduction {percent(point.energy, 1)} %, critical {percent(point.critical.rate)} % "
            f"({percent(point.critical.low)} to {percent(point.critical.high)})"
        )
        beside = "" if point.paper is None else f"; in the paper {percent(point.paper)} %"
        parts.append(element("circle", element("title", told + beside), cx=x, cy=middle, r=4, class_="point"))
        box = _free_box(x, middle, 7.2 * len(point.label), taken)
        taken.append(box)
        parts.append(element("text", point.label, x=box[0], y=box[1] + 12, class_="value start"))
    told = "Energy reduction against critical rate: " + "; ".join(
        f"{point.label} {percent(point.energy, 1)} % and {percent(point.critical.rate)} %" for point in points
    )
    return element("svg", *parts, class_="scatter", viewbox=f"0 0 {_W} {_H}", role="img", aria_label=told)


_Box = tuple[float, float, float, float]


def _overlap(a: _Box, b: _Box) -> float:
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(wide, 0.0) * max(high, 0.0)


def _free_box(x: float, y: float, width: float, taken: Sequence[_Box]) -> _Box:
    """Return where around a point a label hides the least."""
    boxes = [
        (left, top, width, 15.0)
        for reach in (0, 14, 28)
        for left, top in (
            (x + 9 + reach / 2, y - 8),
            (x - 9 - reach / 2 - width, y - 8),
            (x + 7, y - 22 - reach),
            (x + 7, y + 7 + reach),
            (x - 7 - width, y - 22 - reach),
            (x - 7 - width, y + 7 + reach),
        )
        if left >= _LEFT and left + width <= _W and 0 <= top <= _H - _BOTTOM - 14
    ]
    # A label without any room of that kind goes where it starts on its point.
    return min(boxes, key=lambda box: sum(_overlap(box, other) for other in taken), default=(x + 9, y - 8, width, 15.0))


def legend(*entries: tuple[str, str]) -> Markup:
    """Return a legend of ``(class of the mark, text)``."""
    marks = [
        element("li", element("span", class_=f"mark-box {mark}", aria_hidden="true"), join(" ", text))
        for mark, text in entries
    ]
    return element("ul", *marks, class_="legend")

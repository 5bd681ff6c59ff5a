"""Axes with round numbers, and numbers as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Axis", "nice_axis", "nice_top", "percent"]


def percent(value: float | None, digits: int = 2) -> str:
    """Return a fraction in percent, or a hyphen for none."""
    if value is None or math.isnan(value):
        return "-"
    return f"{100 * value:.{digits}f}"


@dataclass(frozen=True, slots=True)
class Axis:
    """From `low` to `high` with a tick every `step`."""

    low: float
    high: float
    step: float

    @property
    def digits(self) -> int:
        """Digits after the point that ticks need, in percent."""
        return max(0, -math.floor(math.log10(100 * self.step) + 1e-9))

    def ticks(self) -> list[float]:
        """Return the ticks, both ends with them."""
        return [self.low + i * self.step for i in range(round((self.high - self.low) / self.step) + 1)]

    def place(self, value: float) -> float:
        """Return where a value lies, from 0 at the low end to 1 at the high one."""
        return (value - self.low) / (self.high - self.low)


def _step(span: float) -> float:
    """Return 1, 2 or 5 times a power of ten, so that three to six steps make the span."""
    power: float = 10.0 ** math.floor(math.log10(span / 4))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= span / 6)


def nice_axis(values: Sequence[float]) -> Axis:
    """Return an axis around values, none of them on its ends."""
    low, high = min(values), max(values)
    step = _step(max(high - low, 0.02))
    return Axis((math.ceil(low / step) - 1) * step, (math.floor(high / step) + 1) * step, step)


def nice_top(high: float) -> Axis:
    """Return an axis from 0 to a round number at or above a fraction."""
    high = max(high, 0.001)
    step = _step(high)
    return Axis(0.0, math.ceil(high / step - 1e-9) * step, step)

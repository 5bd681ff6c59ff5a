"""How many faults to draw, and what a sample of faults says about the whole fault space.

The fault is the sampling unit: the images under one fault are not independent of each other, so that a thousand
images do not make a thousand observations. ``docs/concepts/statistics.md`` states the assumptions. The default interval
is in `axft_host.campaign.rates`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import ConfigError, check_int

__all__ = [
    "BOUNDS",
    "CENSUS",
    "Interval",
    "check_confidence",
    "check_margin",
    "exact_interval",
    "listed_interval",
    "sample_size",
]

#: Names of the interval methods of lists that stand for themselves, as results state them.
CENSUS = "census of the listed faults"
BOUNDS = "bounds over the listed faults, those not run may be anything"


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate with its confidence interval; all are fractions.

    Both ends are NaN where no interval is known to hold.
    """

    rate: float
    low: float
    high: float

    @property
    def known(self) -> bool:
        """Whether there is an interval at all."""
        return not math.isnan(self.low)

    @property
    def numbers(self) -> tuple[float, float | None, float | None]:
        """Rate and ends; None for ends that are not known."""
        return (self.rate, self.low, self.high) if self.known else (self.rate, None, None)

    def as_part(self, weight: float, share: float) -> Interval:
        """Return the interval of a whole, of which this part has a weight, and the rest has `share` exactly."""
        rate, low, high = ((1 - weight) * share + weight * end for end in (self.rate, self.low, self.high))
        return Interval(rate, max(0.0, low), min(1.0, high))

    def to_json(self) -> dict[str, float | None]:
        """Return the fields as plain JSON values; ends that are not known are null."""
        return dict(zip(("rate", "low", "high"), self.numbers, strict=True))


def _check_fraction(name: str, value: float, low: float, high: float) -> float:
    if low < value < high:
        return value
    hint = f"; write {value / 100:g} for {value:g}%" if low < value / 100 < high else ""
    raise ConfigError(f"{name} must be a fraction above {low:g} and below {high:g}, not {value:g}{hint}")


def check_confidence(confidence: float) -> float:
    """Return a confidence level that is a fraction between 0.5 and 1, both excluded.

    Raises
    ------
    ConfigError
        If it is not; a percentage is told from a fraction.
    """
    return _check_fraction("confidence", confidence, 0.5, 1)


def check_margin(margin: float) -> float:
    """Return a margin of error that is a fraction between 0 and 0.5, both excluded.

    Raises
    ------
    ConfigError
        If it is not; a percentage is told from a fraction.
    """
    return _check_fraction("margin", margin, 0, 0.5)


def _quantile(confidence: float) -> float:
    """Return the two-sided quantile of the normal distribution: 1.96 for 95%."""
    return NormalDist().inv_cdf(0.5 + check_confidence(confidence) / 2)


def sample_size(population: int, margin: float, confidence: float, p: float = 0.5) -> int:
    """Return how many faults to draw for a margin of error.

    ``n = N / (1 + e^2 (N - 1) / (t^2 p (1 - p)))``, rounded up: Leveugle, Calvez, Maistri, Vanhauwaert,
    "Statistical fault injection: quantified error and confidence", DATE 2009, equation 3.

    Parameters
    ----------
    population : int
        N, the size of the fault space.
    margin : float
        e, half the width of the interval, as a fraction.
    confidence : float
        Confidence level, as a fraction; t is its two-sided normal quantile.
    p : float
        The rate that is expected; 0.5 needs the most faults.

    Raises
    ------
    ConfigError
        If a parameter lies outside its range.
    """
    check_int("size of the fault space", population, 1)
    deviation = check_margin(margin) / _quantile(confidence)
    size = population / (1 + deviation**2 * (population - 1) / (p * (1 - p)))
    return min(population, math.ceil(size))


def _log_choose(total: int, chosen: int) -> float:
    return math.lgamma(total + 1) - math.lgamma(chosen + 1) - math.lgamma(total - chosen + 1)


def _at_most(hits: int, drawn: int, marked: int, population: int) -> float:
    """Return the probability of at most `hits` marked ones among `drawn` out of `population` with `marked`."""
    lowest, highest = max(0, drawn - (population - marked)), min(drawn, marked)
    if hits >= highest:
        return 1.0
    if hits < lowest:
        return 0.0
    first = _log_choose(marked, hits) + _log_choose(population - marked, drawn - hits) - _log_choose(population, drawn)
    # From one number of hits to the one below, the probability changes by this factor.
    k = np.arange(hits, lowest, -1, dtype=np.float64)
    steps = np.log(k * (population - marked - drawn + k)) - np.log((marked - k + 1) * (drawn - k + 1))
    return float(np.exp(first + np.concatenate([[0.0], np.cumsum(steps)])).sum())


def _most_marked(hits: int, drawn: int, population: int, tail: float) -> int:
    """Return the largest number of marked ones under which at most `hits` are no less likely than `tail`."""
    low, high = hits, population - (drawn - hits)
    while low < high:
        middle = (low + high + 1) // 2
        if _at_most(hits, drawn, middle, population) > tail:
            low = middle
        else:
            high = middle - 1
    return low


def exact_interval(total: float, drawn: int, population: int, confidence: float) -> Interval:
    """Return an interval for the mean of values in [0, 1] from a simple random sample without replacement.

    The interval of Clopper and Pearson ("The use of confidence or fiducial limits illustrated in the case of the
    binomial", Biometrika 26, 1934) with the hypergeometric distribution in place of the binomial (Cochran, "Sampling
    techniques", 3rd edition, section 3.6). Where every value is 0 or 1, it covers with at least the confidence,
    whatever the rate and however much was drawn. Other values of the same mean vary less, and the ends are rounded
    outwards to whole values.

    Parameters
    ----------
    total : float
        Sum of the drawn values.
    drawn, population : int
        How many were drawn, at least 1, out of how many.
    confidence : float
        As a fraction.
    """
    rate = total / drawn
    if drawn == population:
        return Interval(rate, rate, rate)
    tail = (1 - check_confidence(confidence)) / 2
    # Sums of fractions are not exact; one that is whole but for rounding is whole.
    whole = round(total)
    floor, ceiling = (whole, whole) if abs(total - whole) < 1e-9 * drawn else (math.floor(total), math.ceil(total))
    high = _most_marked(ceiling, drawn, population, tail) / population
    # Few that are marked are many that are not.
    low = 1 - _most_marked(drawn - floor, drawn, population, tail) / population
    return Interval(rate, min(rate, low), max(rate, high))


def listed_interval(shares: NDArray[np.float64], listed: int) -> Interval:
    """Return the rate of a list of faults that stands for itself, such as one made by hand.

    Parameters
    ----------
    shares : ndarray of float64, shape (done faults,)
        Share of the images that are, say, critical, for each listed fault that has run; there is at least one.
    listed : int
        How many faults the list has.

    Returns
    -------
    Interval
        Of no width if all have run. If not, those that did are no sample of the others: their mean is the rate, and
        the ends are bounds around all that the others may do.
    """
    mean, total = float(shares.mean()), float(shares.sum())
    if len(shares) == listed:
        return Interval(mean, mean, mean)
    return Interval(mean, total / listed, (total + listed - len(shares)) / listed)

"""How many faults to draw, and what a sample of faults says about the whole fault space.

The fault is the sampling unit: the images under one fault are not independent of each other, so that a thousand
images do not make a thousand observations. ``docs/concepts/statistics.md`` states the assumptions.
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
    "EXACT",
    "Interval",
    "Population",
    "check_confidence",
    "check_margin",
    "estimate",
    "exact_interval",
    "sample_size",
]

#: Names of the interval methods, as results state them.
EXACT = "exact hypergeometric, faults as units, certainly masked faults as an exact stratum"
CENSUS = "census of the listed faults"
BOUNDS = "bounds over the listed faults, those not run may be anything"


@dataclass(frozen=True, slots=True)
class Interval:
    """A rate with its confidence interval; all are fractions."""

    rate: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Return the fields as plain JSON values."""
        return {"rate": self.rate, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """What a list of faults stands for.

    Parameters
    ----------
    size : int or None
        Number of faults in the space that the list is a simple random sample of, drawn without replacement.
        None if the list stands for itself alone.
    certain : int or None
        How many of the space's faults are masked with certainty; None if that is not known.
    listed : int or None
        Number of faults of a list that stands for itself alone; None if all of them have run.
    """

    size: int | None
    certain: int | None
    listed: int | None = None


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


def estimate(
    shares: NDArray[np.float64],
    certain: NDArray[np.bool_],
    population: Population,
    confidence: float,
    *,
    certain_share: float,
) -> Interval:
    """Estimate the mean of a share over the fault space.

    Parameters
    ----------
    shares : ndarray of float64, shape (faults,)
        Share of the images that are, say, critical, for each listed fault that has run.
    certain : ndarray of bool, shape (faults,)
        Which of these faults are masked with certainty.
    population : Population
        What the list stands for. If it states the number of its certainly masked faults, these enter exactly,
        and only the others are estimated (post-stratification).
    confidence : float
        As a fraction.
    certain_share : float
        The share under every certainly masked fault: 1 for masked images, 0 for critical ones.

    Returns
    -------
    Interval
        Of no width for a list that stands for itself and has run, and for an exhaustive one. A list that stands for
        itself and has run in part has the mean of that part for a rate, and bounds around all that the rest may do.
    """
    mean = float(shares.mean())
    if population.size is None:
        open_faults = 0 if population.listed is None else population.listed - len(shares)
        if open_faults == 0:
            return Interval(mean, mean, mean)
        # The done faults of a list made by hand are no sample of it: nothing is known about the others.
        listed, total = len(shares) + open_faults, float(shares.sum())
        return Interval(mean, total / listed, (total + open_faults) / listed)
    if population.certain is None:
        return exact_interval(float(shares.sum()), len(shares), population.size, confidence)
    uncertain = population.size - population.certain
    if uncertain == 0:
        return Interval(certain_share, certain_share, certain_share)
    drawn = shares[~certain]
    weight = uncertain / population.size
    if not len(drawn):
        part = Interval(certain_share, 0.0, 1.0)
    else:
        part = exact_interval(float(drawn.sum()), len(drawn), uncertain, confidence)
    low, rate, high = (
        # A share of an exhaustive list is a plain mean; two weights would only round it.
        mean if len(shares) == population.size else (1 - weight) * certain_share + weight * bound
        for bound in (part.low, part.rate, part.high)
    )
    return Interval(rate, max(0.0, low), min(1.0, high))

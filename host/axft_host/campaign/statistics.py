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
    "CENSUS",
    "WILSON",
    "Interval",
    "Population",
    "check_confidence",
    "check_margin",
    "estimate",
    "sample_size",
    "wilson",
]

#: Names of the interval methods, as results state them.
WILSON = "Wilson score, faults as units, finite population, certainly masked faults as an exact stratum"
CENSUS = "census of the listed faults"


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
    """

    size: int | None
    certain: int | None


def check_confidence(confidence: float) -> float:
    """Return a confidence level that is a fraction between 0.5 and 1, both excluded.

    Raises
    ------
    ConfigError
        If it is not; a percentage is told from a fraction.
    """
    if 0.5 < confidence < 1:
        return confidence
    hint = f"; write {confidence / 100:g} for {confidence:g}%" if 50 < confidence < 100 else ""
    raise ConfigError(f"confidence must be a fraction above 0.5 and below 1, not {confidence:g}{hint}")


def check_margin(margin: float) -> float:
    """Return a margin of error that is a fraction between 0 and 0.5, both excluded.

    Raises
    ------
    ConfigError
        If it is not; a percentage is told from a fraction.
    """
    if 0 < margin < 0.5:
        return margin
    hint = f"; write {margin / 100:g} for {margin:g}%" if 0.5 <= margin < 50 else ""
    raise ConfigError(f"margin must be a fraction above 0 and below 0.5, not {margin:g}{hint}")


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


def wilson(rate: float, size: float, confidence: float) -> Interval:
    """Return the Wilson score interval of a mean of values in [0, 1].

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22, 1927. It
    assumes the variance p (1 - p) of a single value, which is the largest that values in [0, 1] of mean p can
    have: for fractions it is conservative.

    Parameters
    ----------
    rate : float
        The mean.
    size : float
        Number of values, or the effective number; infinite for a census.
    confidence : float
        As a fraction.
    """
    if math.isinf(size):
        return Interval(rate, rate, rate)
    if size <= 0:
        return Interval(rate, 0.0, 1.0)
    weight = _quantile(confidence) ** 2 / size
    centre = (rate + weight / 2) / (1 + weight)
    half = math.sqrt(weight * rate * (1 - rate) + weight**2 / 4) / (1 + weight)
    # Rounding must not cut off the rate itself: at a rate of 0, centre and half are equal but for rounding.
    return Interval(rate, max(0.0, min(rate, centre - half)), min(1.0, max(rate, centre + half)))


def effective_size(drawn: int, population: int) -> float:
    """Return the number of independent values that `drawn` out of `population` are worth.

    ``n (N - 1) / (N - n)``: the variance of the mean of a sample without replacement is that with replacement
    times ``(N - n) / (N - 1)`` (Cochran, "Sampling techniques", 3rd edition, section 2.6). Infinite if all were
    drawn.
    """
    return math.inf if drawn >= population else drawn * (population - 1) / (population - drawn)


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
        Share of each listed fault's images that are, say, critical.
    certain : ndarray of bool, shape (faults,)
        Which listed faults are masked with certainty.
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
        Of no width for a list that stands for itself, and for an exhaustive one.
    """
    mean = float(shares.mean())
    if population.size is None:
        return Interval(mean, mean, mean)
    if population.certain is None:
        return wilson(mean, effective_size(len(shares), population.size), confidence)
    uncertain = population.size - population.certain
    if uncertain == 0:
        return Interval(certain_share, certain_share, certain_share)
    drawn = shares[~certain]
    weight = uncertain / population.size
    if not len(drawn):
        part = Interval(certain_share, 0.0, 1.0)
    else:
        part = wilson(float(drawn.mean()), effective_size(len(drawn), uncertain), confidence)
    low, rate, high = (
        # A share of an exhaustive list is a plain mean; two weights would only round it.
        mean if len(shares) == population.size else (1 - weight) * certain_share + weight * bound
        for bound in (part.low, part.rate, part.high)
    )
    return Interval(rate, max(0.0, low), min(1.0, high))

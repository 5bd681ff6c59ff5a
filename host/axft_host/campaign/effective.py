"""Intervals for comparison: Wilson's, and Clopper and Pearson's, on effective counts.

They are shown beside the default interval and decide nothing. Both are made for independent draws of 0 and 1. A sample
of faults with shares of images is turned into the number of such draws that would vary as much, its effective count
(E. L. Korn, B. I. Graubard, "Confidence intervals for proportions with small expected number of positive counts
estimated from survey data", Survey Methodology 24, 1998). They cover about as often as they say where the normal
approximation holds, at one number of faults that was fixed in advance; not where few faults are hit, nor under
stopping rules.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.statistics import Interval, check_confidence
from axft_host.campaign.stratified import stratified_rate

__all__ = [
    "CLOPPER_PEARSON",
    "WILSON",
    "clopper_pearson_interval",
    "effective_count",
    "incomplete_beta",
    "t_quantile",
    "wilson_interval",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Names of the methods, as results state them.
WILSON = "Wilson score interval on the effective count, for comparison"
CLOPPER_PEARSON = "Clopper-Pearson interval on the effective count, for comparison"


def effective_count(shares: Floats, stratum: Ints, sizes: Sequence[int]) -> tuple[float, float]:
    """Return the estimated mean and the number of independent 0s and 1s that would estimate it as well.

    ``n_eff = p (1 - p) / v`` with v the variance of the (stratified) mean of clusters without replacement,
    ``sum W_h^2 (1 - n_h / N_h) s_h^2 / n_h``. Where no variance was seen, or only one fault of a stratum, the number of
    clusters is the count.

    Parameters
    ----------
    shares : ndarray of float64, shape (draws,)
    stratum : ndarray of int64, shape (draws,)
        All 0 for a simple random sample.
    sizes : sequence of int
        Of the strata.

    Returns
    -------
    (rate, count) : float
        A count of infinity for an exhaustive sample.
    """
    populations = np.asarray(sizes, dtype=np.int64)
    rate = stratified_rate(shares, stratum, populations)
    drawn = np.bincount(stratum, minlength=len(populations))
    if bool((drawn == populations).all()):
        return rate, math.inf
    weights = populations / populations.sum()
    variance = 0.0
    for number, count in enumerate(drawn):
        if count == populations[number]:
            continue
        if count < 2:
            return rate, float(len(shares))
        left = 1 - count / populations[number]
        variance += float(weights[number] ** 2 * left * shares[stratum == number].var(ddof=1) / count)
    # Equal shares differ by rounding at most.
    return rate, float(len(shares)) if variance < 1e-20 else rate * (1 - rate) / variance


def wilson_interval(rate: float, count: float, confidence: float, *, quantile: float | None = None) -> Interval:
    """Return the score interval of a proportion.

    E. B. Wilson, "Probable inference, the law of succession, and statistical inference", Journal of the American
    Statistical Association 22 (1927).

    Parameters
    ----------
    rate, count : float
        From `effective_count`.
    confidence : float
        As a fraction.
    quantile : float or None
        In place of the normal one.
    """
    if math.isinf(count):
        return Interval(rate, rate, rate)
    z = NormalDist().inv_cdf(0.5 + check_confidence(confidence) / 2) if quantile is None else quantile
    middle = (rate + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(max(0.0, rate * (1 - rate) / count) + z * z / (4 * count * count))
    return Interval(rate, max(0.0, min(rate, middle - half)), min(1.0, max(rate, middle + half)))


def clopper_pearson_interval(rate: float, count: float, confidence: float) -> Interval:
    """Return the exact binomial interval of a proportion, continued to counts that are not whole.

    C. J. Clopper, E. S. Pearson, "The use of confidence or fiducial limits illustrated in the case of the binomial",
    Biometrika 26 (1934).

    Parameters
    ----------
    rate, count : float
        From `effective_count`.
    confidence : float
        As a fraction.
    """
    if math.isinf(count):
        return Interval(rate, rate, rate)
    tail = (1 - check_confidence(confidence)) / 2
    hits, misses = rate * count, (1 - rate) * count
    low = 0.0 if hits <= 0 else _solve(lambda p: incomplete_beta(p, hits, misses + 1) - tail, 0, 1)
    high = 1.0 if misses <= 0 else _solve(lambda p: incomplete_beta(p, hits + 1, misses) - (1 - tail), 0, 1)
    return Interval(rate, min(rate, low), max(rate, high))


def t_quantile(confidence: float, freedom: float) -> float:
    """Return the two-sided quantile of Student's t distribution.

    Parameters
    ----------
    confidence : float
        As a fraction.
    freedom : float
        Degrees of freedom, above 0; infinity for the normal distribution.
    """
    if math.isinf(freedom):
        return NormalDist().inv_cdf(0.5 + check_confidence(confidence) / 2)
    tail = 1 - check_confidence(confidence)
    # P(|T| > t) = I_x(v/2, 1/2) with x = v / (v + t^2)
    x = _solve(lambda part: incomplete_beta(part, freedom / 2, 0.5) - tail, 0, 1)
    return math.sqrt(freedom * (1 - x) / x)


def _solve(rising: Callable[[float], float], low: float, high: float) -> float:
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularised incomplete beta function I_x(a, b), for a, b > 0.

    By its continued fraction (NIST Digital Library of Mathematical Functions, 8.17.22), evaluated by Lentz's method.
    """
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):
        return 1 - incomplete_beta(1 - x, b, a)
    scale = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    tiny = 1e-300
    value, upper, lower = 1.0, 1.0, 0.0
    for step in range(10_000):
        half = step // 2
        if step == 0:
            term = 1.0
        elif step % 2 == 0:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        else:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        lower = 1 / ((1 + term * lower) or tiny)
        upper = (1 + term / upper) or tiny
        value *= upper * lower
        if step and abs(upper * lower - 1) < 1e-15:
            break
    # The loop evaluates 1 + 1/(1 + d1/(1 + ...)): its first term belongs to the numerator.
    return math.exp(scale) / a * (value - 1)

"""Confidence sequences for the mean of a finite population, by betting: the default interval of a campaign.

Somebody who doubts that the mean is m bets, before each draw, on what it will be, at odds that are fair if m is right.
If it is, the capital rarely grows: it ever reaches 2 / alpha with a probability of at most alpha / 2 (Ville's
inequality). All m at which it did not are a confidence set, at whatever moment one looks. Two gamblers, one who bets
on more and one who bets on less, make the two ends.

I. Waudby-Smith, A. Ramdas, "Estimating means of bounded random variables by betting", Journal of the Royal Statistical
Society B 86 (2024), sections 4 (capital processes, hedging) and 5 (sampling without replacement); the same authors,
"Confidence sequences for sampling without replacement", NeurIPS 2020. What is ours is how much is bet: see `bets`.
``docs/concepts/statistics.md`` states the assumptions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.statistics import Interval, check_confidence
from axft_spec.errors import ConfigError

__all__ = [
    "BETTING",
    "SLACK",
    "Bets",
    "around",
    "bets",
    "betting_interval",
    "check_counts",
    "check_shares",
    "confidence_sequence",
    "log_capital",
    "log_threshold",
    "lower_bound",
    "split_confidence",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Name of the method, as results state it.
BETTING = "betting, without replacement, faults as units"

#: How far, in natural logarithms, capital must lie above its limit: far more than rounding adds up to, and so little
#: that no interval shows it.
SLACK = 1e-9

#: Reserves are at least this part of the expected mean: nobody bets all he has.
_LEAST_RESERVE = 0.01

#: Halvings of a bracket around an end: to 10^-10.
_HALVINGS = 34


@dataclass(frozen=True, slots=True, eq=False)
class Bets:
    """The reserves with which two gamblers go into each draw; the smaller, the bolder.

    A reserve of a > 0 turns a capital of 1 into (a + x) / (a + m) when x is drawn and m was the mean of what was left:
    fair, never negative, and a bet of 1 / (a + m) per unit. As a function of m, the logarithm is decreasing and convex.

    Members
    -------
    more : ndarray of float64, shape (..., draws)
        Of the one who bets on values x above the mean that is doubted.
    less : ndarray of float64, shape (..., draws)
        Of the other, who plays the same game with 1 - x and 1 - m.
    """

    more: Floats
    less: Floats


def split_confidence(confidence: float, statements: int) -> float:
    """Return the confidence of each of several statements that hold together with `confidence` (Bonferroni)."""
    if statements < 1:
        raise ConfigError(f"number of statements must be at least 1, not {statements}")
    return 1 - (1 - check_confidence(confidence)) / statements


def log_threshold(confidence: float) -> float:
    """Return the logarithm of the capital at which one of two gamblers has made his point: ``log(2 / alpha)``."""
    return math.log(2 / (1 - check_confidence(confidence)))


def check_shares(shares: Floats) -> Floats:
    """Return values as float64 if all of them lie in [0, 1].

    Raises
    ------
    ConfigError
        If one does not, or is no number.
    """
    values = np.asarray(shares, dtype=np.float64)
    if not bool(np.all((values >= 0) & (values <= 1))):
        raise ConfigError(f"shares must be between 0 and 1, not {values[~((values >= 0) & (values <= 1))][0]:g}")
    return values


def _before(values: NDArray[np.generic]) -> Floats:
    """Return, for each draw, the sum of the values of all earlier draws."""
    sums = np.cumsum(values, axis=-1, dtype=np.float64)
    return np.concatenate([np.zeros_like(sums[..., :1]), sums[..., :-1]], axis=-1)


def _reserve(strength: Floats, scale: Floats, mean: Floats, own: Floats) -> Floats:
    """Return the reserve that brings the end of the interval furthest in, as far as one can tell.

    Parameters
    ----------
    strength : ndarray of float64
        L / V: the logarithm that capital must reach, over the sum of the variances that is expected.
    scale : ndarray of float64
        Bet per unit on this draw, over the usual one.
    mean : ndarray of float64
        Mean that is expected, in (0, 1).
    own : ndarray of float64
        The same for the stratum of the draw.

    Notes
    -----
    For values 0 and 1 of mean q close to 0, sums are nearly Poisson: the lower end furthest in is q exp(-z) where
    exp(-z) - 1 + z = L / V, and the bet per unit there is exp(z) - 1. For q close to 1 it is 1 - (1 - q) y where
    y - 1 - log y = L / V, and the bet is 1 - 1/y. Both are approximated, and mixed between; where L / V is small, they
    agree with the normal sqrt(2 L / V). A reserve of a is a bet per unit of 1 / (a + end). Whatever it is, the interval
    holds.
    """
    root = np.sqrt(2 * strength)
    fall = np.exp(-root - strength / 3)
    rise = 1 + strength + root
    inverse = (1 - mean) * fall / (1 - fall) + mean * rise / (rise - 1)
    end = own - mean * (1 - mean) * (rise - fall)
    return np.asarray(np.maximum(inverse / scale - np.maximum(end, 0.0), _LEAST_RESERVE * own))


def bets(
    shares: Floats,
    stratum: Ints,
    sizes: Ints,
    planned: Ints,
    confidence: float,
    *,
    half_width: float | None = None,
    begun: Ints | None = None,
) -> Bets:
    """Return with which reserves to go into each draw; each depends on earlier draws only.

    Bets aim at the narrowest interval at the end of the plan, or where `half_width` is reached, if that comes sooner.
    They grow as the population is used up, so that the interval gains what a finite population gives.

    Parameters
    ----------
    shares : ndarray of float64, shape (..., draws)
        Drawn values in the order of the list; leading axes are campaigns of the same plan.
    stratum : ndarray of int64, shape (draws,)
        Stratum of each draw.
    sizes : ndarray of int64, shape (strata,)
        How many there are to draw from.
    planned : ndarray of int64, shape (strata,)
        How many are meant to be drawn, at least 1 each.
    confidence : float
        As a fraction.
    half_width : float or None
        Half of the interval's width at which drawing is to stop.
    begun : ndarray of int64, shape (strata,), or None
        How many of each stratum were drawn under an earlier plan; None for none. Bets before that are meaningless.
    """
    earlier = np.zeros_like(sizes) if begun is None else begun
    place = np.zeros(len(stratum))
    for number in range(len(sizes)):
        members = stratum == number
        place[members] = np.arange(np.count_nonzero(members))
    growth, efforts = _growth(sizes, earlier, planned)
    weights = sizes / sizes.sum()
    per_effort = weights * _inverse(efforts)
    # In proportion to these, the evidence of all strata adds up to evidence on the weighted mean.
    unit = sizes[stratum] / (sizes[stratum] - place) * per_effort[stratum]
    usual = float((per_effort * growth).sum() / max(1, (planned - earlier).sum()))
    pooled, mean, spread = _expected(shares, stratum, place, len(sizes))

    limit = log_threshold(confidence)
    variance = _weighted(spread, weights * per_effort)
    both = variance
    if begun is not None:
        past = _weighted(spread, weights**2 * _inverse(_growth(sizes, np.zeros_like(sizes), begun)[1]))
        both = variance * past / (variance + past)
    # The part of the plan after which the half-width is reached, as far as one can tell by now.
    part = 1.0 if half_width is None else np.minimum(1.0, 2 * limit * both / half_width**2)
    strength = limit * usual**2 * both / (part * variance**2)
    # Draws that the plan does not have, of strata of which nothing is left, are as good as not bet on.
    scale = np.maximum(unit / usual, 1e-12)
    return Bets(more=_reserve(strength, scale, pooled, mean), less=_reserve(strength, scale, 1 - pooled, 1 - mean))


def _growth(sizes: Ints, earlier: Ints, planned: Ints) -> tuple[Floats, Floats]:
    """Return, for each stratum, the sums of N / (N - i) and of its square over the draws i of a plan.

    The second is the number of draws with replacement that those are worth.
    """
    sums = np.zeros((2, len(sizes)))
    for number, (size, first, last) in enumerate(zip(sizes, earlier, planned, strict=True)):
        factor = size / (size - np.arange(first, last, dtype=np.float64))
        sums[:, number] = factor.sum(), (factor**2).sum()
    return sums[0], sums[1]


def _inverse(efforts: Floats) -> Floats:
    """Return 1 / effort; 0 for strata that a plan does not draw from, because nothing is left of them."""
    return np.divide(1.0, efforts, out=np.zeros_like(efforts), where=efforts > 0)


def _weighted(spread: Sequence[Floats], weights: Floats) -> Floats:
    return np.asarray(sum(weight * part for weight, part in zip(weights, spread, strict=True)))


def _expected(shares: Floats, stratum: Ints, place: Floats, strata: int) -> tuple[Floats, Floats, list[Floats]]:
    """Return what is expected before each draw: the mean of all, that of the draw's stratum, each stratum's variance.

    What is expected of a stratum is what was seen of it, and one more value like those seen of the others; those begin
    with a mean of 1/2 and a variance of 1/4.
    """
    draws = np.arange(shares.shape[-1], dtype=np.float64)
    mine = [stratum == number for number in range(strata)]

    def regularised(values: Floats, start: float) -> Iterator[Floats]:
        everywhere = _before(values)
        for members in mine:
            total, count = _before(values * members), _before(members)
            yield ((start + everywhere - total) / (1 + draws - count) + total) / (1 + count)

    mean = np.empty_like(shares)
    for members, of_stratum in zip(mine, regularised(shares, 0.5), strict=True):
        mean[..., members] = of_stratum[..., members]
    residuals = (shares - (mean * (1 + place) + shares) / (2 + place)) ** 2
    return (0.5 + _before(shares)) / (1 + draws), mean, list(regularised(residuals, 0.25))


def log_capital(shares: Floats, reserves: Floats, size: int, mean: float | Floats) -> Floats:
    """Return the logarithm of a gambler's capital after each draw without replacement.

    Parameters
    ----------
    shares : ndarray of float64, shape (..., draws)
    reserves : ndarray of float64, shape (..., draws)
    size : int
        Of the population.
    mean : float or ndarray of float64, shape (...)
        The mean that is doubted: at least what the drawn values alone amount to, sum / size.

    Returns
    -------
    ndarray of float64, shape (..., draws)
        Decreasing and convex in the mean.
    """
    left = size - np.arange(shares.shape[-1], dtype=np.float64)
    rest = (size * np.asarray(mean, dtype=np.float64)[..., np.newaxis] - _before(shares)) / left
    return np.cumsum(np.log1p((shares - rest) / (reserves + rest)), axis=-1)


def lower_bound(shares: Floats, reserves: Floats, size: int, limit: float) -> Floats:
    """Return the largest mean such that every mean below it was ruled out after some draw so far.

    Parameters
    ----------
    shares, reserves : ndarray of float64, shape (..., draws)
    size : int
        Of the population.
    limit : float
        Logarithm of the capital that rules a mean out.

    Returns
    -------
    ndarray of float64, shape (...)
        Never above the exact bound: of the bracket in which that lies, the end that is ruled out.
    """
    low = np.asarray(shares.sum(axis=-1) / size)
    high = np.ones_like(low)

    def ruled_out(mean: Floats) -> NDArray[np.bool_]:
        return np.asarray(log_capital(shares, reserves, size, mean).max(axis=-1) >= limit + SLACK)

    start, open_low = low.copy(), ~ruled_out(low)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        out = ruled_out(middle)
        low, high = np.where(out, middle, low), np.where(out, high, middle)
    return np.where(open_low, start, low)


def confidence_sequence(
    shares: Floats,
    population: int,
    planned: int,
    confidence: float,
    *,
    half_width: float | None = None,
    at: Ints | None = None,
) -> tuple[Floats, Floats]:
    """Return lower and upper ends after each draw: all of them hold together with the stated confidence.

    Parameters
    ----------
    shares : ndarray of float64, shape (draws,)
        Drawn values in order, in [0, 1].
    population, planned : int
        How many there are to draw from; how many are meant to be drawn.
    confidence : float
        As a fraction.
    half_width : float or None
        Half of the interval's width at which drawing is to stop.
    at : ndarray of int64, shape (looks,), or None
        Numbers of draws, each at least 1, in increasing order; None for 1, 2, ... draws.

    Returns
    -------
    (low, high) : ndarrays of float64, shape (looks,)
        Monotone: what has been ruled out once stays ruled out. If ``low > high``, everything has been ruled out,
        which happens with a probability below ``1 - confidence``.

    Raises
    ------
    ConfigError
        If a value lies outside [0, 1], or numbers do not fit together.
    """
    values = check_shares(shares)
    check_counts(len(values), population, planned)
    looks = np.arange(1, len(values) + 1) if at is None else np.asarray(at)
    one = np.zeros(len(values), dtype=np.int64)
    made = bets(values, one, np.array([population]), np.array([planned]), confidence, half_width=half_width)
    limit = log_threshold(confidence)
    low = [float(lower_bound(values[:n], made.more[:n], population, limit)) for n in looks]
    high = [1 - float(lower_bound(1 - values[:n], made.less[:n], population, limit)) for n in looks]
    # Brackets of different looks end at different places: without this, rounding could undo what was gained.
    return np.maximum.accumulate(np.array(low)), np.minimum.accumulate(np.array(high))


def check_counts(drawn: int, population: int, planned: int) -> None:
    """Check that numbers of faults fit together.

    Raises
    ------
    ConfigError
        If they do not.
    """
    if not 1 <= drawn <= planned <= population:
        raise ConfigError(
            f"drawn faults must be at least 1, at most those planned, and these at most the population, not {drawn}, "
            f"{planned} and {population}"
        )


def betting_interval(
    shares: Floats, population: int, planned: int, confidence: float, *, half_width: float | None = None
) -> Interval:
    """Return the interval of the mean of a population of which values were drawn without replacement.

    It covers with at least the confidence for all values in [0, 1], at any number of draws, also at one that was
    chosen by looking at the values.

    Parameters
    ----------
    shares : ndarray of float64, shape (draws,)
        Drawn values in order, in [0, 1].
    population, planned : int
        How many there are to draw from; how many are meant to be drawn. The interval is narrowest at that number.
    confidence : float
        As a fraction.
    half_width : float or None
        Half of the interval's width at which drawing is to stop.

    Returns
    -------
    Interval
        Around the mean of the drawn values; without width if all were drawn.

    Raises
    ------
    ConfigError
        If a value lies outside [0, 1], or numbers do not fit together.
    """
    values = check_shares(shares)
    check_counts(len(values), population, planned)
    rate = float(values.mean())
    if len(values) == population:
        return Interval(rate, rate, rate)
    low, high = confidence_sequence(
        values, population, planned, confidence, half_width=half_width, at=np.array([len(values)])
    )
    return around(rate, float(low[-1]), float(high[-1]))


def around(rate: float, low: float, high: float) -> Interval:
    """Return an interval that holds the rate, also where both ends lie on one side of it; wider is never wrong."""
    return Interval(rate, max(0.0, min(low, high, rate)), min(1.0, max(low, high, rate)))

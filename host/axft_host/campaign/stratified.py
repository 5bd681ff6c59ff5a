"""The interval of a stratified sample: one game over all strata, and the worst division of the mean among them.

Per-stratum intervals added up would be wide: all strata would have to miss on the same side. Here the gambler of
`confidence` plays on with one capital through the draws of all strata. If mu_h are the true means of the strata, the
product of the capitals won in each is a fair game, whatever the order and the number of draws. A weighted mean m is
ruled out when every division of it, every (mu_1, ..., mu_H) with ``sum W_h mu_h = m``, is: a union-intersection test,
J. V. Spertus, P. B. Stark, "Sweeter than SUITE: supermartingale stratified union-intersection tests of elections",
E-Vote-ID 2022. As the logarithm of each capital is convex in mu_h when bets are reserves of capital, the worst division
is the solution of a convex problem, and its dual gives a bound that is never above the exact one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.confidence import SLACK, Bets, around, bets, check_shares, log_threshold
from axft_host.campaign.statistics import Interval
from axft_spec.errors import ConfigError

__all__ = [
    "STRATIFIED",
    "Phase",
    "phased_bets",
    "stratified_interval",
    "stratified_lower_bound",
    "stratified_rate",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Name of the method, as results state it.
STRATIFIED = "betting, stratified, without replacement in each stratum, faults as units"

# Halvings of the brackets around a stratum's mean and around the price of evidence. Whatever they are, the bound holds.
_INNER, _OUTER, _AGAIN = 36, 30, 8

# How far below the best bound so far, in parts of its distance from the rate, a look is still worth a search.
_REACH = 1.0

# Looks at the capital of one plan: nearly as good as one after each draw.
_LOOKS = 60
_PRICES = (-30.0, 10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A plan that bets follow from one draw on.

    Parameters
    ----------
    first : int
        The first draw of the list that follows the plan.
    planned : tuple of int
        How many are meant to be drawn of each stratum in all, those before this phase among them; at least 1 each.
    """

    first: int
    planned: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Game:
    """Draws of one gambler, and what was drawn of the same stratum before each."""

    shares: Floats
    reserves: Floats
    stratum: Ints
    sizes: Floats
    left: Floats
    before: Floats

    def _rest(self, means: Floats) -> Floats:
        rest = ((self.sizes * means)[self.stratum] - self.before) / self.left
        # What is about to be drawn was left; rounding must not say otherwise.
        return np.asarray(np.maximum(rest, self.shares / self.left))

    def _sum(self, values: Floats) -> Floats:
        return np.asarray(np.bincount(self.stratum, values, len(self.sizes)), dtype=np.float64)

    def log_capital(self, means: Floats) -> Floats:
        """Return the logarithm of the capital won in each stratum; convex and decreasing in its mean."""
        rest = self._rest(means)
        return self._sum(np.log1p((self.shares - rest) / (self.reserves + rest)))

    def slope(self, means: Floats) -> Floats:
        """Return the derivative of `log_capital`."""
        return -self._sum(self.sizes[self.stratum] / self.left / (self.reserves + self._rest(means)))


def _game(shares: Floats, reserves: Floats, stratum: Ints, sizes: Ints) -> _Game:
    left, before = np.empty(len(shares)), np.empty(len(shares))
    for number, size in enumerate(sizes):
        mine = np.flatnonzero(stratum == number)
        left[mine] = size - np.arange(len(mine))
        before[mine] = np.cumsum(shares[mine]) - shares[mine]
    return _Game(shares, reserves, stratum, np.asarray(sizes, dtype=np.float64), left, before)


def stratified_lower_bound(
    shares: Floats, reserves: Floats, stratum: Ints, sizes: Ints, limit: float, looks: Sequence[int] | None = None
) -> float:
    """Return a number that every weighted mean that is not ruled out reaches.

    Parameters
    ----------
    shares, reserves : ndarray of float64, shape (draws,)
        Drawn values; reserves of the gambler who bets on more.
    stratum : ndarray of int64, shape (draws,)
    sizes : ndarray of int64, shape (strata,)
    limit : float
        Logarithm of the capital that rules a division of the mean out.
    looks : sequence of int or None
        Numbers of draws after which capital is looked at; what is ruled out after one of them stays ruled out. None for
        all draws alone.

    Notes
    -----
    Minimise ``sum W_h mu_h`` where ``sum g_h(mu_h) <= limit`` and each mu_h is between what the drawn values leave
    possible, g_h the convex log-capitals. For any price theta >= 0, ``sum_h min (W_h mu_h + theta g_h(mu_h)) -
    theta limit`` is a lower bound (weak duality); the best theta makes it exact.
    """
    weights = sizes / sizes.sum()
    drawn = np.bincount(stratum, minlength=len(sizes))
    total = np.bincount(stratum, weights=shares, minlength=len(sizes))
    lowest = total / sizes
    highest = np.where(drawn == sizes, lowest, (total + sizes - drawn) / sizes)
    best, price, reach = float(weights @ lowest), sum(_PRICES) / 2, 0.0
    # Last look first: at the price it settles on, the other looks show at once whether they can do better.
    for look in sorted({len(shares)} if looks is None else {*looks}, reverse=True):
        game = _game(shares[:look], reserves[:look], stratum[:look], sizes)
        if game.log_capital(lowest).sum() <= limit + SLACK:
            continue
        low, high, steps = *_PRICES, _OUTER
        if reach:
            bound, _ = _priced(game, weights, lowest, highest, float(np.exp(price)), limit)
            best = max(best, bound)
            if bound < best - reach:
                continue
            low, high, steps = price - 2, price + 2, _AGAIN
        for _ in range(steps):
            middle = (low + high) / 2
            bound, capital = _priced(game, weights, lowest, highest, float(np.exp(middle)), limit)
            if bound > best:
                best, price = bound, middle
            low, high = (middle, high) if capital > limit else (low, middle)
        reach = _REACH * abs(stratified_rate(shares, stratum, sizes) - best)
    return best


def _priced(
    game: _Game, weights: Floats, lowest: Floats, highest: Floats, price: float, limit: float
) -> tuple[float, float]:
    """Return the lower bound that a price of evidence gives, and the log-capital at the means that it leads to."""
    low, high = lowest.copy(), highest.copy()
    for _ in range(_INNER):
        middle = (low + high) / 2
        rising = weights + price * game.slope(middle) >= 0
        low, high = np.where(rising, low, middle), np.where(rising, middle, high)
    # A convex function lies above its tangents; the minimum may be anywhere in the bracket.
    slopes = weights + price * game.slope(low)
    capital = game.log_capital(low)
    least = weights * low + price * capital + np.minimum(slopes, 0) * (high - low)
    return float(least.sum() - price * (limit + SLACK)), float(capital.sum())


def phased_bets(
    shares: Floats,
    stratum: Ints,
    sizes: Ints,
    phases: Sequence[Phase],
    confidence: float,
    *,
    half_width: float | None = None,
) -> Bets:
    """Return bets of which each follows the plan of its own phase; see :func:`~axft_host.campaign.confidence.bets`."""
    made = None
    for phase in phases:
        planned = np.array(phase.planned, dtype=np.int64)
        begun = np.bincount(stratum[: phase.first], minlength=len(sizes)) if phase.first else None
        new = bets(shares, stratum, sizes, planned, confidence, half_width=half_width, begun=begun)
        if made is None:
            made = new
        else:
            made.more[phase.first :], made.less[phase.first :] = new.more[phase.first :], new.less[phase.first :]
    if made is None or phases[0].first != 0:
        raise ConfigError("phases of a plan must begin with draw 0")
    return made


def stratified_rate(shares: Floats, stratum: Ints, sizes: Ints) -> float:
    """Return the weighted mean of the strata's means; strata of which nothing was drawn yet are like the others."""
    drawn = np.bincount(stratum, minlength=len(sizes))
    total = np.bincount(stratum, weights=shares, minlength=len(sizes))
    seen = drawn > 0
    return float((sizes[seen] * total[seen] / drawn[seen]).sum() / sizes[seen].sum())


def stratified_interval(
    shares: Floats,
    stratum: Ints,
    sizes: Sequence[int],
    phases: Sequence[Phase],
    confidence: float,
    *,
    half_width: float | None = None,
    looks: int | None = None,
) -> Interval:
    """Return the interval of the mean of a population from draws without replacement in each of its strata.

    It covers with at least the confidence for all values in [0, 1], whatever the numbers of draws, also if these or the
    moment to stop were chosen by looking at earlier values; a draw must be uniform among what is left of its stratum.

    Parameters
    ----------
    shares : ndarray of float64, shape (draws,)
        Drawn values in the order of the list, in [0, 1].
    stratum : ndarray of int64, shape (draws,)
        Stratum of each draw.
    sizes : sequence of int
        How many there are to draw from, of each stratum.
    phases : sequence of Phase
        What was planned, and from which draw on.
    confidence : float
        As a fraction.
    half_width : float or None
        Half of the interval's width at which drawing is to stop.
    looks : int or None
        At how many numbers of draws of the whole plan the capital is looked at; 1 for the last draw alone. More take
        longer and rule out a little more. They must not depend on the values.

    Raises
    ------
    ConfigError
        If a value lies outside [0, 1], or numbers do not fit together.
    """
    values, numbers = check_shares(shares), np.asarray(stratum, dtype=np.int64)
    populations = np.asarray(sizes, dtype=np.int64)
    drawn = np.bincount(numbers, minlength=len(populations))
    if len(numbers) != len(values) or len(drawn) > len(populations) or bool((drawn > populations).any()):
        raise ConfigError(
            f"draws of each stratum must be at most its size, not {drawn.tolist()} of {populations.tolist()}"
        )
    rate = stratified_rate(values, numbers, populations)
    if bool((drawn == populations).all()):
        return Interval(rate, rate, rate)
    made = phased_bets(values, numbers, populations, phases, confidence, half_width=half_width)
    limit = log_threshold(confidence)
    every = -(-sum(phases[0].planned) // (looks or _LOOKS))
    at = [*range(every, len(values), every), len(values)]
    low = stratified_lower_bound(values, made.more, numbers, populations, limit, at)
    high = 1 - stratified_lower_bound(1 - values, made.less, numbers, populations, limit, at)
    return around(rate, low, high)

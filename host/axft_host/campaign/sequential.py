"""Stopping rules that keep intervals valid: by intervals that hold at any time, or at looks that were set in advance.

Both are fed the faults in the order of the list, so that they stop after the same one however many workers there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist

import numpy as np

from axft_host.campaign.confidence import split_confidence
from axft_host.campaign.rates import CERTAIN, Basis, estimated_rate, rate_interval
from axft_host.campaign.statistics import Interval, check_confidence, check_margin, exact_interval
from axft_spec.errors import ConfigError, check_int, unknown_name

__all__ = ["CLASSES", "SPENDINGS", "HalfWidthRule", "LookRule", "spend"]

#: The classes of outcomes, and the share of images that certainly masked faults have in each.
CLASSES = {"masked": 1.0, "tolerable": 0.0, "critical": 0.0}

#: Faults between two looks of a rule by intervals that hold at any time. More looks cost time only.
_EVERY = 50

SPENDINGS = {
    "bonferroni": "equal parts of alpha at each look",
    "obrien-fleming": "alpha spent as by O'Brien and Fleming's boundaries (Lan and DeMets), in Bonferroni's sense",
}


@dataclass(slots=True, kw_only=True)
class _Collected:
    """What a rule has been told, in the order of the list."""

    classes: tuple[str, ...]
    basis: Basis
    shares: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.classes or len(set(self.classes)) != len(self.classes):
            raise ConfigError(f"classes of a stopping rule must be one or more different ones, not {self.classes!r}")
        for name in self.classes:
            if name not in CLASSES:
                raise ConfigError(unknown_name("class of outcomes", name, CLASSES))
        self.shares = {name: [] for name in self.classes}

    @property
    def done(self) -> int:
        """Number of faults told of."""
        return len(self.shares[self.classes[0]])

    def add(self, index: int, fractions: Mapping[str, float], certain: bool) -> None:
        """Take in the next fault of the list."""
        if index != self.done or index >= len(self.basis.stratum):
            raise ConfigError(
                f"faults must be fed in the order of the list of {len(self.basis.stratum)}, the next is {self.done}, "
                f"not {index}"
            )
        if self.basis.stratum[index] == CERTAIN and not certain:
            raise ConfigError(f"fault {index} of the list must be masked with certainty, as was said before the run")
        for name in self.classes:
            self.shares[name].append(fractions[name])


class HalfWidthRule:
    """Stops when the intervals of some classes are narrow enough; they hold at any time (see `rate_interval`).

    Intervals are computed after every few faults, with the bets aimed at the half-width. What one of them has ruled out
    stays ruled out: `intervals` are intersections of all looks so far.

    Parameters
    ----------
    basis : Basis
        What the list is a sample of.
    half_width : float
        Half the width that the interval of every named class must reach.
    classes : sequence of str
        Some of `CLASSES`.
    confidence : float
        As a fraction; of all classes together if `together`.
    together : bool
        Whether the intervals of the named classes are to hold together (Bonferroni), or each on its own.
    every : int
        Faults between two looks.
    """

    name = "half width, by intervals that hold at any time"

    def __init__(
        self,
        basis: Basis,
        half_width: float,
        classes: Sequence[str] = ("critical",),
        confidence: float = 0.95,
        *,
        together: bool = False,
        every: int = _EVERY,
    ) -> None:
        self.half_width = check_margin(half_width)
        self._told = _Collected(classes=tuple(classes), basis=basis)
        self._confidence = split_confidence(confidence, len(self._told.classes) if together else 1)
        self._every = check_int("faults between two looks", every, 1)
        self._ends = dict.fromkeys(classes, (0.0, 1.0))
        self._stopped = False

    @property
    def should_stop(self) -> bool:
        """Whether the faults so far are enough."""
        return self._stopped

    def feed(self, index: int, fractions: Mapping[str, float], *, certain: bool) -> None:
        """Take in the next fault; see `axft_host.campaign.stopping.StoppingRule`.

        Raises
        ------
        ConfigError
            If it is not the next one of the list.
        """
        if self._stopped:
            return
        self._told.add(index, fractions, certain)
        if self._told.done % self._every == 0 or self._told.done == len(self._told.basis.stratum):
            self._look()

    def _look(self) -> None:
        basis = self._told.basis
        for name, shares in self._told.shares.items():
            values = np.array(shares)
            made = rate_interval(
                values, basis, self._confidence, certain_share=CLASSES[name], half_width=self.half_width, looks=1
            )
            low, high = self._ends[name]
            self._ends[name] = max(low, made.low), min(high, made.high)
        self._stopped = all(high - low <= 2 * self.half_width for low, high in self._ends.values())

    def intervals(self) -> dict[str, Interval]:
        """Return the interval of each named class, as of now; [0, 1] before the first fault.

        Looking once more costs nothing: the intervals hold at any time.
        """
        if self._told.done and not self._stopped:
            self._look()
        rates = {}
        for name, shares in self._told.shares.items():
            low, high = self._ends[name]
            rate = estimated_rate(np.array(shares), self._told.basis, certain_share=CLASSES[name])
            rates[name] = Interval(rate, min(low, high, rate), max(low, high, rate))
        return rates


def spend(alpha: float, parts: Sequence[float], spending: str) -> list[float]:
    """Return how much of alpha each look may use; the sum is alpha.

    Parameters
    ----------
    alpha : float
    parts : sequence of float
        Which part of the list is done at each look, increasing to 1.
    spending : str
        One of `SPENDINGS`. The second follows K. K. G. Lan, D. L. DeMets, "Discrete sequential boundaries for clinical
        trials", Biometrika 70 (1983): ``2 - 2 Phi(z / sqrt(t))`` is spent by time t. As each look uses its own part,
        and no look counts on what was seen at others, the sum bounds the error whatever the distribution.

    Raises
    ------
    ConfigError
        If the looks are not increasing to 1, or the name is unknown.
    """
    if spending not in SPENDINGS:
        raise ConfigError(unknown_name("spending of alpha", spending, SPENDINGS))
    if not parts or list(parts) != sorted(set(parts)) or parts[0] <= 0 or parts[-1] != 1:
        raise ConfigError(f"looks must be parts of the list that increase to 1, not {list(parts)}")
    if spending == "bonferroni":
        return [alpha / len(parts)] * len(parts)
    normal = NormalDist()
    quantile = normal.inv_cdf(1 - alpha / 2)
    spent = [2 - 2 * normal.cdf(quantile / math.sqrt(part)) for part in parts]
    return [now - before for before, now in zip([0.0, *spent], spent, strict=False)]


class LookRule:
    """Stops at one of a few looks that were set in advance, each with its part of alpha.

    The intervals are those of :func:`~axft_host.campaign.statistics.exact_interval`: exact for faults that hit all
    images or none. For a simple random sample only.

    Parameters
    ----------
    basis : Basis
        What the list is a sample of, in one stratum.
    half_width : float
        Half the width that the interval of every named class must reach.
    looks : sequence of int
        Numbers of listed faults, increasing; the last is that of the list.
    classes, confidence, together
        As for `HalfWidthRule`.
    spending : str
        One of `SPENDINGS`.

    Raises
    ------
    ConfigError
        If the looks do not fit the list, or the sample is stratified.
    """

    name = "half width, at looks set in advance, alpha spent among them"

    def __init__(
        self,
        basis: Basis,
        half_width: float,
        looks: Sequence[int],
        classes: Sequence[str] = ("critical",),
        confidence: float = 0.95,
        *,
        together: bool = False,
        spending: str = "obrien-fleming",
    ) -> None:
        if len(basis.sizes) != 1 or len(basis.phases) != 1:
            raise ConfigError("looks set in advance are for simple samples; stop stratified ones by half width")
        listed = len(basis.stratum)
        if not looks or looks[-1] != listed:
            raise ConfigError(f"looks must end with the number of listed faults, {listed}, not {list(looks)}")
        self.half_width = check_margin(half_width)
        self._told = _Collected(classes=tuple(classes), basis=basis)
        alpha = 1 - split_confidence(check_confidence(confidence), len(self._told.classes) if together else 1)
        parts = spend(alpha, [look / listed for look in looks], spending)
        self._levels = dict(zip(looks, parts, strict=True))
        self._intervals: dict[str, Interval] = {}
        self._stopped = False

    @property
    def should_stop(self) -> bool:
        """Whether the faults so far are enough."""
        return self._stopped

    def feed(self, index: int, fractions: Mapping[str, float], *, certain: bool) -> None:
        """Take in the next fault; see `axft_host.campaign.stopping.StoppingRule`."""
        if self._stopped:
            return
        self._told.add(index, fractions, certain)
        if self._told.done in self._levels:
            confidence = 1 - self._levels[self._told.done]
            self._intervals = {name: self._interval(name, confidence) for name in self._told.classes}
            self._stopped = all(made.high - made.low <= 2 * self.half_width for made in self._intervals.values())

    def _interval(self, name: str, confidence: float) -> Interval:
        basis, share = self._told.basis, CLASSES[name]
        values = np.array(self._told.shares[name])
        drawn = values[basis.stratum[: len(values)] != CERTAIN]
        weight = basis.open_weight
        if len(drawn) == 0:
            part = Interval(share, 0.0, 1.0) if weight > 0 else Interval(share, share, share)
        else:
            # Beyond this, the tail of the exact distribution is 0 in double precision anyway.
            part = exact_interval(float(drawn.sum()), len(drawn), basis.sizes[0], min(confidence, 1 - 1e-12))
        return part.as_part(weight, share)

    def intervals(self) -> dict[str, Interval]:
        """Return the interval of each named class at the last look; empty before the first."""
        return dict(self._intervals)

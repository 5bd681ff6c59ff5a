"""Rates of groups of faults, such as those of one bit, as the design of the sample allows.

The faults of a simple sample that fall into a group are a simple random sample of those that the space has there. Of a
stratified sample that is so only where the group consists of whole strata. Elsewhere each fault stands for as many as
its stratum has for each that was drawn: the rate is nearly unbiased, and no interval is stated.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.rates import Basis, rate_interval
from axft_host.campaign.records import Provenance
from axft_host.campaign.sampled import basis_of
from axft_host.campaign.statistics import BOUNDS, CENSUS, Interval, listed_interval
from axft_spec.faults import FaultKind

__all__ = ["GROUP_BETTING", "GROUP_STRATIFIED", "GroupRates"]

Floats = NDArray[np.float64]
Int64 = NDArray[np.int64]

#: Names of the methods of the intervals of groups of a drawn list.
GROUP_BETTING = "betting, faults as units, each group on its own as a sample of its part of the fault space"
GROUP_STRATIFIED = "betting, faults as units, each group of whole strata on its own; weighted rates of the others"


class GroupRates:
    """Estimates rates of groups.

    Parameters
    ----------
    about : Provenance
        Of the result.
    certain : ndarray of bool, shape (done faults,)
        Which are masked with certainty.

    Attributes
    ----------
    method : str
        Name of the method of the intervals.
    weights : ndarray of float64, shape (done faults,)
        How many faults of the space each of them stands for, but for a common factor.
    """

    def __init__(self, about: Provenance, certain: NDArray[np.bool_]) -> None:
        self._about = about
        self._done = len(certain)
        self._open = about.faults - self._done
        stratified = about.sampling is not None and about.sampling["design"] != "simple"
        # Many groups have the same faults.
        self._known: dict[tuple[bytes, int, float], Interval] = {}
        self._basis: Basis | None = basis_of(about) if stratified else None
        self.weights = np.ones(self._done) if self._basis is None else self._basis.weights(self._done)
        if self._basis is not None:
            self.method = GROUP_STRATIFIED
        elif about.space_size is not None:
            self.method = GROUP_BETTING
        else:
            self.method = BOUNDS if self._open else CENSUS

    def of(
        self,
        shares: Floats,
        places: Int64,
        population: int | None,
        named: Mapping[str, str],
        *,
        certain_share: float,
    ) -> Interval:
        """Return the rate of a group, with an interval if one is known to hold.

        Parameters
        ----------
        shares : ndarray of float64, shape (done faults,)
            Of the images, for all faults that are done.
        places : ndarray of int64, shape (faults of the group,)
            Which of them are in the group; one or more.
        population : int or None
            How many faults the space has there; None if the list stands for itself.
        named : mapping of str to str
            What the group's faults have in common, as in ``bit`` to ``6``; all faults if empty.
        certain_share : float
            The share under every certainly masked fault.
        """
        mine = shares[places]
        if population is None:
            # Any of the faults that are not done may belong here.
            return listed_interval(mine, len(places) + self._open)
        if self._basis is None:
            planned = max(len(places), round(len(places) * self._about.faults / self._done))
            key = mine.tobytes(), population, certain_share
            if key not in self._known:
                basis = Basis.simple(population, np.zeros(min(planned, population), dtype=bool), None)
                self._known[key] = rate_interval(mine, basis, self._about.confidence, certain_share=certain_share)
            return self._known[key]
        chosen = self._strata_of(named)
        if chosen is None:
            weights = self.weights[places]
            found = float(weights.sum())
            # Faults that are masked with certainty and in no stratum belong to the group too.
            left = max(0.0, population - found) if self._basis.certain else 0.0
            return Interval((float(weights @ mine) + left * certain_share) / (found + left), float("nan"), float("nan"))
        certain = population - sum(self._basis.sizes[number] for number in chosen)
        return rate_interval(
            mine, self._basis.of_strata(chosen, certain), self._about.confidence, certain_share=certain_share
        )

    @cached_property
    def _strata(self) -> list[dict[str, str]] | None:
        """What the faults of each stratum have in common; None if groups cannot be told from it."""
        space: dict[str, Any] = self._about.fault_space or {}
        if self._about.sampling is None or space.get("bits", 1) != 1:
            return None
        names = self._about.sampling["names"]
        # A stratum of all faults is called so, without a property.
        return [dict(part.split("=") for part in name.split(",") if "=" in part) for name in names]

    def _strata_of(self, named: Mapping[str, str]) -> list[int] | None:
        """Return the strata that a group consists of; None if it cuts through some."""
        if self._strata is None or any(set(named) - set(stratum) for stratum in self._strata):
            return None
        wanted = dict(named)
        if "kind" in wanted:
            wanted["kind"] = FaultKind(wanted["kind"]).short
        return [
            number
            for number, stratum in enumerate(self._strata)
            if all(stratum[name] == value for name, value in wanted.items())
        ]

"""Rates of groups of faults, such as those of one bit, as the design of the sample allows.

The faults of a simple sample that fall into a group are a simple random sample of those that the space has there. Of a
stratified sample that is so only where the group consists of whole strata. Elsewhere each fault stands for as many as
its stratum has for each that was drawn, and the group's faults that are masked with certainty, which are in no stratum,
are counted: the rate is nearly unbiased, and no interval is stated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.rates import Basis, rate_interval
from axft_host.campaign.records import Provenance
from axft_host.campaign.sampled import basis_of, certain_of_space
from axft_host.campaign.statistics import BOUNDS, CENSUS, Interval, listed_interval
from axft_host.campaign.stratified import Phase
from axft_spec.faults import FaultKind, FaultSpace, Site

__all__ = ["GROUP_BETTING", "GROUP_STRATIFIED", "GroupRates", "LeftOut"]

Floats = NDArray[np.float64]
Int64 = NDArray[np.int64]

#: Names of the methods of the intervals of groups of a drawn list.
GROUP_BETTING = "betting, faults as units, each group on its own as a sample of its part of the fault space"
GROUP_STRATIFIED = "betting, faults as units, each group of whole strata on its own; weighted rates of the others"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LeftOut:
    """The faults of a space that a stratified sample has left out of its strata, because they are certainly masked.

    Members
    -------
    fault, site, kind, row, col, bit : ndarray of int64, shape (armed bits,)
        An entry for each armed bit of these faults; sites and kinds as places in their enums. Empty for other samples,
        and where a store does not say which faults they are: rates of groups are about the others then.
    """

    fault: Int64
    site: Int64
    kind: Int64
    row: Int64
    col: Int64
    bit: Int64

    @classmethod
    def of(cls, about: Provenance) -> LeftOut:
        """Read them from what a store says of its sample."""
        marks = certain_of_space(about)
        entries: list[tuple[int, ...]] = []
        if marks is not None:
            space, sites, kinds = FaultSpace.from_json(about.fault_space), list(Site), list(FaultKind)
            for number in np.flatnonzero(marks).tolist():
                fault = space[number]
                entries += [
                    (number, sites.index(one.site), kinds.index(fault.kind), one.row, one.col, one.bit)
                    for one in fault.sites
                ]
        return cls(**dict(zip(cls.__slots__, np.array(entries, dtype=np.int64).reshape(-1, 6).T, strict=True)))

    def count(self, fixed: Mapping[str, int]) -> int:
        """Return how many have these values of the dimensions, in one of their bits."""
        if not len(self.fault):
            return 0
        chosen = np.ones(len(self.fault), dtype=bool)
        for name, value in fixed.items():
            chosen &= getattr(self, name) == value
        return len(np.unique(self.fault[chosen]))

    def by_pe(self, rows: int, cols: int) -> Int64:
        """Return how many there are at every PE, shape (rows * cols,)."""
        size = rows * cols
        places = np.unique(self.fault * size + self.row * cols + self.col) % size
        return np.bincount(places, minlength=size)


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
        self._known: dict[tuple[bytes, int], Interval] = {}
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
        certain: int = 0,
        certain_share: float,
    ) -> Interval:
        """Return the rate of a group, with an interval if one is known to hold.

        Parameters
        ----------
        shares : ndarray of float64, shape (done faults,)
            Of the images, for all faults that are done.
        places : ndarray of int64, shape (faults of the group,)
            Which of them are in the group; none only where all of its faults are certain.
        population : int or None
            How many faults the space has there; None if the list stands for itself.
        named : mapping of str to str
            What the group's faults have in common, as in ``bit`` to ``6``; all faults if empty.
        certain : int
            How many of its faults a stratified sample has left out of the strata.
        certain_share : float
            The share under every certainly masked fault.
        """
        mine = shares[places]
        if not len(places):
            return Interval(certain_share, certain_share, certain_share)
        if population is None:
            # Any of the faults that are not done may belong here.
            return listed_interval(mine, len(places) + self._open)
        if self._basis is None:
            key = mine.tobytes(), population
            if key not in self._known:
                basis = self._of_simple(population, len(places))
                self._known[key] = rate_interval(mine, basis, self._about.confidence, certain_share=certain_share)
            return self._known[key]
        chosen = self._strata_of(named)
        if chosen is None:
            weights = self.weights[places]
            rate = (float(weights @ mine) + certain * certain_share) / (float(weights.sum()) + certain)
            return Interval(rate, math.nan, math.nan)
        left_out = population - sum(self._basis.sizes[number] for number in chosen)
        basis = self._basis.of_strata(chosen, left_out)
        return rate_interval(mine, basis, self._about.confidence, certain_share=certain_share)

    def _of_simple(self, population: int, done: int) -> Basis:
        """Return the basis of a group of a simple sample.

        How many of its faults are planned must not follow from how far the campaign came, which outcomes may have
        decided: where not all are done, it is what the group's part of the space lets one expect.
        """
        planned = done
        if self._open:
            planned = max(1, round(self._about.faults * population / (self._about.space_size or population)))
        return Basis(
            stratum=np.zeros(max(done, planned), dtype=np.int64),
            sizes=(population,),
            phases=(Phase(first=0, planned=(min(planned, population),)),),
            certain=0,
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

"""From the shares of the faults that are done to a rate over the whole fault space: one call for every design."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.confidence import BETTING, betting_interval
from axft_host.campaign.designs import Sample
from axft_host.campaign.statistics import Interval
from axft_host.campaign.stratified import STRATIFIED, Phase, stratified_interval, stratified_rate
from axft_spec.errors import ConfigError

__all__ = ["CERTAIN", "Basis", "estimated_rate", "rate_interval"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: In place of a stratum: the fault is masked with certainty, and counted already.
CERTAIN = -1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Basis:
    """What the faults of a list are a sample of.

    Members
    -------
    stratum : ndarray of int64, shape (listed faults,)
        Stratum of each listed fault; `CERTAIN` for those that are masked with certainty and counted by `certain`.
    sizes : tuple of int
        How many faults each stratum has, without those that `certain` counts.
    phases : tuple of Phase
        What was planned to be drawn of them; draws are counted without the `CERTAIN` ones.
    certain : int
        How many faults of the space are masked with certainty and in no stratum.
    """

    stratum: Ints
    sizes: tuple[int, ...]
    phases: tuple[Phase, ...]
    certain: int

    @classmethod
    def simple(cls, space_size: int, certain: Sequence[bool] | NDArray[np.bool_], space_certain: int | None) -> Basis:
        """Return the basis of a simple random sample of a space.

        Given how many of them are not certain, these are a simple random sample of all faults that are not.

        Parameters
        ----------
        space_size : int
        certain : sequence of bool
            For each listed fault, also those that have not run, whether it is masked with certainty.
        space_certain : int or None
            How many of the space are; None if that is not known, and all listed faults are to be taken as drawn.
        """
        marks = np.asarray(certain, dtype=bool) & (space_certain is not None)
        size = space_size - (space_certain or 0)
        # Where it is not known yet which listed faults are certain, more seem open than there are.
        open_faults = min(int(np.count_nonzero(~marks)), size)
        return cls(
            stratum=np.where(marks, CERTAIN, 0),
            sizes=(size,),
            phases=(Phase(first=0, planned=(open_faults,)),),
            certain=space_certain or 0,
        )

    @classmethod
    def stratified(cls, sample: Sample, space_certain: int) -> Basis:
        """Return the basis of a sample that was drawn from strata.

        Parameters
        ----------
        sample : Sample
        space_certain : int
            How many faults of the space are masked with certainty and were left out of the strata; 0 if none were.
        """
        return cls(stratum=sample.stratum, sizes=sample.sizes, phases=sample.phases, certain=space_certain)

    def of_strata(self, chosen: Sequence[int], certain: int) -> Basis:
        """Return the basis of the faults of some strata alone.

        Parameters
        ----------
        chosen : sequence of int
            Numbers of the strata.
        certain : int
            How many faults masked with certainty, which are in no stratum, belong to them.
        """
        numbers = {number: place for place, number in enumerate(chosen)}
        mine = np.isin(self.stratum, list(chosen))
        drawn = mine[self.stratum != CERTAIN]
        return Basis(
            stratum=np.array([numbers[int(number)] for number in self.stratum[mine]], dtype=np.int64),
            sizes=tuple(self.sizes[number] for number in chosen),
            phases=tuple(
                Phase(
                    first=int(np.count_nonzero(drawn[: phase.first])),
                    planned=tuple(phase.planned[number] for number in chosen),
                )
                for phase in self.phases
            ),
            certain=certain,
        )

    def weights(self, done: int) -> Floats:
        """Return for each of the first `done` faults how many of its stratum it stands for; 0 for `CERTAIN` ones."""
        stratum = self.stratum[:done]
        drawn = np.bincount(stratum[stratum != CERTAIN], minlength=len(self.sizes))
        each = np.append(np.array(self.sizes) / np.maximum(drawn, 1), 0.0)
        # `CERTAIN` is the place of the last one.
        return np.asarray(each[stratum])

    @property
    def method(self) -> str:
        """Name of the method of `rate_interval`, as results state it."""
        name = STRATIFIED if self._strata else BETTING
        return f"{name}, certainly masked faults as an exact stratum" if self.certain else name

    @property
    def _strata(self) -> bool:
        return len(self.sizes) > 1 or len(self.phases) > 1

    @property
    def open_weight(self) -> float:
        """The part of the space that rates have to be estimated of: its faults that are not counted as certain."""
        return sum(self.sizes) / (sum(self.sizes) + self.certain)


def estimated_rate(shares: Floats, basis: Basis, *, certain_share: float) -> float:
    """Return a rate over the fault space without an interval; see `rate_interval` for the parameters."""
    stratum = basis.stratum[: len(shares)]
    drawn = np.asarray(shares, dtype=np.float64)[stratum != CERTAIN]
    if len(drawn) == 0:
        return certain_share
    mean = stratified_rate(drawn, stratum[stratum != CERTAIN], np.array(basis.sizes))
    return (1 - basis.open_weight) * certain_share + basis.open_weight * mean


def rate_interval(
    shares: Floats,
    basis: Basis,
    confidence: float,
    *,
    certain_share: float,
    half_width: float | None = None,
    looks: int | None = None,
) -> Interval:
    """Return a rate over the fault space with an interval that holds at any time, also at one chosen by looking.

    Parameters
    ----------
    shares : ndarray of float64, shape (done faults,)
        Share of the images that are in the class, for the first faults of the list, in its order.
    basis : Basis
    confidence : float
        As a fraction.
    certain_share : float
        The share under every certainly masked fault: 1 for masked images, 0 for tolerable and critical ones.
    half_width : float or None
        Half of the interval's width at which the campaign is to stop.
    looks : int or None
        For stratified samples, at how many numbers of faults the capital is looked at, as `stratified_interval`.

    Raises
    ------
    ConfigError
        If a share lies outside [0, 1], or there are more than listed faults.
    """
    if len(shares) > len(basis.stratum):
        raise ConfigError(f"shares must be at most those of {len(basis.stratum)} listed faults, not {len(shares)}")
    stratum = basis.stratum[: len(shares)]
    drawn = np.asarray(shares, dtype=np.float64)[stratum != CERTAIN]
    stratum = stratum[stratum != CERTAIN]
    if sum(basis.sizes) == 0:
        return Interval(certain_share, certain_share, certain_share)
    weight = basis.open_weight
    target = None if half_width is None else half_width / weight
    if len(drawn) == 0:
        # Of the faults that are not certain, nothing is known.
        part = Interval(certain_share, 0.0, 1.0)
    elif basis._strata:
        part = stratified_interval(
            drawn, stratum, basis.sizes, basis.phases, confidence, half_width=target, looks=looks
        )
    else:
        planned = basis.phases[0].planned[0]
        part = betting_interval(drawn, basis.sizes[0], planned, confidence, half_width=target)
    return part.as_part(weight, certain_share)

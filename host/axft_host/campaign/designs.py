"""Which faults to draw: from the space as a whole, or so many from each of its strata.

A stratum is drawn from without replacement by :func:`axft_spec.faults.draw_indices`, with a seed of its own that is
made of the sample's seed and the stratum's name: the same on every machine, and a longer draw begins with the shorter
one. The list takes turns between strata, so that any beginning of it holds about its share of each.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.strata import Stratum
from axft_host.campaign.stratified import Phase
from axft_spec.errors import ConfigError, check_int
from axft_spec.faults import draw_indices

__all__ = [
    "DESIGNS",
    "Sample",
    "deviations",
    "draw_sample",
    "neyman",
    "proportional",
    "simple_sample",
    "with_main_draw",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Names of the designs, as results state them.
DESIGNS = {
    "simple": "simple random sample without replacement",
    "proportional": "stratified, sizes in proportion to the strata, without replacement in each",
    "neyman": "stratified, sizes by Neyman's rule from a pilot, which is kept; without replacement in each",
}

#: Neyman's sizes are at least this part of the proportional ones. A stratum that showed nothing in the pilot is still
#: one of which little is known; an interval that covers must allow for that, and pays for every draw that it lacks.
_LEAST_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """Faults to inject, in order, and what they are a sample of.

    Members
    -------
    design : str
        One of `DESIGNS`.
    seed : int
    names : tuple of str
        Of the strata.
    sizes : tuple of int
        How many faults each stratum has to draw from; faults that are masked with certainty are not among them.
    indices : tuple of int
        Numbers of the drawn faults in the space.
    stratum : ndarray of int64, shape (draws,)
    phases : tuple of Phase
        The sizes that were planned; a second phase begins behind a pilot.
    """

    design: str
    seed: int
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    indices: tuple[int, ...]
    stratum: Ints
    phases: tuple[Phase, ...]

    @property
    def planned(self) -> int:
        """Number of draws that the last plan has in all."""
        return sum(self.phases[-1].planned)

    def to_json(self) -> dict[str, object]:
        """Return what an interval needs to know of the sample as plain JSON values; the faults are in their list."""
        return {
            "design": self.design,
            "seed": self.seed,
            "names": list(self.names),
            "sizes": list(self.sizes),
            "stratum": self.stratum.tolist(),
            "phases": [{"first": phase.first, "planned": list(phase.planned)} for phase in self.phases],
        }

    @classmethod
    def from_json(cls, value: dict[str, object], indices: Sequence[int] = ()) -> Sample:
        """Rebuild from `to_json`, without the numbers of the faults unless they are given.

        Raises
        ------
        ConfigError
            If keys are unknown or missing.
        """
        keys = {"design", "seed", "names", "sizes", "stratum", "phases"}
        if not isinstance(value, dict) or set(value) != keys:
            raise ConfigError(f"a sample must have the keys {sorted(keys)}, not {value!r}")
        known: dict[str, object] = {**value, "indices": tuple(indices)}
        known["stratum"] = np.array(known["stratum"], dtype=np.int64)
        known["names"], known["sizes"] = tuple(value["names"]), tuple(value["sizes"])  # type: ignore[arg-type]
        known["phases"] = tuple(
            Phase(first=phase["first"], planned=tuple(phase["planned"]))
            for phase in value["phases"]  # type: ignore[attr-defined]
        )
        return cls(**known)  # type: ignore[arg-type]


# --- sizes ----------------------------------------------------------------------------------------------------


def proportional(sizes: Sequence[int], total: int) -> tuple[int, ...]:
    """Return how many to draw of each stratum, in proportion to its size; at least 1 each, `total` in all.

    Raises
    ------
    ConfigError
        If there are more strata than draws, or fewer faults than draws.
    """
    return _shared(np.asarray(sizes, dtype=np.float64), [1] * len(sizes), sizes, total)


def neyman(
    sizes: Sequence[int], spread: Sequence[float], total: int, begun: Sequence[int] | None = None
) -> tuple[int, ...]:
    """Return how many to draw of each stratum, in proportion to its size times its standard deviation.

    J. Neyman, "On the two different aspects of the representative method", Journal of the Royal Statistical Society 97
    (1934). No stratum gets less than half of its proportional share: deviations from a pilot are estimates.

    Parameters
    ----------
    sizes, spread : sequence of int and of float
        Number of faults, and standard deviation, of each stratum.
    total : int
        Draws in all.
    begun : sequence of int or None
        How many were drawn in the pilot. Every stratum of which something is left gets at least one more.

    Raises
    ------
    ConfigError
        As `proportional`.
    """
    done = [0] * len(sizes) if begun is None else list(begun)
    half = [math.ceil(_LEAST_SHARE * share) for share in proportional(sizes, total)]
    begin = [min(size, first + 1) for size, first in zip(sizes, done, strict=True)]
    least = [min(size, max(part, first)) for size, part, first in zip(sizes, half, begin, strict=True)]
    if sum(least) > total:
        # Many strata for few draws: what the pilot has drawn leaves no room for halves.
        least = begin
    return _shared(np.asarray(sizes) * np.asarray(spread, dtype=np.float64), least, sizes, total)


def _shared(wanted: Floats, least: Sequence[int], most: Sequence[int], total: int) -> tuple[int, ...]:
    """Share `total` out in proportion to what is wanted, within limits; fractions by largest remainder."""
    if not sum(least) <= total <= sum(most):
        raise ConfigError(
            f"faults must be between {sum(least)} (so many each of {len(most)} strata need at least) and {sum(most)} "
            f"(all), not {total}"
        )
    low, high = np.asarray(least, dtype=np.float64), np.asarray(most, dtype=np.float64)
    weights = np.maximum(wanted, 1e-9 * max(float(wanted.max()), 1e-9))
    # The factor at which the limited shares add up to the total; their sum grows with it.
    factors = [0.0, float((high / weights).max())]
    for _ in range(200):
        middle = sum(factors) / 2
        factors[int(np.clip(weights * middle, low, high).sum() > total)] = middle
    shares = np.clip(weights * factors[0], low, high)
    counts = np.floor(shares).astype(np.int64)
    order = sorted(range(len(counts)), key=lambda number: (counts[number] - shares[number], number))
    missing = total - int(counts.sum())
    while missing > 0:
        for number in order:
            if missing > 0 and counts[number] < most[number]:
                counts[number] += 1
                missing -= 1
    return tuple(int(count) for count in counts)


def deviations(shares: Floats, stratum: Ints, strata: int) -> tuple[float, ...]:
    """Return the standard deviation of each stratum, as a pilot lets one expect it.

    Parameters
    ----------
    shares : ndarray of float64, shape (draws, classes)
        Shares of the images in each class whose rate is of interest; variances of classes are added.
    stratum : ndarray of int64, shape (draws,)
    strata : int
        How many there are.

    Returns
    -------
    tuple of float
        With one more value of variance 1/4 in each stratum, so that none that showed nothing counts as constant.
    """
    spread = []
    for number in range(strata):
        mine = shares[stratum == number]
        around = mine - mine.mean(axis=0) if len(mine) else mine
        spread.append(math.sqrt(float((around**2).sum() + 0.25) / (len(mine) + 1)))
    return tuple(spread)


# --- draws ----------------------------------------------------------------------------------------------------


def _seed_of(seed: int, name: str) -> int:
    """Return the seed of a stratum's own draw."""
    return int.from_bytes(hashlib.sha256(f"axft-hw stratum {seed} {name}".encode()).digest()[:16], "big")


def _turns(counts: Sequence[int]) -> list[int]:
    """Return strata in an order in which each is spread evenly."""
    places = [((2 * place + 1) / (2 * count), number) for number, count in enumerate(counts) for place in range(count)]
    return [number for _, number in sorted(places)]


def _list(
    strata: Sequence[Stratum], begun: Sequence[int], planned: Sequence[int], seed: int
) -> tuple[list[int], list[int]]:
    """Return the draws that lead from one number of each stratum to another: numbers in the space, and strata."""
    left = []
    for stratum, first, last in zip(strata, begun, planned, strict=True):
        places = draw_indices(stratum.size, last, _seed_of(seed, stratum.name)) if last > first else []
        left.append([stratum[place] for place in places[first:]])
    turns = _turns([len(indices) for indices in left])
    queues = [iter(indices) for indices in left]
    return [next(queues[number]) for number in turns], turns


def simple_sample(size: int, count: int, seed: int) -> Sample:
    """Draw a simple random sample: the beginning of :func:`axft_spec.faults.draw_indices`.

    Raises
    ------
    FaultError
        If `count` is not between 1 and `size`.
    """
    return Sample(
        design="simple",
        seed=seed,
        names=("all",),
        sizes=(size,),
        indices=tuple(draw_indices(size, count, seed)),
        stratum=np.zeros(count, dtype=np.int64),
        phases=(Phase(first=0, planned=(count,)),),
    )


def draw_sample(strata: Sequence[Stratum], total: int, seed: int, *, pilot: int | None = None) -> Sample:
    """Draw a stratified sample with sizes in proportion to the strata, or the pilot of one by Neyman's rule.

    Parameters
    ----------
    strata : sequence of Stratum
    total : int
        Draws in all.
    seed : int
    pilot : int or None
        Draws of the pilot, in proportion too; the sample then holds those alone until `with_main_draw`.

    Raises
    ------
    ConfigError
        If there are fewer draws than strata, or than faults.
    """
    check_int("seed", seed, 0)
    sizes = tuple(stratum.size for stratum in strata)
    planned = proportional(sizes, total)
    counts = planned
    if pilot is not None:
        check_int("faults of the pilot", pilot, len(strata), total - len(strata))
        counts = proportional(sizes, pilot)
    indices, numbers = _list(strata, [0] * len(strata), counts, seed)
    return Sample(
        design="proportional" if pilot is None else "neyman",
        seed=seed,
        names=tuple(stratum.name for stratum in strata),
        sizes=sizes,
        indices=tuple(indices),
        stratum=np.array(numbers, dtype=np.int64),
        phases=(Phase(first=0, planned=planned),),
    )


def with_main_draw(pilot: Sample, strata: Sequence[Stratum], shares: Floats) -> Sample:
    """Return a pilot and the main draw behind it, with sizes by Neyman's rule.

    The pilot's faults stay in the sample. That keeps the interval valid: each of its bets is fair given all that was
    drawn before, and how many are drawn of a stratum may depend on that.

    Parameters
    ----------
    pilot : Sample
        From `draw_sample`.
    strata : sequence of Stratum
        The same.
    shares : ndarray of float64, shape (pilot draws, classes)
        Shares of the images in each class whose rate is of interest, in the order of the pilot.

    Raises
    ------
    ConfigError
        If the sample is no pilot, or another number of faults was run.
    """
    if pilot.design != "neyman" or len(pilot.phases) != 1 or len(shares) != len(pilot.indices):
        raise ConfigError(
            f"a main draw must follow a pilot of which all {len(pilot.indices)} faults have run, not {len(shares)} "
            f"faults of a sample of design {pilot.design} with {len(pilot.phases)} phases"
        )
    begun = np.bincount(pilot.stratum, minlength=len(strata)).tolist()
    spread = deviations(shares, pilot.stratum, len(strata))
    planned = neyman(pilot.sizes, spread, pilot.planned, begun)
    indices, numbers = _list(strata, begun, planned, pilot.seed)
    return Sample(
        design=pilot.design,
        seed=pilot.seed,
        names=pilot.names,
        sizes=pilot.sizes,
        indices=(*pilot.indices, *indices),
        stratum=np.concatenate([pilot.stratum, np.array(numbers, dtype=np.int64)]),
        phases=(*pilot.phases, Phase(first=len(pilot.indices), planned=planned)),
    )

"""Configurations against each other, on the same faults: which results can be compared, and what comes of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.comparison import PairedTest, check_same_space, difference_interval, holm, sign_flip_test
from axft_host.campaign.records import FaultRow, Golden, Provenance
from axft_host.campaign.sequential import CLASSES
from axft_host.campaign.statistics import Interval
from axft_host.campaign.store import STORE_NAME, ResultStore
from axft_spec.errors import ConfigError, unknown_name
from axft_spec.faults import FaultSpace
from axft_spec.flipflops import FLIP_FLOP_PREFIX

__all__ = ["Contrast", "contrasts"]

# What two results must have in common to be compared, and what it is called.
_SAME = {
    "network_name": "network",
    "network_source_digest": "content of the network",
    "dataset_digest": "content of the images",
    "lowering": "lowering",
    "score": "score",
    "fault_seed": "seed of the draw",
}

#: Random combinations of signs; more for many comparisons, so that corrected p-values can be as small as 0.001.
_DRAWS = 9_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Contrast:
    """Two results on the same faults.

    Members
    -------
    a, b : str
        Their directories.
    name_a, name_b : str
        Their configurations.
    lowering : str
    outcome : str
        The class that is compared.
    test : PairedTest
    corrected : float
        The test's p-value, corrected for all comparisons made at once (Holm).
    interval : Interval
        Of the difference of the rates, at `confidence`; each on its own.
    confidence : float
    """

    a: str
    b: str
    name_a: str
    name_b: str
    lowering: str
    outcome: str
    test: PairedTest
    corrected: float
    interval: Interval
    confidence: float

    @property
    def difference(self) -> float:
        """Mean over the faults of A's rate less B's, a fraction."""
        return self.test.difference

    @property
    def p_value(self) -> float:
        """Of the hypothesis that under every fault it makes no difference which of the two it meets."""
        return self.test.p_value

    def to_json(self) -> dict[str, Any]:
        """Return the members as plain JSON values."""
        return {
            "a": self.a,
            "b": self.b,
            "config_a": self.name_a,
            "config_b": self.name_b,
            "lowering": self.lowering,
            "outcome": self.outcome,
            "difference": self.difference,
            "low": self.interval.low,
            "high": self.interval.high,
            "confidence": self.confidence,
            "p_value": self.p_value,
            "p_value_corrected": self.corrected,
            "faults": self.test.faults,
            "differing_faults": self.test.differing,
            "method": self.test.method,
        }


def name_of(path: Path) -> str:
    """Return what tells a result from others: the name of its directory, unless its file has one of its own."""
    return path.parent.name if path.name == STORE_NAME else path.name


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Result:
    path: Path
    about: Provenance
    golden: Golden
    rows: list[FaultRow]

    @classmethod
    def read(cls, path: Path) -> _Result:
        with ResultStore.open(path) as store:
            return cls(path=path, about=store.provenance(), golden=store.golden(), rows=list(store.rows()))

    @property
    def name(self) -> str:
        """What tells it from the others."""
        return name_of(self.path)

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes it the configuration that it is: the array, and how the network became integers."""
        about = self.about
        return about.config_digest, about.rounding, about.compensated, about.network_digest

    def shares(self, outcome: str, count: int) -> NDArray[np.float64]:
        """Return the share of the images in a class, for the first faults of the list."""
        return np.array([getattr(row, outcome) for row in self.rows[:count]]) / len(self.golden.labels)

    @property
    def space(self) -> FaultSpace:
        assert self.about.fault_space is not None, "the others were refused"
        return FaultSpace.from_json(self.about.fault_space)


def contrasts(results: Sequence[Path], outcome: str = "critical") -> tuple[list[Contrast], list[str]]:
    """Compare every two configurations that met the same faults, once; p-values are corrected for all comparisons.

    Of several results of a configuration, those two are taken that have most faults in common.

    Parameters
    ----------
    results : sequence of Path
        Stores, or their directories; such as those of a campaign.
    outcome : str
        ``masked``, ``tolerable`` or ``critical``.

    Returns
    -------
    (list of Contrast, list of str)
        The comparisons, and for every two results that cannot be compared, why not; results of one configuration are
        not mentioned.

    Raises
    ------
    ConfigError
        If no two can be compared, or the class is unknown.
    """
    if outcome not in CLASSES:
        raise ConfigError(unknown_name("class of outcomes", outcome, CLASSES))
    if len(results) < 2:
        raise ConfigError(f"results to compare must be two or more, not {len(results)}")
    read = [_Result.read(path) for path in results]
    best: dict[tuple[object, ...], tuple[_Result, _Result]] = {}
    reasons = []
    # In the order in which configurations come first, so that the sign of a difference has one meaning.
    order = {identity: place for place, identity in enumerate(dict.fromkeys(one.identity for one in read))}
    for two in combinations(read, 2):
        a, b = sorted(two, key=lambda one: order[one.identity])
        if a.identity == b.identity:
            continue
        try:
            _check(a, b)
        except ConfigError as error:
            reasons.append(f"{a.name} and {b.name}: {error}")
            continue
        pair = (a.identity, b.identity, a.about.lowering, a.about.score)
        if pair not in best or _common(*best[pair]) < _common(a, b):
            best[pair] = a, b
    if not best:
        raise ConfigError(reasons[-1] if reasons else "results to compare must be of two configurations, not of one")
    draws = max(_DRAWS, 1000 * len(best))
    made = [_one(a, b, outcome, draws) for a, b in best.values()]
    corrected = holm([one.test.p_value for one in made])
    return [replace(one, corrected=value) for one, value in zip(made, corrected, strict=True)], reasons


def _common(a: _Result, b: _Result) -> int:
    """Return how many faults both have run."""
    return min(len(a.rows), len(b.rows))


def _one(a: _Result, b: _Result, outcome: str, draws: int) -> Contrast:
    count = _common(a, b)
    shares = a.shares(outcome, count), b.shares(outcome, count)
    test = sign_flip_test(*shares, draws=draws)
    confidence = max(a.about.confidence, b.about.confidence)
    planned = min(a.about.faults, b.about.faults)
    return Contrast(
        a=str(a.path),
        b=str(b.path),
        name_a=a.about.config_name,
        name_b=b.about.config_name,
        lowering=a.about.lowering,
        outcome=outcome,
        test=test,
        corrected=test.p_value,
        interval=difference_interval(*shares, a.space.size, planned, confidence),
        confidence=confidence,
    )


def _check(a: _Result, b: _Result) -> None:
    """Refuse two results whose difference would not be the configurations'."""
    for one in (a, b):
        if one.about.site.startswith(FLIP_FLOP_PREFIX):
            raise ConfigError(f"faults in flip-flops are of one device, and {one.path} has them; they have no peer")
        if one.about.sampling is not None and one.about.sampling["design"] != "simple":
            raise ConfigError(
                f"configurations can be compared on simple samples, not on the design {one.about.sampling['design']!r} "
                f"of {one.path}: its strata are its own"
            )
        if one.about.stopping is not None:
            raise ConfigError(
                f"configurations can be compared at a number of faults that was set beforehand, and {one.path} stopped "
                f"by a rule; run both without one"
            )
    spaces = [None if one.about.fault_space is None else one.space for one in (a, b)]
    check_same_space(*spaces)
    if len(a.golden.labels) != len(b.golden.labels):
        raise ConfigError(
            f"configurations can be compared only on the same images, not on {len(a.golden.labels)} and "
            f"{len(b.golden.labels)}; run both with the same --images"
        )
    for member, what in _SAME.items():
        mine, other = getattr(a.about, member), getattr(b.about, member)
        if mine != other:
            raise ConfigError(
                f"configurations can be compared only with the same {what}, not with {mine} and {other}; run both alike"
            )
    count = _common(a, b)
    if not count or [row.fault for row in a.rows[:count]] != [row.fault for row in b.rows[:count]]:
        raise ConfigError(
            "configurations can be compared only on the same faults, and these lists differ; run both with one list"
        )

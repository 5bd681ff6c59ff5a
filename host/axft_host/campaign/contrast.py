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
from axft_host.campaign.store import ResultStore
from axft_spec.errors import ConfigError, unknown_name
from axft_spec.faults import FaultSpace
from axft_spec.flipflops import FLIP_FLOP_PREFIX

__all__ = ["Contrast", "contrast", "contrasts"]

# What two results must have in common to be compared, and what it is called.
_SAME = {
    "lowering": "lowering",
    "score": "score",
    "dataset_digest": "images",
    "kind": "fault kind",
    "fault_seed": "seed of the draw",
}


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

    def to_json(self) -> dict[str, Any]:
        """Return the members as plain JSON values."""
        return {
            "a": self.a,
            "b": self.b,
            "config_a": self.name_a,
            "config_b": self.name_b,
            "lowering": self.lowering,
            "outcome": self.outcome,
            "difference": self.test.difference,
            "low": self.interval.low,
            "high": self.interval.high,
            "confidence": self.confidence,
            "p_value": self.test.p_value,
            "p_value_corrected": self.corrected,
            "faults": self.test.faults,
            "differing_faults": self.test.differing,
            "method": self.test.method,
        }


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

    def shares(self, outcome: str, count: int) -> NDArray[np.float64]:
        """Return the share of the images in a class, for the first faults of the list."""
        return np.array([getattr(row, outcome) for row in self.rows[:count]]) / len(self.golden.labels)

    @property
    def space(self) -> FaultSpace:
        assert self.about.fault_space is not None, "the others were refused"
        return FaultSpace.from_json(self.about.fault_space)


def contrasts(results: Sequence[Path], outcome: str = "critical") -> list[Contrast]:
    """Compare every two of several results that can be compared; p-values are corrected for all of them.

    Parameters
    ----------
    results : sequence of Path
        Stores, or their directories; such as those of a campaign.
    outcome : str
        ``masked``, ``tolerable`` or ``critical``.

    Raises
    ------
    ConfigError
        If no two can be compared; the message says why for the last two.
    """
    if len(results) < 2:
        raise ConfigError(f"results to compare must be two or more, not {len(results)}")
    read = [_Result.read(path) for path in results]
    found, reason = [], ""
    for a, b in combinations(read, 2):
        try:
            found.append(_one(a, b, outcome))
        except ConfigError as error:
            reason = f"{a.path.name} and {b.path.name}: {error}"
    if not found:
        raise ConfigError(reason)
    return _corrected(found)


def contrast(a: Path, b: Path, outcome: str = "critical") -> Contrast:
    """Compare two results; see `contrasts`.

    Raises
    ------
    ConfigError
        If they cannot be compared; the message says why.
    """
    return _one(_Result.read(a), _Result.read(b), outcome)


def _corrected(found: Sequence[Contrast]) -> list[Contrast]:
    corrected = holm([one.test.p_value for one in found])
    return [replace(one, corrected=value) for one, value in zip(found, corrected, strict=True)]


def _one(a: _Result, b: _Result, outcome: str) -> Contrast:
    if outcome not in CLASSES:
        raise ConfigError(unknown_name("class of outcomes", outcome, CLASSES))
    _check(a, b)
    count = min(len(a.rows), len(b.rows))
    if [row.fault for row in a.rows[:count]] != [row.fault for row in b.rows[:count]] or not count:
        raise ConfigError(
            "configurations can be compared only on the same faults, and these lists differ; run both with one list"
        )
    test = sign_flip_test(a.shares(outcome, count), b.shares(outcome, count))
    planned = min(a.about.faults, b.about.faults)
    interval = difference_interval(
        a.shares(outcome, count), b.shares(outcome, count), a.space.size, planned, a.about.confidence
    )
    return Contrast(
        a=str(a.path),
        b=str(b.path),
        name_a=a.about.config_name,
        name_b=b.about.config_name,
        lowering=a.about.lowering,
        outcome=outcome,
        test=test,
        corrected=test.p_value,
        interval=interval,
        confidence=a.about.confidence,
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
    spaces = [None if one.about.fault_space is None else one.space for one in (a, b)]
    check_same_space(*spaces)
    for member, what in _SAME.items():
        mine, other = getattr(a.about, member), getattr(b.about, member)
        if mine != other:
            raise ConfigError(
                f"configurations can be compared only with the same {what}, not with {mine} and {other}; run both alike"
            )
    if a.golden.labels.tolist() != b.golden.labels.tolist():
        raise ConfigError(
            f"configurations can be compared only on the same images, not on {len(a.golden.labels)} and "
            f"{len(b.golden.labels)}; run both with the same --images"
        )

"""Compares configurations on the same faults: a sign-flip test over faults, corrected for several comparisons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.confidence import betting_interval
from axft_host.campaign.statistics import Interval
from axft_spec.errors import ConfigError, check_int
from axft_spec.faults import FaultSpace, Site, site_bits

__all__ = ["SIGN_FLIP", "PairedTest", "check_same_space", "difference_interval", "holm", "sign_flip_test"]

Floats = NDArray[np.float64]

#: Name of the method, as results state it.
SIGN_FLIP = "sign-flip permutation test over faults, two-sided"

#: Differences up to this number are tried in all combinations of signs.
_EXACT = 18

#: Random combinations otherwise, and how many at once.
_DRAWS, _CHUNK = 9_999, 500


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedTest:
    """The result of one comparison.

    Members
    -------
    difference : float
        Mean of a - b over the faults.
    p_value : float
        Of the hypothesis that the two are exchangeable under every fault.
    faults, differing : int
        How many were compared; under how many the two differ.
    combinations : int
        Of signs that were tried; all there are if `exact`.
    exact : bool
    """

    difference: float
    p_value: float
    faults: int
    differing: int
    combinations: int
    exact: bool

    @property
    def method(self) -> str:
        """Name of the method, as results state it."""
        return f"{SIGN_FLIP}, {'all' if self.exact else self.combinations} combinations"


def check_same_space(a: FaultSpace | None, b: FaultSpace | None) -> None:
    """Check that two samples were drawn from the same faults.

    The multiplier and the operand order may differ; sites, kinds, bits, PEs and cycles may not.

    Raises
    ------
    ConfigError
        If the spaces differ, saying in what, or one list was not drawn from a space.
    """
    if a is None or b is None:
        raise ConfigError(
            "configurations can be compared only on faults drawn from a space, not on a list made by hand, which "
            "stands for itself alone"
        )

    def both(what: str, of_a: object, of_b: object) -> None:
        if of_a != of_b:
            raise ConfigError(
                f"configurations can be compared only on the same fault space, not on {what} {of_a} and {of_b}; run "
                "both with the same fault list"
            )

    def bits(space: FaultSpace) -> dict[str, str]:
        ranges: dict[Site, range] = {site: site_bits(space.config, site) for site in space.sites}
        return {site.value: f"{held.start} to {held.stop - 1}" for site, held in ranges.items()}

    both("an array of", f"{a.config.rows}x{a.config.cols}", f"{b.config.rows}x{b.config.cols}")
    both("sites", [site.value for site in a.sites], [site.value for site in b.sites])
    both("kinds", [kind.value for kind in a.kinds], [kind.value for kind in b.kinds])
    both("bits", bits(a), bits(b))
    both("a schedule of", _schedule(a), _schedule(b))
    both("a size of", a.size, b.size)
    kept = {"config", "schedule"}
    for key in sorted((a.to_json().keys() | b.to_json().keys()) - kept):
        both(key, a.to_json().get(key), b.to_json().get(key))


def _schedule(space: FaultSpace) -> object:
    return "no cycles (permanent faults)" if space.schedule is None else space.schedule.to_json()


def sign_flip_test(a: Floats, b: Floats, *, draws: int = _DRAWS, seed: int = 0) -> PairedTest:
    """Test whether two configurations have the same rate, on the same faults in the same order.

    If it makes no difference to any fault which of the two it meets, the difference under each is as likely to have the
    other sign. The images of one fault stay together, so that their dependence does no harm.

    Parameters
    ----------
    a, b : ndarray of float64, shape (faults,)
        Shares of the images in the class.
    draws : int
        Random combinations of signs if there are too many to try all; the p-value then is ``(k + 1) / (draws + 1)`` (B.
        Phipson, G. K. Smyth, "Permutation p-values should never be zero", Statistical Applications in Genetics and
        Molecular Biology 9, 2010), which keeps the test's level.
    seed : int
        Of those.

    Raises
    ------
    ConfigError
        If the numbers of faults differ, or there are none.
    """
    if a.shape != b.shape or a.ndim != 1 or not len(a):
        raise ConfigError(f"both configurations must have the same faults, one or more, not {len(a)} and {len(b)}")
    check_int("draws", draws, 1)
    # Shares are multiples of one over the images; what differs by rounding alone does not differ.
    raw = np.where(np.abs(a - b) < 1e-12, 0.0, a - b)
    terms = raw / len(a)
    difference = float(terms.sum())
    sizes = np.abs(terms[terms != 0])
    # Sums in another order round differently; those that tie with the observed one count.
    limit = abs(difference) - 1e-12 * max(1.0, float(sizes.sum()))
    if len(sizes) <= _EXACT:
        sums = np.zeros(1)
        for size in sizes:
            sums = np.concatenate([sums + size, sums - size])
        p_value, tried = float(np.mean(np.abs(sums) >= limit)), len(sums)
    else:
        hits = _random_hits(sizes, limit, draws, seed)
        p_value, tried = (hits + 1) / (draws + 1), draws
    return PairedTest(
        difference=difference,
        p_value=p_value,
        faults=len(a),
        differing=len(sizes),
        combinations=tried,
        exact=len(sizes) <= _EXACT,
    )


def _random_hits(sizes: Floats, limit: float, draws: int, seed: int) -> int:
    """Return how many random combinations of signs give a sum that lies as far out; from raw PCG64 output."""
    generator = np.random.PCG64(seed)
    words = -(-len(sizes) // 64)
    hits = 0
    for start in range(0, draws, _CHUNK):
        count = min(_CHUNK, draws - start)
        raw = np.asarray(generator.random_raw(count * words), dtype="<u8").reshape(count, words)
        bits = np.unpackbits(raw.view(np.uint8), axis=1)[:, : len(sizes)]
        # One fixed order of additions: a sum must not depend on the machine's BLAS.
        sums = (np.where(bits, sizes, -sizes)).sum(axis=1)
        hits += int(np.count_nonzero(np.abs(sums) >= limit))
    return hits


def difference_interval(a: Floats, b: Floats, population: int, planned: int, confidence: float) -> Interval:
    """Return an interval of the difference of two rates over a fault space, from the same simple random sample.

    The default interval of ``(1 + a - b) / 2``, which lies in [0, 1], turned back: it holds with its confidence at any
    time, whatever the differences. (Exchangeability, which the test is about, is more than equal rates.)

    Parameters
    ----------
    a, b : ndarray of float64, shape (faults,)
        Shares of the images in the class, in the order of the list.
    population, planned, confidence
        As for :func:`~axft_host.campaign.confidence.betting_interval`.
    """
    made = betting_interval((1 + np.asarray(a) - np.asarray(b)) / 2, population, planned, confidence)
    return Interval(*(2 * end - 1 for end in (made.rate, made.low, made.high)))


def holm(p_values: Mapping[str, float] | Sequence[float]) -> list[float]:
    """Return p-values corrected for several comparisons, in the order given.

    S. Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6 (1979). The
    family-wise error stays below a level if those are called different whose corrected p-value is at most that level.
    """
    values = np.array(list(p_values.values() if isinstance(p_values, Mapping) else p_values), dtype=np.float64)
    order = np.argsort(values, kind="stable")
    corrected = np.empty_like(values)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate((len(values) - np.arange(len(values))) * values[order]))
    return [float(value) for value in corrected]

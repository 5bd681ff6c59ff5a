"""Rates for images that did not run: the target ``population``.

Every fault ran on every image, so that faults and images are crossed, and a rate varies with both. The images are
taken as a simple random sample of endlessly many; the faults were drawn from their space without replacement. The
variance is that of the crossed analysis of variance (J. Cornfield, J. W. Tukey, "Average values of mean squares in
factorials", Annals of Mathematical Statistics 27, 1956), which for fault spaces without limit is that of two-way
clustering (A. C. Cameron, J. B. Gelbach, D. L. Miller, "Robust inference with multiway clustering", Journal of Business
and Economic Statistics 29, 2011).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.effective import t_quantile, wilson_interval
from axft_host.campaign.statistics import Interval
from axft_host.campaign.stratified import stratified_rate
from axft_spec.errors import ConfigError

__all__ = ["TWO_WAY", "TwoWay", "population_interval", "two_way"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Name of the method, as results state it.
TWO_WAY = (
    "two-way (fault x image) variance, finite in the faults, images as a random sample; Wilson's form with Student's "
    "t; approximate, and no narrower than for the images that ran"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TwoWay:
    """A rate over faults and images, and what its variance is made of.

    Members
    -------
    rate : float
    fault_variance, image_variance : float
        The parts that come from which faults were drawn, and from which images; their sum is the rate's variance.
    faults, images : int
        How many ran.
    freedom : float
        Degrees of freedom of the sum (F. E. Satterthwaite, "An approximate distribution of estimates of variance
        components", Biometrics Bulletin 2, 1946).
    """

    rate: float
    fault_variance: float
    image_variance: float
    faults: int
    images: int
    freedom: float

    @property
    def variance(self) -> float:
        """Of the rate."""
        return self.fault_variance + self.image_variance


def two_way(hits: NDArray[np.bool_] | Floats, stratum: Ints, sizes: Sequence[int]) -> TwoWay:
    """Estimate a mean over a fault space and endlessly many images, and its variance.

    Parameters
    ----------
    hits : ndarray of bool or float64, shape (draws, images)
        Whether each pair is in the class.
    stratum : ndarray of int64, shape (draws,)
        All 0 for a simple random sample.
    sizes : sequence of int
        Of the strata.

    Raises
    ------
    ConfigError
        If there are fewer than two images, or fewer than two draws of a stratum that has more faults.

    Notes
    -----
    Given the images, the rate varies by the draw of faults: ``sum W_h^2 (1 - n_h / N_h) s_h^2 / n_h`` with s_h^2 the
    variance of the faults' shares. What remains is the variance of the images' own rates over the whole space. The
    observed rates of images vary more, by the draw of faults within each image; the mean square of the interaction
    says how much, and is taken off. A difference below 0 counts as 0.
    """
    values = np.asarray(hits)
    populations = np.asarray(sizes, dtype=np.int64)
    images = values.shape[1]
    if images < 2:
        raise ConfigError(f"images must be at least 2 for the target population, not {images}")
    weights = populations / populations.sum()
    by_image = np.zeros(images)
    fault_part = interaction_part = 0.0
    freedom = 0
    for number, size in enumerate(populations):
        mine = values[stratum == number]
        count = len(mine)
        if count < min(2, size):
            raise ConfigError(
                f"faults of each stratum must be at least 2 for the target population, not {count}; draw more, or make "
                "fewer strata; allowed for this result: target listed"
            )
        by_image += weights[number] * mine.mean(axis=0)
        if count == size:
            continue
        factor = weights[number] ** 2 * (1 - count / size) / count
        shares = mine.mean(axis=1)
        fault_part += factor * float(shares.var(ddof=1))
        # The sum of squares of what neither the fault nor the image explains, without a table as large as the pairs.
        squares = float(np.square(mine, dtype=np.float64).sum() if mine.dtype != bool else np.count_nonzero(mine))
        explained = images * float((shares**2).sum()) + count * float((mine.mean(axis=0) ** 2).sum())
        crossed = max(0.0, squares - explained + count * images * float(shares.mean()) ** 2)
        interaction_part += factor * crossed / ((count - 1) * (images - 1))
        freedom += count - 1
    image_part = max(0.0, (float(by_image.var(ddof=1)) - interaction_part) / images)
    total = fault_part + image_part
    parts = (fault_part**2 / freedom if freedom else 0.0) + image_part**2 / (images - 1)
    return TwoWay(
        rate=float(stratified_rate(values.mean(axis=1), stratum, populations)),
        fault_variance=float(fault_part),
        image_variance=image_part,
        faults=len(values),
        images=images,
        freedom=float(total**2 / parts if parts > 0 else min(freedom or images - 1, images - 1)),
    )


def population_interval(
    hits: NDArray[np.bool_] | Floats,
    stratum: Ints,
    sizes: Sequence[int],
    confidence: float,
    *,
    certain: int = 0,
    certain_share: float = 0.0,
) -> Interval:
    """Return a rate over the fault space and endlessly many images, with an approximate interval.

    Parameters
    ----------
    hits, stratum, sizes
        As for `two_way`: drawn faults that are not masked with certainty.
    confidence : float
        As a fraction.
    certain : int
        How many faults of the space are masked with certainty, on any image, and in no stratum.
    certain_share : float
        1 for masked images, 0 for tolerable and critical ones.

    Notes
    -----
    Wilson's interval of as many independent pairs as would vary as much, with the quantile of Student's t. Where no
    variance was seen, the smaller number, of faults or of images, is the count.
    """
    result = two_way(hits, stratum, sizes)
    count = float(min(result.faults, result.images))
    # Equal shares differ by rounding at most.
    if result.variance > 1e-20:
        count = result.rate * (1 - result.rate) / result.variance
    part = wilson_interval(result.rate, count, confidence, quantile=t_quantile(confidence, result.freedom))
    weight = sum(sizes) / (sum(sizes) + certain)
    return part.as_part(weight, certain_share)

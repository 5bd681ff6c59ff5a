"""Two-way variance against direct simulation and complete enumeration."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from axft_host.campaign.twoway import population_interval, two_way
from axft_spec.errors import ConfigError


def outcomes(faults: np.ndarray, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return whether each pair is hit: a fault's strength, an image's weakness, and chance."""
    strength = 1 / (1 + np.exp(-(faults[:, None] + images[None, :])))
    return rng.random(strength.shape) < strength


@pytest.mark.parametrize(
    ("faults", "images", "space", "spread"),
    [(40, 30, 80, (1.5, 1.5)), (60, 10, 61, (2.0, 0.7)), (15, 80, 10_000, (0.3, 1.5)), (30, 30, 60, (0.0, 0.0))],
)
def test_variance_is_that_of_repeated_campaigns(
    faults: int, images: int, space: int, spread: tuple[float, float]
) -> None:
    """One fault space, new draws of faults and of images: estimated variances average to what the rates vary by."""
    rng = np.random.default_rng([faults, images])
    population = rng.normal(-1, spread[0], space)
    rates, variances = [], []
    for _ in range(3000):
        drawn = rng.choice(population, faults, replace=False)
        # Chance belongs to the pair: which images a fault hits is fixed for the space, so it is drawn for all faults.
        weakness = rng.normal(0, spread[1], images)
        result = two_way(outcomes(drawn, weakness, rng), np.zeros(faults, np.int64), [space])
        rates.append(result.rate)
        variances.append(result.variance)
    # Pairs of undrawn faults do not exist here: their chance would lower the variance by the part that was drawn.
    assert np.mean(variances) == pytest.approx(np.var(rates, ddof=1), rel=0.25 if faults / space > 0.4 else 0.12)


def test_variance_is_unbiased_over_all_draws_of_a_fixed_table() -> None:
    """Every sample of faults without replacement, with images as draws with replacement: exact expectations."""
    rng = np.random.default_rng(3)
    table = (rng.random((6, 4)) < rng.random((6, 1)) * 0.6 + 0.4 * rng.random((1, 4))).astype(np.float64)
    rates, variances = [], []
    for drawn in itertools.combinations(range(6), 4):
        for images in itertools.product(range(4), repeat=3):
            part = table[np.ix_(drawn, images)]
            result = two_way(part, np.zeros(4, np.int64), [6])
            # The part below 0 that `two_way` cuts off would be needed for an unbiased mean.
            shares = part.mean(axis=1)
            crossed = part - shares[:, None] - part.mean(axis=0) + part.mean()
            fault = (1 - 4 / 6) * shares.var(ddof=1) / 4
            interaction = (1 - 4 / 6) * (crossed**2).sum() / (3 * 2) / 4
            uncut = fault + (part.mean(axis=0).var(ddof=1) - interaction) / 3
            assert result.variance >= uncut - 1e-12
            assert result.fault_variance == pytest.approx(fault)
            rates.append(result.rate)
            variances.append(uncut)
    assert np.mean(rates) == pytest.approx(table.mean())
    assert np.mean(variances) == pytest.approx(np.var(rates), rel=1e-9)


def test_interval_holds_the_rate_of_new_images_about_as_often_as_stated() -> None:
    """Faults of a space of 300, images of endlessly many: 500 campaigns; intervals of the listed images would not."""
    rng = np.random.default_rng(11)
    population, truth = rng.normal(-1, 1.2, 300), []
    for image in rng.normal(0, 1.2, 4000):
        truth.append((1 / (1 + np.exp(-(population + image)))).mean())
    rate = float(np.mean(truth))
    held = held_listed = 0
    for _ in range(500):
        hit = outcomes(rng.choice(population, 80, replace=False), rng.normal(0, 1.2, 25), rng)
        made = population_interval(hit, np.zeros(80, np.int64), [300], 0.95)
        held += made.low <= rate <= made.high
        spread = 1.96 * hit.mean(axis=1).std(ddof=1) * np.sqrt((1 - 80 / 300) / 80)
        held_listed += abs(hit.mean() - rate) <= spread
    assert held / 500 >= 0.93
    assert held_listed / 500 < 0.85


def test_exhaustive_faults_leave_the_images_and_identical_images_leave_the_faults() -> None:
    """Each part alone is the usual variance of a mean."""
    rng = np.random.default_rng(5)
    table = (rng.random((20, 12)) < 0.4).astype(np.float64)
    whole = two_way(table, np.zeros(20, np.int64), [20])
    assert whole.fault_variance == 0
    assert whole.variance == pytest.approx(table.mean(axis=0).var(ddof=1) / 12)
    same = np.repeat(table[:, :1], 12, axis=1)
    faults = two_way(same, np.zeros(20, np.int64), [500])
    assert faults.image_variance == 0
    assert faults.variance == pytest.approx((1 - 20 / 500) * same[:, 0].var(ddof=1) / 20)


def test_strata_and_certain_faults_scale_the_parts() -> None:
    """Two strata of equal weight that are copies of one another halve the faults' part; certain ones shrink it all."""
    rng = np.random.default_rng(6)
    table = (rng.random((30, 15)) < rng.random((30, 1))).astype(np.float64)
    one = two_way(table, np.zeros(30, np.int64), [600])
    two = two_way(np.vstack([table, table]), np.repeat([0, 1], 30), [600, 600])
    assert two.fault_variance == pytest.approx(one.fault_variance / 2)
    alone = population_interval(table, np.zeros(30, np.int64), [600], 0.95)
    with_certain = population_interval(table, np.zeros(30, np.int64), [600], 0.95, certain=600)
    assert (with_certain.low, with_certain.high) == pytest.approx((alone.low / 2, alone.high / 2))


def test_no_hit_at_all_leaves_what_the_fewer_of_faults_and_images_leave() -> None:
    """Not what their product would."""
    made = population_interval(np.zeros((100, 20)), np.zeros(100, np.int64), [5000], 0.95)
    assert made.low == made.rate == 0
    assert 0.1 < made.high < 0.25


def test_too_little_to_tell_a_variance_is_refused() -> None:
    """One image, or one fault of a stratum."""
    with pytest.raises(ConfigError, match="images must be at least 2 for the target population, not 1"):
        two_way(np.zeros((5, 1)), np.zeros(5, np.int64), [10])
    with pytest.raises(ConfigError, match=r"faults of each stratum must be at least 2 .* not 1"):
        two_way(np.zeros((3, 4)), np.array([0, 0, 1]), [10, 10])

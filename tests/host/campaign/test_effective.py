"""Comparison intervals against published ones, scipy, and the variances of whole populations."""

from __future__ import annotations

import math

import numpy as np
import pytest

from axft_host.campaign.effective import (
    clopper_pearson_interval,
    effective_count,
    incomplete_beta,
    t_quantile,
    wilson_interval,
)

# R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I.
WILSON = [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)]
CLOPPER_PEARSON = [(81, 263, 0.2527, 0.3676), (15, 148, 0.0578, 0.1617), (0, 20, 0.0, 0.1684), (1, 29, 0.0009, 0.1776)]


@pytest.mark.parametrize(("hits", "size", "low", "high"), WILSON)
def test_wilson_meets_published_intervals(hits: int, size: int, low: float, high: float) -> None:
    """Method 3 of the table, to four digits."""
    made = wilson_interval(hits / size, size, 0.95)
    assert (round(made.low, 4), round(made.high, 4)) == (low, high)


@pytest.mark.parametrize(("hits", "size", "low", "high"), CLOPPER_PEARSON)
def test_clopper_pearson_meets_published_intervals(hits: int, size: int, low: float, high: float) -> None:
    """Method 5 of the table, to four digits."""
    made = clopper_pearson_interval(hits / size, size, 0.95)
    assert (round(made.low, 4), round(made.high, 4)) == (low, high)


def test_incomplete_beta_and_t_agree_with_scipy() -> None:
    """Over six decades of parameters."""
    special = pytest.importorskip("scipy.special", reason="scipy is not installed")
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    rng = np.random.default_rng(0)
    for _ in range(500):
        a, b = 10 ** rng.uniform(-1.5, 4, 2)
        x = rng.beta(a, b)
        assert incomplete_beta(x, a, b) == pytest.approx(special.betainc(a, b, x), abs=1e-9)
    for freedom in (1, 2, 3.7, 30, 2000):
        assert t_quantile(0.95, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-8)
    assert t_quantile(0.95, math.inf) == pytest.approx(1.959964, abs=1e-6)


def test_effective_count_of_hits_is_their_number_times_what_is_left() -> None:
    """0s and 1s without replacement: (n - 1) / (1 - n / N), the divisor of the unbiased variance."""
    values = np.array([0.0, 1.0] * 50)
    rate, count = effective_count(values, np.zeros(100, np.int64), [400])
    assert rate == 0.5
    assert count == pytest.approx(99 / (1 - 100 / 400))


def test_effective_count_of_equal_shares_is_the_number_of_clusters() -> None:
    """No variance was seen; none is no proof of none."""
    for share in (0.0, 0.3, 1.0):
        assert effective_count(np.full(60, share), np.zeros(60, np.int64), [5000]) == (pytest.approx(share), 60.0)


def test_images_of_one_fault_do_not_add_to_the_count() -> None:
    """Shares that vary less than hits count more, by the design effect."""
    values = np.array([0.4, 0.6] * 50)
    _, count = effective_count(values, np.zeros(100, np.int64), [10**9])
    # Variance 0.01 in place of 0.25.
    assert count == pytest.approx(25 * 99, rel=1e-6)


def test_stratified_count_takes_the_variance_within_strata() -> None:
    """Two strata, constant but different: no variance is left, so clusters are the count."""
    stratum = np.repeat([0, 1], 20)
    rate, count = effective_count(np.repeat([0.0, 1.0], 20), stratum, [100, 300])
    assert rate == 0.75
    assert count == 40


def test_exhaustive_sample_has_no_width() -> None:
    """Infinitely many."""
    rate, count = effective_count(np.array([0.0, 1.0]), np.zeros(2, np.int64), [2])
    assert math.isinf(count)
    for make in (wilson_interval, clopper_pearson_interval):
        made = make(rate, count, 0.95)
        assert made.low == made.rate == made.high == 0.5

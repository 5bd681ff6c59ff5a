"""Sample sizes and intervals against published figures, worked examples and simulation."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from axft_host.campaign.statistics import (
    Interval,
    check_confidence,
    check_margin,
    exact_interval,
    listed_interval,
    sample_size,
)
from axft_spec.errors import ConfigError

# --- sample size --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("population", "margin", "confidence", "expected"),
    [
        (10**9, 0.02, 0.95, 2401),  # the usual 2,401 of an infinite population
        (10**9, 0.01, 0.99, 16587),  # 16,587.24, less 0.28 for a finite population
        (12544, 0.01, 0.99, 7143),  # 57% of the space of 8 bits on 28 x 28
        (25088, 0.01, 0.99, 9986),  # 40% of that of 16 bits
        (1, 0.05, 0.95, 1),
        (10, 0.001, 0.999, 10),
    ],
)
def test_sample_size_meets_worked_examples(population: int, margin: float, confidence: float, expected: int) -> None:
    """N = N / (1 + e^2 (N - 1) / (t^2 p (1 - p))), rounded up."""
    assert sample_size(population, margin, confidence) == expected


def test_percentages_are_told_from_fractions() -> None:
    """The message says what to write."""
    with pytest.raises(ConfigError, match=r"^confidence must be a fraction above 0.5 and below 1, not 95; write 0.95 "):
        check_confidence(95)
    with pytest.raises(ConfigError, match=r"^margin must be a fraction above 0 and below 0.5, not 2; write 0.02 "):
        check_margin(2)


@pytest.mark.parametrize("value", [0.5, 1.0, 0.0, -1.0, math.nan, math.inf])
def test_confidence_outside_its_range_is_refused(value: float) -> None:
    """Also what is no number."""
    with pytest.raises(ConfigError, match="confidence must be a fraction"):
        check_confidence(value)


@pytest.mark.parametrize("value", [0.0, -0.1, math.nan])
def test_margin_outside_its_range_is_refused(value: float) -> None:
    """Also what is no number."""
    with pytest.raises(ConfigError, match="margin must be a fraction"):
        check_margin(value)


# --- interval -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hits", "size", "low", "high"),
    [
        # R. G. Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17
        # (1998), table I, method 5 (Clopper-Pearson).
        (81, 263, 0.2527, 0.3676),
        (15, 148, 0.0578, 0.1617),
        (0, 20, 0.0000, 0.1684),
        (1, 29, 0.0009, 0.1776),
    ],
)
def test_exact_interval_of_a_vast_population_is_clopper_and_pearson(
    hits: int, size: int, low: float, high: float
) -> None:
    """Without replacement makes no difference there: published intervals at 95%, to four digits."""
    interval = exact_interval(float(hits), size, 10**8, 0.95)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


@pytest.mark.parametrize(("population", "drawn"), [(12, 5), (30, 29), (40, 20), (25, 3)])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_exact_interval_covers_every_population_of_hits(population: int, drawn: int, confidence: float) -> None:
    """Whatever the true number, the samples whose interval misses it have at most the probability left over."""
    intervals = [exact_interval(float(hits), drawn, population, confidence) for hits in range(drawn + 1)]
    for marked in range(population + 1):
        covered = Fraction(0)
        for hits, interval in enumerate(intervals):
            if interval.low - 1e-12 <= marked / population <= interval.high + 1e-12:
                ways = math.comb(marked, hits) * math.comb(population - marked, drawn - hits)
                covered += Fraction(ways, math.comb(population, drawn))
        assert covered >= Fraction(confidence)


def test_exact_interval_of_fractions_lies_around_those_of_whole_numbers() -> None:
    """A sum of 2.5 has the lower end of 2 and the upper end of 3."""
    part = exact_interval(2.5, 60, 12544, 0.95)
    assert part.rate == 2.5 / 60
    assert part.low == exact_interval(2.0, 60, 12544, 0.95).low
    assert part.high == exact_interval(3.0, 60, 12544, 0.95).high
    # A sum that is whole but for rounding is whole.
    assert exact_interval(sum([0.1] * 30), 60, 12544, 0.95).high == exact_interval(3.0, 60, 12544, 0.95).high


# --- lists that stand for themselves ------------------------------------------------------------------------


def test_listed_faults_are_a_census_of_themselves() -> None:
    """Nothing follows about faults outside a list that was made by hand."""
    assert listed_interval(np.array([0.0, 1.0, 0.5]), 3) == Interval(0.5, 0.5, 0.5)


def test_part_of_a_listed_census_bounds_what_the_rest_may_do() -> None:
    """Three of five are done: the other two may be critical on no image or on all of them."""
    assert listed_interval(np.array([0.0, 1.0, 0.5]), 5) == Interval(0.5, 1.5 / 5, 3.5 / 5)


def test_interval_of_a_part_is_diluted_by_the_rest() -> None:
    """A quarter of a space lies between 20% and 60%, the rest is masked: 80% to 90%."""
    whole = Interval(0.4, 0.2, 0.6).as_part(0.25, 1.0)
    assert (whole.rate, whole.low, whole.high) == pytest.approx((0.85, 0.8, 0.9))


def test_interval_without_ends_has_none_in_documents() -> None:
    """Not a number is no JSON."""
    made = Interval(0.5, math.nan, math.nan)
    assert not made.known
    assert made.to_json() == {"rate": 0.5, "low": None, "high": None}
    assert Interval(0.5, 0.4, 0.6).to_json() == {"rate": 0.5, "low": 0.4, "high": 0.6}

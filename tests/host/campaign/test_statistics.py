"""Sample sizes and intervals against published figures, worked examples and simulation."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from axft_host.campaign.statistics import (
    Interval,
    Population,
    check_confidence,
    check_margin,
    estimate,
    exact_interval,
    sample_size,
)
from axft_spec.errors import ConfigError

NONE_CERTAIN = Population(size=12544, certain=0)


def of(shares: list[float] | np.ndarray, population: Population, certain: np.ndarray | None = None) -> Interval:
    """Estimate a share that certainly masked faults do not have, at 95%."""
    values = np.asarray(shares, dtype=np.float64)
    marks = np.zeros(len(values), dtype=bool) if certain is None else certain
    return estimate(values, marks, population, 0.95, certain_share=0.0)


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


# --- estimation ---------------------------------------------------------------------------------------------


def test_no_critical_fault_in_60_leaves_6_percent_whatever_the_images() -> None:
    """The fault is the unit: 2,400 pairs of 60 faults do not make 0.15%."""
    interval = of(np.zeros(60), NONE_CERTAIN)
    assert interval.rate == interval.low == 0
    assert interval.high == pytest.approx(0.06, abs=0.001)


def test_exhaustive_sample_has_no_width() -> None:
    """All faults of a space are no sample."""
    assert of([0.5, 0.0, 1.0, 0.3], Population(size=4, certain=0)) == Interval(0.45, 0.45, 0.45)


def test_exhaustive_sample_with_certain_faults_has_no_width() -> None:
    """Nor if some were not simulated."""
    marks = np.array([True, False, False, True])
    assert of([0.0, 0.5, 0.25, 0.0], Population(size=4, certain=2), marks) == Interval(0.1875, 0.1875, 0.1875)


def test_listed_faults_are_a_census_of_themselves() -> None:
    """Nothing follows about faults outside a list that was made by hand."""
    assert of([0.0, 1.0, 0.5], Population(size=None, certain=None)) == Interval(0.5, 0.5, 0.5)


def test_part_of_a_listed_census_bounds_what_the_rest_may_do() -> None:
    """Three of five are done: the other two may be critical on no image or on all of them."""
    interval = of([0.0, 1.0, 0.5], Population(size=None, certain=None, listed=5))
    assert interval == Interval(0.5, 1.5 / 5, 3.5 / 5)
    whole = Population(size=None, certain=None, listed=3)
    assert of([0.0, 1.0, 0.5], whole) == Interval(0.5, 0.5, 0.5)


def test_certain_faults_enter_exactly() -> None:
    """Their number in the space counts, not their number in the sample: half of 100 here, two of four drawn or not."""
    population = Population(size=100, certain=50)
    for drawn_certain in (0, 1, 8):
        shares = np.array([1.0, 0.0] + [0.0] * drawn_certain)
        interval = of(shares, population, np.arange(len(shares)) >= 2)
        assert interval.rate == pytest.approx(0.25)
        assert interval.high <= 0.5
    masked = estimate(np.ones(3), np.array([False, True, True]), population, 0.95, certain_share=1.0)
    assert masked.low >= 0.5


def test_only_certain_faults_drawn_leave_the_others_unknown() -> None:
    """From the stratum alone: the rest may be anything."""
    interval = of(np.zeros(5), Population(size=100, certain=60), np.ones(5, dtype=bool))
    assert (interval.low, interval.high) == (0.0, pytest.approx(0.4))


def test_space_of_certain_faults_alone_is_known() -> None:
    """There is nothing to estimate."""
    assert of(np.zeros(5), Population(size=100, certain=100), np.ones(5, dtype=bool)) == Interval(0, 0, 0)


def test_unknown_number_of_certain_faults_uses_the_whole_sample() -> None:
    """Without the stratum, the certain ones are faults like others."""
    marks = np.array([True] * 30 + [False] * 30)
    interval = of(np.zeros(60), Population(size=12544, certain=None), marks)
    assert interval.high == pytest.approx(0.06, abs=0.001)


@pytest.mark.parametrize(
    ("size", "certain", "drawn", "touched", "spread"),
    [
        (12544, 0, 600, 0.02, (1, 1)),
        (12544, 7944, 600, 0.02, (1, 1)),
        (12544, 7944, 600, 0.3, (0.5, 0.5)),
        (12544, 7944, 2401, 0.05, (0.3, 0.3)),
        (12544, 2000, 60, 0.1, (1, 3)),
        (12544, 0, 600, 0.002, (1, 1)),  # about one touched fault is drawn
        (12544, 0, 2401, 0.001, (1, 1)),
        (12544, 4000, 600, 0.9, (0.1, 0.1)),  # nearly all or nothing
        (500, 100, 300, 0.1, (1, 1)),  # most of the space is drawn
        (500, 100, 450, 0.05, (1, 1)),
        (12544, 7944, 60, 0.002, (0.01, 0.01)),  # rare faults that hit all images or none
        (500, 100, 480, 0.0025, (0.01, 0.01)),
        (200, 50, 150, 0.5, (0.2, 0.2)),
    ],
)
def test_coverage_reaches_the_confidence_on_clustered_populations(
    size: int, certain: int, drawn: int, touched: float, spread: tuple[float, float]
) -> None:
    """Of 600 samples, 95% hold the true rate, but for chance: `touched` faults change a beta-distributed share."""
    rng = np.random.default_rng([size, certain, drawn])
    shares = np.zeros(size)
    count = round(touched * (size - certain))
    shares[certain : certain + count] = rng.binomial(40, rng.beta(*spread, count)) / 40
    marks = np.arange(size) < certain
    hits = 0
    for _ in range(600):
        sample = rng.choice(size, drawn, replace=False)
        interval = of(shares[sample], Population(size=size, certain=certain), marks[sample])
        hits += interval.low <= shares.mean() <= interval.high
    # Two standard deviations of 600 draws below 95%.
    assert hits / 600 >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 600)

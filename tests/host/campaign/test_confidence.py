"""The betting interval against complete enumerations, another package, and what an interval has to be."""

from __future__ import annotations

import itertools
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axft_host.campaign.confidence import (
    around,
    bets,
    betting_interval,
    confidence_sequence,
    log_capital,
    log_threshold,
    lower_bound,
    split_confidence,
)
from axft_spec.errors import ConfigError

FROZEN = Path(__file__).parents[2] / "data" / "confseq" / "betting_without_replacement.json"

# Populations of values, of which every sample in every order is tried.
SMALL = [
    [0, 0, 0, 0, 0, 0, 1],
    [0, 0, 0, 1, 1, 1, 1],
    [1, 1, 1, 1, 1, 1, 1],
    [0, 0.25, 0.5, 0.75, 1, 1, 0],
    [0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
    [0.1, 0.1, 0.1, 0.1, 0.9, 0.9, 0.9],
    [0, 0, 0, 0, 0, 0.3, 1],
]

shares = st.lists(st.sampled_from([0.0, 1.0, 0.5, 0.25, 0.1, 0.975, 1 / 3]) | st.floats(0, 1), min_size=1, max_size=25)


def one(values: list[float] | np.ndarray, population: int, planned: int, confidence: float = 0.95) -> tuple:
    """Return the draws and the reserves of both gamblers, of a simple sample."""
    drawn = np.asarray(values, dtype=np.float64)
    stratum = np.zeros(drawn.shape[-1], np.int64)
    made = bets(drawn, stratum, np.array([population]), np.array([planned]), confidence)
    return drawn, made.more, made.less


# --- it covers: by enumeration ----------------------------------------------------------------------------------


@pytest.mark.parametrize("population", SMALL)
@pytest.mark.parametrize("confidence", [0.6, 0.8, 0.95])
def test_every_order_of_a_small_population_is_covered_at_all_times_together(
    population: list[float], confidence: float
) -> None:
    """Of all orders in which a population can be drawn, those whose interval ever misses the mean are few enough."""
    size, mean = len(population), sum(population) / len(population)
    orders = np.array(list(itertools.permutations(population)), dtype=np.float64)
    drawn, more, less = one(orders, size, size, confidence)
    # The whole set at all times: capital never reaches the limit at the true mean.
    true = np.full(len(orders), mean)
    top = np.maximum(
        log_capital(drawn, more, size, true).max(axis=-1), log_capital(1 - drawn, less, size, 1 - true).max(axis=-1)
    )
    kept = int(np.count_nonzero(top < log_threshold(confidence)))
    assert len(orders) == math.factorial(size)
    assert Fraction(kept, len(orders)) >= Fraction(confidence)


@pytest.mark.parametrize(("size", "drawn"), [(10, 3), (10, 6), (12, 9), (14, 12), (14, 13)])
@pytest.mark.parametrize("confidence", [0.7, 0.95])
def test_interval_covers_every_number_of_hits_in_a_small_space(size: int, drawn: int, confidence: float) -> None:
    """For faults that hit all images or none: the probability over all samples, exact, for every true rate."""
    orders = np.array(list(itertools.product((0.0, 1.0), repeat=drawn)))
    _, more, less = one(orders, size, drawn, confidence)
    limit = log_threshold(confidence)
    lows, highs = lower_bound(orders, more, size, limit), 1 - lower_bound(1 - orders, less, size, limit)
    # Those that `betting_interval` makes, of a few to be sure.
    for number in range(0, len(orders), 97):
        made = betting_interval(orders[number], size, drawn, confidence)
        assert made == around(orders[number].mean(), lows[number], highs[number])
    counted = orders.sum(axis=1).astype(int)
    for hits in range(size + 1):
        covered = Fraction(0)
        inside = (lows - 1e-12 <= hits / size) & (hits / size <= highs + 1e-12)
        for ones in range(max(0, drawn - (size - hits)), min(hits, drawn) + 1):
            # Samples in this order, of all samples in order.
            ways = math.perm(hits, ones) * math.perm(size - hits, drawn - ones)
            held = int(np.count_nonzero(inside & (counted == ones)))
            covered += held * Fraction(ways, math.perm(size, drawn))
        assert covered >= Fraction(confidence)


@pytest.mark.parametrize("population", SMALL)
def test_capital_is_a_fair_game_at_the_true_mean(population: list[float]) -> None:
    """Its mean over all orders is 1 after every draw."""
    size, mean = len(population), sum(population) / len(population)
    orders = np.array(list(itertools.permutations(population)), dtype=np.float64)
    made = bets(orders, np.zeros(size, np.int64), np.array([size]), np.array([size]), 0.95)
    # The last draw is known beforehand; after the last but one, reserves have been through everything.
    more = np.exp(log_capital(orders, made.more, size, np.full(len(orders), mean)))[:, :-1]
    less = np.exp(log_capital(1 - orders, made.less, size, np.full(len(orders), 1 - mean)))[:, :-1]
    assert more.mean(axis=0) == pytest.approx(1, rel=1e-9)
    assert less.mean(axis=0) == pytest.approx(1, rel=1e-9)


# --- against other figures --------------------------------------------------------------------------------------


def frozen() -> list[dict]:
    """Return what confseq 0.0.11 computed for bets of ours; ``tests/data/confseq/README.md`` says how."""
    return json.loads(FROZEN.read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", frozen(), ids=lambda case: case["name"])
def test_capital_equals_that_of_confseq(case: dict) -> None:
    """The capital of both gamblers after every tenth draw, for given bets and means; figures of another package."""
    drawn = np.array(case["shares"])
    reserves = np.array(case["reserves"])
    for mean, expected in zip(case["means"], case["capital_more"], strict=True):
        assert np.exp(log_capital(drawn, reserves, case["population"], mean))[9::10] == pytest.approx(
            expected, rel=1e-9
        )
    for mean, expected in zip(case["means"], case["capital_less"], strict=True):
        ours = np.exp(log_capital(1 - drawn, reserves, case["population"], 1 - mean))[9::10]
        assert ours == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("case", frozen(), ids=lambda case: case["name"])
def test_interval_is_no_wider_than_that_of_confseq(case: dict) -> None:
    """Its default for sampling without replacement, hedged capital with the running intersection."""
    made = betting_interval(np.array(case["shares"]), case["population"], len(case["shares"]), 0.95)
    low, high = case["hedged_cs"]
    assert made.high - made.low <= 1.02 * (high - low)
    # They are about the same thing.
    assert made.low <= high
    assert low <= made.high


def test_capital_equals_that_of_the_installed_confseq() -> None:
    """The same comparison on fresh numbers, where confseq can be installed (numpy 1.x)."""
    if np.lib.NumpyVersion(np.__version__) >= "2.0.0":
        pytest.skip("confseq needs numpy 1.x")
    betting = pytest.importorskip("confseq.betting", reason="confseq is not installed")
    rng = np.random.default_rng(5)
    population = rng.beta(0.3, 0.6, 400)
    drawn = rng.permutation(population)[:150]
    _, more, less = one(drawn, 400, 150)
    before = np.concatenate([[0], np.cumsum(drawn)[:-1]])
    for mean in (0.25, 0.3, population.mean(), 0.45):
        rest = (400 * mean - before) / (400 - np.arange(150))
        theirs = betting.betting_mart(
            drawn, mean, N=400, theta=1, lambdas_fn_positive=lambda x, m, r=rest: 1 / (more + r), trunc_scale=1
        )
        assert np.exp(log_capital(drawn, more, 400, mean)) == pytest.approx(theirs, rel=1e-9)
        theirs = betting.betting_mart(
            drawn, mean, N=400, theta=0, lambdas_fn_negative=lambda x, m, r=rest: 1 / (less + 1 - r), trunc_scale=1
        )
        assert np.exp(log_capital(1 - drawn, less, 400, 1 - mean)) == pytest.approx(theirs, rel=1e-9)


def test_no_hit_in_a_vast_population_leaves_little_more_than_the_exact_bound() -> None:
    """Clopper and Pearson's upper end is 1 - 0.025^(1/n); a capital that cannot bet everything pays some of it."""
    for drawn in (60, 600, 2401):
        made = betting_interval(np.zeros(drawn), 10**9, drawn, 0.95)
        exact = 1 - 0.025 ** (1 / drawn)
        assert made.low == 0
        assert exact <= made.high <= 1.35 * exact


# --- what an interval has to be -----------------------------------------------------------------------------------


@given(shares, st.integers(0, 40), st.integers(0, 10), st.sampled_from([0.6, 0.9, 0.95, 0.999]))
def test_interval_lies_in_0_to_1_and_holds_the_mean(
    values: list[float], more: int, further: int, confidence: float
) -> None:
    """Whatever was drawn."""
    drawn = np.array(values)
    made = betting_interval(drawn, len(values) + more + further, len(values) + further, confidence)
    assert 0 <= made.low <= made.rate <= made.high <= 1
    assert made.rate == pytest.approx(sum(values) / len(values))


@given(shares, st.integers(1, 60))
def test_sequence_is_monotone_and_keeps_to_what_is_possible(values: list[float], more: int) -> None:
    """Ends only move inwards, and never out of what the values drawn so far leave possible."""
    size = len(values) + more
    low, high = confidence_sequence(np.array(values), size, len(values), 0.9)
    assert (np.diff(low) >= 0).all()
    assert (np.diff(high) <= 0).all()
    sums, counts = np.cumsum(values), np.arange(1, len(values) + 1)
    assert (low >= sums / size - 1e-12).all()
    assert (high <= (sums + size - counts) / size + 1e-12).all()


@given(shares, st.integers(1, 60))
def test_interval_mirrors_with_its_values(values: list[float], more: int) -> None:
    """Masked and not masked are the same question."""
    drawn, size = np.array(values), len(values) + more
    made = betting_interval(drawn, size, len(values), 0.95)
    mirrored = betting_interval(1 - drawn, size, len(values), 0.95)
    assert (made.low, made.high) == pytest.approx((1 - mirrored.high, 1 - mirrored.low), abs=1e-7)


@given(shares)
def test_exhaustive_sample_has_no_width(values: list[float]) -> None:
    """All faults of a space are no sample."""
    made = betting_interval(np.array(values), len(values), len(values), 0.95)
    assert made.low == made.rate == made.high


@given(shares, st.integers(1, 30), st.sampled_from([None, 0.1]))
def test_bets_depend_on_earlier_draws_alone(values: list[float], cut: int, half_width: float | None) -> None:
    """Reserves of the first draws are the same whatever follows, also if nothing does."""
    cut = min(cut, len(values))
    stratum, sizes = np.arange(len(values)) % 3, np.array([40, 50, 60])
    whole = bets(np.array(values), stratum, sizes, np.array([20, 20, 20]), 0.95, half_width=half_width)
    changed = np.array(values[: cut - 1] + [1 - value for value in values[cut - 1 :]])
    other = bets(changed, stratum, sizes, np.array([20, 20, 20]), 0.95, half_width=half_width)
    part = bets(np.array(values[:cut]), stratum[:cut], sizes, np.array([20, 20, 20]), 0.95, half_width=half_width)
    for name in ("more", "less"):
        assert np.array_equal(getattr(whole, name)[:cut], getattr(other, name)[:cut])
        assert np.allclose(getattr(whole, name)[:cut], getattr(part, name), rtol=1e-12)
        assert (getattr(whole, name) > 0).all()


@given(shares, st.integers(1, 40))
def test_reported_end_is_ruled_out_and_the_next_mean_is_not(values: list[float], more: int) -> None:
    """The bracket of the search may only make the interval wider, and by no more than rounding shows."""
    size = len(values) + more
    drawn, reserves, _ = one(values, size, len(values))
    limit = log_threshold(0.95)
    low = float(lower_bound(drawn, reserves, size, limit))
    least = drawn.sum() / size
    assert low >= least - 1e-15
    if low > least + 1e-9:
        assert log_capital(drawn, reserves, size, low).max() >= limit
    if low + 1e-8 < 1:
        assert log_capital(drawn, reserves, size, low + 1e-8).max() < limit + 1e-6


def test_interval_shrinks_as_faults_are_added() -> None:
    """About with the square root of their number, and faster towards the end of the space."""
    rng = np.random.default_rng(3)
    population = (rng.random(4000) < 0.2).astype(np.float64)
    widths = []
    for drawn in (250, 1000, 3900):
        made = betting_interval(population[:drawn], 4000, drawn, 0.95)
        widths.append(made.high - made.low)
    assert 0.4 < widths[1] / widths[0] < 0.6
    assert widths[2] / widths[1] < 0.15


def test_target_half_width_is_reached_sooner_than_by_bets_for_the_whole_list() -> None:
    """Bets that know where they are to end do not wait for the end of the list."""
    rng = np.random.default_rng(8)
    population = (rng.random(20_000) < 0.1).astype(np.float64)
    at = np.array([600])
    for_list = confidence_sequence(population[:600], 20_000, 10_000, 0.95, at=at)
    for_width = confidence_sequence(population[:600], 20_000, 10_000, 0.95, at=at, half_width=0.03)
    assert for_width[1][-1] - for_width[0][-1] < 0.8 * (for_list[1][-1] - for_list[0][-1])


def test_bonferroni_splits_what_may_fail() -> None:
    """Three statements at 95% together: 98.33% each."""
    assert split_confidence(0.95, 3) == pytest.approx(1 - 0.05 / 3)
    assert split_confidence(0.95, 1) == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("values", "population", "planned", "message"),
    [
        ([0.5, 1.5], 10, 5, "shares must be between 0 and 1, not 1.5"),
        ([0.5, math.nan], 10, 5, "shares must be between 0 and 1, not nan"),
        ([], 10, 5, "drawn faults must be at least 1.*not 0, 5 and 10"),
        ([0.5] * 6, 10, 5, "at most those planned.*not 6, 5 and 10"),
        ([0.5], 4, 5, "at most the population, not 1, 5 and 4"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(values: list[float], population: int, planned: int, message: str) -> None:
    """What is allowed and what was given."""
    with pytest.raises(ConfigError, match=message):
        betting_interval(np.array(values), population, planned, 0.95)

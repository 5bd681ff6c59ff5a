"""Stratified intervals against complete enumerations, a general optimiser, and the simple design."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axft_host.campaign.confidence import bets, betting_interval, log_capital, log_threshold
from axft_host.campaign.stratified import Phase, phased_bets, stratified_interval, stratified_lower_bound
from axft_spec.errors import ConfigError


def turns(counts: list[int]) -> np.ndarray:
    """Return strata taking turns."""
    return np.array([number for place in range(max(counts)) for number, n in enumerate(counts) if place < n])


def fill(stratum: np.ndarray, drawn: list[tuple[float, ...]]) -> np.ndarray:
    """Return values in the order of the list."""
    values = np.empty(len(stratum))
    for number, of_stratum in enumerate(drawn):
        values[stratum == number] = of_stratum
    return values


SMALL = [
    ([[0, 0, 0, 1], [0, 1, 1, 1]], [3, 3]),
    ([[0, 0, 0, 0, 0], [0, 0.5, 1]], [4, 2]),
    ([[0.1, 0.1, 0.9, 0.9], [0.5, 0.5, 0.5], [0, 1]], [3, 2, 1]),
    ([[1, 1, 1, 1], [0, 0, 0, 0, 1]], [2, 4]),
    ([[0, 0, 1], [0, 0, 1], [0, 0, 1]], [2, 2, 2]),
]


@pytest.mark.parametrize(("populations", "counts"), SMALL)
@pytest.mark.parametrize("confidence", [0.6, 0.8, 0.95])
def test_every_sample_of_small_strata_is_covered(
    populations: list[list[float]], counts: list[int], confidence: float
) -> None:
    """Over all orders of all strata, the intervals that miss the weighted mean are few enough."""
    sizes = [len(population) for population in populations]
    mean = sum(map(sum, populations)) / sum(sizes)
    stratum = turns(counts)
    kept = samples = 0
    seen: dict[tuple[float, ...], bool] = {}
    for drawn in itertools.product(
        *(itertools.permutations(population, count) for population, count in zip(populations, counts, strict=True))
    ):
        values = fill(stratum, list(drawn))
        key = tuple(values)
        if key not in seen:
            made = stratified_interval(
                values, stratum, sizes, [Phase(first=0, planned=tuple(counts))], confidence, looks=3
            )
            seen[key] = made.low - 1e-12 <= mean <= made.high + 1e-12
        kept += seen[key]
        samples += 1
    assert samples == math.prod(math.perm(size, count) for size, count in zip(sizes, counts, strict=True))
    assert Fraction(kept, samples) >= Fraction(confidence)


@pytest.mark.parametrize("seed", range(12))
def test_worst_division_equals_that_of_a_general_optimiser(seed: int) -> None:
    """The least weighted mean that is not ruled out, found by scipy from several starts."""
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed")
    rng = np.random.default_rng(seed)
    strata = int(rng.integers(2, 5))
    sizes = rng.integers(40, 200, strata)
    counts = [int(rng.integers(8, 30)) for _ in range(strata)]
    stratum = turns(counts)
    values = fill(stratum, [tuple(rng.binomial(4, rng.random(), n) / 4) for n in counts])
    made = bets(values, stratum, sizes, np.array(counts), 0.9)
    limit, weights = log_threshold(0.9), sizes / sizes.sum()
    bound = stratified_lower_bound(values, made.more, stratum, sizes, limit)

    def capital(means: np.ndarray) -> float:
        # The capital of each stratum by the function of simple samples, one stratum at a time.
        return sum(
            float(log_capital(values[stratum == h], made.more[stratum == h], int(sizes[h]), means[h])[-1])
            for h in range(strata)
        )

    lowest = np.array([values[stratum == h].sum() / sizes[h] for h in range(strata)])
    highest = np.array([(values[stratum == h].sum() + sizes[h] - counts[h]) / sizes[h] for h in range(strata)])
    found = []
    for _ in range(6):
        result = optimize.minimize(
            lambda means: weights @ means,
            lowest + rng.random(strata) * (highest - lowest),
            bounds=list(zip(lowest, highest, strict=True)),
            constraints={"type": "ineq", "fun": lambda means: limit - capital(means)},
            method="SLSQP",
            options={"ftol": 1e-12, "maxiter": 500},
        )
        if result.success and capital(result.x) <= limit + 1e-6:
            found.append(result.fun)
    assert found
    assert bound <= min(found) + 1e-6
    assert bound == pytest.approx(min(found), abs=2e-4)


def test_strata_that_differ_make_a_narrower_interval_than_a_simple_sample() -> None:
    """Bits of high and of low weight, the same number of faults."""
    rng = np.random.default_rng(1)
    rates = [0, 0, 0.02, 0.05, 0.5, 0.95]
    populations = [(np.arange(1000) < 1000 * rate).astype(np.float64) for rate in rates]
    stratum = turns([100] * 6)
    values = fill(stratum, [tuple(rng.permutation(population)[:100]) for population in populations])
    strata = stratified_interval(values, stratum, [1000] * 6, [Phase(first=0, planned=(100,) * 6)], 0.95)
    everything = rng.permutation(np.concatenate(populations))
    simple = betting_interval(everything[:600], 6000, 600, 0.95)
    assert strata.high - strata.low < 0.7 * (simple.high - simple.low)
    assert strata.low <= everything.mean() <= strata.high


def test_one_stratum_is_about_a_simple_sample() -> None:
    """The simple design looks at capital after every draw, and is a little narrower for that."""
    values = np.random.default_rng(2).permutation((np.arange(5000) < 700).astype(np.float64))[:400]
    simple = betting_interval(values, 5000, 400, 0.95)
    one = stratified_interval(values, np.zeros(400, np.int64), [5000], [Phase(first=0, planned=(400,))], 0.95)
    assert one.low <= simple.low + 1e-9
    assert one.high >= simple.high - 1e-9
    assert one.high - one.low < 1.15 * (simple.high - simple.low)


@pytest.mark.parametrize("seed", range(3))
def test_sizes_that_follow_a_pilot_keep_coverage(seed: int) -> None:
    """The main draw's sizes depend on what the pilot showed: of 100 samples, enough hold the mean."""
    rng = np.random.default_rng(seed)
    rates = [(0.02, 0.5), (0.01, 0.1, 0.9), (0.0, 0.03)][seed]
    populations = [(np.arange(60) < round(60 * rate)).astype(np.float64) for rate in rates]
    sizes = [60] * len(rates)
    mean = float(np.mean(np.concatenate(populations)))
    covered = 0
    for _ in range(100):
        orders = [rng.permutation(population) for population in populations]
        hits = [order[:8].sum() for order in orders]
        # As adaptive as can be: what showed nothing is hardly drawn again.
        planned = tuple(8 + (30 if hit else 3) for hit in hits)
        pilot, main = turns([8] * len(rates)), turns([count - 8 for count in planned])
        stratum = np.concatenate([pilot, main])
        values = fill(stratum, [tuple(order[:count]) for order, count in zip(orders, planned, strict=True)])
        phases = [Phase(first=0, planned=(20,) * len(rates)), Phase(first=len(pilot), planned=planned)]
        made = stratified_interval(values, stratum, sizes, phases, 0.9, looks=1)
        covered += made.low <= mean <= made.high
    assert covered / 100 >= 0.9 - 2 * math.sqrt(0.09 / 100)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.0, 1.0, 0.5, 0.2])), min_size=3, max_size=30),
    st.integers(0, 20),
)
def test_interval_lies_in_0_to_1_and_holds_the_weighted_mean(draws: list[tuple[int, float]], more: int) -> None:
    """Whatever was drawn of which stratum, also nothing of one."""
    stratum = np.array([number for number, _ in draws])
    values = np.array([value for _, value in draws])
    sizes = [int((stratum == number).sum()) + more + 1 for number in range(3)]
    planned = tuple(max(1, int((stratum == number).sum())) for number in range(3))
    made = stratified_interval(values, stratum, sizes, [Phase(first=0, planned=planned)], 0.9, looks=3)
    assert 0 <= made.low <= made.rate <= made.high <= 1
    possible = sum(values)
    assert made.low >= possible / sum(sizes) - 1e-12
    assert made.high <= 1 - (len(values) - possible) / sum(sizes) + 1e-12


def test_exhausted_strata_leave_no_doubt_about_themselves() -> None:
    """All of two strata is all; all of one leaves the other."""
    stratum = turns([3, 3])
    values = fill(stratum, [(0, 1, 1), (0.5, 0.5, 0.5)])
    plan = [Phase(first=0, planned=(3, 3))]
    whole = stratified_interval(values, stratum, [3, 3], plan, 0.95)
    assert whole.low == whole.rate == whole.high == pytest.approx(3.5 / 6)
    half = stratified_interval(values, stratum, [3, 997], plan, 0.95)
    assert half.low >= 3.5 / 1000 - 1e-12
    assert half.high <= (3.5 + 994) / 1000 + 1e-12


def test_second_phase_goes_on_where_the_first_stopped() -> None:
    """Bets of the pilot stay what they were; those behind it follow the new plan."""
    stratum = turns([10, 10])
    values = np.random.default_rng(4).random(20)
    sizes = np.array([50, 70])
    first = Phase(first=0, planned=(20, 20))
    one = phased_bets(values, stratum, sizes, [first], 0.95)
    two = phased_bets(values, stratum, sizes, [first, Phase(first=12, planned=(10, 10))], 0.95)
    assert np.array_equal(one.more[:12], two.more[:12])
    assert not np.array_equal(one.more[12:], two.more[12:])
    with pytest.raises(ConfigError, match="phases of a plan must begin with draw 0"):
        phased_bets(values, stratum, sizes, [Phase(first=12, planned=(10, 10))], 0.95)


def test_pilot_may_use_a_stratum_up() -> None:
    """Nothing is left of it for the main draw, and nothing is unknown about it."""
    stratum = np.concatenate([turns([4, 4]), np.ones(20, np.int64)])
    values = np.concatenate([fill(turns([4, 4]), [(1, 1, 0, 0), (0, 0, 0, 0)]), np.zeros(20)])
    phases = [Phase(first=0, planned=(4, 20)), Phase(first=8, planned=(4, 24))]
    made = stratified_interval(values, stratum, [4, 96], phases, 0.95)
    assert made.low >= 0.02 - 1e-12
    assert made.rate == pytest.approx(0.02)
    assert made.high < 0.3


def test_more_draws_than_faults_are_refused() -> None:
    """The message has both."""
    with pytest.raises(ConfigError, match=r"at most its size, not \[2, 3\] of \[5, 2\]"):
        stratified_interval(np.zeros(5), np.array([0, 0, 1, 1, 1]), [5, 2], [Phase(first=0, planned=(2, 2))], 0.95)

"""The sign-flip test against scipy and enumeration, Holm against a worked example, spaces that differ."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axft_host.campaign.comparison import check_same_space, difference_interval, holm, sign_flip_test
from axft_spec.config import ArrayConfig, find_preset
from axft_spec.errors import ConfigError
from axft_spec.faults import FaultKind, FaultSpace, Site
from axft_spec.lowering import GemmShape
from axft_spec.schedule import Schedule


@pytest.mark.parametrize("seed", range(6))
def test_small_samples_agree_with_scipy_exactly(seed: int) -> None:
    """All combinations of signs."""
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    rng = np.random.default_rng(seed)
    a, b = rng.binomial(10, rng.random(11)) / 10, rng.binomial(10, 0.4, 11) / 10
    made = sign_flip_test(a, b)
    theirs = stats.permutation_test(
        (a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples", n_resamples=np.inf
    )
    assert made.exact
    assert made.difference == pytest.approx(theirs.statistic)
    assert made.p_value == pytest.approx(theirs.pvalue, abs=1e-12)


def test_large_samples_agree_with_scipy_but_for_chance() -> None:
    """9,999 random combinations on both sides."""
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    rng = np.random.default_rng(9)
    a = rng.binomial(20, rng.random(300)) / 20
    b = np.clip(a + rng.normal(0.012, 0.15, 300), 0, 1)
    made = sign_flip_test(a, b)
    theirs = stats.permutation_test(
        (a, b),
        lambda x, y, axis: np.mean(x - y, axis=axis),
        permutation_type="samples",
        n_resamples=9999,
        rng=np.random.default_rng(1),
        vectorized=True,
    )
    assert not made.exact
    assert made.combinations == 9999
    assert made.p_value == pytest.approx(theirs.pvalue, abs=0.025)
    assert sign_flip_test(a, b).p_value == made.p_value
    assert sign_flip_test(a, b, seed=1).p_value != made.p_value


@given(st.lists(st.integers(-4, 4), min_size=1, max_size=9))
def test_p_value_counts_combinations(differences: list[int]) -> None:
    """Of whole numbers, without any rounding."""
    made = sign_flip_test(np.maximum(differences, 0) / 4, -np.minimum(differences, 0) / 4)
    signs = itertools.product((1, -1), repeat=len(differences))
    sums = [abs(sum(s * d for s, d in zip(sign, differences, strict=True))) for sign in signs]
    expected = sum(value >= abs(sum(differences)) for value in sums) / len(sums)
    assert made.p_value == pytest.approx(expected, abs=1e-12)


def test_equal_configurations_differ_by_nothing() -> None:
    """No fault tells them apart."""
    shares = np.linspace(0, 1, 50)
    made = sign_flip_test(shares, shares)
    assert (made.p_value, made.difference, made.differing) == (1.0, 0.0, 0)


def test_level_holds_where_nothing_differs() -> None:
    """Of 400 comparisons of exchangeable pairs, at most about 5% are called different at 5%."""
    rng = np.random.default_rng(2)
    called = 0
    for _ in range(400):
        base = rng.beta(0.3, 0.6, 60)
        a, b = (rng.binomial(20, base) / 20 for _ in range(2))
        called += sign_flip_test(a, b, draws=499, seed=int(rng.integers(10**6))).p_value <= 0.05
    assert called / 400 <= 0.05 + 2 * (0.05 * 0.95 / 400) ** 0.5


def test_p_value_is_never_zero() -> None:
    """The observed combination is one of those that are possible."""
    made = sign_flip_test(np.ones(200), np.zeros(200), draws=99)
    assert made.p_value == 1 / 100
    assert made.method == "sign-flip permutation test over faults, two-sided, 99 combinations"


def test_other_faults_are_refused() -> None:
    """Pairs need partners."""
    with pytest.raises(ConfigError, match="the same faults, one or more, not 3 and 2"):
        sign_flip_test(np.zeros(3), np.zeros(2))


def test_difference_interval_holds_the_difference() -> None:
    """Of 200 campaigns, at least 95% but for chance; and it has no width if all faults ran."""
    rng = np.random.default_rng(7)
    a = rng.binomial(20, rng.beta(0.3, 0.6, 900)) / 20
    b = np.clip(a + rng.normal(0.05, 0.1, 900), 0, 1)
    truth = float((a - b).mean())
    held = 0
    for _ in range(200):
        drawn = rng.permutation(900)[:300]
        made = difference_interval(a[drawn], b[drawn], 900, 300, 0.95)
        held += made.low <= truth <= made.high
        assert made.low <= made.rate <= made.high
    assert held >= 184
    whole = difference_interval(a, b, 900, 900, 0.95)
    assert whole.low == whole.high == pytest.approx(truth)


def test_holm_meets_a_worked_example() -> None:
    """Four p-values: 0.005 x 4, 0.01 x 3, 0.03 x 2, and the last no smaller than the one before."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm({"a": 0.9, "b": 0.8}) == pytest.approx([1.0, 1.0])
    assert holm([]) == []


# --- spaces -------------------------------------------------------------------------------------------------------


def space(config: str = "8P", **changes: object) -> FaultSpace:
    """Return a space of a preset on its array."""
    return FaultSpace(config=find_preset(config).config, **changes)


def test_spaces_of_multipliers_of_one_width_are_the_same() -> None:
    """Every 8-bit preset has the same weight bits."""
    for name in ("2PT", "2QH", "2R5", "34P", "2TE"):
        check_same_space(space(), space(name))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (space("Baseline"), r"not on bits \{'weight': '0 to 7'\} and \{'weight': '0 to 15'\}"),
        (space(sites=(Site.ACTIVATION,)), "not on sites"),
        (space(kinds=(FaultKind.FLIP,)), "not on kinds"),
        (space(bits=2), "not on a size of"),
        (
            FaultSpace(config=ArrayConfig.from_json({**find_preset("8P").config.to_json(), "rows": 4})),
            "not on an array of 28x28 and 4x28",
        ),
        (
            space(schedule=Schedule.of([(1, GemmShape(m=3, k=4, n=5))], 28, 28)),
            r"not on a schedule of no cycles \(permanent faults\) and",
        ),
        (None, "not on a list made by hand"),
    ],
)
def test_spaces_that_differ_are_refused(other: FaultSpace | None, message: str) -> None:
    """The message says in what, and what to do."""
    with pytest.raises(ConfigError, match=message):
        check_same_space(space(), other)

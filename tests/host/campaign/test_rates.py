"""Rates over a space with certain faults, for every design, against the intervals they are made of."""

from __future__ import annotations

import numpy as np
import pytest

from axft_host.campaign.confidence import BETTING, betting_interval
from axft_host.campaign.designs import draw_sample
from axft_host.campaign.rates import CERTAIN, Basis, estimated_rate, rate_interval
from axft_host.campaign.strata import strata_of
from axft_host.campaign.stratified import STRATIFIED, Phase, stratified_interval
from axft_spec.config import ArrayConfig, find_preset
from axft_spec.errors import ConfigError
from axft_spec.faults import FaultSpace


def test_certain_faults_enter_exactly() -> None:
    """Half of 100 are certain: the interval of the others, halved; masked rates begin at one half."""
    drawn = np.array([1.0, 0.0, 0.5, 0.0, 0.0, 1.0])
    marks = [False, True, False, True, True, False]
    basis = Basis.simple(100, marks, 50)
    assert basis.stratum.tolist() == [0, CERTAIN, 0, CERTAIN, CERTAIN, 0]
    part = betting_interval(np.array([1.0, 0.5, 1.0]), 50, 3, 0.95)
    made = rate_interval(drawn, basis, 0.95, certain_share=0.0)
    assert (made.low, made.rate, made.high) == pytest.approx((part.low / 2, part.rate / 2, part.high / 2))
    masked = rate_interval(1 - drawn, basis, 0.95, certain_share=1.0)
    assert (masked.low, masked.high) == pytest.approx((1 - made.high, 1 - made.low), abs=1e-8)
    assert basis.method == f"{BETTING}, certainly masked faults as an exact stratum"


def test_unknown_number_of_certain_faults_takes_all_as_drawn() -> None:
    """They are observations like others then."""
    drawn = np.array([1.0, 0.0, 0.5, 0.0])
    basis = Basis.simple(100, [False, True, False, True], None)
    assert rate_interval(drawn, basis, 0.95, certain_share=0.0) == betting_interval(drawn, 100, 4, 0.95)


def test_beginning_of_a_list_uses_the_bets_of_the_whole() -> None:
    """An interrupted campaign: planned is what was listed, not what was done."""
    drawn = np.random.default_rng(0).integers(0, 2, 80).astype(np.float64)
    basis = Basis.simple(4000, np.zeros(200, dtype=bool), 0)
    made = rate_interval(drawn, basis, 0.95, certain_share=0.0)
    assert made == betting_interval(drawn, 4000, 200, 0.95)


def test_nothing_but_certain_faults_leaves_the_others_unknown() -> None:
    """From the stratum alone; and nothing to estimate where there is nothing else."""
    basis = Basis.simple(100, [True] * 5, 60)
    made = rate_interval(np.zeros(5), basis, 0.95, certain_share=0.0)
    assert (made.low, made.rate, made.high) == pytest.approx((0, 0, 0.4))
    none = rate_interval(np.ones(5), Basis.simple(100, [True] * 5, 100), 0.95, certain_share=1.0)
    assert (none.low, none.rate, none.high) == (1, 1, 1)


def test_strata_keep_their_own_interval_and_name() -> None:
    """Scaled by the part of the space that is not certain."""
    about = find_preset("8P").config.to_json()
    space = FaultSpace(config=ArrayConfig.from_json({**about, "rows": 4, "cols": 4}))
    certain = np.arange(space.size) < 56
    strata = strata_of(space, ("bit",), certain=certain)
    sample = draw_sample(strata, 60, 0)
    basis = Basis.stratified(sample, 56)
    assert basis.method == f"{STRATIFIED}, certainly masked faults as an exact stratum"
    values = np.random.default_rng(1).random(60)
    made = rate_interval(values, basis, 0.95, certain_share=0.0)
    part = stratified_interval(values, sample.stratum, sample.sizes, sample.phases, 0.95)
    weight = 200 / 256
    assert (made.low, made.rate, made.high) == pytest.approx(
        (weight * part.low, weight * part.rate, weight * part.high)
    )
    assert estimated_rate(values, basis, certain_share=0.0) == pytest.approx(made.rate)


def test_two_phases_of_one_stratum_are_stratified() -> None:
    """So that the bets of each follow its own plan."""
    basis = Basis(
        stratum=np.zeros(10, np.int64),
        sizes=(50,),
        phases=(Phase(first=0, planned=(10,)), Phase(first=4, planned=(10,))),
        certain=0,
    )
    assert basis.method == STRATIFIED
    assert rate_interval(np.zeros(10), basis, 0.95, certain_share=0.0).high < 0.6


def test_more_shares_than_listed_faults_are_refused() -> None:
    """They would be of another list."""
    with pytest.raises(ConfigError, match="shares must be at most those of 2 listed faults, not 3"):
        rate_interval(np.zeros(3), Basis.simple(10, [False, False], 0), 0.95, certain_share=0.0)


def test_no_critical_fault_in_60_leaves_more_than_6_percent_whatever_the_images() -> None:
    """The fault is the unit: 2,400 pairs of 60 faults do not make 0.15%."""
    basis = Basis.simple(12544, np.zeros(60, dtype=bool), 0)
    made = rate_interval(np.zeros(60), basis, 0.95, certain_share=0.0)
    assert made.rate == made.low == 0
    assert 0.06 <= made.high < 0.08


def test_exhaustive_sample_has_no_width() -> None:
    """All faults of a space are no sample, whether some were simulated or not."""
    shares = np.array([0.5, 0.0, 1.0, 0.3])
    made = rate_interval(shares, Basis.simple(4, np.zeros(4, dtype=bool), 0), 0.95, certain_share=0.0)
    assert (made.rate, made.low, made.high) == pytest.approx((0.45, 0.45, 0.45), abs=1e-12)
    marks = [True, False, False, True]
    made = rate_interval(np.array([0.0, 0.5, 0.25, 0.0]), Basis.simple(4, marks, 2), 0.95, certain_share=0.0)
    assert (made.rate, made.low, made.high) == pytest.approx((0.1875, 0.1875, 0.1875), abs=1e-12)


@pytest.mark.parametrize(
    ("size", "certain", "drawn", "touched", "spread"),
    [
        (12544, 0, 600, 0.02, (1, 1)),
        (12544, 7944, 600, 0.3, (0.5, 0.5)),
        (12544, 7944, 2401, 0.05, (0.3, 0.3)),
        (12544, 0, 600, 0.002, (1, 1)),  # about one touched fault is drawn
        (12544, 4000, 600, 0.9, (0.1, 0.1)),  # nearly all or nothing
        (500, 100, 450, 0.05, (1, 1)),  # most of the space is drawn
        (12544, 7944, 60, 0.002, (0.01, 0.01)),  # rare faults that hit all images or none
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
        basis = Basis.simple(size, marks[sample], certain)
        interval = rate_interval(shares[sample], basis, 0.95, certain_share=0.0)
        # Where all faults with an effect were drawn, an end is the mean itself, but for rounding.
        hits += interval.low - 1e-12 <= shares.mean() <= interval.high + 1e-12
    # Two standard deviations of 600 draws below 95%.
    assert hits / 600 >= 0.95 - 2 * np.sqrt(0.95 * 0.05 / 600)


def test_strata_of_a_group_are_a_sample_of_their_own() -> None:
    """Of three strata in two phases, two are chosen: their draws, sizes and plans, and where the second plan begins."""
    stratum = np.array([0, 1, 2, 0, 1, 2, 1, 1, 0])
    phases = (Phase(first=0, planned=(1, 1, 1)), Phase(first=4, planned=(3, 4, 2)))
    whole = Basis(stratum=stratum, sizes=(30, 40, 50), phases=phases, certain=7)
    part = whole.of_strata([2, 1], certain=5)
    assert part.stratum.tolist() == [1, 0, 1, 0, 1, 1]
    assert (part.sizes, part.certain) == ((50, 40), 5)
    assert part.phases == (Phase(first=0, planned=(1, 1)), Phase(first=2, planned=(2, 4)))


def test_weights_say_how_many_faults_each_stands_for() -> None:
    """Of those that are done; faults that are masked with certainty were counted, and stand for none."""
    basis = Basis(
        stratum=np.array([0, 1, CERTAIN, 1, 0, 1]),
        sizes=(10, 60),
        phases=(Phase(first=0, planned=(2, 3)),),
        certain=4,
    )
    assert basis.weights(6).tolist() == [5.0, 20.0, 0.0, 20.0, 5.0, 20.0]
    assert basis.weights(4).tolist() == [10.0, 30.0, 0.0, 30.0]


def test_no_more_is_planned_than_there_is() -> None:
    """A store of version 1 does not say which of the faults that did not run are certain: they seem open."""
    basis = Basis.simple(192, np.zeros(192, dtype=bool), 105)
    assert basis.phases == (Phase(first=0, planned=(87,)),)
    assert rate_interval(np.zeros(5), basis, 0.95, certain_share=0.0).high < 0.46

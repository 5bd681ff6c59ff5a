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
    assert basis.method == BETTING


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
    assert basis.method == STRATIFIED
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

"""Rates of groups of a stratified sample, against what is true of the space that it was drawn from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from axft_host.campaign.confidence import betting_interval
from axft_host.campaign.designs import draw_sample
from axft_host.campaign.records import Provenance
from axft_host.campaign.runner import run_campaign
from axft_host.campaign.sampled import basis_of, sampling_json
from axft_host.campaign.statistics import Interval
from axft_host.campaign.store import ResultStore
from axft_host.campaign.strata import strata_of
from axft_host.campaign.stratified import Phase, stratified_interval
from axft_host.reports.groups import GROUP_STRATIFIED, GroupRates, LeftOut
from axft_spec.faults import FaultSpace
from support.small_campaign import small_plan

DRAWN = 90


@pytest.fixture(scope="module")
def about(tmp_path_factory: pytest.TempPathFactory) -> Provenance:
    """Return what a store says of a result on the small array: 192 faults, 24 for each bit."""
    place = tmp_path_factory.mktemp("groups")
    with ResultStore.open(run_campaign(small_plan(place, faults={"faults": 1}), place / "one").store) as store:
        return store.provenance()


def sampled(about: Provenance, seed: int, *, certain: int = 0) -> tuple[FaultSpace, np.ndarray, np.ndarray, Provenance]:
    """Draw from strata by bit; return the space, indices, strata and the record."""
    space = FaultSpace.from_json(about.fault_space)
    marks = np.arange(space.size) < certain
    strata = strata_of(space, ("bit",), certain=marks)
    sample = draw_sample(strata, DRAWN, seed)
    record = replace(
        about, faults=len(sample.indices), space_certain=certain, sampling=sampling_json(sample, marks, marks)
    )
    return space, np.array(sample.indices), sample.stratum, record


def shares_of(space: FaultSpace) -> np.ndarray:
    """Return a share for every fault of the space: more at high bits and in low rows."""
    rng = np.random.default_rng(8)
    sites = [space[index].sites[0] for index in range(space.size)]
    mean = np.array([site.bit / 10 + (3 - site.row) / 20 for site in sites])
    return np.clip(mean + rng.normal(0, 0.05, space.size), 0, 1)


def test_group_of_whole_strata_has_their_interval(about: Provenance) -> None:
    """One bit is one stratum: the interval is that of its faults alone."""
    space, indices, stratum, record = sampled(about, 1)
    shares = shares_of(space)[indices]
    rates = GroupRates(record, np.zeros(DRAWN, dtype=bool))
    assert rates.method == GROUP_STRATIFIED
    bits = np.array([space[index].sites[0].bit for index in indices])
    for bit in range(8):
        places = np.flatnonzero(bits == bit)
        made = rates.of(shares, places, 24, {"bit": str(bit)}, certain_share=0.0)
        assert made.rate == pytest.approx(shares[places].mean())
        assert made.low < made.rate < made.high
        assert len(set(stratum[places])) == 1
    every = rates.of(shares, np.arange(DRAWN), space.size, {}, certain_share=0.0)
    record_sample = record.sampling
    assert record_sample is not None
    expected = stratified_interval(shares, stratum, record_sample["sizes"], _phases(record), record.confidence)
    assert (every.low, every.rate, every.high) == pytest.approx((expected.low, expected.rate, expected.high))


def _phases(record: Provenance) -> tuple[Phase, ...]:
    basis = basis_of(record)
    assert basis is not None
    return basis.phases


def test_group_across_strata_has_a_weighted_rate_without_an_interval(about: Provenance) -> None:
    """Means over many draws come to the truth, although strata are not drawn in proportion to their sizes."""
    means, plain, truth = [], [], 0.0
    for seed in range(150):
        space, indices, stratum, record = sampled(about, seed)
        # Drop most of the low bits: a design far from proportional, as Neyman's can be.
        kept = np.array(
            [place for place, index in enumerate(indices) if space[index].sites[0].bit >= 4 or place % 3 == 0]
        )
        sample = {**(record.sampling or {}), "stratum": stratum[kept].tolist()}
        record = replace(record, faults=len(kept), sampling=sample)
        whole = shares_of(space)
        shares, rows = whole[indices[kept]], np.array([space[index].sites[0].row for index in indices[kept]])
        rates = GroupRates(record, np.zeros(len(kept), dtype=bool))
        places = np.flatnonzero(rows == 1)
        made = rates.of(shares, places, 48, {"row": "1"}, certain_share=0.0)
        assert not made.known
        means.append(made.rate)
        plain.append(shares[places].mean())
        truth = whole[[space[index].sites[0].row == 1 for index in range(space.size)]].mean()
    assert np.mean(means) == pytest.approx(truth, abs=0.01)
    assert abs(np.mean(plain) - truth) > 0.05


def stated(
    space: FaultSpace, record: Provenance, indices: np.ndarray, whole: np.ndarray, fixed: dict[str, int]
) -> Interval:
    """Return what is stated of a masked-like share of a group by row, as figures ask for it."""
    rates, left_out = GroupRates(record, np.zeros(len(indices), dtype=bool)), LeftOut.of(record)
    (name, value), *_ = fixed.items()
    places = np.flatnonzero([getattr(space[index].sites[0], name) == value for index in indices])
    named = {name: str(value)}
    population = sum(getattr(space[index].sites[0], name) == value for index in range(space.size))
    certain = left_out.count(fixed)
    return rates.of(whole[indices], places, population, named, certain=certain, certain_share=1.0)


@pytest.mark.parametrize("fixed", [{"row": 0}, {"row": 3}, {"col": 2}])
def test_certain_faults_across_strata_are_counted(about: Provenance, fixed: dict[str, int]) -> None:
    """Where no other fault is ever masked, the rate is the part of certain ones; on average over draws."""
    means = []
    for seed in range(60):
        space, indices, _, record = sampled(about, seed, certain=70)
        whole = np.where(np.arange(space.size) < 70, 1.0, 0.0)
        means.append(stated(space, record, indices, whole, fixed).rate)
    ((name, value),) = fixed.items()
    group = np.array([getattr(space[index].sites[0], name) == value for index in range(space.size)])
    truth = whole[group].mean()
    assert np.mean(means) == pytest.approx(truth, abs=0.02)
    assert truth in (pytest.approx(0.0), pytest.approx(1.0)) or 0.1 < truth < 0.9


def test_certain_faults_of_whole_strata_are_counted_exactly(about: Provenance) -> None:
    """They are in no stratum: a bit's stratum has fewer faults than the space has there."""
    space, indices, _, record = sampled(about, 2, certain=100)
    sizes = dict(zip(record.sampling["names"], record.sampling["sizes"], strict=True))  # type: ignore[index]
    rates = GroupRates(record, np.zeros(len(indices), dtype=bool))
    bits = np.array([space[index].sites[0].bit for index in indices])
    shares = np.full(len(indices), 0.25)
    bit = int(bits[0])
    made = rates.of(shares, np.flatnonzero(bits == bit), 24, {"bit": str(bit)}, certain_share=1.0)
    part = sizes[f"bit={bit}"] / 24
    assert part < 1
    assert made.rate == pytest.approx((1 - part) + part * 0.25)


def test_what_is_left_out_is_read_again_from_the_store(about: Provenance) -> None:
    """Numbers of groups and PEs against the marks; a group of certain faults alone is known without any draw."""
    space, _, _, record = sampled(about, 2, certain=100)
    left_out = LeftOut.of(record)
    sites = [space[index].sites[0] for index in range(100)]
    for row in range(4):
        assert left_out.count({"row": row}) == sum(site.row == row for site in sites)
    assert left_out.count({}) == left_out.by_pe(4, 3).sum() == 100
    rates = GroupRates(record, np.zeros(DRAWN, dtype=bool))
    made = rates.of(np.zeros(DRAWN), np.array([], dtype=np.int64), 7, {"row": "0"}, certain=7, certain_share=1.0)
    assert (made.rate, made.low, made.high) == (1, 1, 1)


def test_plan_of_a_group_does_not_follow_from_what_was_done(about: Provenance) -> None:
    """A campaign that was stopped after 60 of 120: half of the space's faults are in the group, so 60 were expected."""
    record = replace(about, faults=120, sampling={"design": "simple", "certain": "00" * 15})
    rates = GroupRates(record, np.zeros(60, dtype=bool))
    shares = np.random.default_rng(1).random(60)
    places = np.arange(0, 60, 3)
    made = rates.of(shares, places, 96, {"row": "0"}, certain_share=0.0)
    expected = betting_interval(shares[places], 96, 60, 0.95)
    assert (made.low, made.rate, made.high) == pytest.approx((expected.low, expected.rate, expected.high))

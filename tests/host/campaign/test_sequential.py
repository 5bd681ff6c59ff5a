"""Stopping rules: where they stop, that batches do not matter, and that intervals hold there."""

from __future__ import annotations

import math

import numpy as np
import pytest

from axft_host.campaign.confidence import confidence_sequence
from axft_host.campaign.rates import Basis
from axft_host.campaign.sequential import HalfWidthRule, LookRule, spend
from axft_host.campaign.stratified import Phase
from axft_spec.errors import ConfigError


def feed(rule: HalfWidthRule | LookRule, critical: np.ndarray, certain: np.ndarray | None = None) -> int:
    """Tell a rule of faults until it has enough; return of how many."""
    for index, share in enumerate(critical):
        sure = bool(certain[index]) if certain is not None else False
        shares = {"masked": 1 - share, "tolerable": 0.0, "critical": share}
        rule.feed(index, shares, certain=sure)
        if rule.should_stop:
            return index + 1
    return len(critical)


def population(size: int, hits: int, seed: int) -> np.ndarray:
    """Return faults in random order."""
    return np.random.default_rng(seed).permutation((np.arange(size) < hits).astype(np.float64))


def test_rule_stops_at_the_first_look_at_which_the_sequence_is_narrow_enough() -> None:
    """By the confidence sequence of the whole list, which the rule has never seen."""
    drawn = population(12544, 1254, 0)[:2401]
    basis = Basis.simple(12544, np.zeros(2401, dtype=bool), 0)
    stopped = feed(HalfWidthRule(basis, 0.03, every=25), drawn)
    looks = np.arange(25, 2402, 25)
    low, high = confidence_sequence(drawn, 12544, 2401, 0.95, half_width=0.03, at=looks)
    assert stopped == looks[np.argmax(high - low <= 0.06)]
    assert 300 < stopped < 1500


def test_rule_reports_the_intervals_it_stopped_by() -> None:
    """Of every named class, around its rate, and no wider than asked for."""
    drawn = population(12544, 1254, 0)[:2401]
    basis = Basis.simple(12544, np.zeros(2401, dtype=bool), 0)
    rule = HalfWidthRule(basis, 0.03, ("masked", "critical"))
    assert rule.intervals()["critical"].high == 1.0
    stopped = feed(rule, drawn)
    made = rule.intervals()
    assert set(made) == {"masked", "critical"}
    assert made["critical"].rate == pytest.approx(drawn[:stopped].mean())
    for interval in made.values():
        assert interval.high - interval.low <= 0.06
        assert interval.low <= interval.rate <= interval.high


def test_statements_together_take_more_faults() -> None:
    """Bonferroni over the classes that are named."""
    drawn = population(12544, 1254, 1)[:2401]
    basis = Basis.simple(12544, np.zeros(2401, dtype=bool), 0)
    alone = feed(HalfWidthRule(basis, 0.03, ("masked", "critical")), drawn)
    together = feed(HalfWidthRule(basis, 0.03, ("masked", "critical"), together=True), drawn)
    assert together > alone


def test_certain_faults_take_no_part_but_their_weight() -> None:
    """With most of the space known, the rest needs less precision."""
    drawn = population(12544, 1254, 1)[:2401]
    marks = np.zeros(2401, dtype=bool)
    plain = feed(HalfWidthRule(Basis.simple(12544, marks, 0), 0.03), drawn)
    marks[::2] = True
    drawn[::2] = 0
    known = feed(HalfWidthRule(Basis.simple(12544, marks, 6272), 0.03), drawn, marks)
    assert known < plain


def test_list_that_ends_first_never_stops() -> None:
    """A half-width out of reach."""
    drawn = population(12544, 6000, 2)[:200]
    rule = HalfWidthRule(Basis.simple(12544, np.zeros(200, dtype=bool), 0), 0.01)
    assert feed(rule, drawn) == 200
    assert not rule.should_stop
    assert rule.intervals()["critical"].high < 1


def test_rule_works_for_strata() -> None:
    """Stops, and holds the true rate."""
    rng = np.random.default_rng(3)
    strata = [population(2000, hits, seed) for seed, hits in enumerate((0, 40, 1000))]
    stratum = np.arange(1800) % 3
    drawn = np.empty(1800)
    for number, faults in enumerate(strata):
        drawn[stratum == number] = rng.permutation(faults)[:600]
    basis = Basis(stratum=stratum, sizes=(2000,) * 3, phases=(Phase(first=0, planned=(600,) * 3),), certain=0)
    rule = HalfWidthRule(basis, 0.03, every=100)
    stopped = feed(rule, drawn)
    made = rule.intervals()["critical"]
    assert 200 <= stopped < 1800
    assert made.low <= np.concatenate(strata).mean() <= made.high


def test_coverage_holds_where_the_rule_stopped() -> None:
    """Of 150 campaigns that stop by what they see, 95% hold the true rate, but for chance."""
    rng = np.random.default_rng(4)
    shares = np.zeros(2000)
    shares[:400] = rng.binomial(20, rng.beta(1, 1, 400)) / 20
    held = 0
    for _ in range(150):
        drawn = rng.permutation(shares)[:900]
        rule = HalfWidthRule(Basis.simple(2000, np.zeros(900, dtype=bool), 0), 0.05, every=25)
        assert feed(rule, drawn) < 900
        made = rule.intervals()["critical"]
        held += made.low <= shares.mean() <= made.high
    assert held / 150 >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 150)


@pytest.mark.parametrize(("index", "message"), [(1, "the next is 0, not 1"), (9, "list of 5, the next is 0, not 9")])
def test_faults_out_of_order_are_refused(index: int, message: str) -> None:
    """Order is what makes it a random sample."""
    rule = HalfWidthRule(Basis.simple(100, [False] * 5, 0), 0.1)
    with pytest.raises(ConfigError, match=message):
        rule.feed(index, {"critical": 0.0}, certain=False)


def test_rules_with_impossible_wishes_are_refused() -> None:
    """Each message says what is allowed."""
    basis = Basis.simple(100, [False] * 5, 0)
    with pytest.raises(
        ConfigError, match=r"margin must be a fraction above 0 and below 0\.5, not 3; write 0\.03 for 3%"
    ):
        HalfWidthRule(basis, 3)
    with pytest.raises(ConfigError, match=r"unknown class of outcomes 'critcal' \(did you mean critical"):
        HalfWidthRule(basis, 0.1, ("critcal",))
    with pytest.raises(ConfigError, match="classes of a stopping rule must be one or more"):
        HalfWidthRule(basis, 0.1, ())
    with pytest.raises(ConfigError, match="looks must end with the number of listed faults, 5, not "):
        LookRule(basis, 0.1, [2, 4])
    strata = Basis(stratum=np.array([0, 1]), sizes=(5, 5), phases=(Phase(first=0, planned=(1, 1)),), certain=0)
    with pytest.raises(ConfigError, match="looks set in advance are for simple samples"):
        LookRule(strata, 0.1, [2])


# --- looks set in advance -----------------------------------------------------------------------------------------


def test_spent_alpha_adds_up_and_meets_published_values() -> None:
    """Lan and DeMets (1983), O'Brien-Fleming type, alpha 0.05 at four equal looks: 0.0001, 0.0055, 0.0236, 0.05."""
    made = spend(0.05, [0.25, 0.5, 0.75, 1], "obrien-fleming")
    assert np.cumsum(made) == pytest.approx([0.0001, 0.0056, 0.0236, 0.05], abs=1e-4)
    assert spend(0.05, [0.2, 1], "bonferroni") == [0.025, 0.025]
    with pytest.raises(ConfigError, match="unknown spending of alpha 'pocock'; allowed: bonferroni, obrien-fleming"):
        spend(0.05, [1.0], "pocock")
    with pytest.raises(ConfigError, match="looks must be parts of the list that increase to 1"):
        spend(0.05, [0.5, 0.4, 1], "bonferroni")


@pytest.mark.parametrize("spending", ["bonferroni", "obrien-fleming"])
def test_look_rule_covers_whatever_it_stops_at(spending: str) -> None:
    """Of 300 campaigns of faults that hit all images or none, enough hold the true rate."""
    rng = np.random.default_rng(6)
    faults, held, stops = population(3000, 300, 0), 0, []
    basis = Basis.simple(3000, np.zeros(1200, dtype=bool), 0)
    for _ in range(300):
        rule = LookRule(basis, 0.03, [300, 600, 900, 1200], spending=spending)
        stops.append(feed(rule, rng.permutation(faults)[:1200]))
        made = rule.intervals()["critical"]
        held += made.low <= 0.1 <= made.high
    assert held / 300 >= 0.95 - 2 * math.sqrt(0.95 * 0.05 / 300)
    assert min(stops) < 1200
    assert set(stops) <= {300, 600, 900, 1200}

"""Strata, sizes and draws against lists of the whole space and worked examples."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axft_host.campaign.designs import (
    Sample,
    deviations,
    draw_sample,
    neyman,
    proportional,
    simple_sample,
    with_main_draw,
)
from axft_host.campaign.strata import strata_of
from axft_spec.config import ArrayConfig, find_preset
from axft_spec.errors import ConfigError
from axft_spec.faults import FaultKind, FaultSpace, Site, draw_indices
from axft_spec.lowering import GemmShape
from axft_spec.schedule import Schedule


def small_config(rows: int = 3, cols: int = 4) -> ArrayConfig:
    """Return a preset on a small array."""
    about = find_preset("8P").config.to_json()
    return ArrayConfig.from_json({**about, "rows": rows, "cols": cols})


PERMANENT = FaultSpace(config=small_config(), sites=(Site.WEIGHT, Site.PSUM))
SCHEDULE = Schedule.of([(2, GemmShape(m=5, k=3, n=4)), (1, GemmShape(m=1, k=7, n=9))], 3, 4)
TRANSIENT = FaultSpace(config=small_config(), kinds=(FaultKind.FLIP,), schedule=SCHEDULE)


@pytest.mark.parametrize(
    ("space", "by"),
    [
        (PERMANENT, ("bit",)),
        (PERMANENT, ("site", "kind")),
        (PERMANENT, ("row", "bit")),
        (PERMANENT, ("pe:2x2",)),
        (PERMANENT, ()),
        (TRANSIENT, ("layer",)),
        (TRANSIENT, ("layer", "bit")),
        (TRANSIENT, ("col",)),
    ],
)
def test_strata_hold_every_fault_of_the_space_once(space: FaultSpace, by: tuple[str, ...]) -> None:
    """And each holds those whose properties its name states, told from the faults themselves."""
    strata = strata_of(space, by)
    numbers = [stratum[place] for stratum in strata for place in range(stratum.size)]
    assert sorted(numbers) == list(range(space.size))
    for stratum in strata:
        for place in {0, stratum.size // 2, stratum.size - 1}:
            fault = space[stratum[place]]
            told = {
                "bit": fault.sites[0].bit,
                "site": fault.sites[0].site.value,
                "kind": fault.kind.short,
                "row": fault.sites[0].row,
                "col": fault.sites[0].col,
                "pe": f"{fault.sites[0].row // 2}x{fault.sites[0].col // 2}",
                "layer": fault.window.layer if fault.window else None,
            }
            names = [key.partition(":")[0] for key in by]
            assert stratum.name == (",".join(f"{name}={told[name]}" for name in names) or "all")


def test_certain_faults_are_in_no_stratum() -> None:
    """They are counted, not drawn."""
    certain = np.arange(PERMANENT.size) % 5 == 0
    strata = strata_of(PERMANENT, ("bit",), certain=certain)
    numbers = [stratum[place] for stratum in strata for place in range(stratum.size)]
    assert sorted(numbers) == np.flatnonzero(~certain).tolist()


def test_use_tells_idle_pes_from_others() -> None:
    """From a map of the array."""
    used = np.zeros((3, 4), dtype=bool)
    used[0] = True
    strata = {stratum.name: stratum.size for stratum in strata_of(PERMANENT, ("use",), used=used)}
    assert strata == {"use=yes": PERMANENT.size // 3, "use=no": PERMANENT.size // 3 * 2}


@pytest.mark.parametrize(
    ("space", "by", "message"),
    [
        (PERMANENT, ("layer",), "permanent faults act in all layers"),
        (PERMANENT, ("bits",), r"unknown key of strata 'bits' \(did you mean bit\?\); allowed: layer, bit"),
        (PERMANENT, ("pe:0x2",), "unknown key of strata 'pe:0x2'"),
        (PERMANENT, ("bit", "bit"), "keys of strata must be different ones"),
        (PERMANENT, ("use",), "strata by use need to know which PEs are in use"),
    ],
)
def test_strata_that_cannot_be_made_are_refused(space: FaultSpace, by: tuple[str, ...], message: str) -> None:
    """The message says why."""
    with pytest.raises(ConfigError, match=message):
        strata_of(space, by)


# --- sizes ------------------------------------------------------------------------------------------------------


def test_proportional_sizes_meet_worked_examples() -> None:
    """Largest remainder; nothing is left out."""
    assert proportional([500, 300, 200], 10) == (5, 3, 2)
    assert proportional([500, 300, 200], 11) == (6, 3, 2)
    assert proportional([10_000, 1, 1], 20) == (18, 1, 1)
    assert proportional([3, 3, 3], 9) == (3, 3, 3)


def test_neyman_sizes_meet_a_worked_example() -> None:
    """N_h s_h = 100, 300, 600 of 1,000; then where the first two are held up by half their proportional share."""
    assert neyman([1000, 1000, 1000], [0.3, 0.3, 0.3], 300) == (100, 100, 100)
    assert neyman([1000, 1000, 1000], [0.2, 0.3, 0.5], 300) == (60, 90, 150)
    assert neyman([1000, 1000, 1000], [0.0, 0.0, 0.5], 300) == (50, 50, 200)
    assert neyman([1000, 1000, 60], [0.0, 0.0, 0.5], 300) == (120, 120, 60)


@given(
    st.lists(st.tuples(st.integers(1, 500), st.floats(0, 0.5)), min_size=1, max_size=20),
    st.floats(0, 1),
)
def test_sizes_add_up_and_stay_within_the_strata(strata: list[tuple[int, float]], part: float) -> None:
    """For any strata and any total that is possible."""
    sizes = [size for size, _ in strata]
    total = len(sizes) + round(part * (sum(sizes) - len(sizes)))
    spread = [spread for _, spread in strata]
    for counts in (proportional(sizes, total), neyman(sizes, spread, total)):
        assert sum(counts) == total
        assert all(1 <= count <= size for count, size in zip(counts, sizes, strict=True))


def test_sizes_that_cannot_be_are_refused() -> None:
    """Fewer draws than strata, or more than faults."""
    with pytest.raises(ConfigError, match=r"faults must be between 3 \(.*3 strata.*\) and 30 \(all\), not 2"):
        proportional([10, 10, 10], 2)
    with pytest.raises(ConfigError, match=r"and 30 \(all\), not 31"):
        proportional([10, 10, 10], 31)


def test_deviations_of_a_pilot_do_not_believe_in_constants() -> None:
    """Four values 0: sqrt(0.25 / 5); two classes add their variances."""
    shares = np.array([[0.0, 0.0]] * 4 + [[0.0, 1.0], [1.0, 0.0]])
    made = deviations(shares, np.array([0, 0, 0, 0, 1, 1]), 3)
    assert made == pytest.approx(((0.25 / 5) ** 0.5, (1.25 / 3) ** 0.5, 0.5))


# --- draws ------------------------------------------------------------------------------------------------------


def test_simple_sample_is_the_known_draw() -> None:
    """The fault lists of version 1 stay what they are."""
    sample = simple_sample(12544, 50, 7)
    assert list(sample.indices) == draw_indices(12544, 50, 7)
    assert sample.sizes == (12544,)
    assert sample.planned == 50


def test_draws_are_repeatable_and_a_stratum_of_a_longer_list_begins_with_the_shorter() -> None:
    """By the seed and the names alone; other seeds draw others."""
    strata = strata_of(PERMANENT, ("bit",))
    short, long = draw_sample(strata, 100, 3), draw_sample(strata, 200, 3)
    assert draw_sample(strata, 100, 3).indices == short.indices
    assert draw_sample(strata, 100, 4).indices != short.indices
    for number in range(len(strata)):
        of_short = np.array(short.indices)[short.stratum == number]
        of_long = np.array(long.indices)[long.stratum == number]
        assert of_short.tolist() == of_long[: len(of_short)].tolist()


def test_draws_have_no_fault_twice_and_the_planned_sizes() -> None:
    """In strata that their names state."""
    strata = strata_of(PERMANENT, ("site", "bit"))
    sample = draw_sample(strata, 150, 0)
    assert len(set(sample.indices)) == len(sample.indices) == 150
    assert np.bincount(sample.stratum).tolist() == list(sample.phases[0].planned)
    for index, number in zip(sample.indices, sample.stratum, strict=True):
        site = PERMANENT[index].sites[0]
        assert sample.names[number] == f"site={site.site.value},bit={site.bit}"


def test_every_beginning_of_a_list_holds_about_its_share_of_each_stratum() -> None:
    """Within one draw of the planned part."""
    sample = draw_sample(strata_of(PERMANENT, ("site",)), 200, 5)
    planned = np.array(sample.phases[0].planned)
    for done in range(1, 201):
        counts = np.bincount(sample.stratum[:done], minlength=2)
        assert (np.abs(counts - planned * done / 200) <= 1).all()


def test_draws_within_a_stratum_are_uniform() -> None:
    """Every fault of a stratum of 24 is drawn in one of four of 2,000 seeds, but for chance."""
    strata = strata_of(PERMANENT, ("site", "bit"))
    first = strata[0]
    assert first.size == 24
    counted: Counter[int] = Counter()
    wanted = [6] + [1] * (len(strata) - 1)
    for seed in range(2000):
        sample = draw_sample(strata[:1], wanted[0], seed)
        counted.update(sample.indices)
    assert set(counted) == {first[place] for place in range(24)}
    # Five standard deviations of a binomial with p = 1/4.
    assert all(abs(count - 500) < 5 * (2000 * 0.25 * 0.75) ** 0.5 for count in counted.values())


def test_main_draw_follows_the_pilot_and_draws_most_where_it_varied() -> None:
    """The pilot stays; no fault comes twice; the total is what was asked for."""
    strata = strata_of(PERMANENT, ("site",))
    pilot = draw_sample(strata, 300, 1, pilot=40)
    assert len(pilot.indices) == 40
    assert pilot.planned == 300
    shares = np.where(pilot.stratum == 0, np.arange(40) % 2, 0.0)[:, np.newaxis]
    sample = with_main_draw(pilot, strata, shares)
    assert sample.indices[:40] == pilot.indices
    assert len(set(sample.indices)) == len(sample.indices) == 300
    assert np.bincount(sample.stratum).tolist() == list(sample.phases[1].planned)
    share_of_first = sample.phases[1].planned[0] / strata[0].size
    assert share_of_first > 1.5 * sample.phases[1].planned[1] / strata[1].size
    assert [phase.first for phase in sample.phases] == [0, 40]
    with pytest.raises(ConfigError, match="a main draw must follow a pilot of which all 40 faults have run, not 39"):
        with_main_draw(pilot, strata, shares[:39])
    with pytest.raises(ConfigError, match="with 2 phases"):
        with_main_draw(sample, strata, np.zeros((300, 1)))


def test_sample_survives_json() -> None:
    """What an interval needs to know."""
    strata = strata_of(PERMANENT, ("site",))
    pilot = draw_sample(strata, 300, 1, pilot=40)
    sample = with_main_draw(pilot, strata, np.zeros((40, 1)))
    again = Sample.from_json(sample.to_json(), sample.indices)
    assert again.to_json() == sample.to_json()
    assert again.phases == sample.phases
    assert again.indices == sample.indices
    with pytest.raises(ConfigError, match="a sample must have the keys"):
        Sample.from_json({"design": "simple"})


@pytest.mark.parametrize(
    ("sizes", "total", "begun"),
    [((34949, 2, 10, 7), 8, (1, 1, 1, 1)), ((500, 1, 1), 5, (1, 1, 1)), ((9, 9), 4, (1, 1))],
)
def test_neyman_can_follow_every_pilot(sizes: tuple[int, ...], total: int, begun: tuple[int, ...]) -> None:
    """Where few draws are left for many strata, none is promised half of its share."""
    planned = neyman(sizes, [0.5] * len(sizes), total, begun)
    assert sum(planned) == total
    assert all(min(size, first + 1) <= count <= size for size, first, count in zip(sizes, begun, planned, strict=True))

"""Faults, fault spaces and draws."""

from __future__ import annotations

from collections import Counter

import pytest

from axft_spec.config import PRESETS, ArrayConfig
from axft_spec.errors import FaultError
from axft_spec.faults import (
    Fault,
    FaultKind,
    FaultSite,
    FaultSpace,
    Site,
    check_fault,
    draw_faults,
    draw_indices,
    force,
    parse_fault,
    site_bits,
)
from axft_spec.lowering import GemmShape
from axft_spec.multipliers import find_multiplier
from axft_spec.schedule import Schedule

# What a draw has: never to change.
PINNED_PAIRS = [
    "weight:r0:c2:b2+weight:r0:c2:b7:flip",
    "weight:r1:c2:b1+weight:r1:c2:b2:flip",
    "weight:r3:c0:b1+weight:r3:c0:b5:flip",
]
PINNED_BURSTS = [
    "weight:r1:c0:b7:flip@l1:g1:t0:y0+5",
    "weight:r1:c0:b3:flip@l0:g0:t0:y0+5",
    "weight:r0:c2:b5:flip@l1:g0:t0:y0+5",
]


@pytest.mark.parametrize(
    ("kind", "value", "mask", "expected"),
    [
        (FaultKind.FLIP, 5, 0b101, 0),
        (FaultKind.FLIP, 0, 0x80, -128),
        (FaultKind.STUCK_AT_1, 0, 0x80, -128),
        (FaultKind.STUCK_AT_0, -1, 0x80, 127),
        (FaultKind.STUCK_AT_0, -128, 0x01, -128),
    ],
)
def test_force_acts_on_twos_complement(kind: FaultKind, value: int, mask: int, expected: int) -> None:
    """The sign bit is a bit like the others."""
    assert force(value, kind, mask, 8) == expected


@pytest.mark.parametrize("name", ["Baseline", "8P", "34P"])
def test_default_space_has_the_size_of_the_study(name: str) -> None:
    """2 x K x M: polarities, operand bits, PEs."""
    config = PRESETS[name].config
    assert FaultSpace(config=config).size == 2 * config.width * 784


def test_space_numbers_every_fault_once() -> None:
    """All faults of a space of several sites are different, as many as its size, and of its sites and kinds."""
    config = ArrayConfig(rows=2, cols=3, multiplier=find_multiplier("34P"))
    schedule = Schedule.of([(1, GemmShape(m=2, k=2, n=3))], 2, 3)
    space = FaultSpace(
        config=config,
        sites=(Site.PRODUCT, Site.WEIGHT),
        kinds=(FaultKind.FLIP, FaultKind.STUCK_AT_1),
        schedule=schedule,
    )
    faults = list(space)
    assert len(set(faults)) == len(faults) == space.size == 2 * (10 + 8) * 6 * 5
    assert Counter(fault.sites[0].site for fault in faults) == {Site.PRODUCT: 600, Site.WEIGHT: 480}
    assert faults[0] == parse_fault("product:r0:c0:b6:flip@l0:g0:t0:y0+1")
    assert faults[1] == parse_fault("product:r0:c0:b6:sa1@l0:g0:t0:y0+1")
    assert faults[-1] == parse_fault("weight:r1:c2:b7:sa1@l0:g0:t0:y4+1")
    assert FaultSpace.from_json(space.to_json()) == space


@pytest.mark.parametrize(
    ("pattern", "bits", "sets"),
    [("adjacent", 3, 8 + 6), ("word", 2, 45 + 28), ("pe", 2, 153)],  # of 10 product bits and 8 weight bits
)
def test_space_of_several_bits_numbers_every_fault_once(pattern: str, bits: int, sets: int) -> None:
    """In one value, or at both sites of one PE; the bits of a fault are those of one PE."""
    config = ArrayConfig(rows=2, cols=3, multiplier=find_multiplier("34P"))
    sites = (Site.PRODUCT, Site.WEIGHT)
    space = FaultSpace(config=config, sites=sites, kinds=(FaultKind.FLIP,), bits=bits, pattern=pattern)
    faults = list(space)
    assert len(set(faults)) == len(faults) == space.size == 6 * sets
    for fault in faults:
        assert len(fault.sites) == bits
        assert len({(armed.row, armed.col) for armed in fault.sites}) == 1
        named = [armed.bit for armed in fault.sites]
        if pattern != "pe":
            assert len({armed.site for armed in fault.sites}) == 1
        if pattern == "adjacent":
            assert named == list(range(named[0], named[0] + bits))
    assert FaultSpace.from_json(space.to_json()) == space


def test_draw_of_several_bits_is_pinned() -> None:
    """The very faults: three flips of two weight bits each, and one in five cycles."""
    config = ArrayConfig(rows=4, cols=3)
    pairs = FaultSpace(config=config, kinds=(FaultKind.FLIP,), bits=2, pattern="word")
    assert [str(fault) for fault in draw_faults(pairs, 3, 1)] == PINNED_PAIRS
    schedule = Schedule.of([(1, GemmShape(m=4, k=9, n=3)), (2, GemmShape(m=4, k=2, n=3))], 4, 3)
    bursts = FaultSpace(config=config, kinds=(FaultKind.FLIP,), schedule=schedule, cycles=5)
    assert bursts.size == 8 * 12 * (10 + 2 * 3)
    assert [str(fault) for fault in draw_faults(bursts, 3, 1)] == PINNED_BURSTS
    for fault in bursts:
        assert fault.window is not None
        schedule.check_window(fault.window)
    assert FaultSpace.from_json(bursts.to_json()) == bursts


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bits": 9}, "bits of a fault must be at most 8, those of site weight, not 9"),
        ({"bits": 2, "pattern": "row"}, "unknown pattern of bits 'row'"),
        ({"cycles": 2}, "a permanent fault has no number of cycles, not 2"),
        ({"cycles": 99, "schedule": True}, "at most those of the longest tile, not 99"),
    ],
)
def test_spaces_without_faults_are_refused(change: dict[str, object], message: str) -> None:
    """The message says what there is."""
    if "schedule" in change:
        change = {**change, "schedule": Schedule.of([(1, GemmShape(m=4, k=9, n=3))], 4, 3)}
    with pytest.raises(FaultError, match=message):
        FaultSpace(config=ArrayConfig(rows=4, cols=3), **change)


def test_product_and_psum_bits_that_are_always_zero_are_no_sites() -> None:
    """34P never sets the low six bits; operand bits it ignores are sites all the same."""
    config = PRESETS["34P"].config
    assert site_bits(config, Site.PRODUCT) == range(6, 16)
    assert site_bits(config, Site.PSUM) == range(6, 24)
    assert site_bits(config, Site.WEIGHT) == range(8)


def test_draw_is_prefix_of_one_permutation() -> None:
    """A longer draw begins with the shorter; all of it is a permutation."""
    long = draw_indices(1000, 1000, 7)
    assert sorted(long) == list(range(1000))
    assert draw_indices(1000, 10, 7) == long[:10]
    assert draw_indices(1000, 10, 8) != long[:10]


def test_draw_is_pinned() -> None:
    """The very numbers: from raw PCG64 output they are the same on every machine and every numpy."""
    assert draw_indices(12544, 8, 0) == [1631, 2954, 11396, 10406, 10615, 11216, 7199, 2039]
    assert draw_indices(10**12, 3, 42) == [152011380360, 257583163464, 90856320806]


def test_draw_is_uniform() -> None:
    """First entries of many seeds hit all numbers about equally often: chi-square, 9 degrees, p > 0.001."""
    counts = Counter(draw_indices(10, 1, seed)[0] for seed in range(2000))
    assert sum((counts[number] - 200) ** 2 / 200 for number in range(10)) < 27.9


@pytest.mark.parametrize("count", [0, -1, 12545])
def test_draw_rejects_count_outside_space(count: int) -> None:
    """More faults than there are, or none, is an error that names the space's size."""
    with pytest.raises(FaultError, match=f"number of faults must be between 1 and 12544 .* not {count}"):
        draw_faults(FaultSpace(config=PRESETS["8P"].config), count, 0)


@pytest.mark.parametrize(
    "text", ["weight:r3:c5:b6:sa1", "psum:r0:c0:b23:flip@l0:g1:t2:y3+4", "product:r1:c1:b9+weight:r0:c1:b2:sa0"]
)
def test_fault_survives_text_and_json(text: str) -> None:
    """Both forms give the same fault back."""
    fault = parse_fault(text)
    assert str(fault) == text
    assert Fault.from_json(fault.to_json()) == fault


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weight:r3:c5:sa1", "a fault must have the form SITE:rROW"),
        ("wieght:r3:c5:b6:sa1", r"unknown fault site 'wieght' \(did you mean weight"),
        ("weight:r3:c5:b6:sa2", "unknown fault kind 'sa2'"),
        ("weight:r3:c5:b6+weight:r3:c5:b6:sa1", "one or more different bits"),
        ("weight:r3:c5:b6:sa1@l0", "a window must have the form"),
    ],
)
def test_parse_fault_rejects(text: str, message: str) -> None:
    """Other text is an error that shows what is allowed."""
    with pytest.raises(FaultError, match=message):
        parse_fault(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weight:r28:c0:b0:sa1", "row must be between 0 and 27 .* not row 28"),
        ("weight:r0:c0:b8:sa1", "bit of site weight must be between 0 and 7 .* not 8"),
        ("psum:r0:c0:b5:sa1", "bit of site psum must be between 6 and 23 .* not 5"),
    ],
)
def test_check_fault_names_what_the_configuration_lacks(text: str, message: str) -> None:
    """PEs and bits that are not there are refused."""
    with pytest.raises(FaultError, match=message):
        check_fault(parse_fault(text), PRESETS["34P"].config)


@pytest.mark.parametrize("value", [None, {}, {"kind": "flip", "sites": 3, "window": None}])
def test_from_json_rejects_other_values(value: object) -> None:
    """A line of another shape is an error, not a traceback."""
    with pytest.raises(FaultError, match="fault"):
        Fault.from_json(value)


def test_masks_collect_bits_by_pe() -> None:
    """Bits of one PE make one pattern."""
    sites = (FaultSite(Site.WEIGHT, 0, 0, 1), FaultSite(Site.WEIGHT, 0, 0, 3), FaultSite(Site.PSUM, 0, 0, 2))
    fault = Fault(FaultKind.FLIP, sites)
    assert fault.masks(Site.WEIGHT) == {(0, 0): 0b1010}

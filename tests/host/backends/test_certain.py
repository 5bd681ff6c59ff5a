"""Certainly masked faults against what injecting them shows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from axft_host.backends.base import Workload
from axft_host.backends.certain import CertainMasking
from axft_host.backends.emulator import Emulator
from axft_host.nn.network import Dense, Flatten, Network
from axft_spec.bitsets import PATTERNS
from axft_spec.config import ArrayConfig
from axft_spec.faults import FaultKind, FaultSpace, Site, draw_faults, parse_fault
from axft_spec.lowering import LOWERINGS
from axft_spec.multipliers import find_multiplier
from support.random_networks import random_network


def small_workload(seed: int, lowering: str, part: str = "34P") -> Workload:
    """Return a small random network on a 5 x 4 array."""
    rng = np.random.default_rng(seed)
    config = ArrayConfig(rows=5, cols=4, multiplier=find_multiplier(part))
    network = random_network(rng, config)
    images = rng.integers(0, 256, (3, *network.input_shape)).astype(np.uint8)
    return Workload(network=network, config=config, lowering=lowering, images=images)


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("seed", range(3))
def test_weight_faults_are_certain_exactly_if_never_activated(seed: int, lowering: str) -> None:
    """On weight sites the weights alone decide: certain, and never activated, are the same."""
    workload = small_workload(seed, lowering)
    sites = (Site.WEIGHT, Site.WEIGHT_OPERAND)
    for schedule in (None, workload.schedule):
        space = FaultSpace(config=workload.config, sites=sites, kinds=tuple(FaultKind), schedule=schedule)
        faults = draw_faults(space, 300, seed)
        activated = [run.activated.any() for run in Emulator().evaluate(workload, faults)]
        assert CertainMasking(workload).of(faults).tolist() == [not seen for seen in activated]


@pytest.mark.parametrize("lowering", LOWERINGS)
def test_certain_faults_are_masked_at_every_site(lowering: str) -> None:
    """Whatever is called certain changes no final accumulator."""
    workload = small_workload(4, lowering, "2R5")
    emulator, certain = Emulator(), CertainMasking(workload)
    golden = emulator.evaluate(workload, [None])[0].accumulators
    for schedule in (None, workload.schedule):
        space = FaultSpace(config=workload.config, sites=tuple(Site), kinds=tuple(FaultKind), schedule=schedule)
        faults = draw_faults(space, 300, 4)
        called = [fault for fault, sure in zip(faults, certain.of(faults), strict=True) if sure]
        assert len(called) > 20
        for run in emulator.evaluate(workload, called):
            assert np.array_equal(run.accumulators, golden)


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("part", ["exact", "34P"])
def test_count_of_transient_space_equals_enumeration(lowering: str, part: str) -> None:
    """The closed form counts what listing every fault counts."""
    rng = np.random.default_rng(8)
    config = ArrayConfig(rows=2, cols=2, multiplier=find_multiplier(part))
    network = random_network(rng, config)
    images = np.zeros((1, *network.input_shape), dtype=np.uint8)
    workload = Workload(network=network, config=config, lowering=lowering, images=images)
    certain = CertainMasking(workload)
    for site in (Site.WEIGHT, Site.ACTIVATION_OPERAND, Site.PSUM):
        space = FaultSpace(config=config, sites=(site,), kinds=(FaultKind.STUCK_AT_0,), schedule=workload.schedule)
        assert certain.count(space) == certain.of(list(space)).sum()
    flips = FaultSpace(config=config, kinds=(FaultKind.FLIP,), schedule=workload.schedule)
    assert certain.count(flips) == certain.of(list(flips)).sum()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_count_of_several_bits_equals_enumeration(pattern: str) -> None:
    """Permanent ones are counted PE by PE; the larger space of transient ones is not counted."""
    workload = small_workload(2, "toeplitz")
    certain = CertainMasking(workload)
    space = FaultSpace(config=workload.config, sites=(Site.WEIGHT, Site.PRODUCT), bits=2, pattern=pattern)
    assert certain.count(space) == certain.of(list(space)).sum() > 0
    assert certain.count(replace(space, schedule=workload.schedule)) is None


def test_count_of_permanent_space_is_exact_by_hand() -> None:
    """One weight of 0b01010101 in a 1 x 1 layer on a 2 x 2 array: one PE in use, four bits each way."""
    network = Network(
        name="one",
        ops=(Flatten(name="f"), Dense(name="d", weights=np.array([[0b01010101]]), bias=np.zeros(1, dtype=int))),
        width=8,
        multiplier=find_multiplier("exact"),
        rounding="paper",
        compensated=False,
        config_name=None,
        input_shape=(1, 1, 1),
        input_table=np.arange(256)[None] // 2,
        score_scale=1.0,
        source_digest="",
    )
    config = ArrayConfig(rows=2, cols=2)
    workload = Workload(
        network=network, config=config, lowering="im2col", images=np.zeros((1, 1, 1, 1), dtype=np.uint8)
    )
    certain = CertainMasking(workload)
    # 3 idle PEs x 8 bits x 2 polarities, and in PE(0, 0) the 8 stuck-ats that the weight already has.
    assert certain.count(FaultSpace(config=config)) == 3 * 16 + 8
    assert certain.of([parse_fault("weight:r0:c0:b0:sa1"), parse_fault("weight:r0:c0:b1:sa1")]).tolist() == [
        True,
        False,
    ]
    # A set is certain only if all its bits are.
    assert not certain.of([parse_fault("weight:r0:c0:b0+weight:r0:c0:b1:sa1")])[0]

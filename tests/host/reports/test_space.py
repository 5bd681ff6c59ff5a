"""Counted groups of a fault space are as large as those one gets by listing every fault."""

from __future__ import annotations

from collections import Counter
from itertools import product

import pytest

from axft_host.reports.space import CYCLE_PARTS, SpaceCounts
from axft_spec.config import PRESETS
from axft_spec.faults import Fault, FaultKind, FaultSpace, Site
from axft_spec.lowering import GemmShape
from axft_spec.schedule import Schedule

CONFIG = PRESETS["34P"].config.resized(2, 3)
SCHEDULE = Schedule.of([(2, GemmShape(m=3, k=2, n=4)), (1, GemmShape(m=1, k=9, n=2))], 2, 3)
# Cycles of a tile: k + rows + cols - 2.
LENGTHS = (5, 12)

SPACES = {
    "one site, both polarities": FaultSpace(config=CONFIG),
    "several sites": FaultSpace(config=CONFIG, sites=(Site.PSUM, Site.WEIGHT), kinds=(FaultKind.FLIP,)),
    "one cycle": FaultSpace(config=CONFIG, kinds=(FaultKind.FLIP,), schedule=SCHEDULE),
    "three cycles": FaultSpace(config=CONFIG, kinds=(FaultKind.FLIP,), schedule=SCHEDULE, cycles=3),
    "neighbours": FaultSpace(config=CONFIG, sites=(Site.WEIGHT, Site.ACTIVATION), bits=3),
    "any bits of a word": FaultSpace(config=CONFIG, sites=(Site.WEIGHT, Site.ACTIVATION), bits=2, pattern="word"),
    "any bits of a PE": FaultSpace(config=CONFIG, sites=(Site.WEIGHT, Site.ACTIVATION), bits=2, pattern="pe"),
}


def properties(fault: Fault) -> set[tuple[tuple[str, int], ...]]:
    """Return every combination of values that a fault has, each bit with its own."""
    common = {"kind": list(FaultKind).index(fault.kind)}
    if fault.window is not None:
        part = fault.window.first_cycle * CYCLE_PARTS // LENGTHS[fault.window.layer]
        common |= {"layer": fault.window.layer, "cycle": part}
    found = set()
    for armed in fault.sites:
        values = {"site": list(Site).index(armed.site), "bit": armed.bit, "row": armed.row, "col": armed.col, **common}
        for chosen in product((False, True), repeat=len(values)):
            found.add(tuple(sorted(pair for pair, take in zip(values.items(), chosen, strict=True) if take)))
    return found


@pytest.mark.parametrize("name", list(SPACES))
def test_count_is_that_of_all_faults_one_by_one(name: str) -> None:
    """Every combination of site, kind, bit, row, column, layer and cycles that any fault has."""
    space = SPACES[name]
    counted = Counter(key for fault in space for key in properties(fault))
    counts = SpaceCounts(space)
    assert counted[()] == space.size
    assert {key: counts.count(**dict(key)) for key in counted} == dict(counted)


@pytest.mark.parametrize("name", list(SPACES))
def test_values_are_those_that_faults_have(name: str) -> None:
    """None missing; only parts of cycles that nothing can begin in may be more."""
    space = SPACES[name]
    found = {pair for fault in space for key in properties(fault) if len(key) == 1 for pair in key}
    told = {(dimension, value) for dimension, values in SpaceCounts(space).values().items() for value in values}
    assert found <= told
    assert {dimension for dimension, _ in told - found} <= {"cycle"}

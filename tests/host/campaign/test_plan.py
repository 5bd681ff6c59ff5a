"""Options become plans, or errors that say why not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from axft_host.campaign.plan import (
    DEFAULT_FAULTS,
    FaultOptions,
    check_representable,
    draw_for,
    fault_space,
    resolve_faults,
)
from axft_host.campaign.workload import WorkloadOptions
from axft_spec.config import PRESETS, ArrayConfig
from axft_spec.errors import AxftError, BackendError, ConfigError, FaultError
from axft_spec.faultlist import FaultList, draw_fault_list, read_fault_list, write_fault_list
from axft_spec.faults import FaultKind, FaultSpace, Site, parse_fault
from axft_spec.lowering import GemmShape
from axft_spec.multipliers import find_multiplier
from axft_spec.schedule import Schedule
from support.small_campaign import IMAGES, small_plan

CONFIG = ArrayConfig(rows=4, cols=3)
SCHEDULE = Schedule.of([(1, GemmShape(m=5, k=9, n=4)), (2, GemmShape(m=1, k=6, n=3))], 4, 3)


def write_list(path: Path, *texts: str) -> Path:
    """Write a list that was made by hand."""
    write_fault_list(path, FaultList(tuple(map(parse_fault, texts))))
    return path


# --- fault options ------------------------------------------------------------------------------------------


def test_default_space_is_the_published_one() -> None:
    """Both polarities x bits x PEs of the weight: 2 x 8 x 784."""
    space = fault_space(FaultOptions(), PRESETS["8P"].config)
    assert space.sites == (Site.WEIGHT,)
    assert set(space.kinds) == {FaultKind.STUCK_AT_0, FaultKind.STUCK_AT_1}
    assert (space.schedule, space.size) == (None, 12544)


def test_transient_faults_flip_unless_a_kind_is_given() -> None:
    """One cycle each of the schedule: kinds x bits x PEs x cycles."""
    space = fault_space(FaultOptions(transient=True), CONFIG, SCHEDULE)
    assert (space.kinds, space.size) == ((FaultKind.FLIP,), 8 * 12 * SCHEDULE.cycles)
    space = fault_space(FaultOptions(transient=True, kind="sa0"), CONFIG, SCHEDULE)
    assert space.kinds == (FaultKind.STUCK_AT_0,)


def test_draw_without_a_number_takes_the_default_or_the_whole_space() -> None:
    """A small space is simply exhausted."""
    large = resolve_faults(FaultOptions(), PRESETS["8P"].config, None)
    assert len(large.faults) == DEFAULT_FAULTS
    small = resolve_faults(FaultOptions(), CONFIG, None)
    assert len(set(small.faults)) == len(small.faults) == 2 * 8 * 12


def test_margin_decides_the_number() -> None:
    """At 99% and 1%, 57% of the space of 8 bits on 28 x 28."""
    drawn = resolve_faults(FaultOptions(margin=0.01, confidence=0.99), PRESETS["8P"].config, None)
    assert len(drawn.faults) == 7143


def test_draw_is_that_of_the_specification() -> None:
    """Same seed, same faults; another seed, others."""
    space = FaultSpace(config=CONFIG, sites=(Site.PSUM,), kinds=(FaultKind.FLIP,))
    options = FaultOptions(site="psum", kind="flip", faults=20, seed=7)
    assert resolve_faults(options, CONFIG, None) == draw_fault_list(space, 20, 7)
    assert resolve_faults(FaultOptions(site="psum", kind="flip", faults=20), CONFIG, None) == draw_fault_list(
        space, 20, 0
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"faults": 193}, FaultError, "number of faults must be between 1 and 192 .* not 193"),
        ({"faults": 0}, ConfigError, "faults must be at least 1, not 0"),
        ({"faults": -5}, ConfigError, "faults must be at least 1, not -5"),
        ({"faults": 5, "margin": 0.1}, ConfigError, "either --faults or --margin must be given, not both"),
        ({"margin": 2.0}, ConfigError, r"margin must be a fraction .* not 2; write 0.02 for 2%"),
        ({"confidence": 95.0}, ConfigError, r"confidence must be a fraction .* not 95; write 0.95 for 95%"),
        ({"seed": -1}, ConfigError, "seed must be at least 0, not -1"),
        ({"site": "weights"}, FaultError, r"unknown fault site 'weights' \(did you mean weight"),
        ({"kind": "stuck_at_0"}, FaultError, "unknown fault kind 'stuck_at_0'.*allowed: stuck, flip, sa0, sa1"),
        ({"fault": "weight:r4:c0:b0:sa1"}, FaultError, "row must be between 0 and 3 .* not row 4"),
        ({"fault": "weight:r0:c0:b8:sa1"}, FaultError, "bit of site weight must be between 0 and 7 .* not 8"),
        ({"fault": "weight:sa1"}, FaultError, "a fault must have the form SITE:rROW"),
        ({"fault": "weight:r0:c0:b0:flip@l2:g0:t0:y0+1"}, FaultError, "layer must be between 0 and 1, not 2"),
        ({"fault": "weight:r0:c0:b0:sa1", "seed": 0}, ConfigError, "--fault .* must stand alone, .*: --fault, --seed"),
        (
            {"fault_list": Path("f.jsonl"), "site": "psum", "transient": True},
            ConfigError,
            "--fault-list .* must stand alone, .*: --fault-list, --site, --transient",
        ),
    ],
)
def test_fault_options_that_cannot_be_met_are_refused(
    options: dict[str, object], error: type[AxftError], message: str
) -> None:
    """The message says what was given and what is allowed."""
    with pytest.raises(error, match=message):
        resolve_faults(FaultOptions(**options), CONFIG, SCHEDULE)


# --- fault lists --------------------------------------------------------------------------------------------


def test_list_made_by_hand_has_no_space(tmp_path: Path) -> None:
    """Nothing follows from it about other faults."""
    path = write_list(tmp_path / "f.jsonl", "weight:r0:c0:b0:sa1", "psum:r1:c1:b3:flip")
    listed = resolve_faults(FaultOptions(fault_list=path), CONFIG, SCHEDULE)
    assert (len(listed.faults), listed.space, listed.seed) == (2, None, None)


def test_list_with_a_fault_twice_is_refused(tmp_path: Path) -> None:
    """It would count twice."""
    path = write_list(tmp_path / "f.jsonl", "weight:r0:c0:b0:sa1", "weight:r0:c0:b0:sa1")
    with pytest.raises(FaultError, match=r"every fault once, not twice: weight:r0:c0:b0:sa1$"):
        resolve_faults(FaultOptions(fault_list=path), CONFIG, SCHEDULE)


def test_list_is_a_sample_of_another_multipliers_space_too(tmp_path: Path) -> None:
    """The weight of a 34P array has the same bits; the space that it stands for is that of the run."""
    write_fault_list(tmp_path / "f.jsonl", draw_fault_list(FaultSpace(config=CONFIG), 10, 1))
    other = ArrayConfig(rows=4, cols=3, multiplier=find_multiplier("34P"))
    listed = resolve_faults(FaultOptions(fault_list=tmp_path / "f.jsonl"), other, SCHEDULE)
    assert listed.space is not None
    assert listed.space.config == other


@pytest.mark.parametrize(
    ("space", "other"),
    [
        (FaultSpace(config=CONFIG), ArrayConfig(rows=4, cols=4)),
        (FaultSpace(config=CONFIG), ArrayConfig(rows=4, cols=3, width=16)),
        (FaultSpace(config=CONFIG, sites=(Site.PSUM,)), ArrayConfig(rows=4, cols=3, multiplier=find_multiplier("34P"))),
        (
            FaultSpace(
                config=CONFIG, kinds=(FaultKind.FLIP,), schedule=Schedule.of([(1, GemmShape(m=5, k=9, n=4))], 4, 3)
            ),
            CONFIG,
        ),
    ],
)
def test_list_drawn_where_other_faults_exist_is_refused(tmp_path: Path, space: FaultSpace, other: ArrayConfig) -> None:
    """Other PEs, other bits, another schedule."""
    write_fault_list(tmp_path / "f.jsonl", draw_fault_list(space, 5, 1))
    with pytest.raises(FaultError, match=r"where other faults exist .* draw one with `axft-hw faults`"):
        resolve_faults(FaultOptions(fault_list=tmp_path / "f.jsonl"), other, SCHEDULE)


def test_set_that_a_smaller_array_cannot_represent_is_refused() -> None:
    """One window cannot serve bits that would need two, and permanent sets always fit unless they meet."""
    two = parse_fault("weight:r0:c0:b0+weight:r3:c2:b0:flip@l0:g0:t0:y4+2")
    check_representable([two], SCHEDULE, (4, 3))
    with pytest.raises(FaultError, match="use a physical array as large as the logical one"):
        check_representable([two], SCHEDULE, (2, 3))
    check_representable([parse_fault("weight:r0:c0:b0:flip@l0:g0:t0:y4+2")], SCHEDULE, (1, 1))


def test_permanent_faults_are_drawn_without_a_network() -> None:
    """Its file is not even looked for."""
    drawn = draw_for(WorkloadOptions(config="8P", model="no-such-network"), FaultOptions(faults=3))
    assert len(drawn.faults) == 3


# --- whole plans --------------------------------------------------------------------------------------------


def test_plan_records_what_was_resolved(tmp_path: Path) -> None:
    """Defaults are spelled out, as plain JSON."""
    plan = small_plan(tmp_path)
    spec = json.loads(json.dumps(plan.spec()))
    assert spec == {
        "board": "emu",
        "physical": None,
        "config": "8P",
        "array": "4x3",
        "operand_a": "weight",
        "model": "small",
        "rounding": "multiplier",
        "compensated": False,
        "lowering": "im2col",
        "data": "small-data",
        "images": IMAGES,
        "site": "weight",
        "kind": "stuck",
        "transient": False,
        "faults": 60,
        "seed": 0,
        "score": "softmax",
        "confidence": 0.95,
    }


def test_plan_of_mixed_faults_says_so(tmp_path: Path) -> None:
    """No one site or kind stands for them."""
    path = write_list(tmp_path / "f.jsonl", "weight:r0:c0:b0:sa1", "psum:r1:c1:b3:flip")
    plan = small_plan(tmp_path, faults={"fault_list": path})
    assert (plan.site, plan.kind) == ("mixed", "mixed")


def test_plan_of_one_polarity_is_not_called_stuck(tmp_path: Path) -> None:
    """Unless it was drawn from both."""
    assert small_plan(tmp_path, faults={"fault": "weight:r0:c0:b0:sa1"}).kind == "sa1"
    assert small_plan(tmp_path, faults={"faults": 1}).kind == "stuck"


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"board": "pynq"}, BackendError, "needs the Python package pynq.*use --board emu or rtl"),
        ({"bitstream": "x.bit"}, ConfigError, "board 'emu' loads no bitstream; allowed: --bitstream with --board pynq"),
        ({"board": "emulator"}, BackendError, "unknown board 'emulator'.*allowed: emu"),
        ({"score": "logits"}, ConfigError, "unknown score 'logits'; allowed: softmax, raw"),
        ({"workers": 0}, ConfigError, "workers must be at least 1, not 0"),
        ({"physical": "2x"}, ConfigError, "array must be ROWSxCOLS"),
        ({"workload": {"images": 0}}, ConfigError, "images must be at least 1, not 0"),
        ({"workload": {"images": 13}}, ConfigError, "images must be between 1 and 12, not 13"),
        ({"workload": {"lowering": "fft"}}, ConfigError, "unknown lowering 'fft'"),
        ({"workload": {"array": "0x3"}}, ConfigError, "rows of the array must be between 1 and 64, not 0"),
    ],
)
def test_options_that_cannot_be_met_are_refused(
    tmp_path: Path, options: dict[str, object], error: type[AxftError], message: str
) -> None:
    """Before anything runs, and without a trace."""
    with pytest.raises(error, match=message):
        small_plan(tmp_path, **options)


def test_fault_list_of_a_result_can_be_read_again(tmp_path: Path) -> None:
    """What the header says of the space survives."""
    path = tmp_path / "f.jsonl"
    drawn = draw_for(WorkloadOptions(config="34P", array="4x3"), FaultOptions(faults=9, seed=3))
    write_fault_list(path, drawn)
    assert read_fault_list(path) == drawn

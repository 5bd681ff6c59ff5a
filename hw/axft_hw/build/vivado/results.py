"""What the script has left: read, and checked against what was asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from axft_hw.build.hwh import with_clock
from axft_hw.build.open_flow.bitstream import Bitstream, to_bin
from axft_hw.build.vivado.run import SCRIPT_NAME
from axft_hw.build.vivado.sources import DESIGN, fabric_clock_mhz
from axft_spec.errors import BackendError, ConfigError
from axft_spec.handoff import read_handoff
from axft_spec.hardware import HardwareConfig
from axft_spec.overlay import BASE_ADDRESS, INSTANCE, clock_divisors

__all__ = ["LOG_NAME", "VivadoResults", "read_results", "used_resources"]

#: Vivado's own, in the directory where it was started (UG835, "Tcl Journal Files").
LOG_NAME = "vivado.log"

_DIRECTORY, _SUMMARY = "results", "results.txt"
_REPORTS = ("timing.rpt", "utilization.rpt", "drc.rpt", "route.rpt")

# Rows of report_utilization for a 7-series device, by resource. The names have notes' asterisks in some versions.
_ROWS = {"LUT": "Slice LUTs", "FF": "Slice Registers", "BRAM36": "Block RAM Tile", "DSP": "DSPs", "CARRY4": "CARRY4"}

# The header of a .bit file for xc7z020clg400-1, as Vivado writes it.
_PART = "7z020clg400"


@dataclass(frozen=True, slots=True, kw_only=True)
class VivadoResults:
    """A design that Vivado has built.

    Members
    -------
    files : dict of str to bytes
        The bitstream in both forms, the .hwh, reports and log, by name.
    version : str
        Of Vivado.
    used : dict of str to float
        Resources, by the names of `axft_hw.build.device.RESOURCES`.
    asked_mhz : float
        What was asked for.
    divisors : tuple of int
        What the .hwh file makes the board's clock by: never faster than the design is.
    setup_slack_ns, hold_slack_ns : float
        Of the worst paths.
    """

    files: dict[str, bytes]
    version: str
    used: dict[str, float]
    asked_mhz: float
    divisors: tuple[int, int]
    setup_slack_ns: float
    hold_slack_ns: float

    @property
    def fmax_mhz(self) -> float:
        """How fast the design may be clocked, in MHz, as far as setup goes."""
        return _fmax_mhz(self.asked_mhz, self.setup_slack_ns)

    @property
    def met(self) -> bool:
        """Whether the design is as fast as asked for, and right at any speed."""
        return self.setup_slack_ns >= 0 and self.hold_slack_ns >= 0


def _fmax_mhz(asked_mhz: float, setup_slack_ns: float) -> float:
    return 1000 / (1000 / fabric_clock_mhz(asked_mhz) - setup_slack_ns)


def used_resources(report: str) -> dict[str, float]:
    """Return the column "Used" of Vivado's report_utilization, by resource.

    Raises
    ------
    BackendError
        If the report lacks one.
    """
    found = dict(re.findall(r"^\|\s*([A-Za-z0-9 ]+?)\*?\s*\|\s*([\d.]+)\s*\|", report, re.MULTILINE))
    missing = [name for resource, name in _ROWS.items() if name not in found and resource != "CARRY4"]
    if missing:
        raise BackendError(f"utilization.rpt has no row {missing[0]!r}; is it Vivado's report_utilization?")
    return {resource: float(found.get(name, 0)) for resource, name in _ROWS.items()}


def read_results(directory: Path, hardware: HardwareConfig, asked_mhz: float) -> VivadoResults:
    """Read what the script has left in the directory where it lies.

    Parameters
    ----------
    directory : Path
    hardware : HardwareConfig
    asked_mhz : float
        The frequency that was asked for, in MHz.

    Raises
    ------
    ConfigError
        If the script has not run to its end there, or for another design or clock.
    BackendError
        If a file is missing or is not what it should be.
    """
    results = directory / _DIRECTORY
    try:
        lines = (results / _SUMMARY).read_text(encoding="utf-8").splitlines()
    except OSError:
        if not (directory / SCRIPT_NAME).is_file():
            what = f"has no {SCRIPT_NAME}" if directory.is_dir() else "is no directory"
            raise ConfigError(
                f"the directory where Vivado has run must be one that the flow vivado has written, with {SCRIPT_NAME} "
                f"in it, not {directory}, which {what}"
            ) from None
        raise ConfigError(
            f"{results / _SUMMARY} is not there: Vivado has not run {SCRIPT_NAME} in {directory} to its end; run it "
            f"there, {LOG_NAME} says where it has stopped"
        ) from None
    summary = dict(line.split(maxsplit=1) for line in lines if " " in line)
    clock_mhz = fabric_clock_mhz(asked_mhz)
    try:
        found = summary["config_hash"], float(summary["clock_mhz"])
        setup, hold = float(summary["setup_slack_ns"]), float(summary["hold_slack_ns"])
        version = summary["vivado"]
    except (KeyError, ValueError) as error:
        raise ConfigError(f"{results / _SUMMARY} is damaged ({error}); run {SCRIPT_NAME} again") from None
    expected = f"{hardware.config_hash:08x}", clock_mhz
    if found != expected:
        raise ConfigError(
            f"{directory} is of another design: configuration and clock must be {expected[0]} and {expected[1]:g} MHz, "
            f"not {found[0]} and {found[1]:g} MHz; give the options that its {SCRIPT_NAME} was made with"
        )
    try:
        files = {name: (results / name).read_bytes() for name in (f"{DESIGN}.bit", f"{DESIGN}.hwh", *_REPORTS)}
    except OSError as error:
        raise BackendError(f"{error.filename} cannot be read: {error.strerror}; run {SCRIPT_NAME} again") from None
    if (directory / LOG_NAME).is_file():
        files[LOG_NAME] = (directory / LOG_NAME).read_bytes()

    raw = Bitstream.from_bytes(files[f"{DESIGN}.bit"])
    if not raw.part.startswith(_PART):
        raise BackendError(f"{results / DESIGN}.bit must be for {_PART}, not {raw.part}")
    # Without the time at which it was made: the same design gives the same file.
    bitstream = Bitstream(design=raw.design, part=raw.part, date="2000/01/01", time="00:00:00", data=raw.data)
    files |= {f"{DESIGN}.bit": bitstream.to_bytes(), f"{DESIGN}.bin": to_bin(bitstream.data)}

    path = results / f"{DESIGN}.hwh"
    handoff = read_handoff(path)
    handoff.check(path, hardware)
    if (handoff.instance, handoff.base) != (INSTANCE, BASE_ADDRESS):
        raise BackendError(
            f"{path} must have {INSTANCE} at 0x{BASE_ADDRESS:08x}, not {handoff.instance} at 0x{handoff.base:08x}"
        )
    # A board must not be told to run a design faster than it is.
    safe_mhz = asked_mhz if setup >= 0 else _fmax_mhz(asked_mhz, setup)
    files[f"{DESIGN}.hwh"] = with_clock(files[f"{DESIGN}.hwh"].decode(), safe_mhz).encode()
    return VivadoResults(
        files=files,
        version=version,
        used=used_resources(files["utilization.rpt"].decode()),
        asked_mhz=asked_mhz,
        divisors=clock_divisors(safe_mhz),
        setup_slack_ns=setup,
        hold_slack_ns=hold,
    )

"""What Vivado is given: the block as Verilog, the script, and the script's settings."""

from __future__ import annotations

from importlib.resources import files

from axft_hw.build.device import PART
from axft_hw.build.generate import NAME as BLOCK_NAME
from axft_hw.build.generate import Block, block_ports
from axft_hw.build.hwh import register_access
from axft_hw.build.verilog import to_verilog
from axft_hw.build.vivado.run import SCRIPT_NAME
from axft_spec.hardware import HardwareConfig
from axft_spec.overlay import (
    ADDRESS_RANGE,
    BASE_ADDRESS,
    CRYSTAL_MHZ,
    INSTANCE,
    IO_PLL_MHZ,
    PORT,
    PROCESSOR,
    VLNV,
    clock_divisors,
)
from axft_spec.regmap import REGISTERS, Register

__all__ = ["DESIGN", "fabric_clock_mhz", "settings_tcl", "tcl_word", "vivado_sources"]

#: Name of the block design, and of the files made from it.
DESIGN = "axft"


def fabric_clock_mhz(clock_mhz: float) -> float:
    """Return the fastest clock, in MHz, that the board can make and that is not faster than what is asked for."""
    first, second = clock_divisors(clock_mhz)
    return round(IO_PLL_MHZ / (first * second), 6)


def tcl_word(text: str) -> str:
    """Return a text as one word of a Tcl list, in braces, whatever is in it."""
    depth, balanced = 0, "\\" not in text
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        balanced &= depth >= 0
    if balanced and depth == 0:
        return f"{{{text}}}"
    return '"' + "".join(f"\\{each}" if each in '\\{}[]$"' else each for each in text) + '"'


def _register(entry: Register) -> str:
    fields = " ".join(
        # As in the .hwh file: pynq makes attributes of them.
        f"{{{field.name.upper()} {field.low} {field.bits} {register_access(field)} {tcl_word(field.text)}}}"
        for field in entry.fields
    )
    return f"    {{{entry.name} 0x{entry.offset:x} {register_access(entry)} {tcl_word(entry.text)} {{{fields}}}}}"


def settings_tcl(hardware: HardwareConfig, clock_mhz: float) -> str:
    """Return the text of settings.tcl.

    Parameters
    ----------
    hardware : HardwareConfig
    clock_mhz : float
        The frequency to aim at, in MHz; the setting is the fastest that the board can make below it.
    """
    values = {
        "design": DESIGN,
        "part": PART,
        "top": BLOCK_NAME,
        "vlnv": VLNV,
        "instance": INSTANCE,
        "processor": PROCESSOR,
        "port": PORT,
        "base_address": f"0x{BASE_ADDRESS:08x}",
        "address_range": str(ADDRESS_RANGE),
        "crystal_mhz": f"{CRYSTAL_MHZ:g}",
        "clock_mhz": repr(fabric_clock_mhz(clock_mhz)),
        "config_hash": f"{hardware.config_hash:08x}",
    }
    lines = [f"set {name} {value}" for name, value in values.items()]
    lines.append("# Name, offset, access, description; fields: name, lowest bit, bits, access, description.")
    return "\n".join([*lines, "set registers {", *map(_register, REGISTERS), "}"]) + "\n"


def vivado_sources(hardware: HardwareConfig, clock_mhz: float) -> dict[str, bytes]:
    """Return the files, by name, of a directory in which Vivado can build a device.

    Parameters
    ----------
    hardware : HardwareConfig
    clock_mhz : float
        The frequency to aim at, in MHz.

    Raises
    ------
    BackendError
        If there is no yosys, which writes the Verilog, or it fails.
    """
    block = Block(hardware)
    return {
        f"{BLOCK_NAME}.v": to_verilog(block, BLOCK_NAME, block_ports(block)).encode(),
        "settings.tcl": settings_tcl(hardware, clock_mhz).encode(),
        SCRIPT_NAME: files("axft_hw.build.vivado").joinpath(SCRIPT_NAME).read_bytes(),
    }

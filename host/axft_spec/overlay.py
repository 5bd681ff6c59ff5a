"""Where the accelerator is in a design for a Zynq-7000: what the .hwh file, the netlist and the driver agree on."""

from __future__ import annotations

from axft_spec.errors import ConfigError
from axft_spec.regmap import ADDRESS_BITS

__all__ = [
    "ADDRESS_RANGE",
    "BASE_ADDRESS",
    "CRYSTAL_MHZ",
    "DEFAULT_CLOCK_MHZ",
    "INSTANCE",
    "INTERFACE",
    "IO_PLL_MHZ",
    "PORT",
    "PORT_RANGE",
    "PROCESSOR",
    "VLNV",
    "clock_divisors",
]

#: Name of the block in the design, and of the attribute that an overlay has for it.
INSTANCE = "axft_0"

#: Vendor, library, name and version of the block: what a driver binds to.
VLNV = "axft:hw:axft_top:1.0"

#: Name of the processing system in the design.
PROCESSOR = "processing_system7_0"

#: The processing system's port that the block is behind.
PORT = "M_AXI_GP0"

#: What the processor reaches through it (Zynq-7000 TRM, UG585, table 4-1).
PORT_RANGE = range(0x4000_0000, 0x8000_0000)

#: The block's own interface there.
INTERFACE = "S_AXI"

#: First address of the block.
BASE_ADDRESS = PORT_RANGE.start

#: Bytes that the block has there.
ADDRESS_RANGE = 1 << ADDRESS_BITS

#: PYNQ-Z2's crystal.
CRYSTAL_MHZ = 50.0

#: The PLL that the fabric's clocks come from: on a PYNQ-Z2 the crystal, times 20 (set by the boot loader).
IO_PLL_MHZ = 20 * CRYSTAL_MHZ

#: What a fabric clock is set to when nothing else is known of a bitstream.
DEFAULT_CLOCK_MHZ = 100.0

_DIVISORS = range(1, 64)


def clock_divisors(clock_mhz: float) -> tuple[int, int]:
    """Return the two divisors of the IO PLL that make the fastest clock which is not faster than what is asked for.

    The fields of FPGA0_CLK_CTRL have six bits each (Zynq-7000 TRM, UG585, B.28).

    Raises
    ------
    ConfigError
        If no divisors do.
    """
    slowest, fastest = IO_PLL_MHZ / (_DIVISORS[-1] ** 2), IO_PLL_MHZ / 4
    if not slowest <= clock_mhz <= fastest:
        raise ConfigError(f"the fabric clock must be between {slowest:.3f} and {fastest:.0f} MHz, not {clock_mhz}")
    return min(
        ((first, second) for first in _DIVISORS for second in _DIVISORS if IO_PLL_MHZ / (first * second) <= clock_mhz),
        key=lambda pair: (pair[0] * pair[1], pair[1]),
    )

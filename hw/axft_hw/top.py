"""The whole block: an AXI3 slave, the bus side, the core."""

from __future__ import annotations

from amaranth.hdl import Module
from amaranth.lib import wiring
from amaranth.lib.wiring import In

from axft_hw.axi.signature import Axi3Signature
from axft_hw.axi.slave import Axi3Slave
from axft_hw.bus_side import BusSide
from axft_hw.core import Core
from axft_hw.interfaces import BUFFERS
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import ADDRESS_BITS

__all__ = ["ID_BITS", "Top"]

ID_BITS = 12
"""Bits of the AXI IDs: those of the general-purpose ports of a Zynq-7000."""


class Top(wiring.Component):
    """An accelerator behind one AXI3 slave of 1 MiB, as `axft_spec.regmap` lays it out.

    **Latency, throughput.** Those of `Axi3Slave`, `Sequencer`, `Drain` and `ScanController`.
    **Reset.** Everything but the contents of the memories.

    Parameters
    ----------
    hardware : HardwareConfig

    Members
    -------
    axi : In(Axi3Signature)
        The one port.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        super().__init__({"axi": In(Axi3Signature(address_bits=ADDRESS_BITS, id_bits=ID_BITS))})

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        m.submodules.axi = axi = Axi3Slave(address_bits=ADDRESS_BITS, id_bits=ID_BITS)
        m.submodules.bus = bus = BusSide(self.hardware)
        m.submodules.core = core = Core(self.hardware)
        wiring.connect(m, wiring.flipped(self.axi), axi.axi)
        wiring.connect(m, axi.bus, bus.bus)
        wiring.connect(m, bus.control, core.control)
        for name in BUFFERS.values():
            wiring.connect(m, getattr(bus, name), getattr(core, name))
        return m

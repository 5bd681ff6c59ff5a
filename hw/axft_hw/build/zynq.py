"""The top of a design for a Zynq-7000: the accelerator behind the processing system's port M_AXI_GP0."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import ClockDomain, ClockSignal, Instance, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.cdc import ResetSynchronizer

from axft_hw.axi.signature import Axi3Signature
from axft_hw.top import ID_BITS
from axft_spec.overlay import PORT
from axft_spec.regmap import ADDRESS_BITS

__all__ = ["ZynqTop"]


# The primitive's names have no underscores.
_PREFIX = PORT.replace("_", "")

# The signals of the primitive that the block does not have, or not in that width.
_ADDRESS_BITS = 32
_SIZE_BITS = 2


class ZynqTop(wiring.Component):
    """A component with one AXI3 slave, `axi`, behind M_AXI_GP0 of the processing system, clocked by FCLK0.

    The port has no pins: the processing system has its own, which configuration does not touch. The block's 1 MiB are
    seen at every address of the port.

    **Latency, throughput.** Those of the block. **Reset.** FCLKRESETN[0], taken off synchronously with FCLK0; the
    Linux driver of the configuration interface releases it when the fabric is configured.

    Parameters
    ----------
    block : wiring.Component
        Has a member `axi`, an `In(Axi3Signature(address_bits=ADDRESS_BITS, id_bits=ID_BITS))`, and uses the clock
        domain `sync`.
    """

    def __init__(self, block: Any) -> None:
        self.block = block
        super().__init__({})

    def elaborate(self, platform: object) -> Module:
        """Build the clock, the reset, and the wiring between the primitive and the block."""
        m = Module()
        m.submodules.block = self.block
        axi = Axi3Signature(address_bits=ADDRESS_BITS, id_bits=ID_BITS).create(path=("gp0",))
        wiring.connect(m, axi, self.block.axi)

        clocks, resets = Signal(4), Signal(4)
        ports: dict[str, Any] = {"o_FCLKCLK": clocks, "o_FCLKRESETN": resets, f"i_{_PREFIX}ACLK": ClockSignal()}
        for name, member in axi.signature.members.items():
            signal = getattr(axi, name)
            port = f"{_PREFIX}{name.upper()}"
            if member.flow is wiring.In:
                ports[f"i_{port}"] = signal
                continue
            wider = {"addr": _ADDRESS_BITS, "size": _SIZE_BITS}.get(name[2:])
            if wider is not None:
                outside = Signal(wider, name=f"gp0_{name}_outside")
                m.d.comb += signal.eq(outside)
                signal = outside
            ports[f"o_{port}"] = signal
        m.submodules.ps7 = Instance("PS7", **ports)

        m.domains.sync = sync = ClockDomain()
        m.submodules.clock_buffer = Instance("BUFG", i_I=clocks[0], o_O=sync.clk)
        m.submodules.reset = ResetSynchronizer(~resets[0])
        return m

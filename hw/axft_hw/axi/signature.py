"""The signals of an AXI3 port, and the names they have outside.

Names, widths and encodings are those of the AMBA AXI Protocol Specification (ARM IHI 0022E), part A: the signal
lists of chapter A2, the AXI3 widths of LEN and LOCK and the write ID of sections A3.4 and A5.4.
"""

from __future__ import annotations

import enum
from typing import Any

from amaranth.hdl import Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_spec.errors import check_int

__all__ = ["Axi3Signature", "Burst", "Response", "port_map"]


class Burst(enum.IntEnum):
    """How the address goes on inside a burst; 3 is reserved."""

    FIXED = 0
    INCR = 1
    WRAP = 2


class Response(enum.IntEnum):
    """What a transfer came to."""

    OKAY = 0
    EXOKAY = 1
    SLVERR = 2
    DECERR = 3


class Axi3Signature(wiring.Signature):
    """An AXI3 port with 32-bit data, as its master sees it; a slave has it as ``In``.

    Parameters
    ----------
    address_bits : int
        Width of AWADDR and ARADDR, 7 (more than the longest burst) to 32.
    id_bits : int
        Width of the IDs, 1 to 32; 12 on the M_AXI_GP ports of a Zynq-7000.

    Members
    -------
    awid, awaddr, awlen, awsize, awburst, awlock, awcache, awprot, awvalid : Out
        A write burst of ``awlen + 1`` beats of ``2**awsize`` bytes. `awlen` has 4 bits and `awlock` 2, as in AXI3.
    awready : In(1)
    wid, wdata, wstrb, wlast, wvalid : Out
        A beat; `wid` exists in AXI3 only, and is the `awid` of the burst that the beat belongs to.
    wready : In(1)
    bid, bresp, bvalid : In
        The answer to the whole write burst.
    bready : Out(1)
    arid, araddr, arlen, arsize, arburst, arlock, arcache, arprot, arvalid : Out
        A read burst, as above.
    arready : In(1)
    rid, rdata, rresp, rlast, rvalid : In
        A beat of the answer.
    rready : Out(1)

    Raises
    ------
    ConfigError
        If a width is out of range.
    """

    def __init__(self, *, address_bits: int, id_bits: int) -> None:
        self.address_bits = check_int("address_bits", address_bits, 7, 32)
        self.id_bits = check_int("id_bits", id_bits, 1, 32)
        members: dict[str, Any] = {}
        for channel in ("aw", "ar"):
            members |= {
                f"{channel}id": Out(id_bits),
                f"{channel}addr": Out(address_bits),
                f"{channel}len": Out(4),
                f"{channel}size": Out(3),
                f"{channel}burst": Out(2),
                f"{channel}lock": Out(2),
                f"{channel}cache": Out(4),
                f"{channel}prot": Out(3),
                f"{channel}valid": Out(1),
                f"{channel}ready": In(1),
            }
        members |= {
            "wid": Out(id_bits),
            "wdata": Out(32),
            "wstrb": Out(4),
            "wlast": Out(1),
            "wvalid": Out(1),
            "wready": In(1),
            "bid": In(id_bits),
            "bresp": In(2),
            "bvalid": In(1),
            "bready": Out(1),
            "rid": In(id_bits),
            "rdata": In(32),
            "rresp": In(2),
            "rlast": In(1),
            "rvalid": In(1),
            "rready": Out(1),
        }
        super().__init__(members)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Axi3Signature)
            and other.address_bits == self.address_bits
            and other.id_bits == self.id_bits
        )

    def __hash__(self) -> int:
        return hash((Axi3Signature, self.address_bits, self.id_bits))


def port_map(interface: Any, prefix: str = "s_axi") -> dict[str, Value]:
    """Return the signals of an AXI port by the names that block-design tools take for one interface.

    Parameters
    ----------
    interface : object
        An interface object of `Axi3Signature`, flipped or not.
    prefix : str
        What all names begin with.

    Returns
    -------
    dict of str to Value
        ``s_axi_awaddr`` and so on, in the order of the signature: what `axft_hw.build.verilog.to_verilog` takes as
        `ports`, together with the clock and reset that the caller adds.
    """
    return {f"{prefix}_{path[0]}": value for path, _, value in interface.signature.flatten(interface)}

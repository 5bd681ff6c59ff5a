"""Addresses inside a burst, and bursts that AXI3 forbids."""

from __future__ import annotations

from amaranth.hdl import Array, C, Cat, Mux, Value

from axft_hw.axi.signature import Burst

__all__ = ["next_address", "refused"]


def next_address(address: Value, *, length: Value, size: Value, burst: Value) -> Value:
    """Return the byte address of the beat after the one at `address`.

    The rules are those of the AMBA AXI Protocol Specification (ARM IHI 0022E), section A3.4.1: only the first beat
    may be unaligned, and a wrapping burst stays in the aligned block of its own size.

    Parameters
    ----------
    address : Value
        Byte address of the present beat.
    length : Value
        LEN of the burst: beats less one.
    size : Value
        SIZE of the burst, 0 to 2 (1, 2 or 4 bytes).
    burst : Value
        BURST of the burst.

    Returns
    -------
    Value
        As wide as `address`; combinational. Meaningless for a refused burst.
    """
    width = len(address)
    sizes = range(3)
    step = Array([((address >> shift) + 1) << shift for shift in sizes])[size[:2]][:width]
    block = Array([Cat(C((1 << shift) - 1, shift), length, C(0, width - 4 - shift)) for shift in sizes])[size[:2]]
    wrapped = (address & ~block) | (step & block)
    return Mux(burst == Burst.FIXED, address, Mux(burst == Burst.WRAP, wrapped, step))[:width]


def refused(address: Value, *, length: Value, size: Value, burst: Value) -> Value:
    """Return whether AXI3 forbids such a burst on 32 bits of data.

    Refused are beats of more than 4 bytes, the reserved burst type, and wrapping bursts of other than 2, 4, 8 or 16
    beats or from an address that is not aligned to their size. Bursts over a 4 KiB boundary, forbidden too, are none
    of this slave's business.

    Parameters
    ----------
    address, length, size, burst : Value
        ADDR, LEN, SIZE and BURST.

    Returns
    -------
    Value
        One bit, combinational.
    """
    wraps = burst == Burst.WRAP
    odd_length = ~((length == 1) | (length == 3) | (length == 7) | (length == 15))
    unaligned = ((size == 1) & address[0]) | ((size == 2) & address[:2].any())
    return (size > 2) | (burst == 3) | (wraps & (odd_length | unaligned))

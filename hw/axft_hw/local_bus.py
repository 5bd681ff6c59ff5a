"""The bus inside the block: one initiator, targets that never stall."""

from __future__ import annotations

from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_spec.errors import check_int

__all__ = ["READ_LATENCY", "LocalBusSignature"]

READ_LATENCY = 2
"""Cycles from `read_valid` to the cycle in which `read_data` and `read_error` belong to it.

Two, so that a target may be a block RAM whose own output register is used.
"""


class LocalBusSignature(wiring.Signature):
    """Writes and reads of 32-bit words, independent of each other, one of each in every cycle.

    A target has no way to make the initiator wait: that is what lets the AXI slave answer whatever the rest of the
    design does.

    Parameters
    ----------
    address_bits : int
        Width of the byte addresses, 3 to 32.

    Members
    -------
    write_valid : Out(1)
        The word is to be written in this cycle.
    write_address : Out(address_bits)
        Byte address of the word; its two lowest bits are 0.
    write_data : Out(32)
        The word.
    write_strobe : Out(4)
        Bit i: write byte i. With no bit set nothing may change, but the address is still decoded.
    write_error : In(1)
        In the same cycle as `write_valid`, combinationally: the word could not be written.
    read_valid : Out(1)
        A word is asked for in this cycle.
    read_address : Out(address_bits)
        Byte address of the word; its two lowest bits are 0.
    read_data : In(32)
        The word, exactly `READ_LATENCY` cycles after `read_valid`.
    read_error : In(1)
        In the cycle of `read_data`: there is no such word.

    Raises
    ------
    ConfigError
        If `address_bits` is out of range.
    """

    def __init__(self, address_bits: int) -> None:
        self.address_bits = check_int("address_bits", address_bits, 3, 32)
        super().__init__(
            {
                "write_valid": Out(1),
                "write_address": Out(address_bits),
                "write_data": Out(32),
                "write_strobe": Out(4),
                "write_error": In(1),
                "read_valid": Out(1),
                "read_address": Out(address_bits),
                "read_data": In(32),
                "read_error": In(1),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LocalBusSignature) and other.address_bits == self.address_bits

    def __hash__(self) -> int:
        return hash((LocalBusSignature, self.address_bits))

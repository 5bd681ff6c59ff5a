"""The multiplier of a processing element: a signed broken array as a column of adder rows.

One component covers the whole family of :mod:`axft_spec.multipliers`, exact members included. It is written as
explicit rows of adders because a product written as ``a * b`` becomes a tree of carry-save adders in yosys, at twice
the look-up tables. Each row is a 7-series carry chain and adds one bit of one operand, the digit operand, times the
other one. The first row adds the multiples of two bits, and the last one those of two as well, -2 high + low.

So the look-up table of a bit of the chain sees at most five inputs: five in the last row (two bits of the digit
operand, two of the other one, the sum so far), four in the first, three in between. Five is what counts: a site of the
device holds two tables that share five inputs, and the chain takes both, one for the sum and one for the carry. A table
of six fills a site, and the open tools then need another one for the chain.

**Vertical break.** Let T_i be the other operand times 2**i, without what is below 2**v. Wanted is the sum of a_i T_i,
the last one negative: each row leaves the low bits of its multiple out. Only the last row's two bits need a common
multiple, T_(n-1) = 2 T_(n-2), so nothing may be dropped there; else the sign has a row of its own.

`docs/reference/area.md` has the counts behind these choices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_spec.errors import ConfigError
from axft_spec.hardware import HardwareConfig
from axft_spec.multipliers import Multiplier as Parameters

__all__ = ["BrokenArray", "Multiplier", "multiply", "multiply_operands"]


def _signed_bits(low: int, high: int) -> int:
    """Return the bits of a two's complement number that holds `low` to `high`."""
    return 1 + max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One row of the array: one or two bits of the digit operand times the other operand.

    Parameters
    ----------
    bit : int
        The bit of the digit operand, or the lower one of two; the row's weight, as a power of two.
    sign : int, optional
        The digit operand's sign bit, if the row is the last one. It counts -1 if it is `bit`, else -2.
    dropped : int
        Low bits of the other operand that the vertical break drops in this row.
    low, high : int
        Bounds of the sum up to this row.
    """

    bit: int
    sign: int | None = None
    dropped: int
    low: int
    high: int

    @property
    def weight(self) -> int:
        """Weight of the row's lowest bit, as a power of two."""
        return self.bit + self.dropped

    @property
    def sum_bits(self) -> int:
        """Bits of the sum from the row's lowest bit up."""
        return _signed_bits(self.low >> self.weight, self.high >> self.weight)


def _rows(digit_bits: int, other_bits: int, vbreak: int) -> Iterator[_Row]:
    """Yield the rows that multiply two operands, from the lowest; the first is a multiple and takes no adder."""
    sign = digit_bits - 1
    least, most = -(1 << other_bits - 1), (1 << other_bits - 1) - 1
    low = high = 0
    for bit in range(digit_bits):
        dropped = max(vbreak - bit, 0)
        smallest, largest = least << bit, most >> dropped << dropped + bit
        if bit == sign - 1 and bit > 1 and not dropped:
            low, high = min(low + smallest, -2 * largest), max(high + largest, -2 * smallest)
            yield _Row(bit=bit, sign=sign, dropped=0, low=low, high=high)
            return
        if bit == sign:
            low, high = min(low, -largest), max(high, -smallest)
            yield _Row(bit=bit, sign=sign, dropped=dropped, low=low, high=high)
        else:
            low, high = low + smallest, high + largest
            yield _Row(bit=bit, dropped=dropped, low=low, high=high)


class BrokenArray(wiring.Component):
    """A signed multiplier that leaves partial products out, for operands of any widths.

    Combinational: latency 0 cycles, one product in every cycle, no reset.

    Parameters
    ----------
    parameters : axft_spec.multipliers.Multiplier
        What is left out.
    a_bits, b_bits : int
        Width of each operand, its sign bit and what the multiplier ignores included.

    Attributes
    ----------
    parameters : axft_spec.multipliers.Multiplier
    a_bits, b_bits : int

    Members
    -------
    a, b : In(signed(a_bits - omit_a)), In(signed(b_bits - omit_b))
        The operands without the low bits that the multiplier ignores.
    product : Out(signed(a_bits + b_bits - zero_bits))
        The product without the low bits that are always 0.

    Raises
    ------
    ConfigError
        If the sign bit of an operand is among what is left out.
    """

    def __init__(self, parameters: Parameters, a_bits: int, b_bits: int) -> None:
        least = max(parameters.omit_a + parameters.omit_b, parameters.vbreak) + 1
        if min(a_bits + parameters.omit_b, b_bits + parameters.omit_a) < least:
            raise ConfigError(
                f"operands of {a_bits} and {b_bits} bits are too narrow for a multiplier that ignores "
                f"{parameters.omit_a} and {parameters.omit_b} low bits, with a vertical break at {parameters.vbreak}"
            )
        self.parameters = parameters
        self.a_bits = a_bits
        self.b_bits = b_bits
        super().__init__(
            {
                "a": In(signed(a_bits - parameters.omit_a)),
                "b": In(signed(b_bits - parameters.omit_b)),
                "product": Out(signed(a_bits + b_bits - parameters.zero_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the rows."""
        m = Module()
        m.d.comb += self.product.eq(multiply(m, self.parameters, self.a, self.b))
        return m


def multiply(m: Module, parameters: Parameters, a: Value, b: Value) -> Value:
    """Add a multiplier's rows to a module.

    Parameters
    ----------
    m : Module
        Gets signals called `partial_N`: the sums of the rows up to the one of weight 2**N.
    parameters : axft_spec.multipliers.Multiplier
        What is left out.
    a, b : Value
        The operands, signed, without the low bits that the multiplier ignores.

    Returns
    -------
    Value
        The product, signed, without the low bits that are always 0.
    """
    vbreak = max(parameters.vbreak - parameters.omit_a - parameters.omit_b, 0)
    digits, other = min(
        (a, b), (b, a), key=lambda pair: sum(row.sum_bits for row in _rows(len(pair[0]), len(pair[1]), vbreak))
    )
    total: Value = Const(0, signed(1))
    lowest = vbreak
    finished: list[Value] = []  # product bits that no further row changes
    for row in _rows(len(digits), len(other), vbreak):
        finished.append(total[: row.weight - lowest])
        total = total[min(row.weight - lowest, len(total) - 1) :].as_signed()
        lowest = row.weight
        partial = Signal(signed(row.sum_bits), name=f"partial_{row.bit}")
        multiple = other[row.dropped :].as_signed()
        if row.sign is None:
            m.d.comb += partial.eq(total + Mux(digits[row.bit], multiple, 0))
        else:
            low = digits[row.bit] if row.bit < row.sign else Const(0, 1)
            shift = row.sign - row.bit
            m.d.comb += partial.eq(_add_signed(total, low, digits[row.sign], multiple, multiple << shift))
        total = partial
    return Cat(*finished, total).as_signed()


def _add_signed(total: Value, low: Value, sign: Value, multiple: Value, negative: Value) -> Value:
    """Return a sum plus `multiple` if `low`, minus `negative` if `sign`; `negative` is `multiple`, or twice that.

    A negative multiple is the complement of the positive one, plus 1, which comes in as the carry: the lowest position
    of the sum adds the sign to itself.
    """
    # With both bits, -2 + 1: the complement of the multiple itself.
    magnitude = Mux(low, multiple, Mux(sign, negative, 0))
    addend = magnitude ^ sign.replicate(len(magnitude)).as_signed()
    return (Cat(sign, total).as_signed() + Cat(sign, addend).as_signed()) >> 1


class Multiplier(wiring.Component):
    """The multiplier of one processing element.

    Combinational: latency 0 cycles, one product in every cycle, no reset.

    Parameters
    ----------
    hardware : HardwareConfig

    Attributes
    ----------
    hardware : HardwareConfig

    Members
    -------
    weight : In(signed(weight_bits))
        Weight, without the low bits that the multiplier ignores.
    activation : In(signed(activation_bits))
        Activation, likewise.
    product : Out(signed(product_bits))
        Product, without the low bits that are always 0.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        super().__init__(
            {
                "weight": In(signed(hardware.weight_bits)),
                "activation": In(signed(hardware.activation_bits)),
                "product": Out(signed(hardware.product_bits)),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the broken array, with each operand in its place."""
        m = Module()
        m.d.comb += self.product.eq(multiply_operands(m, self.hardware, self.weight, self.activation))
        return m


def multiply_operands(m: Module, hardware: HardwareConfig, weight: Value, activation: Value) -> Value:
    """Add the rows of a PE's multiplier to a module, as `multiply` does, and return the product."""
    array = hardware.array
    a, b = (weight, activation) if array.operand_a == "weight" else (activation, weight)
    return multiply(m, array.multiplier, a, b)

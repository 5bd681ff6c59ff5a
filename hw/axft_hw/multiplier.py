"""The multiplier of a processing element: a signed broken array as a column of adder rows.

One component covers the whole family of :mod:`axft_spec.multipliers`, exact members included. It is written as
explicit rows of adders because a product written as ``a * b`` becomes a tree of carry-save adders in yosys, at twice
the look-up tables. A row is a 7-series carry chain whose look-up tables hold what the row adds, so that a bit of a row
takes one of them:

* rows that the vertical break shortens add one bit of an operand each;
* the others take two bits, as a digit of -2, -1, 0, 1 (radix-4 recoding: A. D. Booth 1951, O. L. MacSorley 1961). The
  look-up table of a bit then sees three bits of the digit, two of the other operand, and the sum so far: six inputs.

`docs/reference/area.md` has the counts behind these choices.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from axft_spec.hardware import HardwareConfig
from axft_spec.multipliers import Multiplier as Parameters

__all__ = ["BrokenArray", "Multiplier", "multiply", "multiply_operands"]


def _signed_bits(low: int, high: int) -> int:
    """Return the bits of a two's complement number that holds `low` to `high`."""
    return 1 + max(high.bit_length(), (-low - 1).bit_length() if low < 0 else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One row of the array: some bits of the digit operand times the other operand.

    Parameters
    ----------
    bit : int
        Weight of the row's digit, as a power of two.
    digits : int
        How many bits of the digit operand the row takes: one, or two as a recoded digit.
    dropped : int
        Low bits of the other operand that the vertical break drops in this row.
    low, high : int
        Bounds of the sum of all rows up to this one.
    """

    bit: int
    digits: int
    dropped: int
    low: int
    high: int

    @property
    def weight(self) -> int:
        """Weight of the row's lowest bit, as a power of two."""
        return self.bit + self.dropped


def _rows(digit_bits: int, other_bits: int, vbreak: int) -> Iterator[_Row]:
    """Yield the rows, from the lowest.

    Single bits first: all that the vertical break shortens, and one more if that leaves pairs to the sign bit.
    """
    first_pair = min(vbreak, digit_bits)
    first_pair += (digit_bits - first_pair) % 2
    least, most = -(1 << other_bits - 1), (1 << other_bits - 1) - 1
    low = high = 0
    for bit in range(first_pair):
        dropped = max(vbreak - bit, 0)
        if dropped >= other_bits:
            continue  # nothing is left of this row
        bounds = [least << bit, (most >> dropped << dropped) << bit]
        if bit == digit_bits - 1:
            bounds = [-bound for bound in bounds]
        low, high = low + min(0, *bounds), high + max(0, *bounds)
        yield _Row(bit=bit, digits=1, dropped=dropped, low=low, high=high)
    for bit in range(first_pair, digit_bits, 2):
        # The pairs up to here are a two's complement number, whatever their digits.
        half = 1 << bit + 1 - first_pair
        corners = [end * factor << first_pair for end in (least, most) for factor in (-half, half - 1)]
        yield _Row(bit=bit, digits=2, dropped=0, low=low + min(corners), high=high + max(corners))


def _luts(rows: list[_Row]) -> int:
    """Return about how many look-up tables some rows take: one for each bit of a sum."""
    return sum(_signed_bits(row.low >> row.weight, row.high >> row.weight) for row in rows)


class BrokenArray(wiring.Component):
    """A signed multiplier that leaves partial products out, for operands of any widths.

    Combinational: latency 0 cycles, one product in every cycle, no reset.

    Parameters
    ----------
    parameters : axft_spec.multipliers.Multiplier
        What is left out.
    a_bits, b_bits : int
        Width of each operand, its sign bit and what the multiplier ignores included; above what it ignores.

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
    """

    def __init__(self, parameters: Parameters, a_bits: int, b_bits: int) -> None:
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
    choices = [(list(_rows(len(digits), len(other), vbreak)), digits, other) for digits, other in ((a, b), (b, a))]
    rows, digits, other = min(choices, key=lambda choice: _luts(choice[0]))

    lowest = vbreak
    finished: list[Value] = []  # product bits that no further row changes
    total: Value = Const(0, signed(1))  # the bits above them
    for number, row in enumerate(rows):
        if number:
            finished.append(total[: row.weight - lowest])
            total = total[row.weight - lowest :].as_signed()
        lowest = row.weight
        partial = Signal(signed(_signed_bits(row.low >> lowest, row.high >> lowest)), name=f"partial_{row.bit}")
        if row.digits == 2:
            below = digits[row.bit - 1] if number and rows[number - 1].digits == 2 else Const(0, 1)
            m.d.comb += partial.eq(_add_pair(total, Cat(below, digits[row.bit : row.bit + 2]), other))
        else:
            addend = Mux(digits[row.bit], other[row.dropped :].as_signed(), 0)
            # The sum so far comes first: yosys takes the first operand of an addition into the carry chain as it is,
            # and what the row adds then costs nothing beside the sum.
            if row.bit == len(digits) - 1:
                m.d.comb += partial.eq(total - addend)
            else:
                m.d.comb += partial.eq(total + addend if number else addend)
        total = partial
    return Cat(*finished, total).as_signed()


def _add_pair(total: Value, digit: Value, other: Value) -> Value:
    """Return a sum plus a recoded digit times an operand.

    The digit is (bit below, low bit, high bit): below + low - 2 high. A negative multiple is the complement of the
    positive one, plus 1, which comes in as the carry: the lowest position of the sum adds the digit's sign to itself.
    """
    below, low, high = digit
    one = low ^ below
    two = (high & ~low & ~below) | (~high & low & below)
    multiple = Mux(one, other, 0) | Mux(two, other << 1, 0)
    addend = multiple ^ high.replicate(len(multiple)).as_signed()
    return (Cat(high, total).as_signed() + Cat(high, addend).as_signed()) >> 1


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

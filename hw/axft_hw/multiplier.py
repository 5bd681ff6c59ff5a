"""The multiplier of a processing element: a signed broken array as a column of adder rows.

One component covers the whole family of :mod:`axft_spec.multipliers`, exact members included. It is written as
explicit rows of adders because a product written as ``a * b`` becomes a tree of carry-save adders in yosys, at twice
the look-up tables. Each row is a 7-series carry chain and adds a digit of one operand, the digit operand, times the
other one; a digit is two bits recoded as -2, -1, 0, 1 or 2 (A. D. Booth 1951, O. L. MacSorley 1961). The look-up table
of a bit of the chain sees three bits of the digit operand, two of the other one, and the sum so far: six inputs, so
that the multiple costs nothing beside the sum.

**Recoding with a vertical break.** Let T_i be the other operand times 2**i, without what is below 2**v. Wanted is the
sum of a_i T_i, the last one negative. Of a digit's higher bit, recoding takes a_(i+1) (T_(i+2) - 2 T_i) instead of
a_(i+1) T_(i+1), which is the same only where nothing is dropped. Where t = v - i bits are dropped in the digit's row,
it is too much by a_(i+1) (b_(t-1) + b_(t-2)) 2**v; in the row of the sign, by a_(i+1) b_(t-1) 2**v. These few partial
products are subtracted: the first row adds its digit not to 0 but to their negative count.

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
    """One row of the array: a digit times the other operand.

    Parameters
    ----------
    bit : int
        Weight of the digit, as a power of two.
    dropped : int
        Low bits of the other operand that the vertical break drops in this row.
    low, high : int
        Bounds of the sum up to this row.
    """

    bit: int
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


@dataclass(frozen=True, slots=True)
class _Plan:
    """How two operands of `digit_bits` and `other_bits` are multiplied.

    Parameters
    ----------
    digit_bits, other_bits : int
        Widths of the operand that the digits are of, and of the other one.
    vbreak : int
        The vertical break.
    single : bool
        Whether the lowest bit is a digit by itself, which needs no adder; else an odd last bit is one, with its copy.
    """

    digit_bits: int
    other_bits: int
    vbreak: int
    single: bool

    def corrections(self, stop: int | None = None) -> list[tuple[int, int]]:
        """Return (bit of the digit operand, bit of the other one) of each partial product to subtract.

        `stop` is where a digit operand ends that is cut off behind a digit, so that the digit's high bit is its sign.
        """
        last = self.digit_bits - 1 if stop is None else stop - 1
        pairs = []
        for high in range(1, last + 1, 2):
            dropped = self.vbreak - high + 1
            count = 1 if high == last else 2
            pairs += [(high, dropped - number) for number in range(1, count + 1) if dropped >= number]
        return pairs

    def rows(self) -> Iterator[_Row]:
        """Yield the rows, from the lowest."""
        least, most = -(1 << self.other_bits - 1), (1 << self.other_bits - 1) - 1
        if self.single:
            yield _Row(bit=0, dropped=0, low=least, high=most)
        for bit in range(int(self.single), self.digit_bits, 2):
            # What the rows up to here have summed up is the product of a shorter digit operand, with its own
            # corrections; those that are still to come are in the sum already.
            last = min(bit + 1, self.digit_bits - 1)
            dropped = max(self.vbreak - last, 0)
            early = len(self.corrections()) - len(self.corrections(last + 1))
            low = min(least * ((1 << last) - 1), -(most >> dropped << dropped + last))
            yield _Row(
                bit=bit,
                dropped=max(self.vbreak - bit, 0),
                low=low - (early << self.vbreak),
                high=-least << last,
            )

    def luts(self) -> int:
        """Return about how many look-up tables it takes: one for each bit of a sum."""
        return sum(row.sum_bits for row in self.rows()) + len(self.corrections())


def _plans(digit_bits: int, other_bits: int, vbreak: int) -> list[_Plan]:
    """Return the ways in which two operands can be multiplied, if the digits are the first one's."""
    plans = [_Plan(digit_bits, other_bits, vbreak, False)]
    if digit_bits % 2 and digit_bits > 1 and not vbreak:
        plans.append(_Plan(digit_bits, other_bits, vbreak, True))
    return plans


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
    choices = [
        (plan, digits, other) for digits, other in ((a, b), (b, a)) for plan in _plans(len(digits), len(other), vbreak)
    ]
    plan, digits, other = min(choices, key=lambda choice: choice[0].luts())

    total = _negative_count([digits[i] & other[j] for i, j in plan.corrections()])
    lowest = vbreak
    finished: list[Value] = []  # product bits that no further row changes
    for row in plan.rows():
        finished.append(total[: row.weight - lowest])
        total = total[min(row.weight - lowest, len(total) - 1) :].as_signed()
        lowest = row.weight
        partial = Signal(signed(row.sum_bits), name=f"partial_{row.bit}")
        if plan.single and not row.bit:
            m.d.comb += partial.eq(Mux(digits[0], other, 0))
        else:
            below = digits[row.bit - 1] if row.bit > int(plan.single) else Const(0, 1)
            high = digits[min(row.bit + 1, len(digits) - 1)]
            m.d.comb += partial.eq(
                _add_digit(total, Cat(below, digits[row.bit], high), other[row.dropped :].as_signed())
            )
        total = partial
    return Cat(*finished, total).as_signed()


def _negative_count(bits: list[Value]) -> Value:
    """Return the negative number of ones, as logic: with few bits to count, a look-up table for each of its own."""
    count: list[Value] = [Const(0, 1)] * _signed_bits(-len(bits), 0)
    for bit in bits:
        borrow = bit
        for place, value in enumerate(count):
            count[place] = value ^ borrow
            borrow = borrow & ~value
    return Cat(*count).as_signed()


def _add_digit(total: Value, digit: Value, other: Value) -> Value:
    """Return a sum plus a digit times an operand.

    The digit is (bit below, low bit, high bit), and counts below + low - 2 high. A negative multiple is the complement
    of the positive one, plus 1, which comes in as the carry: the lowest position of the sum adds the sign to itself.
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

"""Every kind of cell, over widths around those of C's types, against Amaranth's own simulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Array, Cat, Module, Mux, Shape, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_hw.sim.model import build_text, netlist_of
from axft_hw.sim.netlist import read_netlist
from axft_hw.sim.table import TABLE_HARNESS, run_table
from support.random_designs import QUICK, random_stimulus, simulated

WIDTHS = [(1, 1), (7, 8), (8, 9), (15, 16), (17, 32), (33, 31), (64, 63), (64, 65), (70, 5), (130, 200)]


def operations(a: Value, b: Value, c: Value, s: Value) -> dict[str, Value]:
    """Return every operation of the language on two operands, and choices by two more."""
    results = {
        "add": a + b,
        "sub": a - b,
        "mul": a * b,
        "neg": -a,
        "inv": ~a,
        "and": a & b,
        "or": a | b,
        "xor": a ^ b,
        "eq": a == b,
        "ne": a != b,
        "lt": a < b,
        "le": a <= b,
        "gt": a > b,
        "ge": a >= b,
        "mux": Mux(s, a, b),
        "shl": a << c,
        "shr": a >> c,
        "any": a.any(),
        "all": a.all(),
        "parity": a.xor(),
        "cat": Cat(a, s, b),
        "part": Cat(a).bit_select(c, min(len(a), 9)),
        "wide_part": Cat(a, b, a).bit_select(c, len(b)),
        "word": Cat(a, b).word_select(c[:2], 3),
        "array": Value.cast(Array([a, b, ~a])[c[:2]]),
        "reversed": a[::-1],
        "sign": a.as_signed() + b.as_unsigned(),
    }
    if max(len(a), len(b)) < 64:
        results |= {"div": a // b, "mod": a % b}
    return results


class Cells(wiring.Component):
    """An output for each operation."""

    def __init__(self, widths: tuple[int, int], signs: tuple[bool, bool]) -> None:
        shapes = [Shape(width, sign) for width, sign in zip(widths, signs, strict=True)]
        self.inputs = {"a": shapes[0], "b": shapes[1], "c": Shape(6), "s": Shape(1)}
        from amaranth.hdl import Signal

        self.names = {
            name: value.shape()
            for name, value in operations(*(Signal(shape) for shape in self.inputs.values())).items()
        }
        super().__init__(
            {name: In(shape) for name, shape in self.inputs.items()}
            | {f"r_{name}": Out(shape) for name, shape in self.names.items()}
        )

    def elaborate(self, platform: Any) -> Module:
        """Build it."""
        m = Module()
        for name, value in operations(*(getattr(self, name) for name in self.inputs)).items():
            m.d.comb += getattr(self, f"r_{name}").eq(value)
        return m


@pytest.mark.parametrize("widths", WIDTHS)
def test_cells_equal_amaranths_simulator(widths: tuple[int, int]) -> None:
    """All operations, all four combinations of signs, random and extreme operands."""
    for signs in ((False, False), (True, False), (False, True), (True, True)):
        design = Cells(widths, signs)
        model = build_text(netlist_of(design), harness=TABLE_HARNESS, flags=QUICK)
        stimulus = [
            {name: value for name, value in row.items() if name != "rst"}
            for row in random_stimulus(design, np.random.default_rng(sum(widths)), 60)
        ]
        names = [f"r_{name}" for name in design.names]
        expected = simulated(Cells(widths, signs), stimulus, names)
        actual = run_table(model.new(), stimulus, [f"out_{name}" for name in names])
        for row, one, two in zip(stimulus, expected, actual, strict=True):
            assert two == one, row


@pytest.mark.parametrize(
    ("have", "width", "value", "by", "expected"),
    [
        # By yosys 0.70: `eval` on the cell, and on its gates after `techmap`.
        (17, 15, 0x17193, 4, 0b001011100011001),
        (17, 20, 0x17193, 4, 0b00001111011100011001),
        # The same rule: extended to the output's width, then zeros shifted in.
        (70, 80, 1 << 69, 8, ((1 << 80) - (1 << 69)) >> 8),
        (70, 20, 1 << 69, 60, 1 << 9),
        (70, 70, 1 << 69, 3, 1 << 66),
    ],
)
def test_part_of_a_signed_value_is_what_yosys_makes_of_it(
    have: int, width: int, value: int, by: int, expected: int
) -> None:
    """Amaranth's simulator has its own idea of what lies past the end; CXXRTL cuts first, and shifts then."""
    text = f"""
module \\top
  wire width {have} input 0 \\a
  wire width 6 input 1 \\s
  wire width {width} output 2 \\o
  cell $shift $1
    parameter \\A_SIGNED 1
    parameter \\B_SIGNED 0
    connect \\A \\a
    connect \\B \\s
    connect \\Y \\o
  end
end
"""
    state = build_text(text, flags=QUICK).new()
    state.poke("in_a", value)
    state.poke("in_s", by)
    state.eval()
    assert state.peek("out_o") == expected


def test_all_kinds_of_operators_that_amaranth_writes_are_covered() -> None:
    """The designs above contain each cell that the installed Amaranth can write for an operator."""
    kinds = set()
    for signs in ((False, False), (True, True)):
        module = next(iter(read_netlist(netlist_of(Cells((8, 9), signs))).modules.values()))
        kinds |= {cell.kind for cell in module.cells}
    written = {
        *("$neg", "$not", "$reduce_or", "$reduce_and", "$reduce_xor", "$reduce_bool", "$add", "$sub", "$mul"),
        *("$divfloor", "$modfloor", "$shl", "$shr", "$sshr", "$and", "$or", "$xor", "$eq", "$ne"),
        *("$lt", "$gt", "$le", "$ge", "$mux", "$shift"),
    }
    assert written <= kinds

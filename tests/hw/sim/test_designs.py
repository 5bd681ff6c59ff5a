"""Whole designs on the compiled model: random ones, ripples, loops, and the array that stands in for the real one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_hw.sim.emit import emit
from axft_hw.sim.model import build_text, netlist_of
from axft_hw.sim.netlist import read_netlist
from axft_hw.sim.table import TABLE_HARNESS, run_table
from axft_spec.errors import BackendError
from support.lockstep import lockstep_text, why_not
from support.random_designs import QUICK, difference, random_stimulus, simulated
from support.stand_in import StandIn

UNROLLED = (2, 11)  # small ones: straight-line code is slow to compile


@pytest.mark.parametrize("seed", range(12))
def test_random_design_equals_amaranths_simulator(seed: int) -> None:
    """Every output, every cycle; `python -m support.random_designs` runs thousands."""
    assert difference(1002 + seed) == ""


def test_random_design_without_classes_equals_amaranths_simulator() -> None:
    """What a class that is taken apart becomes."""
    assert [difference(seed, unroll=True) for seed in UNROLLED] == [""] * len(UNROLLED)


class _Stage(wiring.Component):
    """One bit of a ripple adder."""

    def __init__(self) -> None:
        super().__init__({"a": In(1), "b": In(1), "carry_in": In(1), "carry_out": Out(1), "total": Out(1)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        state = Signal()
        m.d.sync += state.eq(self.a ^ self.b ^ self.carry_in)
        m.d.comb += [
            self.total.eq(state),
            self.carry_out.eq((self.a & self.b) | (self.carry_in & (self.a ^ self.b))),
        ]
        return m


class Ripple(wiring.Component):
    """An adder of equal modules whose carry goes through all of them in one cycle."""

    def __init__(self, width: int) -> None:
        self.width = width
        super().__init__({"a": In(width), "b": In(width), "total": Out(width)})

    def elaborate(self, platform: Any) -> Module:
        """Build it."""
        m = Module()
        carry: Any = 0
        for bit in range(self.width):
            stage = m.submodules[f"stage_{bit}"] = _Stage()
            m.d.comb += [
                stage.a.eq(self.a[bit]),
                stage.b.eq(self.b[bit]),
                stage.carry_in.eq(carry),
                self.total[bit].eq(stage.total),
            ]
            carry = stage.carry_out
        return m


def test_ripple_through_equal_modules_is_added_right() -> None:
    """A class whose outputs feed its own inputs within a cycle is taken apart."""
    text = netlist_of(Ripple(40))
    assert emit(read_netlist(text)).classes == ()
    state = build_text(text, harness=TABLE_HARNESS, flags=QUICK).new()
    rng = np.random.default_rng(3)
    rows = [{"a": int(a), "b": int(b)} for a, b in rng.integers(0, 1 << 40, (50, 2))]
    totals = [row["out_total"] for row in run_table(state, rows, ["out_total"])]
    assert totals[1:] == [(row["a"] + row["b"]) % (1 << 40) for row in rows[:-1]]


class FalseLoop(wiring.Component):
    """A word whose bits depend on each other in a chain, under conditions."""

    def __init__(self) -> None:
        super().__init__({"propagate": In(20), "seed": In(1), "chain": Out(21)})

    def elaborate(self, platform: Any) -> Module:
        """Build it."""
        m = Module()
        m.d.comb += self.chain[0].eq(self.seed)
        for bit in range(20):
            with m.If(self.propagate[bit]):
                m.d.comb += self.chain[bit + 1].eq(~self.chain[bit])
        return m


def test_word_that_depends_on_itself_bit_by_bit_is_no_loop() -> None:
    """Words in a circle are split into bits."""
    design = FalseLoop()
    state = build_text(netlist_of(design), harness=TABLE_HARNESS, flags=QUICK).new()
    stimulus = [
        {name: value for name, value in row.items() if name != "rst"}
        for row in random_stimulus(design, np.random.default_rng(1), 50)
    ]
    assert run_table(state, stimulus, ["out_chain"]) == simulated(FalseLoop(), stimulus, ["chain"])


def test_combinational_loop_is_refused_by_name() -> None:
    """Amaranth refuses it too; a netlist can still have one."""
    cell = "cell ${kind} ${name}\n connect \\A {a}\n connect \\Y {y}\n parameter \\A_SIGNED 0\n end\n"
    text = "module \\top\n wire width 1 \\left\n wire width 1 output 0 \\right\n"
    text += cell.replace("${kind}", "$not").replace("${name}", "$1").format(a="\\left", y="\\right")
    text += cell.replace("${kind}", "$not").replace("${name}", "$2").format(a="\\right", y="\\left") + "end\n"
    with pytest.raises(BackendError, match=r"combinational loop through (left, right|right, left); put a register"):
        emit(read_netlist(text))


def _stimulus(design: StandIn, cycles: int) -> list[dict[str, int]]:
    rows = random_stimulus(design, np.random.default_rng(1), cycles)
    for cycle, row in enumerate(rows):
        row |= {"rst": int(cycle % 400 == 399), "steps": 20}
        row |= {"start": int(cycle % 90 == 60), "scan_shift": int(cycle % 90 < 50)}
    return rows


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_stand_in_is_in_lockstep_with_cxxrtl_and_a_planted_change_is_seen(tmp_path: Path) -> None:
    """Every flip-flop, memory and output of an array that is not square, every cycle."""
    design = StandIn(3, 5)
    text = netlist_of(design)
    stimulus = _stimulus(design, 1200)
    result = lockstep_text(text, stimulus, tmp_path / "equal")
    assert result.difference == ""
    assert result.flip_flops > 15 * 8
    assert result.moved > result.bits // 2
    # In one PE of 15 only.
    start = text.index("module \\top.pe_1_2\n")
    place = text.index("cell $add", start)
    changed = lockstep_text(
        text, stimulus, tmp_path / "changed", against=text[:place] + text[place:].replace("$add", "$sub", 1)
    )
    assert "pe_1_2" in changed.difference


def test_equal_processing_elements_are_one_class() -> None:
    """The inner PEs of an array share one loop, and the C text does not grow with their number."""
    small, large = (emit(read_netlist(netlist_of(StandIn(side, side)))) for side in (4, 6))
    assert sorted(lanes for lanes, _ in small.classes)[-1] == 3 * 2
    assert sorted(lanes for lanes, _ in large.classes)[-1] == 5 * 4
    names = {entry.name for entry in large.layout.directory}
    assert {"pe_0_0.psum", "pe_5_5.psum", "pe_3_4.scan", "weights", "results", "fsm_state"} <= names
    assert len(names) == len(large.layout.directory)

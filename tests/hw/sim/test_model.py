"""States of a compiled model: looking, changing, keeping, and faults at given cycles."""

from __future__ import annotations

from typing import Any

import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from axft_hw.sim.model import CompiledModel, Injection, build_model, build_text, netlist_of
from axft_hw.sim.netlist import read_netlist
from axft_hw.sim.table import TABLE_HARNESS, run_table
from axft_spec.errors import BackendError, ConfigError


class _Counter(wiring.Component):
    def __init__(self) -> None:
        super().__init__({"enable": In(1), "value": Out(8)})

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        count = Signal(8, init=5)
        with m.If(self.enable):
            m.d.sync += count.eq(count + 1)
        m.d.comb += self.value.eq(count)
        return m


class Counters(wiring.Component):
    """Equal counters, a register of 100 bits and a memory that nobody writes."""

    def __init__(self) -> None:
        super().__init__({"enable": In(6), "address": In(3), "word": Out(100), "total": Out(100), "value_2": Out(8)})

    def elaborate(self, platform: Any) -> Module:
        """Build it."""
        m = Module()
        total = Signal(100, init=(1 << 99) + 1)
        m.d.sync += total.eq(total + 1)
        store = m.submodules.store = memory.Memory(shape=100, depth=5, init=[1 << 80, 3])
        port = store.read_port(domain="comb")
        m.d.comb += [port.addr.eq(self.address), self.word.eq(port.data), self.total.eq(total)]
        for k in range(6):
            counter = m.submodules[f"counter_{k}"] = _Counter()
            m.d.comb += counter.enable.eq(self.enable[k])
            if k == 2:
                m.d.comb += self.value_2.eq(counter.value)
        return m


@pytest.fixture(scope="module")
def model() -> CompiledModel:
    """Return the model of the counters."""
    return build_model(Counters(), harness=TABLE_HARNESS)


def test_directory_names_every_register_and_memory(model: CompiledModel) -> None:
    """By instance path and signal name; the same for every build."""
    counters = {f"counter_{k}.count": (8, "flip_flop", 1) for k in range(6)}
    expected = counters | {"total": (100, "flip_flop", 1), "store": (100, "memory", 5)}
    assert {e.name: (e.width, e.kind, e.depth) for e in model.directory.values()} == expected
    assert build_model(Counters(), harness=TABLE_HARNESS).directory == model.directory
    assert set(model.flip_flops) == set(expected) - {"store"}


def test_reset_gives_initial_values(model: CompiledModel) -> None:
    """Of registers in and outside classes, and memories."""
    state = model.new()
    assert [state.peek(f"counter_{k}.count") for k in range(6)] == [5] * 6
    assert state.peek("total") == (1 << 99) + 1
    assert [state.peek("store", word) for word in range(5)] == [1 << 80, 3, 0, 0, 0]


def test_states_are_independent_and_snapshots_restore_all(model: CompiledModel) -> None:
    """Two machines; one is put back."""
    one, two = model.new(), model.new()
    run_table(one, [{"enable": 0b000100}] * 10, [])
    assert (one.peek("counter_2.count"), two.peek("counter_2.count")) == (15, 5)
    kept = one.snapshot()
    run_table(one, [{"enable": 0b111111}] * 7, [])
    assert (one.cycle, one.peek("counter_0.count"), one.peek("total") & 0xFF) == (17, 12, 18)
    one.restore(kept)
    assert (one.cycle, one.peek("counter_0.count"), one.peek("total") & 0xFF) == (10, 5, 11)
    with pytest.raises(BackendError, match="3 bytes and this model's state"):
        one.restore(b"abc")


def test_poke_changes_the_next_outputs(model: CompiledModel) -> None:
    """A wide memory word, a wide register, a lane."""
    state = model.new()
    state.poke("store", (1 << 100) - 7, word=4)
    state.poke("total", (1 << 100) - 1)
    state.poke("counter_2.count", 200)
    state.poke("in_address", 4)
    state.eval()
    assert [state.peek(f"out_{name}") for name in ("word", "total", "value_2")] == [(1 << 100) - 7, (1 << 100) - 1, 200]
    state.commit()
    state.poke("in_address", 7)  # the memory has five words
    state.eval()
    assert [state.peek(f"out_{name}") for name in ("word", "total", "value_2")] == [0, 0, 200]


def test_flip_acts_in_its_cycle_only(model: CompiledModel) -> None:
    """The neighbouring lanes keep their values."""
    state = model.new()
    state.inject([Injection(name="counter_2.count", cycle=3, mask=0x41)])
    rows = run_table(state, [{}] * 6, [f"counter_{k}.count" for k in range(6)])
    assert [row["counter_2.count"] for row in rows] == [5, 5, 5, 0x44, 0x44, 0x44]
    assert all(row[f"counter_{k}.count"] == 5 for row in rows for k in (0, 1, 3, 4, 5))


def test_held_bits_stay_from_cycle_to_until(model: CompiledModel) -> None:
    """Set and cleared bits of counters that count on, and of a register wider than a word."""
    state = model.new()
    state.inject(
        [
            Injection(name="counter_1.count", cycle=2, until=4, mask=1, operation="clear"),
            Injection(name="counter_4.count", cycle=0, until=2, mask=0x80, operation="set"),
            Injection(name="total", cycle=1, until=2, mask=1 << 99, operation="clear"),
        ]
    )
    rows = run_table(state, [{"enable": 0b010010}] * 6, ["counter_1.count", "counter_4.count", "total"])
    # 5 6 7 8 9 10 undisturbed; bit 0 is 0 in cycles 2 and 3, and counting goes on from there.
    assert [row["counter_1.count"] for row in rows] == [5, 6, 6, 6, 7, 8]
    assert [row["counter_4.count"] for row in rows] == [0x85, 0x86, 0x87, 0x88, 0x89, 0x8A]
    assert [row["total"] >> 99 for row in rows] == [1, 0, 0, 0, 0, 0]


def test_injection_into_memory_and_removal(model: CompiledModel) -> None:
    """A word of a memory; then none."""
    state = model.new()
    state.inject([Injection(name="store", word=1, cycle=1, mask=1 << 90)])
    rows = run_table(state, [{"address": 1}] * 3, ["out_word"])
    assert [row["out_word"] for row in rows] == [3, 3 | 1 << 90, 3 | 1 << 90]
    state.reset()
    state.inject([])
    assert run_table(state, [{"address": 1}] * 3, ["out_word"])[2]["out_word"] == 3


@pytest.mark.parametrize(
    ("injection", "message"),
    [
        (Injection(name="counter_9.count", cycle=0, mask=1), "unknown flip-flop 'counter_9.count'"),
        (
            Injection(name="counter_1.count", cycle=0, mask=256),
            r"mask of counter_1.count must be between 1 and 2\^8 - 1",
        ),
        (
            Injection(name="counter_1.count", cycle=4, until=4, mask=1),
            "must begin in cycle 0 or later and end after it",
        ),
        (Injection(name="store", cycle=0, mask=1, word=5), "between 0 and 4, not 5"),
    ],
)
def test_injection_that_is_not_possible_is_refused(model: CompiledModel, injection: Injection, message: str) -> None:
    """Unknown names, bits that are not there, empty times."""
    with pytest.raises(ConfigError, match=message):
        model.new().inject([injection])


def _changed(old: str, new: str) -> str:
    text = netlist_of(Counters())
    assert old in text
    return text.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("cell $add ", "cell $pow ", r"cell \$\d+ is a \$pow, which the compiled model does not support"),
        ("\\CLK_POLARITY 1", "\\CLK_POLARITY 0", "falling edge"),
        ("cell $dff ", "cell $adff ", r"is a \$adff, which the compiled model does not support"),
        ("module \\top.counter_0", "module \\other.counter_0", "of which the netlist has no contents"),
        ("width 1 input 0  \\enable", "width 1 inout 0  \\enable", "inout|nothing drives"),
    ],
)
def test_netlist_with_what_is_not_supported_is_refused_by_name(old: str, new: str, message: str) -> None:
    """One line, that says what."""
    with pytest.raises(BackendError, match=message):
        build_text(_changed(old, new))


def test_text_that_is_no_netlist_is_refused() -> None:
    """Or one that is cut off."""
    with pytest.raises(BackendError, match="no module"):
        read_netlist("hello")
    with pytest.raises(BackendError, match="has 'frobnicate'"):
        read_netlist("module \\top\n frobnicate 3\nend\n")

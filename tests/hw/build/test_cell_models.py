"""Our models of 7-series cells: against yosys's on another simulator, against hand-worked cases, against a plain one.

yosys has models of all cells but block RAM. That one is checked against the manual's cases, against a plain model in
Python, and against memories that yosys has mapped to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from axft_hw.build.synthesis import ZYNQ_NAME, synthesise
from axft_hw.build.verilog import to_rtlil
from axft_spec.errors import BackendError
from support.gate_engine import GateEngine
from support.plain_ram import PlainRam, random_ram
from support.random_designs import simulated
from support.seven_series import circuit_of
from support.yosys_cells import record_of_icarus, why_not

CLOCK = 2


def cell(kind: str, parameters: Mapping[str, str] | None = None, **pins: Any) -> dict[str, Any]:
    """Return a cell of yosys's JSON; pins that begin with an underscore are outputs."""
    bits = {pin.lstrip("_"): value if isinstance(value, list) else [value] for pin, value in pins.items()}
    directions = {pin.lstrip("_"): "output" if pin.startswith("_") else "input" for pin in pins}
    return {"type": kind, "parameters": dict(parameters or {}), "connections": bits, "port_directions": directions}


def module(inputs: list[int], outputs: list[int], *cells: dict[str, Any]) -> dict[str, Any]:
    """Return a module with one input and one output port beside the clock."""
    ports = {
        "clk": {"direction": "input", "bits": [CLOCK]},
        "i": {"direction": "input", "bits": inputs},
        "o": {"direction": "output", "bits": outputs},
    }
    return {"ports": ports, "cells": {f"c{number}": each for number, each in enumerate(cells)}}


def random_cells(rng: np.random.Generator) -> dict[str, Any]:
    """Return a netlist with several of each cell, whose inputs come from anywhere that makes no loop."""
    inputs = list(range(3, 27))
    known, nets, cells = list(inputs), iter(range(100, 10_000)), []
    at_once = inputs[0]  # what acts without the clock must not have glitches, which this comparison knows nothing of

    def any_of(count: int) -> list[int]:
        return [int(net) for net in rng.choice(known, count)]

    def init(bits: int) -> str:
        return "".join(map(str, rng.integers(0, 2, bits)))

    for _ in range(6):
        added: list[dict[str, Any]] = []
        for inputs_of in range(1, 7):
            pins = {f"I{number}": net for number, net in enumerate(any_of(inputs_of))}
            added.append(cell(f"LUT{inputs_of}", {"INIT": init(1 << inputs_of)}, **pins, _O=next(nets)))
        added.append(cell("INV", I=any_of(1), _O=next(nets)))
        for kind in ("MUXF7", "MUXF8"):
            added.append(cell(kind, I0=any_of(1), I1=any_of(1), S=any_of(1), _O=next(nets)))
        added.append(cell("MUXCY", CI=any_of(1), DI=any_of(1), S=any_of(1), _O=next(nets)))
        added.append(cell("XORCY", CI=any_of(1), LI=any_of(1), _O=next(nets)))
        carry = {"CI": any_of(1), "CYINIT": ["0"]} if rng.random() < 0.5 else {"CI": ["0"], "CYINIT": any_of(1)}
        four = [[next(nets) for _ in range(4)] for _ in range(2)]
        added.append(cell("CARRY4", **carry, DI=any_of(4), S=any_of(4), _O=four[0], _CO=four[1]))
        for kind, reset in (("FDRE", "R"), ("FDSE", "S"), ("FDCE", "CLR"), ("FDPE", "PRE")):
            where = at_once if kind in ("FDCE", "FDPE") else any_of(1)
            pins = {"C": CLOCK, "CE": any_of(1), "D": any_of(1), reset: where}
            added.append(cell(kind, {"INIT": init(1)}, **pins, _Q=next(nets)))
        address = {f"A{number}": net for number, net in enumerate(any_of(4))}
        added.append(cell("SRL16E", {"INIT": init(16)}, CLK=CLOCK, CE=any_of(1), D=any_of(1), **address, _Q=next(nets)))
        pins = {"CLK": CLOCK, "CE": any_of(1), "D": any_of(1), "A": any_of(5)}
        added.append(cell("SRLC32E", {"INIT": init(32)}, **pins, _Q=next(nets), _Q31=next(nets)))
        for kind, bits, width in (("RAM32M", 5, 2), ("RAM64M", 6, 1)):
            pins = {"WCLK": CLOCK, "WE": any_of(1)}
            pins |= {f"ADDR{port}": any_of(bits) for port in "ABCD"} | {f"DI{port}": any_of(width) for port in "ABCD"}
            pins |= {f"_DO{port}": [next(nets) for _ in range(width)] for port in "ABCD"}
            added.append(cell(kind, {f"INIT_{port}": init(64) for port in "ABCD"}, **pins))
        for kind, bits in (("RAM32X1D", 5), ("RAM64X1D", 6)):
            pins = {f"{name}{number}": net for name in ("A", "DPRA") for number, net in enumerate(any_of(bits))}
            pins |= {"WCLK": CLOCK, "WE": any_of(1), "D": any_of(1), "_SPO": next(nets), "_DPO": next(nets)}
            added.append(cell(kind, {"INIT": init(1 << bits)}, **pins))
        cells += added
        for each in added:
            known += [
                bit
                for pin, bits in each["connections"].items()
                if each["port_directions"][pin] == "output"
                for bit in bits
            ]
    return module(inputs, known[len(inputs) :], *cells)


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_models_equal_those_of_yosys(tmp_path: Path) -> None:
    """Six of every cell, with random contents, wired at random: every output of every cell in every cycle."""
    rng = np.random.default_rng(3)
    netlist = random_cells(rng)
    ins, outs = netlist["ports"]["i"]["bits"], netlist["ports"]["o"]["bits"]
    stimulus = rng.integers(0, 2, (300, len(ins)), dtype=np.uint8)
    stimulus[:, 0] = rng.random(300) < 0.1
    circuit = circuit_of(netlist)
    ours = GateEngine(circuit, 1).run(circuit.ports["i"][1], stimulus, circuit.ports["o"][1])
    theirs = record_of_icarus(netlist, ins, outs, stimulus, tmp_path)
    assert np.array_equal(ours, theirs)
    moved = (ours != ours[0]).any(axis=0)
    assert moved.mean() > 0.9


def test_64_machines_are_64_times_one() -> None:
    """The same circuit with 64 different inputs at once, and a table that differs in one machine."""
    rng = np.random.default_rng(4)
    circuit = circuit_of(random_cells(rng))
    inputs, outputs = circuit.ports["i"][1], circuit.ports["o"][1]
    bits = rng.integers(0, 2, (100, len(inputs), 64), dtype=np.uint8)
    together = GateEngine(circuit, 64)
    together.flip(circuit.luts[0], 1, lane=5)
    packed = np.packbits(bits, axis=2, bitorder="little").view(np.uint64)[:, :, 0]
    record = together.run(inputs, packed, outputs)
    for lane in (0, 5, 63):
        alone = GateEngine(circuit, 1)
        if lane == 5:
            alone.flip(circuit.luts[0], 1)
        expected = alone.run(inputs, bits[:, :, lane], outputs)
        assert np.array_equal(record >> np.uint64(lane) & np.uint64(1), expected), lane


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (cell("DSP48E1", {}, P=3), "cell c0 is a DSP48E1, which is not modelled"),
        (cell("LUT2", {"INIT": "01x0"}, I0=3, I1=4, _O=9), "LUT2 c0: INIT = 01x0 is not modelled"),
        (cell("LUT2", {"INIT": "0110"}, I0=3, _O=9), "LUT2 c0: input I1 left open is not modelled"),
        (cell("LUT1", {"INIT": "01"}, I0=9, _O=9), "cell c0 is in a loop without a register"),
        (cell("LUT1", {"INIT": "01"}, I0=8, _O=9), "an input of cell c0 has no driver"),
        (cell("LUT1", {"INIT": "01"}, I0=3, _O=4), "c0 drives what something else drives too, or a constant"),
        (cell("FDRE", {"IS_C_INVERTED": "1"}, C=2, CE=3, D=3, R="0", _Q=9), "FDRE c0: a falling clock is not modelled"),
        (cell("FDRE", {}, C="0", CE=3, D=3, R="0", _Q=9), "FDRE c0: a second clock, or none, is not modelled"),
        (
            cell("CARRY4", {}, CI=3, CYINIT=4, DI=[3] * 4, S=[3] * 4, _O=[10, 11, 12, 13], _CO=[14, 15, 16, 17]),
            "CARRY4 c0: a carry from CI and from CYINIT is not modelled",
        ),
        (
            cell("RAMB18E1", {"READ_WIDTH_A": "100100"}, CLKARDCLK=2, CLKBWRCLK=2),
            "RAMB18E1 c0: READ_WIDTH_A = 36 is not modelled",
        ),
        (
            cell("RAMB36E1", {"EN_ECC_READ": "TRUE"}, CLKARDCLK=2, CLKBWRCLK=2),
            "RAMB36E1 c0: EN_ECC_READ = TRUE is not modelled",
        ),
        (
            cell("RAMB36E1", {"RAM_EXTENSION_A": "UPPER"}, CLKARDCLK=2, CLKBWRCLK=2),
            "RAMB36E1 c0: RAM_EXTENSION_A = UPPER is not modelled",
        ),
        (
            cell("RAMB18E1", {"RAM_MODE": "SDP", "WRITE_MODE_B": "NO_CHANGE"}, CLKARDCLK=2, CLKBWRCLK=2),
            "RAMB18E1 c0: NO_CHANGE in simple dual port mode is not modelled",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_modelled_is_refused(wrong: dict[str, Any], message: str) -> None:
    """A message that names the cell, instead of a guess."""
    with pytest.raises(BackendError) as error:
        circuit_of(module([3, 4], [9], wrong))
    assert str(error.value) == message


def test_second_clock_is_refused() -> None:
    """Two flip-flops that do not share a clock."""
    two = [cell("FDRE", {}, C=clock, CE="1", D=3, R="0", _Q=9 + clock) for clock in (2, 4)]
    with pytest.raises(BackendError, match="FDRE c1: a second clock, or none, is not modelled"):
        circuit_of(module([3, 4], [], *two))


def test_undefined_initial_values_are_random() -> None:
    """A flip-flop whose INIT nobody has given powers up as either, by the seed."""
    netlist = module([3], [9], cell("FDRE", {"INIT": "x"}, C=CLOCK, CE="0", D=3, R="0", _Q=9))
    circuit = circuit_of(netlist)
    shown = {
        int(GateEngine(circuit, 1, seed=seed).run([], np.zeros((1, 0)), circuit.ports["o"][1])[0, 0])
        for seed in range(20)
    }
    assert shown == {0, 1}


# Block RAM

_PINS = {  # of RAMB18E1 and RAMB36E1 (UG953)
    "RAMB18E1": {
        "ADDRARDADDR": 14,
        "ADDRBWRADDR": 14,
        "DIADI": 16,
        "DIBDI": 16,
        "DIPADIP": 2,
        "DIPBDIP": 2,
        "WEA": 2,
        "WEBWE": 4,
    },
    "RAMB36E1": {
        "ADDRARDADDR": 16,
        "ADDRBWRADDR": 16,
        "DIADI": 32,
        "DIBDI": 32,
        "DIPADIP": 4,
        "DIPBDIP": 4,
        "WEA": 4,
        "WEBWE": 8,
    },
}
_SINGLE = ("ENARDEN", "ENBWREN", "REGCEAREGCE", "REGCEB", "RSTRAMARSTRAM", "RSTRAMB", "RSTREGARSTREG", "RSTREGB")


class RamBench:
    """One block RAM with every pin to itself."""

    def __init__(self, kind: str, **parameters: str | int) -> None:
        nets = iter(range(3, 10_000))
        wide = _PINS[kind]
        outputs = {
            "DOADO": wide["DIADI"],
            "DOBDO": wide["DIBDI"],
            "DOPADOP": wide["DIPADIP"],
            "DOPBDOP": wide["DIPBDIP"],
        }
        self.pins = {pin: [next(nets) for _ in range(wide.get(pin, 1))] for pin in (*wide, *_SINGLE)}
        self.shown = {pin: [next(nets) for _ in range(width)] for pin, width in outputs.items()}
        ports = {name: {"direction": "input", "bits": bits} for name, bits in self.pins.items()}
        ports |= {name: {"direction": "output", "bits": bits} for name, bits in self.shown.items()}
        ports["clk"] = {"direction": "input", "bits": [CLOCK]}
        texts = {name: value if isinstance(value, str) else f"{value:b}" for name, value in parameters.items()}
        ram = cell(
            kind,
            texts,
            CLKARDCLK=CLOCK,
            CLKBWRCLK=CLOCK,
            **self.pins,
            **{f"_{pin}": bits for pin, bits in self.shown.items()},
        )
        self.circuit = circuit_of({"ports": ports, "cells": {"ram": ram}})
        self.engine = GateEngine(self.circuit, 1)

    def edge(self, **values: int) -> dict[str, int]:
        """Do one clock edge with some pins set and the others 0; return the outputs after it."""
        nets = [net for pin in self.pins for net in self.circuit.ports[pin][1]]
        row = [values.get(pin, 0) >> place & 1 for pin, bits in self.pins.items() for place in range(len(bits))]
        self.engine.run(nets, np.array([row], dtype=np.uint8), [])
        return self.now()

    def now(self) -> dict[str, int]:
        """Return the outputs."""
        found = {}
        for pin in self.shown:
            nets = self.circuit.ports[pin][1]
            values = self.engine.values(nets)
            found[pin] = sum(int(value) << place for place, value in enumerate(values))
        return found


@pytest.mark.parametrize(("mode", "shown"), [("READ_FIRST", 0x1111), ("WRITE_FIRST", 0x2222), ("NO_CHANGE", 0xAAAA)])
def test_write_mode_decides_what_a_writing_port_shows(mode: str, shown: int) -> None:
    """UG473, "Write Modes", figures 1-2 to 1-4: old contents, new contents, or what was there before."""
    ram = RamBench("RAMB18E1", READ_WIDTH_A=18, WRITE_WIDTH_A=18, WRITE_MODE_A=mode, INIT_00=f"{0xAAAA1111:b}")
    assert ram.edge(ENARDEN=1, ADDRARDADDR=1 << 4)["DOADO"] == 0xAAAA
    assert ram.edge(ENARDEN=1, WEA=3, DIADI=0x2222)["DOADO"] == shown
    assert ram.edge(ENARDEN=0, WEA=3, DIADI=0x3333)["DOADO"] == shown  # EN is low: nothing is written, nothing changes
    assert ram.edge(ENARDEN=1)["DOADO"] == 0x2222


def test_bytes_are_written_alone_and_parity_goes_with_its_byte() -> None:
    """UG473, "Byte-Wide Write Enable": each WE bit writes eight bits and their parity."""
    ram = RamBench(
        "RAMB36E1", READ_WIDTH_A=36, WRITE_WIDTH_A=36, WRITE_MODE_A="READ_FIRST", INIT_00="1" * 32, INITP_00="0101"
    )
    ram.edge(ENARDEN=1, WEA=0b0110, DIADI=0x12345678, DIPADIP=0b1010)
    after = ram.edge(ENARDEN=1)
    assert (after["DOADO"], after["DOPADOP"]) == (0xFF3456FF, 0b0011)


def test_contents_are_where_init_puts_them() -> None:
    """UG473, "Content Initialization": INIT_01 begins at byte 32, INITP_00 has a bit for each byte."""
    ram = RamBench("RAMB18E1", READ_WIDTH_B=9, INIT_01=f"{0xBEEF:b}", INITP_00="1" + "0" * 33, INIT_B="1" + "0" * 8)
    assert (ram.now()["DOBDO"], ram.now()["DOPBDOP"]) == (0, 1)  # INIT_B, before anything is read
    first, second = (ram.edge(ENBWREN=1, ADDRBWRADDR=byte << 3) for byte in (32, 33))
    assert (first["DOBDO"], first["DOPBDOP"]) == (0xEF, 0)
    assert (second["DOBDO"], second["DOPBDOP"]) == (0xBE, 1)


def test_ports_of_different_widths_see_the_same_bits() -> None:
    """UG473, table "Port Address Mapping": a wide word is its bytes, nibbles, pairs and bits, the lowest first."""
    word = 0x8421_F00D
    for width in (1, 2, 4):
        ram = RamBench("RAMB36E1", WRITE_WIDTH_A=36, READ_WIDTH_B=width, WRITE_MODE_A="READ_FIRST")
        ram.edge(ENARDEN=1, WEA=15, ADDRARDADDR=3 << 5, DIADI=word, DIPADIP=15)
        for place in range(0, 32, width):
            shown = ram.edge(ENBWREN=1, ADDRBWRADDR=3 * 32 + place)["DOBDO"]
            assert shown == word >> place & (1 << width) - 1, (width, place)


def test_output_register_is_a_clock_later_and_has_enable_and_reset() -> None:
    """UG473, "Optional Output Registers", and RSTREG_PRIORITY; RSTRAM acts on the latch in front of it."""
    for priority, after_reset in (("RSTREG", 0x5), ("REGCE", 0x77)):
        ram = RamBench(
            "RAMB18E1", READ_WIDTH_A=18, DOA_REG=1, SRVAL_A=5, INIT_00=f"{0x77:b}", RSTREG_PRIORITY_A=priority
        )
        assert ram.edge(ENARDEN=1)["DOADO"] == 0
        assert ram.edge(REGCEAREGCE=1)["DOADO"] == 0x77
        assert ram.edge(ENARDEN=1, RSTRAMARSTRAM=1)["DOADO"] == 0x77
        assert ram.edge(RSTREGARSTREG=1)["DOADO"] == after_reset
        assert ram.edge(RSTREGARSTREG=1, REGCEAREGCE=1)["DOADO"] == 5
        assert ram.edge(REGCEAREGCE=1)["DOADO"] == 5  # the latch was reset by RSTRAM
        assert ram.edge(ENARDEN=1)["DOADO"] == 5
        assert ram.edge(REGCEAREGCE=1)["DOADO"] == 0x77


def test_simple_dual_port_uses_both_halves_of_the_pins() -> None:
    """UG473, "Simple Dual-Port Block RAM": port B writes 72 bits by WEBWE, port A shows them; the old ones first."""
    ram = RamBench(
        "RAMB36E1",
        RAM_MODE="SDP",
        READ_WIDTH_A=72,
        WRITE_WIDTH_B=72,
        WRITE_MODE_A="READ_FIRST",
        WRITE_MODE_B="READ_FIRST",
    )
    write = {"ENBWREN": 1, "WEBWE": 0b10000001, "ADDRBWRADDR": 2 << 6, "DIADI": 0x11111111, "DIBDI": 0x22222222}
    assert ram.edge(**write, DIPADIP=15, DIPBDIP=15, ENARDEN=1, ADDRARDADDR=2 << 6)["DOADO"] == 0
    after = ram.edge(ENARDEN=1, ADDRARDADDR=2 << 6)
    assert after == {"DOADO": 0x11, "DOBDO": 0x22000000, "DOPADOP": 1, "DOPBDOP": 8}
    assert ram.engine.collisions == 0


def test_what_the_manual_leaves_open_is_wrong_and_counted() -> None:
    """UG473, "Conflict Avoidance": one port writes, not READ_FIRST, where the other reads; or both write."""
    options = {"READ_WIDTH_A": 9, "WRITE_WIDTH_A": 9, "READ_WIDTH_B": 9, "WRITE_WIDTH_B": 9}
    ram = RamBench("RAMB18E1", **options, WRITE_MODE_A="WRITE_FIRST", WRITE_MODE_B="READ_FIRST")
    assert ram.edge(ENARDEN=1, WEA=1, DIADI=0x0F, ENBWREN=1)["DOBDO"] == 0xFF
    assert ram.engine.collisions == 1
    assert ram.edge(ENARDEN=1, WEA=1, DIADI=0x0F, ENBWREN=1, ADDRBWRADDR=8)["DOBDO"] == 0
    assert ram.edge(ENBWREN=1, WEBWE=1, DIBDI=0x33, ENARDEN=1)["DOADO"] == 0x0F
    assert ram.engine.collisions == 1
    both = RamBench("RAMB18E1", **options, WRITE_MODE_A="READ_FIRST", WRITE_MODE_B="READ_FIRST")
    writes = {"ENARDEN": 1, "WEA": 1, "DIADI": 1, "ENBWREN": 1, "WEBWE": 1}
    both.edge(**writes, DIBDI=1)  # the same
    both.edge(**writes, DIBDI=2, ADDRBWRADDR=8)  # somewhere else
    assert both.engine.collisions == 0
    both.edge(**writes, DIBDI=2)
    assert both.engine.collisions == 1


@pytest.mark.parametrize("seed", range(40))
def test_block_ram_equals_a_plain_model(seed: int) -> None:
    """Random attributes, widths, modes, registers and resets; random traffic on a few addresses."""
    rng = np.random.default_rng([8, seed])
    kind, parameters = random_ram(rng)
    ram = RamBench(kind, **parameters)
    plain = PlainRam(kind, parameters)
    assert ram.now() == plain.outputs()
    for cycle in range(120):
        pins = plain.random_pins(rng)
        assert ram.edge(**pins) == plain.edge(pins), (parameters, cycle)
    assert ram.engine.collisions == 0


class Memories(wiring.Component):
    """Memories of the shapes that the design has, and of some that it has not."""

    SHAPES = (
        # depth, width, granularity, whether reading sees what is written in the same cycle
        (512, 32, 8, False),
        (512, 64, 8, False),
        (2048, 9, None, True),
        (16384, 1, None, False),
        (64, 24, None, False),
    )

    def __init__(self) -> None:
        members: dict[str, Any] = {"a": In(14), "b": In(14), "d": In(64), "we": In(8), "re": In(1)}
        super().__init__(members | {f"o{number}": Out(shape[1]) for number, shape in enumerate(self.SHAPES)})

    def elaborate(self, platform: object) -> Module:
        """Give all of them the same traffic."""
        m = Module()
        for number, (depth, width, granularity, transparent) in enumerate(self.SHAPES):
            init = [(word * 0x9E3779B97F4A7C15 >> 3) & (1 << width) - 1 for word in range(depth)]
            m.submodules[f"memory{number}"] = memory = Memory(shape=width, depth=depth, init=init)
            write = memory.write_port(granularity=granularity)
            read = memory.read_port(transparent_for=(write,) if transparent else ())
            m.d.comb += [write.addr.eq(self.a), write.data.eq(self.d), write.en.eq(self.we)]
            m.d.comb += [read.addr.eq(self.b), read.en.eq(self.re), getattr(self, f"o{number}").eq(read.data)]
        # The WebAssembly build of abc stops at designs without logic.
        counter = Signal(8)
        m.d.sync += counter.eq(counter + self.a[:8])
        return m


def test_memories_that_yosys_has_mapped_do_what_they_did() -> None:
    """Amaranth's simulator before synthesis, our models after it: what yosys takes a block RAM for is what it is."""
    circuit = circuit_of(synthesise(to_rtlil(Memories(), ZYNQ_NAME))["modules"][ZYNQ_NAME])
    rng = np.random.default_rng(6)
    addresses = rng.integers(0, 1 << 14, 6)
    rows = [
        {
            "a": int(rng.choice(addresses)),
            "b": int(rng.choice(addresses)),
            "d": int.from_bytes(rng.bytes(8), "little"),
            "we": int(rng.integers(256)),
            "re": int(number < 2 or rng.random() < 0.7),
        }
        for number in range(400)
    ]
    names = [f"o{number}" for number in range(len(Memories.SHAPES))]
    expected = simulated(Memories(), rows, names)
    inputs = [name for name in circuit.ports if circuit.ports[name][0] == "input" and name != "clk"]
    stimulus = [
        [row.get(name, 0) >> bit & 1 for name in inputs for bit in range(len(circuit.ports[name][1]))] for row in rows
    ]
    nets = [net for name in inputs for net in circuit.ports[name][1]]
    engine = GateEngine(circuit, 1)
    outs = [net for name in names for net in circuit.ports[name][1]]
    record = engine.run(nets, np.array(stimulus, dtype=np.uint8), outs)
    # Before the first read Amaranth's simulator shows 0, and hardware nobody knows what.
    for number, (row, line) in enumerate(zip(expected[1:], record[1:].tolist(), strict=True)):
        place = 0
        for name in names:
            bits = line[place : place + len(circuit.ports[name][1])]
            place += len(bits)
            assert sum(bit << index for index, bit in enumerate(bits)) == row[f"out_{name}"], (number, name)
    assert len(circuit.rams) >= 4
    assert engine.collisions == 0

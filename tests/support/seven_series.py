"""What the cells of 7-series devices do, as tables and registers: netlists of yosys become circuits that can be run.

Written from Xilinx's manuals, each cell with its place: UG953 (Vivado Design Suite 7 Series FPGA and Zynq-7000 SoC
Libraries Guide, 2022.1) describes every cell under its name, UG474 (7 Series FPGAs CLB, v1.8) slices, UG473 (7 Series
FPGAs Memory Resources, v1.11) block RAM. Cells and options that are not here are refused, never approximated.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from axft_spec.errors import BackendError
from support.block_ram import BlockRam, block_ram_of

__all__ = ["Circuit", "Gate", "Table", "circuit_of"]

Bit = int | str  # a net of yosys's netlist, or "0", "1", "x"

#: Inputs of look-up tables.
_LUTS = {f"LUT{inputs}": inputs for inputs in range(1, 7)}
_LUTS["INV"] = 1

#: Flip-flops: reset pin, whether it acts at once, and the value that it gives (UG953 "FDRE", "FDSE", "FDCE", "FDPE").
_FLIP_FLOPS = {"FDRE": ("R", False, 0), "FDSE": ("S", False, 1), "FDCE": ("CLR", True, 0), "FDPE": ("PRE", True, 1)}

#: Shift registers: bits of the address, and the pin with the last bit (UG953 "SRL16E", "SRLC32E"; UG474 "Shift
#: Registers"): address 0 is the newest bit, which is one clock old.
_SHIFT_REGISTERS = {"SRL16E": (4, None), "SRLC32E": (5, "Q31")}

#: Memories of slices: address bits, width of a port, and the ports as (suffix of data pins, address, suffix of INIT);
#: all are written at the address of the last (UG953 "RAM32M", "RAM64M"; UG474 "Distributed RAM").
_QUAD_MEMORIES = {"RAM32M": (5, 2), "RAM64M": (6, 1)}

#: Memories of slices with a port that writes and shows, and one that only shows (UG953 "RAM32X1D", "RAM64X1D").
_DUAL_MEMORIES = {"RAM32X1D": 5, "RAM64X1D": 6}

_TABLES = {  # of O, by inputs from the least significant up
    "MUXCY": (("DI", "CI", "S"), 0b11001010),  # UG953 "CARRY4": the carry goes on where S is 1
    "XORCY": (("LI", "CI"), 0b0110),
    "MUXF7": (("I0", "I1", "S"), 0b11001010),
    "MUXF8": (("I0", "I1", "S"), 0b11001010),
}

_BUFFERS = {"BUFG", "IBUF", "OBUF"}


@dataclass(slots=True)
class Table:
    """Bits that are read by address: constant in look-up tables, else state, in which None is undefined at power-up."""

    bits: list[int | None]
    cell: str


@dataclass(slots=True)
class Gate:
    """`out` is the bit of a table that the inputs name, the first of them the least significant."""

    inputs: list[int]
    out: int
    table: Table


@dataclass(slots=True)
class Circuit:
    """A netlist as tables and registers over numbered nets; net 0 is 0 and net 1 is 1.

    Members
    -------
    nets : int
        How many there are.
    gates : list of Gate
        In an order in which each comes behind those that it depends on.
    flip_flops : list of tuple
        Nets (data, enable, reset, value at reset, out), and the initial value, None where it is undefined.
    shifters : list of tuple
        Nets (data, enable), and the table.
    writers : list of tuple
        Address nets, nets (data, enable), and the table.
    rams : list of BlockRam
    ports : dict of str to (str, list of int)
        Direction and nets of each port.
    luts : list of Table
        Those that are look-up tables of the netlist, with an INIT.
    """

    nets: int = 2
    gates: list[Gate] = field(default_factory=list)
    flip_flops: list[tuple[int, int, int, int, int, int | None]] = field(default_factory=list)
    shifters: list[tuple[int, int, Table]] = field(default_factory=list)
    writers: list[tuple[list[int], int, int, Table]] = field(default_factory=list)
    rams: list[BlockRam] = field(default_factory=list)
    ports: dict[str, tuple[str, list[int]]] = field(default_factory=dict)
    luts: list[Table] = field(default_factory=list)


def circuit_of(module: Mapping[str, Any], opened: str | None = None) -> Circuit:
    """Return a flat netlist of 7-series cells as a circuit.

    Parameters
    ----------
    module : mapping
        A module of yosys's JSON form.
    opened : str, optional
        A type of cell that is the world outside: its inputs are outputs of the circuit, and the other way round, each
        a port of its name.

    Raises
    ------
    BackendError
        If a cell or an option of it is not modelled, there is not one clock alone, or nets have no driver or make a
        loop.
    """
    return _Builder(module, opened).circuit


class _Cell:
    """A cell, with its pins as nets."""

    def __init__(self, builder: _Builder, name: str, content: Mapping[str, Any]) -> None:
        self.builder = builder
        self.name = name
        self.kind: str = content["type"]
        self.parameters: Mapping[str, str] = content["parameters"]
        self.pins: Mapping[str, list[Bit]] = content["connections"]

    def refuse(self, what: str) -> BackendError:
        return BackendError(f"{self.kind} {self.name}: {what} is not modelled")

    def number(self, name: str, default: int) -> int:
        """Return a parameter that must be defined."""
        text = self.parameters.get(name, f"{default:b}")
        if set(text) - set("01"):
            raise self.refuse(f"{name} = {text}")
        return int(text, 2)

    def bits(self, name: str, count: int, default: str = "0") -> list[int | None]:
        """Return the bits of a parameter, the least significant first; None where it is undefined."""
        text = self.parameters.get(name, default).rjust(count, "0")
        return [{"0": 0, "1": 1}.get(digit) for digit in reversed(text)][:count]

    def net(self, pin: str, index: int = 0) -> int:
        """Return the net of an input, behind the inverter that the cell may have there."""
        if index >= len(self.pins.get(pin, [])):
            raise self.refuse(f"input {pin} left open")
        net = self.builder.net(self.pins[pin][index])
        if self.number(f"IS_{pin}_INVERTED", 0):
            return self.builder.inverted(net, self.name)
        return net

    def nets(self, pin: str) -> list[int]:
        return [self.net(pin, index) for index in range(len(self.pins[pin]))]

    def clock(self, pin: str) -> None:
        """See that a pin has the clock."""
        if self.number(f"IS_{pin}_INVERTED", 0):
            raise self.refuse("a falling clock")
        self.builder.clock(self.pins[pin][0], self)


class _Builder:
    def __init__(self, module: Mapping[str, Any], opened: str | None) -> None:
        self.circuit = Circuit()
        self._nets: dict[Bit, int] = {"0": 0, "1": 1, "x": 0}
        self._clock: Bit | None = None
        self._clock_of: dict[Bit, Bit] = {}
        self._inverted: dict[int, int] = {}
        self._driven: set[int] = {0, 1}
        cells = [_Cell(self, name, content) for name, content in module["cells"].items()]
        for cell in cells:
            if cell.kind in _BUFFERS:
                self._clock_of[cell.pins["O"][0]] = cell.pins["I"][0]
        for name, port in module["ports"].items():
            self._port(name, port["direction"], port["bits"])
        for cell in cells:
            if cell.kind == opened:
                for pin, bits in cell.pins.items():
                    towards = "input" if module["cells"][cell.name]["port_directions"][pin] == "output" else "output"
                    self._port(pin, towards, bits)
                continue
            model = _MODELS.get(cell.kind)
            if model is None:
                raise BackendError(f"cell {cell.name} is a {cell.kind}, which is not modelled")
            model(cell, self)
        self._sort()

    # What models add

    def net(self, bit: Bit) -> int:
        """Return the number of a net."""
        if bit not in self._nets:
            self._nets[bit] = self.new()
        return self._nets[bit]

    def new(self) -> int:
        self.circuit.nets += 1
        return self.circuit.nets - 1

    def inverted(self, net: int, name: str) -> int:
        if net not in self._inverted:
            self._inverted[net] = self.new()
            self.gate([net], self._inverted[net], Table([1, 0], name))
        return self._inverted[net]

    def gate(self, inputs: list[int], out: int, table: Table) -> None:
        self.drive(out, table.cell)
        self.circuit.gates.append(Gate(inputs, out, table))

    def drive(self, net: int, name: str) -> None:
        """Note that a net has a driver; it must be the only one."""
        if net in self._driven:
            raise BackendError(f"{name} drives what something else drives too, or a constant")
        self._driven.add(net)

    def clock(self, bit: Bit, cell: _Cell) -> None:
        source = bit
        while source in self._clock_of:
            source = self._clock_of[source]
        if self._clock is None:
            self._clock = source
        if source != self._clock or isinstance(source, str):
            raise cell.refuse("a second clock, or none,")

    def _port(self, name: str, direction: str, bits: list[Bit]) -> None:
        nets = [self.net(bit) for bit in bits]
        self.circuit.ports[name] = direction, nets
        if direction == "input":
            for net in nets:
                self.drive(net, f"port {name}")

    def _sort(self) -> None:
        """Put the gates into an order; what is left over is in a loop or has an input that nothing drives."""
        gates = {gate.out: gate for gate in self.circuit.gates}
        order: list[Gate] = []
        state: dict[int, int] = {}  # 1: its inputs are being looked at; 2: done
        for last in self.circuit.gates:
            stack = [last.out]
            while stack:
                net = stack[-1]
                if state.get(net) == 2 or net not in gates:
                    stack.pop()
                    continue
                if state.get(net) == 1:
                    state[net] = 2
                    order.append(gates[net])
                    stack.pop()
                    continue
                state[net] = 1
                for source in gates[net].inputs:
                    if state.get(source) == 1:
                        raise BackendError(f"cell {gates[net].table.cell} is in a loop without a register")
                    if source not in self._driven:
                        raise BackendError(f"an input of cell {gates[net].table.cell} has no driver")
                    stack.append(source)
        self.circuit.gates = order


# Models of cells


def _lut(cell: _Cell, builder: _Builder) -> None:
    """O is the bit of INIT that the inputs name, I0 the least significant (UG953 "LUT6")."""
    inputs = _LUTS[cell.kind]
    if cell.kind == "INV":
        pins, init = ["I"], 0b01
    else:
        pins, init = [f"I{number}" for number in range(inputs)], cell.number("INIT", 0)
    table = Table([init >> place & 1 for place in range(1 << inputs)], cell.name)
    builder.gate([cell.net(pin) for pin in pins], builder.net(cell.pins["O"][0]), table)
    if cell.kind != "INV":
        builder.circuit.luts.append(table)


def _fixed(cell: _Cell, builder: _Builder) -> None:
    pins, bits = _TABLES[cell.kind]
    table = Table([bits >> place & 1 for place in range(1 << len(pins))], cell.name)
    builder.gate([cell.net(pin) for pin in pins], builder.net(cell.pins["O"][0]), table)


def _buffer(cell: _Cell, builder: _Builder) -> None:
    builder.gate([cell.net("I")], builder.net(cell.pins["O"][0]), Table([0, 1], cell.name))


def _carry4(cell: _Cell, builder: _Builder) -> None:
    """Four positions: O is S ^ carry, the next carry is the carry if S, else DI (UG953 "CARRY4").

    The first carry is CI or CYINIT, of which the other is 0; each position drives its CO.
    """
    if cell.pins["CI"][0] != "0" and cell.pins["CYINIT"][0] != "0":
        raise cell.refuse("a carry from CI and from CYINIT")
    carry = cell.net("CYINIT" if cell.pins["CI"][0] == "0" else "CI")
    for place in range(4):
        select = cell.net("S", place)
        builder.gate([select, carry], builder.net(cell.pins["O"][place]), Table([0, 1, 1, 0], cell.name))
        after = builder.net(cell.pins["CO"][place])
        builder.gate([cell.net("DI", place), carry, select], after, Table([0, 1, 0, 1, 0, 0, 1, 1], cell.name))
        carry = after


def _flip_flop(cell: _Cell, builder: _Builder) -> None:
    """Reset comes before CE; it waits for the clock (R, S) or does not (CLR, PRE)."""
    cell.clock("C")
    pin, at_once, value = _FLIP_FLOPS[cell.kind]
    (init,) = cell.bits("INIT", 1, str(value))
    reset, out = cell.net(pin), builder.net(cell.pins["Q"][0])
    register = out
    if at_once:
        register = builder.new()
        builder.gate([register, reset], out, Table([0, 1, value, value], cell.name))
    builder.drive(register, cell.name)
    builder.circuit.flip_flops.append((cell.net("D"), cell.net("CE"), reset, value, register, init))


def _shift_register(cell: _Cell, builder: _Builder) -> None:
    cell.clock("CLK")
    bits, last = _SHIFT_REGISTERS[cell.kind]
    table = Table(cell.bits("INIT", 1 << bits), cell.name)
    address = cell.nets("A") if bits == 5 else [cell.net(f"A{number}") for number in range(bits)]
    builder.gate(address, builder.net(cell.pins["Q"][0]), table)
    if last is not None and cell.pins.get(last):
        builder.gate([1] * bits, builder.net(cell.pins[last][0]), table)
    builder.circuit.shifters.append((cell.net("D"), cell.net("CE"), table))


def _quad_memory(cell: _Cell, builder: _Builder) -> None:
    cell.clock("WCLK")
    bits, width = _QUAD_MEMORIES[cell.kind]
    for port in "ABCD":
        init = cell.bits(f"INIT_{port}", width << bits)
        for column in range(width):
            table = Table(init[column::width], cell.name)
            if not cell.pins.get(f"DO{port}"):
                continue
            builder.gate(cell.nets(f"ADDR{port}"), builder.net(cell.pins[f"DO{port}"][column]), table)
            data = cell.net(f"DI{port}", column)
            builder.circuit.writers.append((cell.nets("ADDRD"), data, cell.net("WE"), table))


def _dual_memory(cell: _Cell, builder: _Builder) -> None:
    cell.clock("WCLK")
    bits = _DUAL_MEMORIES[cell.kind]
    table = Table(cell.bits("INIT", 1 << bits), cell.name)
    address = [cell.net(f"A{number}") for number in range(bits)]
    for out, nets in (("SPO", address), ("DPO", [cell.net(f"DPRA{number}") for number in range(bits)])):
        if cell.pins.get(out):
            builder.gate(nets, builder.net(cell.pins[out][0]), table)
    builder.circuit.writers.append((address, cell.net("D"), cell.net("WE"), table))


def _block_ram(cell: _Cell, builder: _Builder) -> None:
    for pin in ("CLKARDCLK", "CLKBWRCLK"):
        cell.clock(pin)
    ram = block_ram_of(cell.kind, cell.name, cell.parameters, cell.pins, cell.net, builder.net)
    for port in ram.ports:
        for net in port.out:
            builder.drive(net, cell.name)
    # Outputs that this mode does not use stand still.
    used = {net for port in ram.ports for net in port.out}
    for pin in ("DOADO", "DOPADOP", "DOBDO", "DOPBDOP"):
        for bit in cell.pins.get(pin, []):
            if builder.net(bit) not in used:
                builder.drive(builder.net(bit), cell.name)
    builder.circuit.rams.append(ram)


_MODELS: dict[str, Callable[[_Cell, _Builder], None]] = {
    **dict.fromkeys(_LUTS, _lut),
    **dict.fromkeys(_TABLES, _fixed),
    **dict.fromkeys(_BUFFERS, _buffer),
    "CARRY4": _carry4,
    **dict.fromkeys(_FLIP_FLOPS, _flip_flop),
    **dict.fromkeys(_SHIFT_REGISTERS, _shift_register),
    **dict.fromkeys(_QUAD_MEMORIES, _quad_memory),
    **dict.fromkeys(_DUAL_MEMORIES, _dual_memory),
    "RAMB18E1": _block_ram,
    "RAMB36E1": _block_ram,
}

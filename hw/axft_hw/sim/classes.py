"""Which modules are simulated as lanes of a class, and the flattening of a netlist into units."""

from __future__ import annotations

from dataclasses import dataclass, field

from axft_spec.errors import BackendError

from .ir import Bits, FlipFlop, Gather, Lane, Op, Port, ReadPort, Sig, Step, Store, Unit, WritePort, cut, join, width_of
from .netlist import IGNORED, Assign, Cell, Module, Netlist, Spec, Switch

__all__ = ["Design", "choose_classes", "flatten"]

_FEWEST_LANES = 4


@dataclass(slots=True, eq=False)
class Design:
    """A flattened netlist: unit 0 is everything outside the classes."""

    units: list[Unit]
    classes: list[str]  # class of the modules of unit i + 1
    clock: str


@dataclass(slots=True, eq=False)
class _Scope:
    """One instance of a module inside a unit."""

    module: Module
    unit: Unit
    path: str
    parent: _Scope | None = None
    cell: Cell | None = None
    drivers: dict[str, Bits] = field(default_factory=dict)
    outputs: dict[str, tuple[_Scope, str]] = field(default_factory=dict)  # wire -> child, port
    busy: set[str] = field(default_factory=set)


def choose_classes(netlist: Netlist, refused: frozenset[str]) -> set[str]:
    """Return the classes that are worth a loop: those that make the C text smallest.

    A class that holds many equal instances of another (a row of PEs) is better taken apart; the inner one is the loop.
    """
    counts = _count(netlist)
    own: dict[str, int] = {}
    children: dict[str, list[str]] = {}
    body: dict[str, int] = {}
    for kind in reversed(list(counts)):  # counts has parents before children
        module = netlist.modules[kind]
        children[kind] = [cell.kind for cell in module.cells if cell.kind[0] == "@"]
        own[kind] = len(module.cells) - len(children[kind]) + len(module.processes)
        body[kind] = own[kind] + sum(body[child] for child in children[kind])
    best: dict[str, int] = {}
    loops: dict[str, bool] = {}
    for kind in reversed(list(counts)):
        taken_apart = own[kind] * counts[kind]
        for child in set(children[kind]):
            share = children[kind].count(child) * counts[kind] / counts[child]
            taken_apart += int(best[child] * share)
        loops[kind] = counts[kind] >= _FEWEST_LANES and kind not in refused and 0 < body[kind] <= taken_apart
        best[kind] = body[kind] if loops[kind] else taken_apart
    chosen: set[str] = set()
    waiting, seen = [netlist.top], set()
    while waiting:
        kind = waiting.pop()
        if kind in seen:
            continue
        seen.add(kind)
        if loops[kind]:
            chosen.add(kind)
        else:
            waiting += children[kind]
    return chosen


def _count(netlist: Netlist) -> dict[str, int]:
    """Return the number of instances of every class, parents before children."""
    order: list[str] = []
    seen: set[str] = set()

    def visit(kind: str) -> None:
        if kind not in seen:
            seen.add(kind)
            for cell in netlist.modules[kind].cells:
                if cell.kind[0] == "@":
                    visit(cell.kind)
            order.append(kind)

    visit(netlist.top)
    counts = dict.fromkeys(reversed(order), 0)
    counts[netlist.top] = 1
    for kind in counts:
        for cell in netlist.modules[kind].cells:
            if cell.kind[0] == "@":
                counts[cell.kind] += counts[kind]
    return counts


def flatten(netlist: Netlist, chosen: set[str]) -> Design:
    """Return the units of a design: the classes in `chosen` as lanes, all else in unit 0."""
    return _Flattener(netlist, chosen).design()


class _Flattener:
    def __init__(self, netlist: Netlist, chosen: set[str]) -> None:
        self.netlist = netlist
        self.chosen = chosen
        self.units = [Unit(0, "top")]
        self.unit_of: dict[str, Unit] = {}
        self.classes: list[str] = []
        self.lanes: dict[str, list[_Scope]] = {}  # where the instances are: the scope that holds each, and its cell
        self.lane_cells: dict[str, list[Cell]] = {}
        self.lane_sigs: dict[tuple[int, int], Lane] = {}
        self.scopes: list[_Scope] = []
        self.templates: dict[str, _Scope] = {}
        self.lane_of: dict[int, int] = {}
        self.clocks: set[Bits] = set()

    def design(self) -> Design:
        top = _Scope(self.netlist.modules[self.netlist.top], self.units[0], "")
        self.open(top)
        for name, wire in top.module.wires.items():
            if wire.direction == "input":
                sig = Sig(self.units[0], wire.width, name[1:], "input")
                self.units[0].inputs.append(sig)
                top.drivers[name] = ((sig, 0, wire.width),)
            elif wire.direction == "inout":
                raise BackendError(f"port {name[1:]} is an inout, which the compiled model does not support")
        index = 0
        while index < len(self.classes):  # templates hold no classes, so the list is complete: see open
            self.template(self.classes[index])
            index += 1
        for scope in self.scopes:
            self.fill(scope)
        for kind in self.classes:
            self.gather(kind)
        for name, wire in top.module.wires.items():
            if wire.direction == "output":
                self.units[0].outputs.append(Port(name[1:], self.wire(top, name)))
        return Design(units=self.units, classes=self.classes, clock=self.clock())

    # Structure: scopes and signals, before any value is looked up.

    def open(self, scope: _Scope) -> None:
        """Create a scope's signals, and its children."""
        self.scopes.append(scope)
        module = scope.module
        for process in module.processes:
            first = process.body[0]
            assert isinstance(first, Assign)
            name = str(first.target[0][0])
            if not any(isinstance(step, Switch) for step in process.body) and name in module.wires:
                continue  # only wiring: resolved where it is read
            self.drive(scope, name, "comb")
        for cell in module.cells:
            if cell.kind[0] == "@":
                self.child(scope, cell)
            elif cell.kind == "$dff":
                self.drive(scope, str(cell.ports["Q"][0][0]), "state")
            elif cell.kind == "$memrd_v2":
                self.drive(scope, str(cell.ports["DATA"][0][0]), "state" if cell.params["CLK_ENABLE"] else "comb")
            elif cell.kind not in IGNORED and "Y" in cell.ports and cell.ports["Y"]:
                self.drive(scope, str(cell.ports["Y"][0][0]), "comb")

    def drive(self, scope: _Scope, name: str, kind: str) -> None:
        width = scope.module.wires[name].width
        sig = Sig(scope.unit, width, scope.path + name.removeprefix("\\"), kind)
        scope.drivers[name] = ((sig, 0, width),)

    def child(self, scope: _Scope, cell: Cell) -> None:
        module = self.netlist.modules[cell.kind]
        looped = cell.kind in self.chosen and scope.unit.index == 0
        inner = _Scope(module, scope.unit, f"{scope.path}{cell.name}.", scope, cell)
        if looped:
            if cell.kind not in self.unit_of:
                unit = Unit(len(self.units), cell.kind, paths=[])
                self.units.append(unit)
                self.unit_of[cell.kind] = unit
                self.classes.append(cell.kind)
                self.lanes[cell.kind] = []
            inner.unit = self.unit_of[cell.kind]
            self.lane_of[id(inner)] = inner.unit.lanes
            inner.unit.paths.append(inner.path)
            self.lanes[cell.kind].append(inner)
        for port, spec in cell.ports.items():
            if module.wires[port].direction == "output":
                for name, first, width in spec:
                    if name is None or first or width != scope.module.wires[name].width or len(spec) > 1:
                        raise BackendError(f"output {port[1:]} of {inner.path[:-1]} drives a part of a signal")
                    scope.outputs[name] = (inner, port)
        if not looped:
            self.open(inner)

    def template(self, kind: str) -> None:
        """Create the body of a class, with its input ports as signals."""
        scope = _Scope(self.netlist.modules[kind], self.unit_of[kind], "")
        self.templates[kind] = scope
        self.open(scope)
        for name, wire in scope.module.wires.items():
            if wire.direction == "input":
                sig = Sig(scope.unit, wire.width, name[1:], "gathered")
                scope.unit.inputs.append(sig)
                scope.drivers[name] = ((sig, 0, wire.width),)

    # Values: from local names to signals.

    def wire(self, scope: _Scope, name: str) -> Bits:
        """Return what drives a wire."""
        found = scope.drivers.get(name)
        if found is not None:
            return found
        if name in scope.busy:
            raise BackendError(f"{scope.path}{name.removeprefix(chr(92))} is wired to itself")
        scope.busy.add(name)
        scope.drivers[name] = found = self.look_up(scope, name)
        scope.busy.discard(name)
        return found

    def look_up(self, scope: _Scope, name: str) -> Bits:
        module = scope.module
        if name in module.connects:
            return self.bits(scope, module.connects[name])
        if name in scope.outputs:
            child, port = scope.outputs[name]
            if id(child) not in self.lane_of:
                return self.wire(child, port)
            template = self.templates[str(child.cell.kind if child.cell else "")]
            return self.lane(self.whole(template, port), self.lane_of[id(child)])
        if module.wires[name].direction == "input" and scope.parent is not None and scope.cell is not None:
            return self.bits(scope.parent, scope.cell.ports[name])
        for process in module.processes:
            if isinstance(process.body[0], Assign) and process.body[0].target[0][0] == name:
                value: Bits = ()
                for step in process.body:
                    assert isinstance(step, Assign)
                    ((_, first, width),) = step.target
                    after = first + width
                    total = width_of(value)
                    value = join(
                        (
                            *cut(value, 0, first),
                            *self.bits(scope, step.value),
                            *cut(value, after, max(total - after, 0)),
                        )
                    )
                return value
        raise BackendError(f"nothing drives {scope.path}{name.removeprefix(chr(92))}")

    def whole(self, template: _Scope, port: str) -> Sig:
        """Return an output of a class as one signal of its unit."""
        bits = self.wire(template, port)
        sig = bits[0][0]
        if len(bits) == 1 and sig is not None and sig.width == bits[0][2]:
            return sig
        joined = Sig(template.unit, width_of(bits), port[1:], "comb")
        template.unit.ops.append(Op("join", joined, {"A": bits}))
        template.drivers[port] = ((joined, 0, joined.width),)
        return joined

    def lane(self, sig: Sig, lane: int) -> Bits:
        key = (id(sig), lane)
        if key not in self.lane_sigs:
            self.lane_sigs[key] = Lane(sig, lane)
        return ((self.lane_sigs[key], 0, sig.width),)

    def bits(self, scope: _Scope, spec: Spec) -> Bits:
        """Return a local value as signals of the unit."""
        if len(spec) == 1 and spec[0][0] is not None:
            name, first, width = spec[0]
            whole = self.wire(scope, str(name))
            return whole if first == 0 and width_of(whole) == width else cut(whole, first, width)
        pieces: list[tuple[Sig | None, int, int]] = []
        for name, first, width in spec:
            pieces += [(None, first, width)] if name is None else cut(self.wire(scope, name), first, width)
        return join(pieces)

    # Contents: operations and state.

    def fill(self, scope: _Scope) -> None:
        """Create the operations, registers and memories of a scope."""
        unit = scope.unit
        module = scope.module
        stores = {
            name: Store(f"{scope.path}{name[1:]}", memory.width, memory.depth, memory.init)
            for name, memory in module.memories.items()
        }
        unit.stores += stores.values()
        ordered = sorted(
            (cell for cell in module.cells if cell.kind == "$memwr_v2"), key=lambda cell: int(cell.params["PORTID"])
        )
        for cell in ordered:
            self.check_clock(scope, cell)
            addr, data, enable = (self.bits(scope, cell.ports[port]) for port in ("ADDR", "DATA", "EN"))
            stores[str(cell.params["MEMID"])].writes.append(WritePort(addr, data, enable))
        for cell in module.cells:
            if cell.kind[0] == "@" or cell.kind in IGNORED or cell.kind == "$memwr_v2":
                continue
            if cell.kind == "$dff":
                self.check_clock(scope, cell)
                name = str(cell.ports["Q"][0][0])
                sig = self.own(scope, name)
                unit.flip_flops.append(FlipFlop(sig, module.wires[name].init or 0, self.bits(scope, cell.ports["D"])))
            elif cell.kind == "$memrd_v2":
                self.read_port(scope, cell, stores[str(cell.params["MEMID"])])
            elif cell.ports["Y"]:
                out = self.own(scope, str(cell.ports["Y"][0][0]))
                ports = {name: self.bits(scope, spec) for name, spec in cell.ports.items() if name != "Y"}
                unit.ops.append(Op(cell.kind, out, ports, cell.params))
        for process in module.processes:
            first = process.body[0]
            assert isinstance(first, Assign)
            if any(isinstance(step, Switch) for step in process.body):
                out = self.own(scope, str(first.target[0][0]))
                unit.ops.append(Op("process", out, steps=self.steps(scope, process.body, out)))

    def own(self, scope: _Scope, name: str) -> Sig:
        sig = scope.drivers[name][0][0]
        assert sig is not None
        return sig

    def steps(self, scope: _Scope, body: list[Assign | Switch], out: Sig) -> list[Step]:
        steps = []
        for item in body:
            if isinstance(item, Assign):
                if len(item.target) != 1:
                    raise BackendError(f"the process of {out.name} assigns to several signals")
                steps.append(Step(first=item.target[0][1], value=self.bits(scope, item.value)))
            else:
                cases = [(patterns, self.steps(scope, inner, out)) for patterns, inner in item.cases]
                steps.append(Step(select=self.bits(scope, item.select), cases=cases))
        return steps

    def read_port(self, scope: _Scope, cell: Cell, store: Store) -> None:
        sig = self.own(scope, str(cell.ports["DATA"][0][0]))
        addr = self.bits(scope, cell.ports["ADDR"])
        if not cell.params["CLK_ENABLE"]:
            scope.unit.ops.append(Op("read", sig, {"ADDR": addr}, store=store))
            return
        self.check_clock(scope, cell)
        if sig.name[len(scope.path)] == "$":  # no signal is just this register
            sig.name = f"{store.name}.read_{len(store.reads)}"
        enable = self.bits(scope, cell.ports["EN"])
        store.reads.append(ReadPort(sig, addr, enable, int(cell.params["TRANSPARENCY_MASK"])))

    def check_clock(self, scope: _Scope, cell: Cell) -> None:
        if not cell.params["CLK_POLARITY"]:
            raise BackendError(
                f"{scope.path}{cell.name} acts on the falling edge; the compiled model knows the rising one"
            )
        self.clocks.add(self.bits(scope, cell.ports["CLK"]))

    def gather(self, kind: str) -> None:
        """Create the gathering of every input of a class from the instances' surroundings."""
        unit = self.unit_of[kind]
        for sig in unit.inputs:
            port = "\\" + sig.name
            sources = []
            for inner in self.lanes[kind]:
                assert inner.parent is not None and inner.cell is not None
                sources.append(self.bits(inner.parent, inner.cell.ports[port]))
            gather = Gather(sig, sources)
            if all(source == sources[0] for source in sources) and all(
                piece[0] is None or piece[0].unit.index == 0 for piece in sources[0]
            ):
                gather.uniform = sources[0]
            unit.gathers.append(gather)

    def clock(self) -> str:
        """Return the name of the one clock, after checking that there is only one and that it is a port."""
        names = set()
        shared = {id(gather.out): gather.uniform or () for unit in self.units for gather in unit.gathers}
        for bits in self.clocks:
            sig = bits[0][0] if bits else None
            if sig is not None and sig.kind == "gathered":
                outside = shared[id(sig)]
                sig = outside[0][0] if outside else None
            if sig is None or sig.kind != "input":
                raise BackendError("a flip-flop's clock is no input of the design: one clock domain is supported")
            names.add(sig.name)
        if len(names) > 1:
            raise BackendError(f"the design has the clocks {', '.join(sorted(names))}: one clock domain is supported")
        return names.pop() if names else ""

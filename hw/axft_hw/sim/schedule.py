"""In what order, and in which functions, a design's operations are computed.

Dependencies are followed operation by operation, all lanes of a class together. When that leaves a circle, a class that
takes part in it is taken apart (a ripple from instance to instance), or signals that only share a word are split into
bits; a circle that is left is a combinational loop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from axft_spec.errors import BackendError

from .classes import Design, choose_classes, flatten
from .ir import (
    Bits,
    FlipFlop,
    Gather,
    Lane,
    Op,
    Port,
    ReadPort,
    Sig,
    Step,
    Unit,
    WritePort,
    cut,
    join,
    signals,
    width_of,
)
from .netlist import Netlist

__all__ = ["Function", "Schedule", "plan"]

_SPLITTABLE = {"$and", "$or", "$xor", "$not", "$mux", "process", "join"}
_LONGEST = 1200  # operations in one function: what a C compiler takes in its stride

Node = Op | Gather


@dataclass(slots=True, eq=False)
class Function:
    """A C function: operations of one unit, in order; `edge` when it ends with the unit's clock edge."""

    unit: Unit
    nodes: list[Node] = field(default_factory=list)
    edge: bool = False


@dataclass(slots=True, eq=False)
class Schedule:
    """A design with its functions: those of `eval`, then those of `commit`."""

    design: Design
    evaluate: list[Function]
    commit: list[Function]
    refused: frozenset[str]


def plan(netlist: Netlist, *, unroll: bool = False) -> Schedule:
    """Return the order of everything.

    Parameters
    ----------
    netlist : Netlist
        The design.
    unroll : bool
        Do without classes: every instance becomes straight-line code.

    Raises
    ------
    BackendError
        If the design has a combinational loop or something that is not supported.
    """
    refused: frozenset[str] = frozenset(netlist.modules) if unroll else frozenset()
    while True:
        design = flatten(netlist, choose_classes(netlist, refused))
        culprits = _settle(design)
        if not culprits:
            break
        refused |= culprits
    return _functions(design, refused)


def _settle(design: Design) -> set[str]:
    """Split signals until no circle is left; return the classes to take apart where that does not help."""
    while True:
        live, _ = _live(design)
        _, left = _sort(live)
        if not left:
            return set()
        circle = _circle(left)
        crossing = {node.out.unit.index for node in circle if isinstance(node, Gather)}
        if crossing:
            return {design.classes[index - 1] for index in crossing}
        split = [node for node in circle if isinstance(node, Op) and node.kind in _SPLITTABLE and node.out.width > 1]
        if not split:
            names = ", ".join(dict.fromkeys(node.out.name for node in circle))
            raise BackendError(f"the design has a combinational loop through {names}; put a register into it")
        _split(design, split)


def _set_producers(design: Design) -> None:
    for unit in design.units:
        for op in unit.ops:
            op.out.producer = op
        for gather in unit.gathers:
            gather.out.producer = gather


def _live(design: Design) -> tuple[list[Node], set[int]]:
    """Return the nodes that something needs, and the ids of those that `eval` needs (the rest waits for the edge)."""
    _set_producers(design)
    top = design.units[0]
    at_edge = _reach(
        (sig for unit in design.units[1:] for bits in unit.edge_inputs() for sig in signals(bits)), stop=True
    )
    roots = [sig for bits in top.edge_inputs() for sig in signals(bits)]
    roots += [sig for port in top.outputs for sig in signals(port.bits)]
    gathers = [node for node in at_edge if isinstance(node, Gather)]
    roots += [node.out for node in gathers]
    evaluated = _reach(roots, stop=False)
    ids = {id(node) for node in evaluated}
    return evaluated + [node for node in at_edge if id(node) not in ids], ids


def _reach(roots: Iterable[Sig], *, stop: bool) -> list[Node]:
    """Return the producers behind signals, transitively; `stop` at gathered signals."""
    found: dict[int, Node] = {}
    waiting = [sig.base for sig in roots]
    while waiting:
        node = waiting.pop().producer
        if node is None or id(node) in found:
            continue
        found[id(node)] = node
        if not (stop and isinstance(node, Gather)):
            waiting += [sig.base for sig in node.inputs()]
    return list(found.values())


def _sort(nodes: list[Node]) -> tuple[list[list[Node]], list[Node]]:
    """Return the nodes in order, in runs of one unit each as long as possible, and those in or behind circles."""
    known = {id(node) for node in nodes}
    missing: dict[int, int] = {}
    users: dict[int, list[Node]] = defaultdict(list)
    ready: dict[int, list[Node]] = defaultdict(list)

    def place(node: Node) -> int:
        return 0 if isinstance(node, Gather) else node.out.unit.index

    for node in nodes:
        before = {
            id(sig.base.producer): sig.base.producer
            for sig in node.inputs()
            if sig.base.producer is not None and id(sig.base.producer) in known
        }
        missing[id(node)] = len(before)
        for producer in before.values():
            users[id(producer)].append(node)
        if not before:
            ready[place(node)].append(node)
    runs: list[list[Node]] = []
    done: set[int] = set()
    while any(ready.values()):
        unit = 0 if ready[0] else max(ready, key=lambda index: len(ready[index]))
        run: list[Node] = []
        while ready[unit]:
            node = ready[unit].pop()
            run.append(node)
            done.add(id(node))
            for user in users[id(node)]:
                missing[id(user)] -= 1
                if not missing[id(user)]:
                    ready[place(user)].append(user)
        runs.append(run)
    return runs, [node for node in nodes if id(node) not in done]


def _circle(nodes: list[Node]) -> list[Node]:
    """Return one strongly connected set among nodes that have a circle (Tarjan, without recursion)."""
    known = {id(node): node for node in nodes}
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    best: list[int] = []
    for root, start in known.items():
        if root in number:
            continue
        work = [(root, iter(_before(start, known)))]
        number[root] = low[root] = len(number)
        stack.append(root)
        on_stack.add(root)
        while work:
            key, rest = work[-1]
            for other in rest:
                if other not in number:
                    number[other] = low[other] = len(number)
                    stack.append(other)
                    on_stack.add(other)
                    work.append((other, iter(_before(known[other], known))))
                    break
                if other in on_stack:
                    low[key] = min(low[key], number[other])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[key])
                if low[key] == number[key]:
                    cycle = stack[stack.index(key) :]
                    del stack[-len(cycle) :]
                    on_stack.difference_update(cycle)
                    if len(cycle) > 1 or key in _before(known[key], known):
                        best += cycle
                        if any(isinstance(known[each], Gather) for each in cycle):
                            return [known[each] for each in cycle]
    return [known[key] for key in best]


def _before(node: Node, known: dict[int, Node]) -> list[int]:
    return [id(sig.base.producer) for sig in node.inputs() if id(sig.base.producer) in known]


def _split(design: Design, ops: list[Op]) -> None:
    """Replace operations on words by operations on their bits, everywhere."""
    bits_of: dict[Sig, Bits] = {}
    joined: dict[Sig, Sig] = {}
    for op in ops:
        unit = op.out.unit
        parts = [Sig(unit, 1, f"{op.out.name}[{bit}]", "comb") for bit in range(op.out.width)]
        bits_of[op.out] = tuple((part, 0, 1) for part in parts)
        unit.ops.remove(op)
        unit.ops += [_one_bit(op, part, bit) for bit, part in enumerate(parts)]

    def swap(bits: Bits) -> Bits:
        if not any(sig.base in bits_of for sig in signals(bits)):
            return bits
        pieces: list[tuple[Sig | None, int, int]] = []
        for sig, first, width in bits:
            if sig is not None and sig in bits_of:
                pieces += bits_of[sig][first : first + width]
                continue
            if sig is not None and sig.base in bits_of:  # seen from outside its unit: a word again
                if sig.base not in joined:
                    word = joined[sig.base] = Sig(sig.unit, sig.width, sig.base.name, "comb")
                    sig.unit.ops.append(Op("join", word, {"A": bits_of[sig.base]}))
                sig.base = joined[sig.base]
            pieces.append((sig, first, width))
        return join(pieces)

    for unit in design.units:
        _rewrite(unit, swap)


def _one_bit(op: Op, part: Sig, bit: int) -> Op:
    if op.kind == "process":
        return Op("process", part, steps=_steps_of_bit(op.steps, bit))
    ports = {}
    for name, bits in op.ports.items():
        whole = bits
        short = op.out.width - sum(piece[2] for piece in bits)
        if name == "S":
            ports[name] = bits
            continue
        if short > 0:
            signed = op.params.get(f"{name}_SIGNED") and bits
            whole = (*bits, *(cut(bits, op.out.width - short - 1, 1) * short if signed else ((None, 0, short),)))
        ports[name] = cut(whole, bit, 1)
    return Op(op.kind, part, ports, {**op.params, "A_SIGNED": 0, "B_SIGNED": 0})


def _steps_of_bit(steps: list[Step], bit: int) -> list[Step]:
    kept = []
    for step in steps:
        if step.select is not None:
            cases = [(patterns, _steps_of_bit(inner, bit)) for patterns, inner in step.cases]
            if any(inner for _, inner in cases):
                kept.append(Step(select=step.select, cases=cases))
            continue
        value = cut(step.value, bit - step.first, 1) if bit >= step.first else ()
        if value:
            kept.append(Step(value=value))
    return kept


def _rewrite(unit: Unit, swap: Callable[[Bits], Bits]) -> None:
    """Apply `swap` to every value of a unit."""

    def steps(items: list[Step]) -> None:
        for step in items:
            step.value = swap(step.value)
            if step.select is not None:
                step.select = swap(step.select)
            for _, inner in step.cases:
                steps(inner)

    for op in list(unit.ops):
        op.ports = {name: swap(bits) for name, bits in op.ports.items()}
        steps(op.steps)
    for gather in unit.gathers:
        gather.sources = [swap(bits) for bits in gather.sources]
        gather.uniform = None if gather.uniform is None else swap(gather.uniform)
    unit.flip_flops = [FlipFlop(each.sig, each.init, swap(each.data)) for each in unit.flip_flops]
    for store in unit.stores:
        store.writes = [WritePort(swap(port.addr), swap(port.data), swap(port.enable)) for port in store.writes]
        store.reads = [ReadPort(port.sig, swap(port.addr), swap(port.enable), port.transparent) for port in store.reads]
    unit.outputs = [Port(port.name, swap(port.bits)) for port in unit.outputs]


def _keep_old_state(design: Design) -> None:
    """Let `eval` copy what the clock edge of the unit around the classes takes from their registers.

    That unit's edge comes last, when the classes have new state.
    """
    top = design.units[0]
    joined: dict[Bits, Bits] = {}

    def old(bits: Bits) -> Bits:
        if not any(isinstance(sig, Lane) and sig.base.kind == "state" for sig in signals(bits)):
            return bits
        if bits not in joined:
            copy = Sig(top, width_of(bits), "copy", "comb")
            top.ops.append(Op("join", copy, {"A": bits}))
            joined[bits] = ((copy, 0, copy.width),)
        return joined[bits]

    for flip_flop in top.flip_flops:
        flip_flop.data = old(flip_flop.data)
    for store in top.stores:
        for write in store.writes:
            write.addr, write.data, write.enable = old(write.addr), old(write.data), old(write.enable)
        for read in store.reads:
            read.addr, read.enable = old(read.addr), old(read.enable)


def _functions(design: Design, refused: frozenset[str]) -> Schedule:
    """Cut the order into functions."""
    _keep_old_state(design)
    live, evaluated = _live(design)
    now = [node for node in live if id(node) in evaluated]
    later = [node for node in live if id(node) not in evaluated]
    evaluate: list[Function] = []
    for run in _sort(now)[0]:
        unit = design.units[0] if isinstance(run[0], Gather) else run[0].out.unit
        pace = _LONGEST if unit.index == 0 else len(run)
        evaluate += [Function(unit, run[start : start + pace]) for start in range(0, len(run), pace)]
    last = {unit.index: Function(unit, edge=True) for unit in design.units}
    for run in _sort(later)[0]:
        last[run[0].out.unit.index].nodes += run
    # The unit around the classes is last: its signals are inputs of the others.
    commit = [last[unit.index] for unit in (*design.units[1:], design.units[0])]
    return Schedule(design=design, evaluate=evaluate, commit=commit, refused=refused)

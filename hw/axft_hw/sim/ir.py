"""What the netlist becomes before it is C: units of equal lanes, their signals, operations and state."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

__all__ = [
    "Bits",
    "FlipFlop",
    "Gather",
    "Lane",
    "Op",
    "Port",
    "ReadPort",
    "Sig",
    "Step",
    "Store",
    "Unit",
    "WritePort",
    "cut",
    "join",
    "signals",
    "width_of",
]


class Sig:
    """A signal of a unit: one value in each of its lanes.

    `kind` is "input" (a port of the top), "gathered" (an input port of a class), "state" (a flip-flop or the register
    of a read port) or "comb".
    """

    __slots__ = ("base", "field", "function", "kind", "lane", "name", "producer", "unit", "width")

    def __init__(self, unit: Unit, width: int, name: str, kind: str) -> None:
        self.unit = unit
        self.width = width
        self.name = name
        self.kind = kind
        self.producer: Op | Gather | None = None
        self.field = ""  # its place in the state structure, if it needs one
        self.function = -1  # the function that computes it
        self.base: Sig = self
        self.lane = 0

    def __repr__(self) -> str:
        return f"{self.unit.name}:{self.name}/{self.width}"


class Lane(Sig):
    """The value that a signal of a class has in one lane, as other units see it."""

    __slots__ = ()

    def __init__(self, base: Sig, lane: int) -> None:
        super().__init__(base.unit, base.width, base.name, "lane")
        self.base = base
        self.lane = lane


# A value: pieces from the least significant up, each (signal, first bit, width) or (None, constant, width).
Piece = tuple["Sig | None", int, int]
Bits = tuple[Piece, ...]


def width_of(bits: Bits) -> int:
    """Return the number of bits of a value."""
    return sum(piece[2] for piece in bits)


def join(pieces: Iterable[Piece]) -> Bits:
    """Return pieces as a value in which neighbours that belong together are one piece."""
    joined: list[Piece] = []
    for sig, first, width in pieces:
        if width == 0:
            continue
        if joined:
            before, start, length = joined[-1]
            if sig is None and before is None:
                joined[-1] = (None, start | first << length, length + width)
                continue
            if sig is not None and before is sig and start + length == first:
                joined[-1] = (sig, start, length + width)
                continue
        joined.append((sig, first, width))
    return tuple(joined)


def cut(bits: Bits, first: int, width: int) -> Bits:
    """Return `width` bits of a value from bit `first` on."""
    pieces: list[Piece] = []
    position = 0
    end = first + width
    for sig, start, length in bits:
        low, high = max(first, position), min(end, position + length)
        if low < high:
            skip = low - position
            if sig is None:
                pieces.append((None, start >> skip & (1 << high - low) - 1, high - low))
            else:
                pieces.append((sig, start + skip, high - low))
        position += length
        if position >= end:
            break
    return tuple(pieces)


def signals(bits: Bits) -> Iterator[Sig]:
    """Yield the signals a value is made of."""
    for sig, _, _ in bits:
        if sig is not None:
            yield sig


@dataclass(slots=True, eq=False)
class Step:
    """In a process: an assignment of `value` to bits from `first` on, or a switch when `select` is there."""

    first: int = 0
    value: Bits = ()
    select: Bits | None = None
    cases: list[tuple[tuple[str, ...], list[Step]]] = field(default_factory=list)

    def inputs(self) -> Iterator[Sig]:
        """Yield every signal the step reads."""
        if self.select is None:
            yield from signals(self.value)
            return
        yield from signals(self.select)
        for _, steps in self.cases:
            for step in steps:
                yield from step.inputs()


@dataclass(slots=True, eq=False)
class Op:
    """A computation of `out`: a cell, a process (`steps`), a joining of bits, or an asynchronous memory read."""

    kind: str
    out: Sig
    ports: dict[str, Bits] = field(default_factory=dict)
    params: dict[str, int | str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    store: Store | None = None

    def inputs(self) -> Iterator[Sig]:
        """Yield every signal the operation reads."""
        for bits in self.ports.values():
            yield from signals(bits)
        for step in self.steps:
            yield from step.inputs()


@dataclass(slots=True, eq=False)
class Gather:
    """An input port of a class: its value comes from a place of its own for every lane."""

    out: Sig
    sources: list[Bits]
    uniform: Bits | None = None

    def inputs(self) -> Iterator[Sig]:
        """Yield every signal that some lane reads."""
        seen: set[int] = set()
        for bits in self.sources:
            for sig in signals(bits):
                if id(sig) not in seen:
                    seen.add(id(sig))
                    yield sig


@dataclass(slots=True, eq=False)
class FlipFlop:
    """A register: `sig` takes `data` at the clock edge."""

    sig: Sig
    init: int
    data: Bits


@dataclass(slots=True, eq=False)
class WritePort:
    """A write port: the bits of the word that are set in `enable` take those of `data`."""

    addr: Bits
    data: Bits
    enable: Bits


@dataclass(slots=True, eq=False)
class ReadPort:
    """A synchronous read port: register `sig`; `transparent` is a mask over the write ports."""

    sig: Sig
    addr: Bits
    enable: Bits
    transparent: int


@dataclass(slots=True, eq=False)
class Store:
    """A memory of a unit, with the ports that act at the clock edge."""

    name: str
    width: int
    depth: int
    init: int
    writes: list[WritePort] = field(default_factory=list)
    reads: list[ReadPort] = field(default_factory=list)
    field: str = ""


@dataclass(slots=True, eq=False)
class Port:
    """An output of the design."""

    name: str
    bits: Bits


@dataclass(slots=True, eq=False)
class Unit:
    """The design around the classes (one lane, index 0), or a class of equal instances, a lane each."""

    index: int
    name: str
    paths: list[str] = field(default_factory=lambda: [""])
    ops: list[Op] = field(default_factory=list)
    gathers: list[Gather] = field(default_factory=list)
    flip_flops: list[FlipFlop] = field(default_factory=list)
    stores: list[Store] = field(default_factory=list)
    inputs: list[Sig] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)

    @property
    def lanes(self) -> int:
        """Number of instances."""
        return len(self.paths)

    @property
    def padded(self) -> int:
        """Number of lanes computed: whole vectors, so that no loop needs a remainder."""
        if self.index == 0:
            return 1
        step = 64 if self.lanes > 48 else 16
        return -(-self.lanes // step) * step

    def edge_inputs(self) -> Iterator[Bits]:
        """Yield every value that the clock edge uses."""
        for flip_flop in self.flip_flops:
            yield flip_flop.data
        for store in self.stores:
            for write in store.writes:
                yield from (write.addr, write.data, write.enable)
            for read in store.reads:
                yield from (read.addr, read.enable)

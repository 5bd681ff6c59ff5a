"""Where everything lies in the state structure, and the directory of what a user can look at and inject into."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .ir import Gather, Lane, Op, Sig, Store, signals
from .schedule import Function, Schedule
from .values import ctype, size_of, words

__all__ = ["Field", "Layout", "StateEntry", "lay_out"]

_ALIGNMENT = 64  # a cache line, and the widest vector


@dataclass(frozen=True, slots=True, kw_only=True)
class StateEntry:
    """One line of the state directory.

    Attributes
    ----------
    name : str
        Instance path and signal name, as ``core.array.pe_3_5.psum``.
    width : int
        Bits; of one word, if it is a memory.
    offset : int
        Byte offset in the state structure. Little endian, zero above `width`.
    kind : {"flip_flop", "read_port", "memory"}
        A register; the output register of a memory's read port; or a memory.
    depth : int
        Words of a memory, 1 for registers.
    stride : int
        Bytes from one word of a memory to the next.
    """

    name: str
    width: int
    offset: int
    kind: Literal["flip_flop", "read_port", "memory"]
    depth: int = 1
    stride: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A member of the state structure: its C declaration, size and place in bytes."""

    name: str
    declaration: str
    size: int
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The state structure: its members in order, its size, and the directory."""

    fields: tuple[Field, ...]
    size: int
    directory: tuple[StateEntry, ...]
    ports: tuple[tuple[str, int, int], ...]
    """Name with its prefix ``in_`` or ``out_``, width and byte offset of every port."""


def lay_out(schedule: Schedule) -> Layout:
    """Give a place in the structure to every signal that outlives the function that computes it."""
    _mark(schedule)
    plans: list[tuple[int, int, str, str, int]] = []  # rank, -size, name, declaration, size

    def add(name: str, width: int, count: str = "", lanes: int = 1, depth: int = 1) -> None:
        size = size_of(width) * words(width) * lanes * depth
        suffix = f"[{words(width)}]" if width > 64 else ""
        rank = 1 if lanes == depth == 1 and width <= 64 else 2
        plans.append((rank, -size_of(width) if rank == 1 else -1, name, f"{ctype(width)} {name}{count}{suffix}", size))

    top = schedule.design.units[0]
    for sig in top.inputs:
        add(f"in_{sig.name}", sig.width)
    for port in top.outputs:
        add(f"out_{port.name}", sum(piece[2] for piece in port.bits))
    for unit in schedule.design.units:
        lanes = unit.padded
        count = f"[{lanes}]" if unit.index else ""
        for sig in _fields(unit.ops, unit.gathers, [each.sig for each in unit.flip_flops], unit.stores):
            add(sig.field, sig.width, count, lanes)
        for store in unit.stores:
            add(store.field, store.width, f"{count}[{store.depth}]", lanes, store.depth)
    fields = []
    offset = 16  # the cycle counter, and the cycle of the next injection
    for rank, _, name, declaration, size in sorted(plans, key=lambda plan: plan[:2]):
        if rank == 2:
            offset = -(-offset // _ALIGNMENT) * _ALIGNMENT
        aligned = f"_Alignas({_ALIGNMENT}) " if rank == 2 else ""
        fields.append(Field(name=name, declaration=aligned + declaration, size=size, offset=offset))
        offset += size
    # Injections read and write eight bytes at once, wherever the bits are.
    size = (offset + 8 + _ALIGNMENT - 1) // _ALIGNMENT * _ALIGNMENT
    places = {each.name: each.offset for each in fields}
    ports = tuple(
        (name, width, places[name])
        for name, width in (
            *((f"in_{sig.name}", sig.width) for sig in top.inputs),
            *((f"out_{port.name}", sum(piece[2] for piece in port.bits)) for port in top.outputs),
        )
    )
    return Layout(fields=tuple(fields), size=size, directory=_directory(schedule, places), ports=ports)


def _fields(ops: list[Op], gathers: list[Gather], registers: list[Sig], stores: list[Store]) -> list[Sig]:
    found = [op.out for op in ops] + [gather.out for gather in gathers] + registers
    found += [read.sig for store in stores for read in store.reads]
    return [sig for sig in found if sig.field]


def _mark(schedule: Schedule) -> None:
    """Name the fields: state, gathered inputs, and what one function computes and another reads."""
    serial = itertools.count(1)
    functions = [*schedule.evaluate, *schedule.commit]
    for number, function in enumerate(functions):
        for node in function.nodes:
            node.out.function = number
    for unit in schedule.design.units:
        for store in unit.stores:
            store.field = f"u{unit.index}_{next(serial)}"
        for sig in (
            *(each.sig for each in unit.flip_flops),
            *(read.sig for store in unit.stores for read in store.reads),
        ):
            sig.field = f"u{unit.index}_{next(serial)}"
    for sig in _outliving(schedule, functions):
        if not sig.field:
            sig.field = f"u{sig.unit.index}_{next(serial)}"


def _outliving(schedule: Schedule, functions: list[Function]) -> Iterator[Sig]:
    """Yield gathered inputs, and what one function computes and another reads; some more than once."""
    for number, function in enumerate(functions):
        uniform = {id(each.out): each.uniform for each in function.unit.gathers if each.uniform is not None}
        used = [sig for node in function.nodes for sig in node.inputs()]
        if function.edge:
            used += [sig for bits in function.unit.edge_inputs() for sig in signals(bits)]
        for sig in list(used):
            if id(sig) in uniform:
                used += signals(uniform[id(sig)] or ())
        for sig in used:
            if sig.base.kind == "comb" and (isinstance(sig, Lane) or sig.function != number):
                yield sig.base
        for node in function.nodes:
            if isinstance(node, Gather) and node.uniform is None:
                yield node.out
    for port in schedule.design.units[0].outputs:
        for sig in signals(port.bits):
            if sig.base.kind == "comb":
                yield sig.base


def _directory(schedule: Schedule, places: dict[str, int]) -> tuple[StateEntry, ...]:
    entries = []
    for unit in schedule.design.units:
        for lane, path in enumerate(unit.paths):
            registers = [(each.sig, "flip_flop") for each in unit.flip_flops]
            registers += [(read.sig, "read_port") for store in unit.stores for read in store.reads]
            for sig, kind in registers:
                offset = places[sig.field] + lane * size_of(sig.width) * words(sig.width)
                entries.append(StateEntry(name=path + sig.name, width=sig.width, offset=offset, kind=kind))  # type: ignore[arg-type]
            for store in unit.stores:
                stride = size_of(store.width) * words(store.width)
                offset = places[store.field] + lane * stride * store.depth
                entries.append(
                    StateEntry(
                        name=path + store.name,
                        width=store.width,
                        offset=offset,
                        kind="memory",
                        depth=store.depth,
                        stride=stride,
                    )
                )
    return tuple(sorted(entries, key=lambda entry: entry.name))

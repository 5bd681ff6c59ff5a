"""The compiled model as C text, and what a harness may rely on.

A harness is C text that is compiled behind the model, in the same translation unit. It can use:

``axft_model``
    The state structure. ``uint64_t cycle`` counts clock edges since reset. Every input port of the design, but its
    clock, is a member ``in_<name>``, every output port ``out_<name>``: the narrowest of ``uint8_t``, ``uint16_t``,
    ``uint32_t`` and ``uint64_t`` that holds the port, or for more than 64 bits an array of ``uint64_t``, least
    significant word first (``__`` joins the parts of a port's path, as in ``in_bus__awaddr``). Bits above a port's
    width must be written as zeros, and are read as zeros. The synchronous reset of the design is an ordinary input,
    ``in_rst``.
``void axft_model_reset(axft_model *)``
    Everything to its initial value, memories and the cycle counter too; inputs to zero; no injections.
``void axft_model_eval(axft_model *)``
    Outputs from inputs and state. Outputs are those of the present clock period; calling it again is harmless.
``void axft_model_commit(axft_model *)``
    The rising clock edge, which uses what the last eval computed: after changing an input, eval again before.
    Then the cycle counter is one more, and injections of the new cycle are in the state. Outputs are old until the next
    eval.
``void axft_model_step(axft_model *)``
    eval, then commit.
``void axft_model_inject(axft_model *, const axft_injection *table, uint64_t count)``
    Faults in flip-flops and memories. `table` is sorted by `cycle` and belongs to the caller, who keeps it as long as
    it is installed. Members of an entry: ``cycle``, ``until``, ``mask``, ``offset``, ``operation``, each a
    ``uint64_t``. In the state of clock period ``cycle`` (the value of the cycle counter), before its eval, the bits
    `mask` of the eight bytes at byte `offset`, little endian, are inverted once (``AXFT_FLIP``), or cleared
    (``AXFT_CLEAR``) or set (``AXFT_SET``) in each period until ``until - 1``.
    Entries of the present cycle act when the table is installed.

Offsets of flip-flops and memories are in the state directory (`axft_hw.sim.layout.StateEntry`). What a harness exports
needs ``__attribute__((visibility("default")))``, for which ``AXFT_EXPORT`` is short.

A harness reads outputs between eval and commit::

    for (uint64_t k = 0; k < cycles; k++) {
        m->in_valid = stimulus[k];
        axft_model_eval(m);
        record[k] = m->out_ready;
        axft_model_commit(m);
    }
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .cells import address_of, write_op
from .ir import Bits, Gather, Lane, Store, Unit, cut, width_of
from .layout import Layout, lay_out
from .netlist import Netlist
from .runtime import EPILOGUE, INJECTION, PRELUDE
from .schedule import Function, Schedule, plan
from .values import Writer, ctype, literal, mask, words

__all__ = ["EMITTER_VERSION", "EmittedModel", "emit"]

EMITTER_VERSION = 1
"""Goes up with every change of the C text or of the layout that the text itself does not show."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EmittedModel:
    """C text with the layout it relies on.

    Attributes
    ----------
    text : str
        The model; a harness is appended.
    layout : Layout
        The state structure.
    clock : str
        Name of the clock port, which is no member of the structure; empty for a design without registers.
    classes : tuple of (int, int)
        Instances and operations of every class that is simulated in lanes.
    """

    text: str
    layout: Layout
    clock: str
    classes: tuple[tuple[int, int], ...]


def emit(netlist: Netlist, *, unroll: bool = False) -> EmittedModel:
    """Return a design as C.

    Parameters
    ----------
    netlist : Netlist
        What `axft_hw.sim.netlist.read_netlist` returns.
    unroll : bool
        Straight-line code for every instance: slow to compile, for comparison.

    Raises
    ------
    BackendError
        If the design has something that the compiled model does not support; the message names it.
    """
    schedule = plan(netlist, unroll=unroll)
    design = schedule.design
    top = design.units[0]
    top.inputs = [sig for sig in top.inputs if sig.name != design.clock]
    layout = lay_out(schedule)
    lines: list[str] = [PRELUDE]
    lines += _structure(layout)
    lines += _reset(schedule)
    functions = [*schedule.evaluate, *schedule.commit]
    for number, function in enumerate(functions):
        lines += _function(function, number)
    lines += _outputs(schedule, len(functions))
    lines.append(INJECTION)
    lines.append("AXFT_FAST void axft_model_eval(axft_model *m)\n{")
    lines += [f"f{number}(m);" for number in range(len(schedule.evaluate))]
    lines.append("outputs(m);\n}\nAXFT_FAST void axft_model_commit(axft_model *m)\n{")
    lines += [f"f{number}(m);" for number in range(len(schedule.evaluate), len(functions))]
    lines.append("if (__builtin_expect(++m->cycle >= m->due, 0)) axft_model_apply(m);\n}")
    lines.append("AXFT_FAST void axft_model_step(axft_model *m)\n{\naxft_model_eval(m);\naxft_model_commit(m);\n}")
    lines.append(EPILOGUE)
    classes = tuple((unit.lanes, len(unit.ops)) for unit in design.units[1:])
    return EmittedModel(text="\n".join(lines), layout=layout, clock=design.clock, classes=classes)


def _structure(layout: Layout) -> Iterator[str]:
    yield "typedef struct {\nuint64_t cycle;\nuint64_t due;"
    for field in layout.fields:
        yield f"{field.declaration};"
    end = layout.fields[-1].offset + layout.fields[-1].size if layout.fields else 16
    yield f"uint8_t room[{layout.size - end}];"
    yield "const axft_injection *injection;\nuint64_t injections;\n} axft_model;"
    for field in layout.fields:
        yield f'_Static_assert(offsetof(axft_model, {field.name}) == {field.offset}, "layout");'


def _reset(schedule: Schedule) -> Iterator[str]:
    """Write the function that gives everything its initial value."""
    body = ["memset(m, 0, sizeof *m);", "m->due = UINT64_MAX;"]
    for unit in schedule.design.units:
        for each in unit.flip_flops:
            if each.init:
                body += _fill_lanes(unit, each.sig.field, each.sig.width, each.init)
        for store in unit.stores:
            if store.init:
                yield from _contents(store)
                lanes = f"for (int i = 0; i < {unit.padded}; i++) " if unit.index else ""
                place = f"m->{store.field}[i]" if unit.index else f"m->{store.field}"
                body.append(f"{lanes}memcpy({place}, init_{store.field}, sizeof init_{store.field});")
    yield "AXFT_SLOW void axft_model_reset(axft_model *m)\n{"
    yield from body
    yield "}"


def _fill_lanes(unit: Unit, name: str, width: int, value: int) -> Iterator[str]:
    loop, lane = (f"for (int i = 0; i < {unit.padded}; i++) ", "[i]") if unit.index else ("", "")
    if width <= 64:
        yield f"{loop}m->{name}{lane} = {literal(value)};"
        return
    for word in range(words(width)):
        if value >> 64 * word & mask(64):
            yield f"{loop}m->{name}{lane}[{word}] = {literal(value >> 64 * word & mask(64))};"


def _contents(store: Store) -> Iterator[str]:
    suffix = f"[{words(store.width)}]" if store.width > 64 else ""
    yield f"static const {ctype(store.width)} init_{store.field}[]{suffix} = {{"
    for index in range(-(-store.init.bit_length() // store.width)):
        word = store.init >> store.width * index & mask(store.width)
        if store.width <= 64:
            yield f"{literal(word)},"
        else:
            yield "{" + ",".join(literal(word >> 64 * k & mask(64)) for k in range(words(store.width))) + "},"
    yield "};"


def _function(function: Function, number: int) -> Iterator[str]:
    writer = Writer(function, number)
    for node in function.nodes:
        if isinstance(node, Gather):
            _gather(writer, node)
        else:
            write_op(writer, node)
    if function.edge:
        _edge(writer)
    yield f"AXFT_SLOW void f{number}(axft_model *restrict m)\n{{"
    yield from writer.head
    if function.unit.index and writer.lines:
        yield f"for (int i = 0; i < {function.unit.padded}; i++) {{"
        yield from writer.loads
        yield from writer.lines
        yield "}"
    else:
        yield from writer.lines
    yield "}"


def _outputs(schedule: Schedule, number: int) -> Iterator[str]:
    """Write the function that copies the design's outputs into their members."""
    writer = Writer(Function(schedule.design.units[0]), number)
    for port in schedule.design.units[0].outputs:
        width = width_of(port.bits)
        if width <= 64:
            writer.lines.append(f"m->out_{port.name} = {writer.narrow(port.bits)};")
        else:
            writer.fill(f"m->out_{port.name}", port.bits, words(width))
    yield "AXFT_SLOW void outputs(axft_model *restrict m)\n{"
    yield from writer.lines
    yield "}"


# Inputs of classes


def _gather(writer: Writer, gather: Gather) -> None:
    """Copy every lane's input from where it comes from: runs of lanes whose sources follow a rule are one loop."""
    if gather.uniform is not None:
        return
    start = 0
    count = len(gather.sources)
    while start < count:
        length = 1
        if start + 1 < count and _rule(gather.sources[start], gather.sources[start + 1]):
            rule = _rule(gather.sources[start], gather.sources[start + 1])
            length = 2
            while (
                start + length < count
                and _rule(gather.sources[start + length - 1], gather.sources[start + length]) == rule
            ):
                length += 1
            _gather_run(writer, gather, start, length, rule)
        else:
            _gather_one(writer, gather, start)
        start += length


def _rule(one: Bits, two: Bits) -> tuple[tuple[int, int], ...]:
    """Return how the pieces move from a lane to the next, as (lanes, bits) each; empty if by no rule."""
    if len(one) != len(two):
        return ()
    moves = []
    for (sig, first, width), (other, start, size) in zip(one, two, strict=True):
        if width != size:
            return ()
        if sig is None or other is None:
            if sig is not other or first != start:
                return ()
            moves.append((0, 0))
        elif isinstance(sig, Lane) and isinstance(other, Lane) and sig.base is other.base and first == start:
            moves.append((other.lane - sig.lane, 0))
        elif sig is other:
            moves.append((0, start - first))
        else:
            return ()
    return tuple(moves)


def _gather_one(writer: Writer, gather: Gather, lane: int) -> None:
    place = f"m->{gather.out.field}[{lane}]"
    if gather.out.width <= 64:
        writer.lines.append(f"{place} = {writer.narrow(gather.sources[lane])};")
    else:
        writer.fill(place, gather.sources[lane], words(gather.out.width))


def _gather_run(writer: Writer, gather: Gather, start: int, length: int, rule: tuple[tuple[int, int], ...]) -> None:
    source = gather.sources[start]
    moving = [move != (0, 0) for move in rule]
    if gather.out.width > 64:
        for lane in range(start, start + length):
            _gather_one(writer, gather, lane)
        return
    terms = []
    position = 0
    kind = ctype(gather.out.width)
    for (sig, first, width), (lanes, bits), moves in zip(source, rule, moving, strict=True):
        if not moves:
            text = writer.held(writer.narrow(((sig, first, width),)), width)
        elif lanes:
            assert isinstance(sig, Lane)
            index = f"{sig.lane} + k" if lanes == 1 else f"{sig.lane} + k * {lanes}"
            element = f"m->{sig.base.field}[{index}]"
            if sig.width > 64:
                text = f"axft_get({element}, {first}, {width})"
            else:
                text = element if width == sig.width else f"({element} >> {first} & {literal(mask(width))})"
        else:
            assert sig is not None
            place = f"{first} + k * {bits}"
            name = writer.ref(sig)
            if sig.width > 64:
                text = f"axft_get({name}, {place}, {width})"
            else:
                text = f"({name} >> ({place}) & {literal(mask(width))})"
        terms.append(f"({kind}){text} << {position}" if position else f"({kind}){text}")
        position += width
    element = f"m->{gather.out.field}[{start} + k]"
    writer.lines.append(f"for (int k = 0; k < {length}; k++) {element} = ({kind})({' | '.join(terms)});")


# The clock edge


def _edge(writer: Writer) -> None:
    """Write a unit's clock edge: everything is read before anything is written."""
    unit = writer.unit
    after: list[str] = []
    lane = "[i]" if writer.looped else ""
    for store in unit.stores:
        writes = [
            (
                address_of(writer, write.addr),
                [writer.held(writer.narrow(part), 64) for part in _parts(write.data)],
                [writer.held(writer.narrow(part), 64) for part in _parts(write.enable)],
            )
            for write in store.writes
        ]
        place = f"m->{store.field}{lane}"
        for read in store.reads:
            name = writer.fresh()
            addr = address_of(writer, read.addr)
            enable = writer.held(writer.narrow(read.enable), 1)
            for index in range(words(store.width)):
                size = min(64, store.width - 64 * index)
                word = f"[{index}]" if store.width > 64 else ""
                old = f"m->{read.sig.field}{lane}{word}"
                value = f"({addr} < {store.depth} ? {place}[{addr}]{word} : 0)"
                for number, (target, data, mask_) in enumerate(writes):
                    if read.transparent >> number & 1:
                        fresh = writer.held(value, 64)
                        written = f"({fresh} & ~{mask_[index]}) | ({data[index]} & {mask_[index]})"
                        value = f"({addr} == {target} ? {written} : {fresh})"
                writer.lines.append(f"const {ctype(size)} {name}_{index} = {enable} ? {value} : {old};")
                after.append(f"{old} = {name}_{index};")
        for target, data, mask_ in writes:
            guard = " | ".join(dict.fromkeys(mask_))
            after.append(f"if (({guard}) && {target} < {store.depth}) {{")
            for index, (word, bits) in enumerate(zip(data, mask_, strict=True)):
                cell = f"{place}[{target}]" + (f"[{index}]" if store.width > 64 else "")
                after.append(f"{cell} = ({cell} & ~{bits}) | ({word} & {bits});")
            after.append("}")
    for each in unit.flip_flops:
        place = f"m->{each.sig.field}{lane}"
        if each.sig.width <= 64:
            value = writer.held(writer.narrow(each.data), each.sig.width)
            after.append(f"{place} = {value};")
        else:
            name = writer.fresh()
            count = words(each.sig.width)
            writer.lines.append(f"uint64_t {name}[{count}];")
            writer.fill(name, each.data, count)
            after.append(f"memcpy({place}, {name}, {8 * count});")
    writer.lines += after


def _parts(bits: Bits) -> list[Bits]:
    total = width_of(bits)
    return [cut(bits, start, min(64, total - start)) for start in range(0, total, 64)]

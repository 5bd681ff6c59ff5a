"""Vectors of integers, side by side in memory, for compiled functions.

Loops over arrays do not become vector instructions by themselves here: indices may be negative and arrays may overlap,
for all that the compiler knows. These few operations say outright what is meant. Arrays are one-dimensional and
contiguous; an index that runs past the end is not noticed. Names end with the number of elements.
"""

from __future__ import annotations

from typing import Any

from axft_host.backends.jit import intrinsic

__all__ = [
    "add_bits8",
    "add_bits16",
    "add_pairs16",
    "add_pairs32",
    "add_scaled8",
    "add_scaled16",
    "copy",
    "differs8",
    "finish8",
    "finish16",
    "finish_line16",
    "lowest",
    "requantise8",
    "sum8",
    "sum_taps32",
]


def _signature(result: Any, *arguments: Any) -> Any:
    from numba.core import types

    return getattr(types, result)(*arguments)


def _word(bits: int) -> Any:
    from llvmlite import ir

    return ir.IntType(bits)


class _Vector:
    """`lanes` elements of an array from an index on."""

    def __init__(self, context: Any, builder: Any, array_type: Any, array: Any, index: Any, lanes: int) -> None:
        from llvmlite import ir

        self._builder = builder
        self.element = context.get_value_type(array_type.dtype)
        self._bytes = self.element.width // 8
        place = builder.gep(context.make_array(array_type)(context, builder, array).data, [index])
        self._place = builder.bitcast(place, ir.VectorType(self.element, lanes).as_pointer())

    def load(self) -> Any:
        return self._builder.load(self._place, align=self._bytes)

    def store(self, value: Any) -> None:
        self._builder.store(value, self._place, align=self._bytes)


def _constant(element: Any, values: Any) -> Any:
    from llvmlite import ir

    return ir.Constant(ir.VectorType(element, len(values)), list(values))


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    from llvmlite import ir

    undefined = ir.Constant(ir.VectorType(value.type, lanes), ir.Undefined)
    first = builder.insert_element(undefined, value, ir.Constant(_word(32), 0))
    return builder.shuffle_vector(first, undefined, _constant(_word(32), [0] * lanes))


def _shuffled(builder: Any, left: Any, right: Any, places: Any) -> Any:
    return builder.shuffle_vector(left, right, _constant(_word(32), places))


def _resized(builder: Any, vector: Any, element: Any) -> Any:
    """Return a vector with elements of another width, signed."""
    from llvmlite import ir

    have, wanted = vector.type.element.width, ir.VectorType(element, vector.type.count)
    if have == element.width:
        return vector
    return (builder.sext if have < element.width else builder.trunc)(vector, wanted)


def _factor(builder: Any, value: Any, element: Any, lanes: int) -> Any:
    """Return a factor, which fits into 32 bits, in all lanes: so a 64-bit product is one of 32-bit numbers."""
    return _resized(builder, _splat(builder, builder.trunc(value, _word(32)), lanes), element)


def _pick(builder: Any, relation: str, left: Any, right: Any) -> Any:
    """Return the larger, or the smaller, elements of two vectors."""
    return builder.select(builder.icmp_signed(relation, left, right), left, right)


def _add_scaled(lanes: int) -> Any:
    def add_scaled(typing: Any, target: Any, i: Any, source: Any, places: Any, factors: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            into = _Vector(context, builder, target, arguments[0], arguments[1], lanes)
            total = into.load()
            for index in range(len(places)):
                place = builder.extract_value(arguments[3], index)
                values = _Vector(context, builder, source, arguments[2], place, lanes).load()
                factor = _factor(builder, builder.extract_value(arguments[4], index), into.element, lanes)
                total = builder.add(total, builder.mul(_resized(builder, values, into.element), factor))
            into.store(total)
            return context.get_dummy_value()

        return _signature("void", target, i, source, places, factors), generate

    return intrinsic(add_scaled)


def _add_pairs(lanes: int) -> Any:
    def add_pairs(typing: Any, target: Any, i: Any, source: Any, places: Any, factors: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            from llvmlite import ir

            double, word = ir.VectorType(_word(16), 2 * lanes), _word(32)
            even, odd = range(0, 2 * lanes, 2), range(1, 2 * lanes, 2)
            into = _Vector(context, builder, target, arguments[0], arguments[1], lanes)
            total = into.load()
            for index in range(0, len(places), 2):
                left, right = (
                    _Vector(context, builder, source, arguments[2], builder.extract_value(arguments[3], one), lanes)
                    for one in (index, index + 1)
                )
                # Pairs of 16-bit numbers, multiplied and added up: one instruction, if it is written like this.
                order = [place for lane in range(lanes) for place in (lane, lanes + lane)]
                pairs = _shuffled(builder, left.load(), right.load(), order)
                factor = builder.trunc(builder.extract_value(arguments[4], index // 2), word)
                both = builder.bitcast(_splat(builder, factor, lanes), double)
                terms = [
                    builder.mul(*(_resized(builder, _shuffled(builder, v, v, half), word) for v in (pairs, both)))
                    for half in (even, odd)
                ]
                total = builder.add(total, _resized(builder, builder.add(*terms), into.element))
            into.store(total)
            return context.get_dummy_value()

        return _signature("void", target, i, source, places, factors), generate

    return intrinsic(add_pairs)


def _add_bits(lanes: int) -> Any:
    def add_bits(typing: Any, target: Any, i: Any, source: Any, j: Any, masks: Any, terms: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            from llvmlite import ir

            into = _Vector(context, builder, target, arguments[0], arguments[1], lanes)
            values = _Vector(context, builder, source, arguments[2], arguments[3], lanes).load()
            values = _resized(builder, values, into.element)
            zero = ir.Constant(values.type, None)
            total = into.load()
            for index in range(len(masks)):
                mask = _factor(builder, builder.extract_value(arguments[4], index), into.element, lanes)
                term = _factor(builder, builder.extract_value(arguments[5], index), into.element, lanes)
                has = builder.icmp_signed("!=", builder.and_(values, mask), zero)
                total = builder.add(total, builder.select(has, term, zero))
            into.store(total)
            return context.get_dummy_value()

        return _signature("void", target, i, source, j, masks, terms), generate

    return intrinsic(add_bits)


#: ``(target, i, source, places, factors)``: target[i:] += the sum of factor * source[place:]; factors fit into 32 bits.
add_scaled8, add_scaled16 = _add_scaled(8), _add_scaled(16)
#: The same of pairs of places, of elements of 16 bits, whose two factors of 16 bits are packed into one, the first low.
add_pairs16, add_pairs32 = _add_pairs(16), _add_pairs(32)
#: ``(target, i, source, j, masks, terms)``: target[i:] += the sum of the terms whose mask is set in source[j:].
add_bits8, add_bits16 = _add_bits(8), _add_bits(16)


@intrinsic
def sum_taps32(
    typing: Any, target: Any, i: Any, source: Any, base: Any, taps: Any, ends: Any, number: Any, mask: Any
) -> Any:
    """Write to target[i:] sums of source[base + tap:] & mask, less those of the taps that come first.

    The taps to take away are from ends[number] to ends[number + 1], the others from there to ends[number + 2].
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir
        from numba.core import cgutils

        tools: Any = cgutils
        target_, i, operands, base, listed, bounds, number, mask = arguments
        into = _Vector(context, builder, target, target_, i, 32)
        masks = _splat(builder, builder.trunc(mask, context.get_value_type(source.dtype)), 32)
        offsets = context.make_array(taps)(context, builder, listed).data
        start = builder.gep(context.make_array(ends)(context, builder, bounds).data, [number])
        first, middle, last = (
            builder.load(builder.gep(start, [ir.Constant(number.type, index)])) for index in range(3)
        )
        held = tools.alloca_once_value(builder, ir.Constant(ir.VectorType(into.element, 32), None))
        for low, high, combine in ((first, middle, builder.sub), (middle, last, builder.add)):
            with tools.for_range_slice(builder, low, high, ir.Constant(low.type, 1)) as (index, _):
                tap = builder.sext(builder.load(builder.gep(offsets, [index])), base.type)
                values = _Vector(context, builder, source, operands, builder.add(base, tap), 32).load()
                values = _resized(builder, builder.and_(values, masks), into.element)
                builder.store(combine(builder.load(held), values), held)
        into.store(builder.load(held))
        return context.get_dummy_value()

    return _signature("void", target, i, source, base, taps, ends, number, mask), generate


@intrinsic
def sum8(typing: Any, source: Any, i: Any, mask: Any) -> Any:
    """Return the sum of 8 elements of 16 bits under a mask."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        word = _word(32)
        values = _Vector(context, builder, source, arguments[0], arguments[1], 8).load()
        values = builder.and_(values, _splat(builder, builder.trunc(arguments[2], values.type.element), 8))
        values = _resized(builder, values, word)
        reduce = builder.module.declare_intrinsic(
            "llvm.vector.reduce.add.v8i32", (), ir.FunctionType(word, [values.type])
        )
        return builder.sext(builder.call(reduce, [values]), _word(64))

    return _signature("int64", source, i, mask), generate


@intrinsic
def copy(typing: Any, target: Any, i: Any, source: Any, j: Any, count: Any) -> Any:
    """Copy `count` elements between arrays of one type that do not overlap."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from numba.core import cgutils

        memcpy: Any = cgutils.raw_memcpy
        into = builder.gep(context.make_array(target)(context, builder, arguments[0]).data, [arguments[1]])
        values = builder.gep(context.make_array(source)(context, builder, arguments[2]).data, [arguments[3]])
        memcpy(builder, into, values, arguments[4], context.get_value_type(target.dtype).width // 8)
        return context.get_dummy_value()

    return _signature("void", target, i, source, j, count), generate


@intrinsic
def lowest(typing: Any, flags: Any) -> Any:
    """Return the place of the lowest bit of a number that is set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], _word(1)(1))

    return _signature("int64", flags), generate


def _requantised(builder: Any, values: Any, factors: Any, rule: Any, width: Any) -> Any:
    """clip((value * factor + 2**(shift - 1)) >> shift, low, high), in int64; the rule is (shift, low, high)."""
    from llvmlite import ir

    word, lanes = _word(64), values.type.count
    shift, low, high = (builder.extract_value(rule, index) for index in range(3))
    one = ir.Constant(word, 1)
    half = builder.lshr(builder.shl(one, shift), one)
    values = builder.mul(_resized(builder, values, word), _resized(builder, factors, word))
    values = builder.ashr(builder.add(values, _splat(builder, half, lanes)), _splat(builder, shift, lanes))
    values = _pick(builder, ">", values, _splat(builder, low, lanes))
    values = _pick(builder, "<", values, _splat(builder, high, lanes))
    return _resized(builder, values, width)


def _differing(context: Any, builder: Any, values: Any, other: Any, mask: Any) -> tuple[Any, Any]:
    """Return values under a mask, and in which lanes they differ from another array's, one bit each."""
    lanes, element = values.type.count, values.type.element
    kept = builder.and_(values, _factor(builder, mask, element, lanes))
    flags = builder.icmp_signed("!=", kept, _resized(builder, other.load(), element))
    return kept, builder.zext(builder.bitcast(flags, _word(lanes)), _word(64))


@intrinsic
def requantise8(typing: Any, target: Any, i: Any, factors: Any, j: Any, rule: Any) -> Any:
    """Requantise 8 elements in place, with a factor each."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        into = _Vector(context, builder, target, arguments[0], arguments[1], 8)
        scale = _Vector(context, builder, factors, arguments[2], arguments[3], 8).load()
        into.store(_requantised(builder, into.load(), scale, arguments[4], into.element))
        return context.get_dummy_value()

    return _signature("void", target, i, factors, j, rule), generate


@intrinsic
def differs8(typing: Any, left: Any, i: Any, right: Any, j: Any, mask: Any) -> Any:
    """Clear the bits of 8 elements of `left` outside a mask; return which of them differ from `right`, one bit each."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        mine = _Vector(context, builder, left, arguments[0], arguments[1], 8)
        other = _Vector(context, builder, right, arguments[2], arguments[3], 8)
        kept, flags = _differing(context, builder, mine.load(), other, arguments[4])
        mine.store(kept)
        return flags

    return _signature("int64", left, i, right, j, mask), generate


def _finish(lanes: int) -> Any:
    def finish(
        typing: Any, fresh: Any, sums: Any, places: Any, factors: Any, j: Any, rule: Any, mask: Any, old: Any, k: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            into, source, listed, scales, j, rule, mask, golden, k = arguments
            values: Any = None
            for index in range(len(places)):
                place = builder.extract_value(listed, index)
                more = _Vector(context, builder, sums, source, place, lanes).load()
                values = more if values is None else _pick(builder, ">", values, more)
            scale = _Vector(context, builder, factors, scales, j, lanes).load()
            values = _requantised(builder, values, scale, rule, _word(32))
            before = _Vector(context, builder, old, golden, k, lanes)
            values, flags = _differing(context, builder, values, before, mask)
            _Vector(context, builder, fresh, into, k.type(0), lanes).store(values)
            return flags

        return _signature("int64", fresh, sums, places, factors, j, rule, mask, old, k), generate

    return intrinsic(finish)


#: ``(fresh, sums, places, factors, j, rule, mask, old, k)``: take the largest of the sums at the places, requantise them
#: with a factor each, write them to `fresh`, under a mask, and return which differ from old[k:].
finish8, finish16 = _finish(8), _finish(16)


@intrinsic
def finish_line16(
    typing: Any,
    fresh: Any,
    sums: Any,
    bases: Any,
    changes: Any,
    made: Any,
    rows: Any,
    power: Any,
    places: Any,
    factor: Any,
    rule: Any,
    mask: Any,
    old: Any,
    k: Any,
) -> Any:
    """Do what `finish16` does for 16 windows of one channel side by side, whose sums change by power * changes.

    Parameters
    ----------
    sums, changes, made : array
        Of positions side by side: golden sums, what changes them, and the row of PEs that makes them.
    bases : (int, int)
        Where the channel's sums begin, and the layer's rows.
    rows : (int, int)
        Only sums that are made by rows from the first to before the second change.
    places : (int,) or (int, int)
        Where 16 positions begin, or 32 of one row and 32 of the next: then the larger of 2 x 2 are taken.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        into, source, bases, delta, rows_of, rows, power, listed, factor, rule, mask, golden, k = arguments
        lanes = 16 * len(places)
        element = context.get_value_type(sums.dtype)
        values: Any = None
        first, last = (_factor(builder, builder.extract_value(rows, index), _word(32), lanes) for index in range(2))
        for index in range(len(places)):
            place = builder.extract_value(listed, index)
            at, row_at = (builder.add(builder.extract_value(bases, which), place) for which in range(2))
            row = _Vector(context, builder, made, rows_of, row_at, lanes).load()
            inside = builder.and_(builder.icmp_signed(">=", row, first), builder.icmp_signed("<", row, last))
            change = _resized(builder, _Vector(context, builder, changes, delta, place, lanes).load(), element)
            change = builder.mul(change, _factor(builder, power, element, lanes))
            change = builder.select(inside, change, ir.Constant(change.type, None))
            more = _Vector(context, builder, sums, source, at, lanes).load()
            more = builder.add(more, change)
            values = more if values is None else _pick(builder, ">", values, more)
        if lanes == 32:
            halves = (_shuffled(builder, values, values, range(start, 32, 2)) for start in (0, 1))
            values = _pick(builder, ">", *halves)
        values = _requantised(builder, values, _factor(builder, factor, _word(64), 16), rule, _word(32))
        before = _Vector(context, builder, old, golden, k, 16)
        values, flags = _differing(context, builder, values, before, mask)
        _Vector(context, builder, fresh, into, k.type(0), 16).store(values)
        return flags

    signature = _signature(
        "int64", fresh, sums, bases, changes, made, rows, power, places, factor, rule, mask, old, k
    )
    return signature, generate

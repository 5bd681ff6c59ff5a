"""Vectors of integers, side by side in memory, for compiled functions.

Loops over arrays do not become vector instructions by themselves here: indices may be negative and arrays may overlap,
for all that the compiler knows. These few operations say outright what is meant. Arrays are one-dimensional and
contiguous; an index that runs past the end is not noticed. Names end with the number of elements.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from axft_host.backends.jit import intrinsic

__all__ = [
    "add_bits8",
    "add_bits16",
    "add_bytes8",
    "add_bytes16",
    "add_pairs16",
    "add_pairs32",
    "add_scaled8",
    "add_scaled16",
    "add_scaled_bytes8",
    "add_scaled_bytes16",
    "copy",
    "differs8",
    "finish8",
    "finish16",
    "finish_line16",
    "list16",
    "requantise8",
    "sum8",
    "sum_taps32",
    "sum_taps_short32",
    "sum_taps_short128",
    "sum_taps_short128_masked",
    "wrap8",
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
        self.place = builder.bitcast(place, ir.VectorType(self.element, lanes).as_pointer())

    def load(self) -> Any:
        return self._builder.load(self.place, align=self._bytes)

    def store(self, value: Any) -> None:
        self._builder.store(value, self.place, align=self._bytes)


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


def _add_each(lanes: int, multiply: Callable[..., Any]) -> Any:
    """Return a function that adds the product of each of some places with its factor, as `multiply` makes it."""

    def add_each(typing: Any, target: Any, i: Any, source: Any, places: Any, factors: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            into = _Vector(context, builder, target, arguments[0], arguments[1], lanes)
            total = into.load()
            for index in range(len(places)):
                place, factor = (builder.extract_value(arguments[part], index) for part in (3, 4))
                values = _Vector(context, builder, source, arguments[2], place, lanes).load()
                total = builder.add(total, multiply(context, builder, values, factor, into.element))
            into.store(total)
            return context.get_dummy_value()

        return _signature("void", target, i, source, places, factors), generate

    return intrinsic(add_each)


def _multiply(context: Any, builder: Any, values: Any, factor: Any, element: Any) -> Any:
    """Return values times a factor, in elements of another width."""
    return builder.mul(_resized(builder, values, element), _factor(builder, factor, element, values.type.count))


def _has(context: Any, feature: str) -> bool:
    """Return whether the processor that is compiled for has a feature."""
    return f"+{feature}" in context.codegen().magic_tuple()[-1].split(",")


def _multiply_pairs(context: Any, builder: Any, left: Any, right: Any, factor: Any) -> Any:
    """Return left * the low half of a factor + right * its high half, in 32 bits."""
    from llvmlite import ir

    lanes, word = left.type.count, _word(32)
    both = _splat(builder, builder.trunc(factor, word), lanes)
    if lanes == 16 and _has(context, "avx512bw"):
        pairs = _shuffled(builder, left, right, [place for lane in range(16) for place in (lane, 16 + lane)])
        kind = ir.FunctionType(ir.VectorType(word, 16), [pairs.type, pairs.type])
        multiply = builder.module.declare_intrinsic("llvm.x86.avx512.pmaddw.d.512", (), kind)
        return builder.call(multiply, [pairs, builder.bitcast(both, pairs.type)])
    low = builder.ashr(builder.shl(both, _constant(word, [16] * lanes)), _constant(word, [16] * lanes))
    high = builder.ashr(both, _constant(word, [16] * lanes))
    left, right = _resized(builder, left, word), _resized(builder, right, word)
    return builder.add(builder.mul(left, low), builder.mul(right, high))


def _add_pairs(lanes: int) -> Any:
    def add_pairs(typing: Any, target: Any, i: Any, source: Any, places: Any, factors: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            for part in range(0, lanes, 16):
                offset = arguments[1].type(part)
                into = _Vector(context, builder, target, arguments[0], builder.add(arguments[1], offset), 16)
                total = into.load()
                for index in range(0, len(places), 2):
                    at = (builder.add(builder.extract_value(arguments[3], one), offset) for one in (index, index + 1))
                    left, right = (_Vector(context, builder, source, arguments[2], one, 16).load() for one in at)
                    factor = builder.extract_value(arguments[4], index // 2)
                    more = _multiply_pairs(context, builder, left, right, factor)
                    total = builder.add(total, _resized(builder, more, into.element))
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


def _multiply_bytes(context: Any, builder: Any, flags: Any, terms: Any, element: Any) -> Any:
    """Return, of four numbers in the bytes of `terms`, the sum of those beside which a byte of `flags` is 1, not 0."""
    from llvmlite import ir

    lanes, word = flags.type.count, _word(32)
    terms = _splat(builder, builder.trunc(terms, word), lanes)
    if lanes == 16 and _has(context, "avx512bw"):
        bytes_, halves = ir.VectorType(_word(8), 64), ir.VectorType(_word(16), 32)
        kind = ir.FunctionType(halves, [bytes_, bytes_])
        multiply = builder.module.declare_intrinsic("llvm.x86.avx512.pmaddubs.w.512", (), kind)
        pairs = builder.call(multiply, [builder.bitcast(flags, bytes_), builder.bitcast(terms, bytes_)])
        kind = ir.FunctionType(flags.type, [halves, halves])
        multiply = builder.module.declare_intrinsic("llvm.x86.avx512.pmaddw.d.512", (), kind)
        return _resized(builder, builder.call(multiply, [pairs, _constant(_word(16), [1] * 32)]), element)
    zero = ir.Constant(flags.type, None)
    total = zero
    for bit in range(0, 32, 8):
        term = builder.shl(terms, _constant(word, [24 - bit] * lanes))
        term = builder.ashr(term, _constant(word, [24] * lanes))
        has = builder.icmp_signed("!=", builder.and_(flags, _constant(word, [1 << bit] * lanes)), zero)
        total = builder.add(total, builder.select(has, term, zero))
    return _resized(builder, total, element)


def _add_scaled_bytes(lanes: int) -> Any:
    def add_scaled_bytes(typing: Any, target: Any, i: Any, sources: Any, j: Any, factor: Any, terms: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            into = _Vector(context, builder, target, arguments[0], arguments[1], lanes)
            arrays = (builder.extract_value(arguments[2], index) for index in range(2))
            values, flags = (
                _Vector(context, builder, kind, array, arguments[3], lanes).load()
                for kind, array in zip(sources, arrays, strict=True)
            )
            more = _multiply_bytes(context, builder, flags, arguments[5], into.element)
            more = builder.add(more, _multiply(context, builder, values, arguments[4], into.element))
            into.store(builder.add(into.load(), more))
            return context.get_dummy_value()

        return _signature("void", target, i, sources, j, factor, terms), generate

    return intrinsic(add_scaled_bytes)


#: ``(target, i, source, places, factors)``: target[i:] += the sum of factor * source[place:]; factors fit into 32 bits.
add_scaled8, add_scaled16 = _add_each(8, _multiply), _add_each(16, _multiply)
#: The same of pairs of places, of elements of 16 bits, whose two factors of 16 bits are packed into one, the first low.
add_pairs16, add_pairs32 = _add_pairs(16), _add_pairs(32)
#: ``(target, i, source, j, masks, terms)``: target[i:] += the sum of the terms whose mask is set in source[j:].
add_bits8, add_bits16 = _add_bits(8), _add_bits(16)
#: ``(target, i, source, places, terms)``: target[i:] += for each place, the sum of those of four numbers from -127 to
#: 127, packed into one, whose bytes of source[place:] are 1; elements of 32 bits, and bytes that are 0 or 1.
add_bytes8, add_bytes16 = _add_each(8, _multiply_bytes), _add_each(16, _multiply_bytes)
#: ``(target, i, sources, j, factor, terms)``: both at once, of two arrays from one place on.
add_scaled_bytes8, add_scaled_bytes16 = _add_scaled_bytes(8), _add_scaled_bytes(16)


def _sum_taps(lanes: int, bits: int, *, masked: bool) -> Any:
    def sum_taps(
        typing: Any, target: Any, i: Any, source: Any, base: Any, taps: Any, first: Any, last: Any, mask: Any, sign: Any
    ) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            from llvmlite import ir
            from numba.core import cgutils

            tools: Any = cgutils
            whole, i, operands, base, listed, first, last, mask, sign = arguments
            narrow, offsets = _word(bits), context.make_array(taps)(context, builder, listed).data
            parts = range(0, lanes, 32)
            held = [tools.alloca_once_value(builder, ir.Constant(ir.VectorType(narrow, 32), None)) for _ in parts]
            with tools.for_range_slice(builder, first, last, ir.Constant(last.type, 1)) as (index, _):
                place = builder.add(base, builder.sext(builder.load(builder.gep(offsets, [index])), base.type))
                for part, total in zip(parts, held, strict=True):
                    at = builder.add(place, ir.Constant(place.type, part))
                    values = _Vector(context, builder, source, operands, at, 32).load()
                    if masked:
                        values = builder.and_(values, _splat(builder, builder.trunc(mask, values.type.element), 32))
                    builder.store(builder.add(builder.load(total), _resized(builder, values, narrow)), total)
            for part, total in zip(parts, held, strict=True):
                at = builder.add(i, ir.Constant(i.type, part))
                into = _Vector(context, builder, target, whole, at, 32)
                more = _resized(builder, builder.load(total), into.element)
                more = builder.mul(more, _factor(builder, sign, into.element, 32))
                into.store(builder.add(into.load(), more))
            return context.get_dummy_value()

        return _signature("void", target, i, source, base, taps, first, last, mask, sign), generate

    return intrinsic(sum_taps)


#: ``(target, i, source, base, taps, first, last, mask, sign)``: target[i:] += sign * the sum of source[base + tap:],
#: under the mask, over taps[first:last]. Of so many elements; `short` ones add up in 16 bits.
sum_taps32 = _sum_taps(32, 32, masked=True)
sum_taps_short32 = _sum_taps(32, 16, masked=True)
sum_taps_short128 = _sum_taps(128, 16, masked=False)
sum_taps_short128_masked = _sum_taps(128, 16, masked=True)


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
def list16(
    typing: Any, lists: Any, count: Any, values: Any, steps: Any, fresh: Any, old: Any, k: Any, flags: Any
) -> Any:
    """Add those of 16 elements that are flagged to lists; return their new length.

    Parameters
    ----------
    lists : tuple of arrays of int32
        The last two get elements of `old`, from `k` on, and of `fresh`, the others numbers.
    values, steps : tuple of int
        For each of the others, the number of the first element, and what is added from one to the next.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        arrays, length, first, step, fresh_, old_, at, chosen_ = arguments
        word = _word(32)
        vector, bits = ir.VectorType(word, 16), builder.trunc(chosen_, _word(16))
        chosen = builder.bitcast(bits, ir.VectorType(_word(1), 16))
        columns = []
        for index in range(len(values)):
            start, apart = (builder.trunc(builder.extract_value(each, index), word) for each in (first, step))
            apart = builder.mul(_constant(word, range(16)), _splat(builder, apart, 16))
            columns.append(builder.add(_splat(builder, start, 16), apart))
        columns.append(_resized(builder, _Vector(context, builder, old, old_, at, 16).load(), word))
        columns.append(_Vector(context, builder, fresh, fresh_, at.type(0), 16).load())
        for index, column in enumerate(columns):
            into = _Vector(context, builder, lists[index], builder.extract_value(arrays, index), length, 16)
            if _has(context, "avx512f"):
                # A whole vector, packed: much faster than packing into memory.
                kind = ir.FunctionType(vector, [vector, vector, chosen.type])
                pack = builder.module.declare_intrinsic("llvm.x86.avx512.mask.compress.v16i32", (), kind)
                into.store(builder.call(pack, [column, ir.Constant(vector, ir.Undefined), chosen]))
            else:
                kind = ir.FunctionType(ir.VoidType(), [vector, word.as_pointer(), chosen.type])
                pack = builder.module.declare_intrinsic("llvm.masked.compressstore.v16i32", (), kind)
                builder.call(pack, [column, builder.bitcast(into.place, word.as_pointer()), chosen])
        return builder.add(length, builder.zext(builder.ctpop(bits), length.type))

    return _signature("int64", lists, count, values, steps, fresh, old, k, flags), generate


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
def wrap8(typing: Any, target: Any, i: Any, bias: Any, j: Any, bits: Any) -> Any:
    """Wrap 8 elements in place, without a bias each that is in them, to two's complement of so many bits."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        into = _Vector(context, builder, target, arguments[0], arguments[1], 8)
        offset = _Vector(context, builder, bias, arguments[2], arguments[3], 8).load()
        spare = builder.sub(ir.Constant(_word(64), into.element.width), arguments[4])
        spare = _factor(builder, spare, into.element, 8)
        values = builder.ashr(builder.shl(builder.sub(into.load(), offset), spare), spare)
        into.store(builder.add(values, offset))
        return context.get_dummy_value()

    return _signature("void", target, i, bias, j, bits), generate


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


#: ``(fresh, sums, places, factors, j, rule, mask, old, k)``: take the largest of the sums at the places, requantise
#: them with a factor each, write them to `fresh`, under a mask, and return which differ from old[k:].
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

    signature = _signature("int64", fresh, sums, bases, changes, made, rows, power, places, factor, rule, mask, old, k)
    return signature, generate

"""Vectors of 8 or 16 integers, side by side in memory, for compiled functions.

Loops over arrays do not become vector instructions by themselves here: indices may be negative and arrays may overlap,
for all that the compiler knows. These few operations say outright what is meant. Arrays are one-dimensional and
contiguous; an index that runs past the end is not noticed.
"""

from __future__ import annotations

from typing import Any

from axft_host.backends.jit import intrinsic

__all__ = [
    "add_bits8",
    "add_bits16",
    "add_scaled8",
    "add_scaled16",
    "copy",
    "differs8",
    "largest8",
    "requantise8",
    "sum8",
]


def _signature(result: Any, *arguments: Any) -> Any:
    from numba.core import types

    return getattr(types, result)(*arguments)


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


def _splat(builder: Any, value: Any, lanes: int) -> Any:
    from llvmlite import ir

    vector = ir.VectorType(value.type, lanes)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), value, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(
        first, ir.Constant(vector, ir.Undefined), ir.Constant(ir.VectorType(ir.IntType(32), lanes), [0] * lanes)
    )


def _resized(builder: Any, vector: Any, element: Any, lanes: int) -> Any:
    """Return a vector with elements of another width, signed."""
    from llvmlite import ir

    if vector.type.element.width == element.width:
        return vector
    wanted = ir.VectorType(element, lanes)
    return (builder.sext if vector.type.element.width < element.width else builder.trunc)(vector, wanted)


def _factor(builder: Any, value: Any, element: Any, lanes: int) -> Any:
    """Return a factor, which fits into 32 bits, in all lanes: so a 64-bit product is one of 32-bit numbers."""
    from llvmlite import ir

    return _resized(builder, _splat(builder, builder.trunc(value, ir.IntType(32)), lanes), element, lanes)


def _add_scaled(lanes: int) -> Any:
    def add_scaled(typing: Any, target: Any, i: Any, source: Any, places: Any, factors: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            into = _Vector(context, builder, target, arguments[0], arguments[1], lanes)
            total = into.load()
            for index in range(len(places)):
                place = builder.extract_value(arguments[3], index)
                values = _Vector(context, builder, source, arguments[2], place, lanes).load()
                factor = _factor(builder, builder.extract_value(arguments[4], index), into.element, lanes)
                total = builder.add(total, builder.mul(_resized(builder, values, into.element, lanes), factor))
            into.store(total)
            return context.get_dummy_value()

        return _signature("void", target, i, source, places, factors), generate

    return intrinsic(add_scaled)


def _add_bits(lanes: int) -> Any:
    def add_bits(typing: Any, target: Any, i: Any, source: Any, j: Any, masks: Any, terms: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            from llvmlite import ir

            into = _Vector(context, builder, target, arguments[0], arguments[1], lanes)
            values = _Vector(context, builder, source, arguments[2], arguments[3], lanes).load()
            values = _resized(builder, values, into.element, lanes)
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
#: ``(target, i, source, j, masks, terms)``: target[i:] += the sum of the terms whose mask is set in source[j:].
add_bits8, add_bits16 = _add_bits(8), _add_bits(16)


@intrinsic
def largest8(typing: Any, target: Any, i: Any, source: Any, places: Any) -> Any:
    """Write, for each of 8 elements, the largest of those of `source` at some places."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        largest: Any = None
        for index in range(len(places)):
            place = builder.extract_value(arguments[3], index)
            values = _Vector(context, builder, source, arguments[2], place, 8).load()
            if largest is not None:
                values = builder.select(builder.icmp_signed(">", values, largest), values, largest)
            largest = values
        _Vector(context, builder, target, arguments[0], arguments[1], 8).store(largest)
        return context.get_dummy_value()

    return _signature("void", target, i, source, places), generate


@intrinsic
def sum8(typing: Any, source: Any, i: Any) -> Any:
    """Return the sum of 8 elements of at most 32 bits, modulo 2**32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        word = ir.IntType(32)
        values = _resized(builder, _Vector(context, builder, source, arguments[0], arguments[1], 8).load(), word, 8)
        reduce = builder.module.declare_intrinsic(
            "llvm.vector.reduce.add.v8i32", (), ir.FunctionType(word, [values.type])
        )
        return builder.sext(builder.call(reduce, [values]), ir.IntType(64))

    return _signature("int64", source, i), generate


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
def requantise8(typing: Any, target: Any, i: Any, factors: Any, j: Any, shift: Any, low: Any, high: Any) -> Any:
    """Requantise 8 elements in place: clip((value * factor + 2**(shift - 1)) >> shift, low, high), in int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        word = ir.IntType(64)
        into = _Vector(context, builder, target, arguments[0], arguments[1], 8)
        values = _resized(builder, into.load(), word, 8)
        scale = _resized(builder, _Vector(context, builder, factors, arguments[2], arguments[3], 8).load(), word, 8)
        one = ir.Constant(word, 1)
        half = builder.lshr(builder.shl(one, arguments[4]), one)
        values = builder.add(builder.mul(values, scale), _splat(builder, half, 8))
        values = builder.ashr(values, _splat(builder, arguments[4], 8))
        lowest, highest = _splat(builder, arguments[5], 8), _splat(builder, arguments[6], 8)
        values = builder.select(builder.icmp_signed("<", values, lowest), lowest, values)
        values = builder.select(builder.icmp_signed(">", values, highest), highest, values)
        into.store(_resized(builder, values, into.element, 8))
        return context.get_dummy_value()

    return _signature("void", target, i, factors, j, shift, low, high), generate


@intrinsic
def differs8(typing: Any, left: Any, i: Any, right: Any, j: Any, mask: Any) -> Any:
    """Clear the bits of 8 elements of `left` outside a mask; return which of them differ from `right`, one bit each."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        mine = _Vector(context, builder, left, arguments[0], arguments[1], 8)
        kept = builder.and_(mine.load(), _factor(builder, arguments[4], mine.element, 8))
        mine.store(kept)
        other = _resized(
            builder, _Vector(context, builder, right, arguments[2], arguments[3], 8).load(), mine.element, 8
        )
        flags = builder.bitcast(builder.icmp_signed("!=", kept, other), ir.IntType(8))
        return builder.zext(flags, ir.IntType(64))

    return _signature("int64", left, i, right, j, mask), generate

"""Operations as C statements: one method per kind of cell."""

from __future__ import annotations

from axft_spec.errors import BackendError

from .ir import Bits, Op, Sig, Step, cut, width_of
from .values import Writer, ctype, literal, mask, size_of, words

__all__ = ["address_of", "write_op"]

_BITWISE = {"$and": "&", "$or": "|", "$xor": "^"}
_ARITHMETIC = {"$add": "+", "$sub": "-", "$mul": "*"}
_COMPARE = {"$eq": "==", "$ne": "!=", "$lt": "<", "$le": "<=", "$gt": ">", "$ge": ">="}
_SIGNS = {"$not": "~", "$neg": "0 - ", "$pos": ""}
_REDUCE = {"$reduce_or", "$reduce_bool", "$reduce_and", "$reduce_xor"}
_SHIFT = {"$shl", "$shr", "$sshr", "$shift", "$shiftx"}
_DIVIDE = {"$divfloor", "$modfloor"}


def write_op(writer: Writer, op: Op) -> None:
    """Append the statements that compute an operation's output into a local, and into its field if it has one."""
    name = f"t{writer.fresh()[1:]}"
    out = op.out
    target = name
    if out.width > 64:
        if out.field and not writer.looped:
            target = name = f"m->{out.field}"
        else:
            writer.lines.append(f"uint64_t {name}[{words(out.width)}];")
        _wide(writer, op, name)
    elif op.kind == "process":
        _process(writer, op, name)
    else:
        writer.lines.append(f"const {ctype(out.width)} {name} = {_narrow(writer, op)};")
    writer.names[id(out)] = name
    if out.field and target != f"m->{out.field}":
        place = f"m->{out.field}[i]" if writer.looped else f"m->{out.field}"
        if out.width > 64:
            writer.lines.append(f"memcpy({place}, {name}, {8 * words(out.width)});")
        else:
            writer.lines.append(f"{place} = {name};")


def address_of(writer: Writer, addr: Bits) -> str:
    """Return an address as a name; what a memory has no room for, is cut by the caller's range check."""
    return writer.held(f"(uint64_t){writer.narrow(cut(addr, 0, min(width_of(addr), 64)))}", 64)


def _narrow(writer: Writer, op: Op) -> str:
    """Return the expression of an operation with up to 64 bits of output."""
    kind, width = op.kind, op.out.width
    signed = bool(op.params.get("A_SIGNED"))
    if kind == "read":
        return _read(writer, op)
    a, b = op.ports["A"], op.ports.get("B", ())
    if kind == "join":
        text = writer.narrow(a)
    elif kind == "$mux":
        text = _select(writer, width, writer.narrow(op.ports["S"]), writer.narrow(b), writer.narrow(a))
    elif kind in _REDUCE:
        text = _reduce(writer, kind, a, width)
    elif kind in _COMPARE:
        text = _compare(writer, op, a, b, signed)
    elif kind in _SHIFT:
        text = _shift(writer, op, a, b, signed)
    elif kind in _DIVIDE:
        text = _divide(writer, op, a, b, signed)
    elif kind in _SIGNS:
        text = _trim(width, f"{_SIGNS[kind]}{writer.extended(a, width, signed)}")
    else:
        text = _calculate(writer, op, a, b, signed)
    return text


def _calculate(writer: Writer, op: Op, a: Bits, b: Bits, signed: bool) -> str:
    """Return what C's own operators do."""
    kind, width = op.kind, op.out.width
    left, right = writer.extended(a, width, signed), writer.extended(b, width, bool(op.params.get("B_SIGNED")))
    if kind in _BITWISE:
        text = f"{left} {_BITWISE[kind]} {right}"
    elif kind == "$mul" and size_of(width) < 8:  # the product of two uint16_t would be a signed int
        text = f"(uint32_t){left} * (uint32_t){right}"
    else:
        text = f"{left} {_ARITHMETIC[kind]} {right}"
    return _trim(width, text)


def _trim(width: int, text: str) -> str:
    if width == 8 * size_of(width):
        return f"({ctype(width)})({text})"
    return f"({ctype(width)})(({text}) & {literal(mask(width))})"


def _select(writer: Writer, width: int, condition: str, yes: str, no: str) -> str:
    """Return a choice; over lanes, as masks: conditions that all lanes share keep a loop from becoming vector code."""
    kind = ctype(width)
    if not writer.looped:
        return f"({kind})({condition} ? {yes} : {no})"
    bits = f"({kind})(0 - ({kind}){condition})"
    if _is_zero(no):
        return f"({kind})({yes} & {bits})"
    no = writer.held(no, width)
    if _is_zero(yes):
        return f"({kind})({no} & ({kind})(({kind}){condition} - 1))"
    return f"({kind})({no} ^ (({yes} ^ {no}) & {bits}))"


def _is_zero(text: str) -> bool:
    return text.rpartition(")")[2] == "0"


def _read(writer: Writer, op: Op) -> str:
    assert op.store is not None
    addr = address_of(writer, op.ports["ADDR"])
    lane = "[i]" if writer.looped else ""
    return f"({addr} < {op.store.depth} ? m->{op.store.field}{lane}[{addr}] : 0)"


def _reduce(writer: Writer, kind: str, bits: Bits, width: int) -> str:
    """Return a reduction; over lanes, as a loop."""
    invert = kind == "$reduce_and"
    sign = "^" if kind == "$reduce_xor" else "|"
    terms = []
    for _, segment, step in writer.segments(bits):
        if step:
            element, _ = writer.lane_loop(segment, step)
            size = segment[0][2]
            if invert:
                element = f"({element} ^ {literal(mask(size))})"
            name = writer.fresh()
            writer.lines.append(f"{ctype(size)} {name} = 0;")
            writer.lines.append(f"for (int k = 0; k < {len(segment)}; k++) {name} {sign}= {element};")
            terms.append(name)
            continue
        total = width_of(segment)
        for start in range(0, total, 64):
            part = cut(segment, start, min(64, total - start))
            text = writer.narrow(part)
            terms.append(f"({text} ^ {literal(mask(width_of(part)))})" if invert else text)
    if kind == "$reduce_xor":
        return _parity(
            writer, terms, max((piece[2] for piece in bits), default=0) if len(terms) > 1 else width_of(bits)
        )
    text = " | ".join(terms) or "0"
    return f"({ctype(width)})(({text}) {'==' if invert else '!='} 0)"


def _parity(writer: Writer, terms: list[str], width: int) -> str:
    """Return the parity of terms of up to `width` bits, by folding, which compilers turn into vector code."""
    width = min(max(width, 1) if len(terms) == 1 else 64, 64)
    name = writer.held(" ^ ".join(f"({ctype(width)}){term}" for term in terms) or "0", width)
    shift = 8 * size_of(width) // 2
    while shift:
        if shift < width:
            name = writer.held(f"({ctype(width)})({name} ^ {name} >> {shift})", width)
        shift //= 2
    return f"({name} & 1)"


def _compare(writer: Writer, op: Op, a: Bits, b: Bits, signed: bool) -> str:
    sign = _COMPARE[op.kind]
    width = max(width_of(a), width_of(b), 1)
    kind = ctype(op.out.width)
    if width <= 64:
        if signed and sign not in ("==", "!="):
            return f"({kind})({writer.integer(a, width)} {sign} {writer.integer(b, width)})"
        return f"({kind})({_exact(writer, a, width, signed)} {sign} {_exact(writer, b, width, signed)})"
    count = words(width)
    left, right = writer.wide(a, count, signed), writer.wide(b, count, signed)
    if sign in ("==", "!="):
        return f"({kind})(axft_differ({left}, {right}, {count}) {'==' if sign == '==' else '!='} 0)"
    return f"({kind})(axft_order({left}, {right}, {count}, {int(signed)}) {sign} 0)"


def _exact(writer: Writer, bits: Bits, width: int, signed: bool) -> str:
    """Return a value extended to `width` bits with nothing above them."""
    text = writer.extended(bits, width, signed)
    return _trim(width, text) if signed and width_of(bits) < width else text


def _shift(writer: Writer, op: Op, a: Bits, b: Bits, signed: bool) -> str:
    """Return a shift. What is signed is extended to the output, but only ``$sshr`` shifts its sign in, as in Yosys."""
    if op.params.get("B_SIGNED"):
        raise BackendError(f"{op.out.name} is shifted by a signed amount, which the compiled model does not support")
    width = op.out.width
    if width_of(b) > 64:
        raise BackendError(f"{op.out.name} is shifted by more than 64 bits of amount: not supported")
    left = op.kind == "$shl"
    have = width_of(a)
    amount = writer.held(writer.narrow(b), max(width_of(b), 1))
    most = mask(width_of(b))
    if left:
        value = writer.extended(a, width, signed)
        text = f"({ctype(width)}){value} << {amount}" if size_of(width) > 2 else f"(uint32_t){value} << {amount}"
        return _trim(width, text if most < width else f"{amount} < {width} ? {text} : 0")
    if have <= 64:
        if signed and op.kind == "$sshr":
            limit = 8 * size_of(max(have, width)) - 1
            by = amount if most <= limit else f"({amount} < {limit} ? {amount} : {limit})"
            return _trim(width, f"{writer.integer(a, max(have, width))} >> {by}")
        value = writer.extended(a, max(have, width), signed)
        if signed:
            value = _trim(max(have, width), value)
        text = f"{value} >> {amount}"
        limit = 32 if size_of(max(have, width)) < 4 else 8 * size_of(max(have, width))
        return _trim(width, text if most < limit else f"{amount} < {max(have, width)} ? {text} : 0")
    count = words(have)
    arithmetic = signed and op.kind == "$sshr"
    name = writer.wide(a, count, arithmetic)
    fill = f"0 - ({name}[{count - 1}] >> 63)" if arithmetic else "0"
    return _trim(width, f"axft_bits({name}, {count}, {amount}, {fill})")


def _divide(writer: Writer, op: Op, a: Bits, b: Bits, signed: bool) -> str:
    width = max(width_of(a), width_of(b))
    if width > 64:
        raise BackendError(f"{op.out.name} divides {width} bits; the compiled model divides up to 64")
    kind = "div" if op.kind == "$divfloor" else "mod"
    if signed:
        text = f"axft_{kind}_s({writer.integer(a, 64)}, {writer.integer(b, 64)})"
    else:
        text = f"axft_{kind}_u({writer.narrow(a)}, {writer.narrow(b)})"
    return _trim(op.out.width, text)


# Processes


def _process(writer: Writer, op: Op, name: str) -> None:
    writer.lines.append(f"{ctype(op.out.width)} {name} = 0;")
    if writer.looped:
        _select_steps(writer, op.steps, name, op.out.width, "")
    else:
        _branch_steps(writer, op.steps, name, op.out)


def _patched(writer: Writer, step: Step, name: str, width: int) -> str:
    """Return a local with the bits of one assignment replaced."""
    have = width_of(step.value)
    if have == width:
        return writer.narrow(step.value)
    keep = literal(mask(width) & ~(mask(have) << step.first))
    kind = ctype(width)
    return f"({kind})(({name} & {keep}) | ({kind}){writer.narrow(step.value)} << {step.first})"


def _select_steps(writer: Writer, steps: list[Step], name: str, width: int, condition: str) -> None:
    """Write steps without branches, so that loops over lanes become vector code."""
    for step in steps:
        if step.select is None:
            text = _patched(writer, step, name, width)
            writer.lines.append(f"{name} = {_select(writer, width, condition, text, name) if condition else text};")
            continue
        select = [writer.held(writer.narrow(part), width_of(part)) for part in _words_of(step.select)]
        earlier = ""  # some case before this one matches
        for patterns, inner in step.cases:
            match = _match(select, patterns, bits=True)
            here = match
            if earlier:
                here = f"(({earlier} ^ 1) & {match})" if match != "1" else f"({earlier} ^ 1)"
            if condition:
                here = f"({condition} & {here})" if here != "1" else condition
            if inner:
                _select_steps(writer, inner, name, width, "" if here == "1" else writer.held(f"(uint8_t){here}", 1))
            if match == "1":
                break
            earlier = writer.held(f"(uint8_t)({earlier} | {match})" if earlier else f"(uint8_t){match}", 1)


def _branch_steps(writer: Writer, steps: list[Step], name: str, out: Sig) -> None:
    """Write steps as C's own branches."""
    for step in steps:
        if step.select is None:
            if out.width <= 64:
                writer.lines.append(f"{name} = {_patched(writer, step, name, out.width)};")
            else:
                _patch_words(writer, step, name)
            continue
        select = [writer.held(writer.narrow(part), width_of(part)) for part in _words_of(step.select)]
        plain = all("-" not in pattern for patterns, _ in step.cases for pattern in patterns)
        if len(step.cases) > 3 and len(select) == 1 and plain:
            _branch_table(writer, step, select[0], name, out)
            continue
        opening = ""
        for patterns, inner in step.cases:
            match = _match(select, patterns)
            writer.lines.append(f"{opening}{{" if match == "1" else f"{opening}if ({match}) {{")
            _branch_steps(writer, inner, name, out)
            writer.lines.append("}")
            opening = "else "
            if match == "1":
                break


def _branch_table(writer: Writer, step: Step, select: str, name: str, out: Sig) -> None:
    writer.lines.append(f"switch ({select}) {{")
    seen: set[int] = set()
    for patterns, inner in step.cases:
        values = [value for value in dict.fromkeys(int(pattern or "0", 2) for pattern in patterns) if value not in seen]
        if patterns and not values:
            continue
        seen.update(values)
        labels = " ".join(f"case {literal(value)}:" for value in values) if patterns else "default:"
        writer.lines.append(f"{labels} {{")
        _branch_steps(writer, inner, name, out)
        writer.lines.append("break; }")
        if not patterns:
            break
    writer.lines.append("}")


def _words_of(bits: Bits) -> list[Bits]:
    total = width_of(bits)
    return [cut(bits, start, min(64, total - start)) for start in range(0, total, 64)]


def _match(select: list[str], patterns: tuple[str, ...], *, bits: bool = False) -> str:
    """Return the condition that one of the patterns matches; no pattern at all matches everything.

    With `bits`, what depends on one bit is that bit and no comparison.
    """
    if not patterns:
        return "1"
    terms = []
    for pattern in patterns:
        care = int("0" + pattern.replace("0", "1").replace("-", "0"), 2)
        value = int("0" + pattern.replace("-", "0"), 2)
        parts = []
        for index, name in enumerate(select):
            here = care >> 64 * index & mask(64)
            size = min(64, len(pattern) - 64 * index)
            wanted = literal(value >> 64 * index & mask(64))
            if bits and here and not here & here - 1:
                shift = here.bit_length() - 1
                bit = f"({name} >> {shift} & 1)" if size > 1 else name
                parts.append(f"({bit} ^ 1)" if wanted == "0" else bit)
            elif here == mask(size):
                parts.append(f"({name} == {wanted})")
            elif here:
                parts.append(f"(({name} & {literal(here)}) == {wanted})")
        if not parts:
            return "1"
        terms.append(parts[0] if len(parts) == 1 else f"({' & '.join(parts)})")
    return f"({' | '.join(terms)})" if len(terms) > 1 else terms[0]


def _patch_words(writer: Writer, step: Step, name: str) -> None:
    """Write an assignment to some bits of a wide local."""
    first, have = step.first, width_of(step.value)
    if (first == 0 and have % 64 == 0) or any(run for _, _, run in writer.segments(step.value)):
        value = writer.wide(step.value, words(have))
        writer.lines.append(f"axft_patch({name}, {first}, {value}, {have});")
        return
    position = 0
    while position < have:
        word, shift = divmod(first + position, 64)
        size = min(64 - shift, have - position)
        text = writer.narrow(cut(step.value, position, size))
        if size < 64:
            keep = literal(mask(64) & ~(mask(size) << shift))
            text = f"({name}[{word}] & {keep}) | (uint64_t){text} << {shift}"
        writer.lines.append(f"{name}[{word}] = {text};")
        position += size


# Outputs of more than 64 bits


def _wide(writer: Writer, op: Op, name: str) -> None:
    kind, width = op.kind, op.out.width
    count = words(width)
    signed = bool(op.params.get("A_SIGNED"))
    if kind == "process":
        writer.lines.append(f"memset({name}, 0, {8 * count});")
        _branch_steps(writer, op.steps, name, op.out)
        return
    if kind in ("join", "$pos"):
        writer.fill(name, op.ports["A"], count, signed)
    elif kind == "read":
        assert op.store is not None
        addr = address_of(writer, op.ports["ADDR"])
        lane = "[i]" if writer.looped else ""
        writer.lines.append(
            f"if ({addr} < {op.store.depth}) memcpy({name}, m->{op.store.field}{lane}[{addr}], {8 * count});"
        )
        writer.lines.append(f"else memset({name}, 0, {8 * count});")
    elif kind == "$mux":
        yes, no = writer.wide(op.ports["B"], count), writer.wide(op.ports["A"], count)
        writer.lines.append(f"memcpy({name}, {writer.narrow(op.ports['S'])} ? {yes} : {no}, {8 * count});")
    elif kind in _SHIFT:
        _wide_shift(writer, op, name, signed)
    elif kind in _REDUCE or kind in _COMPARE:  # one bit, zero-extended
        narrow = Op(kind, Sig(op.out.unit, 1, op.out.name, "comb"), op.ports, op.params)
        writer.lines.append(f"memset({name}, 0, {8 * count});")
        writer.lines.append(f"{name}[0] = {_narrow(writer, narrow)};")
    elif kind in _BITWISE or kind in _ARITHMETIC or kind in ("$not", "$neg"):
        _wide_arithmetic(writer, op, name, count)
    else:
        raise BackendError(f"{op.out.name} is a {kind} of {width} bits, which the compiled model does not support")
    if width % 64:
        writer.lines.append(f"{name}[{count - 1}] &= {literal(mask(width % 64))};")


def _wide_arithmetic(writer: Writer, op: Op, name: str, count: int) -> None:
    kind = op.kind
    a = writer.wide(cut(op.ports["A"], 0, op.out.width), count, bool(op.params.get("A_SIGNED")))
    if kind == "$not":
        writer.lines.append(f"for (int k = 0; k < {count}; k++) {name}[k] = ~{a}[k];")
        return
    if kind == "$neg":
        writer.lines.append(f"axft_neg({name}, {a}, {count});")
        return
    b = writer.wide(cut(op.ports["B"], 0, op.out.width), count, bool(op.params.get("B_SIGNED")))
    if kind in _BITWISE:
        writer.lines.append(f"for (int k = 0; k < {count}; k++) {name}[k] = {a}[k] {_BITWISE[kind]} {b}[k];")
    else:
        writer.lines.append(f"axft_{kind[1:]}({name}, {a}, {b}, {count});")


def _wide_shift(writer: Writer, op: Op, name: str, signed: bool) -> None:
    if op.params.get("B_SIGNED") or width_of(op.ports["B"]) > 64:
        raise BackendError(f"{op.out.name} is shifted by an amount that the compiled model does not support")
    width = max(op.out.width, width_of(op.ports["A"]))
    count = words(width)
    arithmetic = int(signed and op.kind == "$sshr")
    longer = width > width_of(op.ports["A"])
    source = writer.wide(op.ports["A"], count, bool(arithmetic) or (signed and longer))
    if signed and longer and not arithmetic and width % 64:
        writer.lines.append(f"{source}[{count - 1}] &= {literal(mask(width % 64))};")
    amount = writer.narrow(op.ports["B"])
    kind = "shl" if op.kind == "$shl" else "shr"
    writer.lines.append(f"axft_{kind}({name}, {words(op.out.width)}, {source}, {count}, {amount}, {arithmetic});")

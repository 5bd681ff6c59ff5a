"""Values as C expressions: pieces of signals cut, joined, extended and packed.

A value of up to 64 bits is an unsigned expression whose bits above its width are zero. A wider one is an array of
uint64_t, least significant word first, again with zeros above its width.
"""

from __future__ import annotations

from collections.abc import Iterator

from .ir import Bits, Gather, Lane, Piece, Sig, Unit, cut, width_of
from .schedule import Function

__all__ = ["Writer", "ctype", "literal", "mask", "size_of", "words"]

_SHORTEST_RUN = 6  # lanes: from here on a loop is shorter and faster than single accesses


def ctype(width: int) -> str:
    """Return the narrowest unsigned type that holds `width` bits; wide values are made of the widest."""
    return "uint8_t" if width <= 8 else "uint16_t" if width <= 16 else "uint32_t" if width <= 32 else "uint64_t"


def size_of(width: int) -> int:
    """Return the bytes of an element of `ctype`."""
    return 1 if width <= 8 else 2 if width <= 16 else 4 if width <= 32 else 8


def words(width: int) -> int:
    """Return the number of 64-bit words of a value."""
    return max(-(-width // 64), 1)


def mask(width: int) -> int:
    """Return `width` ones."""
    return (1 << width) - 1


def literal(value: int) -> str:
    """Return a constant of up to 64 bits."""
    return str(value) if value < 1 << 31 else f"0x{value:x}{'u' if value < 1 << 32 else 'ull'}"


class Writer:
    """The text of one C function."""

    def __init__(self, function: Function, number: int) -> None:
        self.unit: Unit = function.unit
        self.number = number
        self.looped = function.unit.index > 0
        self.head: list[str] = []  # before the loop over the lanes
        self.loads: list[str] = []  # at the loop's beginning
        self.lines: list[str] = []
        self.names: dict[int, str] = {}
        self.uniform: dict[int, Gather] = {
            id(gather.out): gather for gather in function.unit.gathers if gather.uniform is not None
        }
        self.count = 0

    def fresh(self) -> str:
        """Return an unused local name."""
        self.count += 1
        return f"x{self.count}"

    # References

    def ref(self, sig: Sig) -> str:
        """Return a signal's name in this function: an expression, or a pointer to words if it is wide."""
        if sig.kind == "input":
            return f"m->in_{sig.name}"
        if isinstance(sig, Lane):
            return f"m->{sig.base.field}[{sig.lane}]"
        if id(sig) in self.names:
            return self.names[id(sig)]
        if id(sig) in self.uniform:
            return self.hoist(sig, self.uniform[id(sig)])
        if not self.looped or sig.width > 64:
            return f"m->{sig.field}[i]" if self.looped else f"m->{sig.field}"
        # Loaded whether needed or not: a conditional load would keep the loop from becoming vector code.
        name = self.names[id(sig)] = f"l{len(self.names)}"
        self.loads.append(f"const {ctype(sig.width)} {name} = m->{sig.field}[i];")
        return name

    def hoist(self, sig: Sig, gather: Gather) -> str:
        """Read an input that is the same for all lanes once, before the loop."""
        name = self.names[id(sig)] = f"g{len(self.names)}"
        body, self.lines, self.looped = self.lines, self.head, False
        assert gather.uniform is not None
        if sig.width <= 64:
            self.lines.append(f"const {ctype(sig.width)} {name} = {self.narrow(gather.uniform)};")
        else:
            self.lines.append(f"uint64_t {name}[{words(sig.width)}];")
            self.fill(name, gather.uniform, words(sig.width))
        self.lines, self.looped = body, True
        return name

    # Values of up to 64 bits

    def piece(self, piece: Piece) -> str:
        """Return one piece of up to 64 bits."""
        sig, first, width = piece
        if sig is None:
            return literal(first)
        name = self.ref(sig)
        if sig.width <= 64:
            text = name if first == 0 else f"({name} >> {first})"
            return text if first + width == sig.width else f"({text} & {literal(mask(width))})"
        word, shift = divmod(first, 64)
        text = f"{name}[{word}]" if shift == 0 else f"({name}[{word}] >> {shift})"
        if shift + width > 64:
            text = f"({text} | {name}[{word + 1}] << {64 - shift})"
        return text if first + width == sig.width or shift + width == 64 else f"({text} & {literal(mask(width))})"

    def narrow(self, bits: Bits) -> str:
        """Return a value of up to 64 bits as an expression of its own type."""
        if not bits:
            return "0"
        if len(bits) == 1:
            text = self.piece(bits[0])
            return text if bits[0][0] is not None and bits[0][0].width == bits[0][2] else self.cast(bits[0][2], text)
        kind = ctype(width_of(bits))
        terms = []
        for (sig, first, width), copies, position in _copies(bits):
            text = self.piece((sig, first, width))
            if text == "0":
                continue
            if copies > 1:
                text = f"((0 - ({kind}){text}) & {literal(mask(copies))})"
            terms.append(f"({kind}){text} << {position}" if position else f"({kind}){text}")
        return f"({kind})({' | '.join(terms) or '0'})"

    def cast(self, width: int, text: str) -> str:
        """Return an expression as one of the type of `width` bits."""
        return f"({ctype(width)}){text}"

    def extended(self, bits: Bits, width: int, signed: bool) -> str:
        """Return a value cut or extended to `width` bits; if it is signed, its sign fills the type above them too."""
        have = width_of(bits)
        if have >= width:
            return self.narrow(cut(bits, 0, width)) if have > width else self.narrow(bits)
        kind = ctype(width)
        if not signed or have == 0:
            return f"({kind}){self.narrow(bits)}"
        if have in (8, 16, 32):
            return f"({kind})(int{8 * size_of(width)}_t)(int{have}_t){self.narrow(bits)}"
        sign = literal(1 << have - 1)
        return f"({kind})((({kind}){self.narrow(bits)} ^ {sign}) - {sign})"

    def integer(self, bits: Bits, width: int) -> str:
        """Return a value of up to `width` bits as a signed integer of that width's type."""
        full = 8 * size_of(width)
        return f"(int{full}_t){self.extended(bits, full, True)}"

    def held(self, text: str, width: int) -> str:
        """Return a local name for an expression that is used several times."""
        if text.isidentifier() or text.isdigit():
            return text
        name = self.fresh()
        self.lines.append(f"const {ctype(width)} {name} = {text};")
        return name

    # Wide values

    def wide(self, bits: Bits, count: int, signed: bool = False) -> str:
        """Return a pointer to `count` words that hold a value, extended."""
        sig, _, width = bits[0] if len(bits) == 1 else (None, 0, 0)
        if sig is not None and sig.width == width > 64 and words(width) == count and not (signed and width % 64):
            return self.ref(sig)
        name = self.fresh()
        self.lines.append(f"uint64_t {name}[{count}];")
        self.fill(name, bits, count, signed)
        return name

    def fill(self, target: str, bits: Bits, count: int, signed: bool = False) -> None:
        """Write a value into `count` words at `target`."""
        have = width_of(bits)
        segments = list(self.segments(bits))
        if any(run for _, _, run in segments):
            self.lines.append(f"memset({target}, 0, {8 * count});")
            for position, segment, run in segments:
                if run:
                    self.pack(target, position, segment, run)
                    continue
                for start in range(0, width_of(segment), 64):
                    part = cut(segment, start, min(64, width_of(segment) - start))
                    self.lines.append(f"axft_put({target}, {position + start}, {self.narrow(part)}, {width_of(part)});")
        else:
            for word in range(count):
                part = cut(bits, 64 * word, min(64, have - 64 * word)) if have > 64 * word else ()
                self.lines.append(f"{target}[{word}] = {self.narrow(part)};")
        if signed and have and have < 64 * count:
            self.lines.append(f"axft_extend({target}, {have}, {count});")

    def segments(self, bits: Bits) -> Iterator[tuple[int, Bits, int]]:
        """Yield (position, pieces, step): runs over lanes with their lane step, and what lies between with step 0."""
        position = start = 0
        index = begin = 0
        while index < len(bits):
            length, step = _run(bits, index)
            if length >= _SHORTEST_RUN:
                if begin < index:
                    yield start, bits[begin:index], 0
                run = bits[index : index + length]
                yield position, run, step
                position += width_of(run)
                index += length
                begin, start = index, position
            else:
                position += bits[index][2]
                index += 1
        if begin < len(bits):
            yield start, bits[begin:], 0

    def lane_loop(self, run: Bits, step: int) -> tuple[str, str]:
        """Return the element of a run over lanes with index k, and the array it begins at."""
        sig, first, width = run[0]
        assert isinstance(sig, Lane)
        index = f"{sig.lane} + k" if step == 1 else f"{sig.lane} + k * {step}"
        element = f"m->{sig.base.field}[{index}]"
        if first:
            element = f"({element} >> {first})"
        if first + width < sig.width:
            element = f"({element} & {literal(mask(width))})"
        return element, f"m->{sig.base.field} + {sig.lane}"

    def pack(self, target: str, position: int, run: Bits, step: int) -> None:
        """Write a run over lanes into an array of words that is zero there."""
        element, array = self.lane_loop(run, step)
        sig, _, width = run[0]
        assert sig is not None
        if step == 1 and width == sig.width == 8 * size_of(width) and position % 8 == 0:
            size = len(run) * size_of(width)
            self.lines.append(f"memcpy((uint8_t *){target} + {position // 8}, {array}, {size});")
        elif step == 1 and width == sig.width == 1:
            self.lines.append(f"axft_pack({target}, {position}, {array}, {len(run)});")
        else:
            self.lines.append(
                f"for (int k = 0; k < {len(run)}; k++) "
                f"axft_put({target}, {position} + k * {width}, {element}, {width});"
            )


def _run(bits: Bits, index: int) -> tuple[int, int]:
    """Return the length and lane step of the run over lanes that begins at a piece."""
    sig, first, width = bits[index]
    if not isinstance(sig, Lane) or sig.width > 64 or index + 1 >= len(bits):
        return 1, 0
    after = bits[index + 1][0]
    if not isinstance(after, Lane) or after.base is not sig.base or after.lane == sig.lane:
        return 1, 0
    step = after.lane - sig.lane
    length = 1
    for other, start, size in bits[index + 1 :]:
        if not isinstance(other, Lane) or other.base is not sig.base or (start, size) != (first, width):
            break
        if other.lane != sig.lane + length * step:
            break
        length += 1
    return length, step


def _copies(bits: Bits) -> Iterator[tuple[Piece, int, int]]:
    """Yield (piece, copies, position); a bit that is repeated, as sign extension is, comes once."""
    position = index = 0
    while index < len(bits):
        piece = bits[index]
        copies = 1
        if piece[0] is not None and piece[2] == 1:
            while index + copies < len(bits) and bits[index + copies] == piece:
                copies += 1
        yield piece, copies, position
        position += piece[2] * copies
        index += copies

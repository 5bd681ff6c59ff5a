"""Faults in flip-flops of the gateware, by hierarchical name: control logic, bus side and scan chain included.

The array's own fault sites are part of the specification, and every backend gives the same outcomes for them. A
flip-flop is part of one implementation: these faults exist on simulated RTL alone, and what they do may be a hang.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from axft_spec.config import canonical_digest
from axft_spec.errors import FaultError, check_int
from axft_spec.faults import Fault, FaultKind, parse_fault, parse_kind

__all__ = [
    "FLIP_FLOP_PREFIX",
    "AnyFault",
    "FlipFlop",
    "FlipFlopFault",
    "FlipFlopSpace",
    "any_fault_from_json",
    "check_flip_flop",
    "match_flip_flops",
    "parse_any_fault",
]

#: What stands before a flip-flop's name where a site is asked for.
FLIP_FLOP_PREFIX = "rtl:"

#: Last clock cycle that a fault can name.
MAX_CYCLE = 2**48

_TEXT = re.compile(r"rtl:([A-Za-z0-9_.$]+):b(\d+):([a-z0-9_]+)(?:@y(\d+))?")


@dataclass(frozen=True, slots=True, order=True)
class FlipFlop:
    """A register of the gateware: its hierarchical name, and its width in bits."""

    name: str
    bits: int


@dataclass(frozen=True, slots=True)
class FlipFlopFault:
    """One bit of one register, flipped once or held.

    Parameters
    ----------
    kind : FaultKind
    name : str
        Hierarchical name, such as ``core.sequencer.steps_left``.
    bit : int
    first_cycle : int
        Clock cycle of the run, over all its images, counted from the first one after the device has been reset. A flip
        happens in it; a stuck bit is held from it on, to the end of the run.
    """

    kind: FaultKind
    name: str
    bit: int
    first_cycle: int = 0

    def __post_init__(self) -> None:
        for what, value in (("bit", self.bit), ("first_cycle", self.first_cycle)):
            if type(value) is not int or not 0 <= value <= MAX_CYCLE:
                raise FaultError(f"{what} of a flip-flop's fault must be between 0 and {MAX_CYCLE}, not {value!r}")

    @property
    def transient(self) -> bool:
        """Whether it acts in one cycle alone."""
        return self.kind is FaultKind.FLIP

    def __str__(self) -> str:
        return f"{FLIP_FLOP_PREFIX}{self.name}:b{self.bit}:{self.kind.short}@y{self.first_cycle}"

    @classmethod
    def parse(cls, text: str) -> FlipFlopFault:
        """Read the text form, as ``str(fault)`` writes it; without ``@yCYCLE`` from cycle 0 on."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise FaultError(
                f"a flip-flop's fault must have the form rtl:NAME:bBIT:KIND[@yCYCLE], such as "
                f"rtl:core.sequencer.steps_left:b0:flip@y1200, not {text!r}"
            )
        return cls(parse_kind(match[3]), match[1], int(match[2]), int(match[4] or 0))

    def to_json(self) -> dict[str, object]:
        """Return the fault as plain JSON values: one line of a fault list."""
        return {
            "kind": self.kind.value,
            "flip_flop": self.name,
            "bit": self.bit,
            "first_cycle": self.first_cycle,
        }

    @classmethod
    def from_json(cls, value: Any) -> FlipFlopFault:
        """Rebuild from `to_json`; unknown or missing keys are an error."""
        if not isinstance(value, dict) or set(value) != {"kind", "flip_flop", "bit", "first_cycle"}:
            raise FaultError(f"a flip-flop's fault must have the keys kind, flip_flop, bit, first_cycle, not {value!r}")
        if not isinstance(value["flip_flop"], str):
            raise FaultError(f"flip_flop must be a name, not {value['flip_flop']!r}")
        return cls(parse_kind(value["kind"]), value["flip_flop"], value["bit"], value["first_cycle"])


#: A fault of the array, or one in a flip-flop of its gateware.
AnyFault = Fault | FlipFlopFault


def any_fault_from_json(value: Any) -> AnyFault:
    """Rebuild a fault of either sort from its `to_json`."""
    if isinstance(value, dict) and "flip_flop" in value:
        return FlipFlopFault.from_json(value)
    return Fault.from_json(value)


def parse_any_fault(text: str) -> AnyFault:
    """Read the text form of a fault of either sort."""
    return FlipFlopFault.parse(text) if text.startswith(FLIP_FLOP_PREFIX) else parse_fault(text)


def _unknown(name: str, flip_flops: Mapping[str, int]) -> str:
    last = name.rpartition(".")[2]
    near = [known for known in flip_flops if last and last in known][:6] or list(flip_flops)[:6]
    return (
        f"no flip-flop is called {name!r}; allowed: one of {len(flip_flops)} names such as {', '.join(near)}, or, to "
        f"draw from several, a pattern such as 'core.*'"
    )


def match_flip_flops(flip_flops: Mapping[str, int], pattern: str) -> tuple[FlipFlop, ...]:
    """Return the flip-flops whose name a pattern matches: a whole name, or one with ``*`` and ``?``.

    Parameters
    ----------
    flip_flops : mapping of str to int
        Their widths in bits.
    pattern : str

    Raises
    ------
    FaultError
        If there are none; the message names some that there are.
    """
    found = tuple(FlipFlop(name, bits) for name, bits in sorted(flip_flops.items()) if fnmatchcase(name, pattern))
    if not found:
        raise FaultError(_unknown(pattern, flip_flops))
    return found


def check_flip_flop(fault: FlipFlopFault, flip_flops: Mapping[str, int], cycles: int | None = None) -> None:
    """Check that a device has the bit that a fault names, and a run so many clock cycles.

    Raises
    ------
    FaultError
        If there is no such flip-flop, it has not so many bits, or the run is over before.
    """
    if fault.name not in flip_flops:
        raise FaultError(f"fault {fault}: {_unknown(fault.name, flip_flops)}")
    bits = flip_flops[fault.name]
    if fault.bit >= bits:
        raise FaultError(f"fault {fault}: bit must be between 0 and {bits - 1}, not {fault.bit}")
    if cycles is not None and fault.first_cycle >= cycles:
        raise FaultError(
            f"fault {fault}: cycle must be between 0 and {cycles - 1}, the last of the run, not {fault.first_cycle}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FlipFlopSpace:
    """Every bit of some flip-flops in every clock cycle of a golden run.

    Numbered, from the fastest changing: kind (in the order given), bit, flip-flop (by name), cycle.

    Parameters
    ----------
    flip_flops : tuple of FlipFlop
    kinds : tuple of FaultKind
    cycles : int
        Clock cycles of the golden run.
    device : str
        Digest of the hardware configuration that has these flip-flops.
    """

    flip_flops: tuple[FlipFlop, ...]
    kinds: tuple[FaultKind, ...]
    cycles: int
    device: str

    @property
    def bits(self) -> int:
        """Number of bits of all flip-flops together."""
        return sum(each.bits for each in self.flip_flops)

    @property
    def size(self) -> int:
        """Number of faults: bits x kinds x cycles."""
        return self.bits * len(self.kinds) * self.cycles

    def __getitem__(self, index: int) -> FlipFlopFault:
        """Return the fault of a number in ``[0, size)``."""
        if not 0 <= index < self.size:
            raise IndexError(f"fault number must be between 0 and {self.size - 1}, not {index}")
        rest, kind = divmod(index, len(self.kinds))
        cycle, bit = divmod(rest, self.bits)
        for each in self.flip_flops:
            if bit < each.bits:
                return FlipFlopFault(self.kinds[kind], each.name, bit, cycle)
            bit -= each.bits
        raise AssertionError("unreachable: the bits add up")

    def digest(self) -> str:
        """Return the SHA-256 (hex) of what defines the space."""
        return canonical_digest(self.to_json())

    def to_json(self) -> dict[str, object]:
        """Return what defines the space as plain JSON values."""
        return {
            "flip_flops": [[each.name, each.bits] for each in self.flip_flops],
            "kinds": [kind.value for kind in self.kinds],
            "cycles": self.cycles,
            "device": self.device,
            "size": self.size,
        }

    @classmethod
    def from_json(cls, value: Any) -> FlipFlopSpace:
        """Rebuild from `to_json`; the recorded size must be the size of what is rebuilt."""
        keys = {"flip_flops", "kinds", "cycles", "device", "size"}
        if not isinstance(value, dict) or set(value) != keys:
            raise FaultError(f"a space of flip-flops must have the keys {sorted(keys)}, not {value!r}")
        space = cls(
            flip_flops=tuple(
                FlipFlop(str(name), check_int("bits of a flip-flop", bits, 1)) for name, bits in value["flip_flops"]
            ),
            kinds=tuple(map(parse_kind, value["kinds"])),
            cycles=check_int("cycles", value["cycles"], 1, MAX_CYCLE),
            device=value["device"],
        )
        if space.size != value["size"]:
            raise FaultError(f"size of the space must be {space.size}, not {value['size']!r}")
        return space

"""The bank of control and status registers, made from `axft_spec.regmap`: no register is written down here."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import REGISTERS, WINDOWS, Access, Field, Register, register, reset_values

__all__ = ["CsrBank", "field_name"]

#: Where the registers that say what the device is end, and those that work begin.
_FIRST_LIVE = register("SCRATCH").offset

#: Bits of a byte address inside the region of the registers: up to the first window.
_REGION_BITS = (WINDOWS[0].offset - 1).bit_length()

#: Bits of a byte address that tell the registers apart; those above must be 0.
_OFFSET_BITS = max(entry.offset for entry in REGISTERS).bit_length()


def field_name(entry: Register, field: Field) -> str:
    """Return the name of a field in the gateware: register and field, or the one name that both have."""
    name = entry.name.lower()
    return name if field.name == name else f"{name}_{field.name}"


def _is_constant(entry: Register) -> bool:
    return entry.offset < _FIRST_LIVE


def _members() -> dict[str, wiring.Member]:
    members: dict[str, wiring.Member] = {}
    for entry in REGISTERS:
        for field in entry.fields:
            name = field_name(entry, field)
            if field.access is Access.RW:
                members[name] = Out(field.bits, init=field.reset)
            elif field.access is Access.W:
                members[name] = Out(field.bits)
            elif field.access is Access.RW1C:
                members[f"{name}_set"] = In(field.bits)
            elif not _is_constant(entry):
                members[name] = In(field.bits)
        if any(field.access is Access.W for field in entry.fields):
            members[f"{entry.name.lower()}_written"] = Out(1)
    return members


class CsrBank(wiring.Component):
    """All registers of the register map.

    The registers before SCRATCH are constants, the reset values of this device. A field that can be read and written
    is a flip-flop, named after register and field, and keeps the bytes whose strobe is low. A field RW1C is one too:
    a one that is written clears it, and `NAME_set` sets it and wins. A field W has the written value for the cycle of
    the write, and 0 else. `REGISTER_written` is high for the cycle of a write that has a strobe in a byte with fields.

    **Latency.** What a write changes is there in the next cycle; a read takes one cycle.
    **Reset.** Every field has its reset value.

    Parameters
    ----------
    hardware : HardwareConfig

    Members
    -------
    write_valid, write_address, write_data, write_strobe : In
        A write in the region of the registers; the byte address counts from its begin.
    write_error : Out(1)
        In the same cycle: there is no such register, or nothing in it can be written.
    read_address : In
        Byte address of the register that `read_data` shows in the next cycle.
    read_data : Out(32)
        The register.
    read_error : Out(1)
        With `read_data`: there is no such register.
    NAME : In or Out
        Each field that is no constant, by `field_name`: an input where the bus may only read it, else an output.
    NAME_set : In
        For each field RW1C.
    REGISTER_written : Out(1)
        For each register with fields W.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        super().__init__(
            {
                "write_valid": In(1),
                "write_address": In(_REGION_BITS),
                "write_data": In(32),
                "write_strobe": In(4),
                "write_error": Out(1),
                "read_address": In(_REGION_BITS),
                "read_data": Out(32),
                "read_error": Out(1),
                **_members(),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        selected = {entry.name: Signal(name=f"select_{entry.name.lower()}") for entry in REGISTERS}
        self._decode_writes(m, selected)
        words = {entry.name: self._register(m, entry, selected[entry.name]) for entry in REGISTERS}

        m.d.sync += [self.read_data.eq(0), self.read_error.eq(1)]
        with m.If(self.read_address[_OFFSET_BITS:] == 0), m.Switch(self.read_address[2:_OFFSET_BITS]):
            for entry in REGISTERS:
                with m.Case(entry.offset // 4):
                    m.d.sync += [self.read_data.eq(words[entry.name]), self.read_error.eq(0)]
        return m

    def _decode_writes(self, m: Module, selected: dict[str, Signal]) -> None:
        m.d.comb += self.write_error.eq(1)
        with m.If(self.write_address[_OFFSET_BITS:] == 0), m.Switch(self.write_address[2:_OFFSET_BITS]):
            for entry in REGISTERS:
                if entry.writable:
                    with m.Case(entry.offset // 4):
                        m.d.comb += [selected[entry.name].eq(self.write_valid), self.write_error.eq(0)]

    def _register(self, m: Module, entry: Register, selected: Signal) -> Value:
        """Build the fields of a register; return the word that it reads as."""
        mask = Cat(strobe.replicate(8) for strobe in self.write_strobe)
        written = []
        word: list[Value] = []
        place = 0
        for field in sorted(entry.fields, key=lambda field: field.low):
            span = slice(field.low, field.low + field.bits)
            given, strobes = self.write_data[span], mask[span]
            word += [Const(0, field.low - place)] if field.low > place else []
            word.append(self._field(m, entry, field, selected, given, strobes))
            place = field.low + field.bits
            if field.access is Access.W:
                written.append(strobes.any())
        if written:
            m.d.comb += getattr(self, f"{entry.name.lower()}_written").eq(selected & Cat(written).any())
        return Cat(word)

    def _field(self, m: Module, entry: Register, field: Field, selected: Signal, given: Value, strobes: Value) -> Value:
        """Build a field; return what it reads as."""
        name = field_name(entry, field)
        if field.access is Access.R:
            if not _is_constant(entry):
                return getattr(self, name)
            return Const(reset_values(self.hardware)[entry.name][field.name], field.bits)
        if field.access is Access.RW:
            value = getattr(self, name)
            with m.If(selected):
                m.d.sync += value.eq((value & ~strobes) | (given & strobes))
            return value
        if field.access is Access.W:
            with m.If(selected):
                m.d.comb += getattr(self, name).eq(given & strobes)
            return Const(0, field.bits)
        event = Signal(field.bits, name=name, init=field.reset)
        cleared = Signal(field.bits, name=f"{name}_clear")
        with m.If(selected):
            m.d.comb += cleared.eq(given & strobes)
        m.d.sync += event.eq((event & ~cleared) | getattr(self, f"{name}_set"))
        return event

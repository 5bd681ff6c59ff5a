"""RAMB18E1 and RAMB36E1 as two ports over an array of bytes with parity: which pins and attributes mean what.

After Xilinx UG473 (7 Series FPGAs Memory Resources, v1.11), chapter 1; the sections are named where they are used. What
happens at a clock edge is in ``gate_engine.c``. Both ports have one clock here, so that nothing depends on its phases.

Modelled: true and simple dual port; every port width; READ_FIRST, WRITE_FIRST and NO_CHANGE; writing by bytes; output
registers; set and reset of latches and registers with either priority; initial contents and outputs. Refused: error
correction, cascades, widths and modes that do not exist. Where both ports meet at one address and the manual calls the
outcome unreliable ("Conflict Avoidance"), what is read is wrong on purpose, and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from axft_spec.errors import BackendError

__all__ = ["MODES", "WIDTHS", "BlockRam", "RamPort", "block_ram_of"]

#: Write modes, numbered as in ``gate_engine.c`` ("Write Modes").
MODES = ("READ_FIRST", "WRITE_FIRST", "NO_CHANGE")

#: Widths of a port with those of data alone and of parity; 72 only as one of 36 kbit in simple dual port mode.
WIDTHS = (0, 1, 2, 4, 9, 18, 36, 72)

Bit = int | str
_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class RamPort:
    """One port; nets by number, 0 and 1 those of constants.

    Bits of data, `data` and `out`, and of values come in the order of the memory: for each byte its eight bits, then
    its parity. Ports narrower than a byte have no parity. None, in `initial`, is undefined.
    """

    read_bits: int
    write_bits: int
    mode: int
    registered: bool
    reset_first: bool
    enable: int
    reset: int
    register_enable: int
    register_reset: int
    write_enable: list[int]
    address: list[int]
    data: list[int]
    out: list[int]
    reset_value: list[int]
    initial: list[int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockRam:
    """A block RAM: its ports, and its bytes of nine bits at power-up, of which undefined ones are 0."""

    name: str
    ports: tuple[RamPort, RamPort]
    contents: list[int]


@dataclass(frozen=True, slots=True)
class _Source:
    """A cell of the netlist, as the ports below need it."""

    kind: str
    name: str
    parameters: Mapping[str, str]
    pins: Mapping[str, list[Bit]]
    given: Callable[[str, int], int]
    shown: Callable[[Bit], int]

    @property
    def large(self) -> bool:
        return self.kind == "RAMB36E1"

    def refuse(self, what: str) -> BackendError:
        return BackendError(f"{self.kind} {self.name}: {what} is not modelled")

    def text(self, name: str, default: str, allowed: tuple[str, ...]) -> str:
        value = self.parameters.get(name, default)
        if value not in allowed:
            raise self.refuse(f"{name} = {value}")
        return value

    def number(self, name: str, default: int, allowed: tuple[int, ...]) -> int:
        value = int(self.parameters.get(name, f"{default:b}"), 2)
        if value not in allowed:
            raise self.refuse(f"{name} = {value}")
        return value

    def value(self, name: str, bits: int) -> list[int | None]:
        """Return the bits of a value from the least significant up; None is undefined."""
        text = self.parameters.get(name, "0").rjust(bits, "0")
        return [{"0": 0, "1": 1}.get(digit) for digit in reversed(text)][:bits]

    def inputs(self, *names: str) -> list[int]:
        """Return the nets of some pins; those that are not connected are 0."""
        return [self.given(name, place) for name in names for place in range(len(self.pins.get(name, [])))]

    def outputs(self, *names: str) -> list[int]:
        return [self.shown(bit) for name in names for bit in self.pins.get(name, [])]


def block_ram_of(
    kind: str,
    name: str,
    parameters: Mapping[str, str],
    pins: Mapping[str, list[Bit]],
    given: Callable[[str, int], int],
    shown: Callable[[Bit], int],
) -> BlockRam:
    """Return the model of a block RAM.

    Parameters
    ----------
    kind : {"RAMB18E1", "RAMB36E1"}
    name : str
        The cell.
    parameters, pins : mapping
        As yosys's JSON has them.
    given : callable
        Returns the net that a pin, by name and number, is given.
    shown : callable
        Returns the net of a bit that an output drives.

    Raises
    ------
    BackendError
        If an attribute has a value that is not modelled.
    """
    cell = _Source(kind, name, parameters, pins, given, shown)
    for side in ("READ", "WRITE"):
        cell.text(f"EN_ECC_{side}", "FALSE", ("FALSE",))
    for port in "AB":
        cell.text(f"RAM_EXTENSION_{port}", "NONE", ("NONE",))
    mode = cell.text("RAM_MODE", "TDP", ("TDP", "SDP"))
    ports = (_port(cell, "A", mode), _port(cell, "B", mode))
    return BlockRam(name=name, ports=ports, contents=_contents(cell))


def _port(cell: _Source, letter: str, ram_mode: str) -> RamPort:
    """Return port A, which in simple dual port mode reads, or port B, which then writes."""
    simple = ram_mode == "SDP"
    widest = (36 if cell.large else 18) * (2 if simple else 1)
    widths = tuple(width for width in WIDTHS if width <= widest)
    read_bits = cell.number(f"READ_WIDTH_{letter}", 0, widths)
    write_bits = cell.number(f"WRITE_WIDTH_{letter}", 0, widths)
    if simple and (write_bits if letter == "A" else read_bits):
        raise cell.refuse(f"port {letter} of a simple dual port RAM for both reading and writing")
    full = simple and max(read_bits, write_bits) == widest
    # "Simple Dual-Port Block RAM": at full width the pins of port A have the lower half, those of port B the upper one.
    buses = "AB" if full else letter
    suffix = {"A": "ADO", "B": "BDO"}
    out = _interleaved(
        cell.outputs(*(f"DO{suffix[bus]}" for bus in buses)),
        cell.outputs(*(f"DOP{suffix[bus]}P" for bus in buses)),
        read_bits,
    )
    suffix = {"A": "ADI", "B": "BDI"}
    data = _interleaved(
        cell.inputs(*(f"DI{suffix[bus]}" for bus in buses)),
        cell.inputs(*(f"DIP{suffix[bus]}P" for bus in buses)),
        write_bits,
    )
    clock_side, register = ("ARDEN", "AREGCE") if letter == "A" else ("BWREN", "B")
    write_mode = MODES.index(cell.text(f"WRITE_MODE_{letter}", "WRITE_FIRST", MODES))
    if simple and write_mode == MODES.index("NO_CHANGE"):
        raise cell.refuse("NO_CHANGE in simple dual port mode")
    reset = cell.inputs("RSTRAMARSTRAM" if letter == "A" else "RSTRAMB") or [0]
    register_reset = cell.inputs("RSTREGARSTREG" if letter == "A" else "RSTREGB") or [0]
    reset_value = _value(cell, "SRVAL", buses, read_bits)
    if None in reset_value and (reset, register_reset) != ([0], [0]):
        raise cell.refuse(f"SRVAL_{letter} with undefined bits and a reset")
    registered = {cell.number(f"DO{bus}_REG", 0, (0, 1)) for bus in (buses if read_bits else letter)}
    if len(registered) != 1:
        raise cell.refuse("an output register of half the width")
    enable_pins = cell.inputs("WEA" if letter == "A" else "WEBWE")
    return RamPort(
        read_bits=read_bits,
        write_bits=write_bits,
        mode=write_mode,
        registered=bool(registered.pop()),
        reset_first=cell.text(f"RSTREG_PRIORITY_{letter}", "RSTREG", ("RSTREG", "REGCE")) == "RSTREG",
        enable=(cell.inputs(f"EN{clock_side}") or [0])[0],
        reset=reset[0],
        register_enable=(cell.inputs(f"REGCE{register}") or [0])[0],
        register_reset=register_reset[0],
        write_enable=_padded(enable_pins[: max(1, write_bits // 9)], 8),
        # "Block RAM Port Aspect Ratios": ADDR[15] of RAMB36E1 serves cascades alone.
        address=_padded(cell.inputs("ADDRARDADDR" if letter == "A" else "ADDRBWRADDR")[: 15 if cell.large else 14], 15),
        data=_padded(data, 72),
        out=out,
        reset_value=_padded([bit or 0 for bit in reset_value], 72),
        initial=_padded(_value(cell, "INIT", buses, read_bits), 72),
    )


def _padded(values: Sequence[_Item], length: int) -> list[_Item | int]:
    return [*values, *[0] * (length - len(values))]


def _interleaved(data: list[int], parity: list[int], bits: int) -> list[int]:
    """Return pins of a bus in the order of the memory."""
    if bits < 9:
        return data[:bits]
    return [net for byte in range(bits // 9) for net in (*data[8 * byte : 8 * byte + 8], parity[byte])]


def _value(cell: _Source, name: str, buses: str, bits: int) -> list[int | None]:
    """Return INIT or SRVAL of a port in the order of the memory ("Output Latches Initialization").

    In the attribute the parity lies above all data; what is wider than one port is in both ports' attributes.
    """
    whole = [bit for bus in buses for bit in _ordered(cell.value(f"{name}_{bus}", 36), bits // len(buses))]
    return whole if bits >= 9 else cell.value(f"{name}_{buses[0]}", 36)[:bits]


def _ordered(value: list[int | None], bits: int) -> list[int | None]:
    count = bits // 9
    return [bit for byte in range(count) for bit in (*value[8 * byte : 8 * byte + 8], value[8 * count + byte])]


def _contents(cell: _Source) -> list[int]:
    """Return the bytes of INIT_xx with the parity bits of INITP_xx ("Content Initialization")."""
    count = 4096 if cell.large else 2048
    found = []
    for byte in range(count):
        row, place = divmod(byte, 32)
        data = cell.parameters.get(f"INIT_{row:02X}", "0").rjust(256, "0").replace("x", "0")
        value = int(data[256 - 8 * place - 8 : 256 - 8 * place], 2)
        row, place = divmod(byte, 256)
        parity = cell.parameters.get(f"INITP_{row:02X}", "0").rjust(256, "0")[255 - place]
        found.append(value | (parity == "1") << 8)
    return found

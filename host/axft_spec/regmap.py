"""The register map: declared here once. The CSR bank, the driver, the .hwh and the documentation come from it.

Addresses are byte offsets from the base of the one AXI slave. Registers are 32 bits wide. Behind them lie four
windows onto the buffers. Every other address is answered with an error response.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from axft_spec.config import canonical_digest
from axft_spec.errors import ConfigError
from axft_spec.faults import FaultKind, Site
from axft_spec.hardware import HardwareConfig

__all__ = [
    "ADDRESS_BITS",
    "ID_VALUE",
    "KIND_CODES",
    "QUEUE_DEPTH",
    "REGISTERS",
    "REGMAP_HASH",
    "VERSION",
    "WINDOWS",
    "Access",
    "BufferWindow",
    "Field",
    "Register",
    "ScanCommand",
    "register",
    "regmap_json",
    "regmap_markdown",
    "reset_values",
    "window",
    "window_bytes",
]

#: Bits of a byte address on the slave: 1 MiB.
ADDRESS_BITS = 20

#: What ID reads as: "AXFT" in ASCII.
ID_VALUE = 0x41584654

#: Version of the gateware: major, minor, patch.
VERSION = (1, 0, 0)


class Access(str, Enum):
    """What the bus may do with a field.

    Members
    -------
    R
        Read; a write to a register with only such fields is answered with an error.
    RW
        Read back what was written.
    W
        Write: an action; reads as 0.
    RW1C
        Read; a one that is written clears the bit.
    """

    R = "R"
    RW = "RW"
    W = "W"
    RW1C = "RW1C"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """Bits of a register.

    Parameters
    ----------
    name : str
        Lower case; the register's own name where it is the only one.
    low, bits : int
        Lowest bit and number of bits.
    access : Access
    reset : int
        Value after power-up. A soft reset leaves the bus side as it is.
    text : str
        One line for the documentation.
    """

    name: str
    low: int
    bits: int
    access: Access
    text: str
    reset: int = 0

    @property
    def mask(self) -> int:
        """The field's bits in the register."""
        return ((1 << self.bits) - 1) << self.low

    def extract(self, word: int) -> int:
        """Return the field's value in a register's word."""
        return (word & self.mask) >> self.low

    def insert(self, value: int) -> int:
        """Return the word with this value in the field and 0 elsewhere.

        Raises
        ------
        ConfigError
            If the value does not fit.
        """
        if not 0 <= value < 1 << self.bits:
            raise ConfigError(f"field {self.name} must be between 0 and {(1 << self.bits) - 1}, not {value}")
        return value << self.low


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One 32-bit register: its byte offset and its fields, which do not overlap."""

    name: str
    offset: int
    fields: tuple[Field, ...]
    text: str

    def __post_init__(self) -> None:
        taken = 0
        for field in self.fields:
            if field.low + field.bits > 32 or taken & field.mask:
                raise ConfigError(f"field {field.name} of register {self.name} does not fit")
            taken |= field.mask

    def field(self, name: str) -> Field:
        """Return the field of a name."""
        return next(field for field in self.fields if field.name == name)

    def pack(self, **values: int) -> int:
        """Return the word with these fields, and 0 in the others."""
        return sum(self.field(name).insert(value) for name, value in values.items())

    def unpack(self, word: int) -> dict[str, int]:
        """Return the fields of a word."""
        return {field.name: field.extract(word) for field in self.fields}

    @property
    def writable(self) -> bool:
        """Whether a write does anything; else it is answered with an error."""
        return any(field.access is not Access.R for field in self.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class BufferWindow:
    """A range of addresses onto a buffer. What lies beyond the buffer's own depth is answered with an error."""

    name: str
    offset: int
    size_bytes: int
    access: Access
    text: str


#: Codes of FAULT.kind; 0 is off.
KIND_CODES = {FaultKind.FLIP: 1, FaultKind.STUCK_AT_0: 2, FaultKind.STUCK_AT_1: 3}


class ScanCommand(int, Enum):
    """Codes of SCAN_COMMAND.

    Members
    -------
    ARM_ONE
        Shift in zeros and a single one, which ends at SCAN_POSITION.
    LOAD
        Shift in the scan buffer.
    READ
        Shift the chain once around, into the scan buffer; count the ones and note the first.
    """

    ARM_ONE = 1
    LOAD = 2
    READ = 3


class _Layout:
    """Collects registers at increasing offsets."""

    def __init__(self) -> None:
        self.registers: list[Register] = []

    def add(self, name: str, text: str, *fields: Field, at: int | None = None) -> None:
        offset = at if at is not None else (self.registers[-1].offset + 4 if self.registers else 0)
        self.registers.append(Register(name=name, offset=offset, fields=fields, text=text))


def _field(name: str, low: int, bits: int, access: Access, text: str, reset: int = 0) -> Field:
    return Field(name=name, low=low, bits=bits, access=access, text=text, reset=reset)


def _declare() -> tuple[Register, ...]:
    r, rw, w, rw1c = Access.R, Access.RW, Access.W, Access.RW1C
    out = _Layout()
    # Identity: where it is in every version, so that any driver can read it.
    out.add("ID", "Says that this is an axft-hw accelerator.", _field("id", 0, 32, r, '"AXFT" in ASCII'))
    out.add(
        "VERSION",
        "Version of the gateware.",
        _field("patch", 0, 8, r, "patch"),
        _field("minor", 8, 8, r, "minor"),
        _field("major", 16, 8, r, "major"),
    )
    out.add("REGMAP_HASH", "Which layout this is.", _field("regmap_hash", 0, 32, r, "first 32 bits of its SHA-256"))
    out.add(
        "CONFIG_HASH",
        "Which hardware configuration this is.",
        _field("config_hash", 0, 32, r, "first 32 bits of the SHA-256 of its canonical JSON"),
    )
    # Capabilities.
    out.add(
        "ARRAY",
        "The physical array.",
        _field("rows", 0, 8, r, "rows of PEs"),
        _field("cols", 8, 8, r, "columns of PEs"),
        _field("width", 16, 8, r, "operand width in bits"),
        _field("acc_bits", 24, 8, r, "accumulator width in bits"),
    )
    out.add(
        "MULTIPLIER",
        "The multiplier in every PE.",
        _field("omit_a", 0, 4, r, "low bits of operand A that it ignores"),
        _field("omit_b", 4, 4, r, "low bits of operand B that it ignores"),
        _field("vbreak", 8, 5, r, "partial products below this power of two are left out"),
        _field("activation_is_a", 16, 1, r, "1: the activation is operand A; 0: the weight"),
    )
    out.add(
        "SITES",
        "What the fault logic has.",
        *(_field(site.value, bit, 1, r, f"site {site.value}") for bit, site in enumerate(Site)),
        _field("counter", 8, 1, r, "counts activations"),
    )
    out.add("OPERAND_STEPS", "Depth of each operand buffer.", _field("operand_steps", 0, 16, r, "steps, both halves"))
    out.add("RESULT_WORDS", "Depth of the result buffer.", _field("result_words", 0, 20, r, "32-bit words"))
    out.add("SCAN_BITS", "Length of the scan chain.", _field("scan_bits", 0, 24, r, "positions"))
    out.add("QUEUE_DEPTH", "Commands that can wait.", _field("queue_depth", 0, 8, r, "commands"))
    # Control and status.
    out.add("SCRATCH", "Does nothing: for tests of the bus.", _field("scratch", 0, 32, rw, "any value"), at=0x40)
    out.add(
        "CONTROL",
        "Actions.",
        _field(
            "soft_reset",
            0,
            1,
            w,
            "1: reset what runs behind the bus side, and empty the command queue; buffers, chain and the other "
            "registers stay",
        ),
    )
    out.add(
        "STATUS",
        "What is going on.",
        _field("busy", 0, 1, r, "a command runs or waits"),
        _field("scan_busy", 1, 1, r, "the scan chain is being shifted"),
        _field("frozen", 2, 1, r, "the array stands still until the next chunk of its tile comes"),
        _field("waiting", 8, 8, r, "commands in the queue"),
    )
    out.add(
        "EVENTS",
        "What has gone wrong since it was last cleared.",
        _field("hang", 0, 1, rw1c, "the watchdog has passed its limit"),
        _field("overrun", 1, 1, rw1c, "a command came while the queue was full, and was dropped"),
        _field(
            "scan_clash",
            2,
            1,
            rw1c,
            "a scan command came while the array was busy or frozen, or the chain busy, and was dropped",
        ),
    )
    out.add(
        "WATCHDOG_LIMIT",
        "Cycles without a finished command after which it is a hang.",
        _field("watchdog_limit", 0, 32, rw, "clock cycles; 0 switches the watchdog off"),
    )
    out.add("WATCHDOG_COUNT", "Cycles since the last start or finish.", _field("watchdog_count", 0, 32, r, "cycles"))
    out.add(
        "COMMANDS_DONE",
        "Finished commands, modulo 2^32; a soft reset sets it to 0.",
        _field("commands_done", 0, 32, r, "commands"),
    )
    out.add(
        "ARRAY_CYCLES",
        "Enabled cycles of the array, modulo 2^32; a soft reset sets it to 0.",
        _field("array_cycles", 0, 32, r, "cycles"),
    )
    # A command: written as one block; the last word starts it.
    out.add("TILE_ACTIVATIONS", "First step in the activation buffer.", _field("step", 0, 16, rw, "step"), at=0x80)
    out.add("TILE_WEIGHTS", "First step in the weight buffer.", _field("step", 0, 16, rw, "step"))
    out.add("TILE_STEPS", "Steps of each tile, or of this chunk of it.", _field("steps", 0, 16, rw, "0: feed nothing"))
    out.add(
        "TILE_SHAPE",
        "Outputs of each tile.",
        _field("rows", 0, 8, rw, "1 to the array's rows"),
        _field("cols", 8, 8, rw, "1 to the array's columns"),
        _field("repeat", 16, 16, rw, "tiles one behind the other: 0 means one; without first and last, always one"),
    )
    out.add("TILE_RESULT", "First word in the result buffer.", _field("word", 0, 20, rw, "word"))
    out.add(
        "TILE_START",
        "Queues the command.",
        _field("first", 0, 1, w, "clear the partial sums, number cycles from 0; not while a tile is frozen"),
        _field("last", 1, 1, w, "drain into the result buffer"),
    )
    # Faults. Written only while the array is neither busy nor frozen.
    out.add(
        "FAULT",
        "What armed bits do.",
        _field("kind", 0, 2, rw, "0: nothing; 1: flip; 2: stuck at 0; 3: stuck at 1"),
        _field("window", 2, 1, rw, "0: permanent; 1: only in the window"),
        at=0xC0,
    )
    out.add("WINDOW_FIRST", "First cycle of the window.", _field("window_first", 0, 24, rw, "cycle of the tile"))
    out.add("WINDOW_CYCLES", "Length of the window.", _field("window_cycles", 0, 24, rw, "cycles"))
    out.add(
        "OBSERVE",
        "The PE whose activations are counted.",
        _field("row", 0, 8, rw, "row"),
        _field("col", 8, 8, rw, "column"),
        _field("bit", 16, 8, rw, "offset in the PE's part of the scan chain"),
        _field("only_bit", 24, 1, rw, "1: only that bit; 0: cycles in which any armed bit of the PE differs"),
        _field("on", 31, 1, rw, "1: count"),
    )
    out.add(
        "SCAN_POSITION",
        "For the command ARM_ONE.",
        _field("scan_position", 0, 24, rw, "position; beyond the chain: none"),
        at=0xE0,
    )
    out.add(
        "SCAN_COMMAND",
        "Shifts the chain, which takes one cycle for each position.",
        _field("scan_command", 0, 2, w, "1: arm one; 2: load; 3: read"),
    )
    out.add(
        "SCAN_ONES",
        "Ones that the last READ has found.",
        _field("scan_ones", 0, 24, r, "armed bits; a soft reset sets it to 0"),
    )
    out.add(
        "SCAN_FIRST",
        "Where the last READ has found the lowest.",
        _field("scan_first", 0, 24, r, "position; 0 without any"),
    )
    return tuple(out.registers)


#: All registers, by increasing offset.
REGISTERS = _declare()

#: The windows behind the registers.
WINDOWS = (
    BufferWindow(
        name="ACTIVATIONS",
        offset=0x20000,
        size_bytes=0x20000,
        access=Access.RW,
        text="activations, step after step, in each step row 0 first, packed into words; bits that the multiplier "
        "ignores read as 0",
    ),
    BufferWindow(
        name="WEIGHTS",
        offset=0x40000,
        size_bytes=0x20000,
        access=Access.RW,
        text="weights, step after step, in each step column 0 first, packed like activations",
    ),
    BufferWindow(
        name="RESULTS",
        offset=0x60000,
        size_bytes=0x20000,
        access=Access.R,
        text="of each tile its partial sums, row by row without gaps, sign-extended to one word (24-bit accumulators) "
        "or two, the low one first (40-bit), then its activated count",
    ),
    BufferWindow(
        name="SCAN",
        offset=0x80000,
        size_bytes=0x20000,
        access=Access.RW,
        text="scan buffer: bit p % 32 of word p // 32 is position p of the chain",
    ),
)

_BY_NAME = {entry.name: entry for entry in REGISTERS}
_WINDOWS_BY_NAME = {entry.name: entry for entry in WINDOWS}


def register(name: str) -> Register:
    """Return the register of a name."""
    return _BY_NAME[name]


def window(name: str) -> BufferWindow:
    """Return the window of a name."""
    return _WINDOWS_BY_NAME[name]


def window_bytes(hardware: HardwareConfig, name: str) -> int:
    """Return how much of a window one device answers, in bytes."""
    words = {
        "ACTIVATIONS": hardware.operand_steps * hardware.activation_step_words,
        "WEIGHTS": hardware.operand_steps * hardware.weight_step_words,
        "RESULTS": hardware.result_words,
        "SCAN": hardware.scan_words,
    }
    return 4 * words[name]


#: Commands that can wait in the queue of every device.
QUEUE_DEPTH = 4


def reset_values(hardware: HardwareConfig) -> dict[str, dict[str, int]]:
    """Return what each register holds in one device after power-up, by register and field."""
    values = {entry.name: {field.name: field.reset for field in entry.fields} for entry in REGISTERS}
    array = hardware.array
    major, minor, patch = VERSION
    values["ID"] = {"id": ID_VALUE}
    values["VERSION"] = {"patch": patch, "minor": minor, "major": major}
    values["REGMAP_HASH"] = {"regmap_hash": REGMAP_HASH}
    values["CONFIG_HASH"] = {"config_hash": hardware.config_hash}
    values["ARRAY"] = {"rows": array.rows, "cols": array.cols, "width": array.width, "acc_bits": array.acc_bits}
    values["MULTIPLIER"] = {
        "omit_a": array.multiplier.omit_a,
        "omit_b": array.multiplier.omit_b,
        "vbreak": array.multiplier.vbreak,
        "activation_is_a": int(array.operand_a == "activation"),
    }
    values["SITES"] = {site.value: int(site in hardware.sites) for site in Site} | {"counter": int(hardware.counter)}
    values["OPERAND_STEPS"] = {"operand_steps": hardware.operand_steps}
    values["RESULT_WORDS"] = {"result_words": hardware.result_words}
    values["SCAN_BITS"] = {"scan_bits": hardware.scan_bits}
    values["QUEUE_DEPTH"] = {"queue_depth": QUEUE_DEPTH}
    return values


def _layout_json() -> dict[str, Any]:
    return {
        "address_bits": ADDRESS_BITS,
        "registers": [
            {
                "name": entry.name,
                "offset": entry.offset,
                "text": entry.text,
                "fields": [
                    {
                        "name": field.name,
                        "low": field.low,
                        "bits": field.bits,
                        "access": field.access.value,
                        "reset": field.reset,
                        "text": field.text,
                    }
                    for field in entry.fields
                ],
            }
            for entry in REGISTERS
        ],
        "windows": [
            {
                "name": entry.name,
                "offset": entry.offset,
                "bytes": entry.size_bytes,
                "access": entry.access.value,
                "text": entry.text,
            }
            for entry in WINDOWS
        ],
    }


#: First 32 bits of the SHA-256 of the layout's canonical JSON: what REGMAP_HASH holds.
REGMAP_HASH = int(canonical_digest(_layout_json())[:8], 16)


def regmap_json(hardware: HardwareConfig) -> dict[str, Any]:
    """Return the register map of one device as plain JSON values, with its reset values and window depths."""
    value = {"regmap_hash": f"{REGMAP_HASH:08x}", **_layout_json()}
    resets = reset_values(hardware)
    for entry in value["registers"]:
        for field in entry["fields"]:
            field["reset"] = resets[entry["name"]][field["name"]]
    for entry in value["windows"]:
        entry["depth_bytes"] = window_bytes(hardware, entry["name"])
    return value


def regmap_markdown(hardware: HardwareConfig | None = None) -> str:
    """Return the register map as a page; with the reset values and depths of one device, if given."""
    resets = None if hardware is None else reset_values(hardware)
    lines = [
        "# Register map",
        "",
        f"Hash {REGMAP_HASH:08x}. Offsets are in bytes; registers have 32 bits. An address that is not listed, and a "
        "write to what can only be read, is answered with an error response.",
        "",
        "| offset | register | bits | field | access | reset | meaning |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in REGISTERS:
        lines.append(f"| 0x{entry.offset:05x} | {entry.name} | | | | | {entry.text} |")
        for field in entry.fields:
            bits = f"{field.low + field.bits - 1}:{field.low}" if field.bits > 1 else str(field.low)
            reset = field.reset if resets is None else resets[entry.name][field.name]
            shown = "device" if resets is None and field.access is Access.R else f"0x{reset:x}"
            lines.append(f"| | | {bits} | {field.name} | {field.access.value} | {shown} | {field.text} |")
    lines += ["", "| offset | window | bytes | access | meaning |", "|---|---|---|---|---|"]
    for area in WINDOWS:
        size = area.size_bytes if hardware is None else window_bytes(hardware, area.name)
        lines.append(f"| 0x{area.offset:05x} | {area.name} | {size} | {area.access.value} | {area.text} |")
    return "\n".join(lines) + "\n"

"""What passes between the bus side and the core: commands, fault settings, states, and the ports of the buffers."""

from __future__ import annotations

from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import QUEUE_DEPTH, register, window_bytes

__all__ = [
    "BUFFERS",
    "BufferPortSignature",
    "ControlSignature",
    "buffer_words",
    "command_layout",
    "fault_layout",
    "word_bits",
]

#: The buffers behind the windows, by the window's name: the names of their submodules and ports.
BUFFERS = {
    "ACTIVATIONS": "activation_buffer",
    "WEIGHTS": "weight_buffer",
    "RESULTS": "result_buffer",
    "SCAN": "scan_buffer",
}


def word_bits(words: int) -> int:
    """Return the bits of an address of `words` words, a power of two; at least 1."""
    return max(1, (words - 1).bit_length())


def buffer_words(hardware: HardwareConfig, name: str) -> int:
    """Return the 32-bit words behind a window."""
    return window_bytes(hardware, name) // 4


def _bits(register_name: str, field_name: str) -> int:
    return register(register_name).field(field_name).bits


def command_layout(hardware: HardwareConfig) -> data.StructLayout:
    """Return what a command is: the registers TILE_* when it came. Buffer addresses wrap at the buffer's depth."""
    return data.StructLayout(
        {
            "activations": word_bits(hardware.operand_steps),
            "weights": word_bits(hardware.operand_steps),
            "steps": _bits("TILE_STEPS", "steps"),
            "rows": _bits("TILE_SHAPE", "rows"),
            "cols": _bits("TILE_SHAPE", "cols"),
            "repeat": _bits("TILE_SHAPE", "repeat"),
            "result": word_bits(hardware.result_words),
            "first": 1,
            "last": 1,
        }
    )


def fault_layout() -> data.StructLayout:
    """Return what the registers FAULT, WINDOW_* and OBSERVE say; they stand still while a tile runs."""
    return data.StructLayout(
        {
            "kind": _bits("FAULT", "kind"),
            "window": 1,
            "window_first": _bits("WINDOW_FIRST", "window_first"),
            "window_cycles": _bits("WINDOW_CYCLES", "window_cycles"),
            "observe_row": _bits("OBSERVE", "row"),
            "observe_col": _bits("OBSERVE", "col"),
            "observe_bit": _bits("OBSERVE", "bit"),
            "observe_only_bit": 1,
            "observe_on": 1,
        }
    )


class BufferPortSignature(wiring.Signature):
    """The bus side's port of a buffer of 32-bit words, as the bus side sees it. A buffer never makes it wait.

    Parameters
    ----------
    address_bits : int
        Width of the word addresses.

    Members
    -------
    write_valid : Out(1)
        Write in this cycle.
    write_address : Out(address_bits)
        Word to write.
    write_data : Out(32)
        What to write.
    write_strobe : Out(4)
        Bit i: write byte i.
    read_valid : Out(1)
        Read in this cycle.
    read_address : Out(address_bits)
        Word to read.
    read_data : In(32)
        The word, in the cycle after `read_valid`.
    """

    def __init__(self, address_bits: int) -> None:
        self.address_bits = address_bits
        super().__init__(
            {
                "write_valid": Out(1),
                "write_address": Out(address_bits),
                "write_data": Out(32),
                "write_strobe": Out(4),
                "read_valid": Out(1),
                "read_address": Out(address_bits),
                "read_data": In(32),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, BufferPortSignature) and other.address_bits == self.address_bits

    def __hash__(self) -> int:
        return hash((BufferPortSignature, self.address_bits))


class ControlSignature(wiring.Signature):
    """Commands to the core and its states, as the bus side sees it.

    Parameters
    ----------
    hardware : HardwareConfig

    Members
    -------
    soft_reset : Out(1)
        Reset everything in the core but the contents of its memories.
    command : Out(command_layout(hardware))
        What is queued with `command_valid`.
    command_valid : Out(1)
        Queue the command in this cycle, if `command_ready`.
    command_ready : In(1)
        The queue has room.
    scan_command : Out(2)
        Code of the scan command that starts in this cycle, if `scan_ready`; 0 for none.
    scan_ready : In(1)
        Neither the array nor the chain is busy.
    scan_position : Out
        For ARM_ONE.
    faults : Out(fault_layout())
        The fault settings.
    busy : In(1)
        A command runs or waits.
    frozen : In(1)
        A tile waits for its next chunk.
    waiting : In(range(QUEUE_DEPTH + 1))
        Commands in the queue.
    command_done, tile_done, scan_done : In(1)
        One cycle for each that is finished.
    array_enable : In(1)
        The array advances in this cycle.
    scan_busy : In(1)
        The chain is being shifted.
    scan_ones, scan_first : In
        What the last READ has found.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        super().__init__(
            {
                "soft_reset": Out(1),
                "command": Out(command_layout(hardware)),
                "command_valid": Out(1),
                "command_ready": In(1),
                "scan_command": Out(_bits("SCAN_COMMAND", "scan_command")),
                "scan_ready": In(1),
                "scan_position": Out(_bits("SCAN_POSITION", "scan_position")),
                "faults": Out(fault_layout()),
                "busy": In(1),
                "frozen": In(1),
                "waiting": In(range(QUEUE_DEPTH + 1)),
                "command_done": In(1),
                "tile_done": In(1),
                "scan_done": In(1),
                "array_enable": In(1),
                "scan_busy": In(1),
                "scan_ones": In(_bits("SCAN_ONES", "scan_ones")),
                "scan_first": In(_bits("SCAN_FIRST", "scan_first")),
            }
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ControlSignature) and other.hardware == self.hardware

    def __hash__(self) -> int:
        return hash((ControlSignature, self.hardware))

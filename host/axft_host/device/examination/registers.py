"""Every register: what it holds, which of its bits keep what is written, and what the bus says to the rest."""

from __future__ import annotations

from collections.abc import Iterator

from axft_host.device.accelerator import Accelerator
from axft_host.device.examination.finding import Finding
from axft_host.device.port import BusError, Port
from axft_spec.errors import BackendError
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import (
    ADDRESS_BITS,
    REGISTERS,
    VERSION,
    WINDOWS,
    Access,
    Register,
    register,
    reset_values,
    window_bytes,
)

__all__ = ["error_answers", "identity", "register_bits", "register_values"]

#: Registers that show what goes on; all are 0 behind a soft reset. The watchdog's limit and so on are the driver's.
_CLEARED = ("STATUS", "EVENTS", "WATCHDOG_COUNT", "COMMANDS_DONE", "ARRAY_CYCLES", "SCAN_ONES")

#: What the driver has set when it took the device over, so that nothing is known of it.
_DRIVEN = ("FAULT", "WATCHDOG_LIMIT")


def identity(accelerator: Accelerator) -> Iterator[Finding]:
    """Compare every register that says what the device is with what it must be."""
    hardware, array = accelerator.hardware, accelerator.hardware.array
    wrong = [
        f"{entry.name} holds 0x{found:08x} instead of 0x{expected:08x}"
        for entry in REGISTERS
        if entry.offset <= register("QUEUE_DEPTH").offset
        and (found := accelerator.port.read32(entry.offset)) != (expected := _reset_word(hardware, entry))
    ]
    if wrong:
        yield Finding.failed("identity", "; ".join(wrong[:3]))
        return
    sites = ", ".join(site.value for site in hardware.sites) or "none"
    yield Finding.passed(
        "identity",
        f"gateware {'.'.join(map(str, VERSION))}, configuration {hardware.config_hash:08x}: {array.rows}x{array.cols} "
        f"PEs of {array.width} bits, multiplier {array.multiplier.name}, fault sites {sites}",
    )


def _reset_word(hardware: HardwareConfig, entry: Register) -> int:
    return entry.pack(**reset_values(hardware)[entry.name])


def register_values(accelerator: Accelerator, *, fresh: bool) -> Iterator[Finding]:
    """Compare registers with their reset values.

    What a soft reset clears must be clear, and what cannot be read must read as 0, always. The others keep what was
    written to them since the device was configured: they must hold their reset values only if nothing was.

    Parameters
    ----------
    accelerator : Accelerator
        It is reset.
    fresh : bool
        Whether nobody but this accelerator has used the device since it was configured.
    """
    accelerator.reset()
    port, wrong, used = accelerator.port, [], []
    for entry in REGISTERS:
        readable = sum(field.mask for field in entry.fields if field.access is not Access.W)
        found = port.read32(entry.offset)
        if found & ~readable:
            wrong.append(f"{entry.name} reads 0x{found:08x}, with bits that cannot be read")
        elif entry.name in _CLEARED and found:
            wrong.append(f"{entry.name} reads 0x{found:08x} behind a soft reset")
        elif entry.writable and entry.name not in _DRIVEN and found != _reset_word(accelerator.hardware, entry):
            used.append(f"{entry.name} reads 0x{found:08x} instead of its reset value")
    if fresh:
        wrong += used
    if wrong:
        yield Finding.failed("register values", "; ".join(wrong[:3]))
    else:
        state = "as after power-up" if not used else f"{len(used)} hold what was written earlier"
        yield Finding.passed("register values", f"{len(REGISTERS)} registers: {state}")


def register_bits(accelerator: Accelerator) -> Iterator[Finding]:
    """Walk a one and a zero through every bit that can be read back; then see that no two registers are one."""
    port = accelerator.port
    writable = {entry: mask for entry in REGISTERS if (mask := _kept(entry))}
    wrong = [text for entry, mask in writable.items() for text in _walk(port, entry, mask)]
    # Different words at once: two registers behind one address, or an address line that is stuck, show here.
    words = {entry: (0x9E3779B1 * (number + 1)) & mask for number, (entry, mask) in enumerate(writable.items())}
    for entry, word in words.items():
        port.write32(entry.offset, word)
    for entry, word in words.items():
        found = port.read32(entry.offset) & writable[entry]
        if found != word and not wrong:
            wrong.append(f"{_place(entry)} holds 0x{found:08x} instead of 0x{word:08x} when all registers are set")
    for entry in writable:
        port.write32(entry.offset, _reset_word(accelerator.hardware, entry))
    accelerator.reset()
    if wrong:
        yield Finding.failed("register bits", "; ".join(wrong[:3]))
    else:
        walked = sum(bin(mask).count("1") for mask in writable.values())
        yield Finding.passed("register bits", f"{walked} bits of {len(writable)} registers keep a walking 1 and 0")


def _kept(entry: Register) -> int:
    return sum(field.mask for field in entry.fields if field.access is Access.RW)


def _place(entry: Register) -> str:
    return f"{entry.name} (0x{entry.offset:03x})"


def _walk(port: Port, entry: Register, mask: int) -> Iterator[str]:
    """Yield which bits of a register do not keep what is written."""
    bits = [bit for bit in range(32) if mask >> bit & 1]
    # By the value that a bit has instead of the right one.
    wrong = {0: 0, 1: 0}
    for pattern in [pattern for bit in bits for pattern in (1 << bit, mask & ~(1 << bit))]:
        port.write32(entry.offset, pattern)
        differing = (port.read32(entry.offset) & mask) ^ pattern
        wrong[0] |= differing & pattern
        wrong[1] |= differing & ~pattern
    for value, found in wrong.items():
        if found:
            listed = ", ".join(str(bit) for bit in bits if found >> bit & 1)
            yield f"{_place(entry)} bit {listed} reads {value}"


def error_answers(accelerator: Accelerator) -> Iterator[Finding]:
    """Ask for what must be answered with an error: writes to what can only be read, addresses that are not listed.

    Where an error does not come back to its program (`Port.reports_errors`), this would end the program, or freeze
    the board, and is left out.
    """
    hardware, port = accelerator.hardware, accelerator.port
    if not port.reports_errors:
        yield Finding.skipped(
            "error answers",
            "on this board an error answer ends the program that asked instead of coming back to it; only listed "
            "addresses are asked",
        )
        return
    wrong: list[str] = []
    asked = 0
    for offset, how, what in _forbidden(hardware):
        asked += 1
        try:
            if how == "read":
                port.read32(offset)
            else:
                port.write32(offset, 0)
        except BusError:
            pass
        except BackendError as error:
            # Nobody has answered. Whatever is asked next may not be either.
            yield Finding.failed("error answers", f"{how} of {what} (0x{offset:05x}): {error}")
            return
        else:
            wrong.append(f"{how} of {what} (0x{offset:05x}) is accepted")
    if port.read32(register("ID").offset) != _reset_word(hardware, register("ID")):
        wrong.append("the device cannot be identified any more")
    accelerator.reset()
    if wrong:
        yield Finding.failed("error answers", "; ".join(wrong[:3]))
    else:
        yield Finding.passed("error answers", f"{asked} accesses that are not allowed are answered with an error")


def _forbidden(hardware: HardwareConfig) -> Iterator[tuple[int, str, str]]:
    """Yield offset, ``read`` or ``write``, and a name, of accesses that must be refused."""
    listed = {entry.offset for entry in REGISTERS}
    for entry in REGISTERS:
        if not entry.writable:
            yield entry.offset, "write", entry.name
    # Between registers and behind them, up to the first window: every power of two, so that every address line counts.
    holes = {offset for offset in range(0, max(listed) + 8, 4) if offset not in listed}
    holes |= {1 << bit for bit in range(8, ADDRESS_BITS - 3) if 1 << bit < WINDOWS[0].offset}
    last = max(area.offset + area.size_bytes for area in WINDOWS)
    holes |= {last, (1 << ADDRESS_BITS) - 4}
    for offset in sorted(holes):
        if offset < 1 << ADDRESS_BITS:
            yield offset, "read", "an address that is not listed"
            yield offset, "write", "an address that is not listed"
    for area in WINDOWS:
        used = window_bytes(hardware, area.name)
        if used < area.size_bytes:
            for offset in {area.offset + used, area.offset + area.size_bytes - 4}:
                yield offset, "read", f"{area.name} behind its end"
                yield offset, "write", f"{area.name} behind its end"
        if area.access is Access.R:
            yield area.offset, "write", area.name

"""A port without a device behind it: registers and windows in memory, commands that end at once, and ways to fail."""

from __future__ import annotations

import numpy as np

from axft_host.device.port import Port, PortTimeoutError, Words
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import REGISTERS, WINDOWS, Access, ScanCommand, register, reset_values, window, window_bytes
from axft_spec.scanmap import ScanMap


class FakePort(Port):
    """Registers of one device, which multiplies nothing: all its results are 0.

    Parameters
    ----------
    hardware : HardwareConfig

    Attributes
    ----------
    words : dict of int to int
        What every register holds, by offset. Change it to be another device.
    windows : dict of str to ndarray of uint32
        The buffers.
    chain : list of int
        Armed positions.
    chain_shows : list of int or None
        What a READ of the chain finds instead of what is armed.
    commands_end : bool
        Whether commands are ever finished.
    watchdog : bool
        Whether the watchdog says so when they are not.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        values = reset_values(hardware)
        self.words = {entry.offset: entry.pack(**values[entry.name]) for entry in REGISTERS}
        self.windows = {
            entry.name: np.zeros(window_bytes(hardware, entry.name) // 4, dtype=np.uint32) for entry in WINDOWS
        }
        self.chain: list[int] = []
        self.chain_shows: list[int] | None = None
        self.commands_end = True
        self.watchdog = True

    def read_block(self, offset: int, words: int) -> Words:
        """See `Port`."""
        for entry in WINDOWS:
            if entry.offset <= offset < entry.offset + entry.size_bytes:
                start = (offset - entry.offset) // 4
                return self.windows[entry.name][start : start + words].copy()
        return np.array([self.words[offset + 4 * number] for number in range(words)], dtype=np.uint32)

    def write_block(self, offset: int, data: Words) -> None:
        """See `Port`."""
        for entry in WINDOWS:
            if entry.offset <= offset < entry.offset + entry.size_bytes:
                start = (offset - entry.offset) // 4
                self.windows[entry.name][start : start + len(data)] = data
                return
        for number, word in enumerate(data):
            self._write(offset + 4 * number, int(word))

    def wait32(self, offset: int, mask: int, value: int, deadline_cycles: int) -> None:
        """See `Port`; time passes only here."""
        if self.words[offset] & mask == value:
            return
        if self.watchdog:
            self.words[register("EVENTS").offset] |= register("EVENTS").pack(hang=1)
        raise PortTimeoutError(offset, mask, value, self.words[offset], deadline_cycles)

    def _write(self, offset: int, word: int) -> None:
        entry = next(each for each in REGISTERS if each.offset == offset)
        for field in entry.fields:
            if field.access is Access.RW:
                self.words[offset] = self.words[offset] & ~field.mask | word & field.mask
            elif field.access is Access.RW1C:
                self.words[offset] &= ~(word & field.mask)
        done = register("COMMANDS_DONE").offset
        if entry.name == "CONTROL":
            self.words[done] = 0
        elif entry.name == "TILE_START" and self.commands_end:
            self.words[done] += 1
        elif entry.name == "SCAN_COMMAND":
            self._scan(word)

    def _scan(self, command: int) -> None:
        scan_map = ScanMap(self.hardware)
        if command == ScanCommand.ARM_ONE:
            self.chain = [self.words[register("SCAN_POSITION").offset]]
        elif command == ScanCommand.LOAD:
            self.chain = scan_map.armed(self.windows["SCAN"])
        else:
            shown = self.chain if self.chain_shows is None else self.chain_shows
            self.write_block(window("SCAN").offset, scan_map.words(shown))
            self.words[register("SCAN_ONES").offset] = len(shown)
            self.words[register("SCAN_FIRST").offset] = min(shown, default=0)

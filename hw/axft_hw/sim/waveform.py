"""What flip-flops and ports of a simulated device hold, clock cycle by clock cycle, while a driver uses it."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from axft_hw.sim.simulation import Simulation
from axft_spec.errors import BackendError, ConfigError, check_int

__all__ = ["Waveform", "record"]

Int64 = NDArray[np.int64]

#: Clock periods that are kept by default: with a hundred signals, some megabytes.
CYCLES = 1 << 16

#: Widest signal that fits into a row of a table of numbers.
_WIDEST = 63

#: Time units of a clock period in a value change dump: those of 100 MHz in nanoseconds.
_PERIOD_NS = 10


class _Column(ctypes.Structure):
    _fields_ = (("offset", ctypes.c_uint64), ("bytes", ctypes.c_uint64))


@dataclass(slots=True, eq=False)
class Waveform:
    """A recording; empty until `record` has ended.

    Members
    -------
    widths : dict of str to int
        Bits of every signal, by name, in the order asked for.
    cycles : ndarray of int64, shape (cycles,)
        Clock cycles since power-up. They follow one another, but for what else than the bus has clocked the device.
    values : dict of str to ndarray of int64, shape (cycles,)
        What each signal holds in each of these clock periods, as an unsigned number.
    """

    widths: dict[str, int]
    cycles: Int64 = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    values: dict[str, Int64] = field(default_factory=dict)

    def signed(self, name: str) -> Int64:
        """Return a signal read as two's complement."""
        half = 1 << (self.widths[name] - 1)
        return (self.values[name] + half) % (2 * half) - half

    def part(self, first: int, last: int) -> Waveform:
        """Return the clock periods `first` to `last`, both among them."""
        inside = (self.cycles >= first) & (self.cycles <= last)
        kept = {name: values[inside] for name, values in self.values.items()}
        return Waveform(dict(self.widths), self.cycles[inside], kept)

    def to_vcd(self) -> str:
        """Return it as a value change dump (IEEE 1364, clause 18), which viewers of waveforms read.

        Dots in names become scopes; a clock is added, whose rising edges begin the periods of 10 ns.
        """
        codes = {name: _code(number) for number, name in enumerate(["clk", *self.widths])}
        lines = ["$timescale 1ns $end", f"$var wire 1 {codes['clk']} clk $end"]
        for name, width in self.widths.items():
            *scopes, leaf = name.split(".")
            lines += [f"$scope module {scope} $end" for scope in scopes]
            lines.append(f"$var wire {width} {codes[name]} {leaf} $end")
            lines += ["$upscope $end"] * len(scopes)
        lines.append("$enddefinitions $end")
        before: dict[str, int] = {}
        for number, cycle in enumerate(self.cycles.tolist()):
            lines += [f"#{_PERIOD_NS * cycle}", f"1{codes['clk']}"]
            for name in self.widths:
                value = int(self.values[name][number])
                if before.get(name) != value:
                    lines.append(f"b{value:b} {codes[name]}")
                    before[name] = value
            lines += [f"#{_PERIOD_NS * cycle + _PERIOD_NS // 2}", f"0{codes['clk']}"]
        return "\n".join(lines) + "\n"


def _code(number: int) -> str:
    """Return the identifier of a variable: a number to the base of the 94 printable characters."""
    code = ""
    while True:
        number, digit = divmod(number, 94)
        code += chr(33 + digit)
        if not number:
            return code


@contextmanager
def record(simulation: Simulation, names: Sequence[str], cycles: int = CYCLES) -> Iterator[Waveform]:
    """Record signals of a device for as long as the context lasts; the waveform is complete when it ends.

    Nothing that the device does changes. Clock cycles pass only while something is asked of it.

    Parameters
    ----------
    simulation : Simulation
    names : sequence of str
        Flip-flops (``core.array.pe_0_0.psum``) and ports (``in_axi__awvalid``) of at most 63 bits. What lies between
        flip-flops is not kept by the compiled model, and cannot be recorded.
    cycles : int
        Clock periods to keep at most.

    Raises
    ------
    ConfigError
        If there is no such signal, or it is too wide.
    BackendError
        If more clock cycles passed.
    """
    check_int("cycles", cycles, 1)
    model = simulation.model
    places: dict[str, tuple[int, int]] = {}
    for name in names:
        if name in model.ports:
            places[name] = model.ports[name]
        else:
            entry = model.entry(name)
            if entry.kind == "memory":
                raise ConfigError(f"{name} is a memory; a signal to record must be a flip-flop or a port")
            places[name] = entry.width, entry.offset
        if places[name][0] > _WIDEST:
            raise ConfigError(f"a signal to record must have at most {_WIDEST} bits, not {name} with {places[name][0]}")
    sizes = [8, *(_bytes(width) for width, _ in places.values())]
    offsets = [0, *(offset for _, offset in places.values())]  # the cycle counter comes first in a state
    columns = (_Column * len(sizes))(*(_Column(*both) for both in zip(offsets, sizes, strict=True)))
    rows = np.zeros((cycles, sum(sizes)), dtype=np.uint8)
    recorder = model.library.axft_export_record
    recorder.restype = ctypes.c_uint64
    recorder.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64]
    recorder(simulation.state.address, ctypes.addressof(columns), len(sizes), rows.ctypes.data, cycles)
    wave = Waveform({name: width for name, (width, _) in places.items()})
    try:
        yield wave
    finally:
        seen = int(recorder(None, None, 0, None, 0))
    if seen > cycles:
        raise BackendError(f"{seen:,} clock cycles passed, and only {cycles:,} were to be kept; ask for more cycles")
    starts = np.cumsum([0, *sizes])
    found = [_numbers(rows[:seen, start : start + size]) for start, size in zip(starts[:-1], sizes, strict=True)]
    wave.cycles = found[0]
    wave.values = dict(zip(places, found[1:], strict=True))


def _bytes(width: int) -> int:
    """Return the bytes of a value's storage."""
    return 1 if width <= 8 else 2 if width <= 16 else 4 if width <= 32 else 8


def _numbers(block: NDArray[np.uint8]) -> Int64:
    """Return little-endian numbers, one a row."""
    weights = np.left_shift(np.int64(1), 8 * np.arange(block.shape[1], dtype=np.int64))
    return np.asarray(block.astype(np.int64) @ weights, dtype=np.int64)

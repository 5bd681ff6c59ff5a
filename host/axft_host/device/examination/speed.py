"""How fast the clock runs, and how many words per second each path to the device carries."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from axft_host.device.accelerator import Accelerator
from axft_host.device.examination.finding import Finding
from axft_spec.regmap import register, window, window_bytes

__all__ = ["CLOCK_TOLERANCE", "clock", "words_per_second"]

#: A clock that differs by more from what was set is another clock: crystals are good to 0.01%, timing of a process
#: over 0.2 s is not.
CLOCK_TOLERANCE = 0.03

#: Seconds over which the clock is measured.
CLOCK_S = 0.2

#: Seconds that each path to the device is kept busy for, about.
PATH_S = 0.1

#: Steps of a tile, and tiles, of a command that runs for 43 s at 100 MHz unless it is reset.
_LONG = 0xFFFF


def clock(
    accelerator: Accelerator,
    *,
    now: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Finding]:
    """Compare the cycles that the array counts with the time that passes.

    The array is kept busy by a command that does not end by itself; ARRAY_CYCLES then counts all clock cycles but one
    or two in a thousand.

    Parameters
    ----------
    accelerator : Accelerator
        It is reset.
    now, sleep : callable
        The time in seconds, and what waits.
    """
    port = accelerator.port
    expected = port.clock_hz
    if expected is None or port.simulated:
        read_back = "" if expected is None else f"{expected / 1e6:.2f} MHz as read back, and "
        yield Finding.not_applicable(
            "clock", f"{read_back}simulated: it runs while something is asked, not by the wall"
        )
        return
    counter = register("ARRAY_CYCLES").offset
    accelerator.reset()
    port.write32(register("WATCHDOG_LIMIT").offset, 0)
    port.write_block(
        register("TILE_ACTIVATIONS").offset,
        np.array(
            [
                0,
                0,
                _LONG,
                register("TILE_SHAPE").pack(rows=1, cols=1, repeat=_LONG),
                0,
                register("TILE_START").pack(first=1, last=1),
            ],
            dtype=np.uint32,
        ),
    )
    try:
        began, start, started = now(), port.read32(counter), now()
        sleep(CLOCK_S)
        ending, end, ended = now(), port.read32(counter), now()
    finally:
        accelerator.reset()
    cycles = (end - start) & 0xFFFFFFFF
    seconds = (ending + ended - began - started) / 2
    found = cycles / seconds
    figures = {"clock_hz": found, "clock_set_hz": expected}
    text = f"{found / 1e6:.2f} MHz by ARRAY_CYCLES over {seconds:.2f} s, {expected / 1e6:.2f} MHz as read back"
    if abs(found - expected) > CLOCK_TOLERANCE * expected:
        yield Finding.failed("clock", text)
    else:
        yield Finding.passed("clock", text, **figures)


def words_per_second(accelerator: Accelerator) -> Iterator[Finding]:
    """Time single words, and blocks as large as the largest window that can be written."""
    hardware, port = accelerator.hardware, accelerator.port
    scratch = register("SCRATCH").offset
    largest = max(("ACTIVATIONS", "WEIGHTS", "SCAN"), key=lambda name: window_bytes(hardware, name))
    offset, words = window(largest).offset, window_bytes(hardware, largest) // 4
    block = np.arange(words, dtype=np.uint32)
    # A path that copies words in another order, or not at all, is fast for nothing.
    port.write_block(offset, block * np.uint32(0))
    paths: dict[str, tuple[int, Callable[[], object]]] = {
        "words single write": (1, lambda: port.write32(scratch, 0x5A5A5A5A)),
        "words single read": (1, lambda: port.read32(scratch)),
        "words block write": (words, lambda: port.write_block(offset, block)),
        "words block read": (words, lambda: port.read_block(offset, words)),
    }
    for name, (each, action) in paths.items():
        rate, seconds = _rate(action)
        figures = {"words_per_second": each * rate, "megabytes_per_second": 4e-6 * each * rate}
        size = "words one by one" if each == 1 else f"blocks of {each:,} words"
        text = f"{each * rate:,.0f} words/s ({4e-6 * each * rate:.2f} MB/s), {size}, {1e6 * seconds:,.1f} us each"
        yield Finding.passed(name, text, **figures)
    if port.read32(scratch) != 0x5A5A5A5A:
        yield Finding.failed("words kept", f"SCRATCH reads 0x{port.read32(scratch):08x} after all these writes")


def _rate(action: Callable[[], object]) -> tuple[float, float]:
    """Return how often per second something can be done, and how long it takes once."""
    action()
    done, times = 0, 1
    start = time.perf_counter()
    while (spent := time.perf_counter() - start) < PATH_S:
        for _ in range(times):
            action()
        done += times
        # So that asking for the time does not count.
        times = min(2 * times, 1024)
    return done / spent, spent / done

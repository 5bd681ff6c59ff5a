"""Every buffer window: its bits, its addresses, its size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from axft_host.device.accelerator import Accelerator
from axft_host.device.examination.finding import Finding
from axft_spec.hardware import HardwareConfig
from axft_spec.numeric import signed_range
from axft_spec.regmap import window, window_bytes

__all__ = ["kept_bits", "result_buffer", "writable_buffers"]

Words = NDArray[np.uint32]


#: How often the array fills the result buffer: a bit that keeps one value through so many random ones is one in 2**16.
_ROUNDS = 16


def writable_buffers(accelerator: Accelerator, seed: int = 0) -> Iterator[Finding]:
    """Fill each window that can be read back with patterns that show stuck bits, coupled bits and wrong addresses.

    Zeros and ones; every bit alone, in a place that changes from word to word; every word its own address, and the
    inverse; random words. Each pattern fills the window before any of it is read, so that two addresses that are one,
    or a window that is smaller than it must be, show.
    """
    rng = np.random.default_rng(seed)
    for name in ("ACTIVATIONS", "WEIGHTS", "SCAN"):
        keep = kept_bits(accelerator.hardware, name)
        yield _fill(accelerator, name, keep, rng)


def kept_bits(hardware: HardwareConfig, name: str) -> Words:
    """Return the bits of every word of a window that the device keeps; the others read as 0.

    Operand windows do not store lanes without a PE, and bits that the multiplier ignores.
    """
    array, words = hardware.array, window_bytes(hardware, name) // 4
    if name not in ("ACTIVATIONS", "WEIGHTS"):
        return np.full(words, 0xFFFFFFFF, dtype=np.uint32)
    stride, lanes, omit = {
        "ACTIVATIONS": (hardware.activation_step_words, array.rows, array.omit_activation),
        "WEIGHTS": (hardware.weight_step_words, array.cols, array.omit_weight),
    }[name]
    step = np.zeros(stride * hardware.operands_per_word, dtype=f"<u{array.width // 8}")
    step[:lanes] = (1 << array.width) - (1 << omit)
    return np.tile(step.view("<u4"), words // stride)


def _patterns(words: int, rng: np.random.Generator) -> Iterator[Words]:
    number = np.arange(words, dtype=np.uint32)
    for word in (0, 0xFFFFFFFF, 0xAAAAAAAA, 0x55555555):
        yield np.full(words, word, dtype=np.uint32)
    for bit in range(32):
        yield np.uint32(1) << ((number + np.uint32(bit)) % np.uint32(32))
    # Spread over all bits, since a window keeps only some of them.
    address = number * np.uint32(0x9E3779B1)
    yield address
    yield ~address
    yield rng.integers(0, 1 << 32, words, dtype=np.uint32)


def _fill(accelerator: Accelerator, name: str, keep: Words, rng: np.random.Generator) -> Finding:
    port, offset, words = accelerator.port, window(name).offset, len(keep)
    always_1, always_0 = keep.copy(), keep.copy()
    differing = np.zeros(words, dtype=bool)
    example = ""
    count = 0
    for pattern in _patterns(words, rng):
        count += 1
        port.write_block(offset, pattern)
        found = port.read_block(offset, words)
        expected = pattern & keep
        always_1 &= found
        always_0 &= ~found
        bad = found != expected
        if bad.any() and not example:
            first = int(np.flatnonzero(bad)[0])
            example = f"word {first} reads 0x{found[first]:08x} instead of 0x{expected[first]:08x}"
        differing |= bad
    label = f"buffer {name.lower()}"
    if not differing.any():
        return Finding.passed(label, f"{words:,} words keep {count} patterns: bits, neighbours, addresses, size")
    stuck = [
        f"bit {_lowest(int(bits[place]))} of word {place} (0x{offset + 4 * place:05x}) always reads {value}"
        for value, bits in ((1, always_1), (0, always_0))
        for place in np.flatnonzero(bits)[:1]
    ]
    text = stuck[0] if stuck else f"no bit is stuck, so that addresses are suspect: {example}"
    return Finding.failed(label, f"{int(differing.sum()):,} of {words:,} words differ; {text}")


def _lowest(word: int) -> int:
    return (word & -word).bit_length() - 1


def result_buffer(accelerator: Accelerator, seed: int = 0) -> Iterator[Finding]:
    """Have the array fill the result buffer, which the bus can only read, with products that are known.

    Both halves are filled over and over by one GEMM with one step: each result is one product of random operands.
    """
    hardware, array = accelerator.hardware, accelerator.hardware.array
    rng = np.random.default_rng(seed)
    low, high = signed_range(array.width)
    tile_words = hardware.tile_words(array.rows, array.cols)
    together = max(1, min(hardware.half_steps, hardware.result_words // 2 // tile_words))
    images = 2 * together * _ROUNDS
    activations = rng.integers(low, high + 1, (images, array.rows, 1))
    weights = rng.integers(low, high + 1, (1, array.cols))
    found, _ = accelerator.gemm(array, activations, weights)
    expected = array.multiply(weights[None], activations)
    wrong = int(np.count_nonzero(found != expected))
    words = 2 * together * tile_words
    if wrong:
        place = tuple(int(index) for index in np.argwhere(found != expected)[0])
        yield Finding.failed(
            "buffer results",
            f"{wrong:,} of {found.size:,} products differ; PE({place[1]}, {place[2]}) of tile {place[0]} leaves "
            f"{int(found[place])} instead of {int(expected[place])}",
        )
    else:
        yield Finding.passed(
            "buffer results", f"{words:,} of {hardware.result_words:,} words hold {_ROUNDS} times what the array wrote"
        )

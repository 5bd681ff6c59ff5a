"""The port of a board, on words of memory."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest

from axft_host.device.mmio import MmioPort
from axft_host.device.port import PortTimeoutError
from axft_spec.errors import BackendError


class Recorder:
    """Words that remember how they were written."""

    def __init__(self, words: int) -> None:
        self.words = np.zeros(words, dtype=np.uint32)
        self.writes: list[tuple[Any, list[int]]] = []

    def __len__(self) -> int:
        return len(self.words)

    def __getitem__(self, index: Any) -> Any:
        return self.words[index]

    def __setitem__(self, index: Any, value: Any) -> None:
        self.writes.append((index, np.atleast_1d(value).tolist()))
        self.words[index] = value


def test_blocks_and_words_land_where_they_are_sent() -> None:
    """Byte offsets, 32-bit words; what is read is the caller's own."""
    memory = np.zeros(0x40000 // 4, dtype=np.uint32)
    port = MmioPort(memory, 100e6)
    port.write_block(0x20000, np.arange(5, dtype=np.uint32))
    port.write32(0x40, 0xFFFFFFFF)
    assert memory[0x8000:0x8005].tolist() == [0, 1, 2, 3, 4]
    assert memory[0x10] == 0xFFFFFFFF
    assert port.read32(0x20010) == 4
    block = port.read_block(0x20004, 3)
    block[:] = 9
    assert port.read_block(0x20004, 3).tolist() == [1, 2, 3]


def test_buffer_is_written_in_one_copy_and_a_command_with_its_last_word_last() -> None:
    """The last word of a command starts it."""
    words = Recorder(0x40000 // 4)
    port = MmioPort(words, 100e6)
    port.write_block(0x20000, np.arange(4, dtype=np.int64))
    port.write_block(0x80, np.arange(6, dtype=np.uint32))
    port.write_block(0x80, np.array([7], dtype=np.uint32))
    assert words.writes == [
        (slice(0x8000, 0x8004), [0, 1, 2, 3]),
        (slice(0x20, 0x25), [0, 1, 2, 3, 4]),
        (0x25, [5]),
        (slice(0x20, 0x21), [7]),
    ]


@pytest.mark.parametrize(("offset", "words"), [(2, 1), (-4, 1), (0x100, 1), (0xFC, 2), (0x1000, 1)])
def test_nothing_outside_the_mapping_is_touched(offset: int, words: int) -> None:
    """A processor would stand still there."""
    port = MmioPort(np.zeros(64, dtype=np.uint32), 100e6)
    message = rf"inside the mapping of 256 bytes, not to {words} words at 0x|inside the mapping .* at -0x4"
    with pytest.raises(BackendError, match=message):
        port.read_block(offset, words)
    with pytest.raises(BackendError, match=message):
        port.write_block(offset, np.zeros(words, dtype=np.uint32))


@pytest.mark.parametrize("offset", [2, 0x100])
def test_single_words_are_inside_the_mapping_too(offset: int) -> None:
    """Also those that are waited for."""
    port = MmioPort(np.zeros(64, dtype=np.uint32), 100e6)
    with pytest.raises(BackendError, match="inside the mapping"):
        port.read32(offset)
    with pytest.raises(BackendError, match="inside the mapping"):
        port.write32(offset, 1)
    with pytest.raises(BackendError, match="inside the mapping"):
        port.wait32(offset, 1, 1, 1)


def test_wait_ends_at_its_deadline_by_the_fabric_clock() -> None:
    """Clock cycles, converted, and the grace; the word that was read last is in the error."""
    memory = np.full(64, 5, dtype=np.uint32)
    port = MmioPort(memory, 1e6, grace_s=0.05)
    port.wait32(8, 0x4, 0x4, 0)
    start = time.monotonic()
    with pytest.raises(PortTimeoutError) as caught:
        port.wait32(8, 0xFF, 6, 100_000)
    assert 0.15 <= time.monotonic() - start < 5
    assert (caught.value.last, caught.value.offset) == (5, 8)


def test_wait_looks_once_more_after_the_deadline() -> None:
    """A process that was put aside by the system for long has not waited at all."""

    class Late:
        """A word that has its value only at the second look, which comes late."""

        def __init__(self) -> None:
            self.looks = 0

        def __len__(self) -> int:
            return 1

        def __getitem__(self, index: int) -> int:
            self.looks += 1
            if self.looks == 1:
                time.sleep(0.1)
                return 0
            return 1

    MmioPort(Late(), 1e9, grace_s=0.01).wait32(0, 1, 1, 1)


@pytest.mark.parametrize("clock_hz", [0.0, -1.0, float("nan")])
def test_clock_must_be_one(clock_hz: float) -> None:
    """Deadlines are converted with it."""
    with pytest.raises(BackendError, match="the fabric clock must be above 0 Hz"):
        MmioPort(np.zeros(1, dtype=np.uint32), clock_hz)

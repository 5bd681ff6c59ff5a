import itertools

import numpy as np
import pytest

from axft_spec.config import find_preset
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import ADDRESS_BITS, REGISTERS, WINDOWS, Access, register, reset_values
from support.simulated_device import Driver, simulate

HARDWARE = HardwareConfig(array=find_preset("34P").config.resized(2, 3), operand_steps=16)

#: Registers whose fields act or change on their own: they have tests of their own.
ACTING = ("CONTROL", "EVENTS", "TILE_START", "SCAN_COMMAND")


def test_registers_after_power_up_hold_what_the_register_map_says():
    """Identity, capabilities and all others."""
    seen = {}

    async def body(device: Driver) -> None:
        for entry in REGISTERS:
            seen[entry.name] = await device.get(entry.name)

    simulate(HARDWARE, body)
    assert seen == reset_values(HARDWARE)


def test_identity_registers_say_what_the_device_is():
    """Spelled out once, against figures from the description of the preset."""
    words = []

    async def body(device: Driver) -> None:
        words.extend(await device.read_words(0, 11))

    simulate(HARDWARE, body)
    assert words[0] == int.from_bytes(b"AXFT", "big")
    assert words[4] == 2 | 3 << 8 | 8 << 16 | 24 << 24
    assert words[5] == 3 | 3 << 4  # 34P ignores three bits of each operand
    assert words[6] == 0b1_0011_1111
    # Per PE: four operand sites of 5 bits, a product of 10 and a psum of 18.
    assert words[7:11] == [16, 1024, 6 * (4 * 5 + 10 + 18), 4]


def test_word_addresses_without_a_register_are_answered_with_errors():
    """Every hole up to beyond the last register, and addresses that differ from a register's in one high bit."""
    known = {entry.offset: entry for entry in REGISTERS}
    holes = [address for address in range(0, 0x200, 4) if address not in known]
    holes += [entry.offset | 1 << bit for entry in REGISTERS for bit in range(9, 17)]
    holes += [0xA0000, 0xC0000, 0xE0000, (1 << ADDRESS_BITS) - 4]
    readable, writable = [], []

    async def body(device: Driver) -> None:
        for address in holes:
            if await device.try_read(address) is not None:
                readable.append(address)
            if await device.try_write(address, 0xFFFFFFFF):
                writable.append(address)
        assert await device.value("SCRATCH") == 0
        assert await device.value("WATCHDOG_LIMIT") == 0

    simulate(HARDWARE, body)
    assert (readable, writable) == ([], [])


def test_registers_that_can_only_be_read_refuse_writes():
    """And stay as they are."""
    refused = [entry for entry in REGISTERS if all(field.access is Access.R for field in entry.fields)]
    assert {"ID", "STATUS", "COMMANDS_DONE"} <= {entry.name for entry in refused}

    async def body(device: Driver) -> None:
        for entry in refused:
            before = await device.read(entry.offset)
            assert not await device.try_write(entry.offset, ~before & 0xFFFFFFFF)
            assert await device.read(entry.offset) == before

    simulate(HARDWARE, body)


def test_fields_keep_what_is_written_to_the_strobed_bytes_alone():
    """Every register with fields to read and write, every combination of strobes, bits that are no field staying 0."""
    rng = np.random.default_rng(5)

    async def body(device: Driver) -> None:
        for entry in REGISTERS:
            if entry.name in ACTING or not entry.writable:
                continue
            mask = sum(field.mask for field in entry.fields)
            for first, strobe in itertools.product((0xFFFFFFFF, 0), range(16)):
                word = int(rng.integers(1 << 32))
                bytes_mask = sum(0xFF << 8 * byte for byte in range(4) if strobe >> byte & 1)
                assert await device.try_write(entry.offset, first)
                assert await device.try_write(entry.offset, word, strobe)
                assert await device.read(entry.offset) == ((first & ~bytes_mask) | (word & bytes_mask)) & mask, (
                    entry.name
                )

    simulate(HARDWARE, body)


def test_registers_that_were_written_leave_all_others_alone():
    """One word to each, then all are read."""
    words = {}
    rng = np.random.default_rng(6)

    async def body(device: Driver) -> None:
        before = {entry.name: await device.read(entry.offset) for entry in REGISTERS}
        for entry in REGISTERS:
            if entry.writable and entry.name not in ACTING:
                mask = sum(field.mask for field in entry.fields)
                words[entry.name] = int(rng.integers(1 << 32)) & mask
                await device.write(entry.offset, words[entry.name])
        for entry in REGISTERS:
            assert await device.read(entry.offset) == words.get(entry.name, before[entry.name]), entry.name

    simulate(HARDWARE, body)


def test_actions_with_no_strobe_in_their_byte_do_nothing():
    """A write that carries no byte of the field is answered, and is no action; actions read as 0."""

    async def body(device: Driver) -> None:
        for name in ("CONTROL", "TILE_START", "SCAN_COMMAND"):
            assert await device.try_write(register(name).offset, 0xFFFFFFFF, 0b1110)
            assert await device.try_write(register(name).offset, 0xFFFFFFFF, 0b0000)
            assert await device.read(register(name).offset) == 0
        assert await device.read(register("STATUS").offset) == 0
        assert await device.read(register("EVENTS").offset) == 0

    simulate(HARDWARE, body)


def test_events_are_cleared_by_ones_in_strobed_bytes_alone():
    """A scan clash, which stays through zeros, other ones and missing strobes."""
    offset = register("EVENTS").offset
    clash = register("EVENTS").pack(scan_clash=1)

    async def body(device: Driver) -> None:
        await device.set("SCAN_COMMAND", scan_command=1)
        await device.set("SCAN_COMMAND", scan_command=1)
        assert await device.read(offset) == clash
        for word, strobe in ((0, 15), (clash ^ 0xFFFFFFFF, 15), (0xFFFFFFFF, 0b1110)):
            assert await device.try_write(offset, word, strobe)
            assert await device.read(offset) == clash
        assert await device.try_write(offset, clash, 0b0001)
        assert await device.read(offset) == 0

    simulate(HARDWARE, body)


@pytest.mark.parametrize("window", WINDOWS, ids=lambda window: window.name)
def test_windows_answer_up_to_their_depth_and_no_further(window):
    """The first and last words can be read; the first one beyond, and the last one of the address space, cannot."""
    depths = {"ACTIVATIONS": 16, "WEIGHTS": 16, "RESULTS": 1024, "SCAN": 16}
    end = window.offset + 4 * depths[window.name]
    outside = [end, end + 4, window.offset + window.size_bytes // 2, window.offset + window.size_bytes - 4]

    async def body(device: Driver) -> None:
        for address in (window.offset, end - 4):
            assert await device.try_read(address) == 0
            assert await device.try_write(address, 0) == (window.access is Access.RW)
        for address in outside:
            assert await device.try_read(address) is None
            assert not await device.try_write(address, 0xFFFFFFFF)
        # Nothing wrapped into the buffer.
        assert not any(await device.read_words(window.offset, depths[window.name]))

    simulate(HARDWARE, body)

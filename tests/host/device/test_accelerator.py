"""What the driver refuses, and what it says: over a port with nothing behind it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from axft_host.device.accelerator import Accelerator, DeviceHangError, DeviceTimeoutError
from axft_host.device.port import BusError, Words
from axft_spec.config import ArrayConfig, find_preset
from axft_spec.errors import BackendError, ConfigError, FaultError
from axft_spec.faults import Site, parse_fault
from axft_spec.hardware import HardwareConfig
from axft_spec.multipliers import find_multiplier
from axft_spec.regmap import REGMAP_HASH, register
from support.fake_port import FakePort

HARDWARE = HardwareConfig(array=find_preset("34P").config.resized(2, 3), operand_steps=16)
ARRAY = HARDWARE.array
ZEROS = np.zeros((1, 2, 4), dtype=np.int64), np.zeros((4, 3), dtype=np.int64)
FAULT = parse_fault("weight:r0:c0:b7:sa1")


def opened(hardware: HardwareConfig = HARDWARE) -> tuple[Accelerator, FakePort]:
    """Return a driver and its port."""
    port = FakePort(hardware)
    return Accelerator(port, hardware), port


def refusal(port: FakePort, expected: HardwareConfig | None = HARDWARE) -> str:
    """Return what is said of a device that is not the one expected."""
    with pytest.raises(BackendError) as caught:
        Accelerator(port, expected)
    return str(caught.value)


# Identity


def test_other_id_is_no_accelerator() -> None:
    """Nothing else is read of it."""
    port = FakePort(HARDWARE)
    port.words[register("ID").offset] = 0xDEADBEEF
    assert refusal(port) == "no accelerator here: register ID is 0xdeadbeef, not 0x41584654"


def test_other_register_map_is_named_with_both_versions() -> None:
    """Registers may then be anywhere: what to do is said."""
    port = FakePort(HARDWARE)
    port.words[register("REGMAP_HASH").offset] = 0x12345678
    port.words[register("VERSION").offset] = register("VERSION").pack(major=7, minor=8, patch=9)
    assert refusal(port) == (
        f"register map of the device is 0x12345678 (gateware 7.8.9), not 0x{REGMAP_HASH:08x} (gateware 1.0.0); use the "
        f"bitstream that was built with this version of axft-hw"
    )


@pytest.mark.parametrize(
    ("other", "text"),
    [
        (
            replace(HARDWARE, array=ARRAY.resized(3, 3)),
            "register ARRAY holds {'rows': 3, 'cols': 3, 'width': 8, 'acc_bits': 24}, not "
            "{'rows': 2, 'cols': 3, 'width': 8, 'acc_bits': 24}",
        ),
        (
            replace(HARDWARE, array=replace(ARRAY, multiplier=find_multiplier("2QH"))),
            "register MULTIPLIER holds {'omit_a': 1, 'omit_b': 0, 'vbreak': 5, 'activation_is_a': 0}, not "
            "{'omit_a': 3, 'omit_b': 3, 'vbreak': 0, 'activation_is_a': 0}",
        ),
        (
            replace(HARDWARE, array=replace(ARRAY, operand_a="activation")),
            "register MULTIPLIER holds {'omit_a': 3, 'omit_b': 3, 'vbreak': 0, 'activation_is_a': 1}, not "
            "{'omit_a': 3, 'omit_b': 3, 'vbreak': 0, 'activation_is_a': 0}",
        ),
        (
            replace(HARDWARE, sites=(Site.WEIGHT,)),
            "register SITES holds {'weight': 1, 'activation': 0, 'weight_operand': 0, 'activation_operand': 0, "
            "'product': 0, 'psum': 0, 'counter': 1}, not {'weight': 1, 'activation': 1, 'weight_operand': 1, "
            "'activation_operand': 1, 'product': 1, 'psum': 1, 'counter': 1}",
        ),
        (
            replace(HARDWARE, counter=False),
            "register SITES holds {'weight': 1, 'activation': 1, 'weight_operand': 1, 'activation_operand': 1, "
            "'product': 1, 'psum': 1, 'counter': 0}, not {'weight': 1, 'activation': 1, 'weight_operand': 1, "
            "'activation_operand': 1, 'product': 1, 'psum': 1, 'counter': 1}",
        ),
        (
            replace(HARDWARE, operand_steps=32),
            "register OPERAND_STEPS holds {'operand_steps': 32}, not {'operand_steps': 16}",
        ),
    ],
    ids=["rows", "multiplier", "operand order", "sites", "counter", "buffers"],
)
def test_other_capability_is_named(other: HardwareConfig, text: str) -> None:
    """Before the hash of the whole configuration, which says only that something differs."""
    assert refusal(FakePort(other)) == f"the device is another one: {text}; load the bitstream of this configuration"


def test_other_configuration_hash_is_named() -> None:
    """What no capability register shows differs."""
    port = FakePort(HARDWARE)
    port.words[register("CONFIG_HASH").offset] = 0xCAFE0000
    assert refusal(port) == (
        f"configuration hash of the device is 0xcafe0000, not 0x{HARDWARE.config_hash:08x}; load the bitstream of this "
        f"configuration"
    )


def test_hardware_is_what_the_capability_registers_say() -> None:
    """With nothing expected, any device will do; a multiplier that has no name is the same in all that counts."""
    other = HardwareConfig(
        array=ArrayConfig(rows=5, cols=2, width=16), sites=(Site.PSUM, Site.WEIGHT), operand_steps=64, counter=False
    )
    assert Accelerator(FakePort(other)).hardware == other
    port = FakePort(HARDWARE)
    port.words[register("MULTIPLIER").offset] = register("MULTIPLIER").pack(omit_a=2, vbreak=3)
    found = Accelerator(port).hardware.array.multiplier
    assert (found.name, found.omit_a, found.omit_b, found.vbreak) == ("custom", 2, 0, 3)


def test_capabilities_that_make_no_sense_are_refused() -> None:
    """A device that says that it has no rows is none."""
    port = FakePort(HARDWARE)
    port.words[register("ARRAY").offset] = register("ARRAY").pack(rows=0, cols=3, width=8, acc_bits=24)
    assert refusal(port, None) == (
        "capability registers of the device make no sense: rows must be between 1 and 64, not 0"
    )


@pytest.mark.parametrize(
    ("wanted", "text"),
    [
        (ArrayConfig(rows=2, cols=3, width=16), "operand width of the device is 8, not 16"),
        (
            find_preset("2QH").config.resized(2, 3),
            "multiplier (omit_a, omit_b, vbreak) of the device is (3, 3, 0), not (1, 0, 5)",
        ),
        (replace(ARRAY, operand_a="activation"), "operand A of the device is weight, not activation"),
    ],
    ids=["width", "multiplier", "operand order"],
)
def test_logical_array_that_computes_otherwise_is_refused(wanted: ArrayConfig, text: str) -> None:
    """Whatever the sizes of both."""
    device, _ = opened()
    with pytest.raises(BackendError) as caught:
        device.gemm(wanted, *ZEROS)
    assert str(caught.value) == f"{text}; load the bitstream of this configuration"


# Operands and faults


def test_operands_that_do_not_fit_together_are_refused() -> None:
    """Both shapes are shown."""
    device, _ = opened()
    with pytest.raises(ConfigError) as caught:
        device.gemm(ARRAY, np.zeros((1, 2, 5), dtype=np.int64), ZEROS[1])
    assert str(caught.value) == "operands must be (images, m, k) and (k, n), not (1, 2, 5) and (4, 3)"


@pytest.mark.parametrize("steps", [0, 2**20 + 1])
def test_number_of_steps_is_limited(steps: int) -> None:
    """By the counters of cycles."""
    device, _ = opened()
    with pytest.raises(ConfigError) as caught:
        device.gemm(ARRAY, np.zeros((1, 1, steps), dtype=np.int64), np.zeros((steps, 1), dtype=np.int64))
    assert str(caught.value) == f"K must be between 1 and 1048576 on this hardware, not {steps}"


@pytest.mark.parametrize("name", ["activations", "weights"])
@pytest.mark.parametrize(("low", "high"), [(-129, 5), (0, 128)])
def test_operands_out_of_range_are_refused(name: str, low: int, high: int) -> None:
    """The host loads what it was given, or nothing."""
    device, _ = opened()
    activations, weights = (operand.copy() for operand in ZEROS)
    (activations if name == "activations" else weights).flat[:2] = low, high
    with pytest.raises(ConfigError) as caught:
        device.gemm(ARRAY, activations, weights)
    assert str(caught.value) == f"{name} must be between -128 and 127, not {low} to {high}"


def test_site_that_the_hardware_lacks_is_named_with_those_it_has() -> None:
    """Nothing has run."""
    device, port = opened(replace(HARDWARE, sites=(Site.WEIGHT, Site.PSUM)))
    port.commands_end = False
    with pytest.raises(FaultError) as caught:
        device.gemm(ARRAY, *ZEROS, parse_fault("product:r0:c0:b9:sa1"))
    assert str(caught.value) == (
        "fault product:r0:c0:b9:sa1: this hardware has no site product; allowed: weight, psum; generate it with --sites"
    )


def test_pe_that_the_hardware_lacks_is_named() -> None:
    """When a fault of the physical array is armed."""
    device, _ = opened()
    with pytest.raises(FaultError) as caught:
        device.arm(parse_fault("weight:r2:c0:b7:sa1"))
    assert str(caught.value) == "fault weight:r2:c0:b7: this hardware has 2x3 PEs"


def test_hardware_without_a_counter_injects_nothing() -> None:
    """Nobody could say whether the fault was activated."""
    device, _ = opened(replace(HARDWARE, counter=False))
    with pytest.raises(BackendError) as caught:
        device.gemm(ARRAY, *ZEROS, FAULT)
    assert str(caught.value) == (
        "fault weight:r0:c0:b7:sa1: this hardware does not count activations; generate it with the counter"
    )


# The scan chain


@pytest.mark.parametrize(
    ("shown", "found"),
    [([], "0 armed bits"), ([5], "1 armed bits, the first at 5"), ([4, 9], "2 armed bits, the first at 4")],
)
def test_one_bit_that_comes_out_otherwise_is_an_error(shown: list[int], found: str) -> None:
    """The chain tells how many, and the first."""
    device, port = opened()
    port.chain_shows = shown
    with pytest.raises(BackendError) as caught:
        device.gemm(ARRAY, *ZEROS, FAULT)
    assert str(caught.value) == (
        f"scan chain: shifted in 1 armed bits at positions [4], shifted out {found}; run the self-test"
    )


def test_pattern_that_comes_out_otherwise_is_an_error() -> None:
    """The first positions of both are shown."""
    device, port = opened()
    port.chain_shows = list(range(20, 30))
    with pytest.raises(BackendError) as caught:
        device.arm(parse_fault("weight:r0:c0:b7+weight:r0:c1:b7:sa1"))
    assert str(caught.value) == (
        "scan chain: shifted in 2 armed bits at positions [4, 52], shifted out positions [20, 21, 22, 23, 24, 25, 26, "
        "27]...; run the self-test"
    )


def test_chain_is_shifted_again_after_it_came_out_otherwise() -> None:
    """What was not proved is not taken for armed."""
    device, port = opened()
    port.chain_shows = []
    with pytest.raises(BackendError, match="scan chain"):
        device.arm(FAULT)
    port.chain_shows, port.chain = None, []
    device.arm(FAULT)
    assert port.chain == [4]


# A device that fails


DUMP = f"""\
0x000 ID: id=0x41584654
0x004 VERSION: patch=0x0, minor=0x0, major=0x1
0x008 REGMAP_HASH: regmap_hash={REGMAP_HASH:#x}
0x00c CONFIG_HASH: config_hash={HARDWARE.config_hash:#x}
0x010 ARRAY: rows=0x2, cols=0x3, width=0x8, acc_bits=0x18
0x014 MULTIPLIER: omit_a=0x3, omit_b=0x3, vbreak=0x0, activation_is_a=0x0
0x018 SITES: weight=0x1, activation=0x1, weight_operand=0x1, activation_operand=0x1, product=0x1, psum=0x1, counter=0x1
0x01c OPERAND_STEPS: operand_steps=0x10
0x020 RESULT_WORDS: result_words=0x400
0x024 SCAN_BITS: scan_bits=0x120
0x028 QUEUE_DEPTH: queue_depth=0x4
0x040 SCRATCH: scratch=0x0
0x048 STATUS: busy=0x0, scan_busy=0x0, frozen=0x0, waiting=0x0
0x04c EVENTS: hang={{hang}}, overrun=0x0, scan_clash=0x0
0x050 WATCHDOG_LIMIT: watchdog_limit=0x340
0x054 WATCHDOG_COUNT: watchdog_count=0x0
0x058 COMMANDS_DONE: commands_done=0x0
0x05c ARRAY_CYCLES: array_cycles=0x0
0x080 TILE_ACTIVATIONS: step=0x0
0x084 TILE_WEIGHTS: step=0x0
0x088 TILE_STEPS: steps=0x4
0x08c TILE_SHAPE: rows=0x2, cols=0x3, repeat=0x1
0x090 TILE_RESULT: word=0x0
0x0c0 FAULT: kind=0x0, window=0x0
0x0c4 WINDOW_FIRST: window_first=0x0
0x0c8 WINDOW_CYCLES: window_cycles=0x0
0x0cc OBSERVE: row=0x0, col=0x0, bit=0x0, only_bit=0x0, on=0x0
0x0e0 SCAN_POSITION: scan_position=0x0
0x0e8 SCAN_ONES: scan_ones=0x0
0x0ec SCAN_FIRST: scan_first=0x0"""


@pytest.mark.parametrize(("watchdog", "error"), [(True, DeviceHangError), (False, DeviceTimeoutError)])
def test_command_that_does_not_end_is_told_with_all_registers(watchdog: bool, error: type[BackendError]) -> None:
    """A hang where the watchdog says so; else only the deadline is known to have passed."""
    device, port = opened()
    port.commands_end, port.watchdog = False, watchdog
    with pytest.raises(BackendError) as caught:
        device.gemm(ARRAY, *ZEROS)
    assert type(caught.value) is error
    assert str(caught.value) == (
        "the word at 0x00058 was 0x00000000, and not 0x1 in its bits 0xffffffff, after 2,496 clock cycles; registers "
        "of the device:\n" + DUMP.format(hang=hex(watchdog))
    )
    device.reset()
    port.commands_end = True
    assert not device.gemm(ARRAY, *ZEROS)[0].any()


def test_fault_is_armed_anew_after_a_failure() -> None:
    """Nobody knows what the chain holds then."""
    device, port = opened()
    device.gemm(ARRAY, *ZEROS, FAULT)
    port.commands_end = False
    with pytest.raises(DeviceHangError):
        device.gemm(ARRAY, *ZEROS, FAULT)
    device.reset()
    port.commands_end, port.chain = True, []
    device.gemm(ARRAY, *ZEROS, FAULT)
    assert port.chain == [4]


def test_bus_error_is_passed_on_as_it_is() -> None:
    """It names the address."""

    class WithoutResults(FakePort):
        def read_block(self, offset: int, words: int) -> Words:
            if offset >= 0x60000:
                raise BusError(f"the bus answered a read of 0x{offset:05x} with an error response")
            return super().read_block(offset, words)

    device = Accelerator(WithoutResults(HARDWARE), HARDWARE)
    with pytest.raises(BusError) as caught:
        device.gemm(ARRAY, *ZEROS)
    assert str(caught.value) == "the bus answered a read of 0x60000 with an error response"

"""What a notebook does: pynq's own Overlay, and nothing of ours called before it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from axft_host.backends.bitstreams import find_bitstream
from axft_host.backends.overlay_driver import OverlayMethods, bind
from axft_spec import reference
from axft_spec.config import find_preset
from axft_spec.errors import BackendError, ConfigError, FaultError
from axft_spec.faults import parse_fault
from axft_spec.regmap import register
from support.virtual_board import needs_pynq

needs_pynq()

CONFIG = find_preset("34P").config.resized(4, 4)


@pytest.fixture
def block(device: Any) -> Any:
    """Return the block of a loaded overlay."""
    from pynq import Overlay

    bind()
    return Overlay(str(find_bitstream(CONFIG, None, ()).path)).axft_0


def test_overlay_has_the_documented_methods(block: Any) -> None:
    """Each with a docstring of its own."""
    from pynq import DefaultIP

    assert isinstance(block, OverlayMethods) and isinstance(block, DefaultIP)
    for name in ("identify", "self_test", "gemm", "reset"):
        assert getattr(type(block), name).__doc__


def test_driver_is_found_by_pynq_itself() -> None:
    """In a process that imports nothing of ours but the virtual board."""
    code = """
import os, sys, warnings
warnings.simplefilter("ignore")
from support.virtual_board import virtual_board

with virtual_board(["34P"], (2, 2)) as device:
    from pathlib import Path
    from pynq import Overlay
    (bit,) = Path(os.environ["AXFT_BITSTREAMS"]).glob("*/*.bit")
    assert "axft_host.backends.overlay_driver" not in sys.modules
    print(Overlay(str(bit)).axft_0.identify()["hardware"]["array"]["rows"])
"""
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert run.stdout == "2\n", run.stderr


def test_identity_is_that_of_the_manifest(block: Any) -> None:
    """As plain values."""
    files = find_bitstream(CONFIG, None, ())
    assert files.hardware is not None
    found = block.identify()
    assert found["hardware"] == files.hardware.to_json()
    assert found["config_hash"] == f"{files.hardware.config_hash:08x}"
    assert (found["version"], found["clock_mhz"]) == ("1.0.0", 100.0)


def test_deadlines_go_by_the_clock_as_it_is_now(block: Any) -> None:
    """Which a notebook may set between two uses; the driver, and what it has armed, stay."""
    from pynq import Clocks

    driver = block.accelerator
    Clocks.fclk0_mhz = 50.0
    assert block.accelerator is driver
    assert driver.port.clock_hz == 50e6
    assert block.identify()["clock_mhz"] == 50.0


def test_self_test_passes(block: Any) -> None:
    """Every check of it."""
    checks = block.self_test()
    assert [check.name for check in checks if not check.passed] == []
    assert {"registers", "scan chain", "golden GEMM", "fault weight"} <= {check.name for check in checks}


@pytest.mark.parametrize("text", [None, "weight:r1:c2:b7:sa1", "psum:r0:c0:b20:flip"])
def test_gemm_equals_the_reference(block: Any, text: str | None) -> None:
    """Of one matrix or several, larger than the array, with a fault or without."""
    rng = np.random.default_rng(5)
    activations, weights = rng.integers(-128, 128, (2, 4, 9)), rng.integers(-128, 128, (9, 4))
    fault = None if text is None else parse_fault(text)
    expected = [reference.gemm(CONFIG, each, weights, fault) for each in activations]
    found = block.gemm(activations, weights, text)
    assert found.psums.tolist() == [each.psums.tolist() for each in expected]
    assert found.activated.tolist() == [each.activated for each in expected]
    one = block.gemm(activations[0].astype(np.int8), weights.tolist(), fault)
    assert one.psums.tolist() == expected[0].psums.tolist()
    assert text is None or one.activated > 0


def test_gemm_says_what_does_not_fit(block: Any) -> None:
    """And the device goes on."""
    ones = np.ones((4, 4), dtype=int)
    with pytest.raises(ConfigError, match="activations must be integers, not float64"):
        block.gemm(ones / 2, ones)
    with pytest.raises(ConfigError, match="weights must be between -128 and 127"):
        block.gemm(ones, 200 * ones)
    with pytest.raises(FaultError, match="row must be between 0 and 3"):
        block.gemm(ones, ones, "weight:r4:c0:b0:sa1")
    # 34P drops the three low bits of both.
    assert block.gemm(8 * ones, 8 * ones).psums.tolist() == [[256] * 4] * 4


def test_registers_are_read_and_written_by_name(block: Any) -> None:
    """Pynq's own register map, made from the .hwh."""
    assert int(block.register_map.ID.ID) == 0x41584654
    assert int(block.register_map.ARRAY.WIDTH) == 8
    block.register_map.SCRATCH = 0x12345678
    assert block.read(0x40) == 0x12345678
    assert "WATCHDOG_LIMIT" in repr(block.register_map)


def test_device_of_another_version_is_told(device: Any) -> None:
    """When the block is first used."""
    from pynq import Overlay

    bind()
    device.mishaps.words[8] = 0xBAD
    block = Overlay(str(find_bitstream(CONFIG, None, ()).path)).axft_0
    with pytest.raises(BackendError, match="register map of the device is 0x00000bad"):
        block.identify()


def test_handle_of_an_overlay_that_was_replaced_says_so(device: Any, block: Any) -> None:
    """It would compute with another multiplier, and not look wrong."""
    ones = np.ones((4, 4), dtype=int)
    block.gemm(ones, ones)
    device.mishaps.words[register("CONFIG_HASH").offset] = 0x12345678
    with pytest.raises(BackendError, match=r"another overlay has been loaded: .* is 0x12345678, not 0x"):
        block.gemm(ones, ones)

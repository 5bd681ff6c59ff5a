"""The whole accelerator on the compiled model and on CXXRTL: what the driver does to it, on every flip-flop."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from axft_host.device.self_test import self_test
from axft_spec.config import find_preset
from axft_spec.hardware import HardwareConfig, parse_sites
from support.bus_recording import RecordedDevice, noise, random_gemm
from support.lockstep import lockstep_text, why_not


@pytest.mark.skipif(bool(why_not()), reason=why_not())
@pytest.mark.parametrize(("side", "sites", "gemms"), [(4, "all", 3), (8, "weight,psum", 1)])
def test_whole_design_is_in_lockstep_with_cxxrtl(side: int, sites: str, gemms: int, tmp_path: Path) -> None:
    """Registers, buffers, arming, tiles in chunks with faults; then a reset, and inputs that no master has.

    `python -m support.bus_recording` runs longer ones.
    """
    array = find_preset("34P").config.resized(side, side)
    hardware = HardwareConfig(array=array, sites=parse_sites(sites), operand_steps=16)
    rng = np.random.default_rng(side)
    recorded = RecordedDevice(hardware, 1 << 18)
    checks = self_test(recorded.accelerator)
    for _ in range(4):
        assert next(checks).passed
    for _ in range(gemms):
        random_gemm(recorded.accelerator, rng)
    stimulus = recorded.stimulus()
    stimulus += noise(stimulus, rng, 200)
    result = lockstep_text(recorded.text, stimulus, tmp_path, flatten=False)
    print(result)
    assert result.difference == ""
    assert result.cycles == len(stimulus) > 2000
    # Every PE has a register for each operand, its valid bit, the product, the sum, the chain; they were in use.
    assert result.flip_flops > 6 * side * side
    assert result.moved > 1000 + 40 * side * side

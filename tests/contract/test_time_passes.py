"""A device whose clock runs on while the processor does something else, as every real one's does."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from axft_host.backends.rtl import SimulatedPort
from axft_host.device.accelerator import Accelerator
from axft_host.device.port import Operation, Words
from axft_host.device.self_test import self_test
from axft_spec import reference
from axft_spec.config import find_preset
from axft_spec.faults import parse_fault
from axft_spec.hardware import HardwareConfig

pytest.importorskip("amaranth", reason="Amaranth is not installed")
from axft_hw.sim.simulation import Simulation

HARDWARE = HardwareConfig(array=find_preset("8P").config.resized(2, 3), operand_steps=16)


class BusyProcessor(SimulatedPort):
    """Lets clock cycles pass between any two operations: none, a few, or more than any command takes."""

    def __init__(self, simulation: Simulation, seed: int) -> None:
        super().__init__(simulation)
        self._rng = np.random.default_rng(seed)

    def transact(self, operations: Sequence[Operation]) -> list[int | Words]:
        """See `Port`."""
        results: list[int | Words] = []
        for operation in operations:
            results += super().transact([operation])
            self.simulation.idle(int(self._rng.choice([0, 3, 40, 5000])))
        return results


@pytest.mark.parametrize("seed", range(4))
def test_results_do_not_depend_on_when_the_processor_looks(seed: int) -> None:
    """GEMMs of many tiles, and of chunks, over several images; a count of commands is never waited for in vain."""
    device = Accelerator(BusyProcessor(Simulation(HARDWARE), seed), HARDWARE)
    rng = np.random.default_rng([17, seed])
    for k in (3, 8, 21):
        activations, weights = rng.integers(-128, 128, (3, 7, k)), rng.integers(-128, 128, (k, 5))
        for text in (None, "weight:r1:c2:b5:flip", "psum:r0:c1:b12:sa1@l0:g0:t0:y2+2"):
            fault = None if text is None else parse_fault(text)
            psums, activated = device.gemm(HARDWARE.array, activations, weights, fault)
            for number, each in enumerate(activations):
                expected = reference.gemm(HARDWARE.array, each, weights, fault)
                assert psums[number].tolist() == expected.psums.tolist()
                assert int(activated[number]) == expected.activated


def test_self_test_passes_whenever_the_processor_looks() -> None:
    """All of it."""
    device = Accelerator(BusyProcessor(Simulation(HARDWARE), 9), HARDWARE)
    assert [check.name for check in self_test(device) if not check.passed] == []

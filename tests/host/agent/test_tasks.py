"""Golden runs that the agent makes itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from axft_host.agent.tasks import Workshop, _Loaded
from axft_host.backends.base import Evaluation, Workload
from axft_host.backends.emulator import Emulator
from axft_host.backends.on_device import DeviceBackend
from axft_host.device.accelerator import Accelerator
from axft_host.device.recovery import RecoveryError
from axft_spec.config import ArrayConfig
from axft_spec.flipflops import AnyFault
from support.small_campaign import small_plan


class Unsteady(DeviceBackend):
    """Gives one image another result in some of its runs."""

    name = "unsteady"

    def __init__(self, wrong: set[int]) -> None:
        super().__init__()
        self._wrong, self.runs = wrong, 0

    def accelerator(self, config: ArrayConfig) -> Accelerator:
        """There is none."""
        raise AssertionError

    def evaluate(
        self, workload: Workload, faults: Sequence[AnyFault | None], progress: Callable[[int], None] | None = None
    ) -> list[Evaluation]:
        """Run the emulator, and spoil an image that is not among those that are looked at."""
        (result,) = Emulator().evaluate(workload, faults)
        self.runs += 1
        if self.runs - 1 in self._wrong:
            spoiled = result.accumulators.copy()
            spoiled[1] += 1
            result = replace(result, accumulators=spoiled)
        return [result]


@pytest.mark.parametrize("wrong", [0, 1])
def test_golden_run_that_a_second_one_does_not_confirm_is_none(wrong: int, tmp_path: Path) -> None:
    """Over all images: every result is told as the difference to it."""
    loaded = _Loaded((), small_plan(tmp_path).prepared.workload)
    with pytest.raises(RecoveryError, match="two golden runs of all images are not the same"):
        Workshop._make_golden(Unsteady({wrong}), loaded)
    assert loaded.golden.size == 0


def test_golden_run_that_is_confirmed_is_kept(tmp_path: Path) -> None:
    """As the emulator has it."""
    loaded = _Loaded((), small_plan(tmp_path).prepared.workload)
    Workshop._make_golden(Unsteady(set()), loaded)
    assert np.array_equal(loaded.golden, Emulator().evaluate(loaded.workload, [None])[0].accumulators)

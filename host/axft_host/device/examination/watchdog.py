"""The watchdog: with a limit that is too small on purpose it must fire, and the device must come back."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from axft_host.device.accelerator import Accelerator, DeviceHangError
from axft_host.device.examination.finding import Finding
from axft_spec.numeric import signed_range
from axft_spec.regmap import register

__all__ = ["watchdog"]

#: Clock cycles that no tile can be finished in.
TOO_SMALL = 4


def watchdog(accelerator: Accelerator, seed: int = 0) -> Iterator[Finding]:
    """Run a tile under a limit that is too small, and again under the right one, with the same operands."""
    array = accelerator.hardware.array
    rng = np.random.default_rng(seed)
    low, high = signed_range(array.width)
    k = accelerator.hardware.half_steps
    operands = rng.integers(low, high + 1, (1, array.rows, k)), rng.integers(low, high + 1, (k, array.cols))
    accelerator.reset()
    clean, _ = accelerator.gemm(array, *operands)
    limit = register("WATCHDOG_LIMIT").offset
    accelerator.port.write32(limit, TOO_SMALL)
    try:
        accelerator.gemm(array, *operands)
    except DeviceHangError:
        pass
    else:
        accelerator.reset()
        yield Finding.failed(
            "watchdog", f"does not fire: a tile of {k} steps is done under a limit of {TOO_SMALL} cycles"
        )
        return
    if not register("EVENTS").unpack(accelerator.port.read32(register("EVENTS").offset))["hang"]:
        yield Finding.failed("watchdog", "the event does not stay until it is cleared")
        return
    accelerator.reset()
    again, _ = accelerator.gemm(array, *operands)
    if not np.array_equal(clean, again):
        yield Finding.failed("watchdog", "fires; after the soft reset the same tile gives other partial sums")
        return
    limit_text = f"{accelerator.watchdog_limit:,} cycles"
    text = f"fires under a limit of {TOO_SMALL} cycles; after a soft reset, under {limit_text}, the same tile is right"
    yield Finding.passed("watchdog", text)

"""``axft-hw serve`` with a simulated device whose array hangs now and then, until it is reset.

``$AXFT_TEST_HANGS`` names a file that gets a line for each time, and ``$AXFT_TEST_HANGS_MOST`` says how often at most.
"""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

from axft_host.backends import rtl
from axft_host.backends.rtl import open_accelerator
from axft_host.device.accelerator import Accelerator
from axft_host.device.port import Operation, WriteBlock
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import register
from support.flaky_port import FlakyPort, Upset

#: One command in so many begins a hang.
ONE_IN = 100


class HangingPort(FlakyPort):
    """Hangs at random commands, so often and no more."""

    log = Path(os.environ.get("AXFT_TEST_HANGS", os.devnull))
    most = int(os.environ.get("AXFT_TEST_HANGS_MOST", "0"))
    chance = random.Random()

    def _notice(self, operation: Operation) -> None:
        tile = isinstance(operation, WriteBlock) and operation.offset == register("TILE_ACTIVATIONS").offset
        if tile and self.sick is None and self.chance.random() < 1 / ONE_IN:
            happened = len(self.log.read_text(encoding="ascii").splitlines()) if self.log.is_file() else 0
            if happened < self.most:
                with self.log.open("a", encoding="ascii") as log:
                    log.write(f"{os.getpid()} {self.commands}\n")
                self.upsets[self.commands] = Upset("hang")
        super()._notice(operation)


def open_hanging(hardware: HardwareConfig) -> Accelerator:
    """Open a simulated device behind such a port."""
    inner = open_accelerator(hardware)
    return Accelerator(HangingPort(inner.port), inner.hardware)


def simulation_of(accelerator: Accelerator) -> Any:
    """Return the simulation behind such a port: the backend switches its power off and on."""
    assert isinstance(accelerator.port, HangingPort)
    assert isinstance(accelerator.port.inner, rtl.SimulatedPort)
    return accelerator.port.inner.simulation


# Workers import this module afresh, as their main module.
rtl.open_accelerator = open_hanging
rtl._simulation = simulation_of

if __name__ == "__main__":
    from axft_host.cli.main import cli

    cli(prog_name="hanging-agent")

"""Inferences per second that a board can be expected to reach, from simulated clock cycles and a model of its bus.

Nothing here was measured on a board. Measured are, for one batch of images of the shipped network on the simulated
netlist, with the driver that a board has too:

- clock cycles that the array needs (each command alone, from its start until nothing is busy),
- accesses of the driver: single words, blocks, words in blocks, waits,
- processor time of everything else on this machine (lowering, packing, requantisation), with a device that answers at
  once.

The model, with its constants below:

    bus      = CALL_S (single words + blocks + waits) + 4 bytes (words in blocks) / BYTES_PER_S
    array    = clock cycles / clock
    host     = processor time here x SLOWDOWN
    expected = 1 / (host + max(bus, array)) to 1 / (host + bus + array), per image

While a command runs the driver writes the operands of the next one, so that array and bus overlap, at best wholly.

    python benchmarks/board_model.py --sides 28 16 8
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from axft_host.backends.base import Workload
from axft_host.backends.on_device import DeviceBackend
from axft_host.backends.rtl import SimulatedPort
from axft_host.device.accelerator import Accelerator
from axft_host.device.port import Operation, Port, Words
from axft_host.doctor.trial import trial_workload
from axft_hw.sim.simulation import Simulation
from axft_spec.config import ArrayConfig, find_preset, parse_array
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import WINDOWS, register

#: Seconds of one access from Python: a word read or written, a block begun. pynq's `mmio.write` takes about that long
#: on a PYNQ-Z2; `mmio.array[...]`, which the driver uses, has less to do, so that this is a high guess.
CALL_S = 30e-6

#: Bytes per second of a block copy through the port GP0, at best.
BYTES_PER_S = 25e6

#: How much slower one Cortex-A9 at 650 MHz does the host's part than one core here: a guess, from clock, width and
#: caches. It was not measured.
SLOWDOWN = 20

_FIRST_WINDOW = min(area.offset for area in WINDOWS)


@dataclass(slots=True)
class Traffic:
    """What has passed a port, and the clock cycles of the commands in it."""

    single: int = 0
    blocks: int = 0
    words: int = 0
    waits: int = 0
    commands: int = 0
    cycles: int = 0

    def bus_seconds(self) -> float:
        """Return the time of all that by the model."""
        return CALL_S * (self.single + self.blocks + self.waits) + 4 * self.words / BYTES_PER_S


class CountingPort(Port):
    """Counts what passes, and runs each command alone to see how long the array takes for it."""

    def __init__(self, port: SimulatedPort) -> None:
        self.port = port
        self.traffic = Traffic()

    def read_block(self, offset: int, words: int) -> Words:
        """See `Port`."""
        self._count(words)
        return self.port.read_block(offset, words)

    def write_block(self, offset: int, data: Words) -> None:
        """See `Port`."""
        self._count(len(data))
        self.port.write_block(offset, data)
        if offset == register("TILE_ACTIVATIONS").offset:
            self._run()

    def wait32(self, offset: int, mask: int, value: int, deadline_cycles: int) -> None:
        """See `Port`."""
        self.traffic.waits += 1
        self.port.wait32(offset, mask, value, deadline_cycles)

    def read32(self, offset: int) -> int:
        """See `Port`."""
        self.traffic.single += 1
        return self.port.read32(offset)

    def write32(self, offset: int, value: int) -> None:
        """See `Port`."""
        self.traffic.single += 1
        self.port.write32(offset, value)

    def transact(self, operations: Sequence[Operation]) -> list[int | Words]:
        """See `Port`; one by one, so that each is counted."""
        return Port.transact(self, operations)

    def _count(self, words: int) -> None:
        self.traffic.blocks += 1
        self.traffic.words += words

    def _run(self) -> None:
        start = self.port.simulation.cycle
        self.port.wait32(register("STATUS").offset, register("STATUS").field("busy").mask, 0, 1 << 40)
        self.traffic.commands += 1
        self.traffic.cycles += self.port.simulation.cycle - start


class InstantPort(Port):
    """Answers at once: every command is done, and every result is 0."""

    def __init__(self, port: Port) -> None:
        self.port = port

    def read_block(self, offset: int, words: int) -> Words:
        """See `Port`."""
        return np.zeros(words, dtype=np.uint32) if offset >= _FIRST_WINDOW else self.port.read_block(offset, words)

    def write_block(self, offset: int, data: Words) -> None:
        """See `Port`."""

    def wait32(self, offset: int, mask: int, value: int, deadline_cycles: int) -> None:
        """See `Port`."""

    def read32(self, offset: int) -> int:
        """See `Port`."""
        return 0 if offset == register("EVENTS").offset else self.port.read32(offset)


class PortBackend(DeviceBackend):
    """A board with this port."""

    name = "port"

    def __init__(self, accelerator: Accelerator) -> None:
        super().__init__()
        self._accelerator = accelerator

    def accelerator(self, config: ArrayConfig) -> Accelerator:
        """See `DeviceBackend`."""
        return self._accelerator

    def run(self, workload: Workload) -> None:
        """Make a golden run, without the checks that a campaign makes around it."""
        list(self._plain(workload, [None], None))


def measure(config_name: str, array: str, physical: str, images: int, clock_hz: float) -> dict[str, Any]:
    """Return what a board with this array is expected to do, and what it was computed from, per image."""
    config = find_preset(config_name).config.resized(*parse_array(array))
    hardware = HardwareConfig(array=config.resized(*parse_array(physical)), sites=(Site.WEIGHT,))
    workload = trial_workload(config, images)
    simulated = SimulatedPort(Simulation(hardware))
    counting = CountingPort(simulated)
    backend = PortBackend(Accelerator(counting, hardware))
    counting.traffic = Traffic()
    backend.run(workload)
    traffic = counting.traffic

    instant = PortBackend(Accelerator(InstantPort(simulated), hardware))
    instant.run(workload)
    times = []
    for _ in range(5):
        start = time.process_time()
        instant.run(workload)
        times.append(time.process_time() - start)
    host_here = min(times)

    bus, cycles = traffic.bus_seconds() / images, traffic.cycles / images
    compute, host = cycles / clock_hz, SLOWDOWN * host_here / images
    parts = {"host": host, "bus": bus, "array": compute}
    return {
        "config": config_name,
        "array": array,
        "physical": physical,
        "images": images,
        "clock_mhz": clock_hz / 1e6,
        "per_image": {name: value / images for name, value in asdict(traffic).items()},
        "host_here_s": host_here / images,
        "seconds": parts,
        "bound_by": max(parts, key=lambda name: parts[name]),
        "inferences_per_second": [1 / (host + bus + compute), 1 / (host + max(bus, compute))],
        "without_host": [1 / (bus + compute), 1 / max(bus, compute)],
    }


def main() -> None:
    """Print a row for each size of array."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sides", type=int, nargs="+", default=[28, 16, 8], help="rows and columns of the device")
    parser.add_argument("--config", default="34P")
    parser.add_argument("--array", default="28x28", help="the logical array, which a smaller device folds")
    parser.add_argument("--images", type=int, default=20, help="in one batch")
    parser.add_argument("--clock-mhz", type=float, default=100.0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    rows = [
        measure(options.config, options.array, f"{side}x{side}", options.images, 1e6 * options.clock_mhz)
        for side in options.sides
    ]
    if options.json:
        print(json.dumps(rows, indent=1))
        return
    heads = ("device", "cycles", "words", "calls", "array ms", "bus ms", "host ms (guess)", "inferences/s")
    print(f"| {' | '.join((*heads, 'without host', 'bound by'))} |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in rows:
        per, seconds = row["per_image"], row["seconds"]
        calls = per["single"] + per["blocks"] + per["waits"]
        low, high = row["inferences_per_second"]
        bare_low, bare_high = row["without_host"]
        print(
            f"| {row['physical']} | {per['cycles']:,.0f} | {per['words']:,.0f} | {calls:,.1f} "
            f"| {1e3 * seconds['array']:.2f} | {1e3 * seconds['bus']:.2f} | {1e3 * seconds['host']:.1f} "
            f"| {low:.0f}-{high:.0f} | {bare_low:.0f}-{bare_high:.0f} | {row['bound_by']} |"
        )


if __name__ == "__main__":
    main()

"""What the driver does to a device, cycle by cycle: every input of the whole design, recorded while it is simulated.

Run it alone to compare long recordings on the compiled model and on CXXRTL, with a seed to repeat them::

    PYTHONPATH=tests python -m support.bus_recording --side 8 --gemms 20 --seed 1
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from axft_host.backends.rtl import SimulatedPort
from axft_host.device.accelerator import Accelerator
from axft_host.device.self_test import self_test
from axft_hw.netlist import to_rtlil
from axft_hw.sim.emit import emit
from axft_hw.sim.model import CompiledModel, build_text
from axft_hw.sim.netlist import read_netlist
from axft_hw.sim.simulation import Simulation, harness
from axft_hw.top import Top
from axft_spec.config import find_preset
from axft_spec.faults import Fault
from axft_spec.hardware import HardwareConfig, parse_sites
from axft_spec.lowering import GemmShape
from axft_spec.numeric import signed_range
from support.lockstep import lockstep_text
from support.random_cases import random_fault

Rng = np.random.Generator
Stimulus = list[dict[str, int]]

#: In front of the AXI master: each of its clock edges leaves a row of inputs.
_RECORDER = """
static uint8_t *axft_rows;
static uint64_t axft_rows_left;
AXFT_EXPORT void axft_export_watch(uint8_t *rows, uint64_t count) { axft_rows = rows; axft_rows_left = count; }
AXFT_EXPORT uint64_t axft_export_rows_left(void) { return axft_rows_left; }
AXFT_FAST void axft_record(axft_model *m)
{
    if (!axft_rows_left) return;
    axft_rows_left--;
    COPY
}
#define axft_model_commit(m) (axft_record(m), axft_model_commit(m))
"""


class RecordedDevice:
    """A device whose inputs are recorded from power-up.

    Parameters
    ----------
    hardware : HardwareConfig
    cycles : int
        How many at most.

    Attributes
    ----------
    text : str
        The netlist that is simulated.
    accelerator : Accelerator
    """

    def __init__(self, hardware: HardwareConfig, cycles: int) -> None:
        self.text = to_rtlil(Top(hardware), "axft_top")
        ports = [port for port in emit(read_netlist(self.text)).layout.ports if port[0].startswith("in_")]
        self._columns = [(name[3:], f"<u{1 if width <= 8 else 2 if width <= 16 else 4}") for name, width, _ in ports]
        copy = "".join(
            f"memcpy(axft_rows, &m->in_{name}, {kind[2:]}); axft_rows += {kind[2:]};\n" for name, kind in self._columns
        )
        model: CompiledModel = build_text(self.text, harness=_RECORDER.replace("COPY", copy) + harness())
        self._library = model.library
        self._rows = np.zeros(cycles, dtype=np.dtype(self._columns))
        self._library.axft_export_watch(ctypes.c_void_p(self._rows.ctypes.data), ctypes.c_uint64(cycles))
        self._library.axft_export_rows_left.restype = ctypes.c_uint64
        self.accelerator = Accelerator(SimulatedPort(Simulation(hardware, model)), hardware)

    def stimulus(self) -> Stimulus:
        """Return a row of inputs for each cycle until now."""
        done = len(self._rows) - int(self._library.axft_export_rows_left())
        lists = {name: self._rows[name][:done].tolist() for name, _ in self._columns}
        return [dict(zip(lists, values, strict=True)) for values in zip(*lists.values(), strict=True)]


def random_gemm(device: Accelerator, rng: Rng) -> Fault:
    """Run a GEMM on the device's own array, with a fault at sites that it has; return the fault."""
    array = device.hardware.array
    m, n = int(rng.integers(1, array.rows + 2)), int(rng.integers(1, array.cols + 2))
    k = int(rng.choice([int(rng.integers(1, 8)), 2 * device.hardware.half_steps + 3]))
    low, high = signed_range(array.width)
    activations, weights = rng.integers(low, high + 1, (1, m, k)), rng.integers(low, high + 1, (k, n))
    while True:
        fault = random_fault(rng, array, [(1, GemmShape(m=m, k=k, n=n))])
        if {armed.site for armed in fault.sites} <= set(device.hardware.sites):
            break
    device.gemm(array, activations, weights, fault)
    return fault


def noise(stimulus: Stimulus, rng: Rng, cycles: int) -> Stimulus:
    """Return a reset, and then inputs that no master has: all signals at random, other than the reset."""
    most = {name: max(row[name] for row in stimulus) for name in stimulus[0]}
    reset = [dict.fromkeys(most, 0) | {"rst": 1}] * 2
    return reset + [
        {name: int(rng.integers(value + 1)) for name, value in most.items()} | {"rst": 0} for _ in range(cycles)
    ]


def main() -> int:
    """Record, compare, print what was compared; return 1 if the simulators differ."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--side", type=int, default=4, help="rows and columns of the array")
    parser.add_argument("--config", default="34P")
    parser.add_argument("--sites", default="all")
    parser.add_argument("--gemms", type=int, default=10)
    parser.add_argument("--self-test", action="store_true", help="the driver's self-test before that")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    array = find_preset(options.config).config.resized(options.side, options.side)
    hardware = HardwareConfig(array=array, sites=parse_sites(options.sites), operand_steps=16)
    rng = np.random.default_rng(options.seed)
    recorded = RecordedDevice(hardware, 1 << 20)
    if options.self_test:
        assert all(check.passed for check in self_test(recorded.accelerator))
    for _ in range(options.gemms):
        print(random_gemm(recorded.accelerator, rng))
    stimulus = recorded.stimulus()
    stimulus += noise(stimulus, rng, 500)
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        result = lockstep_text(recorded.text, stimulus, Path(directory), flatten=False)
    print(f"{result}\n{time.monotonic() - start:.0f} s")
    return 1 if result.difference else 0


if __name__ == "__main__":
    sys.exit(main())

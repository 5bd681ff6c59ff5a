"""Netlists after synthesis, as nextpnr gets them, against the reference: element, array, and the whole device.

Random GEMMs with random faults, of every site, kind and window, on the netlists of a processing element and of an
array, 64 machines at a time; then on the whole design behind its AXI port, through the driver, with logical arrays of
other sizes and long sums, and small networks. Block RAMs are those of `support.block_ram`. With mutants, one bit of one
look-up table is inverted in each of 63 machines, and what notices it is the same comparison. Run it for many cases::

    PYTHONPATH=tests python -m support.post_synthesis --cases 2000 --presets 34P,8P,Baseline

It prints a line for each netlist, and returns 1 if anything differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

from axft_host.backends.base import Workload
from axft_spec.config import find_preset, parse_array
from axft_spec.errors import AxftError
from axft_spec.hardware import HardwareConfig, parse_sites
from axft_spec.lowering import LOWERINGS
from support.netlist_bench import LANES, NetlistBench, Tally
from support.netlist_device import NetlistBackend, device_circuit, netlist_accelerator
from support.netlists import array_netlist, fitted
from support.random_cases import MismatchError, random_fault
from support.random_networks import random_network, reference_network
from support.rtl_cases import run_case
from support.seven_series import Circuit, circuit_of

__all__ = ["array_circuit", "device_gemms", "device_networks", "mutants"]

Rng = np.random.Generator


def array_circuit(hardware: HardwareConfig) -> Circuit:
    """Return the netlist of an array, with an element beside it."""
    return circuit_of(fitted(array_netlist(hardware)))


def mutants(hardware: HardwareConfig, circuit: Circuit, seed: int, batches: int) -> tuple[NetlistBench, Tally]:
    """Return what some batches have found of 63 mutants; the tally is that of the machine that is none."""
    bench, healthy = NetlistBench(hardware, circuit, seed), Tally()
    bench.mutate()
    for _ in range(batches):
        for compare in (bench.array, bench.element):
            tally = Tally()
            compare(tally)
            healthy.gemms += tally.gemms // LANES
            healthy.differences += [text for text in tally.differences if text.startswith("lane 0:")]
    return bench, healthy


def device_gemms(backend: NetlistBackend, seed: int, numbers: range, tally: Tally) -> None:
    """Compare numbered GEMMs on the device, each with a fault, and without one before and after it."""
    device = backend.device
    for number in numbers:
        try:
            case = run_case(device, np.random.default_rng([seed, number]))
        except MismatchError as error:
            tally.differences.append(f"case {number}: {error}")
            device.reset()
            continue
        tally.gemms += 2 if case.refused else 3
        tally.faults += not case.refused
        tally.activated += case.activated
        tally.values += case.values


def device_networks(backend: NetlistBackend, seed: int, numbers: range, tally: Tally) -> None:
    """Compare numbered small networks on the device, final accumulators and activations, with a fault and without."""
    array = backend.device.hardware.array
    for number in numbers:
        rng = np.random.default_rng([seed, 1, number])
        network = random_network(rng, array)
        lowering = str(rng.choice(LOWERINGS))
        images = rng.integers(0, 256, (1, *network.input_shape)).astype(np.uint8)
        workload = Workload(network=network, config=array, lowering=lowering, images=images)
        gemms = [(layer.gemms, layer.shape) for layer in workload.schedule.layers]
        fault = random_fault(rng, array, gemms, backend.device.hardware.sites)
        (image,) = network.quantise_images(images)
        physical = array.rows, array.cols
        for each, result in zip((fault, None), backend.evaluate(workload, [fault, None]), strict=True):
            expected, activated = reference_network(network, array, lowering, image, each, physical)
            tally.check(0, f"network {number}, {each}", expected, result.accumulators[0])
            tally.check(0, f"network {number}, {each}, activated", activated, result.activated[0])
            tally.gemms += sum(layer.gemms for layer in workload.schedule.layers)
            tally.activated += bool(activated)
        tally.faults += 1


def _compared(preset: str, what: str, compare: Callable[[Tally], None], times: int = 1) -> int:
    """Compare some times; print a line, and the first differences; return how many there are."""
    tally, start = Tally(), time.monotonic()
    for _ in range(times):
        compare(tally)
    print(
        f"{preset}, {what}: {tally.gemms:,} GEMMs, {tally.faults:,} faults ({tally.activated:,} activated), "
        f"{tally.values:,} values compared, {len(tally.differences)} differences; {time.monotonic() - start:.0f} s",
        flush=True,
    )
    for text in tally.differences[:5]:
        print(text, file=sys.stderr)
    return len(tally.differences)


def _run(preset: str, options: argparse.Namespace) -> int:
    """Compare the netlists of a preset; return the number of differences."""
    array_config = find_preset(preset).config.resized(*parse_array(options.physical))
    hardware = HardwareConfig(array=array_config, sites=parse_sites(options.sites))
    start = time.monotonic()
    array = array_circuit(hardware)
    print(
        f"{preset}, {options.physical}: array and element, {len(array.luts):,} look-up tables, "
        f"{len(array.flip_flops):,} flip-flops; synthesised or found in {time.monotonic() - start:.0f} s"
    )
    bench = NetlistBench(hardware, array, options.seed)
    batches = -(-options.cases // LANES)
    differences = _compared(preset, "element", bench.element, batches)
    differences += _compared(preset, "array", bench.array, batches)
    if options.mutants:
        differences += _run_mutants(preset, hardware, array, options)
    if options.device_cases or options.networks:
        differences += _run_device(preset, hardware, options)
    return differences


def _run_mutants(preset: str, hardware: HardwareConfig, array: Circuit, options: argparse.Namespace) -> int:
    """Print how many mutants are detected; return the differences of the machine that is none."""
    differences, found = 0, []
    for number in range(-(-options.mutants // (LANES - 1))):
        bench, healthy = mutants(hardware, array, options.seed + number, options.mutant_batches)
        differences += len(healthy.differences)
        found += bench.mutants
    unnoticed = sum(mutant.used and not mutant.detected for mutant in found)
    print(
        f"{preset}, array and element: {sum(mutant.detected for mutant in found)} of {len(found)} mutants detected; "
        f"{sum(not mutant.used for mutant in found)} have their wrong bit where nothing ever looked, {unnoticed} were "
        "looked at and not noticed"
    )
    return differences


def _run_device(preset: str, hardware: HardwareConfig, options: argparse.Namespace) -> int:
    """Compare the whole device; return the number of differences, and of accesses whose outcome is open."""
    start = time.monotonic()
    circuit = device_circuit(hardware)
    print(
        f"{preset}, {options.physical}: device, {len(circuit.luts):,} look-up tables, "
        f"{len(circuit.flip_flops):,} flip-flops, {len(circuit.rams)} block RAMs; synthesised or found in "
        f"{time.monotonic() - start:.0f} s"
    )
    accelerator, model = netlist_accelerator(hardware, circuit)
    backend = NetlistBackend(accelerator)
    gemms = partial(device_gemms, backend, options.seed, range(options.device_cases))
    networks = partial(device_networks, backend, options.seed, range(options.networks))
    differences = _compared(preset, "device", gemms) + _compared(preset, "networks on the device", networks)
    print(f"{preset}, device: {model.cycle:,} clock cycles, {model.engine.collisions} collisions in block RAMs")
    return differences + model.engine.collisions


def main() -> int:
    """Run cases; print a summary; return 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=640, help="faults on element and array, in full batches of 64")
    parser.add_argument("--device-cases", type=int, default=40, help="GEMMs with a fault on the whole device")
    parser.add_argument("--networks", type=int, default=4, help="small networks on the whole device")
    parser.add_argument("--mutants", type=int, default=63, help="in full batches of 63")
    parser.add_argument("--mutant-batches", type=int, default=4, help="batches of 64 faults that mutants meet")
    parser.add_argument("--presets", default="34P,8P,Baseline", help="separated by commas")
    parser.add_argument("--physical", default="4x4", help="the array")
    parser.add_argument("--sites", default="all", help="fault sites of the hardware, separated by commas")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    try:
        differences = sum(_run(preset, options) for preset in options.presets.split(","))
    except AxftError as error:
        print(error, file=sys.stderr)
        return 2
    print("no differences" if not differences else f"{differences} differences")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())

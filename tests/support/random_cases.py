"""Random cases of a backend against the reference: single GEMMs, and small networks under both lowerings.

Run it alone for many cases, with a seed to repeat them::

    PYTHONPATH=tests python -m support.random_cases --seed 1 --count 10000

Every case depends on the seed and its own number alone, so that ``--first 4711 --count 1`` repeats one.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.base import Backend, Workload
from axft_host.backends.registry import open_backend
from axft_spec import reference
from axft_spec.config import ArrayConfig
from axft_spec.errors import FaultError
from axft_spec.faults import Fault, FaultKind, FaultSite, Site, site_bits
from axft_spec.lowering import LOWERINGS, GemmShape
from axft_spec.multipliers import EXACT, PARTS
from axft_spec.numeric import signed_range
from axft_spec.schedule import Schedule, Window, tile_count, tile_cycles
from support.random_networks import random_network, random_operands, reference_network

Int64 = NDArray[np.int64]
Rng = np.random.Generator


class MismatchError(Exception):
    """A backend and the reference differ."""


@dataclass(frozen=True)
class Case:
    """What a case was about, for the summary."""

    kind: str
    refused: bool
    activated: bool
    masked: bool


def random_config(rng: Rng, largest: int) -> ArrayConfig:
    """Draw an array, a width, a part and an operand order."""
    width = int(rng.choice([8, 8, 8, 16]))
    multiplier = EXACT if width == 16 else list(PARTS.values())[rng.integers(len(PARTS))].multiplier
    rows, cols = (int(side) for side in rng.integers(1, largest + 1, 2))
    operand = str(rng.choice(["weight", "activation"]))
    return ArrayConfig(rows=rows, cols=cols, width=width, multiplier=multiplier, operand_a=operand)


def random_fault(
    rng: Rng, config: ArrayConfig, gemms: list[tuple[int, GemmShape]], allowed: Sequence[Site] = tuple(Site)
) -> Fault:
    """Draw an armed set of one to six bits at any allowed sites, permanent or in a window of a random tile."""
    rows, cols = config.rows, config.cols
    if rng.random() < 0.8:
        # Mostly PEs that are in use; the others are masked for certain.
        rows = min(rows, max(shape.m for _, shape in gemms))
        cols = min(cols, max(shape.n for _, shape in gemms))
    sites = set()
    for _ in range(int(rng.choice([1, 1, 1, 1, 2, 3, 6]))):
        site = allowed[rng.integers(len(allowed))]
        bit = int(rng.choice(np.array(site_bits(config, site))))
        sites.add(FaultSite(site, int(rng.integers(rows)), int(rng.integers(cols)), bit))
    window = None
    if rng.random() < 0.5:
        layer = int(rng.integers(len(gemms)))
        count, shape = gemms[layer]
        cycles = tile_cycles(shape.k, config.rows, config.cols)
        first = int(rng.integers(cycles))
        longest = cycles - first if rng.random() < 0.7 else min(3, cycles - first)
        window = Window(
            layer=layer,
            gemm=int(rng.integers(count)),
            tile=int(rng.integers(tile_count(shape, config.rows, config.cols))),
            first_cycle=first,
            cycles=int(rng.integers(1, longest + 1)),
        )
    return Fault(list(FaultKind)[rng.integers(len(FaultKind))], tuple(sites), window)


def random_physical(rng: Rng, config: ArrayConfig) -> tuple[int, int]:
    """Draw a device's array: the logical one in half of the cases, else any of up to 9 x 9."""
    if rng.random() < 0.5:
        return config.rows, config.cols
    rows, cols = rng.integers(1, 10, 2)
    return int(rows), int(cols)


def _check(what: str, expected: object, actual: object, context: object) -> None:
    if not np.array_equal(np.asarray(expected), np.asarray(actual)):
        raise MismatchError(f"{what}: expected {expected}, got {actual}\n{context}")


def gemm_case(rng: Rng, backend: Backend) -> Case:
    """Compare one GEMM over a few images."""
    config = random_config(rng, 9)
    low, high = signed_range(config.width)
    m, n, k = (int(size) for size in rng.integers(1, 13, 3))
    if rng.random() < 0.02:
        k = int(rng.integers(256, 700))  # long enough to wrap
    images = int(rng.integers(1, 3))
    activations = random_operands(rng, (images, m, k), low if rng.random() < 0.3 else 0, high)
    weights = random_operands(rng, (k, n), low, high)
    layer, gemm = (int(number) for number in rng.integers(0, 3, 2))
    shape = GemmShape(m=m, k=k, n=n)
    fault = random_fault(rng, config, [(gemm + 1, shape)] * (layer + 1))
    physical = random_physical(rng, config)
    context = f"{config}\n{fault}\nphysical {physical}, layer {layer}, gemm {gemm}, {m}x{k}x{n}"
    actual = backend.gemm(config, activations, weights, fault, layer=layer, gemm=gemm)
    clean = backend.gemm(config, activations, weights, None, layer=layer, gemm=gemm)
    refused = False
    for image in range(images):
        operands = activations[image], weights
        expected = reference.gemm(config, *operands, fault, layer=layer, gemm_index=gemm)
        _check("psums", expected.psums, actual.psums[image], context)
        _check("activated", expected.activated, actual.activated[image], context)
        try:
            folded = reference.gemm_folded(config, physical, *operands, fault, layer=layer, gemm_index=gemm)
        except FaultError:
            refused = True
            continue
        _check("psums on the physical array", expected.psums, folded.psums, context)
        _check("activated on the physical array", expected.activated, folded.activated, context)
    masked = np.array_equal(clean.psums, actual.psums)
    return Case("gemm", refused, bool(actual.activated.any()), masked)


def network_case(rng: Rng, backend: Backend) -> Case:
    """Compare a small network over a few images."""
    config = random_config(rng, 6)
    network = random_network(rng, config)
    lowering = str(rng.choice(LOWERINGS))
    images = rng.integers(0, 256, (int(rng.integers(1, 3)), *network.input_shape)).astype(np.uint8)
    workload = Workload(network=network, config=config, lowering=lowering, images=images)
    schedule: Schedule = workload.schedule
    fault = random_fault(rng, config, [(layer.gemms, layer.shape) for layer in schedule.layers])
    physical = random_physical(rng, config)
    actual, clean = backend.evaluate(workload, [fault, None])
    context = f"{config}\n{fault}\nphysical {physical}, {lowering}, {network.ops}"
    refused = False
    for index, image in enumerate(network.quantise_images(images)):
        try:
            expected, activated = reference_network(network, config, lowering, image, fault, physical)
        except FaultError:
            refused = True
            expected, activated = reference_network(network, config, lowering, image, fault, None)
        _check("final accumulators", expected, actual.accumulators[index], context)
        _check("activated", activated, actual.activated[index], context)
    masked = np.array_equal(clean.accumulators, actual.accumulators)
    return Case(lowering, refused, bool(actual.activated.any()), masked)


def run_case(backend: Backend, seed: int, number: int) -> Case:
    """Run the case of one number: three GEMMs for every network.

    Raises
    ------
    MismatchError
        If backend and reference differ.
    """
    rng = np.random.default_rng([seed, number])
    return network_case(rng, backend) if number % 4 == 3 else gemm_case(rng, backend)


def main() -> int:
    """Run cases; print a summary; return 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--board", default="emu", help="backend to compare with the reference")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--count", type=int, default=1000, help="number of cases")
    options = parser.parse_args()
    backend = open_backend(options.board)
    summary: Counter[str] = Counter()
    start = time.monotonic()
    for number in range(options.first, options.first + options.count):
        try:
            case = run_case(backend, options.seed, number)
        except MismatchError as error:
            summary["mismatches"] += 1
            print(f"case {number}: {error}", file=sys.stderr)
            continue
        summary[case.kind] += 1
        for name in ("refused", "activated", "masked"):
            summary[name] += getattr(case, name)
    seconds = time.monotonic() - start
    names = ("gemm", *LOWERINGS, "activated", "masked", "refused", "mismatches")
    print(", ".join(f"{name} {summary[name]}" for name in names) + f"; {options.count} cases in {seconds:.0f} s")
    return 1 if summary["mismatches"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Random GEMMs on the simulated RTL against the reference, fault by fault.

Every width, part and operand order, on arrays that are not square; logical arrays of other sizes than the physical
one; every site, kind and window; K longer than the buffers. Run it alone for many cases, with a seed to repeat them::

    PYTHONPATH=tests python -m support.rtl_cases --seed 1 --count 2000
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from axft_host.backends.rtl import open_accelerator
from axft_host.device.accelerator import Accelerator
from axft_spec import reference
from axft_spec.config import ArrayConfig
from axft_spec.errors import FaultError
from axft_spec.hardware import HardwareConfig
from axft_spec.lowering import GemmShape
from axft_spec.multipliers import EXACT, PARTS
from axft_spec.numeric import signed_range
from support.random_cases import MismatchError, random_fault
from support.random_networks import random_operands

Rng = np.random.Generator


@dataclass(frozen=True)
class RtlCase:
    """What a case was about, for the summary, and how many values were compared."""

    refused: bool
    activated: bool
    masked: bool
    transient: bool
    folded: bool
    sites: tuple[str, ...]
    kind: str
    values: int


def variants() -> list[ArrayConfig]:
    """Return an array of every width, part and operand order."""
    parts = [EXACT, *(part.multiplier for part in PARTS.values() if not part.multiplier.exact)]
    narrow = [
        ArrayConfig(rows=1, cols=1, multiplier=part, operand_a=order)
        for part in parts
        for order in ("weight", "activation")
    ]
    return [*narrow, ArrayConfig(rows=1, cols=1, width=16)]


def devices(seed: int, count: int | None = None) -> Iterator[tuple[int, HardwareConfig]]:
    """Yield numbered devices: each variant with an array that is not square, and shallow buffers."""
    every = variants()
    for number, variant in enumerate(every if count is None else every[:: -(-len(every) // count)]):
        rng = np.random.default_rng([seed, number])
        rows = int(rng.integers(1, 7))
        cols = int(rng.choice([side for side in range(1, 7) if side != rows]))
        yield number, HardwareConfig(array=variant.resized(rows, cols), operand_steps=int(rng.choice([16, 32])))


def run_case(device: Accelerator, rng: Rng) -> RtlCase:
    """Compare one GEMM over one or two images, under a fault and without.

    Raises
    ------
    MismatchError
        If device and reference differ.
    """
    array = device.hardware.array
    logical = array if rng.random() < 0.4 else array.resized(*(int(side) for side in rng.integers(1, 10, 2)))
    m, k, n = (int(size) for size in rng.integers(1, 13, 3))
    if rng.random() < 0.2:
        k = int(rng.integers(13, 4 * device.hardware.half_steps))
    low, high = signed_range(array.width)
    images = int(rng.integers(1, 3))
    activations = random_operands(rng, (images, m, k), low if rng.random() < 0.5 else 0, high)
    weights = random_operands(rng, (k, n), low, high)
    layer, gemm = (int(number) for number in rng.integers(0, 2, 2))
    gemms = [(gemm + 1, GemmShape(m=m, k=k, n=n))] * (layer + 1)
    fault = random_fault(rng, logical, gemms, device.hardware.sites)
    context = (
        f"{device.hardware}\nlogical {logical.rows}x{logical.cols}, {m}x{k}x{n}, layer {layer}, gemm {gemm}\n{fault}"
    )
    physical = array.rows, array.cols
    place = {"layer": layer, "gemm_index": gemm}
    golden, _ = device.gemm(logical, activations, weights)
    try:
        expected = [reference.gemm_folded(logical, physical, each, weights, fault, **place) for each in activations]
    except FaultError:
        expected = []
    try:
        psums, activated = device.gemm(logical, activations, weights, fault, layer=layer, gemm=gemm)
    except FaultError as error:
        if expected:
            raise MismatchError(f"refused: {error}\n{context}") from None
        psums, activated = golden, np.zeros(images, dtype=np.int64)
    else:
        if not expected:
            raise MismatchError(f"the reference refuses this fault, the device does not\n{context}")
    for number, run in enumerate(expected):
        whole = reference.gemm(logical, activations[number], weights, fault, **place)
        for what, mine, theirs in (
            ("partial sums", psums[number].tolist(), whole.psums.tolist()),
            ("activated", int(activated[number]), whole.activated),
            ("activated, folded", run.activated, whole.activated),
        ):
            if mine != theirs:
                raise MismatchError(f"{what}: expected {theirs}, got {mine}\n{context}")
    clean, _ = device.gemm(logical, activations, weights)
    values = len(expected) * (m * n + 2) + 2 * golden.size
    for number, each in enumerate(activations):
        golden_run = reference.gemm(logical, each, weights).psums
        if not (np.array_equal(golden[number], golden_run) and np.array_equal(clean[number], golden_run)):
            raise MismatchError(f"golden run before or after the fault differs\n{context}")
    return RtlCase(
        refused=not expected,
        activated=bool(activated.any()),
        masked=np.array_equal(psums, golden),
        transient=fault.window is not None,
        folded=logical != array,
        sites=tuple(sorted({armed.site.value for armed in fault.sites})),
        kind=fault.kind.value,
        values=values,
    )


def main() -> int:
    """Run cases; print a summary; return 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=2000, help="number of cases, over all devices")
    options = parser.parse_args()
    found: Counter[str] = Counter()
    start = time.monotonic()
    hardware = list(devices(options.seed))
    share = -(-options.count // len(hardware))
    for number, each in hardware:
        device = open_accelerator(each)
        for case_number in range(share):
            try:
                case = run_case(device, np.random.default_rng([options.seed, number, case_number]))
            except MismatchError as error:
                found["mismatches"] += 1
                print(f"device {number}, case {case_number}: {error}", file=sys.stderr)
                device.reset()
                continue
            found["cases"] += 1
            for name in ("refused", "activated", "masked", "transient", "folded"):
                found[name] += getattr(case, name)
            found.update(case.sites)
            found[case.kind] += 1
    print(", ".join(f"{name} {times}" for name, times in found.items()))
    print(f"{len(hardware)} devices, {found['mismatches']} mismatches, {time.monotonic() - start:.0f} s")
    return 1 if found["mismatches"] else 0


if __name__ == "__main__":
    sys.exit(main())

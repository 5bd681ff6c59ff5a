"""Random pairs (fault, image) of the compiled engine against the plain path, on the shipped network.

Over all presets, lowerings, sites and kinds, permanent faults and windows, one bit and several. Run it alone for many::

    PYTHONPATH=tests python -m support.engine_cases --count 100000

The plain path runs every GEMM of every layer of every image: about 200 pairs a second and processor.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

import numpy as np

from axft_host.backends.base import Backend, Workload
from axft_host.backends.emulator import Emulator
from axft_host.nn.datasets import load_dataset
from axft_host.nn.library import load_float_network
from axft_host.nn.quantise import quantise
from axft_spec.config import PRESETS
from axft_spec.faults import Fault, FaultKind, FaultSpace, Site, draw_faults
from axft_spec.lowering import LOWERINGS

Rng = np.random.Generator


def random_faults(rng: Rng, workload: Workload, count: int) -> list[Fault]:
    """Draw faults of all sites, kinds, patterns and windows; half of them are single bits of weight lines for good."""
    config = workload.config
    faults: list[Fault] = []
    while len(faults) < count:
        transient, bits = bool(rng.random() < 0.4), int(rng.choice([1, 1, 1, 2, 3]))
        usual = rng.random() < 0.4
        space = FaultSpace(
            config=config,
            sites=(Site.WEIGHT,) if usual else (list(Site)[rng.integers(len(Site))],),
            kinds=tuple(FaultKind),
            schedule=workload.schedule if transient and not usual else None,
            bits=1 if usual else bits,
            pattern=str(rng.choice(["adjacent", "word"])) if bits > 1 else "adjacent",
            cycles=int(rng.choice([1, 1, 5, 40])) if transient and not usual else 1,
        )
        faults.extend(draw_faults(space, 1, int(rng.integers(1 << 30))))
    return faults


def run_cases(rng: Rng, config: str, lowering: str, pairs: int) -> Counter[str]:
    """Compare so many pairs, two images at a time; return counts of what they were."""
    preset = PRESETS[config]
    dataset = load_dataset(None).images
    images = dataset[np.sort(rng.choice(len(dataset), 2, replace=False))]
    network = quantise(load_float_network("lenet5"), preset.config)
    workload = Workload(network=network, config=preset.config, lowering=lowering, images=images)
    faults = random_faults(rng, workload, -(-pairs // len(images)))
    fast = Emulator(compiled=True).evaluate(workload, [None, *faults])
    counts: Counter[str] = Counter()
    for place, plain in enumerate(Backend.evaluate(Emulator(), workload, [None, *faults])):
        same = np.array_equal(plain.accumulators, fast[place].accumulators)
        same = same and np.array_equal(plain.activated, fast[place].activated)
        if not same:
            print(f"{config}, {lowering}: {[None, *faults][place]} differs", file=sys.stderr)
            counts["different"] += 1
        if place:
            changed = (plain.accumulators != fast[0].accumulators).any(axis=1)
            counts.update(pairs=len(images), changed=int(changed.sum()), activated=int((plain.activated > 0).sum()))
    return counts


def main() -> int:
    """Run cases; print a summary; return 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000, help="number of pairs")
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    combinations = [(config, lowering) for config in PRESETS for lowering in LOWERINGS]
    total: Counter[str] = Counter()
    start = time.monotonic()
    while total["pairs"] < options.count:
        each = min(200, -(-(options.count - total["pairs"]) // len(combinations)))
        for config, lowering in combinations:
            total.update(run_cases(rng, config, lowering, each))
    seconds = time.monotonic() - start
    names = ("pairs", "activated", "changed", "different")
    print(", ".join(f"{name} {total[name]}" for name in names) + f"; {seconds:.0f} s")
    return 1 if total["different"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""Random pairs (fault, image) of the compiled engine against the plain path, on the shipped network.

Over all presets, lowerings, sites and kinds, permanent faults and windows, one bit and several. Run it alone for many::

    PYTHONPATH=tests python -m support.engine_cases --count 100000

The plain path runs every GEMM of every layer of every image: a few hundred pairs a second and processor.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")  # read when numpy is imported: one process for each processor

import numpy as np  # noqa: E402

from axft_host.backends.base import Backend, Workload  # noqa: E402
from axft_host.backends.emulator import Emulator  # noqa: E402
from axft_host.nn.datasets import load_dataset  # noqa: E402
from axft_host.nn.library import load_float_network  # noqa: E402
from axft_host.nn.quantise import quantise  # noqa: E402
from axft_spec.config import PRESETS  # noqa: E402
from axft_spec.faults import Fault, FaultKind, FaultSpace, Site, draw_faults  # noqa: E402
from axft_spec.lowering import LOWERINGS  # noqa: E402

Rng = np.random.Generator

#: Images that a fault runs on: the plain path takes little longer for four than for one.
_IMAGES = 4
#: Pairs of one case.
_PAIRS = 400


def random_faults(rng: Rng, workload: Workload, count: int) -> list[Fault]:
    """Draw faults of all sites, kinds, patterns and windows; two fifths are single bits of weight lines for good."""
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
    """Compare so many pairs, on a few random images; return counts of what they were."""
    preset = PRESETS[config]
    dataset = load_dataset(None).images
    images = dataset[np.sort(rng.choice(len(dataset), _IMAGES, replace=False))]
    network = quantise(load_float_network("lenet5"), preset.config)
    workload = Workload(network=network, config=preset.config, lowering=lowering, images=images)
    faults = random_faults(rng, workload, -(-pairs // len(images)))
    fast = Emulator(engine="compiled").evaluate(workload, [None, *faults])
    counts: Counter[str] = Counter()
    for place, plain in enumerate(Backend.evaluate(Emulator(engine="numpy"), workload, [None, *faults])):
        same = np.array_equal(plain.accumulators, fast[place].accumulators)
        same = same and np.array_equal(plain.activated, fast[place].activated)
        if not same:
            print(f"{config}, {lowering}: {[None, *faults][place]} differs", file=sys.stderr)
            counts["different"] += 1
        if place:
            changed = (plain.accumulators != fast[0].accumulators).any(axis=1)
            counts.update(pairs=len(images), changed=int(changed.sum()), activated=int((plain.activated > 0).sum()))
    return counts


def _case(numbers: tuple[int, ...], config: str, lowering: str, pairs: int) -> Counter[str]:
    return run_cases(np.random.default_rng(numbers), config, lowering, pairs)


def main() -> int:
    """Run cases; print a summary; return 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1000, help="number of pairs")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    combinations = [(config, lowering) for config in PRESETS for lowering in LOWERINGS]
    each = min(_PAIRS, -(-options.count // len(combinations)))
    rounds = -(-options.count // (each * len(combinations)))
    cases = [
        ((options.seed, number, place), config, lowering, each)
        for number in range(rounds)
        for place, (config, lowering) in enumerate(combinations)
    ]
    total: Counter[str] = Counter()
    start = time.monotonic()
    for config in ("8P", "Baseline"):
        # Compiles the two kinds of sums, which the workers then load.
        run_cases(np.random.default_rng(0), config, "im2col", 4)
    with multiprocessing.get_context("spawn").Pool(options.workers) as pool:
        results = [pool.apply_async(_case, case) for case in cases]
        for number, result in enumerate(results, start=1):
            total.update(result.get())
            if number % (10 * len(combinations)) == 0:
                print(f"{total['pairs']} pairs, {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)
    seconds = time.monotonic() - start
    names = ("pairs", "activated", "changed", "different")
    print(", ".join(f"{name} {total[name]}" for name in names) + f"; {seconds:.0f} s")
    return 1 if total["different"] else 0


if __name__ == "__main__":
    sys.exit(main())

"""How many faults of the default fault space have the effect of another one: what running each effect once would save.

All stuck-at faults on weight lines of the 28x28 array that are not masked with certainty run on LeNet-5. Those that
leave the same accumulators on all images have one effect, as far as these images tell: more images can only tell more
of them apart, so that the number of repeats is an upper bound for the faults that change something. Those that change
nothing here are counted apart: on more images they may, alike or not.

    python benchmarks/equal_effects.py
"""

from __future__ import annotations

import argparse
import hashlib

from fast_campaigns import find_images, make_workload

from axft_host.backends.certain import CertainMasking
from axft_host.backends.emulator import Emulator
from axft_spec.faults import FaultSpace

#: Faults that are evaluated together; their accumulators are what the process holds.
BATCH = 256


def main() -> None:
    """Count, and print a line for each lowering and configuration."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--data", help="as of `axft-hw inject`; MNIST's test set if it is found, else embedded images")
    parser.add_argument("--configs", default="8P,34P,2R5,Baseline")
    parser.add_argument("--lowerings", default="im2col,toeplitz")
    options = parser.parse_args()
    _, data = find_images(options.data)
    emulator = Emulator(engine="compiled")
    for lowering in options.lowerings.split(","):
        for config in options.configs.split(","):
            workload = make_workload(config, lowering, options.images, data=data)
            faults = tuple(FaultSpace(config=workload.config))
            certain = CertainMasking(workload).of(faults)
            some = [fault for fault, masked in zip(faults, certain, strict=True) if not masked]
            golden = emulator.evaluate(workload, [None])[0].accumulators.tobytes()
            effects, masked = set(), 0
            for start in range(0, len(some), BATCH):
                for result in emulator.evaluate(workload, some[start : start + BATCH]):
                    accumulators = result.accumulators.tobytes()
                    if accumulators == golden:
                        masked += 1
                    else:
                        effects.add(hashlib.sha256(accumulators).digest())
            repeats = len(some) - masked - len(effects)
            print(
                f"{lowering} {config}: {len(faults):,} faults, {len(some):,} not masked with certainty; on "
                f"{options.images} images {masked:,} change nothing, {repeats:,} ({repeats / len(some):.1%}) repeat "
                f"another's effect",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""Samples of a fault space against all of it: how often the intervals hold what an exhaustive campaign found.

    python benchmarks/sampled_vs_census.py --config 34P --array 8x8 --images 40 --faults 200 --samples 2000

The emulator runs every fault of a small array, once. Then many samples of that space are drawn, each with its own seed,
by the code that draws fault lists, and each gives intervals of the three rates as a campaign would state them: faults
that are masked with certainty are counted, the others estimated. The exit status is 1 if one design holds the
exhaustive rates less often than stated, but for chance.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.certain import CertainMasking
from axft_host.backends.emulator import Emulator
from axft_host.campaign.designs import draw_sample, simple_sample, with_main_draw
from axft_host.campaign.effective import clopper_pearson_interval, effective_count, wilson_interval
from axft_host.campaign.outcome import Outcome, classify
from axft_host.campaign.plan import FaultOptions, fault_space
from axft_host.campaign.rates import CERTAIN, Basis, rate_interval
from axft_host.campaign.sequential import CLASSES, HalfWidthRule
from axft_host.campaign.statistics import Interval
from axft_host.campaign.strata import strata_of
from axft_host.campaign.workload import WorkloadOptions, prepare
from axft_spec.faults import FaultSpace

CONFIDENCE = 0.95
HALF_WIDTH = 0.07
#: Faults in one call of the emulator.
BATCH = 64
Shares = dict[str, NDArray[np.float64]]
#: From a seed to what a campaign states: an interval for each class, and the number of faults.
Campaign = Callable[[int], tuple[dict[str, Interval], int]]


def census(options: argparse.Namespace) -> tuple[Shares, NDArray[np.bool_], FaultSpace]:
    """Run every fault; return each one's shares, which are certain, and the space."""
    workload_options = WorkloadOptions(config=options.config, array=options.array, images=options.images)
    workload = prepare(workload_options, default_images=options.images).workload
    space = fault_space(FaultOptions(), workload.config)
    faults = list(space)
    certain = CertainMasking(workload).of(faults)
    emulator = Emulator()
    golden = emulator.evaluate(workload, [None])[0].accumulators
    codes = np.zeros((len(faults), len(golden)), dtype=np.uint8)
    for start in range(0, len(faults), BATCH):
        for place, run in enumerate(emulator.evaluate(workload, faults[start : start + BATCH])):
            scale = workload.network.score_scale
            codes[start + place] = classify(golden, run.accumulators, score="softmax", score_scale=scale)
    shares = {name: (codes == Outcome[name.upper()]).mean(axis=1) for name in CLASSES}
    assert (shares["masked"][certain] == 1).all(), "a fault that is masked with certainty was not masked"
    return shares, certain, space


def campaigns(shares: Shares, certain: NDArray[np.bool_], space: FaultSpace, drawn: int) -> dict[str, Campaign]:
    """Return a campaign for each design."""
    size, known = len(certain), int(certain.sum())
    strata = strata_of(space, ("bit",), certain=certain)

    def of(basis: Basis, indices: tuple[int, ...], looks: int | None = None) -> dict[str, Interval]:
        return {
            name: rate_interval(shares[name][list(indices)], basis, CONFIDENCE, certain_share=sure, looks=looks)
            for name, sure in CLASSES.items()
        }

    def simple(seed: int) -> tuple[dict[str, Interval], int]:
        sample = simple_sample(size, drawn, seed)
        return of(Basis.simple(size, certain[list(sample.indices)], known), sample.indices), drawn

    def interrupted(seed: int) -> tuple[dict[str, Interval], int]:
        sample = simple_sample(size, drawn, seed)
        return of(Basis.simple(size, certain[list(sample.indices)], known), sample.indices[: drawn // 2]), drawn // 2

    def proportional(seed: int) -> tuple[dict[str, Interval], int]:
        sample = draw_sample(strata, drawn, seed)
        return of(Basis.stratified(sample, known), sample.indices, looks=1), drawn

    def neyman(seed: int) -> tuple[dict[str, Interval], int]:
        pilot = draw_sample(strata, drawn, seed, pilot=drawn // 4)
        seen = np.stack([shares[name][list(pilot.indices)] for name in CLASSES], axis=1)
        sample = with_main_draw(pilot, strata, seen)
        return of(Basis.stratified(sample, known), sample.indices, looks=1), drawn

    def stopped(seed: int) -> tuple[dict[str, Interval], int]:
        sample = simple_sample(size, size, seed)
        marks = certain[list(sample.indices)]
        rule = HalfWidthRule(Basis.simple(size, marks, known), HALF_WIDTH, tuple(CLASSES), every=10)
        for place, index in enumerate(sample.indices):
            rule.feed(place, {name: shares[name][index] for name in CLASSES}, certain=bool(marks[place]))
            if rule.should_stop:
                return rule.intervals(), place + 1
        return rule.intervals(), size

    def compared(make: Callable[[float, float, float], Interval]) -> Campaign:
        def run(seed: int) -> tuple[dict[str, Interval], int]:
            sample = simple_sample(size, drawn, seed)
            basis = Basis.simple(size, certain[list(sample.indices)], known)
            kept = [index for index, number in zip(sample.indices, basis.stratum, strict=True) if number != CERTAIN]
            weight, made = basis.open_weight, {}
            for name, sure in CLASSES.items():
                rate, count = effective_count(shares[name][kept], np.zeros(len(kept), np.int64), basis.sizes)
                part = make(rate, count, CONFIDENCE)
                ends = ((1 - weight) * sure + weight * end for end in (part.rate, part.low, part.high))
                made[name] = Interval(*ends)
            return made, drawn

        return run

    return {
        "simple": simple,
        "simple, stopped by hand half-way": interrupted,
        "by bit, in proportion": proportional,
        "by bit, Neyman with a pilot": neyman,
        f"stopped at +-{100 * HALF_WIDTH:g}%": stopped,
        "Wilson, for comparison": compared(wilson_interval),
        "Clopper-Pearson, for comparison": compared(clopper_pearson_interval),
    }


def main() -> int:
    """Print one line for each design."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="34P")
    parser.add_argument("--array", default="8x8")
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--samples", type=int, default=2000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    start = time.perf_counter()
    shares, certain, space = census(options)
    truth = {name: float(values.mean()) for name, values in shares.items()}
    least = CONFIDENCE - 2 * math.sqrt(CONFIDENCE * (1 - CONFIDENCE) / options.samples)
    if not options.json:
        rates = ", ".join(f"{name} {100 * rate:.2f}%" for name, rate in truth.items())
        print(
            f"{options.config} on {options.array}: {len(certain)} faults, {int(certain.sum())} masked with certainty, "
            f"{options.images} images; all of them: {rates} ({time.perf_counter() - start:.0f} s)"
        )
        print(f"{options.samples} samples; of the intervals at 95%, at least {100 * least:.2f}% must hold these rates")
        print(f"{'':<34}{'faults':>8}" + "".join(f"{name:>12}{'width':>8}" for name in CLASSES))
    results, good = [], True
    for name, campaign in campaigns(shares, certain, space, options.faults).items():
        held = dict.fromkeys(CLASSES, 0)
        widths = dict.fromkeys(CLASSES, 0.0)
        faults = 0
        for seed in range(options.samples):
            intervals, count = campaign(seed)
            faults += count
            for class_name, interval in intervals.items():
                held[class_name] += interval.low - 1e-12 <= truth[class_name] <= interval.high + 1e-12
                widths[class_name] += interval.high - interval.low
        coverage = {key: value / options.samples for key, value in held.items()}
        width = {key: value / options.samples for key, value in widths.items()}
        good = good and ("comparison" in name or min(coverage.values()) >= least)
        results.append({"design": name, "faults": faults / options.samples, "coverage": coverage, "width": width})
        if not options.json:
            cells = "".join(f"{100 * coverage[key]:11.2f}%{100 * width[key]:7.2f}%" for key in CLASSES)
            print(f"{name:<34}{faults / options.samples:8.0f}{cells}", flush=True)
    if options.json:
        print(json.dumps({"rates": truth, "least_coverage": least, "designs": results}))
    else:
        print(f"{time.perf_counter() - start:.0f} s")
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())

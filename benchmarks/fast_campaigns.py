"""Outcome pairs and injections per second of the emulator, in worker processes, against its numpy path in the same run.

Permanent stuck-at faults on weight lines (the default fault space) on LeNet-5: a drawn list, of which those that are
masked with certainty cost nothing, and the others run. Seconds include the golden run, classification and the rows of
the store; imports, compilation and loading are not timed. Transients: flips of one weight bit in one cycle, uniform
over the steps in which PEs work, each on one image. Every figure is the median of several rounds. Machines are shared
and noisy: beside the clock there are the processes' own seconds; quote these, and ratios.

    python benchmarks/fast_campaigns.py --images 10000 --faults 256
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when numpy is imported

import numpy as np  # noqa: E402

from axft_host.backends.base import Workload  # noqa: E402
from axft_host.backends.certain import CertainMasking  # noqa: E402
from axft_host.backends.compiled import CompiledEngine  # noqa: E402
from axft_host.backends.emulator import Emulator  # noqa: E402
from axft_host.backends.faulty import REPLAY, Faults  # noqa: E402
from axft_host.backends.registry import Board  # noqa: E402
from axft_host.campaign.batch import Job  # noqa: E402
from axft_host.campaign.runner import make_batches  # noqa: E402
from axft_host.campaign.workers import Interruption, WorkerPool  # noqa: E402
from axft_host.nn.datasets import load_dataset  # noqa: E402
from axft_host.nn.library import load_float_network  # noqa: E402
from axft_host.nn.quantise import quantise  # noqa: E402
from axft_spec.config import find_preset  # noqa: E402
from axft_spec.faults import Fault, FaultSpace, draw_faults  # noqa: E402


def make_workload(config: str, lowering: str, images: int, array: int = 28) -> Workload:
    """Return the shipped network on the embedded images, repeated if there are not enough."""
    preset = find_preset(config)
    embedded = load_dataset(None).images
    return Workload(
        network=quantise(load_float_network("lenet5"), preset.config),
        config=preset.config.resized(array, array),
        lowering=lowering,
        images=embedded[np.arange(images) % len(embedded)],
    )


def cpu_seconds(process: int) -> float:
    """Return the processor time of a process until now; 0 where there is no /proc."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def campaign(workload: Workload, faults: Sequence[Fault], workers: int, rounds: int) -> dict[str, float]:
    """Time the open faults of a list; return pairs per second of all and of these, by the clock and by CPU seconds."""
    images = len(workload.images)
    certain = CertainMasking(workload).of(faults)
    golden_s, accumulators = [], None
    for _ in range(rounds):
        engine = CompiledEngine(workload)
        start = time.process_time()
        accumulators = engine.golden_accumulators()
        golden_s.append(time.process_time() - start)
    assert accumulators is not None
    labels = np.zeros(images, dtype=np.int64)
    job = Job(board=Board(name="emu"), workload=workload, labels=labels, golden=accumulators, score="softmax")
    batches = make_batches([(index, fault) for index, fault in enumerate(faults) if not certain[index]], images)
    pool = WorkerPool(job, workers)
    wall_s, used_s = [], []
    try:
        with Interruption(lambda: None) as stop:
            for number in range(rounds + 1):
                before = sum(cpu_seconds(process.pid or 0) for process in pool.processes)
                start = time.perf_counter()
                # First, a few to load what is compiled, and to make the golden run that is counted above.
                chosen = batches[: 2 * workers] if number == 0 else batches
                done = sum(len(rows) for rows in pool.run(chosen, stop, lambda pairs: None))
                assert done == sum(map(len, chosen))
                if number:
                    wall_s.append(time.perf_counter() - start)
                    used_s.append(sum(cpu_seconds(process.pid or 0) for process in pool.processes) - before)
    finally:
        pool.close()
    golden = statistics.median(golden_s)
    clock, used = statistics.median(wall_s) + golden, statistics.median(used_s) / workers + golden
    ran = int(np.count_nonzero(~certain))
    return {
        "certain": float(certain.mean()),
        "golden_us": golden / images * 1e6,
        "all_clock": len(faults) * images / clock,
        "open_clock": ran * images / clock,
        "all": len(faults) * images / used,
        "open": ran * images / used,
    }


def numpy_rate(workload: Workload, faults: Sequence[Fault], rounds: int) -> float:
    """Return pairs per CPU second of one process in numpy, of open faults, on a few hundred images."""
    some = Workload(
        network=workload.network, config=workload.config, lowering=workload.lowering, images=workload.images[:256]
    )
    certain = CertainMasking(workload).of(faults)
    chosen = [fault for fault, masked in zip(faults, certain, strict=True) if not masked][:16]
    emulator, seconds = Emulator(engine="numpy"), []
    for _ in range(rounds):
        start = time.process_time()
        emulator.evaluate(some, chosen)
        seconds.append(time.process_time() - start)
    return len(chosen) * len(some.images) / statistics.median(seconds)


def active_flips(workload: Workload, count: int, rng: np.random.Generator) -> Faults:
    """Draw flips of one weight bit in one cycle, uniform over the steps of all outputs and over the bits."""
    config, layers = workload.config, workload.schedule.layers
    steps = [layer.gemms * layer.shape.m * layer.shape.n * layer.shape.k for layer in layers]
    which = rng.choice(len(layers), count, p=np.array(steps) / sum(steps))
    windows, sites = np.ones((count, 5), dtype=np.int64), np.zeros((count, 4), dtype=np.int64)
    for number, layer in enumerate(layers):
        mine = np.flatnonzero(which == number)
        shape = layer.shape
        gemm, m, n, k = (rng.integers(0, end, mine.size) for end in (layer.gemms, shape.m, shape.n, shape.k))
        row, col = m % config.rows, n % config.cols
        tile = m // config.rows * -(-shape.n // config.cols) + n // config.cols
        windows[mine, :4] = np.stack([np.full(mine.size, number), gemm, tile, k + row + col], axis=1)
        sites[mine, 1:] = np.stack([row, col, rng.integers(0, config.width, mine.size)], axis=1)
    return Faults(
        mode=np.full(count, REPLAY, dtype=np.int64),
        kind=np.zeros(count, dtype=np.int64),
        windows=windows,
        starts=np.arange(count + 1, dtype=np.int64),
        sites=sites,
        roles=np.zeros((count, 3), dtype=np.int64),
    )


def transients(workload: Workload, count: int, rounds: int) -> dict[str, float]:
    """Return injections per CPU second of one process, drawing and argmax included."""
    engine = CompiledEngine(workload)
    golden = engine.golden_accumulators()
    seconds, changed = [], 0.0
    for number in range(rounds + 1):
        rng = np.random.default_rng(number)
        start = time.process_time()
        faults = active_flips(workload, count, rng)
        images = rng.integers(0, len(golden), count)
        accumulators, _ = engine.inject(faults, images)
        changed = float((accumulators != golden[images]).any(axis=1).mean())
        if number:
            seconds.append(time.process_time() - start)
    return {"injections": count / statistics.median(seconds), "not_masked": changed}


def main() -> None:
    """Run what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--faults", type=int, default=256, help="length of the drawn list")
    parser.add_argument("--configs", default="8P,34P,2R5,Baseline")
    parser.add_argument("--lowerings", default="im2col,toeplitz")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--array", type=int, default=28)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--injections", type=int, default=100_000, help="transients of a round; 0 for none")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    results = []
    for lowering in options.lowerings.split(","):
        for config in options.configs.split(","):
            workload = make_workload(config, lowering, options.images, options.array)
            faults = draw_faults(FaultSpace(config=workload.config), options.faults, 1)
            row: dict[str, object] = {"lowering": lowering, "config": config}
            row.update(campaign(workload, faults, options.workers, options.rounds))
            row["numpy"] = numpy_rate(workload, faults, options.rounds) * options.workers
            row["ratio"] = row["open"] / row["numpy"]  # type: ignore[operator]
            if options.injections:
                row.update(transients(workload, options.injections, options.rounds))
                row["injections"] *= options.workers  # type: ignore[operator]
            results.append(row)
            if options.json:
                continue
            print(
                f"{lowering:>8} {config:>8}: {row['all']:9,.0f} pairs/s of all, {row['open']:9,.0f} of the open faults "
                f"(by the clock {row['all_clock']:,.0f} and {row['open_clock']:,.0f}), {row['ratio']:.1f} x numpy; "
                f"golden {row['golden_us']:.0f} us/image"
                + (f"; {row['injections']:,.0f} injections/s" if options.injections else ""),
                flush=True,
            )
    if options.json:
        print(json.dumps({**vars(options), "results": results}))


if __name__ == "__main__":
    main()

"""What a larger network than LeNet-5 costs: golden run, memory, permanent faults and transients, with both engines.

The network and its images are what ``models/vgg/make.py`` writes; it is imported and quantised here. Both engines of
the emulator, compiled and numpy, run in this process on one processor, in turns, over the same faults and images; rates
are per second of processor time, medians of rounds. Permanent: open faults of a list drawn from the default space
(stuck-at, weight lines), classified and made into rows of the store, golden run included once; the rate over all
faults counts those that are masked with certainty, exactly, over the whole space. Transients: flips of one weight bit
in one cycle, uniform over the steps in which PEs work, each on one image. Memory: what the peak of the arrays grows by
for each image, golden run and one fault, and what is there without any image.

    python models/vgg/make.py --out VGG
    python benchmarks/larger_network.py VGG
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when numpy is imported

import numpy as np  # noqa: E402
from fast_campaigns import active_flips  # noqa: E402

from axft_host.backends.base import Workload  # noqa: E402
from axft_host.backends.certain import CertainMasking  # noqa: E402
from axft_host.backends.compiled import CompiledEngine  # noqa: E402
from axft_host.backends.emulator import ENGINE, Emulator  # noqa: E402
from axft_host.backends.golden import BLOCK  # noqa: E402
from axft_host.backends.registry import Board  # noqa: E402
from axft_host.campaign.batch import BatchRunner, Job  # noqa: E402
from axft_host.nn.datasets import load_dataset  # noqa: E402
from axft_host.nn.library import load_float_network  # noqa: E402
from axft_host.nn.quantise import quantise  # noqa: E402
from axft_spec.config import find_preset  # noqa: E402
from axft_spec.faults import Fault, FaultKind, FaultSite, FaultSpace, Site, draw_faults  # noqa: E402
from axft_spec.schedule import Window  # noqa: E402

_ENGINES = ("compiled", "numpy")


def of_images(workload: Workload, count: int) -> Workload:
    """Return the workload with so many images: its first ones, again from the beginning if there are not enough."""
    return replace(workload, images=workload.images[np.arange(count) % len(workload.images)])


def emulator_of(engine: str) -> Emulator:
    """Return an emulator with one of the engines."""
    os.environ[ENGINE] = engine
    return Emulator()


def cpu_s(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the processor time of some work, in seconds, and its result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def golden_ms(workload: Workload) -> dict[str, float]:
    """Return processor time of the golden run of one image, in ms: of the compiled engine and of numpy."""
    engine, emulator = CompiledEngine(workload), emulator_of("numpy")
    seconds, accumulators = cpu_s(engine.golden_accumulators)
    # The stages are kept for the workload used last; the first of these two runs is what prepares them.
    emulator.evaluate(workload, [None])
    other, (evaluation,) = cpu_s(lambda: emulator.evaluate(workload, [None]))
    assert np.array_equal(evaluation.accumulators, accumulators)
    return {
        f"golden_{name}_ms": s / len(workload.images) * 1e3 for name, s in zip(_ENGINES, (seconds, other), strict=True)
    }


def memory(workload: Workload, fault: Fault) -> dict[str, float]:
    """Return megabytes: of each image, and of all else, for each engine."""
    count = 2 * BLOCK  # compiled functions run blocks of images, and keep whole ones
    found = {}
    for name in _ENGINES:
        peaks = []
        for images in (count, 2 * count):
            tracemalloc.start()
            emulator_of(name).evaluate(of_images(workload, images), [None, fault])
            peaks.append(tracemalloc.get_traced_memory()[1] / 1e6)
            tracemalloc.stop()
        each = (peaks[1] - peaks[0]) / count
        found |= {f"image_{name}_mb": each, f"fixed_{name}_mb": peaks[0] - each * count}
    return found


def permanent(workload: Workload, faults: int, rounds: int) -> dict[str, float]:
    """Return pairs per second of the open faults and of all, for each engine."""
    space = FaultSpace(config=workload.config)
    certain = CertainMasking(workload)
    drawn = draw_faults(space, faults, 1)
    opened = [(index, fault) for index, fault in enumerate(drawn) if not certain.of([fault])[0]]
    every = certain.count(space)
    assert every is not None
    golden = CompiledEngine(workload).golden_accumulators()
    job = Job(
        board=Board(name="emu"),
        workload=workload,
        labels=golden.argmax(axis=1),
        golden=golden,
        score="softmax",
    )
    rates: dict[str, list[float]] = {name: [] for name in _ENGINES}
    masked = 0.0
    emulators = {name: emulator_of(name) for name in _ENGINES}
    for emulator in emulators.values():  # builds its tables, and compiles
        emulator.evaluate(workload, [opened[0][1]])
    for _ in range(rounds):
        results = []
        for name, emulator in emulators.items():
            runner = BatchRunner(job, emulator)
            seconds, rows = cpu_s(lambda runner=runner: runner.run(opened))
            results.append(rows)
            if name == "compiled":  # its golden run is kept from above; counted once, as the other makes it
                seconds += cpu_s(CompiledEngine(workload).golden_accumulators)[0]
            rates[name].append(len(opened) * len(workload.images) / seconds)
        assert results[0] == results[1]
        masked = statistics.mean(row.masked for row in results[0]) / len(workload.images)
    share = every / space.size
    found = {"certain": share, "masked_of_open": masked}
    for name, values in rates.items():
        rate = statistics.median(values)
        found |= {f"open_{name}": rate, f"all_{name}": rate / (1 - share)}
    ratios = [ours / plain for ours, plain in zip(rates["compiled"], rates["numpy"], strict=True)]
    return found | {"ratio": statistics.median(ratios)}


def as_fault(window: np.ndarray, site: np.ndarray) -> Fault:
    """Return a transient of `active_flips`."""
    layer, gemm, tile, first, cycles = (int(number) for number in window)
    _, row, col, bit = (int(number) for number in site)
    where = Window(layer=layer, gemm=gemm, tile=tile, first_cycle=first, cycles=cycles)
    return Fault(FaultKind.FLIP, (FaultSite(Site.WEIGHT, row, col, bit),), where)


def transients(workload: Workload, count: int, rounds: int) -> dict[str, float]:
    """Return injections per second of each engine."""
    engine, emulator = CompiledEngine(workload), emulator_of("numpy")
    golden, alone = engine.golden_accumulators(), of_images(workload, 1)
    emulator.evaluate(alone, [None])
    rates: dict[str, list[float]] = {name: [] for name in _ENGINES}
    changed = 0.0
    for number in range(rounds + 1):
        rng = np.random.default_rng(number)
        faults = active_flips(workload, count, rng)
        images = rng.integers(0, len(golden), count)
        seconds, (accumulators, _) = cpu_s(lambda faults=faults, images=images: engine.inject(faults, images))
        changed = float((accumulators != golden[images]).any(axis=1).mean())
        some = [as_fault(faults.windows[index], faults.sites[index]) for index in range(min(count, 64))]
        slow, evaluations = cpu_s(lambda some=some: emulator.evaluate(alone, some))
        for index in np.flatnonzero(images[: len(some)] == 0):
            assert np.array_equal(evaluations[index].accumulators[0], accumulators[index])
        if number:  # the first compiles
            rates["compiled"].append(count / seconds)
            rates["numpy"].append(len(some) / slow)
    found = {f"injections_{name}": statistics.median(values) for name, values in rates.items()}
    return found | {"transients_not_masked": changed}


def main() -> None:
    """Run what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directory", type=Path, help="with vgg.onnx and images.npz")
    parser.add_argument("--images", type=int, default=32)
    parser.add_argument("--faults", type=int, default=32, help="length of the drawn list")
    parser.add_argument("--injections", type=int, default=2_000, help="transients of a round")
    parser.add_argument("--configs", default="8P,34P")
    parser.add_argument("--lowerings", default="im2col,toeplitz")
    parser.add_argument("--array", type=int, default=28)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    data = str(options.directory / "images.npz")
    source = load_float_network(options.directory / "vgg.onnx")
    source = source.calibrated(load_dataset(f"{data}:train").images[:256], "images given")
    images = load_dataset(data).images[: options.images]
    results = []
    for config in options.configs.split(","):
        preset = find_preset(config).config
        network = quantise(source, preset)
        for lowering in options.lowerings.split(","):
            array = preset.resized(options.array, options.array)
            workload = Workload(network=network, config=array, lowering=lowering, images=images)
            macs = sum(g * s.m * s.n * s.k for g, s in network.gemms("im2col"))
            row = {"lowering": lowering, "config": config, "macs": macs}
            row |= permanent(workload, options.faults, options.rounds)
            row |= golden_ms(workload) | transients(workload, options.injections, options.rounds)
            row |= memory(workload, draw_faults(FaultSpace(config=array), 1, 1)[0])
            results.append(row)
            if options.json:
                continue
            print(f"{lowering} {config}: {macs / 1e6:,.1f} million multiply-adds of an image under im2col", flush=True)
            for name in _ENGINES:
                print(
                    f"  {name:>8}: golden run {row[f'golden_{name}_ms']:.2f} ms/image; "
                    f"{row[f'open_{name}']:,.0f} pairs/s of open faults, {row[f'all_{name}']:,.0f} of all; "
                    f"{row[f'injections_{name}']:,.0f} transients/s; "
                    f"{row[f'image_{name}_mb']:.2f} MB/image and {row[f'fixed_{name}_mb']:,.0f} MB"
                )
            print(
                f"  {row['ratio']:.2f} x numpy; {row['certain']:.1%} of all faults masked with certainty, "
                f"{row['masked_of_open']:.1%} of the open pairs masked; "
                f"{row['transients_not_masked']:.1%} of transients not masked",
                flush=True,
            )
    if options.json:
        print(json.dumps({**vars(options), "directory": str(options.directory), "results": results}))


if __name__ == "__main__":
    main()

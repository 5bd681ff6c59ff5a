"""Outcome pairs and injections per second of the emulator's compiled engine, against its numpy engine in the same run.

Permanent stuck-at faults on weight lines (the default fault space) on LeNet-5: a drawn list, of which those that are
masked with certainty cost nothing, and the others run, in worker processes as in a campaign. Seconds include the golden
run, classification and the rows of the store, of the workers and of the process that leads them; imports, compilation
and loading are not timed. Transients: flips of one weight bit in one cycle, uniform over the steps in which PEs work,
each on one image. Every figure is the median of several rounds, by the clock and, as others may use the machine, by the
processor time of all processes divided by the number of workers. `--end-to-end` runs `campaign run`'s way, from options
to a finished store, and `--scaling` shows what images (1%, 10% and 50% of those given), array, workers and
the length of the list change, what the golden run keeps of each layer, and where the time goes.

    python benchmarks/fast_campaigns.py --images 10000
    python benchmarks/fast_campaigns.py --images 10000 --scaling
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import patch

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # read when numpy is imported

import numpy as np  # noqa: E402

from axft_host.backends import compiled  # noqa: E402
from axft_host.backends.base import Workload  # noqa: E402
from axft_host.backends.certain import CertainMasking  # noqa: E402
from axft_host.backends.compiled import CompiledEngine  # noqa: E402
from axft_host.backends.emulator import Emulator  # noqa: E402
from axft_host.backends.faulty import REPLAY, Faults  # noqa: E402
from axft_host.backends.registry import Board  # noqa: E402
from axft_host.backends.tables import build_tables  # noqa: E402
from axft_host.campaign import judge  # noqa: E402
from axft_host.campaign.batch import BatchRunner, Job, make_batches  # noqa: E402
from axft_host.campaign.plan import CampaignOptions, FaultOptions, plan_campaign  # noqa: E402
from axft_host.campaign.runner import run_campaign  # noqa: E402
from axft_host.campaign.store import ResultStore  # noqa: E402
from axft_host.campaign.workers import Interruption, WorkerPool  # noqa: E402
from axft_host.campaign.workload import WorkloadOptions  # noqa: E402
from axft_host.nn.datasets import Dataset, load_dataset  # noqa: E402
from axft_host.nn.library import load_float_network  # noqa: E402
from axft_host.nn.quantise import quantise  # noqa: E402
from axft_spec.config import find_preset  # noqa: E402
from axft_spec.errors import DataError  # noqa: E402
from axft_spec.faults import Fault, FaultSpace, draw_faults  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]


def find_images(data: str | None) -> tuple[str | None, Dataset]:
    """Return MNIST's test set, from where it was fetched or beside the checkout, or the embedded images."""
    beside = [str(directory) for directory in (ROOT / "data/mnist", ROOT.parent / "shared/data/mnist")]
    for spec in [data] if data else ["mnist", *beside]:
        try:
            return spec, load_dataset(spec)
        except DataError:
            if data:
                raise
    print("no MNIST test set found (`axft-hw data fetch mnist`, or --data): the embedded 5,000 images, repeated")
    return None, load_dataset(None)


def make_workload(config: str, lowering: str, images: int, array: int = 28, data: Dataset | None = None) -> Workload:
    """Return the shipped network on the first images of a set, repeated if there are not enough."""
    preset = find_preset(config)
    found = (data or load_dataset(None)).images
    return Workload(
        network=quantise(load_float_network("lenet5"), preset.config),
        config=preset.config.resized(array, array),
        lowering=lowering,
        images=found[np.arange(images) % len(found)],
    )


def cpu_seconds(process: int) -> float:
    """Return the processor time of the threads of a process until now; no number where Linux does not say."""
    try:
        threads = list(Path(f"/proc/{process}/task").glob("*/schedstat"))
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9 if threads else math.nan
    except OSError:
        return math.nan


def private_bytes(process: int) -> int:
    """Return the memory that a process shares with no other; 0 where there is no /proc."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Private_"))


class OpenFaults:
    """Those faults of a list that are not masked with certainty, in worker processes that share a golden run.

    As a campaign runs them, up to the rows of the store. What is compiled is loaded before anything is timed.

    Attributes
    ----------
    certain : float
        Share of the others.
    golden_s : (float, float)
        Seconds of the golden run by the clock, and of the processor; they are not in what `run` returns.
    kept_bytes : int
        What that keeps.
    """

    def __init__(self, workload: Workload, faults: Sequence[Fault], workers: int, golden_runs: int = 1) -> None:
        images = len(workload.images)
        certain = CertainMasking(workload).of(faults)
        self.certain = float(certain.mean())
        walls, used = [], []
        for _ in range(golden_runs):
            engine = CompiledEngine(workload)
            wall, start = time.perf_counter(), time.process_time()
            engine.golden_accumulators()
            used.append(time.process_time() - start)
            walls.append(time.perf_counter() - wall)
        self.golden_s = statistics.median(walls), statistics.median(used)
        self.kept_bytes = engine.runs.kept_bytes
        del engine
        self._backend = Emulator(engine="compiled")
        self._backend.prepare(workload, share=workers > 1)
        accumulators = self._backend.evaluate(workload, [None])[0].accumulators
        labels = np.zeros(images, dtype=np.int64)
        board = Board(name="emu", engine="compiled", shared=self._backend.shared)
        job = Job(board=board, workload=workload, labels=labels, golden=accumulators, score="softmax")
        opened = [(index, fault) for index, fault in enumerate(faults) if not certain[index]]
        self.pairs = len(opened) * images
        self._batches = make_batches(opened, images, pairs_at_once=self._backend.pairs_at_once)
        self._pool = WorkerPool(job, workers)
        # For one fault alone it would be other functions.
        self._run([self._batches[0][:2]] * (2 * workers))

    def run(self) -> tuple[float, float]:
        """Run them; return seconds by the clock, and processor seconds of all processes."""
        return self._run(self._batches)

    def _run(self, batches: Any) -> tuple[float, float]:
        with Interruption(lambda: None) as stop:
            before, start = self._used(), time.perf_counter()
            rows = [row.to_sql() for done in self._pool.run(list(batches), stop, lambda pairs: None) for row in done]
            assert len(rows) == sum(map(len, batches))
            return time.perf_counter() - start, self._used() - before

    def _used(self) -> float:
        return sum(cpu_seconds(process.pid or 0) for process in self._pool.processes) + time.process_time()

    def private_bytes(self) -> int:
        """Return the most memory that a worker shares with no other process."""
        return max(private_bytes(process.pid or 0) for process in self._pool.processes)

    def close(self) -> None:
        """End the processes."""
        self._pool.close()
        self._backend.close()


def campaign(workload: Workload, faults: Sequence[Fault], workers: int, rounds: int) -> dict[str, float]:
    """Time a list of faults; return pairs per second of all and of the open ones, by the clock and by CPU seconds."""
    images = len(workload.images)
    opened = OpenFaults(workload, faults, workers, golden_runs=rounds)
    try:
        runs = [opened.run() for _ in range(rounds)]
        private = opened.private_bytes()
    finally:
        opened.close()
    clock, seconds = (statistics.median(values) for values in zip(*runs, strict=True))
    clock, seconds = clock + opened.golden_s[0], seconds / workers + opened.golden_s[1]
    return {
        "certain": opened.certain,
        "golden_us": opened.golden_s[1] / images * 1e6,
        "all_clock": len(faults) * images / clock,
        "open_clock": opened.pairs / clock,
        "all": len(faults) * images / seconds,
        "open": opened.pairs / seconds,
        "golden_bytes": float(opened.kept_bytes),
        "private_bytes": float(private),
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


def end_to_end(
    config: str, lowering: str, data: str | None, images: int, faults: int, workers: int
) -> dict[str, float]:
    """Run a whole campaign into a store; return pairs per second of all faults, by its own clock and from its start."""
    workload = WorkloadOptions(config=config, data=data, images=images, lowering=lowering)
    options = CampaignOptions(workload=workload, faults=FaultOptions(faults=faults, seed=1), workers=workers)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as directory:
        result = run_campaign(plan_campaign(options), Path(directory) / "result")
        whole = time.perf_counter() - start
        with ResultStore.open(result.store) as store:
            seconds = float(store.meta()["seconds"])
    return {"campaign": faults * images / seconds, "whole": faults * images / whole}


def scaling(options: argparse.Namespace, data: Dataset) -> list[dict[str, Any]]:
    """Measure 8P under im2col with other images, workers, faults and arrays; then what is kept, and where time goes."""
    few, most = max(2, options.images // 100), max(2, options.images // 2)
    usual = {
        "images": max(2, options.images // 10),
        "array": 28,
        "workers": options.workers,
        "faults": options.faults,
    }
    rows: list[dict[str, Any]] = []
    for name, values in (
        ("images", (few, usual["images"], most)),
        ("array", (8, 16, 28, 64)),
        ("workers", range(1, options.workers + 1)),
        ("faults", (max(1, options.faults // 4), options.faults, 4 * options.faults)),
    ):
        for value in values:
            case = {**usual, name: value}
            row = next((dict(other) for other in rows if case.items() <= other.items()), None)
            if row is None:
                workload = make_workload("8P", "im2col", case["images"], case["array"], data)
                faults = draw_faults(FaultSpace(config=workload.config), case["faults"], 1)
                row = {**case, **campaign(workload, faults, case["workers"], min(options.rounds, 3))}
            rows.append({**row, "changed": name})
            print(
                f"{name} {value}: {row['all']:9,.0f} pairs/s of all, {row['open']:9,.0f} of the open faults (by the "
                f"clock {row['all_clock']:,.0f}, {row['open_clock']:,.0f}); golden runs "
                f"{row['golden_bytes'] / 1e6:.0f} MB, {row['private_bytes'] / 1e6:.0f} MB of a worker's own",
                flush=True,
            )
    workload = make_workload("8P", "im2col", usual["images"], data=data)
    rows.extend(layer_memory(workload))
    rows.append(profile(workload, draw_faults(FaultSpace(config=workload.config), options.faults, 1)))
    return rows


def layer_memory(workload: Workload) -> list[dict[str, Any]]:
    """Return what the golden run of one image keeps of each layer, in bytes: operands, sums and outputs."""
    tables, rows = build_tables(workload), []
    for number, layer in enumerate(tables.layers):
        positions, outputs = layer["height"] * layer["width"], layer["out_height"] * layer["out_width"]
        row = {
            "layer": number,
            "operands": int(layer["inputs"] * layer["plane"] * 2),
            "sums": int(positions * layer["lanes"] * tables.bias.dtype.itemsize),
            "outputs": int(outputs * layer["lanes"] * 2),
        }
        print(
            f"layer {number}: {row['operands']:,} bytes of operands, {row['sums']:,} of sums, {row['outputs']:,} of "
            f"outputs for each image",
            flush=True,
        )
        rows.append(row)
    return rows


def profile(workload: Workload, faults: Sequence[Fault]) -> dict[str, Any]:
    """Return where the processor time of open faults goes, in one process: compiled functions, and the Python around.

    And microseconds of a pair, by the number of layers that have outputs in the faulty PE's column: a fault's cost is
    what it changes in the layers behind.
    """
    emulator = Emulator(engine="compiled")
    accumulators = emulator.evaluate(workload, [None])[0].accumulators
    labels = np.zeros(len(accumulators), dtype=np.int64)
    job = Job(board=Board(name="emu"), workload=workload, labels=labels, golden=accumulators, score="softmax")
    runner = BatchRunner(job, emulator)
    certain = CertainMasking(workload).of(faults)
    listed = [(index, fault) for index, fault in enumerate(faults) if not certain[index]]
    runner.run(listed[:2])  # loads what is compiled
    spent = dict.fromkeys(("faults", "line sums", "outcomes"), 0.0)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            start = time.process_time()
            result = function(*arguments)
            spent[name] += time.process_time() - start
            return result

        return call

    with ExitStack() as stack:
        for name, module, function in (
            ("faults", compiled, "run_pairs"),
            ("line sums", compiled, "line_sums"),
            ("outcomes", judge, "_judge"),
        ):
            stack.enter_context(patch.object(module, function, timed(name, getattr(module, function))))
        start = time.process_time()
        runner.run(listed)
        whole = time.process_time() - start
    shares = {name: seconds / whole for name, seconds in spent.items()}
    shares["Python"] = 1 - sum(shares.values())
    widths = [layer.shape.n for layer in workload.schedule.layers]
    reached: dict[int, list[tuple[int, Fault]]] = {}
    for index, fault in listed:
        bit = fault.sites[0]
        reached.setdefault(sum(bit.col < width for width in widths), []).append((index, fault))
    each = {}
    for layers, some in sorted(reached.items()):
        start = time.process_time()
        runner.run(some)
        each[layers] = (len(some), (time.process_time() - start) / len(some) / len(labels) * 1e6)
    print(
        "open faults of one process: "
        + ", ".join(f"{name} {share:.1%}" for name, share in shares.items())
        + "; "
        + ", ".join(
            f"{us:.2f} us/pair of {count} where {layers} layers use the column" for layers, (count, us) in each.items()
        ),
        flush=True,
    )
    return {"profile": shares, "us_by_layers_of_the_column": each}


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
        changed = float((accumulators.argmax(axis=1) != golden[images].argmax(axis=1)).mean())
        if number:
            seconds.append(time.process_time() - start)
    return {"injections": count / statistics.median(seconds), "other_class": changed}


def main() -> None:
    """Run what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--data", help="as of `axft-hw inject`; MNIST's test set if it is found, else embedded images")
    parser.add_argument("--faults", type=int, default=256, help="length of the drawn list")
    parser.add_argument("--configs", default="8P,34P,2R5,Baseline")
    parser.add_argument("--lowerings", default="im2col,toeplitz")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--array", type=int, default=28)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--injections", type=int, default=100_000, help="transients of a round; 0 for none")
    parser.add_argument("--end-to-end", action="store_true", help="also a whole campaign into a store")
    parser.add_argument("--scaling", action="store_true", help="only: other images, arrays, workers and lists")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    spec, data = find_images(options.data)
    results: list[dict[str, Any]] = []
    if options.scaling:
        results = scaling(options, data)
        options.configs = options.lowerings = ""
    for lowering in filter(None, options.lowerings.split(",")):
        for config in options.configs.split(","):
            workload = make_workload(config, lowering, options.images, options.array, data)
            faults = draw_faults(FaultSpace(config=workload.config), options.faults, 1)
            row: dict[str, Any] = {"lowering": lowering, "config": config}
            row.update(campaign(workload, faults, options.workers, options.rounds))
            row["numpy"] = numpy_rate(workload, faults, options.rounds) * options.workers
            row["ratio"] = row["open"] / row["numpy"]
            if options.injections:
                row.update(transients(workload, options.injections, options.rounds))
                row["injections"] *= options.workers
            if options.end_to_end and options.images <= len(data):
                row.update(end_to_end(config, lowering, spec, options.images, options.faults, options.workers))
            results.append(row)
            print(
                f"{lowering:>8} {config:>8}: {row['all']:9,.0f} pairs/s of all, {row['open']:9,.0f} of the open faults "
                f"(by the clock {row['all_clock']:,.0f} and {row['open_clock']:,.0f}), {row['ratio']:.1f} x numpy; "
                f"golden {row['golden_us']:.0f} us/image, {row['golden_bytes'] / 1e6:.0f} MB, workers' own "
                f"{row['private_bytes'] / 1e6:.0f} MB"
                + (f"; {row['injections']:,.0f} injections/s" if options.injections else "")
                + (
                    f"; campaign {row['campaign']:,.0f}, from its start {row['whole']:,.0f}"
                    if "campaign" in row
                    else ""
                ),
                flush=True,
            )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(f"largest memory of the leading process {peak:.0f} MB, shared golden runs included")
    if options.json:
        print(json.dumps({**vars(options), "results": results}))


if __name__ == "__main__":
    main()

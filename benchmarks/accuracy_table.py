"""Accuracy of every preset under both roundings, with and without compensation, for one or several float networks.

    python benchmarks/accuracy_table.py --data DIR MODEL.onnx [MODEL.onnx ...]

DIR holds the four official MNIST files. Accuracy is over all 10,000 test images. Ranges are those of the models; mean
errors are measured on the first 1,000 training images, which are never tested on. Set OPENBLAS_NUM_THREADS=1 on a
machine that does other work: two BLAS threads that wait for each other can be many times slower than one.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from axft_host.backends.base import Workload
from axft_host.backends.emulator import Emulator
from axft_host.nn.datasets import load_dataset
from axft_host.nn.library import load_float_network
from axft_host.nn.quantise import ROUNDINGS, measure_corrections, quantise
from axft_spec.config import PRESETS


def main() -> None:
    """Print one table for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+", help="float networks, or lenet5 for the shipped one")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    test = load_dataset(str(options.data))
    training = load_dataset(f"{options.data}:train").take(1000).images
    columns = [(rounding, compensate) for rounding in ROUNDINGS for compensate in (False, True)]
    tables = {}
    for model in options.models:
        network = load_float_network(model)
        rows: dict[str, list[float]] = {"float": [float((network.run(test.images).argmax(1) == test.labels).mean())]}
        for name, preset in PRESETS.items():
            rows[name] = []
            for rounding, compensate in columns:
                source = network
                if compensate:
                    # Ranges stay those of the model, so that compensation is the only difference between two columns.
                    corrections = measure_corrections(network, preset.config, rounding=rounding, images=training)
                    source = replace(network, compensations=(corrections,))
                compiled = quantise(source, preset.config, rounding=rounding, compensate=compensate)
                workload = Workload(network=compiled, config=preset.config, lowering="im2col", images=test.images)
                classes = Emulator().evaluate(workload, [None])[0].accumulators.argmax(axis=1)
                rows[name].append(float(np.mean(classes == test.labels)))
        tables[model] = rows
        if not options.json:
            print(f"\n{model}: float {100 * rows['float'][0]:.2f}%, {len(test.labels)} images")
            print(f"{'':>10}" + "".join(f"{r + (' + comp' if c else ''):>20}" for r, c in columns))
            for name in PRESETS:
                print(f"{name:>10}" + "".join(f"{100 * value:20.2f}" for value in rows[name]))
    if options.json:
        print(json.dumps({"columns": columns, "tables": tables}))


if __name__ == "__main__":
    main()

"""Images per second of the emulator for each preset, against PyTorch float32 on the same network, in one run.

Both sides get the same images in memory, the same number of threads, and their best batch size of those tried. Imports,
compilation and loading are not timed; classification (arg max) is. Each figure is the median of several rounds, and a
round times every contender once, so that a busy machine hits all of them alike. Quote the ratios, not the rates.

    pip install '.[training]'
    python benchmarks/infer_throughput.py --images 2000 --rounds 5
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--images", type=int, default=2000)
parser.add_argument("--rounds", type=int, default=5)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--json", action="store_true")
OPTIONS = parser.parse_args()
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(OPTIONS.threads)  # read when numpy and torch are imported

import numpy as np  # noqa: E402
import torch  # noqa: E402
from torch.nn import functional  # noqa: E402

from axft_host.backends.base import Workload  # noqa: E402
from axft_host.backends.emulator import Emulator  # noqa: E402
from axft_host.nn.datasets import load_dataset  # noqa: E402
from axft_host.nn.graph import Conv, Dense, Flatten, FloatNetwork, MaxPool, Relu  # noqa: E402
from axft_host.nn.library import load_float_network  # noqa: E402
from axft_host.nn.quantise import quantise  # noqa: E402
from axft_spec.config import PRESETS  # noqa: E402

BATCHES = (64, 256, 1000)


def torch_network(network: FloatNetwork) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the same network in PyTorch, float32."""
    steps: list[Callable[[torch.Tensor], torch.Tensor]] = []
    for op in network.ops:
        if isinstance(op, (Conv, Dense)):
            weights = torch.tensor(op.weights, dtype=torch.float32)
            bias = torch.tensor(op.bias, dtype=torch.float32)
            if isinstance(op, Dense):
                steps.append(lambda x, w=weights, b=bias: functional.linear(x, w, b))
                continue
            top, left, bottom, right = op.shape.pads
            if (top, left) != (bottom, right):
                raise SystemExit(f"{op.name}: this benchmark knows symmetric padding only")
            geometry = {"stride": op.shape.strides, "dilation": op.shape.dilations, "groups": op.shape.groups}
            steps.append(
                lambda x, w=weights, b=bias, p=(top, left), g=geometry: functional.conv2d(x, w, b, padding=p, **g)
            )
        elif isinstance(op, Relu):
            steps.append(torch.relu)
        elif isinstance(op, MaxPool):
            steps.append(lambda x, k=op.kernel, s=op.strides: functional.max_pool2d(x, k, s))
        elif isinstance(op, Flatten):
            steps.append(lambda x: x.flatten(1))
        else:
            raise SystemExit(f"this benchmark does not know {type(op).__name__}")

    def run(x: torch.Tensor) -> torch.Tensor:
        for step in steps:
            x = step(x)
        return x

    return run


def main() -> None:
    """Time all contenders and print ratios."""
    torch.set_num_threads(OPTIONS.threads)
    network = load_float_network("lenet5")
    images = load_dataset(None).take(OPTIONS.images).images
    model = torch_network(network)
    floats = torch.tensor(network.normalise(images, np.float32))
    expected = network.run(images).argmax(axis=1)

    def run_torch(batch: int) -> np.ndarray:
        with torch.inference_mode():
            classes = [model(floats[i : i + batch]).argmax(dim=1) for i in range(0, len(floats), batch)]
        return torch.cat(classes).numpy()

    if not np.array_equal(run_torch(256), expected):
        raise SystemExit("PyTorch and the float network do not agree; the comparison would be of different work")
    contenders: dict[str, Callable[[], object]] = {
        f"torch batch {batch}": lambda batch=batch: run_torch(batch) for batch in BATCHES
    }
    for name, preset in PRESETS.items():
        workload = Workload(
            network=quantise(network, preset.config), config=preset.config, lowering="im2col", images=images
        )
        emulator = Emulator()
        contenders[name] = lambda w=workload, e=emulator: e.evaluate(w, [None])[0].accumulators.argmax(axis=1)
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run()  # warm up: caches, thread pools, lazily built stages
    for _ in range(OPTIONS.rounds):
        for name, run in contenders.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    rates = {name: OPTIONS.images / statistics.median(seconds) for name, seconds in times.items()}
    baseline = max(rate for name, rate in rates.items() if name.startswith("torch"))
    if OPTIONS.json:
        rows = {name: {"images_per_second": rate, "ratio": rate / baseline} for name, rate in rates.items()}
        print(json.dumps({"images": OPTIONS.images, "threads": OPTIONS.threads, "contenders": rows}))
        return
    print(
        f"{OPTIONS.images} images, {OPTIONS.threads} thread(s), median of {OPTIONS.rounds}, torch {torch.__version__}"
    )
    for name, rate in rates.items():
        print(f"{name:>18}  {rate:9.0f} images/s  ratio {rate / baseline:5.2f}")


if __name__ == "__main__":
    main()

